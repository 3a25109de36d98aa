"""Built-in values read one by one, each refusal with its offset: what the explaining reader takes from the bytes."""

from typing import Any, Final

from ....errors import Reason, Rejected
from ....model import types as t
from ....model.ergo.edf import FIRST_ATOM_ID, FIRST_ERROR_ID, NIL_ERROR, Tag
from ....model.registry import Marshaler, Registry, Struct
from ....model.text import bytes_to_text
from ....model.types import Array, Scalar, Type
from ....model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from .runtime import numbers
from .shapes import LEAST_SIZES, STRUCT_CODES, base_of
from .source import packed_size
from .tables import DecodeTables
from .times import read_time


def take(b: bytes, o: int, n: int) -> bytes:
    """The next n bytes. Raises Rejected."""
    raw = b[o : o + n]
    if len(raw) != n:
        raise Rejected(Reason.END_OF_DATA, "", o, f"{n} bytes needed, {max(len(b) - o, 0)} left")
    return raw


def counted(b: bytes, o: int, width: int) -> tuple[bytes, int]:
    """A length of `width` bytes and so many bytes behind it."""
    n = int.from_bytes(take(b, o, width), "big")
    return take(b, o + width, n), o + width + n


def read_number(type_: Scalar, b: bytes, o: int) -> tuple[Any, int]:
    """One number."""
    code = STRUCT_CODES[type_]
    width = packed_size(code)
    take(b, o, width)
    return numbers(b, o, 1, code, width)[0], o + width


def read_atom(b: bytes, o: int, tables: DecodeTables) -> tuple[Atom, int]:
    """A text, or the atom of a cache id."""
    x = int.from_bytes(take(b, o, 2), "big")
    if x < FIRST_ATOM_ID:
        return tables.atoms[take(b, o + 2, x)], o + 2 + x
    if x not in tables.atom_ids:
        raise Rejected(Reason.UNKNOWN_ID, "", o, f"atom {x}")
    return tables.atom_ids[x], o + 2


def read_error(b: bytes, o: int, tables: DecodeTables) -> tuple[Error | None, int]:
    """A text, the error of a cache id, or nil."""
    x = int.from_bytes(take(b, o, 2), "big")
    if x == NIL_ERROR:
        return None, o + 2
    if x < FIRST_ERROR_ID:
        return Error(bytes_to_text(take(b, o + 2, x))), o + 2 + x
    if x not in tables.error_ids:
        raise Rejected(Reason.UNKNOWN_ID, "", o, f"error {x}")
    return tables.error_ids[x], o + 2


_WORDS: Final = (("id[0]", t.UINT64), ("id[1]", t.UINT64), ("id[2]", t.UINT64))
_IDENTIFIERS: Final[dict[Scalar, tuple[tuple[str, Scalar], ...]]] = {
    t.PID: (("node", t.ATOM), ("id", t.UINT64), ("creation", t.INT64)),
    t.PROCESS_ID: (("node", t.ATOM), ("name", t.ATOM)),
    t.EVENT: (("node", t.ATOM), ("name", t.ATOM)),
    t.ALIAS: (("node", t.ATOM), ("creation", t.INT64), *_WORDS),
    t.REF: (("node", t.ATOM), ("creation", t.INT64), *_WORDS),
}


def read_identifier(type_: Scalar, b: bytes, o: int, tables: DecodeTables) -> tuple[Any, int]:
    """A PID, ProcessID, Alias, Event or Ref."""
    parts: list[Any] = []
    for label, part in _IDENTIFIERS[type_]:
        try:
            value, o = read_scalar(part, b, o, tables)
        except Rejected as refusal:
            raise Rejected(refusal.reason, label, refusal.offset, refusal.detail) from None
        parts.append(value)
    match type_.tag:
        case Tag.PID:
            return PID(*parts), o
        case Tag.PROCESS_ID:
            return ProcessID(*parts), o
        case Tag.EVENT:
            return Event(*parts), o
    node, creation, x, y, z = parts
    return (Alias if type_.tag is Tag.ALIAS else Ref)(node, creation, (x, y, z)), o


def read_scalar(type_: Scalar, b: bytes, o: int, tables: DecodeTables) -> tuple[Any, int]:
    """One built-in value without descriptor."""
    if type_ in STRUCT_CODES:
        return read_number(type_, b, o)
    match type_.tag:
        case Tag.BOOL:
            return take(b, o, 1) == b"\x01", o + 1
        case Tag.STRING:
            raw, o = counted(b, o, 2)
            return bytes_to_text(raw), o
        case Tag.BINARY:
            return counted(b, o, 4)
        case Tag.ATOM:
            return read_atom(b, o, tables)
        case Tag.ERROR:
            return read_error(b, o, tables)
        case Tag.TIME:
            raw, after = counted(b, o, 1)
            try:
                return read_time(raw), after
            except ValueError as error:
                raise Rejected(Reason.TIME, "", o, str(error)) from None
    return read_identifier(type_, b, o, tables)


def read_marshaler(row: Marshaler, b: bytes, o: int) -> tuple[bytes, int]:
    """A payload that its type takes."""
    payload, after = counted(b, o, 4)
    refusal = row.payload.refusal(payload)
    if refusal is not None:
        raise Rejected(Reason.PAYLOAD, "", o + 4, f"{row.name}: {refusal}")
    return payload, after


def least_size(type_: Type, registry: Registry, known: dict[Type, int]) -> int:
    """Bytes that the smallest value of a type takes. Arrays of arrays may be a thousand levels deep: `known` remembers."""
    arrays: list[tuple[Type, int]] = []
    while (least := known.get(type_)) is None:
        match base_of(type_, registry):
            case Array(length=length, item=item):
                arrays.append((type_, length))
                type_ = item
                continue
            case Scalar() as scalar:
                least = LEAST_SIZES[scalar]
            case Struct(fields=fields):
                least = sum(least_size(field, registry, known) for _, field in fields)
            case Marshaler():
                least = 4
            case _:
                least = 1
        known[type_] = least
    for array, length in reversed(arrays):
        known[array] = least = length * least
    return least
