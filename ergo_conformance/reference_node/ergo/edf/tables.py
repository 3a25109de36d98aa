"""Tables of one direction of a connection: ids of the writer, atom mapping, readers and writers in use.

Tables that received bytes can fill are bounded: a peer that sends new atoms, keys or folded types without end costs time
for each, but no permanent memory.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from ....errors import CannotEncode, Reason, Rejected
from ....model import types as t
from ....model.ergo.caches import Caches
from ....model.ergo.edf import (
    FIRST_ATOM_ID,
    FIRST_ERROR_ID,
    FIRST_TYPE_ID,
    MAX_ATOM,
    MAX_DEPTH,
    MAX_FOLDED,
    MAX_TYPE_NAME,
    NIL_ERROR,
    Tag,
)
from ....model.inferred import INFERRED_TYPES
from ....model.registry import Registry, Row
from ....model.text import bytes_to_text, text_to_bytes
from ....model.types import Array, Map, Reg, Scalar, Slice, Type
from ....model.values import Atom, Error
from .folded_types import parse_folded_type
from .type_properties import is_larger

Reader = Callable[[bytes, int, "DecodeTables", int], tuple[Any, int]]
"""`read(b, o, c, d)`: input, offset, tables, number of open `any` slots → value, offset after it."""
Pieces = list[bytes]
"""Output of a writer so far."""
Writer = Callable[[Any, Pieces, "EncodeTables"], bytes]
"""`write(v, out, c)`: appends all pieces but the last to `out`, returns the last."""

_U16 = struct.Struct(">H").unpack_from
MAX_KEPT: Final = 4096
"""Maximum number of entries kept per table."""
MAX_KEPT_LENGTH: Final = 64
"""Maximum length in bytes of an entry that is kept."""
MAX_FOLDED_BYTES: Final = 16_384
"""Maximum length in bytes of all folded types kept: one byte takes up to 300 bytes of memory."""
MAX_FOLDED_KEPT: Final = 2048
"""Maximum length in bytes of a folded type that is kept."""


class AtomTable(dict[bytes, Atom]):
    """Received text → local atom."""

    def __init__(self) -> None:
        super().__init__()
        self._local: dict[Atom, Atom] = {}

    def __missing__(self, raw: bytes) -> Atom:
        atom = Atom(bytes_to_text(raw))
        atom = self._local.get(atom, atom)
        if len(self) < MAX_KEPT and len(raw) <= MAX_KEPT_LENGTH:
            self[raw] = atom
        return atom

    def map(self, remote: Atom, local: Atom) -> bool:
        """Maps a remote atom that is not mapped yet. False if it is."""
        if remote in self._local:
            return False
        self._local[remote] = local
        self.pop(text_to_bytes(remote), None)
        return True


class FullKeys(dict[bytes, str]):
    """Received bytes of a text key → text, when no more of them are kept. Decodes a new one without raising KeyError."""

    def __missing__(self, raw: bytes) -> str:
        return bytes_to_text(raw)


class RegisteredTable(dict[bytes, Reader]):
    """Received type name → reader of its values. KeyError for a name that is not registered."""

    def __init__(self, registry: Registry, reader_for: Callable[[Type], Reader]) -> None:
        super().__init__()
        self._registry = registry
        self._reader_for = reader_for

    def __missing__(self, raw: bytes) -> Reader:
        name = bytes_to_text(raw)
        if self._registry.get(name) is None:
            raise KeyError(name)
        self[raw] = reader = self._reader_for(Reg(name))
        return reader


class RegisteredIds(dict[bytes, Reader]):
    """First two bytes of a registered type's descriptor → reader of the following bytes.

    The two bytes are an id announced by the writer (a value follows) or the length of a name (name and value follow).
    KeyError for an unknown id.
    """

    def __init__(self, names: dict[int, str], registered: RegisteredTable) -> None:
        super().__init__()
        self._names = names
        self._registered = registered

    def __missing__(self, raw: bytes) -> Reader:
        (n,) = _U16(raw)
        reader = _named if n <= MAX_TYPE_NAME else self._registered[text_to_bytes(self._names[n])]
        self[raw] = reader
        return reader


def _named(b: bytes, o: int, c: DecodeTables, d: int) -> tuple[Any, int]:
    """Reads type name and value; `o` is at the name."""
    start = o
    o += _U16(b, o - 2)[0]
    return c.registered[b[start:o]](b, o, c, d)


class FoldedTable(dict[bytes, Reader]):
    """Received folded type → reader of its values. Forgets all types when their descriptors exceed MAX_FOLDED_BYTES."""

    def __init__(self, tables: DecodeTables, reader_for: Callable[[Type], Reader]) -> None:
        super().__init__()
        self._tables = tables
        self._reader_for = reader_for
        self._bytes = 0
        self._last: tuple[bytes | None, Type] = None, t.ANY

    def __missing__(self, folded: bytes) -> Reader:
        reader = self._reader_for(self.type_of(folded))
        if len(folded) <= MAX_FOLDED_KEPT:
            self._bytes += len(folded)
            if self._bytes > MAX_FOLDED_BYTES:
                self.clear()
                self._bytes = len(folded)
            self[folded] = reader
        return reader

    def type_of(self, folded: bytes) -> Type:
        """Returns the type of a descriptor; the last one is kept for the slow reader, which follows. Raises Rejected."""
        if folded != self._last[0]:
            self._last = folded, parse_folded_type(folded, 0, len(folded), self._tables.row_at)
        return self._last[1]


class DecodeTables:
    """Tables for reading, of one direction of a connection."""

    __slots__ = ("_ids_of", "atom_ids", "atoms", "empty_items", "error_ids", "folded", "inner_arrays", "keys", "registered",
                 "registered_ids", "registry", "type_ids")  # fmt: skip

    def __init__(self, registry: Registry, caches: Caches, reader_for: Callable[[Type], Reader]) -> None:
        self.registry = registry
        self.atoms = AtomTable()
        self.atom_ids: dict[int, Atom] = {}
        self.keys: dict[bytes, str] = {}
        self.type_ids: dict[int, str] = {}
        self.error_ids: dict[int, Error] = {}
        self._ids_of: dict[Atom, list[int]] = {}
        self.add(caches)
        self.registered = RegisteredTable(registry, reader_for)
        self.registered_ids = RegisteredIds(self.type_ids, self.registered)
        self.folded = FoldedTable(self, reader_for)
        self.empty_items = 0
        self.inner_arrays = 0

    def add(self, caches: Caches) -> None:
        """Adds ids and mapped atoms, at a cost in proportion to them; known ones keep their meaning (ENP-CACHE-1)."""
        for local, remote in caches.atom_mapping.items():
            if self.atoms.map(remote, local):
                self.atom_ids.update(dict.fromkeys(self._ids_of.get(remote, ()), local))
        for id_, atom in caches.atoms.items():
            if id_ not in self.atom_ids:
                self.atom_ids[id_] = self.atoms[text_to_bytes(atom)]
                self._ids_of.setdefault(atom, []).append(id_)
        for id_, name in caches.types.items():
            self.type_ids.setdefault(id_, name)
        for id_, text in caches.errors.items():
            self.error_ids.setdefault(id_, Error(text, registered=True))

    def new_key(self, raw: bytes) -> str:
        """Decodes a key of a map and keeps it in `keys`, since keys are repeated."""
        text = bytes_to_text(raw)
        if len(raw) <= MAX_KEPT_LENGTH:
            self.keys[raw] = text
            if len(self.keys) >= MAX_KEPT:
                self.keys = FullKeys(self.keys)
        return text

    def row_at(self, b: bytes, o: int, end: int) -> tuple[Row, int]:
        """Returns the row of a registered type and the offset after its name or id; `o` is after the tag 83."""
        if o + 2 > end:
            raise Rejected(Reason.END_OF_DATA, "", o)
        n = int.from_bytes(b[o : o + 2], "big")
        if n > MAX_TYPE_NAME:
            name = self.type_ids.get(n)
            if name is None:
                raise Rejected(Reason.UNKNOWN_ID, "", o, f"type {n}")
            after = o + 2
        else:
            after = o + 2 + n
            if after > end:
                raise Rejected(Reason.END_OF_DATA, "", o + 2)
            name = bytes_to_text(b[o + 2 : after])
        row = self.registry.get(name)
        if row is None:
            raise Rejected(Reason.UNKNOWN_TYPE, "", o, name)
        return row, after


def encoded_key(text: str) -> bytes:
    """Returns length and bytes of a text key. Raises CannotEncode."""
    if not isinstance(text, str):
        raise CannotEncode(f"expected a string, got {type(text).__name__}")
    raw = text_to_bytes(text)
    return len(raw).to_bytes(2, "big") + raw


class FullEncodedKeys(dict[str, bytes]):
    """Text key → length and bytes, when no more of them are kept. Encodes a new one without raising KeyError."""

    def __missing__(self, text: str) -> bytes:
        return encoded_key(text)


class EncodedAtoms(dict[str, bytes]):
    """Local atom → its bytes: the id, or length and text, after the atom mapping."""

    def __init__(self, caches: Caches) -> None:
        super().__init__()
        self._mapping = dict(caches.atom_mapping)
        self._ids = {atom: id_ for id_, atom in caches.atoms.items() if id_ >= FIRST_ATOM_ID}

    def __missing__(self, atom: str) -> bytes:
        if not isinstance(atom, str):
            raise CannotEncode(f"expected an atom, got {type(atom).__name__}")
        mapped = self._mapping.get(Atom(atom), atom)
        id_ = self._ids.get(Atom(mapped))
        if id_ is not None:
            raw = id_.to_bytes(2, "big")
        else:
            text = text_to_bytes(mapped)
            if len(text) > MAX_ATOM:
                raise CannotEncode(f"atom of {len(text)} bytes, maximum {MAX_ATOM}")
            raw = len(text).to_bytes(2, "big") + text
        if len(self) < MAX_KEPT:
            self[atom] = raw
        return raw


class DynamicWriters(dict[type, Writer]):
    """Class of a value → writer of its descriptor and body."""

    def __init__(self, tables: EncodeTables) -> None:
        super().__init__()
        self._tables = tables

    def __missing__(self, cls: type) -> Writer:
        type_ = INFERRED_TYPES.get(cls)
        if type_ is None:
            row = self._tables.registry.of_class(cls)
            if row is None:
                raise CannotEncode(f"{cls.__name__} has no EDF type; wrap the value in Typed")
            type_ = Reg(row.name)
        self[cls] = writer = self._tables.dynamic_writer(type_)
        return writer


class Descriptors(dict[Type, bytes]):
    """Type → its descriptor."""

    def __init__(self, tables: EncodeTables) -> None:
        super().__init__()
        self._tables = tables

    def __missing__(self, type_: Type) -> bytes:
        data = self._tables.descriptor(type_)
        if len(self) < MAX_KEPT:
            self[type_] = data
        return data


class EncodeTables:
    """Tables for writing, of one direction of a connection."""

    __slots__ = ("atoms", "descriptors", "dynamic", "dynamic_writer", "error_ids", "keys", "registry", "type_ids")

    def __init__(self, registry: Registry, caches: Caches, writer_for: Callable[[Type], Writer]) -> None:
        self.registry = registry
        self.atoms = EncodedAtoms(caches)
        self.keys: dict[str, bytes] = {}
        self.type_ids = {name: id_ for id_, name in caches.types.items() if id_ >= FIRST_TYPE_ID}
        self.error_ids = {text: id_ for id_, text in caches.errors.items() if FIRST_ERROR_ID <= id_ < NIL_ERROR}
        self.descriptors = Descriptors(self)
        self.dynamic_writer = writer_for
        self.dynamic = DynamicWriters(self)

    def new_key(self, text: str) -> bytes:
        """Returns length and text of a key of a map and keeps them in `keys`."""
        data = encoded_key(text)
        if len(data) <= MAX_KEPT_LENGTH:
            self.keys[text] = data
            if len(self.keys) >= MAX_KEPT:
                self.keys = FullEncodedKeys(self.keys)
        return data

    def descriptor(self, type_: Type) -> bytes:
        """Returns the descriptor of a type: the bytes that precede its value at top level and in an `any` slot."""
        if isinstance(type_, Slice | Array | Map) and is_larger(type_, MAX_DEPTH, MAX_FOLDED, join_arrays=False):
            raise CannotEncode(f"folded type of more than {MAX_DEPTH:,} levels or {MAX_FOLDED:,} constructors")
        folded = b"".join(self._part(part) for part in t.preorder(type_))
        if isinstance(type_, Slice | Array | Map):
            if len(folded) > MAX_FOLDED:
                raise CannotEncode(f"folded type of {len(folded)} bytes, maximum {MAX_FOLDED}")
            return bytes([Tag.FOLDED]) + len(folded).to_bytes(2, "big") + folded
        return folded

    def _part(self, type_: Type) -> bytes:
        match type_:
            case Scalar():
                return bytes([type_.tag])
            case Slice():
                return bytes([Tag.SLICE])
            case Array():
                return bytes([Tag.ARRAY]) + type_.length.to_bytes(4, "big")
            case Map():
                return bytes([Tag.MAP])
            case Reg():
                return bytes([Tag.REG]) + self._name(type_.name)
        return bytes([Tag.ANY])

    def _name(self, name: str) -> bytes:
        if self.registry.get(name) is None:
            raise CannotEncode(f"type {name} is not registered")
        id_ = self.type_ids.get(name)
        if id_ is not None:
            return id_.to_bytes(2, "big")
        text = text_to_bytes(name)
        if len(text) > MAX_TYPE_NAME:
            raise CannotEncode(f"type name of {len(text)} bytes, maximum {MAX_TYPE_NAME}")
        return len(text).to_bytes(2, "big") + text
