"""The links of a peer: the frames that come over each."""

from dataclasses import dataclass
from typing import Any

from ...errors import Rejected
from ...model.ergo import enp
from ...spec.ergo import enp as frames
from ...spec.ergo.edf import EdfContext
from ...spec.ergo.stream import ReadFrame, read_one
from .handshake import Dialer


@dataclass(frozen=True, slots=True)
class Received:
    """A frame of the target: the link it came over (0: the first), its value, and the compressed one around it."""

    line: int
    value: Any
    outer: enp.Compressed | None = None

    @classmethod
    def of(cls, line: int, read: ReadFrame) -> "Received":
        """What was read, without the compressed frame around it."""
        return cls(line, read.value) if read.inner is None else cls(line, read.inner.value, read.value)


class Line:
    """One link of the peer."""

    def __init__(self, dialer: Dialer, number: int, context: EdfContext) -> None:
        self.dialer, self.number, self.context = dialer, number, context
        self._held = dialer.take_rest()

    def next(self) -> ReadFrame | Rejected | None:
        """The next frame that has come whole, or why the bytes are none."""
        self._held += self.dialer.link.read_now()
        size = frames.frame_size(self._held)
        if size is None or (size >= enp.HEADER_LENGTH and len(self._held) < size):
            wrong = self._held[:1] not in (b"", bytes([enp.MAGIC]))
            return read_one(self._held.ljust(enp.HEADER_LENGTH, b"\0"), 0, self.context) if wrong else None
        read = read_one(self._held, 0, self.context)
        self._held = self._held[max(size, 1) :]
        return read

    @property
    def is_open(self) -> bool:
        """Whether the target has not closed it, as far as we have seen."""
        return not self.dialer.link.eof
