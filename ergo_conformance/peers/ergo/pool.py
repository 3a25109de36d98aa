"""Frames that a peer receives over the sockets of its pool."""

from dataclasses import dataclass
from typing import Any, Final

from ...errors import Reason, Rejected
from ...model.ergo import enp
from ...spec.ergo.edf import EdfContext
from ...spec.ergo.enp import frame_size
from ...spec.ergo.stream import ReadFrame, read_one
from ..packet_reader import PacketFormat, PacketReader
from .handshake import SHOWN, HandshakePeer

_TYPES: Final = frozenset(enp.FrameType)
FORMAT: Final = PacketFormat(enp.MAGIC, enp.HEADER_LENGTH, frame_size, enp.HEADER_LENGTH, 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Received:
    """A frame of the target: the number of its socket in the pool (from 0), its value, and its Compressed frame or None.

    `data`: its bytes as they were received.
    """

    socket: int
    value: Any
    outer: enp.Compressed | None = None
    data: bytes = b""

    @classmethod
    def of(cls, socket: int, read: ReadFrame, data: bytes = b"") -> "Received":
        """Creates it from a read frame; of a compressed one the value is the inner frame."""
        if read.inner is None:
            return cls(socket, read.value, None, data)
        return cls(socket, read.inner.value, read.value, data)


class FrameReader:
    """Reads the frames of one socket after its handshake. `number`: that of the socket in the pool."""

    def __init__(self, endpoint: HandshakePeer, number: int, context: EdfContext) -> None:
        self.socket, self.number, self.context = endpoint.socket, number, context
        self._packets = PacketReader(endpoint.socket, FORMAT, endpoint.take_rest())
        self._last = b""

    def refusal(self, rejected: Rejected) -> str:
        """Words about the last frame, which was refused: the reason, and what its header announces."""
        note = ""
        if rejected.reason in (Reason.END_OF_DATA, Reason.LEFTOVER) and len(self._last) >= enp.HEADER_LENGTH:
            note = f"; the header announces {len(self._last):,} bytes"
        return f"{rejected}{note}; {self._last[:SHOWN].hex(' ', 4)}"

    def missing(self) -> str:
        """Words about a frame that is not whole, to end a sentence; empty if there is none."""
        return self._packets.missing()

    def read_now(self) -> Received | Rejected | None:
        """The next frame of a known type; None while none is whole; Rejected for bytes that are not a frame.

        Frames of unknown types are dropped, as by every receiver (ENP-HDR-6): a later release sends some to any peer.
        """
        while (data := self._packets.read_now()) is not None:
            if is_of_unknown_type(data):
                continue
            self._last = data
            read = read_one(data.ljust(enp.HEADER_LENGTH, b"\0"), 0, self.context)
            return read if isinstance(read, Rejected) else Received.of(self.number, read, data)
        return None


def is_of_unknown_type(data: bytes) -> bool:
    """Tells whether bytes are a whole frame of a type that this release does not know."""
    return (
        len(data) >= enp.HEADER_LENGTH
        and data[:2] == bytes([enp.MAGIC, enp.VERSION])
        and frame_size(data[: enp.HEADER_LENGTH]) == len(data)
        and data[enp.HEADER_LENGTH - 1] not in _TYPES
    )
