"""One side of a socket: its writer, its bytes, and the messages and frames in them."""

from dataclasses import dataclass

from ...errors import Reason
from ...model.ergo import ehs
from ...model.ergo.ehs import Message
from ...spec.ergo import ehs as handshake
from ...spec.ergo import enp as frames
from ...spec.ergo.stream import Direction


@dataclass(frozen=True, slots=True)
class Side:
    """The bytes that one node wrote on one socket, and the values read from them."""

    place: str
    """Socket and direction, as differences name them."""
    direction: str
    writer: str
    is_real: bool
    """True if a real node wrote it, so that its bytes have to be correct; otherwise a script did."""
    begins_later: bool
    """True if the recording began after the handshake, according to the metadata."""
    data: bytes
    read: Direction

    @property
    def kinds(self) -> tuple[type[Message], ...]:
        """The types of the handshake messages."""
        return tuple(type(message) for message in self.read.messages)

    @property
    def has_frames(self) -> bool:
        """True if bytes follow the handshake."""
        return self.read.handshake.refusal is None and len(self.data) > self.read.handshake.end

    @property
    def end(self) -> int:
        """The offset after the last whole frame, where reading stopped."""
        return self.read.frames[-1].end if self.read.frames else self.read.handshake.end

    @property
    def next_size(self) -> int | None:
        """The length of the frame at `end` according to its header; None without a whole header."""
        rest = self.data[self.end : self.end + ehs.HEADER_LENGTH + 2]
        return handshake.frame_size(rest) if rest[:1] == bytes([ehs.MAGIC]) else frames.frame_size(rest)

    @property
    def ends_inside_a_frame(self) -> bool:
        """True if the bytes end before the end of a frame that is valid so far."""
        if self.read.refusal is None or self.read.refusal.reason is not Reason.END_OF_DATA:
            return False
        size = self.next_size
        return size is None or self.end + size > len(self.data)
