"""The end of a socket of the tester in one direction: FIN, over TLS after close_notify; what still arrives is read and dropped.

asyncio waits for the other side's close_notify instead, and resets the connection if bytes of the other side come before it.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any


class _Dropping(asyncio.Protocol):
    """Drops what arrives; reports the end of the TCP connection."""

    def __init__(self, lost: Callable[[Exception | None], None]) -> None:
        self._lost = lost

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)


def end_tls(transport: asyncio.Transport, lost: Callable[[Exception | None], None]) -> asyncio.Transport:
    """Ends a TLS connection in the direction of the other side; returns the TCP transport, which is read until its end.

    `lost` is called with the end of the TCP connection.  The names with an underscore exist since Python 3.11.
    """
    tls: Any = transport
    protocol: Any = tls._ssl_protocol  # noqa: SLF001  asyncio has no half-close over TLS
    tcp: asyncio.Transport = protocol._transport  # noqa: SLF001
    protocol._do_write()  # noqa: SLF001
    with contextlib.suppress(ssl.SSLError):  # it wants the other side's close_notify, which nobody waits for
        transport.get_extra_info("ssl_object").unwrap()
    protocol._process_outgoing()  # noqa: SLF001
    tls._closed = True  # noqa: SLF001
    tcp.set_protocol(_Dropping(lost))
    tcp.resume_reading()
    send_fin(tcp)
    return tcp


def send_fin(transport: asyncio.Transport) -> None:
    """Ends a TCP connection in the direction of the other side, which may have reset it just now."""
    try:
        transport.write_eof()
    except OSError:
        transport.abort()
