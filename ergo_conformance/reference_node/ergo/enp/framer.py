"""Splits the byte stream of one socket into frames."""

from collections.abc import Iterator
from struct import Struct
from typing import Final

from ....errors import Reason, Rejected
from ....model.ergo import enp

_HEAD: Final = Struct(">HI").unpack_from
_START: Final = enp.MAGIC << 8 | enp.VERSION
_START_LENGTH: Final = 2


class Framer:
    """Takes received bytes and returns complete frames. Allocates nothing for a frame before its bytes arrive.

    A long frame is collected as chunks and joined once, so the work is linear.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: maximum size of a frame in bytes."""
        self.limit = limit
        self.consumed = 0
        """Total bytes of the frames returned so far: the stream offset of the next frame."""
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._needed = enp.HEADER_LENGTH

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Returns the complete frames. Raises Rejected, after the valid frames, at the first invalid header."""
        if self._chunks:
            self._chunks.append(data)
            before, self._buffered = self._buffered, self._buffered + len(data)
            if self._buffered < self._needed:
                if before < _START_LENGTH:
                    self._check_start()
                return
            data = b"".join(self._chunks)
            self._chunks = []
        offset, end = 0, len(data)
        while end - offset >= enp.HEADER_LENGTH:
            start, length = _HEAD(data, offset)
            if start != _START or not enp.HEADER_LENGTH <= length <= self.limit:
                self._refuse(start, length)
            if end - offset < length:
                self._needed = length
                break
            yield data[offset : offset + length]
            offset += length
            self.consumed += length
        else:
            self._needed = enp.HEADER_LENGTH
        if offset < end:
            self._chunks = [data[offset:]]
            self._buffered = end - offset
            self._check_start()

    def _check_start(self) -> None:
        """Checks the first two bytes before the header is complete."""
        first = b"".join(self._chunks)[:_START_LENGTH]
        if not _START.to_bytes(_START_LENGTH, "big").startswith(first):
            self._refuse(int.from_bytes(first.ljust(_START_LENGTH, b"\0"), "big"), enp.HEADER_LENGTH)

    def _refuse(self, start: int, length: int) -> None:
        if start != _START:
            raise Rejected(Reason.MAGIC, "", self.consumed, f"{start:04x}, expected {_START:04x}")
        raise Rejected(
            Reason.LENGTH,
            "length",
            self.consumed,
            f"{length:,}, allowed {enp.HEADER_LENGTH} to {self.limit:,}",
        )
