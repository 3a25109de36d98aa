"""TCP and TLS: addresses, dialing, socket options."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from ..api.validation import MAX_PORT

KEEP_ALIVE: Final = 15
"""Seconds between TCP keep-alive probes of node connections (EHS-TIME-4)."""
TLS_SHUTDOWN_TIMEOUT: Final = 1.0


class SocketAddress(NamedTuple):
    """Host and port to dial. `tls`: None means plain TCP."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, dsn: str, tls: ssl.SSLContext | None) -> "SocketAddress | None":
        """Parses an address announced by a peer, "host:port" or "[v6]:port"; None if it is malformed."""
        host, _, port = dsn.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or len(port) > len(str(MAX_PORT)):
            return None
        if not 0 < int(port) <= MAX_PORT:
            return None
        return cls(host.strip("[]"), int(port), tls)


Dial = Callable[[Callable[[], asyncio.Protocol], SocketAddress], Awaitable[None]]
"""Opens a socket to an address and connects it to a new protocol object. Raises OSError."""


async def dial(protocol: Callable[[], asyncio.Protocol], endpoint: SocketAddress) -> None:
    """Opens a TCP or TLS socket. Raises OSError: ssl.SSLError, or socket.gaierror for text that can't be a host."""
    try:
        await asyncio.get_running_loop().create_connection(
            protocol,
            endpoint.host,
            endpoint.port,
            ssl=endpoint.tls,
            ssl_shutdown_timeout=None if endpoint.tls is None else TLS_SHUTDOWN_TIMEOUT,
        )
    except OSError:  # one of TLS is a ValueError, too
        raise
    except ValueError as error:  # a host with a NUL, or with a label of more than 63 characters
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from None


def tune(sock: socket.socket | None) -> None:
    """Sets TCP_NODELAY and keep-alive on a TCP socket of a connection."""
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    with contextlib.suppress(OSError):  # already disconnected
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    keep_alive(sock, KEEP_ALIVE)


def keep_alive(sock: socket.socket | None, seconds: int) -> None:
    """Sends TCP keep-alive probes after this many idle seconds, so that the loss of the other machine is noticed."""
    if sock is None:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)


def format_address(name: Any) -> str:
    """Formats a socket name as "host:port" or "[v6]:port"; empty if it has no address that can be dialed."""
    if not isinstance(name, tuple):
        return ""
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
