"""Splits the bytes of a socket into packets: frames of EHS and ENP, packets of the registrars."""

from collections.abc import Callable
from typing import Final, NamedTuple

from .sockets import PeerSocket
from .violation import ViolationError

MAX_HELD: Final = 1 << 26
"""Bytes of an incomplete packet that are held, a limit of the tester: a header of ENP can announce 4 GiB."""


class PacketFormat(NamedTuple):
    """Format of a packet's header. `size`: returns the bytes of a whole packet, given the `header_length` bytes of its header.

    A packet starts with the byte `magic` and has from `shortest` to `longest` bytes.
    """

    magic: int
    header_length: int
    size: Callable[[bytes], int | None]
    shortest: int
    longest: int


class PacketReader:
    """Reads whole packets from one socket. Work is linear in the received bytes."""

    def __init__(self, socket: PeerSocket, form: PacketFormat, start: bytes = b"") -> None:
        """`start`: bytes of the socket that were read before."""
        self.socket, self.form = socket, form
        self._buffer = bytearray(start)

    @property
    def incomplete(self) -> int:
        """Bytes received of a packet that is not whole."""
        return len(self._buffer)

    def missing(self) -> str:
        """Words about a packet that is not whole, to end a sentence; empty if there is none."""
        if not self._buffer:
            return ""
        size = self.form.size(bytes(self._buffer[: self.form.header_length]))
        if size is None:
            return f", after {len(self._buffer)} bytes of a header"
        return f"; the header announces {size:,} bytes, {len(self._buffer):,} came"

    async def read(self, within: float) -> bytes | None:
        """The next packet; b"" when the socket has ended; None when no whole packet arrived in `within` seconds.

        Bytes that cannot begin a packet are returned as they are: a parser refuses them. ViolationError beyond MAX_HELD.
        """
        deadline = self.socket.now() + within
        while (packet := self._next()) is None:
            chunk = await self.socket.read(deadline - self.socket.now())
            if not chunk:
                return chunk
            self._buffer += chunk
        return packet

    def read_now(self) -> bytes | None:
        """The next packet, without waiting; None while no packet is whole. ViolationError beyond MAX_HELD."""
        if (packet := self._next()) is None:
            self._buffer += self.socket.read_now()
            packet = self._next()
        return packet

    def take_rest(self) -> bytes:
        """Removes and returns the bytes behind the last packet: the next protocol begins with them."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _next(self) -> bytes | None:
        if not self._buffer:
            return None
        size = self._size()
        if size is None or len(self._buffer) < size:
            if len(self._buffer) > MAX_HELD:
                raise ViolationError(
                    f"{len(self._buffer):,} bytes of a packet of {size:,} bytes; the tester holds {MAX_HELD:,} at most"
                )
            return None
        packet = bytes(self._buffer[:size])
        del self._buffer[:size]
        return packet

    def _size(self) -> int | None:
        """Bytes of the packet at the start; of bytes that are not a packet: all; None while the header is not whole."""
        if self._buffer[0] != self.form.magic:
            return len(self._buffer)
        size = self.form.size(bytes(self._buffer[: self.form.header_length]))
        if size is not None and not self.form.shortest <= size <= self.form.longest:
            return len(self._buffer)
        return size
