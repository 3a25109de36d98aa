"""Vector files with rows that can't be checked are refused, with the row; every other row is checked."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.locate import suites
from ergo_conformance.verdict.vectors import cost
from ergo_conformance.verdict.vectors.check import CHECKS, check_vectors
from ergo_conformance.verdict.vectors.cost import CostLimits, check_cost
from ergo_conformance.verdict.vectors.validation import LISTS, validate

Json = Any
BOOL: Json = {
    "id": "edf-mine",
    "group": "bool",
    "expect": "both",
    "value": {"type": "bool", "value": True},
    "hex": "9101",
}
REFUSED: Json = {"id": "neg-mine", "group": "bool", "expect": "reject", "hex": "91"}


def refusal(tmp_path: Path, text: str | bytes) -> str:
    """Returns the sentence about a file; it begins with the path."""
    path = tmp_path / "own.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as raised:
        check_vectors(path, None)
    sentence = str(raised.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    assert len(sentence) < 700
    return sentence.removeprefix(f"{path}: ")


def test_an_own_file_needs_only_the_keys_that_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"vectors": [BOOL], "cases": [REFUSED]}))
    result = check_vectors(path, None)
    assert (result.checked, result.differences) == (2, [])


VECTOR_FAULTS: list[tuple[Json, str]] = [
    ({"expect": "bth"}, 'vectors[1] (edf-two): expect: "bth" (allowed: both, read, write, free)'),
    ({"expect": None}, "vectors[1] (edf-two): expect: null (allowed: both, read, write, free)"),
    ({"hex": "zz"}, 'vectors[1] (edf-two): hex: "zz" does not match ^([0-9a-f]{2})*$'),
    ({"hex": "910"}, 'vectors[1] (edf-two): hex: "910" does not match ^([0-9a-f]{2})*$'),
    ({"hex": None}, "vectors[1] (edf-two): has no bytes: neither hex nor len and sha256"),
    ({"hex": 9101}, "vectors[1] (edf-two): hex: 9101"),
    ({"len": 3}, "vectors[1] (edf-two): len: 3, but the row has 2 bytes"),
    ({"len": "2"}, 'vectors[1] (edf-two): len: "2" is not of type integer'),
    (
        {"value": {"type": "bool", "value": "false"}},
        'vectors[1] (edf-two): value.value: "false" is not of type boolean',
    ),
    ({"value": {"type": "uint8", "value": "300"}}, "edf-two: the value can't be built: "),
    ({"value": {"type": "reg", "name": "#x/Y", "kind": "string"}}, "vectors[1] (edf-two): value"),
    ({"id": "edf-mine"}, "vectors[1] (edf-mine): id: the same as that of vectors[0]; ids are unique in a file"),
    ({"id": 7}, "vectors[1]: id: 7 is not a text"),
    ({"hx": "9101"}, "vectors[1] (edf-two): unknown key 'hx'; did you mean hex?"),
    ({"requirements": ["EDF-TOP-404"]}, "vectors[1] (edf-two): requirements: EDF-TOP-404 is in no catalogue"),
    ({"options": {"atom_cache": {"x": "y"}}}, "vectors[1] (edf-two): options"),
]


@pytest.mark.parametrize(("change", "sentence"), VECTOR_FAULTS, ids=lambda x: x if isinstance(x, str) else "")
def test_a_wrong_key_of_a_vector_is_named_with_its_row(tmp_path: Path, change: Json, sentence: str) -> None:
    rows = [BOOL, BOOL | {"id": "edf-two"} | change]
    assert sentence in refusal(tmp_path, json.dumps({"vectors": rows}))


CASE_FAULTS: list[tuple[Json, str]] = [
    ({"expect": "rejct"}, 'cases[0] (neg-mine): expect: "rejct" (allowed: reject, value, prefix, free)'),
    ({"expect": "both"}, 'cases[0] (neg-mine): expect: "both" (allowed: reject, value, prefix, free)'),
    ({"expect": "value"}, "cases[0] (neg-mine): expect is value, and there is neither expect_value nor value"),
    ({"expect": "prefix", "value": None}, "expect is prefix, and there is no consumed_rest_len"),
    ({"pieces": [["91", 1]]}, "cases[0] (neg-mine): has both hex and pieces"),
]


@pytest.mark.parametrize(("change", "sentence"), CASE_FAULTS)
def test_a_wrong_key_of_a_case_is_named_with_its_row(tmp_path: Path, change: Json, sentence: str) -> None:
    assert sentence in refusal(tmp_path, json.dumps({"cases": [REFUSED | change]}))


@pytest.mark.parametrize("missing", ["id", "group", "expect", "hex"])
def test_a_row_without_a_key_is_named(tmp_path: Path, missing: str) -> None:
    row = {key: value for key, value in REFUSED.items() if key != missing}
    what = "bytes: neither hex nor pieces" if missing == "hex" else missing
    assert f"has no {what}" in refusal(tmp_path, json.dumps({"cases": [row]}))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"vectors": null}', "vectors: null is not a list of rows"),
        ('{"vectors": {}}', "vectors: {} is not a list of rows"),
        ('{"vectors": [null]}', "vectors[0]: null is not an object"),
        ('{"vectors": [], "vctors": []}', "unknown key 'vctors'; did you mean vectors?"),
        ('{"vectors": [{"id": "x", "id": "y"}]}', "the key 'id' is twice in one object"),
        ('{"vectors": [], "protocol": 7}', "unknown protocol 7"),
        ("[" * 100_000, "nested deeper than any vector file"),
        ('{"vectors": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper than any vector file"),
        (b'\xef\xbb\xbf{"vectors": []}', "not valid JSON: it begins with a byte order mark"),
        (b"\xff\xfe{\x00}\x00", "not valid JSON"),
    ],
    ids=str,
)
def test_a_file_that_is_no_table_of_rows_is_one_sentence(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    assert sentence in refusal(tmp_path, text)


def golden(protocol: str) -> Json:
    """Returns the golden file of a protocol with its first rows."""
    content = json.loads((suites() / "golden" / f"{protocol}_vectors.json").read_text(encoding="utf-8"))
    return content | {"vectors": content["vectors"][:2], "cases": content["cases"][:2]}


def renamed(row: Json) -> None:
    row["of"] = "enp-nobody-01"


def without_facts(row: Json) -> None:
    del row["facts"]


FRAME_FAULTS: list[tuple[str, str, Callable[[Json], None], str]] = [
    ("ehs", "vectors", without_facts, "unknown or missing: 'facts'"),
    ("ehs", "cases", lambda row: row.update(reason="bad"), 'reason: "bad" (allowed: end of data'),
    ("enp", "vectors", lambda row: row["fields"].pop("order"), "fields: 'order' is a required property"),
    ("enp", "cases", renamed, "unknown or missing: 'enp-nobody-01'"),
    ("enp", "cases", lambda row: row.update(expect="rejct"), 'expect: "rejct" (allowed: reject)'),
    ("esrd", "vectors", lambda row: row.update(transport="sctp"), 'transport: "sctp" (allowed: tcp, udp)'),
    ("saturn", "vectors", lambda row: row.pop("value"), "has no value"),
    ("saturn", "cases", lambda row: row.update(hex="zz"), 'hex: "zz" does not match'),
]


@pytest.mark.parametrize(("protocol", "name", "change", "sentence"), FRAME_FAULTS)
def test_a_wrong_row_of_frames_or_packets_is_named(
    tmp_path: Path, protocol: str, name: str, change: Callable[[Json], None], sentence: str
) -> None:
    content = golden(protocol)
    change(content[name][0])
    found = refusal(tmp_path, json.dumps(content))
    assert content[name][0]["id"] in found
    assert sentence in found


@pytest.mark.parametrize("protocol", [name for name in CHECKS if name != "edf"])
def test_every_row_of_frames_and_packets_is_checked(protocol: str) -> None:
    content = json.loads((suites() / "golden" / f"{protocol}_vectors.json").read_text(encoding="utf-8"))
    validate(content, protocol)
    result = CHECKS[protocol](content)
    assert result.checked == sum(len(content.get(name, ())) for name in LISTS)


# --- cost -------------------------------------------------------------------------------------------------------------


class Clock:
    """Processor time that a work adds to, as a machine of this speed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slowness: float) -> None:
        self.now, self.slowness = 0.0, slowness
        monkeypatch.setattr(time, "thread_time", lambda: self.now)
        monkeypatch.setattr(cost, "reference_work", self.work(cost.REFERENCE_SECONDS))

    def work(self, seconds: float) -> Callable[[], None]:
        def run() -> None:
            self.now += seconds * self.slowness

        return run


@pytest.mark.parametrize("slowness", [0.5, 1.0, 20.0])
def test_a_slow_machine_changes_no_verdict_about_time(monkeypatch: pytest.MonkeyPatch, slowness: float) -> None:
    clock = Clock(monkeypatch, slowness)
    limits = CostLimits(0.1, 10_000_000)
    assert check_cost(clock.work(0.09), 100, limits) is None
    excess = check_cost(clock.work(0.25), 100, limits)
    assert excess is not None
    assert "12.5 times the reference work; 5.0 times are allowed" in excess


def test_a_limit_of_time_grows_with_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, 1.0)
    assert check_cost(clock.work(0.15), 2 * cost.REFERENCE_LENGTH, CostLimits(0.1, 10_000_000)) is None
