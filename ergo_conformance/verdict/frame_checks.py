"""Frames of real nodes on established links: both readers find the same, both writers make the same bytes of it."""

from typing import Any

from ..errors import CannotEncode, Rejected
from ..model import enp
from ..model.compare import same
from ..model.enp import Compressed
from ..model.registry import Registry
from ..model.terms import Error
from ..reference_node.ergo.enp.codec import FrameDecoder, FrameEncoder
from ..reference_node.ergo.enp.compression import uncompress
from ..spec.edf import EdfContext
from ..spec.enp import write_frame
from ..spec.stream import Direction, ReadFrame
from .vectors import Difference

_HEAD = enp.HEADER_LENGTH


class FrameChecker:
    """Counts frames, and collects what differs."""

    def __init__(self) -> None:
        self.frames = self.compressed = 0
        self.differences: list[Difference] = []
        self._codecs: dict[int, tuple[EdfContext, FrameDecoder, FrameEncoder]] = {}

    def direction(self, where: str, read: Direction, data: bytes) -> None:
        """What one real node wrote on one link; `data`: all of it."""
        for frame in read.frames:
            self.frames += 1
            at = f"{where} offset {frame.start}"
            self._frame(at, frame, data[frame.start : frame.end])
            if frame.inner is not None:
                self.compressed += 1
                self._inner(at, frame)

    def _fail(self, where: str, text: str) -> None:
        self.differences.append(Difference(where, text))

    def _codec(self, context: EdfContext) -> tuple[FrameDecoder, FrameEncoder]:
        """The node's reader and writer with the tables of this context."""
        found = self._codecs.get(id(context))
        if found is None:
            decoder = FrameDecoder(context.registry, context.caches)
            encoder = FrameEncoder(context.registry, context.caches)
            self._codecs[id(context)] = found = context, decoder, encoder
        return found[1:]

    def _frame(self, where: str, frame: ReadFrame, data: bytes) -> None:
        decoder, encoder = self._codec(frame.context)
        try:
            again = decoder.read(data)
        except Rejected as refusal:
            self._fail(where, f"the node refuses what the schema reads: {refusal}")
            return
        if not same_frame(frame.value, again, frame.context.registry):
            self._fail(where, "the two readers find different values")
        value = plain_frame(frame.value)
        for name, write in (("schema", lambda f: write_frame(f, frame.context)), ("node", encoder.write)):
            try:
                written = write(value)
            except CannotEncode as error:
                self._fail(where, f"the {name} can't write it again: {error}")
                continue
            if masked(written) != masked(data):
                self._fail(where, f"the {name} writes it otherwise: {_parting(masked(data), masked(written))}")

    def _inner(self, where: str, frame: ReadFrame) -> None:
        assert frame.inner is not None
        try:
            unpacked = uncompress(frame.value, max(frame.value.length, _HEAD))
        except Rejected as refusal:
            self._fail(where, f"the node can't unpack it: {refusal}")
            return
        if unpacked != frame.inner_bytes:
            self._fail(where, "the node unpacks it to other bytes")
        self._frame(f"{where}, inside", frame.inner, frame.inner_bytes)


def plain_frame(frame: Any) -> Any:
    """A frame made anew of plain values. The message id of one that is not important is no value: it is masked."""
    if type(frame) is Compressed:
        return Compressed(frame.order, frame.algorithm, frame.length, bytes(frame.stream))
    if hasattr(frame, "mid") and not frame.priority & enp.IMPORTANT:
        return frame._replace(mid=0)
    return type(frame)(*frame)


def masked(data: bytes) -> bytes:
    """A frame with zeros where nothing is specified: the message id without the important bit (ENP-PID-1)."""
    if data[_HEAD - 1] not in enp.MAY_BE_IMPORTANT or data[enp.MID.start - 1] & enp.IMPORTANT:
        return data
    width = enp.MID.stop - enp.MID.start
    return data[: enp.MID.start] + bytes(width) + data[enp.MID.stop :]


def same_frame(a: Any, b: Any, registry: Registry) -> bool:
    """Whether two frames are the same to the protocol."""
    if type(a) is not type(b):
        return False
    return all(_same_part(x, y, registry) for x, y in zip(a, b, strict=True))


def _same_part(x: Any, y: Any, registry: Registry) -> bool:
    if isinstance(x, Error) and isinstance(y, Error):
        return x.text == y.text
    return same(x, y, registry) if not isinstance(x, tuple) or hasattr(x, "_fields") else x == y


def _parting(wanted: bytes, found: bytes) -> str:
    """The first place where two frames part, in hex around it."""
    at = next((i for i, (x, y) in enumerate(zip(wanted, found, strict=False)) if x != y), min(len(wanted), len(found)))
    window = slice(max(0, at - 4), at + 24)
    return f"offset {at}: …{wanted[window].hex()}… on the wire, …{found[window].hex()}… written"
