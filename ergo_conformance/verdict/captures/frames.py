"""Checks frames of real nodes: both readers read the same value, both writers write it to the same bytes."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from ...errors import Rejected
from ...model import types as t
from ...model.ergo import enp
from ...model.ergo.enp import Compressed
from ...model.inferred import infer_type
from ...model.registry import Marshaler, Newtype, Registry, Struct
from ...model.types import ANY, Array, Map, Reg, Scalar, Slice, Type
from ...reference_node.ergo.enp.codec import FrameDecoder, FrameEncoder
from ...reference_node.ergo.enp.compression import uncompress
from ...spec.ergo.edf import EdfContext
from ...spec.ergo.enp import read_frame, write_frame
from ...spec.ergo.stream import ReadFrame
from ..vectors.codecs import write_differences
from ..vectors.difference import first_difference, path_at, written_difference
from ..vectors.frames import same_frame
from .result import CaptureResult
from .sides import Side

LENGTH_FIELD: Final = range(2, 6)
"""Offsets of the frame length, which follows from the other bytes: the search for the first difference skips them."""


class FrameChecker:
    """Checks frames, and counts them."""

    def __init__(self, result: CaptureResult) -> None:
        self.result = result
        self._codecs: dict[int, tuple[EdfContext, FrameDecoder, FrameEncoder]] = {}

    def check_side(self, side: Side) -> None:
        """Checks the frames of a real node on one socket."""
        for frame in side.read.frames:
            self.result.counts.frames += 1
            place = f"{side.place} offset {frame.start}"
            again = self._frame(place, frame, side.data[frame.start : frame.end])
            if frame.inner is not None and again is not None:
                self.result.counts.compressed += 1
                self._inner_frame(place, frame, again)

    def read_scripted_side(self, side: Side, context: EdfContext) -> None:
        """Lets the node read a script's frames: each gives a value or a refusal, no other exception."""
        decoder, _ = self._codec(context)
        unread = side.data[side.end : side.end + (side.next_size or 0)]
        for data in (*(side.data[frame.start : frame.end] for frame in side.read.frames), unread):
            with suppress(Rejected):
                frame = decoder.read(data)
                if isinstance(frame, Compressed):
                    decoder.read(uncompress(frame, enp.max_unpacked(len(frame.stream))))

    def _codec(self, context: EdfContext) -> tuple[FrameDecoder, FrameEncoder]:
        """Returns the node's reader and writer with the cache tables of a context."""
        known = self._codecs.get(id(context))
        if known is None:
            decoder = FrameDecoder(context.registry, context.caches)
            encoder = FrameEncoder(context.registry, context.caches)
            self._codecs[id(context)] = known = context, decoder, encoder
        return known[1:]

    def _frame(self, place: str, frame: ReadFrame, data: bytes) -> Any:
        """Checks a frame that the schema read. Returns it as the node reads it; None if the node refuses it."""
        decoder, encoder = self._codec(frame.context)
        try:
            again = decoder.read(data)
        except Rejected as refusal:
            self.result.add(place, f"node: refused: {refusal}")
            return None
        if not same_frame(frame.value, again, frame.context.registry):
            self.result.add(place, "node: read as another value")
        for text in hidden_differences(frame):
            self.result.add(place, text)

        def describe(written: bytes) -> str | None:
            return None if masked(written) == masked(data) else _difference(data, written, frame.context)

        writers = {"schema": lambda value: write_frame(value, frame.context), "node": encoder.write}
        for text in write_differences(writers, plain_frame(frame.value), describe):
            self.result.add(place, text)
        return again

    def _inner_frame(self, place: str, frame: ReadFrame, again: Compressed) -> None:
        """Checks the frame inside a compressed one, which the node read as `again`."""
        assert frame.inner is not None
        try:
            unpacked = uncompress(again, max(again.length, enp.HEADER_LENGTH))
        except Rejected as refusal:
            self.result.add(place, f"node: cannot decompress the frame: {refusal}")
            return
        if unpacked != frame.inner_bytes:
            self.result.add(place, "node: decompresses the frame to other bytes")
        self._frame(f"{place}, inner frame", frame.inner, frame.inner_bytes)


# --- frames written again ----------------------------------------------------------------------------------------------


def plain_frame(frame: Any) -> Any:
    """Returns a copy of plain values. The message id without the important bit is 0, because it is unspecified."""
    if type(frame) is Compressed:
        return Compressed(frame.order, frame.algorithm, frame.length, bytes(frame.stream))
    if hasattr(frame, "mid") and not frame.priority & enp.IMPORTANT:
        return frame._replace(mid=0)
    return type(frame)(*frame)


def masked(data: bytes) -> bytes:
    """Returns a frame with zeros for unspecified bytes: the message id without the important bit (ENP-PID-1)."""
    free = data[enp.HEADER_LENGTH - 1] in enp.MAY_BE_IMPORTANT and not data[enp.MID.start - 1] & enp.IMPORTANT
    return data[: enp.MID.start] + bytes(enp.MID.stop - enp.MID.start) + data[enp.MID.stop :] if free else data


def _difference(recorded: bytes, written: bytes, context: EdfContext) -> str:
    at = first_difference(masked(recorded), masked(written), LENGTH_FIELD)
    return written_difference(recorded, written, at, path_at(read_frame(recorded, context), at, "(header)"))


# --- differences that do not change the written bytes -------------------------------------------------------------------


def hidden_differences(frame: ReadFrame) -> Iterator[str]:
    """Yields unexpected forms that a value keeps, so that it is written to the same bytes.

    These are errors written as text although they have an id, and payloads that are not in canonical form.
    """
    ids = frame.context.error_ids
    for value in frame.value:
        for kind, leaf in leaves(value, frame.context.registry):
            if kind is t.ERROR and leaf is not None and not leaf.registered and leaf.text in ids:
                yield f"the error {leaf.text!r} is written as text, although id {ids[leaf.text]} was announced for it"
            if isinstance(kind, Marshaler) and kind.payload.canonical(leaf) != leaf:
                yield f"the payload of {kind.name} is not in canonical form: {leaf.hex()}"


def leaves(value: Any, registry: Registry) -> Iterator[tuple[Type | Marshaler, Any]]:
    """Yields the scalars and payloads inside a value, each after its type."""
    todo: list[tuple[Any, Type]] = [(value, ANY)] if _is_edf_value(value) else []
    while todo:
        item, type_ = todo.pop()
        if type_ is ANY and item is not None:
            type_, item = infer_type(item, registry)
        row = registry.get(type_.name) if isinstance(type_, Reg) else None
        if isinstance(row, Marshaler):
            yield row, item
        elif isinstance(row, Struct):
            todo += [(part, field) for part, (_, field) in zip(item, row.fields, strict=True)]
        else:
            base = row.base if isinstance(row, Newtype) else type_
            if item is None or isinstance(base, Scalar):
                yield base, item
            elif isinstance(base, Map):
                todo += [part for key, each in item.items() for part in ((key, base.key), (each, base.value))]
            elif isinstance(base, Slice | Array):
                todo += [(each, base.item) for each in item]


def _is_edf_value(part: Any) -> bool:
    """Returns whether a field is an EDF value; a plain tuple is a reference of three words."""
    return type(part) is not tuple
