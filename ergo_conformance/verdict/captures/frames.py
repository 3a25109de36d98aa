"""Frames of real nodes on established links: both readers find the same, both writers make the same bytes of it."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from ...errors import CannotEncode, Rejected
from ...model import types as t
from ...model.compare import same
from ...model.ergo import enp
from ...model.ergo.enp import Compressed
from ...model.inferred import infer_type
from ...model.registry import Marshaler, Newtype, Registry, Struct
from ...model.types import ANY, Array, Map, Reg, Scalar, Slice, Type
from ...model.values import Error
from ...reference_node.ergo.enp.codec import FrameDecoder, FrameEncoder
from ...reference_node.ergo.enp.compression import uncompress
from ...spec.ergo.edf import EdfContext
from ...spec.ergo.enp import read_frame, write_frame
from ...spec.ergo.stream import ReadFrame
from ..vectors.edf import Difference
from .sides import Side

MAX_UNPACKED: Final = 1 << 26
"""Bytes that a script's compressed frame may unpack to."""
SHOWN: Final = 24  # bytes on either side of a difference
_LENGTH: Final = range(2, 6)  # follows from the rest


class FrameChecker:
    """Counts frames, and collects what differs."""

    def __init__(self) -> None:
        self.frames = self.compressed = 0
        self.differences: list[Difference] = []
        self._codecs: dict[int, tuple[EdfContext, FrameDecoder, FrameEncoder]] = {}

    def direction(self, side: Side) -> None:
        """What a real node wrote on one link."""
        for frame in side.read.frames:
            self.frames += 1
            where = f"{side.where} offset {frame.start}"
            again = self._frame(where, frame, side.data[frame.start : frame.end])
            if frame.inner is not None and again is not None:
                self.compressed += 1
                self._inside(where, frame, again)

    def script(self, side: Side, context: EdfContext) -> None:
        """What a script wrote: the node, too, gives values or refusals."""
        decoder, _ = self._codec(context)
        size = side.size_of_next
        behind = side.data[side.end : side.end + (size or 0)]
        for data in (*(side.data[frame.start : frame.end] for frame in side.read.frames), behind):
            with suppress(Rejected):
                found = decoder.read(data)
                if isinstance(found, Compressed):
                    decoder.read(uncompress(found, MAX_UNPACKED))

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

    def _frame(self, where: str, frame: ReadFrame, data: bytes) -> Any:
        """Reads with the node what the schema read, writes it again with both. The node's frame; None if it refuses."""
        decoder, encoder = self._codec(frame.context)
        try:
            again = decoder.read(data)
        except Rejected as refusal:
            self._fail(where, f"the node refuses what the schema reads: {refusal}")
            return None
        if not same_frame(frame.value, again, frame.context.registry):
            self._fail(where, "the two readers find different values")
        for text in unusual(frame):
            self._fail(where, text)
        value = plain_frame(frame.value)
        for name, write in (("schema", lambda f: write_frame(f, frame.context)), ("node", encoder.write)):
            try:
                written = write(value)
            except CannotEncode as error:
                self._fail(where, f"the {name} can't write it again: {error}")
                continue
            if masked(written) != masked(data):
                self._fail(where, f"the {name} writes it otherwise: {_parting(data, written, frame.context)}")
        return again

    def _inside(self, where: str, frame: ReadFrame, again: Compressed) -> None:
        """The same for the frame inside, unpacked by the node."""
        assert frame.inner is not None
        try:
            unpacked = uncompress(again, max(again.length, enp.HEADER_LENGTH))
        except Rejected as refusal:
            self._fail(where, f"the node can't unpack it: {refusal}")
            return
        if unpacked != frame.inner_bytes:
            self._fail(where, "the node unpacks it to other bytes")
        self._frame(f"{where}, inside", frame.inner, frame.inner_bytes)


# --- frames made anew -------------------------------------------------------------------------------------------------


def plain_frame(frame: Any) -> Any:
    """A frame made anew of plain values. The message id of one that is not important is no value: it is masked."""
    if type(frame) is Compressed:
        return Compressed(frame.order, frame.algorithm, frame.length, bytes(frame.stream))
    if hasattr(frame, "mid") and not frame.priority & enp.IMPORTANT:
        return frame._replace(mid=0)
    return type(frame)(*frame)


def masked(data: bytes) -> bytes:
    """A frame with zeros where nothing is specified: the message id without the important bit (ENP-PID-1)."""
    free = data[enp.HEADER_LENGTH - 1] in enp.MAY_BE_IMPORTANT and not data[enp.MID.start - 1] & enp.IMPORTANT
    return data[: enp.MID.start] + bytes(enp.MID.stop - enp.MID.start) + data[enp.MID.stop :] if free else data


def same_frame(a: Any, b: Any, registry: Registry) -> bool:
    """Whether two frames are the same to the protocol."""
    if type(a) is not type(b):
        return False
    return all(_same_part(x, y, registry) for x, y in zip(a, b, strict=True))


def _same_part(x: Any, y: Any, registry: Registry) -> bool:
    if isinstance(x, Error) and isinstance(y, Error):
        return x.text == y.text
    return same(x, y, registry) if not isinstance(x, tuple) or hasattr(x, "_fields") else x == y


# --- what written bytes would not show --------------------------------------------------------------------------------


def unusual(frame: ReadFrame) -> Iterator[str]:
    """What a value keeps of its bytes beside what it means: an error as text that has an id, a payload in another form.

    Everything else is not in the value, so that writing it again shows it.
    """
    ids = frame.context.error_ids
    for value in frame.value:
        for kind, leaf in leaves(value, frame.context.registry):
            if kind is t.ERROR and leaf is not None and not leaf.registered and leaf.text in ids:
                yield f"the error {leaf.text!r} goes as text, although it was announced as {ids[leaf.text]}"
            if isinstance(kind, Marshaler) and kind.payload.canonical(leaf) != leaf:
                yield f"a payload of {kind.name} that its type writes otherwise: {leaf.hex()}"


def leaves(value: Any, registry: Registry) -> Iterator[tuple[Type | Marshaler, Any]]:
    """The scalars and payloads in a value, each with what it is."""
    todo: list[tuple[Any, Type]] = [(value, ANY)] if _is_value(value) else []
    while todo:
        found, type_ = todo.pop()
        if type_ is ANY and found is not None:
            type_, found = infer_type(found, registry)
        row = registry.get(type_.name) if isinstance(type_, Reg) else None
        if isinstance(row, Marshaler):
            yield row, found
        elif isinstance(row, Struct):
            todo += [(part, field) for part, (_, field) in zip(found, row.fields, strict=True)]
        else:
            base = row.base if isinstance(row, Newtype) else type_
            if found is None or isinstance(base, Scalar):
                yield base, found
            elif isinstance(base, Map):
                todo += [part for key, item in found.items() for part in ((key, base.key), (item, base.value))]
            elif isinstance(base, Slice | Array):
                todo += [(item, base.item) for item in found]


def _is_value(part: Any) -> bool:
    """Words (three numbers) are fields of a frame, not values of EDF."""
    return type(part) is not tuple


def _parting(wanted: bytes, found: bytes, context: EdfContext) -> str:
    """The first place where two frames part, with its path, in hex around it."""
    pairs = enumerate(zip(masked(wanted), masked(found), strict=False))
    parting = (i for i, (x, y) in pairs if x != y and i not in _LENGTH)
    at = next(parting, min(len(wanted), len(found)))
    parsed = read_frame(wanted, context)
    try:
        path = "?" if isinstance(parsed, Rejected) else parsed.at(at).path or "(header)"
    except KeyError:
        path = "(end)"
    window = slice(max(0, at - 4), at + SHOWN)
    return f"offset {at}, {path}: …{wanted[window].hex()}… on the wire, …{found[window].hex()}… written"
