"""UDP on all addresses of a machine: a reply leaves from the address that the request was sent to.

One socket for IPv4 and IPv6, as in upstream: where "localhost" is also ::1, upstream's resolvers send there.
"""

import socket
import struct
import sys
from typing import Any, Final

Control = tuple[int, int, bytes]
"""Level, type and data of an ancillary message."""

_PKTINFO4: Final = struct.Struct("=I4s4s")  # interface, local address, destination
_PKTINFO6: Final = struct.Struct("=16sI")  # local address, interface
_IP_PKTINFO: Final = 8
"""Socket option of Linux; Python 3.11 has no name for it."""
_LINK_LOCAL: Final = 0xFE80, 0xFFC0
"""Link-local addresses, valid on one interface only: the first 16 bits, and their mask."""


class WildcardSocket:
    """A non-blocking datagram socket on all addresses."""

    def __init__(self, port: int) -> None:
        """Raises OSError if the port is taken on IPv4 or IPv6."""
        self.socket = _dual_stack() or socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.setblocking(False)
            if self.socket.family == socket.AF_INET and sys.platform == "linux":
                self.socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            self.socket.bind(("", port))
        except OSError:
            self.socket.close()
            raise

    def receive(self, size: int) -> tuple[bytes, tuple[list[Control], Any]]:
        """Returns the next datagram, cut to `size` bytes, and its origin for `answer`. OSError if there is none."""
        data, controls, _, client = self.socket.recvmsg(size, socket.CMSG_SPACE(_PKTINFO6.size))
        return data, ([_as_source(control) for control in controls], client)

    def answer(self, data: bytes, origin: tuple[list[Control], Any]) -> None:
        """Sends a reply to the sender of a datagram, from the address it was sent to. Raises OSError."""
        controls, client = origin
        self.socket.sendmsg([data], controls, 0, client)

    def close(self) -> None:
        self.socket.close()


def _dual_stack() -> socket.socket | None:
    """Makes a socket for IPv4 and IPv6; None without IPv6."""
    if not socket.has_dualstack_ipv6():
        return None
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    return made


def _as_source(control: Control) -> Control:
    """Turns the arrival address of a datagram into the source address of a reply; the kernel chooses the interface."""
    level, kind, data = control
    if level == socket.IPPROTO_IP:
        _, local, _ = _PKTINFO4.unpack(data)
        return level, kind, _PKTINFO4.pack(0, local, bytes(4))
    local, interface = _PKTINFO6.unpack(data)
    bits, mask = _LINK_LOCAL
    return level, kind, _PKTINFO6.pack(local, interface if int.from_bytes(local[:2], "big") & mask == bits else 0)
