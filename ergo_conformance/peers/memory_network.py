"""A loopback network in memory: an event loop with a virtual clock whose TCP, TLS and UDP sockets are objects of this process.

asyncio's own calls open the sockets (`create_server`, `create_connection`, `create_datagram_endpoint`), so nodes, registrars
and scripted peers run unchanged, without ports of the machine and without waiting.  TLS is real: its records pass through
memory.
"""

import asyncio
import errno
import os
import socket
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import Any, Final

from .memory import MemoryTransport, VirtualLoop, join_protocols

Address = tuple[str, int]
HOSTS: Final = frozenset({"127.0.0.1", "localhost"})
FIRST_PORT: Final = 40_000
NO_DESCRIPTOR: Final = 1 << 30
"""Stands for the file descriptor of a socket in memory; no open file has it."""


class MemorySocket:
    """The address of a listening socket in memory, with the methods of `socket.socket` that servers use."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def getsockname(self) -> Address:
        return self._address

    def fileno(self) -> int:
        return NO_DESCRIPTOR


class MemoryServer:
    """A listening socket; `accept` makes the protocol object of an accepted socket."""

    def __init__(self, loop: "NetworkLoop", address: Address, accept: Callable[[], Any]) -> None:
        self._loop, self._address, self.accept = loop, address, accept
        self.sockets: tuple[MemorySocket, ...] = (MemorySocket(address),)

    @property
    def port(self) -> int:
        return self._address[1]

    def is_serving(self) -> bool:
        return bool(self.sockets)

    def close(self) -> None:
        self.sockets = ()
        self._loop.servers.pop(self._address[1], None)

    async def wait_closed(self) -> None:
        """Returns at once: accepted sockets are closed by their owners."""


class MemoryDatagrams(asyncio.DatagramTransport):
    """A UDP socket. `peer`: the address to which it is connected."""

    def __init__(
        self, loop: "NetworkLoop", protocol: asyncio.DatagramProtocol, own: Address, peer: Address | None
    ) -> None:
        super().__init__({"sockname": own, "peername": peer})
        self._loop, self.protocol, self._own, self._peer = loop, protocol, own, peer
        self._closing = False

    def sendto(self, data: Any, addr: Any = None) -> None:
        to = addr or self._peer
        assert to is not None
        self._loop.call_soon(self._arrive, bytes(data), to)

    def _arrive(self, data: bytes, to: Address) -> None:
        other = self._loop.datagrams.get(to[1])
        if other is not None and other.accepts(self._own):
            other.protocol.datagram_received(data, self._own)
        elif self._peer is not None and not self._closing:
            self.protocol.error_received(_refused(to))

    def accepts(self, sender: Address) -> bool:
        """Tells whether datagrams of this sender are delivered: a connected socket hears its peer only."""
        return self._peer in {None, sender}

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.datagrams.pop(self._own[1], None)
            self._loop.call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()


class NetworkLoop(VirtualLoop):
    """A virtual loop with its own loopback network. Other hosts can't be resolved."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: dict[int, MemoryServer] = {}
        self.datagrams: dict[int, MemoryDatagrams] = {}
        self._last_port = FIRST_PORT

    def _free_port(self) -> int:
        """Returns a port that nothing has used: no late datagram reaches its next owner."""
        self._last_port += 1
        return self._last_port

    # --- asyncio's interface ------------------------------------------------------------------------------------------

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        _check_host(host)
        return [(socket.AF_INET, 0, 0, "", ("127.0.0.1", port))]

    async def create_server(  # type: ignore[override]  # the parameters of real sockets are ignored
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: Any = None,
        port: Any = None,
        *,
        ssl: ssl.SSLContext | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        **_: Any,
    ) -> MemoryServer:
        _check_host(host)
        address = "127.0.0.1", port or self._free_port()
        if address[1] in self.servers:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

        def accept() -> asyncio.BaseProtocol:
            if ssl is None:
                return protocol_factory()
            return SSLProtocol(
                self, protocol_factory(), ssl, None, server_side=True,  # type: ignore[arg-type]  # nobody waits
                ssl_handshake_timeout=ssl_handshake_timeout,  # type: ignore[arg-type]  # fractions, too
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )  # fmt: skip

        self.servers[address[1]] = server = MemoryServer(self, address, accept)
        return server

    async def create_connection(  # type: ignore[override]  # as above
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: Any = None,
        port: Any = None,
        *,
        ssl: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        ssl_shutdown_timeout: float | None = None,
        **_: Any,
    ) -> tuple[asyncio.Transport, Any]:
        _check_host(host)
        server = self.servers.get(port)
        if server is None:
            raise _refused((host, port))
        protocol = protocol_factory()
        if ssl is None:
            return self._join(protocol, server, port), protocol
        done: asyncio.Future[None] = self.create_future()
        records = SSLProtocol(
            self,
            protocol,
            ssl,
            done,
            server_hostname=server_hostname or host,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        transport = self._join(records, server, port)
        try:
            await done
        except BaseException:
            transport.close()
            raise
        secured: Any = records._app_transport  # noqa: SLF001  as asyncio's loops do
        return secured, protocol

    def _join(self, protocol: Any, server: MemoryServer, port: int) -> MemoryTransport:
        own = "127.0.0.1", self._free_port()
        return join_protocols(protocol, server.accept(), own, ("127.0.0.1", port))[0]

    async def create_datagram_endpoint(  # type: ignore[override]  # as above
        self,
        protocol_factory: Callable[[], asyncio.DatagramProtocol],
        local_addr: Address | None = None,
        remote_addr: Address | None = None,
        **_: Any,
    ) -> tuple[MemoryDatagrams, Any]:
        port = (local_addr[1] if local_addr else 0) or self._free_port()
        if port in self.datagrams:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        protocol = protocol_factory()
        transport = MemoryDatagrams(self, protocol, ("127.0.0.1", port), remote_addr and ("127.0.0.1", remote_addr[1]))
        self.datagrams[port] = transport
        protocol.connection_made(transport)
        return transport, protocol


async def listen(
    host: str,
    port: int,
    _registry: object,
    protocol: Callable[[], asyncio.Protocol],
    tls: ssl.SSLContext | None = None,
    tls_timeout: float = 0.0,
) -> MemoryServer:
    """Listens on the network of the running loop, a NetworkLoop; stands in for that of the reference node."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, NetworkLoop)
    return await loop.create_server(protocol, host, port, ssl=tls, ssl_handshake_timeout=tls_timeout or None)


def _refused(address: Address) -> ConnectionRefusedError:
    return ConnectionRefusedError(errno.ECONNREFUSED, f"Connect call failed {address}")


def _check_host(host: Any) -> None:
    """Raises socket.gaierror for a host that is not the loopback."""
    if host not in HOSTS:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
