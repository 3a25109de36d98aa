"""The golden messages of the central registrar: both readers and both writers meet every row, every form has one, and the
file is what its rule makes of the captures.
"""

import json
from copy import deepcopy
from typing import Any

import pytest

from ergo_conformance.cli.vectors import check_file
from ergo_conformance.errors import Rejected
from ergo_conformance.model.ergo import saturn
from ergo_conformance.spec.ergo.saturn import read_packet
from ergo_conformance.verdict import captures
from ergo_conformance.verdict.vectors.packets import SATURN, check_malformed, check_packet
from tests.support import saturn_vectors
from tests.support.saturn_vectors import FILES, NO_VECTOR, PATH, form, reaction

TEXT = PATH.read_text(encoding="utf-8")
CONTENT = json.loads(TEXT)
ROWS, CASES = CONTENT["vectors"], CONTENT["cases"]
FIRST = {row["group"]: row for row in reversed(ROWS)}
BY_ID = {row["id"]: row for row in (*ROWS, *CASES)}
grouped = pytest.mark.parametrize("group", FIRST)


def slip(group: str, **changes: Any) -> list[str]:
    return [difference.text for difference in check_packet(deepcopy(FIRST[group]) | changes, SATURN)]


def test_every_row_is_met() -> None:
    text, count, differences = check_file(PATH, None)
    assert differences == []
    assert count == len(ROWS) + len(CASES)
    assert text.startswith(f"{len(ROWS)} packets")


def test_only_the_wanted_protocol_is_checked() -> None:
    assert check_file(PATH, "esrd") == ("Saturn vectors", 0, [])
    assert check_file(PATH, "saturn")[1] == len(ROWS) + len(CASES)


def test_the_file_is_what_its_rule_makes() -> None:
    assert saturn_vectors.text(saturn_vectors.document()) == TEXT, "run python -m tests.support.saturn_vectors"


# --- nothing is missing -----------------------------------------------------------------------------------------------


def test_every_message_has_a_golden_vector() -> None:
    messages = {row.value_class.__name__ for row in (*saturn.MESSAGES, *saturn.UNREGISTERED)}
    assert messages - FIRST.keys() == NO_VECTOR.keys() == CONTENT["meta"]["missing"].keys()


def test_what_has_no_vector_is_in_no_capture() -> None:
    """Streams are read whole here, so messages that share a chunk or are spread over several count, too."""
    seen = set()
    for capture in map(captures.load, FILES):
        for link in capture.links():
            for direction in capture.meta["sides"]:
                data, at = capture.stream(link, direction), 0
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
def test_what_makes_a_form(one: saturn.Message, other: saturn.Message) -> None:
    assert form(one) != form(other)


@grouped
def test_every_message_has_malformed_ones_of_each_kind(group: str) -> None:
    name = saturn_vectors.dashed(group)
    kinds = ("magic-98", "version-2", "length-plus-1", "length-minus-1", "length-0", "type-unknown", "surplus", "nil")
    for kind in kinds:
        assert f"neg-saturn-{name}-{kind}" in BY_ID
    for field in saturn_vectors.MESSAGE_FIELDS[group]:
        found = [id_ for id_ in BY_ID if id_.startswith(f"neg-saturn-{name}-before-{field.lower()}")]
        assert found, field


def test_what_the_real_server_did_with_probes() -> None:
    """Nine messages that are none: six closed the connection, one was answered, two were passed over (SAT-FR-5, SAT-ML-1)."""
    probes = [case for case in CASES if "source" in case]
    load = {capture.path.stem: capture for capture in map(captures.load, FILES)}
    did = [reaction(load[case["source"]["capture"].partition("/")[2]], case["source"]["line"]) for case in probes]
    assert sorted(did) == ["answered", *["closed"] * 6, *["nothing"] * 2]
    assert [case.get("differs", False) for case in probes] == [word != "closed" for word in did]


# --- a slip in a row is noticed ---------------------------------------------------------------------------------------


@grouped
def test_a_damaged_byte_is_noticed_by_all_four(group: str) -> None:
    digits = FIRST[group]["hex"]
    for at in range(0, len(digits), 2):
        found = slip(group, hex=digits[:at] + f"{int(digits[at : at + 2], 16) ^ 1:02x}" + digits[at + 2 :])
        for name in ("schema", "node"):
            assert any(text.startswith((f"{name}: refused", f"{name}: read as")) for text in found), at
            assert any(text.startswith(f"{name}: written otherwise") for text in found), at


@grouped
def test_a_message_of_the_wrong_side(group: str) -> None:
    kind = next(row.value_class for row in saturn.MESSAGES if row.value_class.__name__ == group)
    (*others,) = {"client", "server"} - {*saturn.writers(kind)}
    assert bool(others) == (kind not in saturn.FORWARDED)
    for other in (*others, "nobody"):
        said = " or ".join(saturn.writers(kind))
        assert slip(group, role=other) == [f"{group} of {said} is what the value says"]


@pytest.mark.parametrize("group", ["Handshake", "HandshakeResult"])
@pytest.mark.parametrize("fact", ["first", "token"])
def test_a_digest_of_something_else(group: str, fact: str) -> None:
    facts = FIRST[group]["facts"] | {fact: "else"}
    assert slip(group, facts=facts) == ["schema: another digest", "node: another digest"]


def test_a_value_that_no_packet_can_hold() -> None:
    node = [["Node", {"type": "atom", "repeat": ["n", 256]}]]
    found = slip("NodeJoined", value=FIRST["NodeJoined"]["value"] | {"fields": node})
    assert [text.split(":")[1].strip() for text in found] == ["read as another value"] * 2 + ["can't write it"] * 2


def test_a_case_that_is_a_good_packet() -> None:
    case = CASES[0] | {"hex": FIRST["Handshake"]["hex"]}
    assert [d.text for d in check_malformed(case, SATURN)] == [
        f"{name}: read as Handshake, a refusal is expected" for name in ("schema", "node")
    ]


def test_a_case_with_another_reason() -> None:
    case = next(case for case in CASES if case["reason"] == "end of data") | {"reason": "unknown tag"}
    assert [d.text for d in check_malformed(case, SATURN)] == [
        f"{name}: refused for 'end of data', not 'unknown tag'" for name in ("schema", "node")
    ]
