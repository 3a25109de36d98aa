"""Golden packets of the embedded registrar: no difference for any row, and a difference for each changed row."""

import json
from copy import deepcopy
from typing import Any

import pytest

from ergo_conformance.locate import suites
from ergo_conformance.verdict.check import check_file
from ergo_conformance.verdict.vectors.packets import ESRD, check_malformed, check_packet

PATH = suites() / "golden" / "esrd_vectors.json"
CONTENT = json.loads(PATH.read_text(encoding="utf-8"))
ROWS, CASES = CONTENT["vectors"], CONTENT["cases"]
FIRST = {row["group"]: row for row in reversed(ROWS)}
grouped = pytest.mark.parametrize("group", FIRST)


def changed_row(group: str, **changes: Any) -> list[str]:
    """Checks the first row of a group with some keys changed; returns the differences."""
    return [difference.text for difference in check_packet(deepcopy(FIRST[group]) | changes, ESRD)]


def test_check_of_the_golden_file_finds_no_difference() -> None:
    text, count, differences = check_file(PATH, None)
    assert differences == []
    assert count == len(ROWS) + len(CASES)
    assert text.startswith(f"{len(ROWS)} packets")


def test_check_of_another_protocol_skips_the_file() -> None:
    assert check_file(PATH, "enp")[1:] == (0, [])
    assert check_file(PATH, "esrd")[1] == len(ROWS) + len(CASES)


@grouped
def test_a_changed_byte_is_reported_for_both_readers_and_both_writers(group: str) -> None:
    digits = FIRST[group]["hex"]
    for at in range(0, len(digits), 2):
        found = changed_row(group, hex=digits[:at] + f"{int(digits[at : at + 2], 16) ^ 1:02x}" + digits[at + 2 :])
        for name in ("schema", "node"):
            assert any(text.startswith((f"{name}: refused", f"{name}: read as")) for text in found), at
            assert any(text.startswith(f"{name}: written differently") for text in found), at


@grouped
def test_a_row_with_the_wrong_transport_is_reported(group: str) -> None:
    other = {"tcp": "udp", "udp": "tcp"}[FIRST[group]["transport"]]
    actual = FIRST[group]["transport"]
    assert changed_row(group, transport=other) == [
        f"the value is {group} over {actual}, the row has {group} over {other}"
    ]


def test_a_value_too_large_for_a_packet_is_reported() -> None:
    node = [["Node", {"type": "atom", "repeat": ["n", 256]}]]
    found = changed_row("ResolveRoutes", value=FIRST["ResolveRoutes"]["value"] | {"fields": node})
    assert [text.split(":")[1].strip() for text in found] == ["read as another value"] * 2 + [
        "cannot write the value"
    ] * 2


def test_a_valid_packet_among_the_malformed_is_reported() -> None:
    case = CASES[0] | {"hex": FIRST["RegisterRoutes"]["hex"]}
    assert [d.text for d in check_malformed(case, ESRD)] == [
        f"{name}: read as RegisterRoutes, expected a refusal" for name in ("schema", "node")
    ]


def test_a_refusal_for_another_reason_is_reported() -> None:
    case = next(case for case in CASES if case["reason"] == "end of data") | {"reason": "unknown tag"}
    assert [d.text for d in check_malformed(case, ESRD)] == [
        f"{name}: refused for 'end of data', expected 'unknown tag'" for name in ("schema", "node")
    ]
