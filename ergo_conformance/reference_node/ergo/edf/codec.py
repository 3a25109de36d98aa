"""Decoder and Encoder: the public interface of the codec, one object per direction of a connection.

Generated functions belong to a registry and are shared by all connections that use it. Tables of ids belong to one
direction of one connection.
"""

from typing import Any, Final

from ....errors import CannotEncode, Reason, Rejected
from ....model.ergo.caches import NO_CACHES, Caches
from ....model.inferred import INFERRED_TYPES
from ....model.registry import Registry
from ....model.types import Array, Map, Slice, Type
from .dynamic_readers import DISPATCH
from .function_source import source_of
from .reader_generator import generate_reader
from .runtime import FAST_PATH_ERRORS, FastPathError, no_fast_reader
from .slow_reader import SlowReader
from .slow_writer import write_slowly
from .tables import DecodeTables, EncodeTables, Reader, Writer
from .type_properties import is_larger
from .writer_generator import DYNAMIC_SCALAR_WRITERS, generate_writer

MAX_FOLDED_LINES: Final = 1500
"""Limit of the lines generated for folded types that were received and are kept; beyond it all of them are forgotten."""
MAX_LINES_PER_PEER: Final = 400
"""Limit of the lines generated for new folded types of one peer; its further ones use the slow reader. One line takes about
20 µs to generate, so a peer must not be able to request unlimited functions by sending new types."""
MAX_GENERATED_DEPTH: Final = 16
"""Maximum nesting of a folded type for which functions are generated; for a reader, arrays of arrays are one level."""
MAX_GENERATED_PARTS: Final = 48
"""Maximum number of constructors of a folded type for which functions are generated, counted in the same way."""

_ALWAYS_GENERATED: Final = (INFERRED_TYPES[list], INFERRED_TYPES[dict])  # not counted against the limits of lines
_READ_ERRORS: Final = (*FAST_PATH_ERRORS, Rejected)  # Rejected: raised for a descriptor, and without a path
_WRITE_ERRORS: Final = (*FAST_PATH_ERRORS, CannotEncode, AttributeError)


class Allowance:
    """Lines that may be generated for new folded types of one peer."""

    __slots__ = ("lines",)

    def __init__(self, lines: int) -> None:
        self.lines = lines


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
        self._folded: list[tuple[dict[Type, Reader], Type]] = []  # entries made for folded types that were received
        self._for_folded = False
        self.lines = 0  # of all generated readers
        self.folded_lines = 0  # of readers that are kept for folded types

    def reader(self, type_: Type) -> Reader:
        """Returns the reader of a typed slot."""
        return self._found(self.readers, type_)

    def dynamic_reader(self, type_: Type) -> Reader:
        """Returns the reader of a value whose descriptor names this type."""
        return self._found(self.dynamic_readers, type_)

    def _found(self, readers: dict[Type, Reader], type_: Type) -> Reader:
        found = readers.get(type_)
        if found is None:
            readers[type_] = found = self._new_reader(type_, dynamic=readers is self.dynamic_readers)
            if self._for_folded:
                self._folded.append((readers, type_))
        return found

    def reader_for_peer(self, type_: Type, allowance: Allowance, *, dynamic: bool) -> Reader:
        """Returns the reader of a type that a peer named; `no_fast_reader` beyond the limits of folded types."""
        readers = self.dynamic_readers if dynamic else self.readers
        found = readers.get(type_)
        if found is not None:
            return found
        if not isinstance(type_, Slice | Array | Map) or type_ in _ALWAYS_GENERATED:
            return self._found(readers, type_)
        if allowance.lines <= 0 or is_larger(type_, MAX_GENERATED_DEPTH, MAX_GENERATED_PARTS, join_arrays=True):
            return no_fast_reader
        if self.folded_lines >= MAX_FOLDED_LINES:
            self._forget_folded()
        before, self._for_folded = self.lines, True
        try:
            return self._found(readers, type_)
        finally:
            self._for_folded = False
            allowance.lines -= self.lines - before
            self.folded_lines += self.lines - before

    def _forget_folded(self) -> None:
        """Forgets the readers of folded types; connections keep those that they use."""
        for readers, type_ in self._folded:
            readers.pop(type_, None)
        self._folded.clear()
        self.folded_lines = 0

    def _new_reader(self, type_: Type, *, dynamic: bool) -> Reader:
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

    def generate_postponed(self, allowance: Allowance) -> None:
        """Generates the readers for which the stack was too deep. To be called when no value is being read."""
        while self._postponed:
            type_, dynamic = self._postponed.pop()
            try:
                self.reader_for_peer(type_, allowance, dynamic=dynamic)
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
        """Returns the writer of a value with its descriptor. Not limited in number: the local program chooses the types.

        Raises FastPathError if the type has more than MAX_GENERATED_DEPTH levels or MAX_GENERATED_PARTS.
        """
        found = self.dynamic_writers.get(type_)
        if found is None:
            if is_larger(type_, MAX_GENERATED_DEPTH, MAX_GENERATED_PARTS, join_arrays=False):
                raise FastPathError
            found = generate_writer(type_, self.registry, self.writer, dynamic=True)
            self.dynamic_writers[type_] = found
        return found


def generated_functions(registry: Registry) -> GeneratedFunctions:
    """Returns the GeneratedFunctions of a registry; creates it on first use."""
    found: GeneratedFunctions | None = registry.derived.get("functions")
    if found is None:
        registry.derived["functions"] = found = GeneratedFunctions(registry)
    return found


class Decoder:
    """Reads EDF values of one peer, with the peer's caches, our registry and our atom mapping."""

    def __init__(
        self, registry: Registry, caches: Caches = NO_CACHES, *, generated_lines: int = MAX_LINES_PER_PEER
    ) -> None:
        """`generated_lines`: limit of the lines generated for folded types that only this peer uses."""
        self._functions = generated_functions(registry)
        self._allowance = Allowance(generated_lines)
        self.tables = DecodeTables(registry, caches, self._dynamic_reader)

    def _dynamic_reader(self, type_: Type) -> Reader:
        return self._functions.reader_for_peer(type_, self._allowance, dynamic=True)

    def _item_reader(self, type_: Type) -> Reader:
        return self._functions.reader_for_peer(type_, self._allowance, dynamic=False)

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
        self._functions.generate_postponed(self._allowance)
        return SlowReader(data, offset, self.tables, self._item_reader).read(type_)


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
