"""Changed messages of the central registrar in captures are reported."""

from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.verdict import captures
from tests.support.recordings import CAPTURES, Recording, put

SATURN = sorted((CAPTURES / "saturn").glob("*.jsonl"))
CLIENT, SERVER = "client>server", "server>client"


@pytest.mark.parametrize("path", SATURN, ids=lambda path: path.stem)
def test_a_capture_has_no_differences(path: Path) -> None:
    result = captures.check(captures.load(path))
    assert result.differences == []
    assert result.counts.packets > 0 or path.stem == "crash-when-down"


def test_check_of_another_protocol_counts_nothing() -> None:
    path = CAPTURES / "saturn" / "register.jsonl"
    assert captures.check(captures.load(path), "saturn").counts.packets == 6
    assert captures.check(captures.load(path), "esrd").counts.checked == 0


def changed(direction: str, number: int, change: Any, name: str = "register", **meta: Any) -> Recording:
    recording = Recording(f"saturn/{name}")
    recording.meta |= meta
    chunks = [line for line in recording.lines if line["dir"] == direction and line.get("hex")]
    chunks[number]["hex"] = change(bytes.fromhex(chunks[number]["hex"])).hex()
    return recording


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (put(0, b"\x62"), "wrong magic or version"),
        (put(1, b"\x02"), "wrong magic or version"),
        (lambda p: put(2, (len(p) - 3).to_bytes(2, "big"))(p), "refused"),
        (lambda p: put(2, (len(p) - 5).to_bytes(2, "big"))(p), "refused"),
        (put(4, b"\x01"), "unknown tag"),
        (lambda p: p[:2] + b"\x00\x02" + b"\x91\x01", "not a message of Saturn"),
    ],
    ids=["magic", "version", "length + 1", "length - 1", "tag", "another value"],
)
@pytest.mark.parametrize(("direction", "number"), [(CLIENT, 0), (CLIENT, 1), (SERVER, 0), (SERVER, 1)])
def test_a_corrupt_message_of_a_real_side_is_reported(
    tmp_path: Path, direction: str, number: int, change: Any, expected: str
) -> None:
    assert any(expected in text for text in changed(direction, number, change).check(tmp_path))
    assert changed(direction, number, change, scripted=[direction]).check(tmp_path) == []


@pytest.mark.parametrize("direction", [CLIENT, SERVER])
def test_a_wrong_proof_is_reported(tmp_path: Path, direction: str) -> None:
    recording = changed(direction, 0, lambda p: p[:-1] + (b"0" if p[-1:] != b"0" else b"1"))
    assert any("the schema computes" in text for text in recording.check(tmp_path))


def test_proofs_of_another_token_are_reported(tmp_path: Path) -> None:
    recording = changed(CLIENT, 0, lambda p: p, secrets={"client": {"token": "x"}, "server": {"token": "tok3n"}})
    texts = recording.check(tmp_path)
    assert len(texts) == 2
    assert all("computes" in text for text in texts)


def test_a_connection_without_a_handshake_is_reported(tmp_path: Path) -> None:
    recording = Recording("saturn/register")
    recording.lines = [line for line in recording.lines if "Handshake" not in str(bytes.fromhex(line.get("hex") or ""))]
    texts = recording.check(tmp_path)
    assert any("begins with Register instead of Handshake" in text for text in texts)
    assert any("begins with RegisterResult instead of HandshakeResult" in text for text in texts)


def test_a_proof_for_a_script_s_message_with_a_wrong_length_is_checked(tmp_path: Path) -> None:
    """The server read the whole message, so its proof is of the digest in it."""
    recording = Recording("saturn/malformed")
    assert recording.check(tmp_path) == []
    line = next(line for line in recording.lines if (line["conn"], line["dir"]) == ("tls#11", SERVER) and line["hex"])
    line["hex"] = line["hex"][:-2] + "30"
    assert any("tls#11" in text for text in recording.check(tmp_path))
