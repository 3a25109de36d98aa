"""Combinators that schemas are made of: numbers, counted bytes, fields, items, entries, nullable values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from construct import Int8ub, Int16ub, Int32ub

from ..errors import CannotEncode, Reason
from ..model.ergo.edf import MAX_ARRAYS_PER_BYTE, MAX_EMPTY_ITEMS
from ..model.map_keys import MapKeys, UnusableKeyError
from .interpreter import (  # fmt: skip
    Composite,
    Label,
    Leaf,
    NumberField,
    Reader,
    Reading,
    RefusalError,
    Schema,
    SchemaNode,
    Writer,
    Writing,
    plain,
)

# --- leaves -----------------------------------------------------------------------------------------------------------


class Number(Leaf):
    """A number of fixed width; `field` is a number of construct."""

    def __init__(self, field: NumberField) -> None:
        super().__init__()
        self.field = field
        self.min_size = field.length

    def read(self, io: Reader) -> Any:
        return io.number(self.field)

    def write(self, value: Any, io: Writer) -> None:
        io.number(self.field, value)


U8: Final = Number(Int8ub)
U16: Final = Number(Int16ub)
U32: Final = Number(Int32ub)


class Exactly(Leaf):
    """A number that must have one given value."""

    def __init__(self, number: Number, value: int, reason: Reason) -> None:
        super().__init__()
        self.number, self.value, self.reason = number, value, reason
        self.min_size = number.min_size

    def read(self, io: Reader) -> Any:
        start = io.pos
        value = self.number.read(io)
        if value != self.value:
            raise RefusalError(self.reason, start, f"{value}, expected {self.value}")
        return value

    def write(self, value: Any, io: Writer) -> None:
        self.number.write(self.value if value is None else value, io)


class CountedBytes(Leaf):
    """A length and that many bytes."""

    def __init__(self, length: Number) -> None:
        super().__init__()
        self.length = length
        self.min_size = length.min_size

    def read(self, io: Reader) -> Any:
        return io.read(self.length.read(io))

    def write(self, value: Any, io: Writer) -> None:
        if not isinstance(value, bytes | bytearray):
            raise CannotEncode(f"{type(value).__name__}, expected bytes")
        try:
            self.length.write(len(value), io)
        except CannotEncode:
            raise CannotEncode(
                f"{len(value)} bytes, more than a length of {self.length.min_size} bytes can count"
            ) from None
        io.write(bytes(value))

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return (("length", self.length),)


class CountedText(CountedBytes):
    """Counted bytes as text; bytes that are not UTF-8 become lone surrogates and are written back unchanged."""

    def read(self, io: Reader) -> Any:
        return super().read(io).decode("utf-8", "surrogateescape")

    def write(self, value: Any, io: Writer) -> None:
        super().write(value.encode("utf-8", "surrogateescape"), io)


# --- combinations -----------------------------------------------------------------------------------------------------


class Sized(Composite):
    """A node whose size is the sum of the sizes of its parts, `times` times."""

    known_min_size: int | None = None
    times = 1

    def sized_parts(self) -> Sequence[Schema]:
        raise NotImplementedError

    @property
    def min_size(self) -> int:  # type: ignore[override]  # computed from parts, some of which are deferred
        return min_size_of(self)


class Fields(Sized):
    """Named parts in order; `into` makes the value from them (such as a NamedTuple class); None: a dict."""

    def __init__(self, *fields: Schema, into: Any = None) -> None:
        super().__init__()
        self.fields = fields
        self.into = into

    def sized_parts(self) -> Sequence[Schema]:
        return self.fields

    def read_parts(self, io: Reader) -> Reading:
        values = []
        for field in self.fields:
            values.append((yield None, field))
        return dict(zip(self.names, values, strict=True)) if self.into is None else self.into(*values)

    def write_parts(self, value: Any, io: Writer) -> Writing:
        parts = [value[name] for name in self.names] if self.into is None else value
        if len(parts) != len(self.fields):
            raise CannotEncode(f"{len(parts)} fields, expected {len(self.fields)}")
        for field, part in zip(self.fields, parts, strict=True):
            yield None, field, part

    @cached_property
    def names(self) -> list[str]:
        return [field.name or "" for field in self.fields]

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return [(field.name, field) for field in self.fields]


class InOrder(Sized):
    """Parts in order without names, as a tuple."""

    def __init__(self, *parts: Schema) -> None:
        super().__init__()
        self.parts = parts

    def sized_parts(self) -> Sequence[Schema]:
        return self.parts

    def read_parts(self, io: Reader) -> Reading:
        values = []
        for i, part in enumerate(self.parts):
            values.append((yield i, part))
        return tuple(values)

    def write_parts(self, value: Any, io: Writer) -> Writing:
        if len(value) != len(self.parts):
            raise CannotEncode(f"{len(value)} parts, expected {len(self.parts)}")
        for i, (part, item) in enumerate(zip(self.parts, value, strict=True)):
            yield i, part, item

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return list(enumerate(self.parts))


class Repeat(Sized):
    """Exactly n items, as a tuple."""

    def __init__(self, n: int, item: Schema) -> None:
        super().__init__()
        self.n, self.item = n, item
        self.times = n

    def sized_parts(self) -> Sequence[Schema]:
        return (self.item,)

    def read_parts(self, io: Reader) -> Reading:
        check_room(io, self.n, min_size_of(self.item))
        if isinstance(plain(self.item)[1], Repeat) and min_size_of(self.item):
            limit = MAX_EMPTY_ITEMS + MAX_ARRAYS_PER_BYTE * len(io.data)
            io.count("arrays inside arrays", self.n, limit, Reason.EMPTY_ITEMS)
        values, item = [], resolved(self.item)
        for i in range(self.n):
            values.append((yield i, item))
        return tuple(values)

    def write_parts(self, value: Any, io: Writer) -> Writing:
        if len(value) != self.n:
            raise CannotEncode(f"{len(value)} items, expected {self.n}")
        for i, item in enumerate(value):
            yield i, self.item, item

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return ((0, self.item),)


class CountedItems(Composite):
    """A count and that many items, as a list. A count is refused if the bytes left are too few for it."""

    def __init__(self, count: Number, item: Schema) -> None:
        super().__init__()
        self.count, self.item = count, item
        self.min_size = count.min_size

    def read_parts(self, io: Reader) -> Reading:
        n = self.count.read(io)
        check_room(io, n, min_size_of(self.item), behind=self.count.min_size)
        values, item = [], resolved(self.item)
        for i in range(n):
            values.append((yield i, item))
        return values

    def write_parts(self, value: Any, io: Writer) -> Writing:
        self.count.write(len(value), io)
        for i, item in enumerate(value):
            yield i, self.item, item

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return (("count", self.count), (0, self.item))


class CountedEntries(Composite):
    """A count and that many pairs of key and value, as a dict; of equal keys the last one counts."""

    def __init__(self, count: Number, key: Schema, value: Schema) -> None:
        super().__init__()
        self.count, self.key, self.value = count, "key" / key, value
        self.min_size = count.min_size

    def read_parts(self, io: Reader) -> Reading:
        n = self.count.read(io)
        check_room(io, n, min_size_of(self.key) + min_size_of(self.value), behind=self.count.min_size)
        values: dict[Any, Any] = {}
        keys = MapKeys(n)
        for i in range(n):
            start = io.pos
            key = yield f"{i}", self.key
            try:
                key = keys.checked(values, key)
            except UnusableKeyError as error:
                raise RefusalError(Reason.UNHASHABLE_KEY, start, str(error), (f"{i}", "key")) from None
            values[key] = yield i, self.value
        return values

    def write_parts(self, value: Any, io: Writer) -> Writing:
        self.count.write(len(value), io)
        for i, (key, entry) in enumerate(value.items()):
            yield f"{i}", self.key, key
            yield i, self.value, entry

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return (("count", self.count), ("key", self.key), (0, self.value))


class Nullable(Composite):
    """The byte for nil, or a marker and the body."""

    min_size = 1

    def __init__(self, nil: int, marker: int, body: Schema) -> None:
        super().__init__()
        self.nil, self.marker, self.body = nil, marker, body

    def read_parts(self, io: Reader) -> Reading:
        start = io.pos
        marker = U8.read(io)
        if marker == self.nil:
            return None
        if marker != self.marker:
            raise RefusalError(Reason.MARKER, start, f"{marker:02x}, expected {self.marker:02x} or {self.nil:02x}")
        return (yield None, self.body)

    def write_parts(self, value: Any, io: Writer) -> Writing:
        U8.write(self.nil if value is None else self.marker, io)
        if value is not None:
            yield None, self.body, value

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return ((None, self.body),)


def resolved(schema: Schema) -> Schema:
    """Returns a schema without a name as the interpreter reads it; looked up once for many items."""
    label, node = plain(schema)
    return node if label is None else schema


def check_room(io: Reader, n: int, min_size: int, behind: int = 0) -> None:
    """Refuses a count of items that do not fit into the bytes left, or too many items without bytes."""
    if min_size:
        if n * min_size > io.left:
            detail = f"{n:,} of at least {min_size} bytes, {io.left:,} bytes left"
            raise RefusalError(Reason.COUNT, io.pos - behind, detail)
    else:
        io.count("items without a byte", n, MAX_EMPTY_ITEMS, Reason.EMPTY_ITEMS)


def min_size_of(schema: Schema) -> int:
    """Returns the bytes of the smallest value of a schema. Not recursive: arrays and structs may be hundreds of levels deep."""
    known = _known_min_size(schema)
    if known is not None:
        return known
    todo = [schema]
    while todo:
        _, node = plain(todo[-1])
        if not isinstance(node, Sized) or node.known_min_size is not None:
            todo.pop()
            continue
        unknown = [part for part in node.sized_parts() if _known_min_size(part) is None]
        todo += unknown
        if not unknown:
            node.known_min_size = node.times * sum(_known_min_size(part) or 0 for part in node.sized_parts())
    return _known_min_size(schema) or 0


def _known_min_size(schema: Schema) -> int | None:
    _, node = plain(schema)
    if isinstance(node, Sized):
        return node.known_min_size
    return node.min_size if isinstance(node, SchemaNode) else node.sizeof()
