"""Golden frames: both readers and both writers, every row; an error in a row is detected."""

from copy import deepcopy
from typing import Any

import pytest

from ergo_conformance.model.json.frames import frame_from_json, frame_to_json
from ergo_conformance.spec.ergo.edf import EdfContext
from ergo_conformance.verdict.vectors.files import row_caches
from ergo_conformance.verdict.vectors.frames import check, check_frame, check_malformed

from .codecs import agreed
from .vectors import CASES, CONTENT, REGISTRY, ROWS

BY_ID = {row["id"]: row for row in ROWS}


def test_every_row_has_its_expected_result() -> None:
    text, count, differences = check(CONTENT)
    assert differences == []
    assert count == len(ROWS) + len(CASES)
    assert f"{len(ROWS)} frames" in text


def test_both_readers_refuse_the_cases_at_the_same_offset() -> None:
    for case in CASES:
        agreed(bytes.fromhex(case["hex"]), REGISTRY, row_caches(BY_ID[case["of"]]))


def test_the_fields_of_a_row_equal_their_fields_from_json() -> None:
    for row in ROWS:
        frame = frame_from_json(row["group"], row["fields"], REGISTRY)
        assert frame_to_json(frame, REGISTRY) == row["fields"], row["id"]


def test_both_readers_refuse_every_proper_prefix_of_a_short_frame() -> None:
    for row in ROWS:
        data, caches = bytes.fromhex(row["hex"]), row_caches(row)
        for n in range(len(data) if len(data) <= 60 else 0):
            assert agreed(data[:n], REGISTRY, caches).reason is not None


# --- changed rows -----------------------------------------------------------------------------------------------------


def changed_row_differences(id_: str, **changes: Any) -> list[str]:
    row = deepcopy(BY_ID[id_]) | changes
    return [difference.text for difference in check_frame(row, REGISTRY)]


def first(group: str, key: str = "group") -> Any:
    return next(row for row in ROWS if row["group"] == group and row.get(key))


@pytest.mark.parametrize("group", sorted({row["group"] for row in ROWS} - {"COMPRESSED"}))
def test_a_changed_byte_is_reported_for_both_readers_and_both_writers(group: str) -> None:
    row = first(group)
    masked = {i for start, end in row.get("mask", ()) for i in range(start, end)}
    for i in {*range(len(row["hex"]) // 2)} - masked:
        digits = f"{int(row['hex'][2 * i : 2 * i + 2], 16) ^ 1:02x}"
        found = changed_row_differences(row["id"], hex=row["hex"][: 2 * i] + digits + row["hex"][2 * i + 2 :])
        assert sum("written" in text for text in found) == 2, (row["id"], i)
        assert sum("refused" in text or "read as" in text for text in found) == 2, (row["id"], i)


def test_a_masked_byte_may_have_any_value() -> None:
    row = first("MESSAGE_NAME", "mask")
    start = 2 * row["mask"][0][0]
    assert changed_row_differences(row["id"], hex=row["hex"][:start] + "5a" + row["hex"][start + 2 :]) == []
    unmasked = changed_row_differences(row["id"], hex=row["hex"][:start] + "5a" + row["hex"][start + 2 :], mask=[])
    assert sum("written" in text for text in unmasked) == 2


def test_a_changed_field_is_reported() -> None:
    row = first("RESPONSE")
    found = changed_row_differences(row["id"], fields=row["fields"] | {"to_id": "77"})
    assert sorted(text.split(":")[0] for text in found) == ["node", "node", "schema", "schema"]


def test_a_changed_inner_frame_is_reported() -> None:
    row = first("COMPRESSED")
    inner = deepcopy(row["inner"])
    inner["fields"]["from_id"] = "77"
    assert sum("another value" in text for text in changed_row_differences(row["id"], inner=inner)) == 2


def test_missing_cache_ids_are_reported() -> None:
    row = first("MESSAGE_NAME_CACHE", "options")
    found = [difference.text for difference in check_frame({k: v for k, v in row.items() if k != "options"}, REGISTRY)]
    assert sum("unknown cache id" in text for text in found) == 2
    assert sum("cannot write the value" in text for text in found) == 2


@pytest.mark.parametrize("reason", ["malformed time", None])
def test_a_case_with_another_outcome_is_reported(reason: str | None) -> None:
    case = dict(CASES[0])
    if reason is None:
        case["hex"] = BY_ID[case["of"]]["hex"]
    else:
        case["reason"] = reason
    context = EdfContext(REGISTRY, row_caches(BY_ID[case["of"]]))
    assert len([*check_malformed(case, context)]) == 2
