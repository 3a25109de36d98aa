"""What one direction of a connection knows: the writer's ids, the atom mapping, and the readers and writers made so far.

Everything that bytes from outside can fill is bounded: a peer that sends ever new atoms, keys or folded types costs time
for each, but no memory that stays.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from ....errors import CannotEncode, Reason, Rejected
from ....model import types as t
from ....model.ergo.edf import (
    FIRST_ATOM_ID,
    FIRST_ERROR_ID,
    FIRST_TYPE_ID,
    MAX_ATOM,
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
from .folded import unfold

if TYPE_CHECKING:
    from collections.abc import Callable

    from ....model.ergo.caches import Caches
    from .runtime import Read, Write

_U16 = struct.Struct(">H").unpack_from
MAX_KEPT: Final = 4096
"""Atoms and map keys remembered per table."""
MAX_KEPT_LENGTH: Final = 64
"""Longer ones are not remembered."""


class AtomTable(dict[bytes, Atom]):
    """Text off the wire → local atom."""

    def __init__(self, mapping: dict[Atom, Atom]) -> None:
        super().__init__()
        self._local = {remote: local for local, remote in mapping.items()}

    def __missing__(self, raw: bytes) -> Atom:
        atom = Atom(bytes_to_text(raw))
        atom = self._local.get(atom, atom)
        if len(self) < MAX_KEPT and len(raw) <= MAX_KEPT_LENGTH:
            self[raw] = atom
        return atom


class RegisteredTable(dict[bytes, "Read"]):
    """Registered name off the wire → reader for an `any` slot. KeyError for a name nobody registered."""

    def __init__(self, registry: Registry, reader_for: Callable[[Type], Read]) -> None:
        super().__init__()
        self._registry = registry
        self._reader_for = reader_for

    def __missing__(self, raw: bytes) -> Read:
        name = bytes_to_text(raw)
        if self._registry.get(name) is None:
            raise KeyError(name)
        self[raw] = reader = self._reader_for(Reg(name))
        return reader


class RegisteredIds(dict[bytes, "Read"]):
    """First two bytes of a registered type's descriptor → reader of what follows: of a value if they are an id that the
    writer announced, of a name if they are its length. KeyError for other ids.
    """

    def __init__(self, names: dict[int, str], registered: RegisteredTable) -> None:
        super().__init__()
        self._names = names
        self._registered = registered

    def __missing__(self, raw: bytes) -> Read:
        (n,) = _U16(raw)
        reader = _named if n <= MAX_TYPE_NAME else self._registered[text_to_bytes(self._names[n])]
        self[raw] = reader
        return reader


def _named(b: bytes, o: int, c: DecodeTables, d: int) -> tuple[Any, int]:
    """A value whose descriptor has the name of its type; `o` is at the name."""
    start = o
    o += _U16(b, o - 2)[0]
    return c.registered[b[start:o]](b, o, c, d)


class FoldedTable(dict[bytes, "Read"]):
    """Folded type off the wire → reader for an `any` slot."""

    def __init__(self, tables: DecodeTables, reader_for: Callable[[Type], Read]) -> None:
        super().__init__()
        self._tables = tables
        self._reader_for = reader_for

    def __missing__(self, folded: bytes) -> Read:
        reader = self._reader_for(unfold(folded, 0, len(folded), self._tables.row_at))
        if len(self) < MAX_KEPT and len(folded) <= MAX_KEPT_LENGTH:
            self[folded] = reader
        return reader


class DecodeTables:
    """One direction's tables for reading."""

    __slots__ = ("atom_ids", "atoms", "empty_items", "error_ids", "folded", "inner_arrays", "keys", "registered",
                 "registered_ids", "registry", "type_ids")  # fmt: skip

    def __init__(self, registry: Registry, caches: Caches, reader_for: Callable[[Type], Read]) -> None:
        self.registry = registry
        self.atoms = AtomTable(dict(caches.atom_mapping))
        self.atom_ids = {id_: self.atoms[text_to_bytes(atom)] for id_, atom in caches.atoms.items()}
        self.keys: dict[bytes, str] = {}
        self.type_ids = dict(caches.types)
        self.error_ids = {id_: Error(text, registered=True) for id_, text in caches.errors.items()}
        self.registered = RegisteredTable(registry, reader_for)
        self.registered_ids = RegisteredIds(self.type_ids, self.registered)
        self.folded = FoldedTable(self, reader_for)
        self.empty_items = 0
        self.inner_arrays = 0

    def new_key(self, raw: bytes) -> str:
        """Text off the wire, for the keys of maps, which come again and again: `keys` remembers them."""
        text = bytes_to_text(raw)
        if len(self.keys) < MAX_KEPT and len(raw) <= MAX_KEPT_LENGTH:
            self.keys[raw] = text
        return text

    def row_at(self, b: bytes, o: int, end: int) -> tuple[Row, int]:
        """The row that a descriptor names: `u16 n` and a name, or an id. `o` is behind the 83."""
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


class AtomBytes(dict[str, bytes]):
    """Local atom → its bytes: the mapped text with its length, or the id of it."""

    def __init__(self, caches: Caches) -> None:
        super().__init__()
        self._mapping = dict(caches.atom_mapping)
        self._ids = {atom: id_ for id_, atom in caches.atoms.items() if id_ >= FIRST_ATOM_ID}

    def __missing__(self, atom: str) -> bytes:
        if not isinstance(atom, str):
            raise CannotEncode(f"{type(atom).__name__} where an atom belongs")
        mapped = self._mapping.get(Atom(atom), atom)
        id_ = self._ids.get(Atom(mapped))
        if id_ is not None:
            raw = id_.to_bytes(2, "big")
        else:
            text = text_to_bytes(mapped)
            if len(text) > MAX_ATOM:
                raise CannotEncode(f"atom of {len(text)} bytes, at most {MAX_ATOM} are possible")
            raw = len(text).to_bytes(2, "big") + text
        if len(self) < MAX_KEPT:
            self[atom] = raw
        return raw


class DynamicWriters(dict[type, "Write"]):
    """Class of a value in an `any` slot → writer of descriptor and body."""

    def __init__(self, tables: EncodeTables) -> None:
        super().__init__()
        self._tables = tables

    def __missing__(self, cls: type) -> Write:
        type_ = INFERRED_TYPES.get(cls)
        if type_ is None:
            row = self._tables.registry.of_class(cls)
            if row is None:
                raise CannotEncode(f"{cls.__name__} is no EDF type; wrap it in Typed")
            type_ = Reg(row.name)
        self[cls] = writer = self._tables.dynamic_writer(type_)
        return writer


class Descriptors(dict[Type, bytes]):
    """Type → the bytes that name it at top level and in an `any` slot."""

    def __init__(self, tables: EncodeTables) -> None:
        super().__init__()
        self._tables = tables

    def __missing__(self, type_: Type) -> bytes:
        data = self._tables.descriptor(type_)
        if len(self) < MAX_KEPT:
            self[type_] = data
        return data


class EncodeTables:
    """One direction's tables for writing."""

    __slots__ = ("atoms", "descriptors", "dynamic", "dynamic_writer", "error_ids", "keys", "registry", "type_ids")

    def __init__(self, registry: Registry, caches: Caches, writer_for: Callable[[Type], Write]) -> None:
        self.registry = registry
        self.atoms = AtomBytes(caches)
        self.keys: dict[str, bytes] = {}
        self.type_ids = {name: id_ for id_, name in caches.types.items() if id_ >= FIRST_TYPE_ID}
        self.error_ids = {text: id_ for id_, text in caches.errors.items() if FIRST_ERROR_ID <= id_ < NIL_ERROR}
        self.descriptors = Descriptors(self)
        self.dynamic_writer = writer_for
        self.dynamic = DynamicWriters(self)

    def new_key(self, text: str) -> bytes:
        """A map's key with its length; `keys` remembers them."""
        if not isinstance(text, str):
            raise CannotEncode(f"{type(text).__name__} where string belongs")
        raw = text_to_bytes(text)
        data = len(raw).to_bytes(2, "big") + raw
        if len(self.keys) < MAX_KEPT and len(raw) <= MAX_KEPT_LENGTH:
            self.keys[text] = data
        return data

    def descriptor(self, type_: Type) -> bytes:
        """The bytes that name a type at top level and in an `any` slot."""
        folded = b"".join(self._part(part) for part in t.preorder(type_))
        if isinstance(type_, Slice | Array | Map):
            if len(folded) > MAX_FOLDED:
                raise CannotEncode(f"folded type of {len(folded)} bytes, at most {MAX_FOLDED} are possible")
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
            raise CannotEncode(f"{name} is not registered")
        id_ = self.type_ids.get(name)
        if id_ is not None:
            return id_.to_bytes(2, "big")
        text = text_to_bytes(name)
        if len(text) > MAX_TYPE_NAME:
            raise CannotEncode(f"type name of {len(text)} bytes, at most {MAX_TYPE_NAME} are possible")
        return len(text).to_bytes(2, "big") + text
