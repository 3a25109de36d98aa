"""Faults of a node as a client of the central registrar Saturn."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256

from ..model.ergo import saturn
from ..model.ergo.saturn import ApplicationRoute, Message
from ..reference_node.api.applications import ApplicationState
from ..reference_node.api.errors import RegistrarError
from ..reference_node.ergo import saturn as codec
from ..reference_node.ergo.saturn import (
    SaturnClientSession,
    SaturnClientState,
    SaturnPacketReader,
    check_header,
    read,
    write,
)
from ..reference_node.registrars import saturn_client
from ..reference_node.registrars.saturn_client import Connect, SaturnOptions, SaturnRegistrar
from .crash import crash
from .faults import NameFault, with_constants
from .mutant import Area

SATURN_CLIENTS = Area("saturn_clients")
S, A = "registrar.saturn_client", "registrar.saturn_asking"
FOREVER = 3600.0
"""Seconds: longer than any case."""

# --- registrations ----------------------------------------------------------------------------------------------------


@SATURN_CLIENTS.function(codec, "is_proof", "SAT-HS-2", found_by=(f"{S}.wrong_proof[*]", f"{S}.another_server"))
def any_proof_accepted(given: str, first: str, token: str) -> bool:
    """Accepts any proof of the server."""
    return True


@SATURN_CLIENTS.function(codec, "proof", "SAT-HS-1", found_by=(f"{S}.proof",))
def token_and_salt_swapped(first: str, token: str) -> str:
    """Joins token and salt in the wrong order."""
    return sha256(f"{token}:{first}".encode()).hexdigest()


@SATURN_CLIENTS.fault("SAT-RG-9", found_by=(f"{S}.proof", f"{S}.register[*]"))
class RegistersBeforeProof(SaturnClientSession):
    """Sends its registration before the server has proved the token."""

    def start(self, salt: str) -> bytes:
        return super().start(salt) + self.register(saturn.AnnouncedRoutes())


@SATURN_CLIENTS.fault("SAT-RG-9", found_by=(f"{S}.register[cluster]",))
class RegistersWithoutCluster(SaturnClientSession):
    """Registers without its cluster."""

    def register(self, routes: saturn.AnnouncedRoutes) -> bytes:
        return write(saturn.Register("", self.hidden, self.view.name, routes))


@SATURN_CLIENTS.fault("SAT-RG-8", "SAT-RC-1", found_by=(f"{S}.refused[*]",))
class RefusalIgnored(SaturnClientSession):
    """Ignores the error of its registration."""

    def _accept(self, message: Message) -> bool:
        if isinstance(message, saturn.RegisterResult):
            message = message._replace(Error=None)
        return super()._accept(message)


@SATURN_CLIENTS.fault("SAT-HS-2", found_by=(f"{S}.no_proof[*]",))
class ResultWithoutProof(SaturnRegistrar):
    """Accepts the result of its registration without a proof of the server."""

    async def _until(self, reader: asyncio.StreamReader, client: SaturnClientSession, wanted: type) -> None:
        if client.state is not SaturnClientState.REGISTERED:
            client.state = SaturnClientState.AWAIT_RESULT
            await super()._until(reader, client, saturn.RegisterResult)


@SATURN_CLIENTS.fault("SAT-TR-3", found_by=(f"{S}.certificate[unknown_signer]",))
class CertificateUnchecked(SaturnRegistrar):
    """Accepts any certificate of the server."""

    def __init__(self, options: SaturnOptions, *, connect: Connect | None = None) -> None:
        super().__init__(replace(options, skip_verify=True), connect=connect)


SATURN_CLIENTS.add(
    "redials_late",
    "Waits longer than a second before it registers again.",
    NameFault((saturn_client,), "saturn", with_constants(saturn, REDIAL=(1.2, 2.0))),
    "SAT-RC-1",
    found_by=(f"{S}.lost[closed]",),
)
SATURN_CLIENTS.add(
    "redials_at_once",
    "Registers again without delays.",
    NameFault((saturn_client,), "saturn", with_constants(saturn, REDIAL=(0.0,))),
    "SAT-RC-1",
    found_by=(f"{S}.pauses",),
)


@SATURN_CLIENTS.fault("SAT-RC-1", found_by=(f"{S}.lost[reset]", f"{S}.server_is_away"))
class NeverRegistersAgain(SaturnRegistrar):
    """Does not register again when its connection was lost."""

    async def _reconnect(self) -> tuple[asyncio.StreamReader, SaturnClientSession]:
        await asyncio.sleep(FOREVER)
        return await super()._reconnect()


# --- the stream -------------------------------------------------------------------------------------------------------


@SATURN_CLIENTS.fault("ROB-SAT-2", found_by=(f"{A}.answer_in_pieces_and_joined",))
class ClientReadsFirstOfAChunk(SaturnPacketReader):
    """Reads one message per chunk and drops the rest."""

    def feed(self, data: bytes) -> Iterator[Message]:
        self._buffer += data
        received = bytes(self._buffer)
        size = check_header(received)
        if size is not None and len(received) >= size:
            self._buffer.clear()
            yield read(received[:size])


@SATURN_CLIENTS.fault("SAT-FR-2", found_by=(f"{S}.in_pieces",))
class SplitMessagesRefused(SaturnPacketReader):
    """Refuses a message that arrives in pieces."""

    def feed(self, data: bytes) -> Iterator[Message]:
        while data:
            size = check_header(data) or len(data)
            packet, data = data[:size], data[size:]
            yield read(packet)


@SATURN_CLIENTS.fault("ROB-SAT-5", found_by=(f"{S}.garbage",))
class BytesOfOldConnectionKept(SaturnRegistrar):
    """Reads the bytes of its old connection before those of a new one."""

    _last: SaturnClientSession | None = None

    async def _until(self, reader: asyncio.StreamReader, client: SaturnClientSession, wanted: type) -> None:
        if self._last is not None and self._last is not client:
            client._inbox._buffer = self._last._inbox._buffer
        self._last = client
        await super()._until(reader, client, wanted)


@SATURN_CLIENTS.fault("ROB-SAT-5", found_by=(f"{S}.news",))
class ClosesOnApplicationWithoutNode(SaturnClientSession):
    """Closes the connection on an unregistered application without a node."""

    def _accept(self, message: Message) -> bool:
        if isinstance(message, saturn.UnregisterApplicationRoute) and not message.Node:
            raise RegistrarError("the application has no node")
        return super()._accept(message)


# --- requests and applications ----------------------------------------------------------------------------------------


@SATURN_CLIENTS.fault("SAT-RS-3", "SAT-RS-7", found_by=(f"{A}.other_numbers",))
class AnyNumberAccepted(SaturnRegistrar):
    """Accepts any answer as the answer to its last request."""

    def _dispatch(self, messages: Sequence[Message]) -> None:
        super()._dispatch(
            [m._replace(ID=self._last_id) if isinstance(m, saturn.ResolveResult) else m for m in messages]
        )


@SATURN_CLIENTS.fault("SAT-RS-7", found_by=(f"{A}.route",))
class SameNumberInRequests(SaturnRegistrar):
    """Sends all requests with the same number."""

    def _send(self, message: Message) -> bool:
        self._last_id = 0
        return super()._send(message)


SATURN_CLIENTS.add(
    "waits_for_routes_without_limit",
    "Waits for the answer to a resolve request without a time limit.",
    NameFault((saturn_client,), "saturn", with_constants(saturn, RESOLVE_TIMEOUT=FOREVER)),
    "SAT-RS-3",
    found_by=(f"{A}.no_answer",),
)


@SATURN_CLIENTS.fault("ROB-SAT-6", found_by=(f"{A}.asked_while_it_is_down",))
class CrashesWhileDisconnected(SaturnRegistrar):
    """Crashes on a request while it is disconnected, as upstream does (SAT-RC-3)."""

    def _send(self, message: Message) -> bool:
        if self._writer is None:
            crash()
        return super()._send(message)


@SATURN_CLIENTS.fault("SAT-EV-7", found_by=(f"{A}.applications",))
class ApplicationsUnannounced(SaturnRegistrar):
    """Does not announce its applications."""

    def register_application_route(self, route: ApplicationRoute) -> None:
        """Sends nothing."""


@SATURN_CLIENTS.fault("SAT-EV-7", found_by=(f"{A}.applications",))
class StoppingUnannounced(SaturnRegistrar):
    """Does not announce that an application is stopping."""

    def register_application_route(self, route: ApplicationRoute) -> None:
        if route.State != ApplicationState.STOPPING:
            super().register_application_route(route)
