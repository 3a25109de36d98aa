"""The embedded registrar's server on sockets.

Unlike upstream it answers a resolve request from the address that it was sent to (ESRD-TR-6).
"""

import asyncio
import contextlib
import errno
import socket
from typing import Final

from ...asyncio_server import close_server
from ...model.ergo import esrd
from ..api.validation import check_host
from ..ergo.esrd import EsrdNameTable, EsrdServerSession, EsrdSessionState
from .server_socket import RegistrarServerSocket
from .udp import WildcardSocket

PORT_TRIES: Final = 50
"""Tries to find a port that is free for both TCP and UDP."""
BACKLOG: Final = 128


class EsrdServerSocket(RegistrarServerSocket):
    """A socket of one registration at the server."""

    def __init__(self, table: EsrdNameTable, sockets: set[RegistrarServerSocket]) -> None:
        self.registration = EsrdServerSession(table)
        super().__init__(self.registration, sockets, esrd.SERVER_KEEP_ALIVE, esrd.REGISTER_TIMEOUT)

    @property
    def is_registered(self) -> bool:
        return self.registration.state is EsrdSessionState.REGISTERED

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        answer = self.registration.receive(data)
        if answer:
            self.transport.write(answer)
        if self.registration.state is EsrdSessionState.CLOSED:
            self.close()

    def eof_received(self) -> bool:
        self.registration.end()
        return False


class EsrdServer:
    """Serves registrations on `host` and resolves on all addresses."""

    def __init__(self, host: str = "localhost", port: int = esrd.PORT) -> None:
        """`port`: 0 is any port that is free for TCP and UDP. UsageError for a wrong host."""
        check_host("host", host)
        self.table = EsrdNameTable()
        self.host, self.port = host, port
        self._server: asyncio.Server | None = None
        self._datagrams: WildcardSocket | None = None
        self._sockets: set[RegistrarServerSocket] = set()

    async def start(self) -> None:
        """Opens both sockets, TCP first. Raises OSError or UnicodeError and leaves nothing open (ESRD-TR-2)."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, 0, family=socket.AF_INET, type=socket.SOCK_STREAM)
        listener, self._datagrams = _both_sockets(str(found[0][4][0]), self.port)
        self.port = listener.getsockname()[1]
        loop.add_reader(self._datagrams.socket, self._resolve)
        try:
            self._server = await loop.create_server(
                lambda: EsrdServerSocket(self.table, self._sockets), sock=listener, backlog=BACKLOG, start_serving=False
            )
            await self._server.start_serving()
        except BaseException:  # also if the start is cancelled
            if self._server is None:
                listener.close()
            await self.stop()
            raise

    def _resolve(self) -> None:
        """Replies to a datagram from the address that it was sent to."""
        assert self._datagrams is not None
        with contextlib.suppress(OSError):
            data, origin = self._datagrams.receive(esrd.MAX_RESOLVE)
            answer = self.table.answer(data)
            if answer is not None:
                self._datagrams.answer(answer, origin)

    async def stop(self) -> None:
        """Ends all registrations and closes the sockets."""
        if self._datagrams is not None:
            asyncio.get_running_loop().remove_reader(self._datagrams.socket)
            self._datagrams.close()
            self._datagrams = None
        if self._server is not None:
            await close_server(self._server)
            for registered in list(self._sockets):
                registered.close()
            await self._server.wait_closed()
            self._server = None


def _both_sockets(address: str, port: int) -> tuple[socket.socket, WildcardSocket]:
    """Opens a listening socket and a datagram socket on the same port number. Raises OSError."""
    for left in range(1 if port else PORT_TRIES, 0, -1):
        listener = socket.create_server((address, port), backlog=BACKLOG)
        listener.setblocking(False)
        try:
            return listener, WildcardSocket(listener.getsockname()[1])
        except OSError as error:
            listener.close()
            if left == 1 or error.errno != errno.EADDRINUSE:
                raise
    raise AssertionError  # the last try returns or raises
