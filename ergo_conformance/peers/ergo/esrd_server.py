"""A registrar, scripted: it takes what nodes register and ask, and a script answers, with lies if it likes."""

import asyncio
from typing import Any, cast

from ...errors import Rejected
from ...model.ergo.esrd import Message, RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes, Route
from ...model.values import Error
from ...spec.ergo.esrd import packet_size, read_packet, write_packet
from ..link import Link
from ..listener import HOST, Accepted, in_time
from ..transcript import Entry, Transcript
from ..violation import UnreachableError, ViolationError
from .esrd_client import send_datagram
from .handshake import REPLY
from .talker import Talker

PORT_TRIES = 50
"""To find a port that is free for TCP and UDP alike."""


class Lease(Talker):
    """A registration link at the registrar's end."""

    async def request(self, within: float = REPLY) -> RegisterRoutes:
        """What the node asks for: one packet in one segment (ESRD-FR-3)."""
        legal = f"a RegisterRoutes in one segment within {within:g} s"
        data = await self.link.read(within)
        if not data:
            self.fail("the link was closed" if data == b"" else f"nothing within {within:g} s", legal)
        parsed = read_packet(data)
        if isinstance(parsed, Rejected) or not isinstance(parsed.value, RegisterRoutes):
            self.fail(f"{parsed}; {len(data)} of {packet_size(data)} bytes: {data[:32].hex(' ', 4)}", legal)
        return parsed.value

    def grant(self) -> None:
        """The node has its name as long as this link is open."""
        self.send(RegisterReply(None))

    def refuse(self, text: str) -> None:
        """It does not get it."""
        self.send(RegisterReply(Error(text)))
        self.link.close()

    def send(self, message: Message) -> None:
        """Any message, right or wrong here."""
        self.send_bytes(write_packet(message), repr(message))


class Question:
    """A resolve request."""

    def __init__(self, data: bytes, asker: Any, registrar: "Questions") -> None:
        self.data = data
        self.asker = asker
        self._registrar = registrar

    @property
    def wanted(self) -> str:
        """The name that is asked for. ViolationError if the datagram is no request."""
        parsed = read_packet(self.data)
        if isinstance(parsed, Rejected) or not isinstance(parsed.value, ResolveRoutes):
            raise ViolationError(f"{parsed}: {self.data[:32].hex(' ', 4)}", ("a ResolveRoutes",))
        return str(parsed.value.Node)

    def answer(self, routes: list[Route] | None, error: str | None = None) -> None:
        """A reply."""
        self.answer_bytes(write_packet(ResolveReply(routes, None if error is None else Error(error))))

    def answer_bytes(self, data: bytes) -> None:
        """Any datagram."""
        self._registrar.send(data, self.asker)


class Questions(asyncio.DatagramProtocol):
    """The socket that resolve requests come to."""

    def __init__(self) -> None:
        self.transcript = Transcript("resolve requests", "datagrams")
        self.waiting: asyncio.Queue[Question] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport | None = None
        self._opened = asyncio.get_running_loop().time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transcript.add(Entry(self._now(), "received", data))
        self.waiting.put_nowait(Question(data, addr, self))

    def send(self, data: bytes, to: Any) -> None:
        self.transcript.add(Entry(self._now(), "sent", data))
        if self.transport is not None:
            send_datagram(self.transport, data, to)

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._opened


class ScriptedRegistrar:
    """Both sockets on one port of the loopback. What comes waits until the script asks for it."""

    def __init__(self) -> None:
        self.port = 0
        self.leases: list[Lease] = []
        """All links so far."""
        self.questions: Questions | None = None
        self._arrived: asyncio.Queue[Lease] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    @property
    def links(self) -> list[Link]:
        """The same, as links."""
        return [lease.link for lease in self.leases]

    async def start(self, port: int = 0) -> "ScriptedRegistrar":
        """`port` 0 is any that is free for both. UnreachableError if there is none."""
        for left in range(1 if port else PORT_TRIES, 0, -1):
            try:
                await self._open(port)
                break
            except OSError as error:
                if left == 1:
                    raise UnreachableError(f"no registrar at {HOST}:{port}: {error}") from None
        return self

    async def _open(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._link, HOST, port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            _, self.questions = await loop.create_datagram_endpoint(Questions, local_addr=(HOST, self.port))
        except OSError:
            server.close()
            raise
        self._server = server

    def _link(self) -> Link:
        return Accepted(f"registration {len(self.leases) + 1}", self._arrival)

    def _arrival(self, link: Link) -> None:
        self.leases.append(Lease(link))
        self._arrived.put_nowait(self.leases[-1])

    async def lease(self, within: float = REPLY) -> Lease:
        """The next registration link. ViolationError if there is none in time."""
        return await in_time(self._arrived.get(), within, "a registration link")

    async def nobody(self, seconds: float) -> None:
        """Nobody registers for so long. ViolationError."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.get()
        except TimeoutError:
            return
        raise ViolationError("a registration link", (f"no registration link for {seconds:g} s",))

    async def granted(self, within: float = REPLY) -> tuple[Lease, RegisterRoutes]:
        """The next registration, granted: its link, and what the node asked for."""
        lease = await self.lease(within)
        request = await lease.request()
        lease.grant()
        return lease, request

    async def question(self, within: float = REPLY) -> Question:
        """The next resolve request. ViolationError if there is none in time."""
        assert self.questions is not None
        return await in_time(self.questions.waiting.get(), within, "a resolve request")

    def no_question(self) -> None:
        """None has come that was not taken. ViolationError."""
        if self.questions is not None and not self.questions.waiting.empty():
            raise ViolationError(f"a resolve request: {self.questions.waiting.get_nowait().data!r:.200}", ("none",))

    async def stop_listening(self) -> None:
        """Closes the socket of registrations; the links end with RST."""
        if self._server is not None:
            self._server.close()
            for lease in self.leases:
                lease.link.send_reset()
            await self._server.wait_closed()

    async def stop(self) -> None:
        """Closes both sockets."""
        if self.questions is not None and self.questions.transport is not None:
            self.questions.transport.close()
        await self.stop_listening()
