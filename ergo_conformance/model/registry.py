"""Rows of registered types, and the registry that finds them by name or by the class of a value."""

import keyword
from collections import namedtuple
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple, get_args, get_type_hints

from . import types as t
from .payloads import Opaque, Payload
from .types import Map, Reg, Slice, Type


def attribute(field_name: str) -> str:
    """Returns the NamedTuple attribute of a Go field: the same name, changed where it is not a legal name in Python."""
    if field_name.isidentifier() and not keyword.iskeyword(field_name) and not field_name.startswith("_"):
        return field_name
    legal = "".join(c if c.isalnum() else "_" for c in field_name)
    return f"f_{legal}" if not legal[:1].isalpha() else f"{legal}_"


@dataclass(frozen=True)
class Struct:
    """A registered struct: its fields in wire order, and the NamedTuple class of its values."""

    name: str
    fields: tuple[tuple[str, Type], ...]
    given_class: type[tuple[Any, ...]] | None = field(default=None, compare=False)

    @cached_property
    def value_class(self) -> type[tuple[Any, ...]]:
        if self.given_class is not None:
            return self.given_class
        short = "".join(c if c.isalnum() and c.isascii() else "_" for c in self.name.rsplit("/", 1)[-1])
        if not short[:1].isalpha() or keyword.iskeyword(short):
            short = f"S_{short}"
        return namedtuple(short, [attribute(n) for n, _ in self.fields])  # noqa: PYI024  the fields are data here


@dataclass(frozen=True, slots=True)
class Newtype:
    """A registered type with another underlying type: a scalar, slice, array or map."""

    name: str
    base: Type


_ANY_BYTES: Final = Opaque()


@dataclass(frozen=True, slots=True)
class Marshaler:
    """A registered type with its own binary form: a length and bytes."""

    name: str
    payload: Payload = _ANY_BYTES
    binary: bool = False  # Go's encoding.BinaryMarshaler; no difference on the wire


Row = Struct | Newtype | Marshaler


def struct_of(cls: type[NamedTuple], name: str) -> Struct:
    """Returns the row of a hand-written NamedTuple whose annotations carry the EDF types."""
    hints = get_type_hints(cls, include_extras=True)
    return Struct(name, tuple((n, next(a for a in get_args(h) if isinstance(a, Type))) for n, h in hints.items()), cls)


IDENTIFIERS: Final = frozenset({t.PID, t.PROCESS_ID, t.ALIAS, t.EVENT, t.REF, t.TIME})
"""Structs in Go, so a registered type that is based on one is a struct too."""


class Registry:
    """The registered types that a reader or writer knows. Names are unique."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._rows: dict[str, Row] = {}
        self._by_class: dict[type, Struct] = {}
        self.derived: dict[str, Any] = {}
        """Objects derived from these rows (schemas, generated functions), kept as long as the registry."""
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Adds a row. ValueError if another row has its name, or if it is a Newtype of an identifier."""
        if isinstance(row, Newtype) and row.base in IDENTIFIERS:
            raise ValueError(f"{row.name}: a type based on an identifier has to be a Struct")
        taken = self._rows.get(row.name)
        if taken is not None and taken != row:
            raise ValueError(f"{row.name} is already registered with another definition")
        self._rows[row.name] = row
        if isinstance(row, Struct):
            self._by_class[row.value_class] = row

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, name: str) -> Row | None:
        return self._rows.get(name)

    def of_class(self, cls: type) -> Struct | None:
        """Returns the struct whose values have this class, or None."""
        return self._by_class.get(cls)


def is_nullable(t: Type, registry: Registry) -> bool:
    """Tells whether a slot of this type can be nil: true for slices and maps, registered or not."""
    if isinstance(t, Reg):
        row = registry.get(t.name)
        return isinstance(row, Newtype) and isinstance(row.base, Slice | Map)
    return isinstance(t, Slice | Map)
