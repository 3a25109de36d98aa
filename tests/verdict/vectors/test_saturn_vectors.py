"""Golden messages of the central registrar: no difference for any row, a row for each form of a message, and the file equals
the output of its generator.
"""

import json
from copy import deepcopy
from typing import Any

import pytest

from ergo_conformance.errors import Rejected
from ergo_conformance.model.ergo import saturn
from ergo_conformance.spec.ergo.saturn import read_packet
from ergo_conformance.verdict import captures
from ergo_conformance.verdict.check import check_file
from ergo_conformance.verdict.vectors.packets import SATURN, check_malformed, check_packet
from tests.support import saturn_vectors
from tests.support.saturn_vectors import FILES, NO_VECTOR, PATH, form, reaction

TEXT = PATH.read_text(encoding="utf-8")
CONTENT = json.loads(TEXT)
ROWS, CASES = CONTENT["vectors"], CONTENT["cases"]
FIRST = {row["group"]: row for row in reversed(ROWS)}
BY_ID = {row["id"]: row for row in (*ROWS, *CASES)}
grouped = pytest.mark.parametrize("group", FIRST)


def changed_row(group: str, **changes: Any) -> list[str]:
    """Checks the first row of a group with some keys changed; returns the differences."""
    return [difference.text for difference in check_packet(deepcopy(FIRST[group]) | changes, SATURN)]


def test_check_of_the_golden_file_finds_no_difference() -> None:
    text, count, differences = check_file(PATH, None)
    assert differences == []
    assert count == len(ROWS) + len(CASES)
    assert text.startswith(f"{len(ROWS)} packets")


def test_check_of_another_protocol_skips_the_file() -> None:
    assert check_file(PATH, "esrd") == ("Saturn vectors", 0, [])
    assert check_file(PATH, "saturn")[1] == len(ROWS) + len(CASES)


def test_the_file_equals_the_output_of_its_generator() -> None:
    assert saturn_vectors.text(saturn_vectors.document()) == TEXT, "run python -m tests.support.saturn_vectors"


# --- coverage ---------------------------------------------------------------------------------------------------------


def test_every_message_has_a_golden_vector() -> None:
    messages = {row.value_class.__name__ for row in (*saturn.MESSAGES, *saturn.UNREGISTERED)}
    assert messages - FIRST.keys() == NO_VECTOR.keys() == CONTENT["meta"]["missing"].keys()


def test_messages_without_a_vector_are_in_no_capture() -> None:
    """Reads whole streams, so that messages that share a chunk or span several chunks count too."""
    seen = set()
    for capture in map(captures.load, FILES):
        for socket in capture.sockets():
            for direction in capture.meta["sides"]:
                data, at = capture.stream(socket, direction), 0
                while at < len(data) and not isinstance(parsed := read_packet(data, offset=at, prefix=True), Rejected):
                    seen.add(type(parsed.value).__name__)
                    at = parsed.end
    assert seen == FIRST.keys()


def test_every_form_that_a_real_side_wrote_has_a_vector() -> None:
    there = set()
    for row in ROWS:
        parsed = read_packet(bytes.fromhex(row["hex"]))
        assert not isinstance(parsed, Rejected)
        there.add((row["role"], form(parsed.value)))
    assert len(there) == len(ROWS), "two rows of one form"
    for capture in map(captures.load, FILES):
        for number, line in enumerate(capture.lines, 2):
            parsed = read_packet(bytes.fromhex(line.get("hex") or ""))
            if isinstance(parsed, Rejected) or capture.is_scripted(line["conn"], line["dir"]):
                continue
            role = line["dir"].partition(">")[0]
            assert (role, form(parsed.value)) in there, f"{capture.path.stem}:{number}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (saturn.RegisterResult(None, {}), saturn.RegisterResult(None, None)),
        (saturn.RegisterResult(None, {}), saturn.RegisterResult(None, {"*:A": 1})),
        (saturn.RegisterResult(None, {"*:A": 1}), saturn.RegisterResult(None, {"*:A": "1"})),
        (saturn.RegisterResult(None, {}, []), saturn.RegisterResult(None, {}, None)),
        (saturn.ConfigUpdate("*:A", True), saturn.ConfigUpdate("*:A", 1)),
        (saturn.HandshakeResult(""), saturn.HandshakeResult("d")),
    ],
)
def test_different_forms_of_a_message_are_distinguished(one: saturn.Message, other: saturn.Message) -> None:
    assert form(one) != form(other)


@grouped
def test_every_message_has_malformed_rows_of_each_kind(group: str) -> None:
    name = saturn_vectors.dashed(group)
    kinds = ("magic-98", "version-2", "length-plus-1", "length-minus-1", "length-0", "type-unknown", "surplus", "nil")
    for kind in kinds:
        assert f"neg-saturn-{name}-{kind}" in BY_ID
    for field in saturn_vectors.MESSAGE_FIELDS[group]:
        found = [id_ for id_ in BY_ID if id_.startswith(f"neg-saturn-{name}-before-{field.lower()}")]
        assert found, field


def test_rows_of_probes_state_the_reaction_of_the_real_server() -> None:
    """Nine malformed messages: six closed the connection, one was answered, two were ignored (SAT-FR-5, SAT-ML-1)."""
    probes = [case for case in CASES if "source" in case]
    load = {capture.path.stem: capture for capture in map(captures.load, FILES)}
    did = [reaction(load[case["source"]["capture"].partition("/")[2]], case["source"]["line"]) for case in probes]
    assert sorted(did) == ["answered", *["closed"] * 6, *["nothing"] * 2]
    assert [case.get("differs", False) for case in probes] == [word != "closed" for word in did]


# --- changed rows -----------------------------------------------------------------------------------------------------


@grouped
def test_a_changed_byte_is_reported_for_both_readers_and_both_writers(group: str) -> None:
    digits = FIRST[group]["hex"]
    for at in range(0, len(digits), 2):
        found = changed_row(group, hex=digits[:at] + f"{int(digits[at : at + 2], 16) ^ 1:02x}" + digits[at + 2 :])
        for name in ("schema", "node"):
            assert any(text.startswith((f"{name}: refused", f"{name}: read as")) for text in found), at
            assert any(text.startswith(f"{name}: written differently") for text in found), at


@grouped
def test_a_row_with_the_wrong_role_is_reported(group: str) -> None:
    kind = next(row.value_class for row in saturn.MESSAGES if row.value_class.__name__ == group)
    (*others,) = {"client", "server"} - {*saturn.writers(kind)}
    assert bool(others) == (kind not in saturn.FORWARDED)
    for other in (*others, "nobody"):
        writers = " or ".join(saturn.writers(kind))
        expected = f"the value is {group} of {writers}, the row says {group} of {other}"
        assert changed_row(group, role=other) == [expected]


@pytest.mark.parametrize("group", ["Handshake", "HandshakeResult"])
@pytest.mark.parametrize("fact", ["first", "token"])
def test_a_digest_of_other_facts_is_reported(group: str, fact: str) -> None:
    facts = FIRST[group]["facts"] | {fact: "else"}
    assert changed_row(group, facts=facts) == ["schema: computes another digest", "node: computes another digest"]


def test_a_value_too_large_for_a_packet_is_reported() -> None:
    node = [["Node", {"type": "atom", "repeat": ["n", 256]}]]
    found = changed_row("NodeJoined", value=FIRST["NodeJoined"]["value"] | {"fields": node})
    assert [text.split(":")[1].strip() for text in found] == ["read as another value"] * 2 + [
        "cannot write the value"
    ] * 2


def test_a_valid_packet_among_the_malformed_is_reported() -> None:
    case = CASES[0] | {"hex": FIRST["Handshake"]["hex"]}
    assert [d.text for d in check_malformed(case, SATURN)] == [
        f"{name}: read as Handshake, expected a refusal" for name in ("schema", "node")
    ]


def test_a_refusal_for_another_reason_is_reported() -> None:
    case = next(case for case in CASES if case["reason"] == "end of data") | {"reason": "unknown tag"}
    assert [d.text for d in check_malformed(case, SATURN)] == [
        f"{name}: refused for 'end of data', expected 'unknown tag'" for name in ("schema", "node")
    ]
