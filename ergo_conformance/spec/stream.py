"""Whole directions of a connection: the handshake frames at the start, and where they end."""

from dataclasses import dataclass

from ..errors import Rejected
from ..model import ehs
from .ehs import read_frame
from .parse import Parsed


@dataclass(frozen=True, slots=True)
class HandshakeFrames:
    """The handshake frames of one direction, and where the next protocol (or the first bad frame) begins."""

    frames: tuple[Parsed, ...]
    starts: tuple[int, ...]
    end: int
    refusal: Rejected | None


def read_handshake(data: bytes) -> HandshakeFrames:
    """Reads handshake frames until other bytes begin. A frame that is refused ends the reading and is reported."""
    frames: list[Parsed] = []
    starts: list[int] = []
    offset = 0
    while offset < len(data) and (data[offset] == ehs.MAGIC or not frames):
        parsed = read_frame(data, offset=offset, prefix=True)
        if isinstance(parsed, Rejected):
            return HandshakeFrames(tuple(frames), tuple(starts), offset, parsed)
        frames.append(parsed)
        starts.append(offset)
        offset = parsed.end
    return HandshakeFrames(tuple(frames), tuple(starts), offset, None)
