"""Every live socket of a node, and which of them are still in a handshake."""

import asyncio
from typing import Final, Protocol

from ...errors import ErgoConformanceError
from ...model.ergo.ehs import Role
from ..api.errors import HandshakeError
from ..turns import Turns
from .outbox import wake
from .reading import Reading

MAX_HANDSHAKES: Final = 512
"""Unfinished handshakes of dialers. When exceeded, the oldest is dropped: a genuine one completes in milliseconds. Half of
the usual limit of file descriptors: connections need some, too."""
STOP_TIMEOUT: Final = 1.0
"""Seconds until sockets that do not close are aborted."""


class RegisteredSocket(Protocol):
    """A socket as the registry sees it."""

    role: Role

    def refuse(self, error: ErgoConformanceError) -> None:
        """Ends an unfinished handshake."""

    def close(self) -> None:
        """Flushes and closes."""

    def abort(self) -> None:
        """Closes at once."""


class SocketRegistry:
    """The live sockets of one node."""

    def __init__(self, turns: Turns, *, closed: bool = False) -> None:
        """`turns`: of the loop.  `closed`: the node has stopped; sockets that open late (TLS takes time) are closed again."""
        self.reading = Reading(turns)
        self.live: set[RegisteredSocket] = set()
        self.closed = closed
        self._accepting: dict[RegisteredSocket, None] = {}  # oldest first
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def accepting(self) -> int:
        """The number of unfinished handshakes of dialers."""
        return len(self._accepting)

    def add(self, socket: RegisteredSocket) -> None:
        """A socket is open and its handshake begins."""
        self.live.add(socket)
        if socket.role is Role.ACCEPTOR:
            if len(self._accepting) >= MAX_HANDSHAKES:
                self.drop_oldest()
            self._accepting[socket] = None

    def drop_oldest(self) -> None:
        """Ends the oldest unfinished handshake of a dialer, if there is one."""
        if self._accepting:
            next(iter(self._accepting)).refuse(HandshakeError("too many handshakes at once"))

    def finish(self, socket: RegisteredSocket) -> None:
        """The handshake of a socket has ended, with or without a result."""
        self._accepting.pop(socket, None)
        wake(self._waiting)

    def remove(self, socket: RegisteredSocket) -> None:
        """A socket is closed."""
        self.live.discard(socket)
        self.finish(socket)

    async def close_all(self) -> None:
        """Closes all sockets; aborts the remaining ones after STOP_TIMEOUT."""
        for socket in list(self.live):
            socket.refuse(HandshakeError("the node stops"))
            socket.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._none_live()
        except TimeoutError:
            for socket in list(self.live):
                socket.abort()
            await self._none_live()

    async def _none_live(self) -> None:
        while self.live:
            await self.wait_for_change()

    async def wait_for_change(self) -> None:
        """Waits until a handshake or a socket has ended."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future
