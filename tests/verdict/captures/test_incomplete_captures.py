"""Metadata of incomplete captures: which defects they allow, and which they do not."""

import zlib
from pathlib import Path

import pytest

from ergo_conformance.model.ergo.enp import FrameType
from ergo_conformance.verdict import captures
from tests.support.recordings import (
    CUT,
    Recording,
    change_frame,
    changed,
    frames_of,
    put,
    samples,
    sized,
)


def cut_short(by: int = 3) -> Recording:
    recording = Recording("master/links")
    recording.replace(1, "a>b", recording.stream(1, "a>b")[:-by])
    return recording


def test_an_incomplete_frame_is_allowed_only_where_the_metadata_state_the_end(tmp_path: Path) -> None:
    recording = cut_short()
    assert any("end of data" in text for text in recording.check(tmp_path))
    for cut, allowed in [
        ({**CUT, "at": "end"}, True),
        ({**CUT, "at": "end", "conn": 1, "dir": "a>b"}, True),
        ({**CUT, "at": "end", "conn": "1"}, True),
        ({**CUT, "at": "end", "dir": "b>a"}, False),
        ({**CUT, "at": "end", "conn": 2}, False),
        ({**CUT, "at": "recording"}, False),
        ({**CUT, "at": "start"}, False),
        ({**CUT, "at": "line"}, False),
    ]:
        recording.meta["cut"] = [cut]
        assert (recording.check(tmp_path) == []) is allowed, cut


def test_a_stream_may_end_in_a_header_or_a_handshake(tmp_path: Path) -> None:
    recording = Recording("master/links")
    *_, last = (frame for _, _, direction, frame in frames_of("master/links") if direction == "a>b")
    data = recording.stream(1, "a>b")
    recording.meta["cut"] = [{**CUT, "at": "end"}]
    for n in (*range(last.start, last.start + 10), *range(last.start + 10, last.end, 6), last.end - 1):
        recording.replace(1, "a>b", data[:n])
        assert recording.check(tmp_path) == []
    recording.replace(1, "a>b", data[:150])
    recording.replace(1, "b>a", b"\x57")
    assert recording.check(tmp_path) == []


@pytest.mark.parametrize("type_", [FrameType.EXIT, FrameType.CONTROL], ids=lambda type_: type_.name)
def test_a_complete_frame_with_missing_bytes_is_reported(tmp_path: Path, type_: FrameType) -> None:
    """Wherever the recording ends."""
    recording = change_frame(samples()[type_], lambda f: sized(f[:-1]))
    recording.meta["cut"] = [{**CUT, "at": "end"}]
    assert any("end of data" in text or "more items" in text for text in recording.check(tmp_path))


def test_a_corrupt_frame_is_reported_whatever_the_metadata_say(tmp_path: Path) -> None:
    recording = change_frame(samples()[FrameType.EXIT], put(0, b"\x4f"))
    recording.meta["cut"] = [{**CUT, "at": at} for at in ("end", "recording", "line", "start")]
    assert any("wrong magic" in text for text in recording.check(tmp_path))


def without_handshake() -> Recording:
    """Returns a recording that begins after the handshake, with the cache tables in the metadata."""
    recording = Recording("master/links")
    contexts = {direction: frame.context for _, _, direction, frame in frames_of("master/links")}
    for direction, context in contexts.items():
        recording.meta.setdefault("caches", {})[recording.meta["sides"][direction]] = {
            "atoms": {str(id_): atom for id_, atom in context.caches.atoms.items()},
            "types": {str(id_): name for id_, name in context.caches.types.items()},
            "errors": {str(id_): text for id_, text in context.caches.errors.items()},
        }
        recording.replace(1, direction, recording.messages(1, direction)[-1])
    recording.meta["cut"] = [{**CUT, "at": "start"}]
    return recording


def test_cache_tables_of_the_metadata_replace_a_handshake_that_was_not_recorded(tmp_path: Path) -> None:
    recording = without_handshake()
    assert recording.check(tmp_path) == []
    assert captures.check(captures.load(recording.save(tmp_path))).counts.frames == 40
    recording.meta["caches"]["a"]["types"] = {}
    assert any("unknown cache id" in text for text in recording.check(tmp_path))


def test_cache_tables_of_the_metadata_are_ignored_if_the_handshake_was_recorded(tmp_path: Path) -> None:
    recording = without_handshake()
    recording.meta["cut"] = False
    found = recording.check(tmp_path)
    assert any("unknown cache id" in text for text in found)
    whole = Recording("master/links")
    whole.meta["caches"] = {writer: {"atoms": {}, "types": {}, "errors": {}} for writer in "ab"}
    assert whole.check(tmp_path) == []


def test_frames_without_a_handshake_are_reported(tmp_path: Path) -> None:
    recording = changed("b>a", lambda m: m[-1:])
    found = recording.check(tmp_path)
    assert any(text.startswith("socket 1 b>a: ") for text in found)


def test_missing_sockets_make_no_difference(tmp_path: Path) -> None:
    recording = Recording("v300/large")
    recording.lines = [line for line in recording.lines if line["link"] < 8]
    assert recording.check(tmp_path) == []


def test_surplus_is_allowed_only_as_the_metadata_state_it(tmp_path: Path) -> None:
    recording = Recording("master/links")
    recording.replace(1, "b>a", recording.stream(1, "b>a") + b"\1\2\3")
    assert any("end of data" in text or "wrong magic" in text for text in recording.check(tmp_path))
    surplus = {"conn": 1, "dir": "b>a", "hex": "010203", "reason": "a test"}
    for row, allowed in [
        (surplus, True),
        ({**surplus, "conn": "1"}, True),
        ({**surplus, "dir": "a>b"}, False),
        ({**surplus, "conn": 2}, False),
        ({**surplus, "hex": "0102"}, False),
    ]:
        recording.meta["surplus"] = [row]
        assert (recording.check(tmp_path) == []) is allowed, row


def test_surplus_of_the_metadata_that_is_missing_is_reported(tmp_path: Path) -> None:
    recording = Recording("master/links")
    recording.meta["surplus"] = [{"conn": 1, "dir": "a>b", "hex": "0102", "reason": "a test"}]
    assert recording.check(tmp_path) == ["socket 1 a>b: does not end with the surplus of the metadata"]


# --- scripts ----------------------------------------------------------------------------------------------------------


def test_bytes_of_a_script_are_not_reported(tmp_path: Path) -> None:
    recording = cut_short()
    for scripted, allowed in [
        (["a>b"], True),
        (["1:a>b"], True),
        (["b>a"], False),
        (["2:a>b"], False),
        (["1:a>"], False),
    ]:
        recording.meta["scripted"] = scripted
        assert (recording.check(tmp_path) == []) is allowed, scripted
    recording.meta["scripted"] = ["a>b"]
    counts = captures.check(captures.load(recording.save(tmp_path))).counts
    assert counts.refused == 1
    assert counts.frames == 20


def test_a_shortened_chunk_is_allowed_only_for_a_script(tmp_path: Path) -> None:
    recording = Recording("master/links")
    chunks = [line for line in recording.lines if line["dir"] == "a>b" and line.get("hex")]
    chunks[6] |= {"hex": chunks[6]["hex"][:8], "truncated": 999}
    assert any("a shortened chunk" in text for text in recording.check(tmp_path))
    recording.meta["cut"] = [{**CUT, "at": "line"}]
    assert any("a shortened chunk" in text for text in recording.check(tmp_path)), (
        "the chunks of a real side are complete"
    )
    recording.meta["scripted"] = ["a>b"]
    assert recording.check(tmp_path) == []
    capture = captures.load(recording.save(tmp_path))
    assert capture.stream("1", "a>b") == bytes.fromhex("".join(line["hex"] for line in chunks[:6]))
    assert captures.check(capture).counts.refused == 0


@pytest.mark.parametrize(
    "behind",
    [
        b"\x4e\1\xff\xff\xff\xff\0\x65",
        b"\x4e\1\0\0\0\0\0\x65",
        b"\x4e\1\0\0\0\x20\0\xc8\x65\xff\xff\xff\xff" + zlib.compress(bytes(40_000))[:19],
        bytes(range(256)),
        b"\x57\1\xff\xff\xff\xff",
        b"",
    ],
    ids=bytes.hex,
)
def test_any_bytes_of_a_script_are_read_or_refused(tmp_path: Path, behind: bytes) -> None:
    recording = Recording("master/links")
    recording.meta["scripted"] = ["a>b"]
    recording.replace(1, "a>b", recording.stream(1, "a>b") + behind)
    assert recording.check(tmp_path) == []
    recording.replace(1, "a>b", behind or b"\0")
    assert recording.check(tmp_path) == []
