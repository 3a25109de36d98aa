"""Exhaustiveness: every frame type has schema, layout, class, strategy and vector, every control message a row and a vector."""

from collections.abc import Iterator
from typing import Any

import pytest

from ergo_conformance.errors import Reason
from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import CLASSES, CONTROL, FrameType
from ergo_conformance.model.ergo.records import framework
from ergo_conformance.reference_node.ergo.enp.codec import FrameDecoder, FrameEncoder
from ergo_conformance.reference_node.ergo.enp.layouts import LAYOUTS
from ergo_conformance.spec.ergo.enp.frames import BODIES, INNER
from ergo_conformance.spec.requirements import catalogue

from .codecs import agreed
from .strategies import PLAIN, controls
from .vectors import CASES, ROWS

NO_VECTOR = {
    "TERMINATE_NAME_CACHE": "no recorded node ended a process whose cached name a peer watched",
    "DemonitorPID": "no recorded process took such a monitor back",
    "DemonitorProcessID": "as DemonitorPID",
    "DemonitorAlias": "as DemonitorPID",
    "UpdateCache": "upstream reads it and never writes it",
}
"""Frames without a capture from a real node."""


def names(types: Any) -> set[str]:
    return {FrameType(type_).name for type_ in types}


@pytest.mark.parametrize(
    "table", [CLASSES, BODIES, LAYOUTS, PLAIN], ids=["class", "schema", "layout of the node", "example"]
)
def test_every_frame_type_has_class_schema_layout_and_example(table: Any) -> None:
    assert names(FrameType) - names(table) == set()
    assert len(table) == len(FrameType)


def test_every_class_belongs_to_one_type() -> None:
    assert len({*CLASSES.values()}) == len(CLASSES)
    assert {enp.TYPES[cls] for cls in CLASSES.values()} == {*FrameType}


@pytest.mark.parametrize("type_", FrameType, ids=lambda type_: type_.name)
def test_class_schema_and_layout_have_the_same_fields(type_: FrameType) -> None:
    fields = CLASSES[type_]._fields[1:]
    outcome = (*fields[:-2], "outcome") if type_ is FrameType.RESPONSE_ERROR else fields
    assert tuple(name for name, _ in LAYOUTS[type_]) == outcome
    assert tuple(label for label, _ in BODIES[type_].children()) == outcome


def test_the_schema_of_inner_frames_has_the_same_bodies() -> None:
    assert [label for label, _ in INNER.children()][5:] == [type_.name for type_ in BODIES]


def test_reserved_and_newer_types_are_not_frame_types() -> None:
    assert {*enp.RESERVED, *enp.NEWEST_TYPES} & {*FrameType} == set()


def test_every_type_has_a_requirement() -> None:
    assert {f"ENP-T-{type_:d}" for type_ in FrameType} - catalogue().keys() == set()


# --- control messages -------------------------------------------------------------------------------------------------


def short(name: str) -> str:
    return name.rsplit("/", 1)[-1].removeprefix("Message")


def test_there_are_twenty_control_messages() -> None:
    assert len(CONTROL) == 20
    assert len({row.value_class for row in CONTROL}) == 20


def test_every_control_message_has_a_row_a_strategy_and_a_requirement() -> None:
    rows = framework()
    for row in CONTROL:
        assert rows.get(row.name) == row
        assert row.value_class.__name__ in controls
        assert f"ENP-C-{short(row.name)}" in catalogue()


# --- vectors ----------------------------------------------------------------------------------------------------------


def vectors_of() -> Iterator[str]:
    for row in ROWS:
        yield row["group"]
        if row["group"] == "CONTROL":
            yield short(row["fields"]["message"]["name"])


def test_every_type_and_control_message_has_a_golden_vector() -> None:
    wanted = {type_.name for type_ in FrameType} | {short(row.name) for row in CONTROL}
    missing = wanted - {*vectors_of()}
    assert missing - NO_VECTOR.keys() == set()
    assert NO_VECTOR.keys() - missing == set(), "has a vector by now"


def test_every_type_with_a_vector_has_malformed_ones_of_each_kind() -> None:
    kinds = ("length-plus-1", "length-minus-1", "length-7", "magic", "version", "leftover")
    found = {(case["group"], kind) for case in CASES for kind in kinds if case["id"].endswith(kind)}
    missing = {(row["group"], kind) for row in ROWS for kind in kinds} - found
    assert missing == {("COMPRESSED", "length-minus-1")}, "there it is the stream that lacks a byte: cases `cut`"


def test_every_algorithm_and_priority_has_a_vector() -> None:
    fields = [row["fields"] for row in ROWS]
    assert {int(f["algorithm"]) for f in fields if "algorithm" in f} == {*enp.Algorithm}
    priorities = {int(f["priority"]) for f in fields if "priority" in f}
    assert {*enp.Priority} <= {byte & enp.PRIORITY_MASK for byte in priorities}
    assert any(byte & enp.IMPORTANT for byte in priorities)
    assert {int(f["code"]) for f in fields if "code" in f} >= {enp.Code.DELIVERED, enp.Code.PROCESS_UNKNOWN}


def test_rows_mask_exactly_the_unspecified_message_ids() -> None:
    for row in ROWS:
        free = row["group"] in names(enp.MAY_BE_IMPORTANT) and not int(row["fields"]["priority"]) & enp.IMPORTANT
        assert row.get("mask", []) == ([[enp.MID.start, enp.MID.stop]] if free else []), row["id"]


# --- reasons ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("digits", "reason"),
    [
        ("4f01000000080065", Reason.MAGIC),
        ("4e02000000080065", Reason.MAGIC),
        ("4e01000000070065", Reason.LENGTH),
        ("4e010000000800", Reason.END_OF_DATA),
        ("4e01000000080065", Reason.END_OF_DATA),
        ("4e010000000800ca", Reason.UNKNOWN_FRAME),
        ("4e010000000900c791", Reason.END_OF_DATA),
        ("4e010000000a00c79101", Reason.UNEXPECTED),
        ("4e010000001300b70000019cffff0000000000", Reason.UNKNOWN_ID),
        ("4e010000001600b5000000000000000000" + "9c00016100", Reason.LEFTOVER),
    ],
)
def test_every_reason_of_a_frame_is_reached(digits: str, reason: Reason) -> None:
    assert agreed(bytes.fromhex(digits)).reason is reason


def test_codecs_of_one_registry_share_their_functions() -> None:
    registry = framework()
    assert FrameDecoder(registry)._readers == FrameDecoder(registry)._readers
    assert FrameEncoder(registry)._writers == FrameEncoder(registry)._writers
