"""The rows of value_rows.py, read and written by both codecs in every kind of slot."""

from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.compare import same
from ergo_conformance.model.ergo.edf import Tag
from ergo_conformance.model.inferred import to_any_slot
from ergo_conformance.model.registry import Registry, Struct
from ergo_conformance.model.types import ANY, Array, Map, Slice, Type
from ergo_conformance.model.values import Typed
from ergo_conformance.reference_node.ergo.edf import Decoder

from .codecs import NONE, READERS, WRITERS, folded
from .value_rows import REGISTRY, ROWS, SCALARS, label

rows = pytest.mark.parametrize(("type_", "value", "digits"), ROWS, ids=label)
scalars = pytest.mark.parametrize(("type_", "value", "tag", "body"), SCALARS, ids=label)


@rows
class TestValueWithDescriptor:
    def test_bytes_are_read_as_the_value(self, type_: Type, value: Any, digits: str) -> None:
        data, expected = bytes.fromhex(digits), to_any_slot(type_, value, REGISTRY)
        for read in READERS.values():
            found, end = read(data, REGISTRY)
            assert same(found, expected, REGISTRY)
            assert type(found) is type(expected)
            assert end == len(data)
            assert read(data + b"\x95rest", REGISTRY)[1] == len(data)

    def test_value_and_typed_value_are_written_as_the_bytes(self, type_: Type, value: Any, digits: str) -> None:
        for write in WRITERS.values():
            assert write(to_any_slot(type_, value, REGISTRY), REGISTRY).hex() == digits
            assert write(Typed(type_, value), REGISTRY).hex() == digits

    def test_an_any_slot_has_descriptor_and_body(self, type_: Type, value: Any, digits: str) -> None:
        data = folded("9d84") + bytes.fromhex("9d00000002" + digits + "ff")
        for read in READERS.values():
            found, end = read(data, REGISTRY)
            assert same(found, [to_any_slot(type_, value, REGISTRY), None], REGISTRY)
            assert end == len(data)

    def test_the_node_reads_the_body_alone_in_a_typed_slot(self, type_: Type, value: Any, digits: str) -> None:
        data = bytes.fromhex(digits)
        body = 3 + int.from_bytes(data[1:3], "big") if data[0] in (Tag.FOLDED, Tag.REG) else 1
        found, end = Decoder(REGISTRY).decode_as(type_, b"\0" + data[body:], 1)
        assert same(found, value, REGISTRY, type_)
        assert end == 1 + len(data) - body


def check_both_codecs(expected: Any, data: bytes, registry: Registry = NONE) -> None:
    for read in READERS.values():
        found, end = read(data, registry)
        assert same(found, expected, registry)
        assert end == len(data)
    for write in WRITERS.values():
        assert write(expected, registry) == data


@scalars
def test_a_typed_slot_has_the_body_alone(type_: Type, value: Any, tag: str, body: str) -> None:
    check_both_codecs(Typed(Slice(type_), [value, value]), folded("9d" + tag) + bytes.fromhex("9d00000002" + body * 2))
    check_both_codecs(Typed(Array(2, type_), (value, value)), folded("9e00000002" + tag) + bytes.fromhex(body * 2))
    check_both_codecs(
        Typed(Map(type_, type_), {value: value}), folded("9f" + tag * 2) + bytes.fromhex("9f00000001" + body * 2)
    )
    row: Any = Struct("#x/Holder", (("before", t.INT8), ("it", type_), ("behind", t.INT8)))
    data = b"\x83\x00\x09#x/Holder" + bytes.fromhex("01" + body + "02")
    check_both_codecs(row.value_class(1, value, 2), data, Registry([row]))


def test_the_rows_have_every_scalar_and_every_kind_of_container() -> None:
    met = {type(part) if not isinstance(part, t.Scalar) else part for type_, _, _ in ROWS for part in t.preorder(type_)}
    assert met == {*t.SCALARS.values(), Slice, Array, Map, t.Reg, type(ANY)}
