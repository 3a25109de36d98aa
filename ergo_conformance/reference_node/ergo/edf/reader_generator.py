"""Generator of the fast readers, one function per type.

A generated function `read(b, o, c, d)` takes the input, an offset, the connection's tables and the number of open `any`
slots, and returns the value and the offset after it. It reports no reason for a failure: a read past the end raises one of
`FAST_PATH_ERRORS` or returns an offset beyond the input, and slow_reader.py then reads the same bytes step by step to find
reason, path and offset. Speed: a run of fixed fields and the length after it is one `struct` call, atoms and map keys are
looked up as raw bytes, and offsets never decrease, so that one check at the end finds every short read.
"""

import math
from collections.abc import Callable
from itertools import accumulate, groupby, repeat
from operator import mul
from typing import Final

from ....model import types as t
from ....model.ergo.edf import MAX_ATOM, MAX_DEPTH, MAX_EMPTY_ITEMS, MAX_ERROR, NIL_ERROR, Tag
from ....model.inferred import INFERRED_TYPES
from ....model.map_keys import MapKeys, counted_keys
from ....model.registry import Marshaler, Registry, Struct
from ....model.types import AnyType, Array, Map, Scalar, Slice, Type
from ....model.values import PID, Alias, Error, Event, ProcessID, Ref, Typed
from .function_source import MAX_INLINE_LOOPS, MAX_STRUCT_ARRAY, FunctionSource, packed_size
from .runtime import (
    DISPATCH,
    FastPathError,
    check_payload,
    count_empty_items,
    count_inner_arrays,
    nested_arrays,
    typed_key,
    unpack_numbers,
)
from .tables import Reader
from .times import read_time
from .type_properties import STRUCT_CODES, array_chain, base_of, empty_items, empty_value, has_any, marker_of

INLINE_TYPES: Final = (t.STRING, t.INT, t.BOOL, t.FLOAT64, t.ATOM, t.BINARY)
"""Most frequent types in `any` slots. Inside a loop they are read inline, all others through DISPATCH."""

SAFE_KEYS: Final = frozenset({t.BOOL, t.STRING, t.ATOM, t.BINARY, t.INT8, t.INT16, t.UINT8, t.UINT16})
"""Types of keys that need no check by MapKeys: their hashes are seeded, or have 16 bits."""
INTEGER_KEYS: Final = frozenset({t.INT32, t.INT64, t.INT, t.UINT32, t.UINT64, t.UINT})
"""Types of keys that are checked in long maps alone: at most nine integers of 64 bits have one hash."""

_new = tuple.__new__


class ReaderGenerator:
    """Generates the body of a reader. Values are Python expressions; `run` collects fixed fields that are not read yet."""

    def __init__(self, registry: Registry, reader_of: Callable[[Type], Reader], source: FunctionSource) -> None:
        self.registry = registry
        self.reader_of = reader_of
        self.source = source
        self.run: list[tuple[str, str]] = []  # struct code, target
        self.ahead = 0  # bytes read since `o` was last updated
        self.loops = 0

    # --- offsets and fixed runs ---------------------------------------------------------------------------------------

    def fixed(self, codes: str) -> list[str]:
        """Adds fields to the run; returns the names that hold their values after `flush`."""
        names = [self.source.fresh("x") for _ in codes]
        self.run += zip(codes, names, strict=True)
        return names

    def flush(self) -> None:
        """Emits the reading of the run."""
        if not self.run:
            return
        codes = "".join(code for code, _ in self.run)
        names = ", ".join(name for _, name in self.run)
        comma = "," if len(self.run) == 1 else ""
        if codes == "B":
            self.source.add(f"{names} = b[{self.here}]")
        else:
            self.source.add(f"{names}{comma} = {self.source.struct_method('unpack_from', codes)}(b, {self.here})")
        self.ahead += packed_size(codes)
        self.run = []

    @property
    def here(self) -> str:
        return f"o + {self.ahead}" if self.ahead else "o"

    def settle(self) -> None:
        """Emits the reading of the run, and moves `o` after it."""
        self.flush()
        if self.ahead:
            self.source.add(f"o += {self.ahead}")
            self.ahead = 0

    def chunk(self, length_code: str) -> str:
        """Returns the expression of length-prefixed bytes; moves `o` after them."""
        (n,) = self.fixed(length_code)
        self.flush()
        s = self.source.fresh("s")
        self.source.add(f"{s} = {self.here}")
        self.source.add(f"o = {s} + {n}")
        self.ahead = 0
        return f"b[{s}:o]"

    # --- types --------------------------------------------------------------------------------------------------------

    def value(self, type_: Type) -> str:
        """Emits the reading of one value; returns its expression."""
        if type_ in STRUCT_CODES:
            return self.fixed(STRUCT_CODES[type_])[0]
        match base_of(type_, self.registry):
            case Scalar() as scalar:
                return self.scalar(scalar)
            case AnyType():
                return self.any()
            case Struct() as row:
                return self.struct(row)
            case Marshaler() as row:
                return self.marshaler(row)
            case Array() as array_:
                return self.array(array_)
            case Slice() | Map():
                return self.nested(type_)
        raise TypeError(f"no reader for {type_!r}")

    def scalar(self, type_: Scalar) -> str:
        if type_ in STRUCT_CODES:
            return self.fixed(STRUCT_CODES[type_])[0]
        match type_.tag:
            case Tag.BOOL:
                return f"({self.fixed('B')[0]} == 1)"
            case Tag.STRING:
                return self.local(f"{self.chunk('H')}.decode('utf-8', 'surrogateescape')")
            case Tag.BINARY:
                return self.local(self.chunk("I"))
            case Tag.ATOM:
                return self.atom()
            case Tag.ERROR:
                return self.error()
            case Tag.TIME:
                return self.local(f"{self.source.constant('time', read_time)}({self.chunk('B')})")
            case Tag.PID:
                node, (number, creation) = self.atom(), self.fixed("Qq")
                return self.tuple_of(PID, node, number, creation)
            case Tag.PROCESS_ID:
                return self.tuple_of(ProcessID, self.atom(), self.atom())
            case Tag.EVENT:
                return self.tuple_of(Event, self.atom(), self.atom())
            case Tag.ALIAS | Tag.REF:
                node, (creation, *words) = self.atom(), self.fixed("qQQQ")
                return self.tuple_of(Alias if type_.tag is Tag.ALIAS else Ref, node, creation, f"({', '.join(words)})")
        raise TypeError(f"no reader for {type_!r}")

    def local(self, expression: str) -> str:
        name = self.source.fresh("v")
        self.source.add(f"{name} = {expression}")
        return name

    def tuple_of(self, cls: type, *parts: str) -> str:
        new, name = self.source.constant("new", _new), self.source.constant(cls.__name__, cls)
        return f"{new}({name}, ({', '.join(parts)}{',' if len(parts) == 1 else ''}))"

    def atom(self) -> str:
        (x,) = self.fixed("H")
        self.flush()
        name, s, add = self.source.fresh("a"), self.source.fresh("s"), self.source.add
        add(f"{s} = {self.here}")
        add(f"if {x} > {MAX_ATOM}:")
        add(f"    o = {s}; {name} = c.atom_ids[{x}]")
        add("else:")
        add(f"    o = {s} + {x}; {name} = c.atoms[b[{s}:o]]")
        self.ahead = 0
        return name

    def error(self) -> str:
        (x,) = self.fixed("H")
        self.settle()
        name, s, add = self.source.fresh("e"), self.source.fresh("s"), self.source.add
        new, cls = self.source.constant("new", _new), self.source.constant("Error", Error)
        add(f"if {x} <= {MAX_ERROR}:")
        add(f"    {s} = o; o += {x}; {name} = {new}({cls}, (b[{s}:o].decode('utf-8', 'surrogateescape'), False))")
        add("else:")
        add(f"    {name} = None if {x} == {NIL_ERROR} else c.error_ids[{x}]")
        return name

    def any(self) -> str:
        self.settle()
        name = self.source.fresh("v")
        if self.loops:
            self.inline_any(name)
        else:
            self.source.add(f"{name}, o = {self.source.constant('DISPATCH', DISPATCH)}[b[o]](b, o + 1, c, slots)")
        return name

    def inline_any(self, name: str) -> None:
        """Reads the most frequent types without a call. Used inside loops."""
        add, tag = self.source.add, self.source.fresh("m")
        add(f"{tag} = b[o]")
        add(f"if {tag} == {int(Tag.NIL)}:  # nil")
        add(f"    {name} = None; o += 1")
        for type_ in INLINE_TYPES:
            add(f"elif {tag} == {int(type_.tag)}:  # {type_.name}")
            self.source.indent()
            self.ahead = 1
            value = self.scalar(type_)
            self.flush()
            add(f"{name} = {value}")
            self.settle()
            self.source.indent(-1)
        add("else:")
        add(f"    {name}, o = {self.source.constant('DISPATCH', DISPATCH)}[{tag}](b, o + 1, c, slots)")

    def any_key(self) -> str:
        return f"{self.source.constant('typed_key', typed_key)}({self.any()})"

    def struct(self, row: Struct) -> str:
        return self.tuple_of(row.value_class, *[self.value(field) for _, field in row.fields])

    def marshaler(self, row: Marshaler) -> str:
        (n,) = self.fixed("I")
        self.settle()
        s = self.source.fresh("s")
        self.source.add(f"{s} = o; o += {n}")
        helper, rule = self.source.constant("check_payload", check_payload), self.source.constant("rule", row)
        return self.local(f"{helper}(b[{s}:o], {n}, {rule})")

    # --- containers ---------------------------------------------------------------------------------------------------

    def array(self, type_: Array) -> str:
        inner = empty_items(type_, self.registry)
        if inner is not None:
            return self.empty_array(inner, type_)
        lengths, item = array_chain(type_, self.registry)
        total, code = math.prod(lengths), STRUCT_CODES.get(item)
        if not code and self.loops >= MAX_INLINE_LOOPS:
            return self.call(type_)
        if len(lengths) > 1:
            inner = sum(accumulate(lengths[:-1], mul))
            self.source.add(f"{self.source.constant('count_inner_arrays', count_inner_arrays)}(c, b, {inner})")
        if code and total <= MAX_STRUCT_ARRAY:
            items = f"({', '.join(self.fixed(code * total))},)"
            if len(lengths) == 1:
                return items
            self.flush()
        else:
            items = self.array_items(item, total, code)
        if len(lengths) == 1:
            return self.local(f"tuple({items})")
        levels = tuple((n, len([*same])) for n, same in groupby(reversed(lengths[1:])))
        helper = self.source.constant("nested_arrays", nested_arrays)
        return self.local(f"{helper}({items}, {self.source.constant('levels', levels)})")

    def array_items(self, item: Type, n: int, code: str | None) -> str:
        """Returns the expression of n items of one array, or of all arrays inside it; moves `o` after them."""
        self.settle()
        if not code:
            return self.items(item, str(n))
        helper, width = self.source.constant("unpack_numbers", unpack_numbers), packed_size(code)
        name = self.local(f"{helper}(b, o, {n}, {code!r}, {width})")
        self.source.add(f"o += {n * width}")
        return name

    def empty_array(self, inner: int, type_: Array) -> str:
        """Returns the expression of a value without bytes: a constant, unless it exceeds MAX_EMPTY_ITEMS and is refused."""
        helper = self.source.constant("count_empty_items", count_empty_items)
        self.source.add(f"{helper}(c, 1, {inner - 1})" if inner else "pass")
        small = inner <= MAX_EMPTY_ITEMS
        return self.source.constant("empty", empty_value(type_, self.registry)) if small else "()"

    def call(self, type_: Type) -> str:
        name = self.source.fresh("v")
        self.source.add(f"{name}, o = {self.source.constant('read', self.reader_of(type_))}(b, o, c, d)")
        return name

    def nested(self, type_: Type) -> str:
        """Reads a slice or map inside another value."""
        self.settle()
        return self.call(type_) if self.loops >= MAX_INLINE_LOOPS else self.container(type_)

    def container(self, type_: Type, nil: str = "None") -> str:
        """Reads a slice or map: marker, count and items, or nil."""
        base, add = base_of(type_, self.registry), self.source.add
        name, m = self.source.fresh("v"), self.source.fresh("m")
        add(f"{m} = b[o]")
        add(f"if {m} == {marker_of(type_)}:")
        self.source.indent()
        (n,) = self.fixed("I")
        self.ahead = 1
        self.settle()
        if isinstance(base, Map):
            add(f"{name} = {self.entries(base, n)}")
        else:
            assert isinstance(base, Slice)
            add(f"{name} = {self.slice_items(base.item, n)}")
        self.source.indent(-1)
        add(f"elif {m} == {int(Tag.NIL)}:")
        add(f"    {name} = {nil}; o += 1")
        add("else:")
        add(f"    raise {self.source.constant('Failed', FastPathError)}")
        return name

    def slice_items(self, item: Type, n: str) -> str:
        """Returns the expression of a slice's items; moves `o` after them."""
        code = STRUCT_CODES.get(item)
        if item is t.BOOL or code:
            width = 1 if item is t.BOOL else packed_size(code or "")
            name = self.local(
                f"{self.source.constant('unpack_numbers', unpack_numbers)}(b, o, {n}, {code or 'B'!r}, {width})"
            )
            self.source.add(f"o += {n} * {width}" if width > 1 else f"o += {n}")
            return f"[x == 1 for x in {name}]" if item is t.BOOL else name
        inner = empty_items(item, self.registry)
        if inner is not None:
            helper = self.source.constant("count_empty_items", count_empty_items)
            small = inner <= MAX_EMPTY_ITEMS
            each = self.source.constant("empty", empty_value(item, self.registry)) if small else "()"
            return f"[{each}] * {helper}(c, {n}, {inner})"
        return self.items(item, n)

    def loop(self, n: str) -> None:
        self.source.add(f"for _ in {self.source.constant('repeat', repeat)}(None, {n}):")
        self.source.indent()
        self.loops += 1

    def end_loop(self) -> None:
        self.settle()
        self.loops -= 1
        self.source.indent(-1)

    def items(self, item: Type, n: str) -> str:
        out, append = self.source.fresh("r"), self.source.fresh("p")
        self.source.add(f"{out} = []; {append} = {out}.append")
        self.loop(n)
        value = self.value(item)
        self.flush()
        self.source.add(f"{append}({value})")
        self.end_loop()
        return out

    def entries(self, type_: Map, n: str) -> str:
        out = self.source.fresh("r")
        self.source.add(f"{out} = {{}}")
        key_items, value_items = (empty_items(part, self.registry) for part in (type_.key, type_.value))
        if key_items is not None and value_items is not None:
            self.source.add(f"{self.source.constant('count_empty_items', count_empty_items)}(c, {n}, 0)")
        base = base_of(type_.key, self.registry)
        keys = "" if base in SAFE_KEYS else self.keys_of(base, n)
        self.loop(n)
        key = self.key(type_.key)
        value = self.value(type_.value)
        self.flush()
        if base in INTEGER_KEYS:
            self.source.add(f"if {keys} is not None: {keys}.checked({out}, {key})")
        self.source.add(
            f"{out}[{key if not keys or base in INTEGER_KEYS else f'{keys}.checked({out}, {key})'}] = {value}"
        )
        self.end_loop()
        return out

    def keys_of(self, base: Type | Struct | Marshaler, n: str) -> str:
        """Returns the name of the check of a map's keys."""
        check = counted_keys if base in INTEGER_KEYS else MapKeys
        return self.local(f"{self.source.constant('keys', check)}({n})")

    def text_key(self) -> str:
        raw, name, add = self.chunk("H"), self.source.fresh("k"), self.source.add
        add(f"try: {name} = c.keys[{raw}]")
        add(f"except KeyError: {name} = c.new_key({raw})")
        return name

    def key(self, type_: Type) -> str:
        if type_ is t.STRING:
            return self.text_key()
        if isinstance(type_, AnyType):
            return self.any_key()
        value = self.value(type_)
        self.flush()
        return value


def generate_reader(
    type_: Type, registry: Registry, reader_of: Callable[[Type], Reader], *, dynamic: bool = False
) -> Reader:
    """Returns the fast reader of a type in a typed slot, or (`dynamic`) after its descriptor: Typed where necessary."""
    source = FunctionSource("def read(b, o, c, d):")
    generator = ReaderGenerator(registry, reader_of, source)
    if has_any(type_, registry):
        source.add("slots = d + 1")
        source.add(f"if slots > {MAX_DEPTH}: raise {source.constant('Failed', FastPathError)}")
    base = base_of(type_, registry)
    is_inferred = type_ in (INFERRED_TYPES[list], INFERRED_TYPES[dict])
    if isinstance(base, Slice | Map):
        nil = source.constant("nil", Typed(type_, None)) if dynamic and is_inferred else "None"
        value = generator.container(type_, nil)
    else:
        value = generator.value(type_)
    if dynamic and not is_inferred and not isinstance(base, Struct):
        value = generator.tuple_of(Typed, source.constant("type", type_), value)
    generator.flush()
    source.add(f"return {value}, {generator.here}")
    return source.compile("read", t.describe(type_))
