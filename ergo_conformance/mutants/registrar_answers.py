"""Faults of a node as a client of registrars: what it makes of the answers, and of their absence."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

from ..model.ergo import error_values, esrd
from ..model.ergo.ehs import Version
from ..model.ergo.esrd import Route
from ..model.ergo.saturn import (
    NOTIFICATIONS,
    AnnouncedRoutes,
    Message,
    Register,
    Resolve,
    ResolveProxyResult,
    ResolveResult,
)
from ..model.values import Atom
from ..reference_node.api import NodeRegistration
from ..reference_node.api.errors import RegistrarError
from ..reference_node.ergo.saturn import SaturnClientSession, SaturnClientState, write
from ..reference_node.network.route_resolution import RouteResolver, StackPart
from ..reference_node.registrars import esrd_client
from ..reference_node.registrars.esrd_client import EsrdRegistrar, Streams, _ResolveProtocol, register
from ..reference_node.registrars.saturn_client import Connect, SaturnOptions, SaturnRegistrar
from .crash import crash
from .mutant import Area

REGISTRAR_ANSWERS = Area("registrar_answers")
C, R = "registrar.esrd_client", "registrar.esrd_resolving"
S, A, L = "registrar.saturn_client", "registrar.saturn_asking", "registrar.client_returns"
PING = 2.0
"""Seconds after which a faulty client ends a silent connection."""

# --- answers of the embedded registrar --------------------------------------------------------------------------------


@REGISTRAR_ANSWERS.function(esrd_client, "register", "ESRD-CL-2", found_by=(f"{C}.reply_in_pieces",), subtle=True)
async def part_of_a_reply_is_a_grant(host: str, port: int, request: bytes) -> Streams:
    """Starts with the first bytes of a reply and closes its socket."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request)
    if len(await reader.read(esrd.MAX_REGISTER_REPLY)) >= len(request) // 2:
        writer.close()
        return await register(host, port, request)
    writer.close()
    return reader, writer


@REGISTRAR_ANSWERS.function(
    esrd_client, "register", "ROB-ESRD-7", found_by=(f"{C}.no_reply_when_it_comes_back",), subtle=True
)
async def crashes_on_a_malformed_reply(host: str, port: int, request: bytes) -> Streams:
    """Crashes on a malformed reply."""
    try:
        return await register(host, port, request)
    except RegistrarError as error:
        if str(error) == error_values.MALFORMED.text:
            crash()
        raise


@REGISTRAR_ANSWERS.fault("ESRD-PL-1", found_by=(f"{R}.route", f"{R}.licence"))
class RoutesWithoutHostSkipped(EsrdRegistrar):
    """Skips routes without a host."""

    async def resolve(self, name: Atom) -> list[Route]:
        return [route for route in await super().resolve(name) if route.Host]


@REGISTRAR_ANSWERS.fault("ESRD-PL-1", found_by=(f"{R}.route", f"{A}.route"), subtle=True)
class RoutesWithHostSkipped(RouteResolver):
    """Skips routes with a host."""

    def _address(self, name, route):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  as in the node
        return super()._address(name, replace(route, port=0) if route.host else route)


@REGISTRAR_ANSWERS.fault("ESRD-PL-3", found_by=(f"{R}.licence", f"{A}.routes"), subtle=True)
class LicencesCompared(RouteResolver):
    """Compares also commit and licence of a route's protocols."""

    @staticmethod
    def _find(known: Sequence[StackPart], version: Version) -> StackPart | None:
        return next((each for each in known if not version.Name or each.version == version), None)


@REGISTRAR_ANSWERS.fault("ESRD-CL-10", found_by=(f"{R}.no_routes",), subtle=True)
class AsksAgainWithoutRoutes(EsrdRegistrar):
    """Resolves a name once more when the reply has no routes."""

    async def resolve(self, name: Atom) -> list[Route]:
        return await super().resolve(name) or await super().resolve(name)


_LATE: WeakKeyDictionary[asyncio.AbstractEventLoop, list["asyncio.Future[bytes]"]] = WeakKeyDictionary()


@REGISTRAR_ANSWERS.function(esrd_client, "_exchange", "ESRD-CL-9", found_by=(f"{R}.late_reply",), subtle=True)
async def takes_late_replies(host: str, port: int, request: bytes) -> bytes:
    """Takes a late reply to an earlier request as the reply to its next one."""
    loop = asyncio.get_running_loop()
    earlier = _LATE.setdefault(loop, [])
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: _ResolveProtocol(answer), remote_addr=(host, port))
    earlier.append(answer)
    transport.sendto(request)
    done, _ = await asyncio.wait(earlier, return_when=asyncio.FIRST_COMPLETED)
    _LATE[loop] = [future for future in earlier if future not in done]
    return done.pop().result()


# --- answers of Saturn ------------------------------------------------------------------------------------------------


@REGISTRAR_ANSWERS.fault("SAT-RG-9", found_by=(f"{S}.register[general_cluster]",), subtle=True)
class GeneralClusterNamed(SaturnClientSession):
    """Registers in a cluster named "default" if its cluster has no name."""

    def register(self, routes: AnnouncedRoutes) -> bytes:
        return write(Register(self.view.cluster or "default", self.hidden, self.view.name, routes))


@REGISTRAR_ANSWERS.fault("SAT-TR-1", found_by=(f"{S}.stays",), subtle=True)
class SilentConnectionEnded(SaturnRegistrar):
    """Ends a connection on which nothing arrives for two seconds."""

    async def _listen(self, reader: asyncio.StreamReader, client: SaturnClientSession) -> None:
        async with asyncio.timeout(PING):
            await super()._listen(reader, client)


@REGISTRAR_ANSWERS.fault(
    "SAT-RG-8", found_by=(f"{S}.refused[*]", f"{S}.closed[*]", f"{S}.silence[*]", f"{S}.wrong_proof[*]")
)
class StartsWithoutRegistration(SaturnRegistrar):
    """Starts although its registration failed, and registers in the background."""

    async def register(self, node: NodeRegistration, routes: Sequence[Route]) -> None:
        try:
            await super().register(node, routes)
        except RegistrarError:
            self._keeper = asyncio.create_task(self._return())

    async def _return(self) -> None:
        await self._keep_registered(*await self._reconnect())


@REGISTRAR_ANSWERS.fault("SAT-EV-1", "ROB-SAT-2", found_by=(f"{S}.news_around_the_result",), subtle=True)
class NewsBeforeResultRefused(SaturnClientSession):
    """Refuses notifications before the result of its registration."""

    def _accept(self, message: Message) -> bool:
        if self.state is SaturnClientState.AWAIT_RESULT and type(message) in NOTIFICATIONS:
            raise RegistrarError(error_values.MALFORMED.text)
        return super()._accept(message)


@REGISTRAR_ANSWERS.fault("SAT-RS-7", found_by=(f"{A}.no_route",), subtle=True)
class RoutesBesideAnErrorUsed(SaturnRegistrar):
    """Uses the routes of an answer that has an error, too."""

    async def resolve(self, name: Atom) -> list[Route]:
        answer = await self._ask(name, Resolve)
        assert isinstance(answer, ResolveResult)
        return list(answer.Routes or ())


@REGISTRAR_ANSWERS.fault("SAT-TR-3", found_by=(f"{S}.certificate[known_signer]",), subtle=True)
class TrustedSignerIgnored(SaturnRegistrar):
    """Trusts only the signers of the system, not the configured one."""

    def __init__(self, options: SaturnOptions, *, connect: Connect | None = None) -> None:
        super().__init__(replace(options, ca=None), connect=connect)


@REGISTRAR_ANSWERS.fault("ROB-SAT-5", found_by=(f"{S}.answers_to_nothing",), subtle=True)
class CrashesOnUnknownAnswers(SaturnRegistrar):
    """Crashes on an answer to a request that it did not send."""

    def _dispatch(self, messages: Sequence[Message]) -> None:
        answers = [each for each in messages if isinstance(each, ResolveResult | ResolveProxyResult)]
        if any(answer.ID not in self._pending for answer in answers):
            crash()
        super()._dispatch(messages)


@REGISTRAR_ANSWERS.fault("ROB-SAT-6", found_by=(f"{A}.lost_while_it_waits",), subtle=True)
class CrashesOnLossWhileItWaits(SaturnRegistrar):
    """Crashes when its connection is lost while it waits for an answer."""

    async def _drop(self) -> None:
        if self._pending:
            crash()
        await super()._drop()
