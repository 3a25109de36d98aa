"""Slow reader: reads one value at a time and tracks the path to it.

Runs when a generated reader fails. Usually it raises Rejected with reason, path and offset. It is a complete reader with an
explicit stack, and also reads the values that the generated readers do not support: values nested deeper than Python
recurses, structs as keys of a map with `any` keys, folded types for which no function was generated.
"""

from collections.abc import Callable
from typing import Any, Final

from ....errors import Reason, Rejected
from ....model.ergo.edf import MAX_ARRAYS_PER_BYTE, MAX_DEPTH, MAX_EMPTY_ITEMS, SCALAR_TAGS, Tag
from ....model.inferred import to_any_slot
from ....model.registry import Marshaler, Struct
from ....model.types import ANY, BOOL, Array, Map, Reg, Scalar, Slice, Type
from ....model.values import Typed
from .function_source import packed_size
from .open_values import NO_KEY, OpenMap, OpenSequence, OpenSlot, OpenStruct, OpenValue
from .runtime import FAST_PATH_ERRORS, FastPathError, no_fast_reader, unpack_numbers
from .slow_scalars import read_bytes, read_marshaler, read_scalar
from .tables import DecodeTables, Reader
from .type_properties import STRUCT_CODES, base_of, empty_items, empty_value, marker_of, min_size

_SCALARS_BY_TAG: Final = {int(tag): Scalar(tag) for tag in SCALAR_TAGS}
_ATTEMPT_ERRORS: Final = (*FAST_PATH_ERRORS, Rejected)
_PENDING: Final = object()
"""In place of a value whose parts are not read yet."""


class SlowReader:
    """Reads one value at offset `o` of `b`."""

    def __init__(self, b: bytes, o: int, tables: DecodeTables, item_reader: Callable[[Type], Reader]) -> None:
        """`item_reader`: returns the generated reader of a typed slot."""
        self.b, self.o, self.tables, self.item_reader = b, o, tables, item_reader
        self.registry = tables.registry
        self.open: list[OpenValue] = []
        self.slots = 0
        self.empty_items = 0
        self.inner_arrays = 0
        self.min_sizes: dict[Type, int] = {}

    def read(self, type_: Type | None) -> tuple[Any, int]:
        """Returns the value in a slot of a type, or with descriptor (None), and the offset after it. Raises Rejected."""
        try:
            value = self.read_described(top=True) if type_ is None else self.read_value(type_)
            while True:
                if value is not _PENDING:
                    if not self.open:
                        return value, self.o
                    self.open[-1].add(value)
                top = self.open[-1]
                if isinstance(top, OpenSequence | OpenMap) and top.is_due():
                    self.read_items(top)
                type_to_read = top.next_type()
                if type_to_read is None:
                    self.open.pop()
                    if type(top) is OpenSlot:
                        self.slots -= top.opened
                    value = top.result()
                else:
                    if type(top) is OpenMap:
                        top.at = self.o
                    value = self.read_value(type_to_read)
        except Rejected as refusal:
            path = ".".join(part for part in (self.path(), refusal.path) if part)
            raise Rejected(refusal.reason, path, refusal.offset, refusal.detail) from None

    def read_items(self, items: OpenSequence | OpenMap) -> None:
        """Reads the next items, or entries, with generated readers, as far as they succeed."""
        start = self.o
        while items.left():
            chunk = self.b[self.o : self.o + items.attempts.window(self.o)]
            read = self.read_chunk(items, chunk)
            if not read:
                break
            self.o += read
        items.attempts.ended(successful=self.o > start)

    def read_chunk(self, items: OpenSequence | OpenMap, chunk: bytes) -> int:
        """Reads items from a part of the input; returns the number of bytes read."""
        tables, slots, end = self.tables, self.slots, 0
        less = MAX_ARRAYS_PER_BYTE * (len(self.b) - len(chunk))  # the generated readers see a shorter input
        tables.empty_items, tables.inner_arrays = self.empty_items, self.inner_arrays - less
        try:
            while items.left():
                o, values = end, []
                for read in items.readers:
                    value, o = read(chunk, o, tables, slots)
                    values.append(value)
                if o > len(chunk):
                    break
                items.add_read(values)
                end = o
                self.empty_items, self.inner_arrays = tables.empty_items, tables.inner_arrays + less
        except _ATTEMPT_ERRORS:  # also UnusableKeyError, a ValueError
            pass
        return end

    def readers_of(self, *types: Type) -> tuple[Reader, ...]:
        """Returns the generated readers of the parts of an item; none if one of them has no reader."""
        try:
            readers = tuple(self.item_reader(type_) for type_ in types)
        except FastPathError:
            return ()
        return () if no_fast_reader in readers else readers

    def min_size(self, type_: Type) -> int:
        return min_size(type_, self.registry, self.min_sizes)

    def path(self) -> str:
        return "".join(container.label() for container in self.open).lstrip(".")

    # --- each method returns the value, or _PENDING after opening a container -----------------------------------------

    def read_value(self, type_: Type) -> Any:
        """Reads a value in a typed slot."""
        if type_ is ANY:
            return self.read_described(top=False)
        base = base_of(type_, self.registry)
        match base:
            case Scalar():
                value, self.o = read_scalar(base, self.b, self.o, self.tables)
                return value
            case Slice() | Map():
                return self.open_counted(type_, base)
            case Array():
                if self.min_size(base) == 0:
                    self.count_empty_items(empty_items(base, self.registry) or 0)
                    return empty_value(base, self.registry)
                self.check_count(base.length, self.min_size(base.item), self.o)
                if isinstance(base_of(base.item, self.registry), Array):
                    self.count_inner_arrays(base.length)
                return self.open_items(base.item, base.length, as_tuple=True)
            case Struct():
                self.open.append(OpenStruct(base))
                return _PENDING
            case Marshaler():
                value, self.o = read_marshaler(base, self.b, self.o)
                return value
        raise AssertionError(f"no reader for {type_!r}")

    def read_described(self, *, top: bool) -> Any:
        """Reads a value with descriptor, at top level or in an `any` slot. The slot is open until its value is read."""
        opened = 0 if top else 1
        is_key = not top and bool(self.open) and isinstance(self.open[-1], OpenMap) and self.open[-1].key is NO_KEY
        b, o = self.b, self.o
        while True:
            if self.slots + opened > MAX_DEPTH:
                raise Rejected(Reason.DEPTH, "", o, "any slots")
            tag = read_bytes(b, o, 1)[0]
            if tag != Tag.ANY:
                break
            o += 1
            opened += 1
        self.o = o + 1
        if tag == Tag.NIL:
            return None
        scalar = _SCALARS_BY_TAG.get(tag)
        if scalar is not None:
            value, self.o = read_scalar(scalar, b, o + 1, self.tables)
            if is_key and value is not None:
                return Typed(scalar, value)
            return to_any_slot(scalar, value, self.registry)
        type_ = self.read_descriptor(tag, o)
        self.slots += opened
        self.open.append(OpenSlot(type_, opened, self.registry, is_key=is_key))
        return _PENDING

    def read_descriptor(self, tag: int, o: int) -> Type:
        """Reads the descriptor of a registered or folded type; `o` is at its tag."""
        if tag == Tag.REG:
            row, self.o = self.tables.row_at(self.b, o + 1, len(self.b))
            return Reg(row.name)
        if tag == Tag.FOLDED:
            n = int.from_bytes(read_bytes(self.b, o + 1, 2), "big")
            folded = read_bytes(self.b, o + 3, n)
            self.o = o + 3 + n
            try:
                return self.tables.folded.type_of(folded)
            except Rejected as refusal:
                raise Rejected(refusal.reason, refusal.path, o + 3 + refusal.offset, refusal.detail) from None
        raise Rejected(Reason.UNKNOWN_TAG, "", o, f"tag {tag:02x}")

    def open_counted(self, type_: Type, base: Slice | Map) -> Any:
        """Reads marker and count of a slice or map, or nil."""
        marker = read_bytes(self.b, self.o, 1)[0]
        if marker == Tag.NIL:
            self.o += 1
            return None
        if marker != marker_of(type_):
            raise Rejected(Reason.MARKER, "", self.o, f"marker {marker:02x}, expected {marker_of(type_):02x}")
        n = int.from_bytes(read_bytes(self.b, self.o + 1, 4), "big")
        at = self.o + 1
        self.o += 5
        if isinstance(base, Slice):
            size = self.min_size(base.item)
            if size == 0:
                if not n:
                    return []
                self.count_empty_items(n * (1 + (empty_items(base.item, self.registry) or 0)))
                return [empty_value(base.item, self.registry)] * n
            self.check_count(n, size, at)
            return self.open_items(base.item, n, as_tuple=False)
        size = self.min_size(base.key) + self.min_size(base.value)
        if size:
            self.check_count(n, size, at)
        else:
            self.count_empty_items(n)
        readers = self.readers_of(base.key, base.value) if n > 1 else ()
        self.open.append(OpenMap(base, n, self.o, readers))
        return _PENDING

    def open_items(self, item: Type, n: int, *, as_tuple: bool) -> Any:
        """Opens a slice or array; numbers and bools are read at once."""
        code = "B" if item is BOOL else STRUCT_CODES.get(item)
        if code:
            width = packed_size(code)
            values = unpack_numbers(self.b, self.o, n, code, width)
            self.o += n * width
            if item is BOOL:
                values = [value == 1 for value in values]
            return tuple(values) if as_tuple else values
        readers = self.readers_of(item) if n > 1 else ()
        self.open.append(OpenSequence(item, n, self.o, readers, as_tuple=as_tuple))
        return _PENDING

    def check_count(self, n: int, size: int, at: int) -> None:
        """Raises Rejected if the remaining bytes cannot hold n items of `size` bytes."""
        if n * size > len(self.b) - self.o:
            raise Rejected(
                Reason.COUNT, "", at, f"{n:,} items of at least {size} bytes, {len(self.b) - self.o:,} bytes left"
            )

    def count_inner_arrays(self, n: int) -> None:
        """Counts n arrays inside an array. Raises Rejected above a limit proportional to the input."""
        self.inner_arrays += n
        if self.inner_arrays > MAX_EMPTY_ITEMS + MAX_ARRAYS_PER_BYTE * len(self.b):
            raise Rejected(Reason.EMPTY_ITEMS, "", self.o, "arrays inside arrays")

    def count_empty_items(self, items: int) -> None:
        """Counts items without bytes. Raises Rejected above MAX_EMPTY_ITEMS."""
        self.empty_items += items
        if self.empty_items > MAX_EMPTY_ITEMS:
            raise Rejected(Reason.EMPTY_ITEMS, "", self.o)
