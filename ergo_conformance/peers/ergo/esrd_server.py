"""A scripted embedded registrar: requests of nodes are queued, and the script answers them with any field overridden."""

import asyncio
from typing import Any, cast

from ...errors import Rejected
from ...model.ergo.esrd import Message, RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes, Route
from ...model.show import show
from ...model.values import Error
from ...spec.ergo.esrd import packet_size, read_packet, write_packet
from ..listener import HOST, AcceptedSocket, expect_empty, stop_serving, wait_within
from ..scripted_peer import REPLY_TIMEOUT, ScriptedPeer
from ..sockets import PeerSocket
from ..transcript import Entry, Transcript
from ..violation import ShortageError, ViolationError
from .esrd_client import send_datagram

PORT_TRIES = 50
"""Attempts to find a port that is free for both TCP and UDP."""


class EsrdRegistration(ScriptedPeer):
    """The registrar's end of a node's registration socket."""

    async def request(self, within: float = REPLY_TIMEOUT) -> RegisterRoutes:
        """The node's request: one packet in one segment (ESRD-FR-3)."""
        expected = f"a RegisterRoutes in one segment within {within:g} s"
        data = await self.socket.read(within)
        if not data:
            self.fail_timing(self.ended() if data == b"" else f"nothing within {within:g} s", expected)
        parsed = read_packet(data)
        if isinstance(parsed, Rejected) or not isinstance(parsed.value, RegisterRoutes):
            self.fail(f"{parsed}; {len(data)} of {packet_size(data)} bytes: {data[:32].hex(' ', 4)}", expected)
        return parsed.value

    def grant(self) -> None:
        """Grants the name for as long as the socket is open."""
        self.send(RegisterReply(None))

    def refuse(self, text: str) -> None:
        """Refuses the name with this text and closes the socket."""
        self.send(RegisterReply(Error(text)))
        self.socket.close()

    def send(self, message: Message) -> None:
        """Sends any message."""
        self.send_bytes(write_packet(message), message)


class ResolveRequest:
    """A resolve request that arrived; `sender`: its address."""

    def __init__(self, data: bytes, sender: Any, registrar: "ResolveListener") -> None:
        self.data = data
        self.sender = sender
        self._registrar = registrar

    @property
    def name(self) -> str:
        """The requested name. ViolationError if the datagram is not a request."""
        parsed = read_packet(self.data)
        if isinstance(parsed, Rejected) or not isinstance(parsed.value, ResolveRoutes):
            raise ViolationError(f"{parsed}: {self.data[:32].hex(' ', 4)}", ("a ResolveRoutes",))
        return str(parsed.value.Node)

    def answer(self, routes: list[Route] | None, error: str | None = None) -> None:
        """Sends a reply."""
        self.answer_bytes(write_packet(ResolveReply(routes, None if error is None else Error(error))))

    def answer_bytes(self, data: bytes) -> None:
        """Sends any datagram."""
        self._registrar.send(data, self.sender)


class ResolveListener(asyncio.DatagramProtocol):
    """The datagram socket for resolve requests."""

    def __init__(self) -> None:
        self.transcript = Transcript("resolve requests", "datagrams")
        self.requests: asyncio.Queue[ResolveRequest] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport | None = None
        self._opened = asyncio.get_running_loop().time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transcript.add(Entry(self._now(), "received", data))
        self.requests.put_nowait(ResolveRequest(data, addr, self))

    def send(self, data: bytes, to: Any) -> None:
        """Sends one datagram."""
        self.transcript.add(Entry(self._now(), "sent", data))
        if self.transport is not None:
            send_datagram(self.transport, data, to)

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._opened


class ScriptedEsrdServer:
    """The registrar: a TCP and a UDP socket on one port of the loopback."""

    def __init__(self) -> None:
        self.port = 0
        self.registrations: list[EsrdRegistration] = []
        """Accepted registration sockets."""
        self.resolving: ResolveListener | None = None
        self._queue: asyncio.Queue[EsrdRegistration] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    @property
    def sockets(self) -> list[PeerSocket]:
        """The sockets of all registrations."""
        return [registration.socket for registration in self.registrations]

    async def start(self, port: int = 0) -> "ScriptedEsrdServer":
        """Listens; port 0 is any that is free for TCP and UDP. ShortageError if there is none."""
        for left in range(1 if port else PORT_TRIES, 0, -1):
            try:
                await self._open(port)
                break
            except OSError as error:
                if left == 1:
                    raise ShortageError(f"no registrar at {HOST}:{port}: {error}") from None
        return self

    async def _open(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._make, HOST, port)
        self.port = server.sockets[0].getsockname()[1]
        try:
            _, self.resolving = await loop.create_datagram_endpoint(ResolveListener, local_addr=(HOST, self.port))
        except OSError:
            server.close()
            raise
        self._server = server

    def _make(self) -> PeerSocket:
        return AcceptedSocket(f"registration {len(self.registrations) + 1}", self._accepted)

    def _accepted(self, socket: PeerSocket) -> None:
        self.registrations.append(EsrdRegistration(socket))
        self._queue.put_nowait(self.registrations[-1])

    async def registration(self, within: float = REPLY_TIMEOUT) -> EsrdRegistration:
        """The next registration socket. ViolationError if the target opens none in time."""
        return await wait_within(self._queue.get(), within, "the target opens a registration socket")

    async def expect_no_connection(self, seconds: float) -> None:
        """The target opens no registration socket for so long."""
        await expect_empty(self._queue, seconds, "registration")

    async def grant_next(self, within: float = REPLY_TIMEOUT) -> tuple[EsrdRegistration, RegisterRoutes]:
        """Grants the next registration. Returns it with the request."""
        registration = await self.registration(within)
        request = await registration.request()
        registration.grant()
        return registration, request

    async def resolve_request(self, within: float = REPLY_TIMEOUT) -> ResolveRequest:
        """The next resolve request. ViolationError if none arrives in time."""
        assert self.resolving is not None
        return await wait_within(self.resolving.requests.get(), within, "a resolve request")

    def expect_no_resolve_request(self) -> None:
        """No further resolve request has arrived."""
        if self.resolving is not None and not self.resolving.requests.empty():
            raise ViolationError(
                f"a resolve request: {show(self.resolving.requests.get_nowait().data, 200)}", ("no resolve request",)
            )

    async def stop_listening(self) -> None:
        """Stops accepting registrations and closes their sockets."""
        if self._server is not None:
            server, self._server = self._server, None
            await stop_serving(server, self.sockets)

    async def stop(self) -> None:
        """Closes both sockets."""
        if self.resolving is not None and self.resolving.transport is not None:
            self.resolving.transport.close()
        await self.stop_listening()
