"""Base of the sockets of registrar servers: keep-alive, the deadline of a registration, the end of a session."""

import asyncio
from abc import abstractmethod
from typing import Final, Protocol, cast

from ..connection.tcp import keep_alive

MAX_UNREGISTERED: Final = 256
"""Clients that are not registered yet. When exceeded, the oldest is closed: a genuine one registers at once."""


class ServerSession(Protocol):
    """The server's side of one registration."""

    def end(self) -> None:
        """The socket is closed: removes the registration, if there is one."""


class RegistrarServerSocket(asyncio.Protocol):
    """A client's socket at a registrar's server.

    `sockets`: the open sockets of the server. `keep_alive`: seconds between TCP keep-alive probes. `timeout`: seconds from
    the creation of this object until the client has to be registered; then the socket is closed.
    """

    def __init__(
        self, session: ServerSession, sockets: "set[RegistrarServerSocket]", keep_alive: int, timeout: float
    ) -> None:
        self.sockets = sockets
        self.transport: asyncio.Transport | None = None
        self.timer: asyncio.TimerHandle | None = None
        self._session = session
        self._keep_alive = keep_alive
        self._deadline = asyncio.get_running_loop().time() + timeout

    @property
    @abstractmethod
    def is_registered(self) -> bool:
        """True if the client is registered."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        keep_alive(transport.get_extra_info("socket"), self._keep_alive)
        waiting = [socket for socket in self.sockets if not socket.is_registered]
        if len(waiting) >= MAX_UNREGISTERED:
            min(waiting, key=lambda socket: socket._deadline).close()  # noqa: SLF001  of this class
        self.sockets.add(self)
        self.timer = asyncio.get_running_loop().call_at(self._deadline, self._check_registered)

    def _check_registered(self) -> None:
        if not self.is_registered:
            self.close()

    def close(self) -> None:
        """Ends the registration, if there is one, and closes the socket."""
        self._session.end()
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  FIN and RST have the same effect (ESRD-REG-6)
        self._session.end()
        self.sockets.discard(self)
        if self.timer is not None:
            self.timer.cancel()
