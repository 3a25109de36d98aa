"""The interpreter of schemas: the kinds of node, and the loops that read and write values with them.

A schema is a construct: construct's own primitives at the leaves, the nodes of `combinators.py` around them, `"name" / node`
for a named field, `node * "text"` for its documentation. The nodes add features that construct's interpreter lacks: absolute
offsets and a path with indexes for every value, one kind of refusal, and no recursion (a peer can nest values a thousand levels
deep).

A `Leaf` reads and writes its value itself. A `Composite` is a generator that yields `(label, schema)` for each part to read
(or `(label, schema, value)` for each part to write) and receives the part's value; the loops `read` and `write` run them.
Nodes are full constructs: `node.parse(data)` and `node.build(value)` work, and so does a node inside a `construct.Struct`.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Sequence
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from construct import Construct, ConstructError, FormatField, Renamed, SizeofError, StreamError

from ..errors import CannotEncode, Reason, Rejected

if TYPE_CHECKING:
    Schema = Construct[Any, Any]
    NumberField = FormatField[Any, Any]
else:  # only the stubs are generic
    Schema, NumberField = Construct, FormatField

Label = str | int | None
Path = tuple[Any, Label]
"""The path of a value: the path of the value around it (or None) and a label. Created for every value, so a plain tuple."""
Reading = Generator[tuple[Label, Schema], Any, Any]
Writing = Generator[tuple[Label, Schema, Any], None, None]


MAX_PARTS: Final = 2_000_000
"""Maximum number of parts of one value that are read, a limit of this reader."""
MAX_SPANS: Final = 200_000
"""Maximum number of parts whose spans are kept: each takes up to 250 bytes of memory."""


class RefusalError(Exception):
    """Refusal by a node; the loop adds the path. `labels`: of a part that the node has read itself or got before."""

    def __init__(self, reason: Reason, offset: int, detail: str = "", labels: tuple[Label, ...] = ()) -> None:
        super().__init__(reason, offset, detail)
        self.reason, self.offset, self.detail, self.labels = reason, offset, detail, labels


class Reader:
    """State of one read: the bytes, the position, the context of the schema, and the spans of the parts read so far."""

    def __init__(self, data: bytes, context: Any = None, offset: int = 0) -> None:
        self.data = data
        self.pos = offset
        self.end = len(data)
        self.context = context
        self.spans: list[tuple[Path, int, int]] = []
        self.counts: dict[str, int] = {}

    def read(self, n: int) -> bytes:
        """Returns the next n bytes. RefusalError if fewer are left."""
        start = self.pos
        if start + n > self.end:
            raise RefusalError(Reason.END_OF_DATA, start, f"{n} bytes needed, {self.end - start} left")
        self.pos = start + n
        return self.data[start : self.pos]

    def number(self, field: NumberField) -> Any:
        """Returns the next number, in the format of construct's field. RefusalError if fewer bytes are left."""
        start = self.pos
        end = start + field.length
        if end > self.end:
            raise RefusalError(Reason.END_OF_DATA, start, f"{field.length} bytes needed, {self.end - start} left")
        self.pos = end
        return struct.unpack_from(field.fmtstr, self.data, start)[0]  # the field's own `parse` costs ten times as much

    @property
    def left(self) -> int:
        return self.end - self.pos

    def count(self, what: str, n: int, limit: int, reason: Reason) -> None:
        """Adds n to a count of this read. RefusalError if it exceeds the limit."""
        total = self.counts.get(what, 0) + n
        self.counts[what] = total
        if total > limit:
            raise RefusalError(reason, self.pos, what)


class Writer:
    """State of one write: the bytes written so far and the context of the schema."""

    def __init__(self, context: Any = None) -> None:
        self.out = bytearray()
        self.context = context
        self.counts: dict[str, int] = {}

    def count(self, what: str, n: int, limit: int) -> None:
        """Adds n to a count of this write. CannotEncode if it exceeds the limit."""
        total = self.counts.get(what, 0) + n
        self.counts[what] = total
        if total > limit:
            raise CannotEncode(f"more than {limit:,} {what}")

    def write(self, data: bytes) -> None:
        self.out += data

    def number(self, field: NumberField, value: Any) -> None:
        """Writes a number in the format of construct's field. Raises CannotEncode."""
        try:
            self.out += struct.pack(field.fmtstr, value)
        except (struct.error, OverflowError, TypeError, ValueError) as error:
            raise CannotEncode(f"{value!r:.40} does not fit a number of {field.length} bytes") from error


def path_text(path: Path) -> str:
    """Returns a path as text, such as `Introduce.AtomCache[3]`."""
    labels: list[str] = []
    here: Path | None = path
    while here is not None:
        here, label = here
        if label is not None:
            labels.append(f"[{label}]" if isinstance(label, int) else f".{label}")
    return "".join(reversed(labels)).lstrip(".")


# --- the two kinds of node --------------------------------------------------------------------------------------------


class SchemaNode(Construct):  # type: ignore[type-arg]  # generic in the stubs only
    """Base class of all nodes."""

    min_size: int = 0
    """Bytes of the smallest value."""

    def children(self) -> Sequence[tuple[Label, Schema]]:
        """Returns the parts with their labels, for visitors of a schema."""
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


class Leaf(SchemaNode):
    """A node that reads and writes its value itself."""

    def read(self, io: Reader) -> Any:
        raise NotImplementedError

    def write(self, value: Any, io: Writer) -> None:
        raise NotImplementedError


class Composite(SchemaNode):
    """A node that consists of parts, which the loops read and write."""

    def read_parts(self, io: Reader) -> Reading:
        raise NotImplementedError

    def write_parts(self, value: Any, io: Writer) -> Writing:
        raise NotImplementedError


class Deferred(SchemaNode):
    """A schema that is created when it is needed, because it refers to itself or depends on a value just read."""

    def resolve(self) -> Schema:
        raise NotImplementedError

    @cached_property
    def target(self) -> Schema:
        return self.resolve()

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return ((None, self.target),)


_PLAIN = (Composite, Leaf)


def plain(schema: Schema) -> tuple[Label, Schema]:
    """Returns the name of a schema, and the schema without it."""
    if isinstance(schema, _PLAIN):
        return None, schema
    label: Label = None
    while True:
        if isinstance(schema, Renamed):
            label, schema = schema.name if label is None else label, schema.subcon
        elif isinstance(schema, Deferred):
            schema = schema.target
        else:
            return label, schema


# --- the loops --------------------------------------------------------------------------------------------------------


def read(schema: Schema, io: Reader) -> Any:
    """Reads one value. Raises Rejected."""
    open_: list[tuple[Reading, Path, int]] = []
    path: Path = (None, None)
    spans, read_parts = io.spans, 0
    try:
        while True:
            if not isinstance(schema, _PLAIN):
                label, schema = plain(schema)
                if label is not None:
                    path = (path, label)
            start = io.pos
            read_parts += 1
            if read_parts > MAX_PARTS:
                raise RefusalError(Reason.LENGTH, start, f"more than {MAX_PARTS:,} parts, the limit of the tester")
            if isinstance(schema, Composite):
                parts = schema.read_parts(io)
                open_.append((parts, path, start))
                value = None
            else:
                value = schema.read(io) if isinstance(schema, Leaf) else _read_construct(schema, io)
                if read_parts <= MAX_SPANS:
                    spans.append((path, start, io.pos))
            while open_:
                parts, path, start = open_[-1]
                try:
                    label, schema = parts.send(value)
                except StopIteration as done:
                    open_.pop()
                    value = done.value
                    if read_parts <= MAX_SPANS:
                        spans.append((path, start, io.pos))
                    continue
                if label is not None:
                    path = (path, label)
                break
            else:
                return value
    except RefusalError as refusal:
        for label in refusal.labels:
            path = (path, label)
        raise Rejected(refusal.reason, path_text(path), refusal.offset, refusal.detail) from None


def _read_construct(schema: Schema, io: Reader) -> Any:
    """Reads a plain construct, on the bytes left."""
    stream = BytesIO(io.data[io.pos : io.end])
    try:
        value = schema.parse_stream(stream)
    except StreamError as error:
        raise RefusalError(Reason.END_OF_DATA, io.pos, str(error)) from None
    except ConstructError as error:
        raise RefusalError(Reason.UNEXPECTED, io.pos, str(error)) from None
    io.pos += stream.tell()
    return value


def write(schema: Schema, value: Any, io: Writer) -> None:
    """Writes one value. Raises CannotEncode."""
    open_: list[tuple[Writing, Path]] = []
    path: Path = (None, None)
    try:
        while True:
            label, schema = plain(schema)
            if label is not None:
                path = (path, label)
            if isinstance(schema, Composite):
                open_.append((schema.write_parts(value, io), path))
            elif isinstance(schema, Leaf):
                schema.write(value, io)
            else:
                io.write(schema.build(value))
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
                path = (path, label)
    except CannotEncode as error:
        inner = error.path if error.path.startswith("[") else f".{error.path}"
        raise CannotEncode(error.reason, f"{path_text(path)}{inner}".strip(".")) from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CannotEncode(str(error), path_text(path)) from None
