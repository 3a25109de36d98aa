"""A listening socket of the tester, on the loopback: targets connect to it."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from ..asyncio_server import close_server
from .scripted_peer import REPLY_TIMEOUT
from .sockets import PeerSocket
from .transcript import Kind
from .violation import ShortageError, TimingViolationError, ViolationError

T = TypeVar("T")
HOST: Final = "127.0.0.1"


class AcceptedSocket(PeerSocket):
    """A socket that the target has opened; calls `accepted` when it is open, with TLS after the TLS handshake."""

    def __init__(
        self,
        label: str,
        accepted: Callable[[PeerSocket], None],
        kind: Kind = "packets",
        fingerprint: bytes | None = None,
    ) -> None:
        super().__init__(label, fingerprint)
        self.transcript.kind = kind
        self._accepted = accepted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._accepted(self)


class Listener:
    """Accepts sockets and queues them for the script, which is the only one to read them.

    `label`: prefix of their transcripts' labels; `fingerprint`: SHA-1 of the certificate in `context`.
    """

    def __init__(
        self,
        label: str,
        context: ssl.SSLContext | None = None,
        kind: Kind = "frames",
        fingerprint: bytes | None = None,
    ) -> None:
        self.label, self.context, self.kind, self.fingerprint = label, context, kind, fingerprint
        self.port = 0
        self.sockets: list[PeerSocket] = []
        """Accepted sockets."""
        self._queue: asyncio.Queue[PeerSocket] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        """Listens; port 0 is any free one. ShortageError if the port is taken."""
        try:
            self._server = await asyncio.get_running_loop().create_server(self._make, HOST, port, ssl=self.context)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise ShortageError(f"can't listen on {HOST}:{port}: {reason}") from None
        self.port = self._server.sockets[0].getsockname()[1]

    def _make(self) -> PeerSocket:
        return AcceptedSocket(f"{self.label} {len(self.sockets) + 1}", self._accepted, self.kind, self.fingerprint)

    def _accepted(self, socket: PeerSocket) -> None:
        self.sockets.append(socket)
        self._queue.put_nowait(socket)

    async def socket(self, within: float = REPLY_TIMEOUT) -> PeerSocket:
        """The next accepted socket. ViolationError if the target opens none in time."""
        return await wait_within(self._queue.get(), within, f"the target opens a socket ({self.label})")

    async def expect_no_connection(self, seconds: float) -> None:
        """The target opens no socket for so long."""
        await expect_empty(self._queue, seconds, self.label)

    async def stop(self) -> None:
        """Stops listening and closes all sockets."""
        if self._server is not None:
            server, self._server = self._server, None
            await stop_serving(server, self.sockets)


async def stop_serving(server: asyncio.Server, sockets: Sequence[PeerSocket]) -> None:
    """Stops listening, closes the accepted sockets and waits for their end, which takes at most LINGER seconds."""
    await close_server(server)
    for socket in sockets:
        socket.close()
    for socket in sockets:
        await socket.wait_closed()
    await server.wait_closed()


async def wait_within(coming: Awaitable[T], within: float, expected: str) -> T:
    """Waits for a result. ViolationError if there is none after so many seconds."""
    since = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(within):
            return await coming
    except TimeoutError:
        violation = TimingViolationError(f"nothing within {within:g} s", (expected,))
        violation.since = since
        raise violation from None


async def expect_empty(queue: "asyncio.Queue[T]", seconds: float, label: str) -> None:
    """ViolationError if a socket is queued within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await queue.get()
    except TimeoutError:
        return
    raise ViolationError(f"the target opened a socket ({label})", (f"no socket within {seconds:g} s",))
