"""Equality of values as the protocol defines it."""

import math
import struct
from collections.abc import Sequence
from itertools import repeat
from typing import Any, Final

from . import types as t
from .inferred import infer_type
from .registry import Marshaler, Newtype, Registry, Struct
from .types import ANY, Array, Map, Reg, Scalar, Slice, Type
from .values import Atom, Error

Token = tuple[Any, ...]
Parts = tuple[Sequence[Any], Sequence[Type] | Type]
"""The values inside a value, and their types: one each, or one for all."""

_NO_PARTS: Final[Parts] = (), ()


def same(a: Any, b: Any, registry: Registry, type_: Type = ANY) -> bool:
    """Tells whether two values for a slot of this type are equal to the protocol.

    Payloads are compared in canonical form, floats by their bits (except that all NaNs of float32 are equal), errors by
    text, maps without regard to order.
    """
    todo: list[tuple[Any, Any, Type]] = [(a, b, type_)]
    while todo:
        left, right, what = todo.pop()
        token, (parts, types) = _token(left, what, registry)
        other, (others, _) = _token(right, what, registry)
        if token != other:
            return False
        if not isinstance(types, Type):
            todo += reversed([*zip(parts, others, types, strict=True)])
        elif not (_are_plain(parts, types) and _are_plain(others, types)):
            todo += zip(reversed(parts), reversed(others), repeat(types))
        elif [*map(type, parts)] != [*map(type, others)] or [*parts] != [*others]:
            return False
    return True


def _token(value: Any, what: Type, registry: Registry) -> tuple[Token, Parts]:
    """Returns a token of a value in a slot of this type, and its parts; values are equal if their tokens and parts are.

    The parts of values with equal tokens have the same types.
    """
    if what is ANY:
        if value is None:
            return ("nil",), _NO_PARTS
        inferred, bare = infer_type(value, registry)
        token, parts = _token(bare, inferred, registry)
        return ("any", inferred, *token), parts
    row = registry.get(what.name) if isinstance(what, Reg) else None
    if isinstance(row, Marshaler):
        return ("payload", row.payload.canonical(value)), _NO_PARTS
    if isinstance(row, Struct):
        return ("struct", row.name), _fields(value, row)
    base = row.base if isinstance(row, Newtype) else what
    if value is None or isinstance(base, Scalar):
        return _leaf(value, base), _NO_PARTS
    if isinstance(base, Map):
        entries = sorted(((_key(key, base.key, registry), v) for key, v in value.items()), key=lambda entry: entry[0])
        return ("map", [key for key, _ in entries]), ([v for _, v in entries], base.value)
    assert isinstance(base, Slice | Array)
    return ("items", len(value)), (value, base.item)


def _fields(value: Any, row: Struct) -> Parts:
    pairs = [*zip(value, row.fields, strict=True)]
    return [part for part, _ in pairs], [type_ for _, (_, type_) in pairs]


def _leaf(value: Any, type_: Type) -> Token:
    if isinstance(value, Error):
        return ("error", value.text)
    if isinstance(value, float):
        if type_ is t.FLOAT32:
            return ("float32", "nan" if math.isnan(value) else struct.pack(">f", value))
        return ("float64", struct.pack(">d", value))
    return (type(value).__name__, value)


def _key(value: Any, type_: Type, registry: Registry) -> str:
    """Returns a text of a map key, the same only for equal keys."""
    found: list[Token] = []
    todo: list[tuple[Any, Type]] = [(value, type_)]
    while todo:
        value, what = todo.pop()
        token, (parts, types) = _token(value, what, registry)
        found.append(token)
        types = [types] * len(parts) if isinstance(types, Type) else types
        todo += zip(reversed(parts), reversed(types), strict=True)
    return repr(found)


_PLAIN: Final = frozenset({type(None), bool, int, str, Atom, bytes})
"""Classes of values that are equal in slots of a scalar type or `any` if class and value are."""


def _are_plain(items: Sequence[Any], type_: Type) -> bool:
    return (type_ is ANY or isinstance(type_, Scalar)) and _PLAIN.issuperset(map(type, items))
