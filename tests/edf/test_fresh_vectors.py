"""Generated vector files, checked with both codecs; a corrupted row is reported."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.targets.self_node import NodeCodec
from ergo_conformance.verdict.check import check_file
from ergo_conformance.verdict.vectors.edf import EdfFile, SpecCodec, check_row, checks_of
from ergo_conformance.verdict.vectors.files import file_registry

from .codecs import WRITERS
from .fresh import Maker

CODECS = {"node": NodeCodec(), "spec": SpecCodec()}
SEEDS = (1,)


@cache
def file_of(seed: int, oracle: str) -> Any:
    return Maker(seed).file(WRITERS[oracle])


def differences(content: Any, codec: Any) -> list[str]:
    file = EdfFile(content, file_registry(content))
    return [str(d) for row in file.rows for what in checks_of(row) for d in check_row(codec, row, file.registry, what)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("oracle", "codec"), [("spec", "node"), ("node", "spec")])
def test_a_fresh_file_is_met(seed: int, oracle: str, codec: str) -> None:
    assert differences(file_of(seed, oracle), CODECS[codec]) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_either_oracle_makes_the_same_file(seed: int) -> None:
    assert file_of(seed, "spec") == file_of(seed, "node")


def test_a_fresh_file_has_what_it_should() -> None:
    content = file_of(1, "spec")
    text = json.dumps(content)
    assert len(content["vectors"]) > 200
    assert {row["group"] for row in content["vectors"]} == {
        "scalar",
        "registered",
        "folded",
        "any",
        "error",
        "nested",
        "repeat",
    }
    for word in ("options", "repeat", "payload_repeat", "nested_arrays", "sha256", "pieces", '"registered": true'):
        assert word in text
    used = {row["hex"] is not None and "options" in row for row in content["vectors"]}
    assert used == {True, False}


def test_the_command_checks_a_fresh_file(tmp_path: Path) -> None:
    content = file_of(1, "spec")
    path = tmp_path / "fresh.json"
    path.write_text(json.dumps({**content, "vectors": content["vectors"][::10], "cases": content["cases"][::10]}))
    _, n, found = check_file(path, "edf")
    assert n > 50
    assert [d for d in found if "ms" not in d.text] == []


def one_row(seed: int, key: str, group: str) -> Any:
    content = file_of(seed, "spec")
    row = next(row for row in content[key] if row["group"] == group and row.get("hex"))
    return {**content, "vectors": [], "cases": [], key: [dict(row)]}


def _last_byte(row: Any) -> None:
    row["hex"] = row["hex"][:-2] + f"{int(row['hex'][-2:], 16) ^ 1:02x}"


def _byte_more(row: Any) -> None:
    row["hex"] += "00"


def _byte_less(row: Any) -> None:
    row["hex"] = row["hex"][:-2]


def _other_value(row: Any) -> None:
    row["value"] = {"type": "int64", "value": "77"}


def _no_value(row: Any) -> None:
    row["value"] = {"type": "int64", "value": "seven"}


def _unknown_type(row: Any) -> None:
    row["value"] = {"type": "reg", "name": "#fresh/Nobody", "kind": "int", "value": "1"}


def _no_hex(row: Any) -> None:
    row["hex"] = "zz"


@pytest.mark.parametrize(
    "damage", [_last_byte, _byte_more, _byte_less, _other_value, _no_value, _unknown_type, _no_hex]
)
@pytest.mark.parametrize("group", ["scalar", "registered", "folded"])
@pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))
def test_damage_to_a_vector_is_reported(codec: Any, group: str, damage: Any) -> None:
    content = one_row(1, "vectors", group)
    damage(content["vectors"][0])
    found = differences(content, codec)
    assert found
    assert all(line.startswith(content["vectors"][0]["id"]) for line in found)


@pytest.mark.parametrize("expect", ["reject", "value", "prefix"])
@pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))
def test_a_wrong_expectation_of_a_case_is_reported(codec: Any, expect: str) -> None:
    content = file_of(1, "spec")
    wrong = {"reject": "value", "value": "reject", "prefix": "value"}[expect]
    rows = [{**row, "expect": wrong} for row in content["cases"] if row["expect"] == expect][:20]
    registry = file_registry(content)
    for row in rows:
        assert list(check_row(codec, row, registry, "judges")), row["id"]


@pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))
def test_a_wrong_hash_is_reported(codec: Any) -> None:
    content = file_of(1, "spec")
    row = next(row for row in content["vectors"] if row["hex"] is None)
    registry = file_registry(content)
    assert list(check_row(codec, row, registry, "writes")) == []
    assert list(check_row(codec, {**row, "sha256": "00" * 32}, registry, "writes"))
    assert list(check_row(codec, {**row, "len": row["len"] + 1}, registry, "writes"))
