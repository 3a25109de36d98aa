"""Where targets dial us: a port of the loopback. What comes waits until the script asks for it."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from ..model.ergo.ehs import Digest, Hello
from ..spec.ergo.ehs import digest, frame_size, read_frame
from .ergo.handshake import REPLY
from .link import Link
from .transcript import Kind
from .violation import UnreachableError, ViolationError

T = TypeVar("T")
HOST: Final = "127.0.0.1"


class Accepted(Link):
    """A link that says when it is there."""

    def __init__(self, label: str, arrived: Callable[[Link], None], kind: Kind = "packets") -> None:
        super().__init__(label)
        self.transcript.kind = kind
        self._arrived = arrived

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._arrived(self)


class Listener:
    """A listening socket. With `context` only links whose TLS handshake is done count; `labels`: what each is called."""

    def __init__(self, labels: str, context: ssl.SSLContext | None = None, kind: Kind = "frames") -> None:
        self.labels, self.context, self.kind = labels, context, kind
        self.port = 0
        self.links: list[Link] = []
        """All so far."""
        self._arrived: asyncio.Queue[Link] = asyncio.Queue()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        """`port` 0 is any free one. UnreachableError if it is taken."""
        try:
            self._server = await asyncio.get_running_loop().create_server(self._link, HOST, port, ssl=self.context)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else str(error)
            raise UnreachableError(f"nothing listens on {HOST}:{port}: {why}") from None
        self.port = self._server.sockets[0].getsockname()[1]

    def _link(self) -> Link:
        return Accepted(f"{self.labels} {len(self.links) + 1}", self._arrival, self.kind)

    def _arrival(self, link: Link) -> None:
        self.links.append(link)
        self._arrived.put_nowait(link)

    async def link(self, within: float = REPLY) -> Link:
        """The next link. ViolationError if there is none in time."""
        return await in_time(self._arrived.get(), within, f"a link: {self.labels}")

    async def nobody(self, seconds: float) -> None:
        """Nobody dials for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.get()
        except TimeoutError:
            return
        raise ViolationError(f"a link: {self.labels}", (f"no link for {seconds:g} s",))

    async def hello(self, cookie: str, within: float = REPLY) -> Link:
        """The next link, on which the target begins a handshake and proves this cookie. ViolationError."""
        link = await self.link(within)
        legal = f"a Hello that proves the cookie within {within:g} s"
        data = b""
        while (size := frame_size(data)) is None or len(data) < size:
            chunk = await link.read(within)
            if not chunk:
                raise ViolationError(f"{len(data)} bytes, then the end, or nothing more", (legal,))
            data += chunk
        parsed = getattr(read_frame(data[:size]), "value", None)
        proves = isinstance(parsed, Hello) and parsed.Digest == digest(
            Digest.HELLO_DIALER, salt1=parsed.Salt, cookie=cookie
        )
        if not proves:
            raise ViolationError(f"{parsed!r:.200}", (legal,))
        return link

    async def stop(self) -> None:
        """Closes the socket; the links end with RST."""
        if self._server is not None:
            self._server.close()
            for link in self.links:
                link.send_reset()
            await self._server.wait_closed()
            self._server = None


async def in_time(coming: Awaitable[T], within: float, what: str) -> T:
    """What comes. ViolationError if it does not within so many seconds."""
    try:
        async with asyncio.timeout(within):
            return await coming
    except TimeoutError:
        raise ViolationError(f"nothing within {within:g} s", (what,)) from None
