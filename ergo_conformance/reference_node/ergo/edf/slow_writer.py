"""Slow writer: writes one part of a value at a time and tracks the path to it.

Runs when a generated writer fails: usually to name the part that cannot be encoded, sometimes to write a value that is
nested deeper than Python recurses.
"""

import struct
from collections.abc import Iterator
from typing import Any

from ....errors import CannotEncode
from ....model import types as t
from ....model.ergo.edf import MAX_DEPTH, MAX_STRING, Tag
from ....model.inferred import INTEGERS, infer_type
from ....model.registry import Marshaler, Struct
from ....model.text import text_to_bytes
from ....model.types import ANY, Array, Map, Scalar, Slice, Type
from ....model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref, Time
from .runtime import error_body, pack_numbers
from .tables import EncodeTables
from .times import write_time
from .type_properties import STRUCT_CODES, base_of, marker_of

_CLASSES: dict[Scalar, type | tuple[type, ...]] = {
    t.BOOL: bool, t.STRING: str, t.ATOM: str, t.BINARY: (bytes, bytearray), t.TIME: Time, t.PID: PID,
    t.PROCESS_ID: ProcessID, t.EVENT: Event, t.ALIAS: Alias, t.REF: Ref, t.FLOAT32: (float, int), t.FLOAT64: (float, int),
}  # fmt: skip


def scalar_bytes(type_: Scalar, value: Any, c: EncodeTables) -> bytes:
    """Returns the encoding of a built-in value, without descriptor. Raises CannotEncode."""
    if type_ in INTEGERS:
        return _integer(type_, value)
    if type_ is t.ERROR:
        if not isinstance(value, Error | None):
            raise CannotEncode(f"expected an error, got {type(value).__name__}")
        return error_body(value, c)
    fits = isinstance(value, _CLASSES[type_])  # not in the condition: mypy would narrow the value to object
    if not fits:
        raise CannotEncode(f"expected {type_.name}, got {type(value).__name__}")
    match type_.tag:
        case Tag.BOOL:
            return bytes([value])
        case Tag.STRING:
            raw = _text(value)
            if len(raw) > MAX_STRING:
                raise CannotEncode(f"string of {len(raw)} bytes, maximum {MAX_STRING}")
            return len(raw).to_bytes(2, "big") + raw
        case Tag.BINARY:
            return _length(value, "binary") + bytes(value)
        case Tag.FLOAT32 | Tag.FLOAT64:
            return struct.pack(">" + STRUCT_CODES[type_], value)
        case Tag.ATOM:
            return c.atoms[Atom(_text(value).decode("utf-8", "surrogateescape"))]
        case Tag.TIME:
            return write_time(value)
        case Tag.PID:
            return c.atoms[value.node] + _integer(t.UINT64, value.id) + _integer(t.INT64, value.creation)
        case Tag.PROCESS_ID | Tag.EVENT:
            return c.atoms[value.node] + c.atoms[value.name]
    x, y, z = (_integer(t.UINT64, word) for word in value.id)
    return c.atoms[value.node] + _integer(t.INT64, value.creation) + x + y + z


def _integer(type_: Type, value: Any) -> bytes:
    bits, signed = INTEGERS[type_]
    if not isinstance(value, int):
        raise CannotEncode(f"expected {t.describe(type_)}, got {type(value).__name__}")
    try:
        return value.to_bytes(bits // 8, "big", signed=signed)
    except OverflowError:
        raise CannotEncode(f"{value:.30g} does not fit {t.describe(type_)}") from None


def _text(value: str) -> bytes:
    try:
        return text_to_bytes(value)
    except UnicodeEncodeError:
        raise CannotEncode("text contains a surrogate that represents no byte") from None


def _length(value: Any, what: str) -> bytes:
    try:
        return len(value).to_bytes(4, "big")
    except OverflowError:
        raise CannotEncode(f"{what} of length {len(value)}, maximum 2**32 - 1") from None


def write_slowly(value: Any, type_: Type | None, c: EncodeTables) -> bytes:
    """Returns a value encoded for a slot of a type, or with descriptor (None). Raises CannotEncode with the path."""
    out: list[bytes] = []
    path: list[str] = []
    open_: list[tuple[Iterator[tuple[str, Any, Type]], int]] = [(iter([("", value, type_ or ANY)]), -(type_ is None))]
    try:
        while open_:
            parts, slots = open_[-1]  # number of open `any` slots; the value at top level is in none
            step = next(parts, None)
            if step is None:
                open_.pop()
                del path[-1:]
                continue
            label, part, part_type = step
            path.append(label)
            if part_type is ANY and (slots := slots + 1) > MAX_DEPTH:
                raise CannotEncode(f"more than {MAX_DEPTH:,} values of type any inside each other")
            children = _write_part(part, part_type, c, out)
            if children is None:
                path.pop()
            else:
                open_.append((children, slots))
    except CannotEncode as error:
        raise CannotEncode(error.reason, "".join(path).lstrip(".")) from None
    except (AttributeError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise CannotEncode(str(error), "".join(path).lstrip(".")) from None
    return b"".join(out)


def _write_part(value: Any, type_: Type, c: EncodeTables, out: list[bytes]) -> Iterator[tuple[str, Any, Type]] | None:
    """Writes a scalar, or the head of a container and returns its parts: label, value, type."""
    if type_ is ANY:
        if value is None:
            out.append(bytes([Tag.NIL]))
            return None
        type_, value = infer_type(value, c.registry)
        if value is None and type_ is t.ERROR:
            out.append(bytes([Tag.NIL]))
            return None
        out.append(c.descriptor(type_))
    base = base_of(type_, c.registry)
    match base:
        case Scalar():
            out.append(scalar_bytes(base, value, c))
            return None
        case Marshaler():
            out.append(_length(value, "payload") + value)
            return None
        case Struct():
            if not isinstance(value, tuple) or len(value) != len(base.fields):
                raise CannotEncode(f"expected {base.name}, got {type(value).__name__}")
            return iter([(f".{name}", v, field) for v, (name, field) in zip(value, base.fields, strict=True)])
        case Array():
            if not isinstance(value, list | tuple) or len(value) != base.length:
                raise CannotEncode(f"expected a list or tuple of {base.length} items")
        case Slice() | Map():
            if value is None:
                out.append(bytes([Tag.NIL]))
                return None
            out.append(bytes([marker_of(type_)]) + _length(value, "container"))
    if isinstance(base, Map):
        return _entries(value, base)
    assert isinstance(base, Slice | Array)
    if base.item in STRUCT_CODES and not isinstance(value, list | tuple):
        out.append(pack_numbers(value, STRUCT_CODES[base.item]))
        return None
    item = base.item
    return ((f"[{i}]", v, item) for i, v in enumerate(value))


def _entries(value: dict[Any, Any], type_: Map) -> Iterator[tuple[str, Any, Type]]:
    for i, (key, entry) in enumerate(value.items()):
        yield f"[{i}].key", key, type_.key
        yield f"[{i}]", entry, type_.value
