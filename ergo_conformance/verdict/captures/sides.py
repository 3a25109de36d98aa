"""One side of a link: who wrote it, its bytes, and what was read of them."""

from dataclasses import dataclass

from ...errors import Reason
from ...model.ergo import ehs
from ...model.ergo.ehs import Message
from ...spec.ergo import ehs as handshake
from ...spec.ergo import enp as frames
from ...spec.ergo.stream import Direction


@dataclass(frozen=True, slots=True)
class Side:
    """What one side wrote on one link."""

    where: str
    direction: str
    writer: str
    real: bool
    """A real node wrote it: what stands there has to be right."""
    begins_later: bool
    """The recording says that it began behind the handshake."""
    data: bytes
    read: Direction

    @property
    def kinds(self) -> tuple[type[Message], ...]:
        """The handshake messages."""
        return tuple(type(message) for message in self.read.messages)

    @property
    def goes_on(self) -> bool:
        """Whether anything comes behind the handshake."""
        return self.read.handshake.refusal is None and len(self.data) > self.read.handshake.end

    @property
    def end(self) -> int:
        """Where reading stopped: behind the last whole frame."""
        return self.read.frames[-1].end if self.read.frames else self.read.handshake.end

    @property
    def size_of_next(self) -> int | None:
        """How long the frame there would be; None if not even its header is there."""
        rest = self.data[self.end : self.end + ehs.HEADER_LENGTH + 2]
        return handshake.frame_size(rest) if rest[:1] == bytes([ehs.MAGIC]) else frames.frame_size(rest)

    @property
    def ends_inside_a_frame(self) -> bool:
        """Whether the bytes stop before the end of a frame that is good so far."""
        if self.read.refusal is None or self.read.refusal.reason is not Reason.END_OF_DATA:
            return False
        size = self.size_of_next
        return size is None or self.end + size > len(self.data)
