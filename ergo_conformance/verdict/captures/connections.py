"""Checks the sockets of a capture that begin with a handshake, and the frames on them."""

from collections.abc import Iterator

from ...model.ergo.ehs import Role
from ...spec.ergo.edf import EdfContext
from ..vectors.difference import Difference
from .frames import FrameChecker
from .handshake import HandshakeChecker
from .load import Capture
from .reader import CaptureReader
from .registries import registry_for
from .result import CaptureResult
from .sides import Side

SHOWN = 32
"""Bytes shown from the offset of a refusal on."""


class ConnectionChecker:
    """Checks handshakes (EHS) and frames (ENP) of a capture; `only`: ehs, enp, or None for both."""

    def __init__(self, capture: Capture, result: CaptureResult, only: str | None) -> None:
        self.capture, self.result, self.only = capture, result, only
        self.reader = CaptureReader(capture)
        self.handshakes, self.frames = HandshakeChecker(capture, result), FrameChecker(result)

    def check(self) -> None:
        """Checks all sockets, in the order in which they were opened."""
        sockets = self.reader.sockets()
        self.result.counts.sockets += len(sockets)
        for socket in sockets:
            self._socket(socket, self.reader.read(socket))
        if sockets:
            self.result.differences += self._dialer(sockets[0])

    def _socket(self, socket: str, sides: dict[Role, Side]) -> None:
        if self.only != "enp":
            self.handshakes.check(f"socket {socket}", sides)
        for side in sides.values():
            self.result.counts.bytes += len(side.data)
            if side.is_real:
                self.result.differences += self._end(socket, side)
                if self.only != "ehs":
                    self.frames.check_side(side)
            else:
                self.result.counts.refused += side.read.refusal is not None
                self.frames.read_scripted_side(side, EdfContext(registry_for(self.capture, side.direction)))

    def _end(self, socket: str, side: Side) -> Iterator[Difference]:
        """Checks that a real node's stream is read to its end, unless the metadata state where the recording stops."""
        capture, refusal = self.capture, side.read.refusal
        yield from capture.defects(socket, side.direction)
        if side.data and not side.kinds and not side.begins_later and refusal is None:
            yield Difference(side.place, f"does not begin with a handshake: {side.data[:16].hex()}")
        if refusal is None or (self.only == "ehs" and side.read.handshake.refusal is None):
            return
        if side.ends_inside_a_frame and capture.is_cut(socket, side.direction, "end"):
            return
        rest = side.data[side.end : side.end + SHOWN].hex()
        yield Difference(side.place, f"refused at offset {side.end}: {refusal}; {rest}")

    def _dialer(self, socket: str) -> Iterator[Difference]:
        """Checks that the node that opened the first socket is the dialer of the metadata."""
        direction = self.capture.dialer(socket)
        expected, actual = self.capture.meta.get("dialer"), self.capture.writer(direction)
        if expected and expected != actual and not self.capture.is_cut(socket, direction, "start"):
            yield Difference(f"socket {socket}", f"opened by {actual!r}, the dialer in the metadata is {expected!r}")
