"""Faults in the server of the embedded registrar: its names and routes, and its answers to resolve requests."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from ..errors import Rejected
from ..model.ergo import esrd
from ..model.ergo.ehs import Version
from ..model.ergo.esrd import RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes, Route
from ..model.values import Atom, Error
from ..reference_node.ergo import esrd as packets
from ..reference_node.ergo.esrd import EsrdNameTable, EsrdServerSession, check_header, read, write
from ..reference_node.registrars.udp import WildcardSocket
from .esrd import decode
from .mutant import Area

ESRD_NAMES = Area("esrd_names")
REGISTER, RESOLVE, MALFORMED = "registrar.register", "registrar.resolve", "registrar.malformed"
QUESTION = f"{MALFORMED}.resolve"
LEASES = 20

# --- names and routes -------------------------------------------------------------------------------------------------


@ESRD_NAMES.fault(
    "ESRD-REG-6", found_by=tuple(f"{REGISTER}.end_of_a_lease[{how}]" for how in ("closed", "half_closed", "reset"))
)
class EsrdKeepsNames(EsrdNameTable):
    """Keeps a name after its registration has ended."""

    def unregister(self, name: Atom) -> None:
        """Removes nothing."""


@ESRD_NAMES.fault("ESRD-REG-3", found_by=(f"{REGISTER}.taken[one]",))
class EsrdReassignsNames(EsrdNameTable):
    """Gives a registered name to another node that requests it."""

    def register(self, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
        self.unregister(name)
        return super().register(name, routes)


@ESRD_NAMES.fault("ESRD-REG-3", found_by=(f"{REGISTER}.taken[nil]", f"{REGISTER}.taken[empty]"))
class RoutesCheckedBeforeName(EsrdNameTable):
    """Checks the routes before it checks whether the name is taken."""

    def register(self, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
        return RegisterReply(Error("incorrect value or argument")) if not routes else super().register(name, routes)


@ESRD_NAMES.fault("ESRD-REG-4", found_by=(f"{REGISTER}.no_routes[nil]", f"{REGISTER}.no_routes[empty]"))
class RegistersWithoutRoutes(EsrdNameTable):
    """Registers a node without routes."""

    def register(self, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
        return super().register(name, routes or [Route("", 0, False, *[Version()] * 2)])


@ESRD_NAMES.fault("ESRD-REG-3", "ESRD-REG-4", found_by=(f"{REGISTER}.taken[one]", f"{REGISTER}.no_routes[nil]"))
class EsrdWrongErrorText(EsrdNameTable):
    """Refuses with other error texts."""

    def register(self, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
        reply = super().register(name, routes)
        return reply if reply.Error is None else RegisterReply(Error(f"refused: {reply.Error.text}"))


@ESRD_NAMES.fault("ESRD-REG-2", "ROB-ESRD-4", found_by=(f"{REGISTER}.many_leases",), subtle=True)
class RegistrationsLimited(EsrdNameTable):
    """Does not store registrations beyond 20, and answers them without an error."""

    def register(self, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
        return RegisterReply(None) if len(self._routes) >= LEASES else super().register(name, routes)


@ESRD_NAMES.fault("ESRD-REG-6", "ROB-ESRD-3", found_by=(f"{REGISTER}.again_and_again",), subtle=True)
class FormerNamesRefused(EsrdNameTable):
    """Refuses a name that was registered before."""

    def __init__(self) -> None:
        super().__init__()
        self._used: set[Atom] = set()

    def register(self, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
        if name in self._used and name not in self:
            return RegisterReply(Error("resource is taken"))
        self._used.add(name)
        return super().register(name, routes)


@ESRD_NAMES.fault("ESRD-PL-2", found_by=(f"{REGISTER}.routes_come_back[3_routes]",))
class RoutesReversed(EsrdNameTable):
    """Resolves to the routes in reverse order."""

    def resolve(self, name: Atom) -> ResolveReply:
        reply = super().resolve(name)
        return reply._replace(Routes=reply.Routes[::-1] if reply.Routes else reply.Routes)


@ESRD_NAMES.fault("ESRD-RES-1", found_by=(f"{REGISTER}.routes_come_back[3_routes]",))
class RoutesWithoutHosts(EsrdNameTable):
    """Resolves to routes without their hosts."""

    def resolve(self, name: Atom) -> ResolveReply:
        reply = super().resolve(name)
        return reply._replace(Routes=[route._replace(Host="") for route in reply.Routes] if reply.Routes else None)


@ESRD_NAMES.fault("ESRD-RES-1", found_by=(f"{RESOLVE}.unknown[*]",))
class UnknownNameWithEmptyRoutes(EsrdNameTable):
    """Resolves an unknown name to an empty list of routes beside the error."""

    def resolve(self, name: Atom) -> ResolveReply:
        reply = super().resolve(name)
        return reply if reply.Error is None else ResolveReply([], reply.Error)


@ESRD_NAMES.fault("ESRD-RES-1", found_by=(f"{RESOLVE}.unknown[nobody@localhost]", f"{RESOLVE}.many_at_once"))
class UnknownNameWithoutError(EsrdNameTable):
    """Resolves an unknown name without an error."""

    def resolve(self, name: Atom) -> ResolveReply:
        return super().resolve(name)._replace(Error=None)


# --- datagrams --------------------------------------------------------------------------------------------------------


@ESRD_NAMES.fault("ESRD-RES-2", found_by=(f"{QUESTION}[cut_type]", f"{QUESTION}[cut_node]"))
class StaleBuffer(EsrdNameTable):
    """Reads the bytes of the last longer datagram behind a datagram, as upstream does (ESRD-BUG-1)."""

    _buffer = b""

    def answer(self, datagram: bytes) -> bytes | None:
        self._buffer = datagram + self._buffer[len(datagram) :]
        value = None
        with contextlib.suppress(Rejected):
            if check_header(datagram) == len(datagram):
                value = decode(self._buffer)
        return write(self.resolve(value.Node)) if isinstance(value, ResolveRoutes) else super().answer(datagram)


@ESRD_NAMES.fault("ESRD-FR-2", found_by=(f"{MALFORMED}.wrong_packet_over_udp[register]",))
class RegistersOverUdp(EsrdNameTable):
    """Handles registrations over UDP."""

    def answer(self, datagram: bytes) -> bytes | None:
        message = None
        with contextlib.suppress(Rejected):
            message = read(datagram)
        return (
            EsrdServerSession(self).receive(datagram)
            if isinstance(message, RegisterRoutes)
            else super().answer(datagram)
        )


@ESRD_NAMES.fault(
    "ESRD-RES-2", found_by=(f"{QUESTION}[*]", f"{RESOLVE}.junk[*]", f"{MALFORMED}.wrong_packet_over_udp[*]")
)
class MalformedDatagramAnswered(EsrdNameTable):
    """Replies with an error to a malformed datagram."""

    def answer(self, datagram: bytes) -> bytes | None:
        return super().answer(datagram) or write(ResolveReply(None, Error("malformed value")))


@ESRD_NAMES.fault("ESRD-FR-2", found_by=(f"{MALFORMED}.wrong_packet_over_udp[resolve_reply]",))
class AnswersReplies(EsrdNameTable):
    """Replies to a resolve reply."""

    def answer(self, datagram: bytes) -> bytes | None:
        is_reply = datagram[1:2] == bytes([esrd.PacketType.RESOLVE_REPLY])
        return write(self.resolve(Atom(""))) if is_reply else super().answer(datagram)


@ESRD_NAMES.fault("ESRD-RES-1", found_by=(f"{RESOLVE}.many_at_once",))
class DropsDatagramsOfABurst(EsrdNameTable):
    """Drops a datagram that arrives within 10 ms of the previous one."""

    _at = 0.0

    def answer(self, datagram: bytes) -> bytes | None:
        now = asyncio.get_running_loop().time()
        soon, self._at = now - self._at < 0.01, now
        return None if soon else super().answer(datagram)


@ESRD_NAMES.fault("ESRD-RES-1", found_by=(f"{RESOLVE}.known",), subtle=True)
class AnswersEachRequestOnce(EsrdNameTable):
    """Answers each resolve request only once."""

    def __init__(self) -> None:
        super().__init__()
        self._answered: set[bytes] = set()

    def answer(self, datagram: bytes) -> bytes | None:
        again = datagram in self._answered
        self._answered.add(datagram)
        return None if again else super().answer(datagram)


@ESRD_NAMES.fault("ESRD-TR-5", found_by=(f"{RESOLVE}.from_the_address_that_was_asked",), needs_tcp=True)
class RepliesFromAnyAddress(WildcardSocket):
    """Replies from the address that the kernel chooses, as upstream does (ESRD-TR-6)."""

    def answer(self, data: bytes, origin: tuple[Any, Any]) -> None:
        self.socket.sendmsg([data], [], 0, origin[1])


@ESRD_NAMES.function(packets, "write", "ESRD-PL-4", "ESRD-RES-1", found_by=(f"{RESOLVE}.unknown[nobody@localhost]",))
def writes_error_ids(message: esrd.Message) -> bytes:
    """Writes errors as cache ids, as on an established connection."""
    data = write(message)
    if isinstance(message, ResolveReply) and message.Error is not None:
        data = data[: -2 - len(message.Error.text)] + b"\x80\x05"
        data = data[:2] + (len(data) - esrd.HEADER_LENGTH).to_bytes(2, "big") + data[4:]
    return data
