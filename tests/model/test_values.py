"""Equality of values, payload rules, and the JSON form of values."""

import math
import struct
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.compare import same
from ergo_conformance.model.ergo.ehs import NETWORK_FLAGS
from ergo_conformance.model.json.values import slot_from_json, value_from_json, value_to_json
from ergo_conformance.model.payloads import BitSet, Decimal, Ignored, Layout, Opaque
from ergo_conformance.model.registry import Marshaler, Newtype, Registry, Struct
from ergo_conformance.model.text import bytes_to_text, text_to_bytes
from ergo_conformance.model.types import ANY, Array, Map, Reg, Slice
from ergo_conformance.model.values import Atom, Error, Typed

FLAGS = NETWORK_FLAGS.name
ROW = Struct("#x/S", (("A", t.INT8), ("B", ANY)))
REGISTRY = Registry([ROW, NETWORK_FLAGS, Newtype("#x/N", t.INT8), Marshaler("#x/M"), Newtype("#x/L", Slice(t.FLOAT32))])
S: Any = ROW.value_class
NAN, OTHER_NAN = math.nan, struct.unpack(">d", bytes.fromhex("7ff8000000000001"))[0]

SAME: list[tuple[Any, Any]] = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (NAN, math.nan),
    (Typed(t.FLOAT32, NAN), Typed(t.FLOAT32, OTHER_NAN)),
    (Error("a"), Error("a", registered=True)),
    (Typed(Map(t.FLOAT64, t.INT8), {NAN: 1}), Typed(Map(t.FLOAT64, t.INT8), {math.nan: 1})),
    (Typed(Reg(FLAGS), bytes(7) + b"\x02"), Typed(Reg(FLAGS), bytes(8) + b"more")),
    (Typed(t.INT, 1), 1),
    ([Typed(t.STRING, "a")], ["a"]),
    (Typed(t.ERROR, Error("x")), Error("x")),
    (Typed(Map(ANY, ANY), {Typed(t.INT, 1): 1, None: 2}), Typed(Map(ANY, ANY), {None: 2, Typed(t.INT, 1): 1})),
]
DIFFERENT: list[tuple[Any, Any]] = [
    (1, Typed(t.INT8, 1)),
    (1, 1.0),
    (1, True),
    (0.0, -0.0),
    (NAN, OTHER_NAN),
    ("a", Atom("a")),
    ("a", b"a"),
    ([], None),
    ([], Typed(Slice(t.INT8), [])),
    ([1], [1, 1]),
    ([1, [2]], [1, [3]]),
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {"b": 1}),
    ({"a": 1}, {"a": 1, "b": 2}),
    (Typed(Slice(ANY), None), None),
    (S(1, 2), S(1, 3)),
    (Error("a"), Error("b")),
    (Typed(Reg("#x/M"), b"a"), Typed(Reg("#x/M"), b"b")),
    (Typed(Reg("#x/N"), 1), Typed(t.INT8, 1)),
    (Typed(Array(1, t.INT8), (1,)), Typed(Slice(t.INT8), [1])),
    (Typed(Map(ANY, ANY), {Typed(t.INT8, 1): 1}), Typed(Map(ANY, ANY), {Typed(t.UINT8, 1): 1})),
]


@pytest.mark.parametrize(("a", "b"), SAME, ids=lambda x: repr(x)[:40] if "0x" not in repr(x) else "object")
def test_equal_values(a: Any, b: Any) -> None:
    assert same(a, b, REGISTRY)
    assert same(b, a, REGISTRY)
    assert same([a], [b], REGISTRY)


@pytest.mark.parametrize(("a", "b"), DIFFERENT, ids=lambda x: repr(x)[:40] if "0x" not in repr(x) else "object")
def test_different_values(a: Any, b: Any) -> None:
    assert not same(a, b, REGISTRY)
    assert not same(b, a, REGISTRY)
    assert not same({"k": a}, {"k": b}, REGISTRY)


def test_values_are_compared_at_any_depth() -> None:
    a: Any = 1
    b: Any = 1
    for _ in range(5000):
        a, b = [a], [b]
    assert same(a, b, REGISTRY)
    assert not same([a], b, REGISTRY)


# --- payloads ---------------------------------------------------------------------------------------------------------

TAKEN: list[tuple[Any, bytes, bytes]] = [
    (Opaque(), b"\xee", b"\xee"),
    (Opaque(b"\xee"), b"", b""),
    (Ignored(), b"anything", b""),
    (Decimal(), b"-9223372036854775808", b"-9223372036854775808"),
    (Decimal(), b"007", b"7"),
    (Decimal(), b"-0", b"0"),
    (BitSet(2, 0x0F, 1), b"\x00\xff\xaa", b"\x00\x0f"),
    (BitSet(2, 0x0F, 1), b"\x00\xfe", b"\x00\x00"),
    (Layout((t.UINT16, t.UINT8), rest=False), b"abc", b"abc"),
    (Layout((t.UINT32,), rest=True), b"abcde", b"abcde"),
]
REFUSED: list[tuple[Any, bytes]] = [
    (Opaque(b"\xee\xef"), b"\xef1"),
    (Decimal(), b""),
    (Decimal(), b"-"),
    (Decimal(), b"+1"),
    (Decimal(), b" 1"),
    (Decimal(), b"1x"),
    (Decimal(), b"9223372036854775808"),
    (Decimal(), b"-9223372036854775809"),
    (BitSet(8, 127, 1), bytes(7)),
    (Layout((t.UINT16,), rest=False), b"abc"),
    (Layout((t.UINT64,), rest=True), b"abc"),
]


@pytest.mark.parametrize(
    ("rule", "payload", "canonical"), TAKEN, ids=lambda x: repr(x)[:40] if "0x" not in repr(x) else "object"
)
def test_an_accepted_payload_has_a_canonical_form(rule: Any, payload: bytes, canonical: bytes) -> None:
    assert rule.refusal(payload) is None
    assert rule.canonical(payload) == canonical
    assert rule.canonical(canonical) == canonical or rule.refusal(canonical) is not None


@pytest.mark.parametrize(("rule", "payload"), REFUSED, ids=lambda x: repr(x)[:40] if "0x" not in repr(x) else "object")
def test_a_payload_is_refused_with_a_reason(rule: Any, payload: bytes) -> None:
    assert rule.refusal(payload)


# --- text and JSON ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b"", b"\xff", bytes(range(256)), b"\xed\xa0\x80", "é€😀".encode()])
def test_any_bytes_are_converted_to_text_and_back(raw: bytes) -> None:
    assert text_to_bytes(bytes_to_text(raw)) == raw


@pytest.mark.parametrize(
    ("obj", "value"),
    [
        (None, None),
        ({"type": "error", "value": None}, None),
        ({"type": "string", "hex": "ff"}, "\udcff"),
        ({"type": "string", "repeat": ["ab", 3]}, "ababab"),
        ({"type": "binary", "repeat": ["00ff", 2]}, b"\x00\xff\x00\xff"),
        (
            {"type": "slice", "elem": "int8", "repeat": [{"type": "int8", "value": "1"}, 3]},
            Typed(Slice(t.INT8), [1, 1, 1]),
        ),
        ({"type": "nested_any_slices", "depth": 2, "leaf": None}, [[None]]),
        (
            {"type": "reg", "name": "#x/M", "kind": "marshaler", "payload_repeat": ["ab", 2]},
            Typed(Reg("#x/M"), b"\xab\xab"),
        ),
        ({"type": "float32", "bits": "3fc00000", "value": "1.5"}, Typed(t.FLOAT32, 1.5)),
    ],
)
def test_short_json_forms_are_read_and_written(obj: Any, value: Any) -> None:
    assert same(value_from_json(obj, REGISTRY), value, REGISTRY)


@pytest.mark.parametrize(
    "obj",
    [
        {}, [], "text", 5, {"type": "int9", "value": "1"}, {"type": "int8", "value": "128"}, {"type": "int8", "value": "x"},
        {"type": "uint8", "value": "-1"}, {"type": "int8"}, {"type": "string"}, {"type": "binary", "hex": "0"},
        {"type": "binary"},
        {"type": "slice", "elem": "int8", "value": [{"type": "int16", "value": "1"}]}, {"type": "slice", "value": []},
        {"type": "struct", "name": "#x/N", "fields": []},
        {"type": "struct", "name": "#x/S", "fields": [["B", None], ["A", None]]},
        {"type": "reg", "name": "#x/Nobody", "kind": "int", "value": "1"}, {"type": "pid", "node": "a"}, {"type": "time"},
        {"type": "map", "key": "string", "elem": "int8", "value": [[1]]},
        {"type": "alias", "node": "a", "creation": "1", "id": ["1"]},
        {"type": "float64", "bits": "00"},
    ],
    ids=repr,
)  # fmt: skip
def test_malformed_json_raises_value_error(obj: Any) -> None:
    try:
        value_from_json(obj, REGISTRY)
    except ValueError:
        return
    pytest.fail("taken for a value")


@pytest.mark.parametrize("n", [1, 3])
def test_an_array_with_a_wrong_number_of_items_is_refused(n: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        value_from_json(
            {"type": "array", "elem": "bool", "len": n, "value": [{"type": "bool", "value": True}] * 2}, REGISTRY
        )


def test_a_slot_refuses_a_value_of_another_type() -> None:
    assert slot_from_json({"type": "int8", "value": "1"}, t.INT8, REGISTRY) == 1
    with pytest.raises(ValueError, match="int8, expected int16"):
        slot_from_json({"type": "int8", "value": "1"}, t.INT16, REGISTRY)


def test_a_newtype_of_an_identifier_is_refused() -> None:
    with pytest.raises(ValueError, match="#x/P"):
        Registry([Newtype("#x/P", t.PROCESS_ID)])


def test_a_value_without_json_form_raises_type_error() -> None:
    for value in (object(), Typed(t.INT, object())):
        with pytest.raises(TypeError):
            value_to_json(value, REGISTRY)
