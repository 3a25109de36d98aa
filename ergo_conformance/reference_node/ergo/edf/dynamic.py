"""The fast readers of values that bring their type: at top level, and in `any` slots."""

import struct
from typing import Any

from ....model import types as t
from ....model.ergo.edf import MAX_DEPTH, Tag
from ....model.inferred import INFERRED_TYPES
from ....model.registry import Registry
from ....model.values import Typed
from .decoder import DecoderEmitter
from .runtime import DISPATCH, FailedError, unknown
from .source import Source
from .tables import DecodeTables

__all__ = ["DISPATCH"]

_U16 = struct.Struct(">H").unpack_from


def _nil(b: bytes, o: int, c: DecodeTables, d: int) -> tuple[Any, int]:  # noqa: ARG001  one signature for all
    return None, o


def _any(b: bytes, o: int, c: DecodeTables, d: int) -> tuple[Any, int]:
    """A bare 84 opens a further slot; a chain of them is a loop."""
    tag = int(Tag.ANY)
    while tag == Tag.ANY:
        d += 1
        if d > MAX_DEPTH:
            raise FailedError
        tag = b[o]
        o += 1
    return DISPATCH[tag](b, o, c, d)


def _registered(b: bytes, o: int, c: DecodeTables, d: int) -> tuple[Any, int]:
    """The first two bytes are an id, or the length of a name: the table has a reader for either."""
    return c.registered_ids[b[o : o + 2]](b, o + 2, c, d)


def _folded(b: bytes, o: int, c: DecodeTables, d: int) -> tuple[Any, int]:
    (n,) = _U16(b, o)
    start = o + 2
    o = start + n
    return c.folded[b[start:o]](b, o, c, d)


def _fill() -> None:
    """Scalars in an `any` slot: generated like the others, Typed where the Python value doesn't tell its type."""
    registry = Registry()
    natural = set(INFERRED_TYPES.values())
    for type_ in t.SCALARS.values():
        source = Source("def read(b, o, c, d):")
        emitter = DecoderEmitter(registry, lambda _: unknown, source)
        value = emitter.value(type_)
        if type_ not in natural:
            value = emitter.tuple_of(Typed, source.constant("type", type_), value)
        emitter.flush()
        source.add(f"return {value}, {emitter.here}")
        DISPATCH[type_.tag] = source.compile("read", f"any {type_.name}")
    DISPATCH[Tag.NIL] = _nil
    DISPATCH[Tag.ANY] = _any
    DISPATCH[Tag.REG] = _registered
    DISPATCH[Tag.FOLDED] = _folded


_fill()
