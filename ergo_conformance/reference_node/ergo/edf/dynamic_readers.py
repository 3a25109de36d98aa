"""Fast readers of values with descriptor, at top level and in `any` slots."""

import struct
from typing import Any

from ....model import types as t
from ....model.ergo.edf import MAX_DEPTH, Tag
from ....model.inferred import INFERRED_TYPES
from ....model.registry import Registry
from ....model.values import Typed
from .function_source import FunctionSource
from .reader_generator import ReaderGenerator
from .runtime import DISPATCH, FastPathError, no_fast_reader
from .tables import DecodeTables

__all__ = ["DISPATCH"]

_U16 = struct.Struct(">H").unpack_from


def _nil(b: bytes, o: int, c: DecodeTables, d: int) -> tuple[Any, int]:  # noqa: ARG001  one signature for all
    return None, o


def _any(b: bytes, o: int, c: DecodeTables, d: int) -> tuple[Any, int]:
    """Reads an `any` slot inside an `any` slot (tag 84); a chain of them is read in a loop."""
    tag = int(Tag.ANY)
    while tag == Tag.ANY:
        d += 1
        if d > MAX_DEPTH:
            raise FastPathError
        tag = b[o]
        o += 1
    return DISPATCH[tag](b, o, c, d)


def _registered(b: bytes, o: int, c: DecodeTables, d: int) -> tuple[Any, int]:
    """Reads a registered type: two bytes of id or length of the name, then the value."""
    return c.registered_ids[b[o : o + 2]](b, o + 2, c, d)


def _folded(b: bytes, o: int, c: DecodeTables, d: int) -> tuple[Any, int]:
    (n,) = _U16(b, o)
    start = o + 2
    o = start + n
    return c.folded[b[start:o]](b, o, c, d)


def _fill() -> None:
    """Fills DISPATCH. A scalar whose type cannot be inferred from its Python value is Typed."""
    registry = Registry()
    inferred = set(INFERRED_TYPES.values())
    for type_ in t.SCALARS.values():
        source = FunctionSource("def read(b, o, c, d):")
        generator = ReaderGenerator(registry, lambda _: no_fast_reader, source)
        value = generator.value(type_)
        if type_ not in inferred:
            value = generator.tuple_of(Typed, source.constant("type", type_), value)
        generator.flush()
        source.add(f"return {value}, {generator.here}")
        DISPATCH[type_.tag] = source.compile("read", f"any {type_.name}")
    DISPATCH[Tag.NIL] = _nil
    DISPATCH[Tag.ANY] = _any
    DISPATCH[Tag.REG] = _registered
    DISPATCH[Tag.FOLDED] = _folded


_fill()
