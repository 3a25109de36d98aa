"""The golden packets of the embedded registrar: readers and writers meet every row, and a slip in a row is noticed."""

import json
from copy import deepcopy
from typing import Any

import pytest

from ergo_conformance.cli.vectors import check_file
from ergo_conformance.locate import suites
from ergo_conformance.verdict.vectors.packets import ESRD, check_malformed, check_packet

PATH = suites() / "golden" / "esrd_vectors.json"
CONTENT = json.loads(PATH.read_text(encoding="utf-8"))
ROWS, CASES = CONTENT["vectors"], CONTENT["cases"]
FIRST = {row["group"]: row for row in reversed(ROWS)}
grouped = pytest.mark.parametrize("group", FIRST)


def slip(group: str, **changes: Any) -> list[str]:
    return [difference.text for difference in check_packet(deepcopy(FIRST[group]) | changes, ESRD)]


def test_every_row_is_met() -> None:
    text, count, differences = check_file(PATH, None)
    assert differences == []
    assert count == len(ROWS) + len(CASES)
    assert text.startswith(f"{len(ROWS)} packets")


def test_only_the_wanted_protocol_is_checked() -> None:
    assert check_file(PATH, "enp")[1:] == (0, [])
    assert check_file(PATH, "esrd")[1] == len(ROWS) + len(CASES)


@grouped
def test_a_damaged_byte_is_noticed_by_all_four(group: str) -> None:
    digits = FIRST[group]["hex"]
    for at in range(0, len(digits), 2):
        found = slip(group, hex=digits[:at] + f"{int(digits[at : at + 2], 16) ^ 1:02x}" + digits[at + 2 :])
        for name in ("schema", "node"):
            assert any(text.startswith((f"{name}: refused", f"{name}: read as")) for text in found), at
            assert any(text.startswith(f"{name}: written otherwise") for text in found), at


@grouped
def test_a_packet_on_the_wrong_transport(group: str) -> None:
    other = {"tcp": "udp", "udp": "tcp"}[FIRST[group]["transport"]]
    assert slip(group, transport=other) == [f"{group} over {FIRST[group]['transport']} is what the value says"]


def test_a_value_that_no_packet_can_hold() -> None:
    node = [["Node", {"type": "atom", "repeat": ["n", 256]}]]
    found = slip("ResolveRoutes", value=FIRST["ResolveRoutes"]["value"] | {"fields": node})
    assert [text.split(":")[1].strip() for text in found] == ["read as another value"] * 2 + ["can't write it"] * 2


def test_a_case_that_is_a_good_packet() -> None:
    case = CASES[0] | {"hex": FIRST["RegisterRoutes"]["hex"]}
    assert [d.text for d in check_malformed(case, ESRD)] == [
        f"{name}: read as RegisterRoutes, a refusal is expected" for name in ("schema", "node")
    ]


def test_a_case_with_another_reason() -> None:
    case = next(case for case in CASES if case["reason"] == "end of data") | {"reason": "unknown tag"}
    assert [d.text for d in check_malformed(case, ESRD)] == [
        f"{name}: refused for 'end of data', not 'unknown tag'" for name in ("schema", "node")
    ]
