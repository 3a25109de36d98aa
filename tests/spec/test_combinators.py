"""Each combinator reads and writes by itself, as an ordinary construct and inside one; `walk` visits its parts."""

from typing import Any

import construct
import pytest
from construct import Int8ub, Int16ub

from ergo_conformance.errors import CannotEncode, Reason, Rejected
from ergo_conformance.model.ergo.records import ROWS
from ergo_conformance.model.registry import Registry, Struct
from ergo_conformance.spec import Parsed, build, parse
from ergo_conformance.spec.combinators import (
    U8,
    U16,
    U32,
    CountedBytes,
    CountedEntries,
    CountedItems,
    CountedText,
    Exactly,
    Fields,
    InOrder,
    Nullable,
    Repeat,
    min_size_of,
)
from ergo_conformance.spec.ergo import edf
from ergo_conformance.spec.ergo.ehs import FRAME
from ergo_conformance.spec.interpreter import SchemaNode
from ergo_conformance.spec.walk import parts, walk

PAIR = Fields("a" / U8, "b" / U16)
CASES: list[tuple[str, Any, Any, str]] = [
    ("number", U16, 0x1234, "1234"),
    ("exactly", Exactly(U8, 7, Reason.MAGIC), 7, "07"),
    ("counted", CountedBytes(U8), b"ab", "026162"),
    ("text", CountedText(U16), "é\udcff", "0003c3a9ff"),
    ("fields", PAIR, {"a": 1, "b": 2}, "010002"),
    ("fields into", Fields("x" / U8, "y" / U8, into=lambda x, y: (x, y)), (1, 2), "0102"),
    ("in order", InOrder(U8, PAIR), (1, {"a": 1, "b": 2}), "01010002"),
    ("repeat", Repeat(2, U16), (1, 2), "00010002"),
    ("items", CountedItems(U8, PAIR), [{"a": 1, "b": 2}], "01010002"),
    ("no items", CountedItems(U32, U8), [], "00000000"),
    ("entries", CountedEntries(U8, U8, CountedText(U8)), {5: "x"}, "01050178"),
    ("nil", Nullable(0xFF, 0x9D, U8), None, "ff"),
    ("not nil", Nullable(0xFF, 0x9D, U8), 3, "9d03"),
    ("plain construct", construct.Struct("a" / Int8ub), {"a": 5}, "05"),
    ("plain construct inside", CountedItems(U8, Int16ub), [1, 2], "0200010002"),
]
REFUSED: list[tuple[str, Any, str, Reason, int, str]] = [
    ("number", U16, "12", Reason.END_OF_DATA, 0, ""),
    ("exactly", Exactly(U8, 7, Reason.MAGIC), "08", Reason.MAGIC, 0, ""),
    ("counted", CountedBytes(U8), "0261", Reason.END_OF_DATA, 1, ""),
    ("fields", PAIR, "0100", Reason.END_OF_DATA, 1, "b"),
    ("repeat", Repeat(3, PAIR), "0100020100", Reason.COUNT, 0, ""),
    ("items", CountedItems(U32, U16), "ffffffff0000", Reason.COUNT, 0, ""),
    ("item", CountedItems(U8, CountedBytes(U8)), "02" + "0161" + "05", Reason.END_OF_DATA, 4, "[1]"),
    ("nullable", Nullable(0xFF, 0x9D, U8), "9e00", Reason.MARKER, 0, ""),
    ("entry", CountedEntries(U8, U8, PAIR), "010501", Reason.COUNT, 0, ""),
    ("key", CountedEntries(U8, CountedItems(U8, U8), U8), "010000", Reason.UNHASHABLE_KEY, 1, ""),
    ("plain construct", InOrder(U8, construct.Struct("a" / Int16ub)), "0100", Reason.END_OF_DATA, 1, "[1]"),
]

cases = pytest.mark.parametrize(("schema", "value", "digits"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])


@cases
class TestNode:
    def test_schema_reads_the_bytes(self, schema: Any, value: Any, digits: str) -> None:
        found = parse(schema, bytes.fromhex(digits))
        assert isinstance(found, Parsed)
        assert found.value == value

    def test_schema_writes_the_bytes(self, schema: Any, value: Any, digits: str) -> None:
        assert build(schema, value).hex() == digits

    def test_schema_is_an_ordinary_construct(self, schema: Any, value: Any, digits: str) -> None:
        assert schema.parse(bytes.fromhex(digits)) == value
        assert schema.build(value).hex() == digits

    def test_schema_works_inside_a_struct_of_construct(self, schema: Any, value: Any, digits: str) -> None:
        outer = construct.Struct("before" / Int16ub, "it" / schema, "behind" / Int8ub)
        data = bytes.fromhex("1234" + digits + "56")
        found = outer.parse(data)
        assert (found.before, found.behind) == (0x1234, 0x56)
        assert found.it == value
        assert outer.build(found) == data

    def test_schema_works_inside_another_schema(self, schema: Any, value: Any, digits: str) -> None:
        outer = Fields("it" / schema, "behind" / U8)
        found = parse(outer, bytes.fromhex(digits + "56"))
        assert isinstance(found, Parsed)
        assert found.value["behind"] == 0x56
        assert found.span("it") == ("it", 0, len(digits) // 2)

    def test_sizeof_raises_except_for_a_plain_construct(self, schema: Any, value: Any, digits: str) -> None:
        if isinstance(schema, SchemaNode):
            with pytest.raises(construct.SizeofError):
                schema.sizeof()
        else:
            assert schema.sizeof() == len(digits) // 2

    def test_no_value_is_smaller_than_its_min_size(self, schema: Any, value: Any, digits: str) -> None:
        assert min_size_of(schema) <= len(digits) // 2


@pytest.mark.parametrize(
    ("schema", "digits", "reason", "offset", "path"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED]
)
def test_malformed_bytes_are_refused(schema: Any, digits: str, reason: Reason, offset: int, path: str) -> None:
    found = parse(schema, bytes.fromhex(digits))
    assert isinstance(found, Rejected)
    assert (found.reason, found.offset) == (reason, offset)
    assert found.path == path or reason is Reason.UNHASHABLE_KEY
    with pytest.raises(Rejected):
        schema.parse(bytes.fromhex(digits))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (U8, 256), (U8, "x"), (CountedBytes(U8), b"x" * 256), (CountedText(U8), "\ud800"), (CountedText(U8), 5),
        (PAIR, {"a": 1}), (InOrder(U8), (1, 2)), (Repeat(2, U8), (1,)), (CountedItems(U8, U8), 5),
        (CountedItems(U8, U8), [1] * 256), (CountedEntries(U8, U8, U8), 5),
        (Fields("a" / U8, into=lambda a: (a,)), (1, 2)),
    ],
)  # fmt: skip
def test_a_wrong_value_raises_cannot_encode(schema: Any, value: Any) -> None:
    with pytest.raises(CannotEncode):
        build(schema, value)


def test_the_last_of_equal_keys_is_kept() -> None:
    found = parse(CountedEntries(U8, U8, U8), bytes.fromhex("0205010502"))
    assert isinstance(found, Parsed)
    assert found.value == {5: 2}


def test_a_name_and_documentation_may_be_given_in_any_order() -> None:
    schema = Fields("plain" / U8, "documented" / U8 * "what it is")
    found = parse(schema, b"\1\2")
    assert isinstance(found, Parsed)
    assert found.span("documented") == ("documented", 1, 2)


def test_the_outer_name_replaces_the_inner_name() -> None:
    schema = Fields("outer" / (U8 * "documented"), "b" / U8)
    found = parse(schema, b"\1\2")
    assert isinstance(found, Parsed)
    assert found.span("outer") == ("outer", 0, 1)


# --- walking ----------------------------------------------------------------------------------------------------------

REGISTRY = Registry(ROWS)
ROOTS: dict[str, Any] = {
    "handshake frame": FRAME,
    "value": edf.schemas(REGISTRY).value,
    **{row.name.rsplit("/", 1)[-1]: edf.schemas(REGISTRY).registered(row.name) for row in ROWS},
}


def test_every_schema_can_be_walked() -> None:
    for root in ROOTS.values():
        visits = list(walk(root))
        assert len({id(v.schema) for v in visits}) == len(visits)
        for visit in visits:
            assert isinstance(visit.schema, construct.Construct)
            assert isinstance(visit.docs, str)


def test_no_schema_holds_a_function() -> None:
    """Schemas are data (ten rules, 7): their parts can be named, compared and drawn."""
    for root in ROOTS.values():
        for visit in walk(root):
            held = vars(visit.schema) if hasattr(visit.schema, "__dict__") else {}
            functions = {n for n, v in held.items() if callable(v) and getattr(v, "__name__", "") == "<lambda>"}
            assert functions == set(), f"{visit.path}: {functions}"


def test_every_field_of_every_record_is_a_part_of_its_schema() -> None:
    for row in ROWS:
        if isinstance(row, Struct):
            labels = [label for label, _ in parts(edf.schemas(REGISTRY).registered(row.name))]
            assert labels == [name for name, _ in row.fields]


def test_walking_a_frame_yields_its_header_and_all_messages() -> None:
    paths = {visit.path for visit in walk(FRAME)}
    assert {
        "magic",
        "version",
        "length",
        "message",
        *(f"message.{m}" for m in ("Hello", "Join", "Introduce", "Accept")),
    } <= paths


def test_plain_constructs_can_be_walked() -> None:
    outer = construct.Struct("a" / Int8ub, "b" / PAIR)
    assert [label for label, _ in parts(outer)] == ["a", "b"]
    assert [visit.path for visit in walk(outer)][1:] == ["a", "b", "b.a", "b.b"]


def test_walk_finds_the_documentation_of_a_named_part() -> None:
    schema = Fields("n" / U8 * "how many")
    assert [visit.docs for visit in walk(schema)] == ["", "how many"]
