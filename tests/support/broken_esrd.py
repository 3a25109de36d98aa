"""A registrar with one fault, as a target of its own: `python broken_esrd.py FAULT`."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any
from unittest import mock

from ergo_conformance.errors import Rejected
from ergo_conformance.model.ergo import esrd
from ergo_conformance.model.ergo.ehs import Version
from ergo_conformance.model.ergo.esrd import RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes, Route
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.reference_node.ergo import esrd as packets
from ergo_conformance.reference_node.ergo.edf import Decoder
from ergo_conformance.reference_node.ergo.esrd import EsrdNameTable, EsrdServerSession, EsrdSessionState
from ergo_conformance.reference_node.registrars.esrd_server import EsrdServer, EsrdServerSocket
from ergo_conformance.reference_node.registrars.udp import WildcardSocket

register, resolve, answer, unregister = (
    EsrdNameTable.register,
    EsrdNameTable.resolve,
    EsrdNameTable.answer,
    EsrdNameTable.unregister,
)
receive, made, data_received, end_of_data = (
    EsrdServerSession.receive, EsrdServerSocket.connection_made, EsrdServerSocket.data_received, EsrdServerSocket.eof_received,
)  # fmt: skip
lost = EsrdServerSocket.connection_lost
ZEROS = bytes(esrd.MAX_REGISTER)


def decode(packet: bytes) -> object:
    """The value in a packet, whatever stands behind it. Raises Rejected."""
    return Decoder(packets._TYPES).decode_prefix(packet, esrd.HEADER_LENGTH)[0]


# --- names and routes -------------------------------------------------------------------------------------------------


def keeps_names(self: EsrdNameTable, name: Atom) -> None:
    """A lease outlives its link."""


def takes_names_over(self: EsrdNameTable, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
    unregister(self, name)
    return register(self, name, routes)


def routes_before_name(self: EsrdNameTable, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
    return RegisterReply(Error("incorrect value or argument")) if not routes else register(self, name, routes)


def no_routes_will_do(self: EsrdNameTable, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
    return register(self, name, routes or [Route("", 0, False, *[Version()] * 2)])


def other_words(self: EsrdNameTable, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
    reply = register(self, name, routes)
    return reply if reply.Error is None else RegisterReply(Error(f"refused: {reply.Error.text}"))


def a_few_leases(self: EsrdNameTable, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
    few = 20
    return RegisterReply(None) if len(self._routes) >= few else register(self, name, routes)


def names_once(self: EsrdNameTable, name: Atom, routes: Sequence[Route] | None) -> RegisterReply:
    """A name that was given back stays taken."""
    used: list[Atom] = self.__dict__.setdefault("used", [])
    if name in used and name not in self:
        return RegisterReply(Error("resource is taken"))
    used.append(name)
    return register(self, name, routes)


def routes_backwards(self: EsrdNameTable, name: Atom) -> ResolveReply:
    reply = resolve(self, name)
    return reply._replace(Routes=reply.Routes[::-1] if reply.Routes else reply.Routes)


def without_hosts(self: EsrdNameTable, name: Atom) -> ResolveReply:
    reply = resolve(self, name)
    return reply._replace(Routes=[route._replace(Host="") for route in reply.Routes] if reply.Routes else None)


def unknown_is_empty(self: EsrdNameTable, name: Atom) -> ResolveReply:
    reply = resolve(self, name)
    return reply if reply.Error is None else ResolveReply([], reply.Error)


def unknown_is_no_error(self: EsrdNameTable, name: Atom) -> ResolveReply:
    return resolve(self, name)._replace(Error=None)


# --- a link -----------------------------------------------------------------------------------------------------------


def refused_link_stays(self: EsrdServerSocket) -> None:
    """Says no and leaves it at that."""


def half_closed_is_open(self: EsrdServerSocket) -> bool:
    return True


def reset_is_nothing(self: EsrdServerSocket, exc: Exception | None) -> None:
    """A lease outlives a link that was reset."""
    if exc is None:
        lost(self, exc)


def no_deadline(self: EsrdServerSocket, transport: asyncio.BaseTransport) -> None:
    made(self, transport)
    assert self.timer
    self.timer.cancel()


def lease_of_a_second(self: EsrdServerSocket, data: bytes) -> None:
    data_received(self, data)
    self.timer = asyncio.get_running_loop().call_later(esrd.REGISTER_TIMEOUT, self.close)


def says_more(self: EsrdServerSocket, data: bytes) -> None:
    data_received(self, data)
    if self.registration.state is EsrdSessionState.REGISTERED and self.transport:
        asyncio.get_running_loop().call_later(0.3, self.transport.write, packets.write(RegisterReply(None)))


def second_request_counts(self: EsrdServerSession, data: bytes) -> bytes:
    if self.state is EsrdSessionState.REGISTERED:
        self.end()
        self.state = EsrdSessionState.WAITING
    return receive(self, data)


def junk_ends_a_lease(self: EsrdServerSession, data: bytes) -> bytes:
    """Junk on a lease ends it."""
    if self.state is EsrdSessionState.REGISTERED:
        self.end()
        return b""
    return receive(self, data)


def excuses_itself(self: EsrdServerSession, data: bytes) -> bytes:
    """Answers what is malformed."""
    said = receive(self, data)
    malformed = self.state is EsrdSessionState.CLOSED and not said
    return packets.write(RegisterReply(Error("malformed value"))) if malformed else said


def zeros_for_the_end(self: EsrdServerSession, data: bytes) -> bytes:
    """As upstream (ESRD-BUG-2)."""
    value = None
    with contextlib.suppress(Rejected):
        if self.state is EsrdSessionState.WAITING and packets.check_header(data) == len(data):
            value = decode(data + ZEROS)
    return self._register(value) if isinstance(value, RegisterRoutes) else receive(self, data)


def any_type(self: EsrdServerSession, data: bytes) -> bytes:
    """Looks at the value alone."""
    return receive(self, data[:1] + bytes([esrd.PacketType.REGISTER]) + data[2:])


def resolves_over_tcp(self: EsrdServerSession, data: bytes) -> bytes:
    return answer(self.table, data) or receive(self, data)


def one_for_all(self: EsrdServerSession, data: bytes) -> bytes:
    """A malformed request costs everybody the name."""
    said = receive(self, data)
    if self.state is EsrdSessionState.CLOSED and not said:
        self.table._routes.clear()
    return said


def ends_with_a_wrong_version(self: EsrdServerSession, data: bytes) -> bytes:
    if data[:1] not in {b"", b"\1"}:
        os._exit(3)
    return receive(self, data)


def one_at_a_time(self: EsrdServerSocket, transport: asyncio.BaseTransport) -> None:
    """Who comes later waits until all others have registered or gone."""
    made(self, transport)
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()

    async def turn() -> None:
        while any(link.registration.state is EsrdSessionState.WAITING for link in before & self.sockets):
            await asyncio.sleep(0.05)
        transport.resume_reading()

    before = self.sockets - {self}
    self.waiting = asyncio.create_task(turn())  # type: ignore[attr-defined]


# --- datagrams --------------------------------------------------------------------------------------------------------


def stale_buffer(self: EsrdNameTable, datagram: bytes) -> bytes | None:
    """As upstream (ESRD-BUG-1): behind a datagram stand the bytes of the last longer one."""
    before: bytes = getattr(self, "buffer", b"")
    self.buffer = buffer = datagram + before[len(datagram) :]  # type: ignore[attr-defined]
    value = None
    with contextlib.suppress(Rejected):
        if packets.check_header(datagram) == len(datagram):
            value = decode(buffer)
    return packets.write(self.resolve(value.Node)) if isinstance(value, ResolveRoutes) else answer(self, datagram)


def registers_over_udp(self: EsrdNameTable, datagram: bytes) -> bytes | None:
    try:
        message = packets.read(datagram)
    except Rejected:
        message = None
    return EsrdServerSession(self).receive(datagram) if isinstance(message, RegisterRoutes) else answer(self, datagram)


def answers_junk(self: EsrdNameTable, datagram: bytes) -> bytes | None:
    return answer(self, datagram) or packets.write(ResolveReply(None, Error("malformed value")))


def answers_replies(self: EsrdNameTable, datagram: bytes) -> bytes | None:
    is_reply = datagram[1:2] == bytes([esrd.PacketType.RESOLVE_REPLY])
    return packets.write(self.resolve(Atom(""))) if is_reply else answer(self, datagram)


def drops_what_comes_fast(self: EsrdNameTable, datagram: bytes) -> bytes | None:
    now = asyncio.get_running_loop().time()
    soon, self.at = now - getattr(self, "at", 0.0) < 0.01, now  # type: ignore[attr-defined]
    return None if soon else answer(self, datagram)


def answers_once(self: EsrdNameTable, datagram: bytes) -> bytes | None:
    """Each question."""
    asked: set[bytes] = self.__dict__.setdefault("asked", set())
    again = datagram in asked
    asked.add(datagram)
    return None if again else answer(self, datagram)


def from_where_it_likes(self: WildcardSocket, data: bytes, origin: tuple[Any, Any]) -> None:
    """As upstream (ESRD-TR-6)."""
    self.socket.sendmsg([data], [], 0, origin[1])


def writes_ids(message: esrd.Message) -> bytes:
    """Errors by id, as on an established link (ESRD-PL-4)."""
    data = write(message)
    if isinstance(message, ResolveReply) and message.Error is not None:
        data = data[: -2 - len(message.Error.text)] + b"\x80\x05"
        data = data[:2] + (len(data) - esrd.HEADER_LENGTH).to_bytes(2, "big") + data[4:]
    return data


write = packets.write


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "none": (ResolveRoutes, "__doc__", ResolveRoutes.__doc__),
    "keeps_names": (EsrdNameTable, "unregister", keeps_names),
    "takes_names_over": (EsrdNameTable, "register", takes_names_over),
    "routes_before_name": (EsrdNameTable, "register", routes_before_name),
    "no_routes_will_do": (EsrdNameTable, "register", no_routes_will_do),
    "other_words": (EsrdNameTable, "register", other_words),
    "a_few_leases": (EsrdNameTable, "register", a_few_leases),
    "names_once": (EsrdNameTable, "register", names_once),
    "routes_backwards": (EsrdNameTable, "resolve", routes_backwards),
    "without_hosts": (EsrdNameTable, "resolve", without_hosts),
    "unknown_is_empty": (EsrdNameTable, "resolve", unknown_is_empty),
    "unknown_is_no_error": (EsrdNameTable, "resolve", unknown_is_no_error),
    "refused_link_stays": (EsrdServerSocket, "close", refused_link_stays),
    "half_closed_is_open": (EsrdServerSocket, "eof_received", half_closed_is_open),
    "reset_is_nothing": (EsrdServerSocket, "connection_lost", reset_is_nothing),
    "no_deadline": (EsrdServerSocket, "connection_made", no_deadline),
    "lease_of_a_second": (EsrdServerSocket, "data_received", lease_of_a_second),
    "says_more": (EsrdServerSocket, "data_received", says_more),
    "second_request_counts": (EsrdServerSession, "receive", second_request_counts),
    "junk_ends_a_lease": (EsrdServerSession, "receive", junk_ends_a_lease),
    "excuses_itself": (EsrdServerSession, "receive", excuses_itself),
    "zeros_for_the_end": (EsrdServerSession, "receive", zeros_for_the_end),
    "any_type": (EsrdServerSession, "receive", any_type),
    "resolves_over_tcp": (EsrdServerSession, "receive", resolves_over_tcp),
    "one_for_all": (EsrdServerSession, "receive", one_for_all),
    "ends_with_a_wrong_version": (EsrdServerSession, "receive", ends_with_a_wrong_version),
    "one_at_a_time": (EsrdServerSocket, "connection_made", one_at_a_time),
    "stale_buffer": (EsrdNameTable, "answer", stale_buffer),
    "registers_over_udp": (EsrdNameTable, "answer", registers_over_udp),
    "answers_junk": (EsrdNameTable, "answer", answers_junk),
    "answers_replies": (EsrdNameTable, "answer", answers_replies),
    "drops_what_comes_fast": (EsrdNameTable, "answer", drops_what_comes_fast),
    "answers_once": (EsrdNameTable, "answer", answers_once),
    "from_where_it_likes": (WildcardSocket, "answer", from_where_it_likes),
    "writes_ids": (packets, "write", writes_ids),
}


async def serve() -> None:
    """A registrar, until SIGTERM."""
    server = EsrdServer(port=0)
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    ready = {"name": "", "host": "127.0.0.1", "registrar_port": server.port, "offers": ["registrar"], "config": {}}
    print("READY", json.dumps(ready), flush=True)  # noqa: T201  the target's line
    await stop.wait()
    await server.stop()


if __name__ == "__main__":
    with mock.patch.object(*FAULTS[sys.argv[1]]):
        asyncio.run(serve())
