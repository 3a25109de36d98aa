"""Cuts the bytes of one link into frames."""

from collections.abc import Iterator
from struct import Struct
from typing import Final

from ....errors import Reason, Rejected
from ....model.ergo import enp

_HEAD: Final = Struct(">HI").unpack_from
_START: Final = enp.MAGIC << 8 | enp.VERSION
_START_LENGTH: Final = 2


class Framer:
    """Bytes in, whole frames out. Nothing is reserved for a frame before its bytes come.

    A long frame is collected chunk by chunk and joined once, so the work stays linear.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of the longest frame that is accepted."""
        self.limit = limit
        self.taken = 0
        """Bytes cut so far: where the frame that is refused begins."""
        self._chunks: list[bytes] = []
        self._held = 0
        self._wanted = enp.HEADER_LENGTH

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are whole now. Raises Rejected, behind the frames that were good, when no more can be cut."""
        if self._chunks:
            self._chunks.append(data)
            before, self._held = self._held, self._held + len(data)
            if self._held < self._wanted:
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
                self._wanted = length
                break
            yield data[offset : offset + length]
            offset += length
            self.taken += length
        else:
            self._wanted = enp.HEADER_LENGTH
        if offset < end:
            self._chunks = [data[offset:]]
            self._held = end - offset
            self._check_start()

    def _check_start(self) -> None:
        """A wrong first or second byte shows before a header is there."""
        first = b"".join(self._chunks)[:_START_LENGTH]
        if not _START.to_bytes(_START_LENGTH, "big").startswith(first):
            self._refuse(int.from_bytes(first.ljust(_START_LENGTH, b"\0"), "big"), enp.HEADER_LENGTH)

    def _refuse(self, start: int, length: int) -> None:
        if start != _START:
            raise Rejected(Reason.MAGIC, "", self.taken, f"{start:04x} where {_START:04x} belongs")
        raise Rejected(
            Reason.LENGTH,
            "length",
            self.taken,
            f"{length:,}, between {enp.HEADER_LENGTH} and {self.limit:,} are allowed",
        )
