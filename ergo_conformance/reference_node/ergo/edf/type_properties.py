"""Properties of types that readers, writers and their generators use: struct codes, minimum sizes, markers, nesting."""

from typing import Any, Final

from ....model import types as t
from ....model.ergo.edf import Tag
from ....model.registry import Marshaler, Newtype, Registry, Row, Struct
from ....model.types import AnyType, Array, Map, Reg, Scalar, Slice, Type

STRUCT_CODES: Final[dict[Type, str]] = {
    t.INT8: "b", t.INT16: "h", t.INT32: "i", t.INT64: "q", t.INT: "q",
    t.UINT8: "B", t.UINT16: "H", t.UINT32: "I", t.UINT64: "Q", t.UINT: "Q",
    t.FLOAT32: "f", t.FLOAT64: "d",
}  # fmt: skip
"""Number types and their `struct` codes. Bool is not among them: it accepts two values only."""

MIN_SIZES: Final = {
    t.BOOL: 1, t.STRING: 2, t.ATOM: 2, t.BINARY: 4, t.ERROR: 2, t.TIME: 1,
    t.PID: 18, t.PROCESS_ID: 4, t.EVENT: 4, t.ALIAS: 34, t.REF: 34,
} | {type_: {"b": 1, "h": 2, "i": 4, "q": 8, "f": 4, "d": 8}[code.lower()] for type_, code in STRUCT_CODES.items()}  # fmt: skip


class UnknownTypeError(KeyError):
    """A type name that is not registered."""


def row_of(type_: Reg, registry: Registry) -> Row:
    """Returns the row of a registered type. UnknownTypeError if there is none."""
    row = registry.get(type_.name)
    if row is None:
        raise UnknownTypeError(type_.name)
    return row


def base_of(type_: Type, registry: Registry) -> Type | Struct | Marshaler:
    """Returns the type itself, or the definition of a registered type."""
    if not isinstance(type_, Reg):
        return type_
    row = row_of(type_, registry)
    return row.base if isinstance(row, Newtype) else row


def marker_of(type_: Type) -> int:
    """Returns the byte before the count of a non-nil slice or map; registered containers have a different one."""
    if isinstance(type_, Reg):
        return Tag.REG
    return Tag.SLICE if isinstance(type_, Slice) else Tag.MAP


def min_size(type_: Type, registry: Registry, known: dict[Type, int]) -> int:
    """Returns the size in bytes of the smallest value of a type. `known` caches results: arrays may nest 1,000 levels deep."""
    arrays: list[tuple[Type, int]] = []
    while (size := known.get(type_)) is None:
        match base_of(type_, registry):
            case Array(length=length, item=item):
                arrays.append((type_, length))
                type_ = item
                continue
            case Scalar() as scalar:
                size = MIN_SIZES[scalar]
            case Struct(fields=fields):
                size = sum(min_size(field, registry, known) for _, field in fields)
            case Marshaler():
                size = 4
            case _:
                size = 1
        known[type_] = size
    for array, length in reversed(arrays):
        known[array] = size = length * size
    return size


def empty_items(type_: Type, registry: Registry) -> int | None:
    """Returns the number of items in a value of a type without bytes; None for a type that writes bytes."""
    factor, total = 1, 0
    while True:
        match base_of(type_, registry):
            case Array(length=length, item=item):
                if length == 0:
                    return total
                factor *= length
                total += factor
                type_ = item
            case Struct(fields=fields):
                counts = [empty_items(field, registry) for _, field in fields]
                return None if None in counts else total + factor * sum(c or 0 for c in counts)
            case _:
                return None


def empty_value(type_: Type, registry: Registry) -> Any:
    """Returns the only value of a type without bytes."""
    lengths: list[int] = []
    while isinstance(base := base_of(type_, registry), Array) and (not lengths or lengths[-1]):
        lengths.append(base.length)
        type_ = base.item
    if lengths and not lengths[-1]:
        value: Any = ()
        lengths.pop()
    elif isinstance(base, Struct):
        value = base.value_class(*(empty_value(field, registry) for _, field in base.fields))
    else:
        raise TypeError(f"{base!r} writes bytes")
    for length in reversed(lengths):
        value = (value,) * length
    return value


def has_any(type_: Type, registry: Registry) -> bool:
    """Tells whether a type has `any` slots in its fields, items, keys or values, nested ones included."""
    todo, seen = [type_], set[Type]()
    while todo:
        part = todo.pop()
        if part in seen:
            continue
        seen.add(part)
        match base_of(part, registry):
            case AnyType():
                return True
            case Slice(item=item) | Array(item=item):
                todo.append(item)
            case Map(key=key, value=value):
                todo += (key, value)
            case Struct(fields=fields):
                todo += (field for _, field in fields)
    return False


def array_chain(type_: Array, registry: Registry) -> tuple[list[int], Type]:
    """Returns the lengths of an array and of the arrays that are its items, outermost first, and the type in the innermost."""
    lengths, item = [type_.length], type_.item
    while isinstance(base := base_of(item, registry), Array):
        lengths.append(base.length)
        item = base.item
    return lengths, item


def is_larger(type_: Type, depth: int, parts: int, *, join_arrays: bool) -> bool:
    """Tells whether a folded type has more than `depth` constructors on a path or `parts` in all.

    `join_arrays`: arrays of arrays count as one constructor.
    """
    todo, found = [(type_, 0)], 0
    while todo:
        current, above = todo.pop()
        if isinstance(current, Scalar | AnyType | Reg):
            continue
        while join_arrays and isinstance(current, Array) and isinstance(current.item, Array):
            current = current.item
        found += 1
        if above >= depth or found > parts:
            return True
        todo += ((part, above + 1) for part in t.parts(current))
    return False
