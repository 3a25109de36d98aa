"""Values that cannot be encoded: both writers raise CannotEncode with the path of the part."""

from array import array
from collections.abc import Callable
from typing import Any

import pytest

from ergo_conformance.errors import CannotEncode
from ergo_conformance.model import types as t
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.inferred import INTEGERS
from ergo_conformance.model.registry import Registry, Struct
from ergo_conformance.model.types import ANY, Array, Map, Reg, Slice, Type
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref, Time, Typed

from .codecs import WRITERS, both_readers, both_writers
from .value_rows import REGISTRY, Foo, Hold

Write = Callable[..., bytes]
LONE = "\ud800"
A = Atom("a")

# type, value that cannot be encoded as this type
REFUSED: list[tuple[Type, Any]] = [
    (t.STRING, "x" * 65536),
    (t.STRING, "é" * 32768),
    (t.STRING, LONE),
    (t.STRING, b"bytes"),
    (t.STRING, 5),
    (t.STRING, None),
    (t.ATOM, Atom("a" * 256)),
    (t.ATOM, Atom("é" * 128)),
    (t.ATOM, Atom(LONE)),
    (t.ATOM, 5),
    (t.ATOM, b"a"),
    (t.BINARY, "text"),
    (t.BINARY, [1, 2, 3]),
    (t.BINARY, 5),
    (t.BINARY, None),
    (t.ERROR, Error("e" * 32768)),
    (t.ERROR, Error(LONE)),
    (t.ERROR, "text"),
    (t.FLOAT32, 1e39),
    (t.FLOAT32, "1"),
    (t.FLOAT64, "1"),
    (t.FLOAT64, None),
    (t.INT, 1.0),
    (t.INT, "1"),
    (t.INT, None),
    (t.PID, PID(Atom("a" * 256), 1, 1)),
    (t.PID, PID(A, -1, 1)),
    (t.PID, PID(A, 2**64, 1)),
    (t.PID, PID(A, 1, 2**63)),
    (t.PROCESS_ID, ProcessID(A, Atom("a" * 256))),
    (t.EVENT, Event(Atom("a" * 256), A)),
    (t.ALIAS, Alias(A, 1, (1, 2))),  # type: ignore[arg-type]
    (t.REF, Ref(A, 1, (1, 2, 2**64))),
    (t.REF, Ref(A, 2**63, (1, 2, 3))),
    (t.TIME, Time(0, 0, -60)),
    (t.TIME, Time(0, 0, -119)),
    (t.TIME, Time(0, 0, 32768 * 60)),
    (t.TIME, Time(0, 0, -32769 * 60)),
    (t.TIME, Time(0, 1_000_000_000, None)),
    (t.TIME, Time(0, -1, None)),
    (t.TIME, Time(2**63, 0, None)),
    (t.TIME, Time(-(2**64), 0, None)),
    (t.TIME, 5),
    (Array(2, t.INT8), (1,)),
    (Array(2, t.INT8), (1, 2, 3)),
    (Array(65, t.INT8), (1,) * 64),
    (Array(2, t.STRING), ("a",)),
    (Array(2, t.INT8), None),
    (Array(0, t.INT8), (1,)),
    (Slice(t.INT8), 5),
    (Slice(t.INT8), [128]),
    (Slice(t.STRING), [None]),
    (Map(t.STRING, t.INT8), {1: 1}),
    (Map(t.INT8, t.INT8), {128: 1}),
    (Reg("#x/Foo"), (1,)),
    (Reg("#x/Foo"), Foo("1", "b")),
    (Reg("#x/Foo"), None),
    (Reg("#x/Pair"), (1, 2, 3)),
    (Reg("#x/Level"), 40_000),
    (Reg("#x/Mar"), "text"),
    (Reg("#x/Mar"), None),
    *((type_, least - 1) for type_, (bits, signed) in INTEGERS.items() for least in (-(1 << bits - 1) if signed else 0,)),
    *((type_, 1 << bits - signed) for type_, (bits, signed) in INTEGERS.items()),
]  # fmt: skip

FAULTS: list[tuple[Type, Any]] = [
    (t.BOOL, 5),
    (t.BOOL, None),
    (Slice(t.BOOL), [2]),
    (Reg("#x/On"), "yes"),
    (t.ERROR, Error(5)),  # type: ignore[arg-type]
    (Map(t.STRING, t.INT8), [(1, 2)]),
    (Reg("#x/Nobody"), 1),
    (Slice(Reg("#x/Nobody")), []),
    (ANY, 5),
]


def _case(row: tuple[Type, Any]) -> Any:
    return pytest.param(row[0], row[1], id=f"{t.describe(row[0])}-{row[1]!r}"[:40])


rows = pytest.mark.parametrize(
    ("type_", "value"), REFUSED, ids=lambda x: t.describe(x) if isinstance(x, Type) else repr(x)[:24]
)


@rows
@both_writers
def test_a_value_outside_its_type_raises_cannot_encode(write: Write, type_: Type, value: Any) -> None:
    with pytest.raises(CannotEncode):
        write(Typed(type_, value), REGISTRY)
    with pytest.raises(CannotEncode) as caught:
        write(["first", {"key": Typed(type_, value)}], REGISTRY)
    assert caught.value.path.startswith("[1][0]")
    assert str(caught.value).endswith(f" at {caught.value.path}")
    assert write([1], REGISTRY).hex() == "8200029d849d00000001960000000000000001"


@rows
@both_writers
def test_cannot_encode_names_the_field(write: Write, type_: Type, value: Any) -> None:
    row: Any = Struct("#x/Outer", (("Ok", t.INT8), ("Bad", type_)))
    with pytest.raises(CannotEncode) as caught:
        write(row.value_class(1, value), Registry([*REGISTRY, row]))
    assert caught.value.path.startswith("Bad")


@pytest.mark.parametrize(("type_", "value"), [_case(row) for row in FAULTS])
def test_both_writers_refuse_an_invalid_value(type_: Type, value: Any) -> None:
    for write in WRITERS.values():
        with pytest.raises(CannotEncode):
            write([Typed(type_, value)], REGISTRY)


@pytest.mark.parametrize(
    "value",
    [(1, 2), {1}, object(), 1j, bytearray(b"a"), memoryview(b"a"), type, iter([])],
    ids=lambda x: type(x).__name__,
)
@both_writers
def test_a_value_of_a_class_without_a_type_is_refused(write: Write, value: Any) -> None:
    with pytest.raises(CannotEncode, match=type(value).__name__):
        write(value)
    with pytest.raises(CannotEncode, match=r"at \[0\]"):
        write([value])


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value", [Text("a"), Struct("#x/Other", ()).value_class()], ids=["subclass of str", "foreign struct"]
)
@both_writers
def test_a_value_of_a_similar_class_is_refused(write: Write, value: Any) -> None:
    with pytest.raises(CannotEncode, match="wrap it in Typed"):
        write(value, REGISTRY)


@both_writers
@pytest.mark.parametrize("value", [None, Typed(t.ERROR, None)])
def test_nil_at_top_level_is_refused(write: Write, value: Any) -> None:
    with pytest.raises(CannotEncode, match="nil"):
        write(value)
    assert write([value]).endswith(b"\xff")


@both_writers
def test_typed_nil_at_top_level_is_written(write: Write) -> None:
    assert write(Typed(Slice(t.INT8), None)).hex() == "8200029d92ff"


def _deep(levels: int) -> Type:
    type_: Type = t.INT8
    for _ in range(levels):
        type_ = Map(Reg("#" + "n" * 1000), type_)
    return type_


@both_writers
def test_a_folded_type_of_more_than_65535_bytes_is_refused(write: Write) -> None:
    registry = Registry([Struct("#" + "n" * 1000, ())])
    assert len(write(Typed(_deep(65), {}), registry)) == 3 + 65 * 1005 + 1 + 5
    with pytest.raises(CannotEncode, match="folded type of 66331 bytes"):
        write(Typed(_deep(66), {}), registry)
    with pytest.raises(CannotEncode, match=r"folded type.* at \[0\]"):
        write([Typed(_deep(66), None)], registry)


@both_writers
def test_a_type_name_of_more_than_4095_bytes_is_refused(write: Write) -> None:
    registry = Registry([Struct("#" + "n" * 4094, ()), Struct("#" + "n" * 4095, ())])
    assert len(write(Typed(Reg("#" + "n" * 4094), ()), registry)) == 3 + 4095
    with pytest.raises(CannotEncode, match="type name of 4096 bytes"):
        write(Typed(Reg("#" + "n" * 4095), ()), registry)
    assert write(Typed(Reg("#" + "n" * 4095), ()), registry, Caches(types={4096: "#" + "n" * 4095})).hex() == "831000"


@both_writers
def test_the_length_limit_of_an_atom_applies_to_its_mapped_name(write: Write) -> None:
    caches = Caches(atom_mapping={A: Atom("b" * 256), Atom("c" * 300): Atom("d")})
    with pytest.raises(CannotEncode, match="atom of 256 bytes"):
        write(A, REGISTRY, caches)
    assert write(Atom("c" * 300), REGISTRY, caches).hex() == "8c000164"


@both_readers
@both_writers
@pytest.mark.parametrize("cls", [str, Atom, Error])
def test_bytes_that_are_not_utf8_are_written_and_read(read: Any, write: Write, cls: Any) -> None:
    raw = bytes(range(128, 256)) + b"\xed\xa0\x80" + b"\xf0\x9f\x98\x80ok"
    value = cls(raw.decode("utf-8", "surrogateescape"))
    data = write(value)
    assert data[3:] == raw
    assert read(data)[0] == value


@both_writers
def test_path_of_a_value_inside_structs_slices_and_maps(write: Write) -> None:
    bad = Hold(Foo(1, ""), None, None, [Hold(Foo(1, LONE), None, None, None, None, b"")], None, b"")
    with pytest.raises(CannotEncode) as caught:
        write({"k": bad}, REGISTRY)
    assert caught.value.path == "[0].X[0].F.B"


@pytest.mark.parametrize("items", [array("H", [1, 2]), array("q", [1, 2])], ids=["array of shorts", "array of longs"])
def test_both_writers_write_an_array_of_wider_numbers_alike(items: Any) -> None:
    from .codecs import node_writes, spec_writes

    assert node_writes(Typed(Slice(t.UINT8), items)) == spec_writes(Typed(Slice(t.UINT8), items))


def test_a_buffer_of_wider_numbers_as_binary_is_refused() -> None:
    for write in WRITERS.values():
        with pytest.raises(CannotEncode):
            write(Typed(t.BINARY, array("H", [1])))


# --- values deeper than a reader accepts ------------------------------------------------------------------------------


def own_list() -> Any:
    value: list[Any] = [None]
    value[0] = value
    return value


def own_map() -> Any:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


def own_typed() -> Any:
    items: list[Any] = []
    value = Typed(Slice(Slice(ANY)), [items])
    items.append(value)
    return value


HOLDER = Struct("#own/Holder", (("X", ANY),))


def own_struct() -> Any:
    items: list[Any] = []
    items.append(HOLDER.value_class(items))
    return items


@both_writers
@pytest.mark.parametrize("make", [own_list, own_map, own_typed, own_struct])
def test_a_value_that_contains_itself_is_refused(write: Write, make: Callable[[], Any]) -> None:
    with pytest.raises(CannotEncode, match="more than 1,024 values of type any inside each other"):
        write(make(), Registry([HOLDER]))


@both_writers
def test_a_value_one_level_deeper_than_a_reader_accepts_is_refused(write: Write) -> None:
    value: Any = 7
    for _ in range(1025):
        value = [value]
    with pytest.raises(CannotEncode, match="more than 1,024 values of type any inside each other"):
        write(value)


@both_writers
@pytest.mark.parametrize("wrap", [Slice, lambda inner: Array(1, inner), lambda inner: Map(inner, t.BOOL)])
def test_a_type_one_level_deeper_than_a_reader_accepts_is_refused(write: Write, wrap: Callable[[Type], Type]) -> None:
    type_: Type = t.INT8
    for _ in range(1025):
        type_ = wrap(type_)
    with pytest.raises(CannotEncode, match="1,024 levels"):
        write(Typed(type_, None if not isinstance(type_, Array) else (0,)))
