"""Combinators for schemas that can be walked, and the loops that read and write with them.

A schema is a construct: construct's own primitives at the leaves, the nodes below around them, `"name" / node` for a named
field, `node * "text"` for its documentation. What construct's interpreter lacks, the nodes bring: absolute offsets and a
path with indexes for every value, one kind of refusal, and no recursion (a peer can nest values a thousand levels deep).

A `Flat` node reads and writes by itself. A `Deep` node is a generator that yields `(label, schema)` for each part it wants
read (or `(label, schema, value)` to be written) and gets the part's value back; the loops `read` and `write` run them.
Nodes are constructs in full: `node.parse(data)` and `node.build(value)` work, and so does a node inside a `construct.Struct`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from functools import cached_property
from io import BytesIO
from typing import Any, Final

from construct import Construct, FormatField, Int8ub, Int16ub, Int32ub, Renamed, SizeofError, StreamError

from ..errors import CannotEncode, Reason, Rejected

Label = str | int | None
Reading = Generator[tuple[Label, Construct], Any, Any]
Writing = Generator[tuple[Label, Construct, Any], None, None]


class RefusalError(Exception):
    """Raised by a node; the loop adds the path."""

    def __init__(self, reason: Reason, offset: int, detail: str = "") -> None:
        super().__init__(reason, offset, detail)
        self.reason, self.offset, self.detail = reason, offset, detail


class Reader:
    """One reading: the bytes, where we stand, what the schema has to know from outside, and what was found where."""

    def __init__(self, data: bytes, context: Any = None, offset: int = 0) -> None:
        self.data = data
        self.pos = offset
        self.end = len(data)
        self.context = context
        self.spans: list[tuple[Path, int, int]] = []
        self.counts: dict[str, int] = {}

    def take(self, n: int) -> bytes:
        """The next n bytes."""
        start = self.pos
        if start + n > self.end:
            raise RefusalError(Reason.END_OF_DATA, start, f"{n} bytes needed, {self.end - start} left")
        self.pos = start + n
        return self.data[start : self.pos]

    def number(self, field: FormatField) -> Any:
        """The next number, read by construct."""
        return field._parse(BytesIO(self.take(field.length)), None, "")  # noqa: SLF001  `parse` costs three times as much

    @property
    def left(self) -> int:
        return self.end - self.pos

    def count(self, what: str, n: int, limit: int, reason: Reason) -> None:
        """Adds n to a running count of this reading; refused above the limit."""
        total = self.counts.get(what, 0) + n
        self.counts[what] = total
        if total > limit:
            raise RefusalError(reason, self.pos, what)


class Writer:
    """One writing."""

    def __init__(self, context: Any = None) -> None:
        self.out = bytearray()
        self.context = context

    def put(self, data: bytes) -> None:
        self.out += data

    def number(self, field: FormatField, value: Any) -> None:
        """A number, written by construct."""
        stream = BytesIO()
        try:
            field._build(value, stream, None, "")  # noqa: SLF001  as for reading
        except Exception as error:
            raise CannotEncode(f"{value!r:.40} does not fit a number of {field.length} bytes") from error
        self.out += stream.getvalue()


class Path:
    """Where a value stands, as a linked list: made for every value, spelled out for few."""

    __slots__ = ("label", "parent")

    def __init__(self, parent: Path | None, label: Label) -> None:
        self.parent, self.label = parent, label

    def __str__(self) -> str:
        labels: list[str] = []
        here: Path | None = self
        while here is not None:
            if here.label is not None:
                labels.append(f"[{here.label}]" if isinstance(here.label, int) else f".{here.label}")
            here = here.parent
        return "".join(reversed(labels)).lstrip(".")


# --- the two kinds of node --------------------------------------------------------------------------------------------


class Node(Construct):
    """Base of all nodes."""

    least: int = 0
    """Bytes that the smallest value takes."""

    def children(self) -> Sequence[tuple[Label, Construct]]:
        """The parts, for those who walk a schema."""
        return ()

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        start = stream.tell()
        reader = Reader(stream.read(), context)
        value = read(self, reader)
        stream.seek(start + reader.pos)
        return value

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        writer = Writer(context)
        write(self, obj, writer)
        stream.write(bytes(writer.out))
        return obj

    def _sizeof(self, context: Any, path: str) -> int:
        raise SizeofError("the size depends on the value", path=path)


class Flat(Node):
    """A node without parts of its own."""

    def take(self, io: Reader) -> Any:
        raise NotImplementedError

    def put(self, value: Any, io: Writer) -> None:
        raise NotImplementedError


class Deep(Node):
    """A node with parts."""

    def reading(self, io: Reader) -> Reading:
        raise NotImplementedError

    def writing(self, value: Any, io: Writer) -> Writing:
        raise NotImplementedError


class Deferred(Node):
    """A schema that is made when it is needed: what refers to itself, or depends on a value just read."""

    def resolve(self) -> Construct:
        raise NotImplementedError

    @cached_property
    def target(self) -> Construct:
        return self.resolve()

    def children(self) -> Sequence[tuple[Label, Construct]]:
        return ((None, self.target),)


def plain(schema: Construct) -> tuple[Label, Construct]:
    """A schema without its name, and the name."""
    label: Label = None
    while True:
        if isinstance(schema, Renamed):
            label, schema = schema.name, schema.subcon
        elif isinstance(schema, Deferred):
            schema = schema.target
        else:
            return label, schema


def least_of(schema: Construct) -> int:
    """Bytes that the smallest value of a schema takes. Arrays of arrays may be a thousand levels deep."""
    arrays: list[Repeat] = []
    while True:
        _, schema = plain(schema)
        if not isinstance(schema, Repeat) or schema.known_least is not None:
            break
        arrays.append(schema)
        schema = schema.item
    if isinstance(schema, Repeat):
        least = schema.known_least or 0
    else:
        least = schema.least if isinstance(schema, Node) else schema.sizeof()
    for array in reversed(arrays):
        least = array.known_least = array.n * least
    return least


# --- the loops --------------------------------------------------------------------------------------------------------


def read(schema: Construct, io: Reader) -> Any:
    """Reads one value. Raises Rejected."""
    open_: list[tuple[Reading, Path, int]] = []
    path = Path(None, None)
    try:
        while True:
            label, schema = plain(schema)
            if label is not None:
                path = Path(path, label)
            start = io.pos
            if isinstance(schema, Deep):
                parts = schema.reading(io)
                open_.append((parts, path, start))
                value = None
            else:
                value = schema.take(io) if isinstance(schema, Flat) else _leaf(schema, io)
                io.spans.append((path, start, io.pos))
            while True:
                if not open_:
                    return value
                parts, path, start = open_[-1]
                try:
                    label, schema = parts.send(value)
                except StopIteration as done:
                    open_.pop()
                    value = done.value
                    io.spans.append((path, start, io.pos))
                    continue
                if label is not None:
                    path = Path(path, label)
                break
    except RefusalError as refusal:
        raise Rejected(refusal.reason, str(path), refusal.offset, refusal.detail) from None


def _leaf(schema: Construct, io: Reader) -> Any:
    """A construct that is no node: read by construct itself, on what is left."""
    stream = BytesIO(io.data[io.pos : io.end])
    try:
        value = schema.parse_stream(stream)
    except StreamError as error:
        raise RefusalError(Reason.END_OF_DATA, io.pos, str(error)) from None
    io.pos += stream.tell()
    return value


def write(schema: Construct, value: Any, io: Writer) -> None:
    """Writes one value. Raises CannotEncode."""
    open_: list[tuple[Writing, Path]] = []
    path = Path(None, None)
    try:
        while True:
            label, schema = plain(schema)
            if label is not None:
                path = Path(path, label)
            if isinstance(schema, Deep):
                open_.append((schema.writing(value, io), path))
            elif isinstance(schema, Flat):
                schema.put(value, io)
            else:
                io.put(schema.build(value))
            while True:
                if not open_:
                    return
                parts, path = open_[-1]
                step = next(parts, None)
                if step is not None:
                    break
                open_.pop()
            label, schema, value = step
            if label is not None:
                path = Path(path, label)
    except CannotEncode as error:
        raise CannotEncode(error.reason, str(path)) from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CannotEncode(str(error), str(path)) from None


# --- leaves -----------------------------------------------------------------------------------------------------------


class Number(Flat):
    """A number of fixed width; `field` is construct's."""

    def __init__(self, field: FormatField) -> None:
        super().__init__()
        self.field = field
        self.least = field.length

    def take(self, io: Reader) -> Any:
        return io.number(self.field)

    def put(self, value: Any, io: Writer) -> None:
        io.number(self.field, value)


U8: Final = Number(Int8ub)
U16: Final = Number(Int16ub)
U32: Final = Number(Int32ub)


class Exactly(Flat):
    """One number that has to have one value."""

    def __init__(self, number: Number, value: int, reason: Reason) -> None:
        super().__init__()
        self.number, self.value, self.reason = number, value, reason
        self.least = number.least

    def take(self, io: Reader) -> Any:
        start = io.pos
        value = self.number.take(io)
        if value != self.value:
            raise RefusalError(self.reason, start, f"{value} where {self.value} belongs")
        return value

    def put(self, value: Any, io: Writer) -> None:
        self.number.put(self.value if value is None else value, io)


class Counted(Flat):
    """A length and that many bytes."""

    def __init__(self, length: Number) -> None:
        super().__init__()
        self.length = length
        self.least = length.least

    def take(self, io: Reader) -> Any:
        return io.take(self.length.take(io))

    def put(self, value: Any, io: Writer) -> None:
        try:
            self.length.put(len(value), io)
        except CannotEncode:
            raise CannotEncode(f"{len(value)} bytes, more than the length can say") from None
        io.put(value)

    def children(self) -> Sequence[tuple[Label, Construct]]:
        return (("length", self.length),)


class Text(Counted):
    """As Counted; bytes that are not UTF-8 become lone surrogates and go back to the same bytes."""

    def take(self, io: Reader) -> Any:
        return super().take(io).decode("utf-8", "surrogateescape")

    def put(self, value: Any, io: Writer) -> None:
        super().put(value.encode("utf-8", "surrogateescape"), io)


# --- combinations -----------------------------------------------------------------------------------------------------


class Fields(Deep):
    """Named parts in order; `into` makes the value of them (a NamedTuple class, or dict)."""

    def __init__(self, *fields: Construct, into: Any = None) -> None:
        super().__init__()
        self.fields = fields
        self.into = into

    @cached_property
    def least(self) -> int:  # type: ignore[override]  # a sum over the parts, some of which are deferred
        return sum(least_of(field) for field in self.fields)

    def reading(self, io: Reader) -> Reading:  # noqa: ARG002  the parts do the reading
        values = []
        for field in self.fields:
            values.append((yield None, field))
        return dict(zip(self.names, values, strict=True)) if self.into is None else self.into(*values)

    def writing(self, value: Any, io: Writer) -> Writing:  # noqa: ARG002
        parts = [value[name] for name in self.names] if self.into is None else value
        if len(parts) != len(self.fields):
            raise CannotEncode(f"{len(self.fields)} fields are needed")
        for field, part in zip(self.fields, parts, strict=True):
            yield None, field, part

    @cached_property
    def names(self) -> list[str]:
        return [field.name for field in self.fields]

    def children(self) -> Sequence[tuple[Label, Construct]]:
        return [(field.name, field) for field in self.fields]


class InOrder(Deep):
    """Parts in order without names, as a tuple."""

    def __init__(self, *parts: Construct) -> None:
        super().__init__()
        self.parts = parts

    @cached_property
    def least(self) -> int:  # type: ignore[override]  # as in Fields
        return sum(least_of(part) for part in self.parts)

    def reading(self, io: Reader) -> Reading:  # noqa: ARG002
        values = []
        for i, part in enumerate(self.parts):
            values.append((yield i, part))
        return tuple(values)

    def writing(self, value: Any, io: Writer) -> Writing:  # noqa: ARG002
        if len(value) != len(self.parts):
            raise CannotEncode(f"{len(self.parts)} parts are needed")
        for i, (part, item) in enumerate(zip(self.parts, value, strict=True)):
            yield i, part, item

    def children(self) -> Sequence[tuple[Label, Construct]]:
        return list(enumerate(self.parts))


class Repeat(Deep):
    """Exactly n items, as a tuple."""

    def __init__(self, n: int, item: Construct) -> None:
        super().__init__()
        self.n, self.item = n, item
        self.known_least: int | None = None

    @cached_property
    def least(self) -> int:  # type: ignore[override]  # as in Fields
        return least_of(self)

    def reading(self, io: Reader) -> Reading:
        check_room(io, self.n, least_of(self.item))
        values = []
        for i in range(self.n):
            values.append((yield i, self.item))
        return tuple(values)

    def writing(self, value: Any, io: Writer) -> Writing:  # noqa: ARG002
        if len(value) != self.n:
            raise CannotEncode(f"an array of {self.n} items is needed")
        for i, item in enumerate(value):
            yield i, self.item, item

    def children(self) -> Sequence[tuple[Label, Construct]]:
        return ((0, self.item),)


class Items(Deep):
    """A count and that many items, as a list. No count is believed before the bytes are there."""

    def __init__(self, count: Number, item: Construct) -> None:
        super().__init__()
        self.count, self.item = count, item
        self.least = count.least

    def reading(self, io: Reader) -> Reading:
        n = self.count.take(io)
        check_room(io, n, least_of(self.item), behind=self.count.least)
        values = []
        for i in range(n):
            values.append((yield i, self.item))
        return values

    def writing(self, value: Any, io: Writer) -> Writing:
        self.count.put(len(value), io)
        for i, item in enumerate(value):
            yield i, self.item, item

    def children(self) -> Sequence[tuple[Label, Construct]]:
        return (("count", self.count), (0, self.item))


class Entries(Deep):
    """A count and that many pairs of key and value, as a dict; the last of equal keys wins."""

    def __init__(self, count: Number, key: Construct, value: Construct) -> None:
        super().__init__()
        self.count, self.key, self.value = count, "key" / key, value
        self.least = count.least

    def reading(self, io: Reader) -> Reading:
        n = self.count.take(io)
        check_room(io, n, least_of(self.key) + least_of(self.value), behind=self.count.least)
        values = {}
        for i in range(n):
            start = io.pos
            key = yield f"{i}", self.key
            try:
                hash(key)
            except (TypeError, RecursionError):
                raise RefusalError(Reason.UNHASHABLE_KEY, start) from None
            values[key] = yield i, self.value
        return values

    def writing(self, value: Any, io: Writer) -> Writing:
        self.count.put(len(value), io)
        for i, (key, entry) in enumerate(value.items()):
            yield f"{i}", self.key, key
            yield i, self.value, entry

    def children(self) -> Sequence[tuple[Label, Construct]]:
        return (("count", self.count), ("key", self.key), (0, self.value))


class Nullable(Deep):
    """One byte that says nil, or a marker and the body."""

    least = 1

    def __init__(self, nil: int, marker: int, body: Construct) -> None:
        super().__init__()
        self.nil, self.marker, self.body = nil, marker, body

    def reading(self, io: Reader) -> Reading:
        start = io.pos
        marker = U8.take(io)
        if marker == self.nil:
            return None
        if marker != self.marker:
            raise RefusalError(Reason.MARKER, start, f"{marker:02x} where {self.marker:02x} belongs")
        return (yield None, self.body)

    def writing(self, value: Any, io: Writer) -> Writing:
        U8.put(self.nil if value is None else self.marker, io)
        if value is not None:
            yield None, self.body, value

    def children(self) -> Sequence[tuple[Label, Construct]]:
        return ((None, self.body),)


def check_room(io: Reader, n: int, least: int, behind: int = 0) -> None:
    """Refuses a count whose items can't be in the bytes left, or whose items take no bytes and are too many."""
    if least:
        if n * least > io.left:
            detail = f"{n:,} of at least {least} bytes, {io.left:,} left"
            raise RefusalError(Reason.COUNT, io.pos - behind, detail)
    else:
        io.count("items without a byte", n, io.context.max_empty_items, Reason.EMPTY_ITEMS)


def iterate(schema: Construct) -> Iterator[tuple[Label, Construct]]:
    """The parts of any schema, node or plain construct."""
    _, schema = plain(schema)
    if isinstance(schema, Node):
        yield from schema.children()
    else:
        for sub in getattr(schema, "subcons", ()):
            yield sub.name, sub
