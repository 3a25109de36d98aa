"""Generated values: both writers return the same bytes, both readers the same values."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.model.compare import same
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.json.types import type_from_json, type_to_json
from ergo_conformance.model.json.values import slot_from_json, value_from_json, value_to_json
from ergo_conformance.model.registry import Registry
from ergo_conformance.model.types import Type
from ergo_conformance.reference_node.ergo.edf import Decoder, Encoder

from .codecs import agreed, node_reads, node_writes, spec_reads, spec_writes
from .strategies import REGISTRY, ROWS, TABLES, fixed, tops, types, values

tables = pytest.mark.parametrize("caches", TABLES.values(), ids=list(TABLES))


def check_agreement(value: Any, registry: Registry, caches: Caches) -> None:
    data = node_writes(value, registry, caches)
    assert spec_writes(value, registry, caches) == data
    by_node, by_spec = node_reads(data, registry, caches), spec_reads(data, registry, caches)
    assert by_node[1] == by_spec[1] == len(data)
    assert same(by_node[0], value, registry)
    assert same(by_spec[0], value, registry)
    assert node_writes(by_spec[0], registry, caches) == data
    assert spec_writes(by_node[0], registry, caches) == data


@tables
@fixed(45)
@given(value=tops)
def test_writers_and_readers_agree(caches: Caches, value: Any) -> None:
    check_agreement(value, Registry(ROWS), caches)  # a new registry: no type exceeds the limit of generated functions


@fixed(45)
@given(value=tops)
def test_folded_types_are_read_without_generated_functions(value: Any) -> None:
    registry, caches = Registry(ROWS), TABLES["caches and mapping"]
    data = node_writes(value, registry, caches)
    assert same(Decoder(registry, caches, generated_lines=0).decode(data), value, registry)


@fixed(12)
@given(many=st.lists(tops, min_size=2, max_size=6))
def test_a_codec_has_no_state_between_values(many: list[Any]) -> None:
    encoder, decoder = Encoder(REGISTRY), Decoder(REGISTRY)
    for value in [*many, *many]:
        data = encoder.encode(value)
        assert data == node_writes(value, REGISTRY)
        assert same(decoder.decode(data), value, REGISTRY)


@fixed(25)
@given(value=tops, before=st.binary(max_size=3), behind=st.binary(max_size=3))
def test_a_value_is_read_at_any_offset_of_the_input(value: Any, before: bytes, behind: bytes) -> None:
    data = before + node_writes(value, REGISTRY) + behind
    found, end = Decoder(REGISTRY).decode_prefix(data, len(before))
    assert same(found, value, REGISTRY)
    assert end == len(data) - len(behind)


@fixed(20)
@given(value=tops)
def test_both_readers_refuse_every_proper_prefix(value: Any) -> None:
    data = node_writes(value, REGISTRY)
    for n in range(min(len(data), 200)):
        assert agreed(data[:n], REGISTRY).reason is not None


@fixed(40)
@given(value=tops)
def test_a_value_equals_its_value_from_json(value: Any) -> None:
    written = json.dumps(value_to_json(value, REGISTRY))
    assert same(value_from_json(json.loads(written), REGISTRY), value, REGISTRY)


@fixed(35)
@given(data=st.data(), type_=types)
def test_a_value_of_a_typed_slot_equals_its_value_from_json(data: st.DataObject, type_: Type) -> None:
    value = data.draw(values(type_, 2))
    again = slot_from_json(json.loads(json.dumps(value_to_json(value, REGISTRY, type_))), type_, REGISTRY)
    assert same(again, value, REGISTRY, type_)
    assert type(again) is type(value)


@fixed(35)
@given(data=st.data(), type_=types)
def test_the_node_reads_typed_slots_as_the_schema_writes_them(data: st.DataObject, type_: Type) -> None:
    from ergo_conformance.spec import build
    from ergo_conformance.spec.ergo import edf

    value = data.draw(values(type_, 2))
    body = build(edf.schemas(REGISTRY).of(type_), value, edf.EdfContext(REGISTRY))
    found, end = Decoder(REGISTRY).decode_as(type_, body)
    assert same(found, value, REGISTRY, type_)
    assert end == len(body)


@fixed(100)
@given(type_=types)
def test_a_type_is_identical_to_its_type_from_json(type_: Type) -> None:
    assert type_from_json(json.loads(json.dumps(type_to_json(type_)))) is type_
