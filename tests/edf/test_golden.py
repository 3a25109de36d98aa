"""Golden vectors and captures: both readers and both writers give the result that each row expects."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.errors import Rejected
from ergo_conformance.locate import suites
from ergo_conformance.spec.ergo.stream import read_handshake
from ergo_conformance.targets.self_node import NodeCodec
from ergo_conformance.verdict import captures
from ergo_conformance.verdict.vectors.cost import NODE_LIMITS
from ergo_conformance.verdict.vectors.edf import MAX_PREFIXES, EdfFile, SpecCodec, check_row, checks_of
from ergo_conformance.verdict.vectors.files import row_bytes, row_caches
from ergo_conformance.verdict.vectors.golden import golden_file
from ergo_conformance.verdict.vectors.handshake import check_frame, check_malformed
from tests.support.work import peak_memory

from .codecs import agreed, judged

CODECS = {"node": NodeCodec(), "spec": SpecCodec()}
CAPTURES = Path(__file__).parents[1] / "data" / "captures"
FILES = ("edf_vectors.json", "edf_negative.json")
GROUPS = [(name, group) for name in FILES for group in golden_file(name).groups()]
UPSTREAM = ("master", "v300", "v310")
FRAMES = json.loads((suites() / "golden" / "ehs_vectors.json").read_text(encoding="utf-8"))

groups = pytest.mark.parametrize(("name", "group"), GROUPS)
codecs = pytest.mark.parametrize("codec", CODECS.values(), ids=list(CODECS))


def rows_of(name: str, group: str) -> tuple[EdfFile, list[Any]]:
    file = golden_file(name)
    return file, [row for row in file.rows if row["group"] == group]


@groups
@codecs
def test_every_row_has_its_expected_result(codec: Any, name: str, group: str) -> None:
    file, rows = rows_of(name, group)
    found = [str(d) for row in rows for what in checks_of(row) for d in check_row(codec, row, file.registry, what)]
    assert found == []


@groups
def test_both_readers_give_one_verdict(name: str, group: str) -> None:
    """Also for rows whose `expect` is free."""
    file, rows = rows_of(name, group)
    for row in rows:
        data = row_bytes(row)
        if data is not None and len(data) <= 100_000:  # longer ones: test_every_row_has_its_expected_result
            agreed(data, file.registry, row_caches(row))


def test_both_readers_refuse_every_proper_prefix_of_a_vector() -> None:
    file = golden_file("edf_vectors.json")
    for row in file.rows:
        data = row_bytes(row)
        if data is None or len(data) > MAX_PREFIXES // 10 or row["expect"] == "free":
            continue
        for n in range(len(data)):
            assert agreed(data[:n], file.registry, row_caches(row)).reason is not None, row["id"]


@pytest.mark.parametrize("group", ["depth", "huge", "hang", "length"])
def test_memory_of_the_node_is_bounded_for_hostile_rows(group: str) -> None:
    file, rows = rows_of("edf_negative.json", group)
    assert rows
    for row in rows:
        data = row_bytes(row) or b""
        held = peak_memory(partial(judged, "node", data, file.registry, row_caches(row)))
        assert held <= NODE_LIMITS.scaled(len(data)).memory, row["id"]


@pytest.mark.parametrize("row", FRAMES["vectors"], ids=lambda row: str(row["id"]))
def test_a_handshake_frame_has_its_expected_result(row: Any) -> None:
    assert [str(d) for d in check_frame(row)] == []


def test_malformed_handshake_frames_are_refused_for_their_reason() -> None:
    assert [str(d) for row in FRAMES["cases"] for d in check_malformed(row)] == []


@pytest.mark.parametrize(
    "path",
    sorted(p for f in UPSTREAM for p in (CAPTURES / f).glob("*.jsonl")),
    ids=lambda p: f"{p.parent.name}-{p.stem}",
)
def test_a_capture_of_an_upstream_node_has_no_difference(path: Path) -> None:
    result = captures.check(captures.load(path))
    assert [str(d) for d in result.differences] == []
    assert result.counts.messages > 0


@pytest.mark.parametrize("folder", ["erlang", "newest", "registrar", "saturn"])
def test_other_captures_are_read_or_refused(folder: str) -> None:
    """Captures of other protocols or of scripts yield a count or a difference, never an exception."""
    paths = sorted((CAPTURES / folder).glob("*.jsonl"))
    assert paths
    for path in paths:
        capture = captures.load(path)
        captures.check(capture)
        for data in capture.streams.values():
            read = read_handshake(bytes(data))
            assert read.end <= len(data)
            assert read.refusal is None or isinstance(read.refusal, Rejected)
            agreed(bytes(data[:64]))
            agreed(bytes(data[6:400]), golden_file("edf_vectors.json").registry)


def test_a_changed_capture_is_reported(tmp_path: Path) -> None:
    lines = (CAPTURES / "master" / "handshake.jsonl").read_text(encoding="utf-8").splitlines()
    noticed = 0
    for i, line in enumerate(lines):
        row = json.loads(line)
        if not row.get("hex"):
            continue
        data = bytearray.fromhex(row["hex"])
        if data[0] != 87:
            continue
        data[-1] ^= 1
        changed = tmp_path / f"{i}.jsonl"
        changed.write_text("\n".join([*lines[:i], json.dumps({**row, "hex": data.hex()}), *lines[i + 1 :]]))
        noticed += bool(captures.check(captures.load(changed)).differences)
    assert noticed >= 4
