"""The project's captures have no differences, whatever names their sockets, directions and writers have."""

from pathlib import Path

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.verdict import captures
from tests.support.recordings import CAPTURES, UPSTREAM, Recording


@pytest.mark.parametrize("name", UPSTREAM)
def test_a_capture_has_no_differences(name: str) -> None:
    result = captures.check(captures.load(CAPTURES / f"{name}.jsonl"))
    assert result.differences == []
    assert result.counts.checked > 0
    assert result.counts.bytes > 0


def test_counts_state_what_was_checked() -> None:
    found = captures.check(captures.load(CAPTURES / "master" / "compression.jsonl"))
    assert str(found.counts) == "1 sockets, 6 handshake messages, 10 digests, 39 frames (16 compressed), 41,711 bytes"


@pytest.mark.parametrize(
    ("only", "messages", "digests", "frames"),
    [("ehs", 6, 10, 0), ("enp", 0, 0, 40), ("esrd", 0, 0, 0), (None, 6, 10, 40)],
)
def test_check_of_one_protocol_counts_only_its_parts(
    only: str | None, messages: int, digests: int, frames: int
) -> None:
    counts = captures.check(captures.load(CAPTURES / "master" / "links.jsonl"), only).counts
    assert (counts.messages, counts.digests, counts.frames) == (messages, digests, frames)


@pytest.mark.parametrize("folder", ["erlang"])
def test_captures_of_other_protocols_are_not_checked(folder: str) -> None:
    paths = sorted((CAPTURES / folder).glob("*.jsonl"))
    assert paths
    for path in paths:
        assert captures.check(captures.load(path)).counts.checked == 0


# --- changed captures -------------------------------------------------------------------------------------------------


def test_other_names_of_sockets_directions_and_writers_make_no_difference(tmp_path: Path) -> None:
    recording = Recording("v310/handshake_pool3")
    names = {"a>b": "client to server", "b>a": "server to client"}
    writers = {"a": "first", "b": "second"}
    meta = recording.meta
    for key in ("release", "secrets", "nodes"):
        meta[key] = {writers[name]: value for name, value in meta[key].items() if name in writers}
    meta["sides"] = {names[direction]: writers[name] for direction, name in meta["sides"].items()}
    meta["dialer"] = writers[meta["dialer"]]
    for line in recording.lines:
        line["dir"] = names.get(line["dir"], line["dir"])
        line["link"] += 1000 * bool(line["link"])
    assert recording.check(tmp_path) == []
    assert captures.check(captures.load(recording.save(tmp_path))).counts.frames == 14


def test_types_of_another_release_are_reported(tmp_path: Path) -> None:
    recording = Recording("v300/types")
    recording.meta["release"] = {"a": "3.0", "b": "3.1.1"}
    found = recording.check(tmp_path)
    assert found
    assert all(text.startswith("socket 1 b>a") for text in found)


@pytest.mark.parametrize("types", ["framework", "none"])
def test_types_outside_the_set_are_unknown(tmp_path: Path, types: str) -> None:
    recording = Recording("v310/types")
    recording.meta["types"] = types
    assert any("unknown registered type" in text for text in recording.check(tmp_path))


def test_the_newest_set_contains_the_types_of_the_subject(tmp_path: Path) -> None:
    recording = Recording("v310/types")
    recording.meta["types"] = "newest"
    assert recording.check(tmp_path) == []


def test_chunks_of_another_size_make_no_difference(tmp_path: Path) -> None:
    recording = Recording("master/compression")
    lines = []
    for line in recording.lines:
        digits = line.get("hex") or ""
        lines += [{**line, "hex": digits[i : i + 998]} for i in range(0, len(digits), 998)] or [line]
    recording.lines = lines
    assert recording.check(tmp_path) == []


def test_a_direction_outside_the_metadata_is_an_error(tmp_path: Path) -> None:
    recording = Recording("master/links")
    recording.lines[5] |= {"dir": "c>d", "hex": "00"}
    with pytest.raises(UsageError, match="c>d"):
        recording.check(tmp_path)


@pytest.mark.parametrize("key", ["cut", "surplus"])
def test_metadata_without_a_required_key_are_an_error(tmp_path: Path, key: str) -> None:
    recording = Recording("master/links")
    recording.meta[key] = [{"reason": "a test"}]
    with pytest.raises(UsageError):
        recording.check(tmp_path)
