"""The two doors of the codec: a Decoder and an Encoder for one direction of a connection.

Generated functions belong to the registry they were generated from and are shared by all connections; the tables of ids
belong to one direction of one connection.
"""

from collections.abc import Callable
from typing import Any, Final

from ....errors import CannotEncode, Reason, Rejected
from ....model.ergo.caches import NO_CACHES, Caches
from ....model.inferred import INFERRED_TYPES
from ....model.registry import Registry
from ....model.types import Reg, Type
from . import decoder, encoder
from .dynamic import DISPATCH
from .explain import Explainer
from .runtime import FAILURES, FailedError, Read, Write, unknown
from .shapes import constructor_depth
from .source import source_of
from .spell import spell
from .tables import DecodeTables, EncodeTables

MAX_FOLDED_LINES: Final = 1500
"""Lines of code generated for folded types off the wire; after that many, further types are read by the slow reader. A line
takes some 20 µs to generate, so a peer that invents types must not get a function for each."""
MAX_GENERATED_DEPTH: Final = 16

_EVERYDAY: Final = (INFERRED_TYPES[list], INFERRED_TYPES[dict])  # always fast, whatever a peer invents
_REFUSED: Final = (*FAILURES, Rejected)  # Rejected: from a descriptor, without a path
_UNWRITTEN: Final = (*FAILURES, CannotEncode, AttributeError)


class Functions:
    """The readers and writers generated for one registry, for typed slots and (dynamic) behind a descriptor."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.readers: dict[Type, Read] = {}
        self.writers: dict[Type, Write] = {}
        self.dynamic_readers: dict[Type, Read] = {}
        self.dynamic_writers: dict[Type, Write] = {}
        self.lines = 0  # of all readers
        self.folded_lines = 0  # of those made for folded types

    def reader(self, type_: Type) -> Read:
        """The reader of a typed slot."""
        found = self.readers.get(type_)
        if found is None:
            self.readers[type_] = found = self.new_reader(type_, dynamic=False)
        return found

    def dynamic_reader(self, type_: Type) -> Read:
        """The reader of an `any` slot whose descriptor names this type."""
        found = self.dynamic_readers.get(type_)
        if found is None:
            known = isinstance(type_, Reg) or type_ in _EVERYDAY
            if not known and (self.folded_lines >= MAX_FOLDED_LINES or too_deep(type_)):
                return unknown
            before = self.lines
            self.dynamic_readers[type_] = found = self.new_reader(type_, dynamic=True)
            if not known:
                self.folded_lines += self.lines - before
        return found

    def new_reader(self, type_: Type, *, dynamic: bool) -> Read:
        """Generates a reader, and those it needs."""
        try:
            read = decoder.generate(type_, self.registry, self.reader, dynamic=dynamic)
        except (SyntaxError, RecursionError):  # a chain of structs longer than Python's parser can nest
            return unknown
        self.lines += source_of(read).count("\n")
        return read

    def writer(self, type_: Type) -> Write:
        """The writer of a typed slot."""
        found = self.writers.get(type_)
        if found is None:
            self.writers[type_] = found = encoder.generate(type_, self.registry, self.writer)
        return found

    def dynamic_writer(self, type_: Type) -> Write:
        """The writer of a value of this type with its descriptor. Who writes chooses the types: they are not counted."""
        found = self.dynamic_writers.get(type_)
        if found is None:
            if too_deep(type_):
                raise FailedError
            found = encoder.generate(type_, self.registry, self.writer, dynamic=True)
            self.dynamic_writers[type_] = found
        return found


def too_deep(type_: Type) -> bool:
    """Whether a type is left to the slow way for its nesting."""
    return constructor_depth(type_, MAX_GENERATED_DEPTH) > MAX_GENERATED_DEPTH


def functions_of(registry: Registry) -> Functions:
    """The generated functions of a registry, made as they are needed."""
    found: Functions | None = registry.derived.get("functions")
    if found is None:
        registry.derived["functions"] = found = Functions(registry)
    return found


class Decoder:
    """Reads EDF values that one writer wrote: its caches, our registry, our atom mapping."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES) -> None:
        functions = functions_of(registry)
        self.tables = DecodeTables(registry, caches, functions.dynamic_reader)
        self._reader: Callable[[Type], Read] = functions.reader

    def decode(self, data: bytes) -> Any:
        """The one value that `data` holds, with its descriptor. Raises Rejected, also for bytes behind it."""
        tables = self.tables
        tables.empty_items = tables.inner_arrays = 0
        try:
            value, end = DISPATCH[data[0]](data, 1, tables, 0)
            if end == len(data):
                return value
        except _REFUSED:
            pass
        value, end = self.decode_prefix(data)
        if end != len(data):
            raise Rejected(Reason.LEFTOVER, "", end, f"{len(data) - end} bytes")
        return value

    def decode_prefix(self, data: bytes, offset: int = 0) -> tuple[Any, int]:
        """The value at `offset` and the offset behind it. Raises Rejected."""
        tables = self.tables
        tables.empty_items = tables.inner_arrays = 0
        try:
            value, end = DISPATCH[data[offset]](data, offset + 1, tables, 0)
            if end <= len(data):
                return value, end
        except _REFUSED:
            pass
        return Explainer(data, offset, tables).read(None)

    def decode_as(self, type_: Type, data: bytes, offset: int = 0) -> tuple[Any, int]:
        """A value of a type that is known and therefore not on the wire. Raises Rejected."""
        tables = self.tables
        tables.empty_items = tables.inner_arrays = 0
        try:
            value, end = self._reader(type_)(data, offset, tables, 0)
            if end <= len(data):
                return value, end
        except _REFUSED:
            pass
        return Explainer(data, offset, tables).read(type_)


class Encoder:
    """Writes EDF values for one reader: our caches as we announced them, our registry, our atom mapping."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES) -> None:
        self.tables = EncodeTables(registry, caches, functions_of(registry).dynamic_writer)
        self.tables.dynamic.update(encoder.SELF_TELLING)

    def encode(self, value: Any) -> bytes:
        """The value with its descriptor. Raises CannotEncode; nil itself has no encoding at top level (EDF-TOP-3)."""
        pieces: list[bytes] = []
        tables = self.tables
        try:
            data = tables.dynamic[type(value)](value, pieces, tables)
            if pieces:
                pieces.append(data)
                data = b"".join(pieces)
        except _UNWRITTEN:
            data = spell(value, None, tables)
        if data == b"\xff":
            raise CannotEncode("nil can't be sent by itself")
        return data
