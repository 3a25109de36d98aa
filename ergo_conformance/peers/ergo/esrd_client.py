"""Users of a registrar, scripted: a registration link, and the datagrams of who resolves."""

import asyncio
import contextlib
import random
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, cast

from ...errors import Rejected
from ...model.ergo import ehs, enp
from ...model.ergo.esrd import Message, RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes, Route
from ...model.values import Atom
from ...spec.ergo.esrd import packet_size, read_packet, write_packet
from ..link import Link
from ..transcript import Entry, Transcript
from ..violation import UnreachableError, ViolationError
from .handshake import REPLY
from .talker import Talker

M = TypeVar("M", RegisterReply, ResolveReply)
EHS = ehs.Version(ehs.PROTOCOL, ehs.RELEASE, "", "MIT")
ENP = ehs.Version(enp.PROTOCOL, enp.RELEASE, "", "MIT")


def route(port: int = 11_144, **changes: Any) -> Route:
    """A route as a real node registers it."""
    return Route("", port, False, EHS, ENP)._replace(**changes)


class Registrant(Talker):
    """A node that registers, on one link."""

    def __init__(self, link: Link, rng: random.Random, name: str | None = None) -> None:
        super().__init__(link)
        link.transcript.kind = "packets"
        self.name = Atom(name or f"tester-{rng.randrange(16**8):08x}@localhost")
        self._buffer = b""

    def request(self, **lies: Any) -> RegisterRoutes:
        """A good request; `lies` replace fields."""
        return RegisterRoutes(self.name, [route()])._replace(**lies)

    def send(self, message: Message) -> None:
        self.send_bytes(write_packet(message), repr(message))

    async def reply(self, within: float = REPLY) -> RegisterReply:
        """The registrar's reply. ViolationError if it is none."""
        legal = f"a RegisterReply within {within:g} s"
        deadline = self.link.now() + within
        while (size := packet_size(self._buffer)) is None or len(self._buffer) < size:
            chunk = await self.link.read(deadline - self.link.now())
            if chunk is None:
                self.fail(f"nothing within {within:g} s", legal)
            if chunk == b"":
                self.fail("the link was closed", legal)
            self._buffer += chunk
        return _message(self._buffer[:size], RegisterReply, self._last_sent)

    async def register(self, **lies: Any) -> None:
        """Asks for the name and gets it."""
        self.send(self.request(**lies))
        reply = await self.reply()
        self.check(reply.Error is None, reply, "a RegisterReply without an error")

    async def refused(self, text: str, **lies: Any) -> None:
        """Asks, is refused with this text, and the link is closed (ESRD-REG-3, -4)."""
        self.send(self.request(**lies))
        reply = await self.reply()
        self.check(reply.Error is not None and reply.Error.text == text, reply, f"a RegisterReply with {text!r}")
        await self.expect_close()


def _message(data: bytes, wanted: type[M], sent: str) -> M:
    parsed = read_packet(data)
    if isinstance(parsed, Rejected):
        raise ViolationError(f"bytes that are no packet: {parsed}; {data[:32].hex(' ', 4)}", (wanted.__name__,), sent)
    if not isinstance(parsed.value, wanted):
        raise ViolationError(repr(parsed.value), (wanted.__name__,), sent)
    return parsed.value


class Datagrams(asyncio.DatagramProtocol):
    """A socket of one's own for every request: it is the correlation (ESRD-TR-4)."""

    def __init__(self, label: str = "") -> None:
        self.transcript = Transcript(label, "datagrams")
        self._arrived: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._transport: asyncio.DatagramTransport | None = None
        self._opened = asyncio.get_running_loop().time()
        self._last_sent = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002  the socket is connected
        self.transcript.add(Entry(self._now(), "received", data))
        self._arrived.append(data)
        self._wake.set()

    def error_received(self, exc: Exception) -> None:
        self.transcript.add(Entry(self._now(), "received", event=str(exc)))

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._opened

    def send(self, data: bytes, story: str = "") -> None:
        """One datagram."""
        self._last_sent = story or f"{len(data)} bytes"
        self.transcript.add(Entry(self._now(), "sent", data))
        self.put(data)

    def put(self, data: bytes) -> None:
        """Onto the wire."""
        if self._transport is not None:
            send_datagram(self._transport, data)

    async def receive(self, within: float = REPLY) -> bytes | None:
        """The next datagram; None if there is none in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not self._arrived:
                    self._wake.clear()
                    await self._wake.wait()
        return self._arrived.popleft() if self._arrived else None

    async def resolve(self, name: str, within: float = REPLY) -> ResolveReply:
        """A good request and its reply. ViolationError if there is none."""
        self.send(write_packet(ResolveRoutes(Atom(name))), f"a good request for {name}")
        return await self.reply(within)

    async def reply(self, within: float = REPLY) -> ResolveReply:
        """The next datagram, which has to be a reply."""
        data = await self.receive(within)
        if data is None:
            raise ViolationError(f"nothing within {within:g} s", ("a ResolveReply",), self._last_sent)
        return _message(data, ResolveReply, self._last_sent)

    async def silence(self, seconds: float) -> None:
        """No answer."""
        data = await self.receive(seconds)
        if data is not None:
            raise ViolationError(f"{len(data)} bytes: {data[:32].hex(' ', 4)}", ("silence",), self._last_sent)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def send_datagram(transport: asyncio.DatagramTransport, data: bytes, to: Any = None) -> None:
    """Sends a datagram, even one without a byte: asyncio drops those."""
    if data:
        transport.sendto(data, to)
        return
    with transport.get_extra_info("socket").dup() as sock:
        sock.sendto(data, to or sock.getpeername())


class MemoryDatagrams(Datagrams):
    """The same without a socket; `answer` is the registrar's side."""

    def __init__(self, answer: Callable[[bytes], bytes | None], label: str = "") -> None:
        super().__init__(label)
        self._answer = answer

    def put(self, data: bytes) -> None:
        reply = self._answer(data)
        if reply is not None:
            asyncio.get_running_loop().call_soon(self.datagram_received, reply, None)


async def datagrams(host: str, port: int, label: str = "") -> Datagrams:
    """A connected socket. UnreachableError if there can't be one."""
    try:
        _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Datagrams(label), remote_addr=(host, port), family=socket.AF_INET
        )
    except OSError as error:
        raise UnreachableError(f"no datagrams to {host}:{port}: {error}") from None
    return protocol
