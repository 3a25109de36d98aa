"""Changed packets of the embedded registrar in captures are reported."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.verdict import captures
from tests.support.recordings import CAPTURES, CUT, Recording, put

REGISTRAR = sorted(path for path in (CAPTURES / "registrar").glob("*.jsonl"))


@pytest.mark.parametrize("path", REGISTRAR, ids=lambda path: path.stem)
def test_a_capture_has_no_differences(path: Path) -> None:
    result = captures.check(captures.load(path))
    assert result.differences == []
    assert result.counts.packets > 0 or path.stem == "takeover-needs-both-ports"


def packet_changed(name: str, dir_: str, proto: str, change: Callable[[bytes], bytes], **meta: Any) -> Recording:
    recording = Recording(f"registrar/{name}")
    recording.meta |= meta
    line = next(line for line in recording.lines if (line["dir"], line["proto"]) == (dir_, proto) and line["hex"])
    line["hex"] = change(bytes.fromhex(line["hex"])).hex()
    return recording


PACKETS = [
    ("register", "client>server", "tcp"),
    ("register", "server>client", "tcp"),
    ("resolve-hit", "client>server", "udp"),
    ("resolve-hit", "server>client", "udp"),
]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (put(0, b"\2"), "wrong magic or version"),
        (put(1, b"\x30"), "unknown frame type"),
        (lambda p: put(1, bytes([p[1] ^ 1]))(p), "not the expected message"),
        (lambda p: put(2, (len(p) - 3).to_bytes(2, "big"))(p), "end of data"),
        (lambda p: put(2, (len(p) - 5).to_bytes(2, "big"))(p), "refused at offset 0"),
        (put(4, b"\x01"), "unknown tag"),
        (lambda p: p[:-1], "end of data"),
        (lambda p: p + b"\1", "refused at offset"),
        (lambda p: b"\1" + p[1:2] + (len(p) - 3).to_bytes(2, "big") + p[4:] + b"\0", "bytes left over"),
    ],
    ids=["version", "type", "another type", "length + 1", "length - 1", "tag", "too short", "too long", "leftover"],
)
@pytest.mark.parametrize(("name", "dir_", "proto"), PACKETS)
def test_a_corrupt_packet_of_a_real_side_is_reported(
    tmp_path: Path, name: str, dir_: str, proto: str, change: Any, expected: str
) -> None:
    assert any(expected in text for text in packet_changed(name, dir_, proto, change).check(tmp_path))
    scripted = packet_changed(name, dir_, proto, change, scripted=[dir_])
    assert scripted.check(tmp_path) == []


def test_a_registration_in_a_datagram_is_reported(tmp_path: Path) -> None:
    recording = Recording("registrar/register")
    for line in recording.lines:
        line["proto"] = "udp"
    assert any("RegisterRoutes over udp" in text for text in recording.check(tmp_path))


def test_a_type_id_without_a_cache_is_reported(tmp_path: Path) -> None:
    def change(packet: bytes) -> bytes:
        value = b"\x83\x10\x70" + packet[7 + int.from_bytes(packet[5:7], "big") :]
        return packet[:2] + len(value).to_bytes(2, "big") + value

    for name, dir_, proto in PACKETS:
        found = packet_changed(name, dir_, proto, change).check(tmp_path)
        assert any("unknown cache id" in text for text in found)


@pytest.mark.parametrize(("at", "allowed"), [("end", True), ("start", False), ("recording", False), ("line", False)])
def test_an_incomplete_packet_is_allowed_only_where_the_recording_ends(tmp_path: Path, at: str, allowed: bool) -> None:
    recording = packet_changed("register", "client>server", "tcp", lambda p: p[:-3], cut=[{**CUT, "at": at}])
    assert (recording.check(tmp_path) == []) is allowed


def test_an_incomplete_datagram_is_reported_although_the_recording_begins_later(tmp_path: Path) -> None:
    recording = packet_changed("resolve-hit", "client>server", "udp", lambda p: p[:-3], cut=[{**CUT, "at": "start"}])
    assert any("end of data" in text for text in recording.check(tmp_path))


def test_a_capture_of_several_protocols_is_checked_by_socket(tmp_path: Path) -> None:
    recording = Recording("newest/old_dialer_meets_new_acceptor_3.1.1")
    assert captures.check(captures.load(recording.save(tmp_path))).counts.refused == 4
    recording.meta["scripted"] = ["p>b"]
    found = recording.check(tmp_path)
    assert found
    assert all(text.startswith("socket 100 p>b udp: refused at offset 0: unknown frame type") for text in found)
