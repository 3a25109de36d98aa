"""The central registrar Saturn: a server on sockets."""

import logging
from collections.abc import Mapping
from typing import Any, Final

from ...model.ergo import saturn
from ...model.ergo.saturn import SessionState
from ..api.validation import check_host
from ..connection.listener import TcpListener, listen
from ..connection.socket_registry import SocketRegistry
from ..connection.tls import KeyPair, self_signed, server_context
from ..ergo.saturn import SaturnDirectory, SaturnServerSession
from ..turns import Turns
from .server_socket import RegistrarServerSocket

log = logging.getLogger("ergo_conformance.node")

MAX_QUEUED: Final = 1 << 20
"""Maximum number of bytes queued for a client that does not read; above it the socket is closed."""


class SaturnServerSocket(RegistrarServerSocket):
    """A socket at the server. Created when TCP accepts, before the TLS handshake, so that its deadline includes TLS."""

    def __init__(self, directory: SaturnDirectory, sockets: set[RegistrarServerSocket]) -> None:
        self.session = SaturnServerSession(directory, self._transmit)
        super().__init__(self.session, sockets, saturn.KEEP_ALIVE, saturn.REGISTER_WITHIN)

    @property
    def is_registered(self) -> bool:
        return self.session.state is SessionState.REGISTERED

    def data_received(self, data: bytes) -> None:
        self.session.receive(data)
        if self.session.state is SessionState.CLOSED and self.transport is not None:
            self.transport.close()

    def _transmit(self, data: bytes) -> None:
        assert self.transport is not None
        if self.transport.get_write_buffer_size() > MAX_QUEUED:
            log.info("%r does not read its messages", self.session.name)
            self.transport.abort()
        else:
            self.transport.write(data)


class SaturnServer:
    """A Saturn server.

    `host`: empty means all addresses; UsageError for one that can't be. `keys`: its certificate, by default a self-signed one;
    `config`: values by item names.
    """

    def __init__(
        self,
        token: str,
        *,
        host: str = "localhost",
        port: int = saturn.PORT,
        keys: KeyPair | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        check_host("host", host)
        self.directory = SaturnDirectory(token, config)
        self.host, self.port = host, port
        self.keys = keys or self_signed([host] if host else ["localhost"])
        self._server: TcpListener | None = None
        self._sockets: set[RegistrarServerSocket] = set()

    async def start(self) -> None:
        """Listens. Raises OSError or UnicodeError."""
        self._server = await listen(
            self.host, self.port, SocketRegistry(Turns()), lambda: SaturnServerSocket(self.directory, self._sockets),
            server_context(self.keys), saturn.REGISTER_WITHIN,
        )  # fmt: skip
        self.port = self._server.port

    async def stop(self) -> None:
        """Ends all registrations and closes the sockets."""
        if self._server is not None:
            self._server.close()
            self._server.registry.closed = True
            for registered in list(self._sockets):
                registered.close()
            await self._server.registry.close_all()
            await self._server.wait_closed()
            self._server = None
