"""Readers of single built-in values for the slow reader; every Rejected has the offset of the error."""

from typing import Any, Final

from ....errors import Reason, Rejected
from ....model import types as t
from ....model.ergo.edf import FIRST_ATOM_ID, FIRST_ERROR_ID, NIL_ERROR, Tag
from ....model.registry import Marshaler
from ....model.text import bytes_to_text
from ....model.types import Scalar
from ....model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from .function_source import packed_size
from .runtime import unpack_numbers
from .tables import DecodeTables
from .times import read_time
from .type_properties import STRUCT_CODES


def read_bytes(b: bytes, o: int, n: int) -> bytes:
    """Returns n bytes at offset o. Raises Rejected if fewer are left."""
    raw = b[o : o + n]
    if len(raw) != n:
        raise Rejected(Reason.END_OF_DATA, "", o, f"{n} bytes needed, {max(len(b) - o, 0)} left")
    return raw


def read_counted(b: bytes, o: int, width: int) -> tuple[bytes, int]:
    """Reads a length of `width` bytes and that many bytes after it."""
    n = int.from_bytes(read_bytes(b, o, width), "big")
    return read_bytes(b, o + width, n), o + width + n


def read_number(type_: Scalar, b: bytes, o: int) -> tuple[Any, int]:
    """Reads one number."""
    code = STRUCT_CODES[type_]
    width = packed_size(code)
    read_bytes(b, o, width)
    return unpack_numbers(b, o, 1, code, width)[0], o + width


def read_atom(b: bytes, o: int, tables: DecodeTables) -> tuple[Atom, int]:
    """Reads an atom: a text or a cache id."""
    x = int.from_bytes(read_bytes(b, o, 2), "big")
    if x < FIRST_ATOM_ID:
        return tables.atoms[read_bytes(b, o + 2, x)], o + 2 + x
    if x not in tables.atom_ids:
        raise Rejected(Reason.UNKNOWN_ID, "", o, f"atom {x}")
    return tables.atom_ids[x], o + 2


def read_error(b: bytes, o: int, tables: DecodeTables) -> tuple[Error | None, int]:
    """Reads an error: a text, a cache id, or nil."""
    x = int.from_bytes(read_bytes(b, o, 2), "big")
    if x == NIL_ERROR:
        return None, o + 2
    if x < FIRST_ERROR_ID:
        return Error(bytes_to_text(read_bytes(b, o + 2, x))), o + 2 + x
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
    """Reads a PID, ProcessID, Alias, Event or Ref."""
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
    """Reads one built-in value without descriptor."""
    if type_ in STRUCT_CODES:
        return read_number(type_, b, o)
    match type_.tag:
        case Tag.BOOL:
            return read_bytes(b, o, 1) == b"\x01", o + 1
        case Tag.STRING:
            raw, o = read_counted(b, o, 2)
            return bytes_to_text(raw), o
        case Tag.BINARY:
            return read_counted(b, o, 4)
        case Tag.ATOM:
            return read_atom(b, o, tables)
        case Tag.ERROR:
            return read_error(b, o, tables)
        case Tag.TIME:
            raw, after = read_counted(b, o, 1)
            try:
                return read_time(raw), after
            except ValueError as error:
                raise Rejected(Reason.TIME, "", o, str(error)) from None
    return read_identifier(type_, b, o, tables)


def read_marshaler(row: Marshaler, b: bytes, o: int) -> tuple[bytes, int]:
    """Reads a payload. Raises Rejected if its type does not accept it."""
    payload, after = read_counted(b, o, 4)
    refusal = row.payload.refusal(payload)
    if refusal is not None:
        raise Rejected(Reason.PAYLOAD, "", o + 4, f"{row.name}: {refusal}")
    return payload, after
