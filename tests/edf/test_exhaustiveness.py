"""Exhaustiveness: each tag, row and reason has schema, reader, writer, strategy and vector; failures name what is missing."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import Phase, find, settings

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.locate import suites
from ergo_conformance.model import types as t
from ergo_conformance.model.ergo.edf import CONSTRUCTOR_TAGS, FIRST_ERROR_ID, FIRST_TYPE_ID, FRAMEWORK, SCALAR_TAGS, Tag
from ergo_conformance.model.ergo.ehs import Accept
from ergo_conformance.model.ergo.records import ERRORS, ROWS, framework
from ergo_conformance.model.payloads import Opaque
from ergo_conformance.model.registry import Marshaler, Registry
from ergo_conformance.model.types import Array, Map, Reg, Scalar, Slice, Type
from ergo_conformance.spec.ergo.edf.scalars import SCALARS as SPEC_SCALARS
from ergo_conformance.spec.ergo.ehs import write_frame
from ergo_conformance.verdict.vectors.files import row_bytes
from ergo_conformance.verdict.vectors.golden import golden_file
from ergo_conformance.verdict.vectors.handshake import READERS as FRAME_READERS

from .codecs import READERS, WRITERS, judged
from .strategies import SCALAR_VALUES, fixed, values
from .value_rows import REGISTRY
from .value_rows import ROWS as TABLE

VECTORS = golden_file("edf_vectors.json")
Names = set[str]


def names(tags: Iterator[int] | set[int]) -> Names:
    return {Tag(tag).name for tag in tags}


def tags_of(type_: Type) -> Iterator[Tag]:
    """Returns the tags in a descriptor."""
    kinds: dict[type, Tag] = {Slice: Tag.SLICE, Array: Tag.ARRAY, Map: Tag.MAP, Reg: Tag.REG, type(t.ANY): Tag.ANY}
    for part in t.preorder(type_):
        yield part.tag if isinstance(part, Scalar) else kinds[type(part)]
    if isinstance(type_, Slice | Array | Map):
        yield Tag.FOLDED


def test_the_tags_are_scalars_constructors_and_four_more() -> None:
    assert {*Tag} == {*SCALAR_TAGS, *CONSTRUCTOR_TAGS, Tag.FOLDED, Tag.REG, Tag.ANY, Tag.NIL}
    assert len(SCALAR_TAGS) == len({*SCALAR_TAGS})


def test_every_scalar_has_a_schema() -> None:
    assert names({*SCALAR_TAGS}) - names({*SPEC_SCALARS}) == set()
    assert names({*SPEC_SCALARS}) - names({*SCALAR_TAGS}) == set()


def test_every_tag_has_a_value_row() -> None:
    """test_value_rows.py reads and writes every row of the table with both codecs."""
    assert names({*Tag}) - names({tag for type_, _, _ in TABLE for tag in tags_of(type_)} | {Tag.NIL}) == set()


@pytest.mark.parametrize("name", READERS)
def test_every_tag_has_a_reader(name: str) -> None:
    refused = set()
    for tag in Tag:
        data = (b"\x82\0\1" if tag in CONSTRUCTOR_TAGS else b"") + bytes([tag])
        if judged(name, data)[0].reason is Reason.UNKNOWN_TAG:
            refused.add(tag.name)
    assert refused == set()


@pytest.mark.parametrize("name", WRITERS)
def test_every_tag_is_written_for_a_value_row(name: str) -> None:
    from ergo_conformance.model.values import Typed

    written = {Tag.NIL} if WRITERS[name]([None]).endswith(b"\xff") else set()
    for type_, value, _ in TABLE:
        data = WRITERS[name](Typed(type_, value), REGISTRY)
        written |= {tag for tag in tags_of(type_) if bytes([tag]) in data}
    assert names({*Tag}) - names({*written}) == set()


def test_every_scalar_has_a_strategy() -> None:
    assert {*t.SCALARS} - {type_.name for type_ in SCALAR_VALUES if isinstance(type_, Scalar)} == set()


@pytest.mark.parametrize(
    "type_", [t.ANY, Slice(t.ANY), Array(2, t.ANY), Map(t.ANY, t.ANY), Reg("#any/Holder")], ids=t.describe
)
def test_every_constructor_has_a_strategy(type_: Type) -> None:
    find(values(type_, 2), lambda _: True, settings=settings(fixed(1), phases=[Phase.generate]))


def golden_tags() -> set[int]:
    found: set[int] = set()
    for row in VECTORS.rows:
        data = row_bytes(row)
        if data is None or row["expect"] not in ("both", "read"):
            continue
        found.add(data[0])
        if data[0] == Tag.FOLDED:
            length = int.from_bytes(data[1:3], "big")
            for type_ in (_unfolded(data[: 3 + length]),):
                found |= {*tags_of(type_)} if type_ is not None else set()
            found |= {Tag.NIL} if data[3 + length :] == b"\xff" else set()
    return found


def _unfolded(descriptor: bytes) -> Type | None:
    """Returns the type of a descriptor, read by the schema."""
    from ergo_conformance.spec import Parsed, parse
    from ergo_conformance.spec.ergo import edf
    from ergo_conformance.spec.ergo.edf.values import LENGTH_AND_FOLDED

    parsed = parse(LENGTH_AND_FOLDED, descriptor[1:], edf.EdfContext(VECTORS.registry))
    return parsed.value if isinstance(parsed, Parsed) else None


def test_every_tag_has_a_golden_vector() -> None:
    assert names({*Tag}) - names(golden_tags()) == set()


# --- rows -------------------------------------------------------------------------------------------------------------

_INSPECT = FRAMEWORK + "app/system/inspect/"
NO_VECTOR: dict[str, str] = {
    _INSPECT + "RequestInspectNode": "no field: its bytes are its name; the run that made the vectors sent none",
    _INSPECT + "MessageInspectConnection": "the run that made the vectors inspected no connection",
    _INSPECT + "ResponseInspectProcessState": "the run that made the vectors inspected no process state",
    _INSPECT + "ResponseDoSendExit": "the run that made the vectors sent no exit through the inspector",
    FRAMEWORK
    + "app/system/MessageMetrics": "sent to the framework's own collector only, never registered on a plain node",
}
"""Rows of model.records without a golden vector, and why."""


def mentioned(obj: Any) -> Iterator[str]:
    """Returns every registered name in a JSON value."""
    if isinstance(obj, dict):
        if isinstance(obj.get("name"), str) and obj.get("type") in ("struct", "reg"):
            yield obj["name"]
        for part in obj.values():
            yield from mentioned(part)
    elif isinstance(obj, list):
        for part in obj:
            yield from mentioned(part)


def test_every_record_has_a_golden_vector() -> None:
    used = {name for row in VECTORS.rows if row["expect"] != "free" for name in mentioned(row["value"])}
    missing = {row.name for row in ROWS} - used
    assert missing - NO_VECTOR.keys() == set()
    assert NO_VECTOR.keys() - missing == set(), "has a vector by now"


def test_the_types_in_the_file_equal_those_of_the_model() -> None:
    known = [row for row in ROWS if not isinstance(row, Marshaler) and row.name not in NO_VECTOR]
    wrong = {row.name for row in known if VECTORS.registry.get(row.name) != row}
    assert wrong == set()


def test_cache_ids_of_the_framework_follow_the_order_of_the_rows() -> None:
    builtin = json.loads((suites() / "golden" / "edf_vectors.json").read_text(encoding="utf-8"))["builtin"]
    table = builtin["3.1.1"]
    assert table["types"] == {str(FIRST_TYPE_ID + i): row.name for i, row in enumerate(ROWS[: len(table["types"])])}
    assert table["errors"] == {str(FIRST_ERROR_ID + i): text for i, text in enumerate(ERRORS)}
    registered_later = {row.name for row in ROWS[len(table["types"]) :]}
    assert {*builtin["3.0"]["types"].values()} == {row.name for row in framework("ergo-3.0")} - registered_later


# --- reasons ----------------------------------------------------------------------------------------------------------

WITH_MAR = Registry([*REGISTRY, Marshaler("#x/Picky", Opaque(b"\xee"))])
REACHED: dict[Reason, str] = {
    Reason.END_OF_DATA: "8d0001",
    Reason.UNKNOWN_TAG: "00",
    Reason.UNKNOWN_TYPE: "8300022378",
    Reason.UNKNOWN_ID: "831000",
    Reason.MARKER: "8200029d9200",
    Reason.COUNT: "8200029d929d00000001",
    Reason.FOLDED: "8200039d9292",
    Reason.DEPTH: "84" * 1025 + "ff",
    Reason.EMPTY_ITEMS: "8200079d9e00000000929d00001001",
    Reason.UNHASHABLE_KEY: "8200049f9d92929f00000001" + "9d00000000" + "00",
    Reason.PAYLOAD: "83000823782f5069636b79" + "00000001ee",
    Reason.TIME: "af00",
}
REACHED_IN_FRAMES: dict[Reason, str] = {
    Reason.MAGIC: "580100000000",
    Reason.LENGTH: "570100010000",
    Reason.UNEXPECTED: "5701000000029101",
    Reason.LEFTOVER: write_frame(Accept()).hex() + "00",
}


OF_OTHERS = {Reason.UNKNOWN_FRAME, Reason.COMPRESSION}
"""Reasons that occur only in ENP frames; tested in tests/enp."""


def test_every_reason_is_listed() -> None:
    assert {*Reason} - REACHED.keys() - REACHED_IN_FRAMES.keys() == OF_OTHERS


@pytest.mark.parametrize("reason", REACHED, ids=lambda reason: str(reason.name))
@pytest.mark.parametrize("name", READERS)
def test_every_reason_is_reached(name: str, reason: Reason) -> None:
    assert judged(name, bytes.fromhex(REACHED[reason]), WITH_MAR)[0].reason is reason


@pytest.mark.parametrize("reason", REACHED_IN_FRAMES, ids=lambda reason: str(reason.name))
@pytest.mark.parametrize("name", FRAME_READERS)
def test_every_reason_of_a_frame_is_reached(name: str, reason: Reason) -> None:
    with pytest.raises(Rejected) as caught:
        FRAME_READERS[name](bytes.fromhex(REACHED_IN_FRAMES[reason]))
    assert caught.value.reason is reason
