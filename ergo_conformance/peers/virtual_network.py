"""TCP, TLS and UDP in memory: an event loop with a virtual clock whose addresses are entries of a table.

Programs that open their sockets with asyncio run on it unchanged.  Every host is this one: `localhost` and 127.0.0.0/8 are
known, no other name is.
"""

import asyncio
import errno
import os
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from .memory import VirtualLoop, join_protocols

Address = tuple[str, int]
MakeProtocol = Callable[[], asyncio.BaseProtocol]
LOOPBACK: Final = "127.0.0.1"
ANY: Final = "0.0.0.0"  # noqa: S104  nothing is bound: an entry of the table
FIRST_PORT: Final = 40_000
NO_DESCRIPTOR: Final = 1 << 30
"""Descriptor of a listening socket: no selector knows it."""


class Tls(NamedTuple):
    """TLS settings of one end. `hostname`: what a client expects in the certificate; timeouts in seconds, None: asyncio's."""

    context: ssl.SSLContext
    hostname: str | None
    handshake_timeout: float | None
    shutdown_timeout: float | None

    def wrap(self, inner: asyncio.BaseProtocol, waiter: "asyncio.Future[None] | None" = None) -> SSLProtocol:
        """Returns the protocol that speaks TLS for `inner`; a client gives `waiter`, which ends with the TLS handshake."""
        make: Any = SSLProtocol  # the stubs have narrower types than the class
        made: SSLProtocol = make(
            asyncio.get_running_loop(), inner, self.context, waiter, waiter is None, self.hostname,
            ssl_handshake_timeout=self.handshake_timeout, ssl_shutdown_timeout=self.shutdown_timeout,
        )  # fmt: skip
        return made


class ListeningSocket:
    """What a server shows of its listening socket."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def getsockname(self) -> Address:
        return self._address

    def fileno(self) -> int:
        return NO_DESCRIPTOR


class VirtualServer(asyncio.AbstractServer):
    """A listening address."""

    def __init__(self, loop: "VirtualNetworkLoop", address: Address, make: MakeProtocol, tls: Tls | None) -> None:
        self.address, self.make, self.tls = address, make, tls
        self._loop = loop

    @property
    def sockets(self) -> tuple[ListeningSocket, ...]:
        return (ListeningSocket(self.address),) if self.is_serving() else ()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return self._loop.listening.get(self.address) is self

    async def start_serving(self) -> None:
        self._loop.listening[self.address] = self

    async def serve_forever(self) -> None:
        """Waits until the task is cancelled."""
        await self._loop.create_future()

    def close(self) -> None:
        if self.is_serving():
            del self._loop.listening[self.address]

    async def wait_closed(self) -> None:
        """Returns at once: the sockets of the server live on."""


class VirtualDatagrams(asyncio.DatagramTransport):
    """A datagram socket. With `remote` it is connected: it receives only from there."""

    def __init__(
        self, loop: "VirtualNetworkLoop", protocol: asyncio.DatagramProtocol, local: Address, remote: Address | None
    ) -> None:
        super().__init__({"sockname": local, "peername": remote})
        self.loop, self.protocol, self.local, self.remote = loop, protocol, local, remote

    def sendto(self, data: Any, addr: Any = None) -> None:
        to: Address | None = addr or self.remote
        if to is not None and not self.is_closing():
            self.loop.call_soon(self._deliver, bytes(data), to)

    def _deliver(self, data: bytes, to: Address) -> None:
        receiver = self.loop.datagrams.get(to)
        if receiver is None:
            if self.remote is not None and not self.is_closing():
                self.protocol.error_received(
                    ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
                )
        elif receiver.remote in (None, self.local):
            receiver.protocol.datagram_received(data, self.local)

    def is_closing(self) -> bool:
        return self.loop.datagrams.get(self.local) is not self

    def close(self) -> None:
        if not self.is_closing():
            del self.loop.datagrams[self.local]
            self.loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()


class VirtualNetworkLoop(VirtualLoop):
    """An event loop with a virtual clock and a network in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.listening: dict[Address, VirtualServer] = {}
        self.datagrams: dict[Address, VirtualDatagrams] = {}
        self._last_port = FIRST_PORT - 1

    # --- addresses ----------------------------------------------------------------------------------------------------

    def _free_port(self) -> int:
        self._last_port += 1
        return self._last_port

    async def getaddrinfo(self, host: Any, port: Any, *, type: int = 0, **_: Any) -> Any:
        return [(socket.AF_INET, type or socket.SOCK_STREAM, 0, "", (address_of(host), int(port or 0)))]

    # --- TCP and TLS --------------------------------------------------------------------------------------------------

    async def create_server(  # type: ignore[override]  # a server without a socket
        self,
        protocol_factory: MakeProtocol,
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: ssl.SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
        **_: Any,
    ) -> VirtualServer:
        address = (address_of(host), port or self._free_port())
        if address in self.listening:
            raise OSError(errno.EADDRINUSE, f"address already in use: {address}")
        tls = None if ssl is None else Tls(ssl, None, ssl_handshake_timeout, ssl_shutdown_timeout)
        server = VirtualServer(self, address, protocol_factory, tls)
        if start_serving:
            await server.start_serving()
        return server

    async def create_connection(  # type: ignore[override]  # the arguments that are used
        self,
        protocol_factory: MakeProtocol,
        host: str | None = None,
        port: int | None = None,
        *,
        ssl: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        **_: Any,
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        to = (address_of(host), port or 0)
        await asyncio.sleep(0)
        server = self.listening.get(to) or self.listening.get((ANY, to[1]))
        if server is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {to}")
        accepted, dialing = server.make(), protocol_factory()
        tls = None if ssl is None else Tls(ssl, server_hostname or host, ssl_handshake_timeout, ssl_shutdown_timeout)
        waiter: asyncio.Future[None] | None = None if tls is None else self.create_future()
        outer = dialing if tls is None else tls.wrap(dialing, waiter)
        transport, _accepting = join_protocols(
            outer, server.tls.wrap(accepted) if server.tls else accepted, (LOOPBACK, self._free_port()), to
        )
        if waiter is None:
            return transport, dialing
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        assert isinstance(outer, SSLProtocol)
        return outer._app_transport, dialing  # noqa: SLF001  asyncio has no other name for it

    # --- UDP ----------------------------------------------------------------------------------------------------------

    async def create_datagram_endpoint(  # type: ignore[override]  # the arguments that are used
        self,
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local_addr: Address | None = None,
        remote_addr: Address | None = None,
        **_: Any,
    ) -> tuple[VirtualDatagrams, asyncio.DatagramProtocol]:
        host, port = local_addr or (LOOPBACK, 0)
        local = (address_of(host), port or self._free_port())
        if local in self.datagrams:
            raise OSError(errno.EADDRINUSE, f"address already in use: {local}")
        remote = None if remote_addr is None else (address_of(remote_addr[0]), remote_addr[1])
        protocol = protocol_factory()
        transport = self.datagrams[local] = VirtualDatagrams(self, protocol, local, remote)
        protocol.connection_made(transport)
        return transport, protocol


def address_of(host: str | bytes | None) -> str:
    """Returns the address of a host. Raises gaierror for a name that is not this machine's."""
    text = host.decode() if isinstance(host, bytes) else host
    if not text:
        return ANY
    if text == "localhost":
        return LOOPBACK
    if text == ANY or text.startswith("127."):
        return text
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
