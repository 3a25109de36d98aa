"""Equality of values as the protocol defines it."""

import math
import struct
from collections.abc import Iterator
from itertools import repeat
from typing import Any

from . import types as t
from .inferred import infer_type
from .registry import Marshaler, Newtype, Registry, Struct
from .types import ANY, Array, Map, Reg, Scalar, Slice, Type
from .values import Error

Token = tuple[Any, ...]


def tokens(value: Any, type_: Type, registry: Registry) -> Iterator[Token]:
    """Yields the tokens of a value in a slot of this type; two values give the same tokens only if they are equal.

    Payloads are compared in canonical form, floats by their bits (except that all NaNs of float32 are equal), errors by
    text. The entries of a map are sorted, so that equal maps give the same tokens.
    """
    todo: list[tuple[Any, Type] | Token] = [(value, type_)]
    while todo:
        value, what = todo.pop()
        if not isinstance(what, Type):
            yield value, what
            continue
        if what is ANY:
            if value is None:
                yield ("nil",)
                continue
            what, value = infer_type(value, registry)
            yield ("any", what)
        row = registry.get(what.name) if isinstance(what, Reg) else None
        if isinstance(row, Marshaler):
            yield ("payload", row.payload.canonical(value))
        elif isinstance(row, Struct):
            yield ("struct", row.name)
            todo.extend(reversed([(v, ft) for v, (_, ft) in zip(value, row.fields, strict=True)]))
        else:
            base = row.base if isinstance(row, Newtype) else what
            if value is None or isinstance(base, Scalar):
                yield _leaf(value, base)
            elif isinstance(base, Map):
                yield ("map", len(value))
                todo.extend(reversed(_entries(value, base, registry)))
            else:
                assert isinstance(base, Slice | Array)
                yield ("items", len(value))
                todo.extend(zip(reversed(value), repeat(base.item)))


def _entries(value: dict[Any, Any], map_: Map, registry: Registry) -> list[tuple[Any, Type] | Token]:
    keyed = sorted(
        ((repr(list(tokens(k, map_.key, registry))), v) for k, v in value.items()), key=lambda entry: entry[0]
    )
    out: list[tuple[Any, Type] | Token] = []
    for key, entry in keyed:
        out += (("key", key), (entry, map_.value))
    return out


def _leaf(value: Any, type_: Type) -> Token:
    if isinstance(value, Error):
        return ("error", value.text)
    if isinstance(value, float):
        if type_ is t.FLOAT32:
            return ("float32", "nan" if math.isnan(value) else struct.pack(">f", value))
        return ("float64", struct.pack(">d", value))
    return (type(value).__name__, value)


def same(a: Any, b: Any, registry: Registry, type_: Type = ANY) -> bool:
    """Tells whether two values for a slot of this type are equal to the protocol."""
    left, right = tokens(a, type_, registry), tokens(b, type_, registry)
    return all(x == y for x, y in zip(left, right, strict=False)) and next(left, None) is None is next(right, None)
