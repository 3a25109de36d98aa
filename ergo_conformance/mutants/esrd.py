"""Faults in the server of the embedded registrar: its sockets and the requests on them."""

import asyncio
import contextlib

from ..errors import Rejected
from ..model.ergo import esrd
from ..model.ergo.esrd import RegisterReply, RegisterRoutes
from ..model.values import Error
from ..reference_node.ergo.edf import Decoder
from ..reference_node.ergo.esrd import _TYPES, EsrdServerSession, EsrdSessionState, check_header, write
from ..reference_node.registrars.esrd_server import EsrdServerSocket
from ..reference_node.registrars.server_socket import RegistrarServerSocket
from .crash import crash
from .mutant import Area

ESRD = Area("esrd")
REGISTER, MALFORMED = "registrar.register", "registrar.malformed"
REQUEST = f"{MALFORMED}.request"


def decode(packet: bytes) -> object:
    """Returns the value in a packet; ignores later bytes. Raises Rejected."""
    return Decoder(_TYPES).decode_prefix(packet, esrd.HEADER_LENGTH)[0]


# --- sockets of registrations -----------------------------------------------------------------------------------------


@ESRD.fault(
    "ESRD-REG-3",
    "ESRD-REG-11",
    found_by=(
        *(f"{REGISTER}.taken[*]", f"{REQUEST}[*]"),
        *(f"{MALFORMED}.wrong_packet_over_tcp[*]", f"{MALFORMED}.value_of_another_type[*]"),
    ),
)
class RefusedSocketKept(EsrdServerSocket):
    """Does not close a socket whose request it has refused."""

    def close(self) -> None:
        """Keeps the socket."""


@ESRD.fault("ESRD-REG-6", found_by=(f"{REGISTER}.end_of_a_lease[half_closed]",))
class RegistrationKeptAfterHalfClose(EsrdServerSocket):
    """Keeps a registration whose client has closed its side of the socket."""

    def eof_received(self) -> bool:
        return True


@ESRD.fault("ESRD-REG-6", found_by=(f"{REGISTER}.end_of_a_lease[reset]",))
class RegistrationKeptAfterReset(EsrdServerSocket):
    """Keeps a registration whose socket was reset."""

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            super().connection_lost(exc)


@ESRD.fault("ESRD-REG-1", found_by=(f"{REGISTER}.silence", f"{REGISTER}.half_a_request"))
class EsrdNoDeadline(EsrdServerSocket):
    """Waits for a request without a time limit."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.timer
        self.timer.cancel()


@ESRD.fault("ESRD-REG-2", "ESRD-TR-3", found_by=(f"{REGISTER}.register", f"{REGISTER}.nothing_more_is_said"))
class RegistrationEndsAfterASecond(EsrdServerSocket):
    """Ends a registration when the time limit of a request has passed."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.timer = asyncio.get_running_loop().call_later(esrd.REGISTER_TIMEOUT, self.close)


@ESRD.fault("ESRD-REG-9", found_by=(f"{REGISTER}.nothing_more_is_said",))
class SecondReplySent(EsrdServerSocket):
    """Sends a second reply to a registration."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.registration.state is EsrdSessionState.REGISTERED and self.transport:
            asyncio.get_running_loop().call_later(0.3, self.transport.write, write(RegisterReply(None)))


@ESRD.fault("ROB-ESRD-4", found_by=(f"{REGISTER}.mute_clients",))
class ClientsServedInTurn(EsrdServerSocket):
    """Does not read from a socket before all earlier ones are registered or closed."""

    _turn: "asyncio.Task[None] | None" = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        earlier = set(self.sockets)
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self._turn = asyncio.create_task(self._wait_for(earlier, transport))

    async def _wait_for(self, earlier: set[RegistrarServerSocket], transport: asyncio.Transport) -> None:
        while any(not socket.is_registered for socket in earlier & self.sockets):
            await asyncio.sleep(0.05)
        transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._turn is not None:
            self._turn.cancel()


# --- requests ---------------------------------------------------------------------------------------------------------


@ESRD.fault("ESRD-REG-7", found_by=(f"{REGISTER}.second_request",))
class SecondRequestHandled(EsrdServerSession):
    """Handles a second request on a registered socket."""

    def receive(self, data: bytes) -> bytes:
        if self.state is EsrdSessionState.REGISTERED:
            self.end()
            self.state = EsrdSessionState.WAITING
        return super().receive(data)


@ESRD.fault(
    "ESRD-REG-7", found_by=tuple(f"{REGISTER}.junk_on_a_registered_link[{junk}]" for junk in ("zero", "text", "header"))
)
class RegistrationEndsOnFurtherBytes(EsrdServerSession):
    """Ends a registration when further bytes arrive."""

    def receive(self, data: bytes) -> bytes:
        if self.state is EsrdSessionState.REGISTERED:
            self.end()
            return b""
        return super().receive(data)


@ESRD.fault(
    "ESRD-REG-11", found_by=(f"{REQUEST}[version]", f"{REQUEST}[text]", f"{MALFORMED}.value_of_another_type[register]")
)
class MalformedRequestAnswered(EsrdServerSession):
    """Replies with an error to a malformed request."""

    def receive(self, data: bytes) -> bytes:
        reply = super().receive(data)
        malformed = self.state is EsrdSessionState.CLOSED and not reply
        return write(RegisterReply(Error("malformed value"))) if malformed else reply


@ESRD.fault("ESRD-REG-11", found_by=(f"{REQUEST}[cut_routes_0_host]", f"{REQUEST}[count_of_routes]"))
class TruncatedRequestReadAsZeros(EsrdServerSession):
    """Decodes beyond the end of a request, as upstream does (ESRD-BUG-2)."""

    def receive(self, data: bytes) -> bytes:
        value = None
        with contextlib.suppress(Rejected):
            if self.state is EsrdSessionState.WAITING and check_header(data) == len(data):
                value = decode(data + bytes(esrd.MAX_REGISTER))
        return self._register(value) if isinstance(value, RegisterRoutes) else super().receive(data)


@ESRD.fault("ESRD-FR-4", found_by=(f"{REQUEST}[type]", f"{MALFORMED}.value_of_another_type[resolve]"))
class PacketTypeIgnored(EsrdServerSession):
    """Ignores the packet type of a request."""

    def receive(self, data: bytes) -> bytes:
        return super().receive(data[:1] + bytes([esrd.PacketType.REGISTER]) + data[2:])


@ESRD.fault("ESRD-FR-2", found_by=(f"{MALFORMED}.wrong_packet_over_tcp[resolve]",))
class ResolvesOverTcp(EsrdServerSession):
    """Answers resolve requests over TCP."""

    def receive(self, data: bytes) -> bytes:
        return self.table.answer(data) or super().receive(data)


@ESRD.fault("ROB-ESRD-6", found_by=(f"{REQUEST}[version]",))
class MalformedRequestEndsAllRegistrations(EsrdServerSession):
    """Removes all registrations when a request is malformed."""

    def receive(self, data: bytes) -> bytes:
        reply = super().receive(data)
        if self.state is EsrdSessionState.CLOSED and not reply:
            self.table._routes.clear()
        return reply


@ESRD.fault("ROB-ESRD-1", found_by=(f"{REQUEST}[version]",))
class CrashesOnWrongVersion(EsrdServerSession):
    """Crashes on a wrong version."""

    def receive(self, data: bytes) -> bytes:
        if data[:1] not in {b"", b"\1"}:
            crash()
        return super().receive(data)
