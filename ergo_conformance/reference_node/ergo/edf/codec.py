"""Decoder and Encoder: the public interface of the codec, one object per direction of a connection.

Generated functions belong to a registry and are shared by all connections that use it. Tables of ids belong to one
direction of one connection.
"""

from typing import Any, Final

from ....errors import CannotEncode, Reason, Rejected
from ....model.ergo.caches import NO_CACHES, Caches
from ....model.inferred import INFERRED_TYPES
from ....model.registry import Registry
from ....model.types import Reg, Type
from .dynamic_readers import DISPATCH
from .function_source import source_of
from .reader_generator import generate_reader
from .runtime import FAST_PATH_ERRORS, FastPathError, no_fast_reader
from .slow_reader import SlowReader
from .slow_writer import write_slowly
from .tables import DecodeTables, EncodeTables, Reader, Writer
from .type_properties import constructor_depth
from .writer_generator import DYNAMIC_SCALAR_WRITERS, generate_writer

MAX_FOLDED_LINES: Final = 1500
"""Limit of the lines generated for folded types that were received; types beyond it use the slow reader. One line takes about
20 µs to generate, so a peer must not be able to request unlimited functions by sending new types."""
MAX_GENERATED_DEPTH: Final = 16
"""Maximum nesting of a folded type for which functions are generated."""

_ALWAYS_GENERATED: Final = (INFERRED_TYPES[list], INFERRED_TYPES[dict])  # not counted against MAX_FOLDED_LINES
_READ_ERRORS: Final = (*FAST_PATH_ERRORS, Rejected)  # Rejected: raised for a descriptor, and without a path
_WRITE_ERRORS: Final = (*FAST_PATH_ERRORS, CannotEncode, AttributeError)


class GeneratedFunctions:
    """Readers and writers generated for one registry.

    Those for typed slots handle the value alone; `dynamic` ones handle a value whose descriptor is on the wire.
    """

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.readers: dict[Type, Reader] = {}
        self.writers: dict[Type, Writer] = {}
        self.dynamic_readers: dict[Type, Reader] = {}
        self.dynamic_writers: dict[Type, Writer] = {}
        self._postponed: list[tuple[Type, bool]] = []
        self.lines = 0  # of all generated readers
        self.folded_lines = 0  # of readers generated for folded types

    def reader(self, type_: Type) -> Reader:
        """Returns the reader of a typed slot."""
        found = self.readers.get(type_)
        if found is None:
            self.readers[type_] = found = self.new_reader(type_, dynamic=False)
        return found

    def dynamic_reader(self, type_: Type) -> Reader:
        """Returns the reader of a value whose descriptor names this type; `no_fast_reader` beyond the limits."""
        found = self.dynamic_readers.get(type_)
        if found is None:
            known = isinstance(type_, Reg) or type_ in _ALWAYS_GENERATED
            if not known and (self.folded_lines >= MAX_FOLDED_LINES or too_deep(type_)):
                return no_fast_reader
            before = self.lines
            self.dynamic_readers[type_] = found = self.new_reader(type_, dynamic=True)
            if not known:
                self.folded_lines += self.lines - before
        return found

    def new_reader(self, type_: Type, *, dynamic: bool) -> Reader:
        """Generates a reader and the readers that it calls.

        Raises FastPathError if Python's stack is too deep for that now: a value deep inside another names the type.
        """
        try:
            read = generate_reader(type_, self.registry, self.reader, dynamic=dynamic)
        except SyntaxError:  # structs nested deeper than Python's parser allows
            return no_fast_reader
        except RecursionError:
            self._postponed.append((type_, dynamic))
            raise FastPathError from None
        self.lines += source_of(read).count("\n")
        return read

    def generate_postponed(self) -> None:
        """Generates the readers for which the stack was too deep. To be called when no value is being read."""
        while self._postponed:
            type_, dynamic = self._postponed.pop()
            try:
                (self.dynamic_reader if dynamic else self.reader)(type_)  # these count the lines of folded types
            except FastPathError:  # the type itself is too deep
                self._postponed.pop()
                (self.dynamic_readers if dynamic else self.readers)[type_] = no_fast_reader

    def writer(self, type_: Type) -> Writer:
        """Returns the writer of a typed slot."""
        found = self.writers.get(type_)
        if found is None:
            self.writers[type_] = found = generate_writer(type_, self.registry, self.writer)
        return found

    def dynamic_writer(self, type_: Type) -> Writer:
        """Returns the writer of a value with its descriptor. Not limited: the local program chooses the types.

        Raises FastPathError if the type is nested deeper than MAX_GENERATED_DEPTH.
        """
        found = self.dynamic_writers.get(type_)
        if found is None:
            if too_deep(type_):
                raise FastPathError
            found = generate_writer(type_, self.registry, self.writer, dynamic=True)
            self.dynamic_writers[type_] = found
        return found


def too_deep(type_: Type) -> bool:
    """Tells whether a type is nested too deep for generated functions."""
    return constructor_depth(type_, MAX_GENERATED_DEPTH) > MAX_GENERATED_DEPTH


def generated_functions(registry: Registry) -> GeneratedFunctions:
    """Returns the GeneratedFunctions of a registry; creates it on first use."""
    found: GeneratedFunctions | None = registry.derived.get("functions")
    if found is None:
        registry.derived["functions"] = found = GeneratedFunctions(registry)
    return found


class Decoder:
    """Reads EDF values of one peer, with the peer's caches, our registry and our atom mapping."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES) -> None:
        self._functions = generated_functions(registry)
        self.tables = DecodeTables(registry, caches, self._functions.dynamic_reader)

    def decode(self, data: bytes) -> Any:
        """Returns the single value with descriptor in `data`. Raises Rejected, also for trailing bytes."""
        tables = self.tables
        tables.empty_items = tables.inner_arrays = 0
        try:
            value, end = DISPATCH[data[0]](data, 1, tables, 0)
            if end == len(data):
                return value
        except _READ_ERRORS:
            pass
        value, end = self.decode_prefix(data)
        if end != len(data):
            raise Rejected(Reason.LEFTOVER, "", end, f"{len(data) - end} bytes")
        return value

    def decode_prefix(self, data: bytes, offset: int = 0) -> tuple[Any, int]:
        """Returns the value with descriptor at `offset`, and the offset after it. Raises Rejected."""
        tables = self.tables
        tables.empty_items = tables.inner_arrays = 0
        try:
            value, end = DISPATCH[data[offset]](data, offset + 1, tables, 0)
            if end <= len(data):
                return value, end
        except _READ_ERRORS:
            pass
        return self._read_slowly(data, offset, None)

    def decode_as(self, type_: Type, data: bytes, offset: int = 0) -> tuple[Any, int]:
        """Returns the value of a known type at `offset` (no descriptor), and the offset after it. Raises Rejected."""
        tables = self.tables
        tables.empty_items = tables.inner_arrays = 0
        try:
            value, end = self._functions.reader(type_)(data, offset, tables, 0)
            if end <= len(data):
                return value, end
        except _READ_ERRORS:
            pass
        return self._read_slowly(data, offset, type_)

    def _read_slowly(self, data: bytes, offset: int, type_: Type | None) -> tuple[Any, int]:
        """Reads a value that the generated readers have not read: in a slot of a type, or with descriptor. Raises Rejected."""
        self._functions.generate_postponed()
        return SlowReader(data, offset, self.tables).read(type_)


class Encoder:
    """Writes EDF values for one peer, with the caches that we announced, our registry and our atom mapping."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES) -> None:
        self.tables = EncodeTables(registry, caches, generated_functions(registry).dynamic_writer)
        self.tables.dynamic.update(DYNAMIC_SCALAR_WRITERS)

    def encode(self, value: Any) -> bytes:
        """Returns the value with its descriptor. Raises CannotEncode, also for nil at top level (EDF-TOP-3)."""
        pieces: list[bytes] = []
        tables = self.tables
        try:
            data = tables.dynamic[type(value)](value, pieces, tables)
            if pieces:
                pieces.append(data)
                data = b"".join(pieces)
        except _WRITE_ERRORS:
            data = write_slowly(value, None, tables)
        if data == b"\xff":
            raise CannotEncode("nil cannot be encoded at top level")
        return data
