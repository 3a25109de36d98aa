"""Scripted clients of an embedded registrar: one registers over a socket, one resolves by datagrams."""

import asyncio
import contextlib
import random
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from ...errors import Rejected
from ...model.ergo import ehs, enp, esrd
from ...model.ergo.esrd import Message, RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes, Route
from ...model.show import show
from ...model.values import Atom
from ...spec.ergo.esrd import packet_size, read_packet, write_packet
from ..packet_reader import PacketFormat, PacketReader
from ..scripted_peer import REPLY_TIMEOUT, ScriptedPeer
from ..sockets import PeerSocket
from ..transcript import Entry, Transcript
from ..violation import Checks, UnreachableError

M = TypeVar("M", RegisterReply, ResolveReply)
FORMAT: Final = PacketFormat(
    esrd.VERSION, esrd.HEADER_LENGTH, packet_size, esrd.HEADER_LENGTH, esrd.HEADER_LENGTH + esrd.MAX_PAYLOAD
)
EHS = ehs.Version(ehs.PROTOCOL, ehs.RELEASE, "", "MIT")
ENP = ehs.Version(enp.PROTOCOL, enp.RELEASE, "", "MIT")


def route(port: int = 11_144, **changes: Any) -> Route:
    """A route as the framework registers it; `changes` replace fields."""
    return Route("", port, False, EHS, ENP)._replace(**changes)


class ScriptedEsrdClient(ScriptedPeer):
    """A node that registers over one socket."""

    def __init__(self, socket: PeerSocket, rng: random.Random, name: str | None = None) -> None:
        super().__init__(socket)
        socket.transcript.kind = "packets"
        self.name = Atom(name or f"tester-{rng.randrange(16**8):08x}@localhost")
        self._reader = PacketReader(socket, FORMAT)

    def request(self, **overrides: Any) -> RegisterRoutes:
        """A correct request; `overrides` replace fields."""
        return RegisterRoutes(self.name, [route()])._replace(**overrides)

    def send(self, message: Message) -> None:
        """Sends any message."""
        self.send_bytes(write_packet(message), message)

    async def reply(self, within: float = REPLY_TIMEOUT) -> RegisterReply:
        """The registrar's reply."""
        expected = f"a RegisterReply within {within:g} s"
        data = await self._reader.read(within)
        if not data:
            came = f"nothing within {within:g} s" if data is None else self.ended()
            self.fail_timing(came + self._reader.missing(), expected)
        return _message(data, RegisterReply, self)

    async def register(self, **overrides: Any) -> None:
        """Registers; the registrar has to grant it. `overrides` replace fields of the request."""
        self.send(self.request(**overrides))
        reply = await self.reply()
        self.check(reply.Error is None, reply, "a RegisterReply without an error")

    async def refused(self, text: str, **overrides: Any) -> None:
        """Registers; the registrar refuses with this text and closes the socket (ESRD-REG-3, -4)."""
        self.send(self.request(**overrides))
        reply = await self.reply()
        self.check(reply.Error is not None and reply.Error.text == text, reply, f"a RegisterReply with {show(text)}")
        await self.expect_close()


def _message(data: bytes, wanted: type[M], peer: Checks) -> M:
    parsed = read_packet(data)
    if isinstance(parsed, Rejected):
        peer.fail(f"bytes that are not a packet: {parsed}; {data[:32].hex(' ', 4)}", wanted.__name__)
    if not isinstance(parsed.value, wanted):
        peer.fail(parsed.value, wanted.__name__)
    peer.note_received(parsed.value)
    return parsed.value


class ScriptedResolver(Checks, asyncio.DatagramProtocol):
    """Resolves names by datagrams. Each request needs its own socket: a reply has no number (ESRD-TR-4)."""

    def __init__(self, label: str = "") -> None:
        super().__init__()
        self.transcript = Transcript(label, "datagrams")
        self._arrived: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._transport: asyncio.DatagramTransport | None = None
        self._opened = asyncio.get_running_loop().time()

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

    def send(self, data: bytes, description: str = "") -> None:
        """Sends one datagram."""
        self.note_sent(description or f"{len(data)} bytes")
        self.transcript.add(Entry(self._now(), "sent", data, description=description))
        self.put(data)

    def put(self, data: bytes) -> None:
        """Sends a datagram without a note in the transcript."""
        if self._transport is not None:
            send_datagram(self._transport, data)

    async def receive(self, within: float = REPLY_TIMEOUT) -> bytes | None:
        """The next datagram; None if none arrives in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not self._arrived:
                    self._wake.clear()
                    await self._wake.wait()
        return self._arrived.popleft() if self._arrived else None

    async def resolve(self, name: str, within: float = REPLY_TIMEOUT) -> ResolveReply:
        """Sends a correct request. Returns its reply."""
        self.send(write_packet(ResolveRoutes(Atom(name))), f"a correct request for {name}")
        return await self.reply(within)

    async def reply(self, within: float = REPLY_TIMEOUT) -> ResolveReply:
        """The next datagram, which has to be a ResolveReply."""
        data = await self.receive(within)
        if data is None:
            self.fail_timing(f"nothing within {within:g} s", "a ResolveReply")
        return _message(data, ResolveReply, self)

    async def expect_silence(self, seconds: float) -> None:
        """No datagram arrives for so long."""
        data = await self.receive(seconds)
        if data is not None:
            self.fail(f"{len(data)} bytes: {data[:32].hex(' ', 4)}", f"no datagram within {seconds:g} s")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def send_datagram(transport: asyncio.DatagramTransport, data: bytes, to: Any = None) -> None:
    """Sends a datagram; also an empty one, which asyncio drops on real sockets."""
    real = transport.get_extra_info("socket")
    if data or real is None:
        transport.sendto(data, to)
        return
    with real.dup() as sock:
        sock.sendto(data, to or sock.getpeername())


class MemoryResolver(ScriptedResolver):
    """A resolver without a socket; `answer` is the registrar."""

    def __init__(self, answer: Callable[[bytes], bytes | None], label: str = "") -> None:
        super().__init__(label)
        self._answer = answer

    def put(self, data: bytes) -> None:
        reply = self._answer(data)
        if reply is not None:
            asyncio.get_running_loop().call_soon(self.datagram_received, reply, None)


async def open_resolver(host: str, port: int, label: str = "") -> ScriptedResolver:
    """Opens a resolver with a connected socket. Raises UnreachableError."""
    try:
        _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: ScriptedResolver(label), remote_addr=(host, port), family=socket.AF_INET
        )
    except OSError as error:
        raise UnreachableError(f"no datagrams to {host}:{port}: {error}") from None
    return protocol
