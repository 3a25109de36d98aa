"""One list of types, values and bytes, through both readers and both writers, in every kind of slot."""

from collections.abc import Callable
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.compare import same
from ergo_conformance.model.natural import dynamic
from ergo_conformance.model.registry import Registry, Struct
from ergo_conformance.model.terms import Typed
from ergo_conformance.model.types import ANY, Array, Map, Slice, Type
from ergo_conformance.reference_node.ergo.edf import Decoder

from .codecs import both_readers, both_writers, folded
from .tables import REGISTRY, ROWS, SCALARS, label

Read = Callable[..., tuple[Any, int]]
Write = Callable[..., bytes]

rows = pytest.mark.parametrize(("type_", "value", "digits"), ROWS, ids=label)
scalars = pytest.mark.parametrize(("type_", "value", "tag", "body"), SCALARS, ids=label)


@rows
class TestValueWithDescriptor:
    @both_readers
    def test_its_bytes_are_read_as_the_value(self, read: Read, type_: Type, value: Any, digits: str) -> None:
        data = bytes.fromhex(digits)
        found, end = read(data, REGISTRY)
        assert same(found, dynamic(type_, value, REGISTRY), REGISTRY)
        assert type(found) is type(dynamic(type_, value, REGISTRY))
        assert end == len(data)

    @both_readers
    def test_bytes_behind_it_are_left(self, read: Read, type_: Type, value: Any, digits: str) -> None:
        data = bytes.fromhex(digits)
        assert read(data + b"\x95rest", REGISTRY)[1] == len(data)

    @both_writers
    def test_it_is_written_as_its_bytes(self, write: Write, type_: Type, value: Any, digits: str) -> None:
        assert write(dynamic(type_, value, REGISTRY), REGISTRY).hex() == digits

    @both_writers
    def test_it_may_always_be_typed(self, write: Write, type_: Type, value: Any, digits: str) -> None:
        assert write(Typed(type_, value), REGISTRY).hex() == digits

    @both_readers
    def test_an_any_slot_holds_descriptor_and_body(self, read: Read, type_: Type, value: Any, digits: str) -> None:
        data = folded("9d84") + bytes.fromhex("9d00000002" + digits + "ff")
        found, end = read(data, REGISTRY)
        assert same(found, [dynamic(type_, value, REGISTRY), None], REGISTRY)
        assert end == len(data)

    def test_the_node_reads_its_body_where_the_type_is_known(self, type_: Type, value: Any, digits: str) -> None:
        data = bytes.fromhex(digits)
        for n in range(1, len(data) + 1):
            if data[0] == t.Tag.FOLDED:
                n = 3 + int.from_bytes(data[1:3], "big")
            elif data[0] == t.Tag.REG:
                n = 3 + int.from_bytes(data[1:3], "big")
            found, end = Decoder(REGISTRY).decode_as(type_, b"\0" + data[n:], 1)
            assert same(found, value, REGISTRY, type_)
            assert end == 1 + len(data) - n
            return


def _holder(type_: Type) -> tuple[Registry, Struct]:
    row = Struct("#x/Holder", (("before", t.INT8), ("it", type_), ("behind", t.INT8)))
    return Registry([row]), row


@scalars
class TestTypedSlotHoldsTheBodyAlone:
    @both_readers
    @both_writers
    def test_slice(self, read: Read, write: Write, type_: Type, value: Any, tag: str, body: str) -> None:
        data = folded("9d" + tag) + bytes.fromhex("9d00000002" + body * 2)
        expected = Typed(Slice(type_), [value, value])
        assert same(read(data)[0], expected, REGISTRY)
        assert write(expected) == data

    @both_readers
    @both_writers
    def test_array(self, read: Read, write: Write, type_: Type, value: Any, tag: str, body: str) -> None:
        data = folded("9e00000002" + tag) + bytes.fromhex(body * 2)
        expected = Typed(Array(2, type_), (value, value))
        assert same(read(data)[0], expected, REGISTRY)
        assert write(expected) == data

    @both_readers
    @both_writers
    def test_map(self, read: Read, write: Write, type_: Type, value: Any, tag: str, body: str) -> None:
        data = folded("9f" + tag + tag) + bytes.fromhex("9f00000001" + body * 2)
        expected = Typed(Map(type_, type_), {value: value})
        assert same(read(data)[0], expected, REGISTRY)
        assert write(expected) == data

    @both_readers
    @both_writers
    def test_struct_field(self, read: Read, write: Write, type_: Type, value: Any, tag: str, body: str) -> None:
        registry, row = _holder(type_)
        data = b"\x83\x00\x09#x/Holder" + bytes.fromhex("01" + body + "02")
        expected = row.value_class(1, value, 2)
        assert same(read(data, registry)[0], expected, registry)
        assert write(expected, registry) == data


def test_the_table_has_every_scalar_and_every_kind_of_container() -> None:
    met = {type(part) if not isinstance(part, t.Scalar) else part for type_, _, _ in ROWS for part in t.preorder(type_)}
    assert met == {*t.SCALARS.values(), Slice, Array, Map, t.Reg, type(ANY)}
