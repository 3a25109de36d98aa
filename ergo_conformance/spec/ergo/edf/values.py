"""The wire form of a value of a known type, of a value with its descriptor, and of a type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ....errors import CannotEncode, Reason
from ....model import types as t
from ....model.ergo.edf import MAX_DEPTH, MAX_FOLDED, MAX_TYPE_NAME, Tag
from ....model.inferred import infer_type, to_any_slot
from ....model.registry import Marshaler, Newtype, Registry, Row, Struct
from ....model.types import Array, Map, Reg, Scalar, Slice, Type
from ....model.values import Typed
from ...combinators import U8, U16, U32, CountedBytes, CountedEntries, CountedItems, Fields, Nullable, Repeat
from ...interpreter import Composite, Deferred, Label, Leaf, Reader, Reading, RefusalError, Schema, Writer, Writing
from .scalars import SCALARS


class Schemas:
    """The schemas of one registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.any = AnySlot(self)
        self.any_key = AnySlot(self, is_key=True)
        self.value = Described(self)
        """A value with its descriptor, at top level."""
        self._registered: dict[str, Schema] = {}

    def of(self, type_: Type) -> Schema:
        """Returns the schema of a value in a slot of this type."""
        match type_:
            case Scalar():
                return SCALARS[type_.tag]
            case Reg():
                return self.registered(type_.name)
            case Slice() | Map():
                return self.container(type_, Tag.MAP if isinstance(type_, Map) else Tag.SLICE)
            case Array():
                return Repeat(type_.length, Later(self, type_.item))
        return self.any

    def container(self, type_: Slice | Map, marker: Tag) -> Nullable:
        """Returns the schema of a slice or map: `ff` for nil, or the marker, a count, and the items or entries."""
        if isinstance(type_, Slice):
            return Nullable(Tag.NIL, marker, CountedItems(U32, Later(self, type_.item)))
        key = self.any_key if type_.key is t.ANY else Later(self, type_.key)
        return Nullable(Tag.NIL, marker, CountedEntries(U32, key, Later(self, type_.value)))

    def registered(self, name: str) -> Schema:
        """Returns the schema of the body of a registered type. KeyError for a name that is not registered."""
        found = self._registered.get(name)
        if found is None:
            row = self.registry.get(name)
            if row is None:
                raise KeyError(name)
            self._registered[name] = found = self._body(row)
        return found

    def _body(self, row: Row) -> Schema:
        match row:
            case Struct():
                return Fields(*(name / Later(self, field) for name, field in row.fields), into=row.value_class)
            case Marshaler():
                return PayloadBytes(row)
            case Newtype(base=Slice() | Map() as base):
                return self.container(base, Tag.REG)
            case Newtype(base=base):
                return self.of(base)


def schemas(registry: Registry) -> Schemas:
    """Returns the schemas of a registry, created once."""
    found: Schemas | None = registry.derived.get("schemas")
    if found is None:
        registry.derived["schemas"] = found = Schemas(registry)
    return found


class Later(Deferred):
    """The schema of a type, created when it is needed."""

    def __init__(self, of: Schemas, type_: Type) -> None:
        super().__init__()
        self.schemas, self.type = of, type_

    def resolve(self) -> Schema:
        return self.schemas.of(self.type)


class PayloadBytes(Leaf):
    """`u32 n` and n bytes that only the type understands; it may refuse them (EDF-MAR-1)."""

    min_size = 4

    def __init__(self, row: Marshaler) -> None:
        super().__init__()
        self.row = row

    def read(self, io: Reader) -> Any:
        payload = CountedBytes(U32).read(io)
        refusal = self.row.payload.refusal(payload)
        if refusal is not None:
            raise RefusalError(Reason.PAYLOAD, io.pos - len(payload), f"{self.row.name}: {refusal}")
        return payload

    def write(self, value: Any, io: Writer) -> None:
        CountedBytes(U32).write(value, io)


class TypeName(Leaf):
    """`u16 x`: up to 4095 the length of a registered name, above an id of the writer's type cache (EDF-REG-3)."""

    min_size = 2

    def read(self, io: Reader) -> Any:
        start = io.pos
        x = U16.read(io)
        if x <= MAX_TYPE_NAME:
            name = io.read(x).decode("utf-8", "surrogateescape")
        else:
            name = io.context.caches.types.get(x)
            if name is None:
                raise RefusalError(Reason.UNKNOWN_ID, start, f"type {x}")
        if io.context.registry.get(name) is None:
            raise RefusalError(Reason.UNKNOWN_TYPE, start, name)
        return name

    def write(self, value: Any, io: Writer) -> None:
        if io.context.registry.get(value) is None:
            raise CannotEncode(f"{value} is not registered")
        if value in io.context.type_ids:
            U16.write(io.context.type_ids[value], io)
            return
        text = value.encode("utf-8", "surrogateescape")
        if len(text) > MAX_TYPE_NAME:
            raise CannotEncode(f"type name of {len(text)} bytes, at most {MAX_TYPE_NAME} are allowed")
        U16.write(len(text), io)
        io.write(text)


TYPE_NAME: Final = TypeName()


class FoldedType(Composite):
    """A slice, array or map type in prefix notation: `9d F`, `9e u32 F`, `9f F F` (EDF-FOLD-1)."""

    min_size = 1

    def __init__(self, *, outermost: bool) -> None:
        super().__init__()
        self.outermost = outermost

    def read_parts(self, io: Reader) -> Reading:
        start = io.pos
        tag = U8.read(io)
        if tag in (Tag.SLICE, Tag.ARRAY, Tag.MAP):
            io.count("folded type", 1, MAX_DEPTH, Reason.DEPTH)
            type_ = yield from self._constructor(tag, io)
            io.count("folded type", -1, MAX_DEPTH, Reason.DEPTH)
            return type_
        if tag not in SCALARS and tag not in (Tag.REG, Tag.ANY):
            raise RefusalError(Reason.UNKNOWN_TAG, start, f"tag {tag:02x}")
        if self.outermost:
            raise RefusalError(Reason.FOLDED, start, f"tag {tag:02x}")
        if tag == Tag.REG:
            return Reg((yield "name", TYPE_NAME))
        return t.ANY if tag == Tag.ANY else Scalar(Tag(tag))

    def _constructor(self, tag: int, io: Reader) -> Reading:
        if tag == Tag.SLICE:
            return Slice((yield "item", FOLDED_PART))
        if tag == Tag.ARRAY:
            length = U32.read(io)
            return Array(length, (yield "item", FOLDED_PART))
        key = yield "key", FOLDED_PART
        return Map(key, (yield "value", FOLDED_PART))

    def write_parts(self, value: Any, io: Writer) -> Writing:
        match value:
            case Scalar():
                U8.write(value.tag, io)
            case Reg():
                U8.write(Tag.REG, io)
                yield "name", TYPE_NAME, value.name
            case Slice() | Array() | Map():
                io.count("levels of a folded type", 1, MAX_DEPTH)
                yield from self._write_constructor(value, io)
                io.count("levels of a folded type", -1, MAX_DEPTH)
            case _:
                U8.write(Tag.ANY, io)

    @staticmethod
    def _write_constructor(value: Slice | Array | Map, io: Writer) -> Writing:
        if isinstance(value, Map):
            U8.write(Tag.MAP, io)
            yield "key", FOLDED_PART, value.key
            yield "value", FOLDED_PART, value.value
            return
        U8.write(Tag.ARRAY if isinstance(value, Array) else Tag.SLICE, io)
        if isinstance(value, Array):
            U32.write(value.length, io)
        yield "item", FOLDED_PART, value.item

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return (("tag", U8), ("name", TYPE_NAME))


FOLDED: Final = FoldedType(outermost=True)
FOLDED_PART: Final = FoldedType(outermost=False)


class LengthAndFolded(Composite):
    """`u16 L` and a folded type of L bytes."""

    min_size = 2

    def read_parts(self, io: Reader) -> Reading:
        n = U16.read(io)
        if n > io.left:
            raise RefusalError(Reason.END_OF_DATA, io.pos, f"{n} bytes needed, {io.left} left")
        outer_end, io.end = io.end, io.pos + n
        type_ = yield None, FOLDED
        if io.pos != io.end:
            raise RefusalError(Reason.FOLDED, io.pos, "bytes behind a complete type")
        io.end = outer_end
        return type_

    def write_parts(self, value: Any, io: Writer) -> Writing:
        at = len(io.out)
        U16.write(0, io)
        yield None, FOLDED, value
        length = len(io.out) - at - 2
        if length > MAX_FOLDED:
            raise CannotEncode(f"folded type of {length} bytes, at most {MAX_FOLDED} are allowed")
        io.out[at : at + 2] = length.to_bytes(2, "big")

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return (("length", U16), ("type", FOLDED))


LENGTH_AND_FOLDED: Final = LengthAndFolded()


OPEN_SLOTS: Final = "values of type any inside each other"


class Described(Composite):
    """A descriptor and a value of that type, or `ff` for nil: the form at top level (EDF-TOP-2)."""

    min_size = 1
    opens = 0
    """`any` slots that entering this node opens."""

    def __init__(self, of: Schemas, *, is_key: bool = False) -> None:
        super().__init__()
        self.schemas, self.is_key = of, is_key

    def read_parts(self, io: Reader) -> Reading:
        opened = self.opens
        if opened:
            io.count("any slots", opened, MAX_DEPTH, Reason.DEPTH)
        start = io.pos
        tag = U8.read(io)
        while tag == Tag.ANY:
            io.count("any slots", 1, MAX_DEPTH, Reason.DEPTH)
            opened += 1
            start = io.pos
            tag = U8.read(io)
        value = None
        if tag != Tag.NIL:
            if tag in SCALARS:
                type_: Type = Scalar(Tag(tag))
            elif tag == Tag.REG:
                type_ = Reg((yield "type", TYPE_NAME))
            elif tag == Tag.FOLDED:
                type_ = yield "type", LENGTH_AND_FOLDED
            else:
                raise RefusalError(Reason.UNKNOWN_TAG, start, f"tag {tag:02x}")
            value = self._wrap(type_, (yield None, self.schemas.of(type_)))
        io.counts["any slots"] = io.counts.get("any slots", 0) - opened
        return value

    def _wrap(self, type_: Type, value: Any) -> Any:
        if value is None and type_ is t.ERROR:
            return None
        return Typed(type_, value) if self.is_key else to_any_slot(type_, value, self.schemas.registry)

    def write_parts(self, value: Any, io: Writer) -> Writing:
        io.count(OPEN_SLOTS, self.opens, MAX_DEPTH)
        yield from self._write_described(value, io)
        io.count(OPEN_SLOTS, -self.opens, MAX_DEPTH)

    def _write_described(self, value: Any, io: Writer) -> Writing:
        if value is None:
            U8.write(Tag.NIL, io)
            return
        type_, bare = infer_type(value, self.schemas.registry)
        match type_:
            case Scalar() if bare is None and type_ is t.ERROR:
                U8.write(Tag.NIL, io)
                return
            case Scalar():
                U8.write(type_.tag, io)
            case Reg():
                U8.write(Tag.REG, io)
                yield "type", TYPE_NAME, type_.name
            case _:
                U8.write(Tag.FOLDED, io)
                yield "type", LENGTH_AND_FOLDED, type_
        yield None, self.schemas.of(type_), bare

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return (("tag", U8), ("type", LENGTH_AND_FOLDED), ("name", TYPE_NAME))


class AnySlot(Described):
    """A slot of type `any`; it counts as open until its value is read."""

    opens = 1
