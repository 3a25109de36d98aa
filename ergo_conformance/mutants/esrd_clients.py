"""Faults of a node as a client of registrars: the embedded one, and route resolution."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ..model.ergo import esrd
from ..model.ergo.ehs import Version
from ..model.ergo.esrd import ResolveReply, Route
from ..model.values import Atom
from ..reference_node.api import NodeRegistration
from ..reference_node.api.errors import RegistrarError
from ..reference_node.api.routes import NetworkRoute
from ..reference_node.network import route_resolution
from ..reference_node.network.route_resolution import RouteResolver, StackPart, resolved
from ..reference_node.registrars import esrd_client
from ..reference_node.registrars.esrd_client import EsrdRegistrar, Streams, _exchange, ask, register, until_lost
from .crash import crash
from .faults import NameFault, with_constants
from .mutant import Area

ESRD_CLIENTS = Area("esrd_clients")
C, R = "registrar.esrd_client", "registrar.esrd_resolving"
A = "registrar.saturn_asking"
FOREVER = 3600.0
"""Seconds: longer than any case."""

# --- registrations ----------------------------------------------------------------------------------------------------


@ESRD_CLIENTS.function(esrd_client, "register", "ESRD-FR-3", found_by=(f"{C}.request[client]",))
async def registers_twice(host: str, port: int, request: bytes) -> Streams:
    """Sends its registration twice."""
    return await register(host, port, request * 2)


@ESRD_CLIENTS.fault("ESRD-CL-2", found_by=(f"{C}.refused[*]", f"{C}.no_reply[*]", f"{C}.closed"))
class StartsAfterRefusal(EsrdRegistrar):
    """Starts although its registration was refused."""

    async def _serve_or_register(self) -> None:
        try:
            await super()._serve_or_register()
        except RegistrarError:
            self.may_serve = False


@ESRD_CLIENTS.fault("ESRD-CL-2", found_by=(f"{C}.refused[empty]",))
class RegistersAgainAfterRefusal(EsrdRegistrar):
    """Registers a second time when its first registration is refused."""

    async def _serve_or_register(self) -> None:
        try:
            await super()._serve_or_register()
        except RegistrarError:
            await super()._serve_or_register()


@ESRD_CLIENTS.function(esrd_client, "until_lost", "ESRD-FO-1", found_by=(f"{C}.link_ends[close]",))
async def registers_again_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Waits more than a second before it registers again."""
    await until_lost(reader, writer)
    await asyncio.sleep(1.2)


@ESRD_CLIENTS.function(
    esrd_client, "until_lost", "ESRD-FO-1", found_by=(f"{C}.link_ends[end_writing]", f"{C}.registrar_is_away")
)
async def never_registers_again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Does not register again when its registration was lost."""
    await until_lost(reader, writer)
    await asyncio.sleep(FOREVER)


@ESRD_CLIENTS.fault("ESRD-FO-1", found_by=(f"{C}.every_second",))
class StopsAfterRefusal(EsrdRegistrar):
    """Stops trying when a repeated registration is refused."""

    async def _serve_or_register(self) -> None:
        try:
            await super()._serve_or_register()
        except RegistrarError:
            if self._keeper is not None:
                await asyncio.sleep(FOREVER)
            raise


ESRD_CLIENTS.add(
    "registers_again_every_50_ms",
    "Registers again every 50 ms, not every second.",
    NameFault((esrd_client,), "esrd", with_constants(esrd, RETRY=0.05)),
    "ESRD-FO-1",
    found_by=(f"{C}.every_second",),
)
ESRD_CLIENTS.add(
    "waits_for_reply_without_limit",
    "Waits for the reply to its registration without a time limit.",
    NameFault((esrd_client,), "esrd", with_constants(esrd, REGISTER_TIMEOUT=FOREVER)),
    "ESRD-CL-2",
    found_by=(f"{C}.silence",),
)


@ESRD_CLIENTS.function(esrd_client, "until_lost", "ESRD-CL-14", found_by=(f"{C}.lease",))
async def writes_after_registration(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends bytes on a registered socket."""
    writer.write(b"still there?")
    await until_lost(reader, writer)


@ESRD_CLIENTS.function(esrd_client, "until_lost", "ROB-ESRD-7", found_by=(f"{C}.junk_on_a_lease",))
async def crashes_on_bytes_after_registration(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Crashes when bytes arrive on a registered socket."""
    if await reader.read(1):
        crash()
    await until_lost(reader, writer)


@ESRD_CLIENTS.fault("ESRD-CL-6", found_by=(f"{C}.hidden",))
class RegistersHiddenNode(EsrdRegistrar):
    """Registers a hidden node."""

    async def register(self, node: NodeRegistration, routes: Sequence[Route]) -> None:
        await super().register(node._replace(hidden=False), routes)


@ESRD_CLIENTS.fault("ESRD-FO-3", found_by=(f"{C}.takes_over",), needs_tcp=True)
class NeverBecomesServer(EsrdRegistrar):
    """Does not become the server when the server has stopped."""

    async def _serve(self) -> bool:
        return self._keeper is None and await super()._serve()


# --- resolve requests -------------------------------------------------------------------------------------------------


@ESRD_CLIENTS.function(esrd_client, "_exchange", "ESRD-CL-8", found_by=(f"{R}.one_request",))
async def repeats_resolve_request(host: str, port: int, request: bytes) -> bytes:
    """Repeats a resolve request after a second without a reply."""
    try:
        async with asyncio.timeout(1):
            return await _exchange(host, port, request)
    except TimeoutError:
        return await _exchange(host, port, request)


@ESRD_CLIENTS.function(esrd_client, "ask", "ESRD-CL-9", found_by=(f"{R}.first_datagram",))
async def skips_malformed_replies(host: str, port: int, name: Atom) -> ResolveReply:
    """Repeats a resolve request until a reply is well-formed."""
    while True:
        try:
            return await ask(host, port, name)
        except RegistrarError as error:
            if str(error) != "malformed value":
                raise


@ESRD_CLIENTS.function(esrd_client, "ask", "ESRD-CL-10", found_by=(f"{R}.error",))
async def error_of_reply_ignored(host: str, port: int, name: Atom) -> ResolveReply:
    """Ignores the error of a resolve reply."""
    return (await ask(host, port, name))._replace(Error=None)


@ESRD_CLIENTS.fault("ESRD-CL-11", found_by=(f"{R}.no_name",))
class ResolvesNamesWithoutHost(EsrdRegistrar):
    """Resolves names without a host."""

    async def resolve(self, name: Atom) -> list[Route]:
        return list((await ask("127.0.0.1", self.port, name)).Routes or ())


@ESRD_CLIENTS.fault("ESRD-PL-5", found_by=(f"{R}.order_of_routes",))
class LastRouteFirst(EsrdRegistrar):
    """Dials the last route first."""

    async def resolve(self, name: Atom) -> list[Route]:
        return list(reversed((await ask("127.0.0.1", self.port, name)).Routes or ()))


@ESRD_CLIENTS.function(
    route_resolution, "resolved", "ESRD-PL-6", "SAT-RS-7", found_by=(f"{R}.tls_route", f"{A}.tls_route")
)
def dials_without_tls(route: NetworkRoute, found: Route) -> NetworkRoute:
    """Dials a TLS route without TLS."""
    return replace(resolved(route, found), tls=False)


@ESRD_CLIENTS.fault("ESRD-PL-3", found_by=(f"{R}.unusable_routes", f"{R}.no_usable_route", f"{A}.routes"))
class ForeignStackAccepted(RouteResolver):
    """Uses its own stack for routes that name another one."""

    @staticmethod
    def _find(known: Sequence[StackPart], version: Version) -> StackPart | None:
        return known[0]
