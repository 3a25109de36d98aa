"""Generated vector files, checked with both codecs; a corrupted row is reported."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.targets.self_node import NodeCodec
from ergo_conformance.verdict.check import check_file
from ergo_conformance.verdict.vectors.edf import EdfFile, SpecCodec, check_row, checks_of
from ergo_conformance.verdict.vectors.files import file_registry

from .codecs import WRITERS
from .generated_files import VectorFileGenerator

CODECS = {"node": NodeCodec(), "spec": SpecCodec()}
SEEDS = (1,)


@cache
def generated_file(seed: int, oracle: str) -> Any:
    return VectorFileGenerator(seed).file(WRITERS[oracle])


def differences(content: Any, codec: Any) -> list[str]:
    file = EdfFile(content, file_registry(content))
    return [str(d) for row in file.rows for what in checks_of(row) for d in check_row(codec, row, file.registry, what)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("oracle", "codec"), [("spec", "node"), ("node", "spec")])
def test_a_codec_agrees_with_a_generated_file(seed: int, oracle: str, codec: str) -> None:
    assert differences(generated_file(seed, oracle), CODECS[codec]) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_both_writers_generate_the_same_file(seed: int) -> None:
    assert generated_file(seed, "spec") == generated_file(seed, "node")


def test_a_generated_file_has_every_group_and_key() -> None:
    content = generated_file(1, "spec")
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


def test_check_file_finds_no_difference_in_a_generated_file(tmp_path: Path) -> None:
    content = generated_file(1, "spec")
    path = tmp_path / "generated.json"
    path.write_text(json.dumps({**content, "vectors": content["vectors"][::10], "cases": content["cases"][::10]}))
    _, n, found = check_file(path, "edf")
    assert n > 50
    assert [d for d in found if not re.match(r"took \d+ ms", d.text)] == []  # seconds depend on the load


def one_row(seed: int, key: str, group: str) -> Any:
    content = generated_file(seed, "spec")
    row = next(row for row in content[key] if row["group"] == group and row.get("hex"))
    return {**content, "vectors": [], "cases": [], key: [dict(row)]}


def _last_byte(row: Any) -> None:
    row["hex"] = row["hex"][:-2] + f"{int(row['hex'][-2:], 16) ^ 1:02x}"


def _extra_byte(row: Any) -> None:
    row["hex"] += "00"


def _missing_byte(row: Any) -> None:
    row["hex"] = row["hex"][:-2]


def _other_value(row: Any) -> None:
    row["value"] = {"type": "int64", "value": "77"}


def _invalid_value(row: Any) -> None:
    row["value"] = {"type": "int64", "value": "seven"}


def _unknown_type(row: Any) -> None:
    row["value"] = {"type": "reg", "name": "#fresh/Nobody", "kind": "int", "value": "1"}


def _invalid_hex(row: Any) -> None:
    row["hex"] = "zz"


@pytest.mark.parametrize(
    "corrupt", [_last_byte, _extra_byte, _missing_byte, _other_value, _invalid_value, _unknown_type, _invalid_hex]
)
@pytest.mark.parametrize("group", ["scalar", "registered", "folded"])
@pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))
def test_a_corrupted_vector_is_reported(codec: Any, group: str, corrupt: Any) -> None:
    content = one_row(1, "vectors", group)
    corrupt(content["vectors"][0])
    found = differences(content, codec)
    assert found
    assert all(line.startswith(content["vectors"][0]["id"]) for line in found)


@pytest.mark.parametrize("expect", ["reject", "value", "prefix"])
@pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))
def test_a_wrong_expectation_of_a_case_is_reported(codec: Any, expect: str) -> None:
    content = generated_file(1, "spec")
    wrong = {"reject": "value", "value": "reject", "prefix": "value"}[expect]
    rows = [{**row, "expect": wrong} for row in content["cases"] if row["expect"] == expect][:20]
    registry = file_registry(content)
    assert rows
    for row in rows:
        assert list(check_row(codec, row, registry, "judges")), row["id"]


@pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))
def test_a_wrong_hash_is_reported(codec: Any) -> None:
    content = generated_file(1, "spec")
    row = next(row for row in content["vectors"] if row["hex"] is None)
    registry = file_registry(content)
    assert list(check_row(codec, row, registry, "writes")) == []
    assert list(check_row(codec, {**row, "sha256": "00" * 32}, registry, "writes"))
    assert list(check_row(codec, {**row, "len": row["len"] + 1}, registry, "writes"))
