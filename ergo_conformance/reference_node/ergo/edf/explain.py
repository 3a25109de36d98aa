"""The slow reader: the same bytes, one value at a time, with the path to where it stands.

It runs when the fast path fails.  Mostly it then raises Rejected with reason, path and offset; but it is a complete reader
of its own, on an explicit stack, and also delivers what the fast path is not made for: values nested deeper than Python
recurses, structs as keys of an `any` slot, folded types so odd that no function was generated for them.
"""

from typing import Any, Final

from ....errors import Reason, Rejected
from ....model.ergo.edf import MAX_ARRAYS_PER_BYTE, MAX_DEPTH, MAX_EMPTY_ITEMS, SCALAR_TAGS, Tag
from ....model.inferred import to_any_slot
from ....model.registry import Marshaler, Registry, Struct, is_nullable
from ....model.types import ANY, Array, Map, Reg, Scalar, Slice, Type
from ....model.values import Typed
from .folded import unfold
from .leaves import least_size, read_marshaler, read_scalar, take
from .runtime import DISPATCH, FAILURES, numbers
from .shapes import STRUCT_CODES, base_of, empty_items, empty_value, marker_of
from .source import packed_size
from .tables import DecodeTables

# --- open containers --------------------------------------------------------------------------------------------------


class Items:
    """An open slice or array."""

    __slots__ = ("as_tuple", "item", "n", "nullable", "values")

    def __init__(self, item: Type, n: int, registry: Registry, *, as_tuple: bool) -> None:
        self.item, self.n, self.as_tuple = item, n, as_tuple
        self.nullable = is_nullable(item, registry)
        self.values: list[Any] = []

    def wanted(self) -> Type | None:
        return self.item if len(self.values) < self.n else None

    def put(self, value: Any) -> None:
        self.values.append(value)

    def result(self) -> Any:
        return tuple(self.values) if self.as_tuple else self.values

    def label(self) -> str:
        return f"[{len(self.values)}]"


_NO_KEY: Final = object()


class Entries:
    """An open map."""

    __slots__ = ("at", "done", "key", "n", "type", "values")

    def __init__(self, type_: Map, n: int) -> None:
        self.type, self.n, self.done = type_, n, 0
        self.at = 0
        self.key: Any = _NO_KEY
        self.values: dict[Any, Any] = {}

    def wanted(self) -> Type | None:
        if self.key is not _NO_KEY:
            return self.type.value
        return self.type.key if self.done < self.n else None

    def put(self, value: Any) -> None:
        if self.key is _NO_KEY:
            try:
                hash(value)
            except (TypeError, RecursionError):
                raise Rejected(Reason.UNHASHABLE_KEY, "", self.at) from None
            self.key = value
            return
        self.values[self.key] = value
        self.key = _NO_KEY
        self.done += 1

    def result(self) -> Any:
        return self.values

    def label(self) -> str:
        return f"[{self.done}].key" if self.key is _NO_KEY else f"[{self.done}]"


class Fields:
    """An open struct."""

    __slots__ = ("row", "values")

    def __init__(self, row: Struct) -> None:
        self.row = row
        self.values: list[Any] = []

    def wanted(self) -> Type | None:
        n = len(self.values)
        return self.row.fields[n][1] if n < len(self.row.fields) else None

    def put(self, value: Any) -> None:
        self.values.append(value)

    def result(self) -> Any:
        return self.row.value_class(*self.values)

    def label(self) -> str:
        return "." + self.row.fields[len(self.values)][0]


class Slot:
    """An open `any` slot (or several, for a chain of 84) whose value is a container or struct."""

    __slots__ = ("is_key", "opened", "registry", "type", "value")

    def __init__(self, type_: Type, opened: int, registry: Registry, *, is_key: bool) -> None:
        self.type, self.opened, self.registry, self.is_key = type_, opened, registry, is_key
        self.value: Any = _NO_KEY

    def wanted(self) -> Type | None:
        return self.type if self.value is _NO_KEY else None

    def put(self, value: Any) -> None:
        self.value = value

    def result(self) -> Any:
        return Typed(self.type, self.value) if self.is_key else to_any_slot(self.type, self.value, self.registry)

    def label(self) -> str:
        return ""


Open = Items | Entries | Fields | Slot
_SCALARS_BY_TAG: Final = {int(tag): Scalar(tag) for tag in SCALAR_TAGS}
_NIL: Final = bytes([Tag.NIL])
_LEAF_TAGS: Final = frozenset((*SCALAR_TAGS, Tag.NIL))
_PENDING: Final = object()


class Explainer:
    """Reads one value."""

    def __init__(self, b: bytes, o: int, tables: DecodeTables) -> None:
        self.b, self.o, self.tables = b, o, tables
        self.registry = tables.registry
        self.open: list[Open] = []
        self.slots = 0
        self.empty_items = 0
        self.inner_arrays = 0
        self.least_sizes: dict[Type, int] = {}

    def read(self, type_: Type | None) -> tuple[Any, int]:
        """A value in a slot of the given type, or with its descriptor (None). Raises Rejected."""
        try:
            value = self.described(top=True) if type_ is None else self.start(type_)
            while True:
                if value is not _PENDING:
                    if not self.open:
                        return value, self.o
                    self.open[-1].put(value)
                top = self.open[-1]
                if type(top) is Items:
                    if top.item is ANY:
                        self.any_leaves(top)
                    elif top.nullable:
                        self.nils(top)
                wanted = top.wanted()
                if wanted is None:
                    self.open.pop()
                    if type(top) is Slot:
                        self.slots -= top.opened
                    value = top.result()
                else:
                    if type(top) is Entries:
                        top.at = self.o
                    value = self.start(wanted)
        except Rejected as refusal:
            path = ".".join(part for part in (self.path(), refusal.path) if part)
            raise Rejected(refusal.reason, path, refusal.offset, refusal.detail) from None

    def any_leaves(self, items: Items) -> None:
        """Takes what is no container from a slice or array of `any`: there may be as many items as bytes."""
        b, o, tables, values = self.b, self.o, self.tables, items.values
        if self.slots >= MAX_DEPTH:
            return
        try:
            while len(values) < items.n and b[o] in _LEAF_TAGS:
                value, after = DISPATCH[b[o]](b, o + 1, tables, 0)
                if after > len(b):
                    break
                values.append(value)
                o = after
        except FAILURES:
            pass
        self.o = o

    def nils(self, items: Items) -> None:
        """Takes a run of nil slices or maps, for the same reason."""
        rest = self.b[self.o : self.o + items.n - len(items.values)]
        run = len(rest) - len(rest.lstrip(_NIL))
        items.values += [None] * run
        self.o += run

    def least(self, type_: Type) -> int:
        return least_size(type_, self.registry, self.least_sizes)

    def path(self) -> str:
        return "".join(container.label() for container in self.open).lstrip(".")

    # --- each returns the value, or _PENDING after opening a container ------------------------------------------------

    def start(self, type_: Type) -> Any:
        if type_ is ANY:
            return self.described(top=False)
        base = base_of(type_, self.registry)
        match base:
            case Scalar():
                value, self.o = read_scalar(base, self.b, self.o, self.tables)
                return value
            case Slice() | Map():
                return self.counted_container(type_, base)
            case Array():
                if self.least(base) == 0:
                    self.spend(empty_items(base, self.registry) or 0)
                    return empty_value(base, self.registry)
                self.check_room(base.length, self.least(base.item), self.o)
                if isinstance(base_of(base.item, self.registry), Array):
                    self.spend_arrays(base.length)
                return self.push_items(base.item, base.length, as_tuple=True)
            case Struct():
                self.open.append(Fields(base))
                return _PENDING
            case Marshaler():
                value, self.o = read_marshaler(base, self.b, self.o)
                return value
        raise AssertionError(f"no reader for {type_!r}")

    def described(self, *, top: bool) -> Any:
        """A value with its descriptor: at top level, or in an `any` slot, which counts as open until it is read."""
        opened = 0 if top else 1
        is_key = not top and bool(self.open) and isinstance(self.open[-1], Entries) and self.open[-1].key is _NO_KEY
        b, o = self.b, self.o
        while True:
            if self.slots + opened > MAX_DEPTH:
                raise Rejected(Reason.DEPTH, "", o, "any slots")
            tag = take(b, o, 1)[0]
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
        type_ = self.descriptor(tag, o)
        self.slots += opened
        self.open.append(Slot(type_, opened, self.registry, is_key=is_key))
        return _PENDING

    def descriptor(self, tag: int, o: int) -> Type:
        if tag == Tag.REG:
            row, self.o = self.tables.row_at(self.b, o + 1, len(self.b))
            return Reg(row.name)
        if tag == Tag.FOLDED:
            n = int.from_bytes(take(self.b, o + 1, 2), "big")
            take(self.b, o + 3, n)
            self.o = o + 3 + n
            return unfold(self.b, o + 3, self.o, self.tables.row_at)
        raise Rejected(Reason.UNKNOWN_TAG, "", o, f"tag {tag:02x}")

    def counted_container(self, type_: Type, base: Slice | Map) -> Any:
        marker = take(self.b, self.o, 1)[0]
        if marker == Tag.NIL:
            self.o += 1
            return None
        if marker != marker_of(type_):
            raise Rejected(Reason.MARKER, "", self.o, f"{marker:02x} where {marker_of(type_):02x} belongs")
        n = int.from_bytes(take(self.b, self.o + 1, 4), "big")
        at = self.o + 1
        self.o += 5
        if isinstance(base, Slice):
            least = self.least(base.item)
            if least == 0:
                if not n:
                    return []
                self.spend(n * (1 + (empty_items(base.item, self.registry) or 0)))
                return [empty_value(base.item, self.registry)] * n
            self.check_room(n, least, at)
            return self.push_items(base.item, n, as_tuple=False)
        least = self.least(base.key) + self.least(base.value)
        if least:
            self.check_room(n, least, at)
        else:
            self.spend(n)
        self.open.append(Entries(base, n))
        return _PENDING

    def push_items(self, item: Type, n: int, *, as_tuple: bool) -> Any:
        code = STRUCT_CODES.get(item)
        if code:
            width = packed_size(code)
            values = numbers(self.b, self.o, n, code, width)
            self.o += n * width
            return tuple(values) if as_tuple else values
        self.open.append(Items(item, n, self.registry, as_tuple=as_tuple))
        return _PENDING

    def check_room(self, n: int, least: int, at: int) -> None:
        if n * least > len(self.b) - self.o:
            raise Rejected(Reason.COUNT, "", at, f"{n:,} of at least {least} bytes, {len(self.b) - self.o:,} left")

    def spend_arrays(self, n: int) -> None:
        self.inner_arrays += n
        if self.inner_arrays > MAX_EMPTY_ITEMS + MAX_ARRAYS_PER_BYTE * len(self.b):
            raise Rejected(Reason.EMPTY_ITEMS, "", self.o, "arrays inside arrays")

    def spend(self, items: int) -> None:
        self.empty_items += items
        if self.empty_items > MAX_EMPTY_ITEMS:
            raise Rejected(Reason.EMPTY_ITEMS, "", self.o)
