"""Changed, missing and reordered handshake messages in captures are reported."""

from pathlib import Path

import pytest

from ergo_conformance.verdict import captures
from tests.support.recordings import Recording, changed

MESSAGES = [("a>b", i, name) for i, name in enumerate(("Hello", "Introduce", "Accept"))] + [
    ("b>a", i, name) for i, name in enumerate(("Hello", "Accept", "Introduce"))
]
messages = pytest.mark.parametrize(("direction", "i", "name"), MESSAGES)


@messages
def test_a_missing_message_is_reported(tmp_path: Path, direction: str, i: int, name: str) -> None:
    found = changed(direction, lambda m: m[:i] + m[i + 1 :]).check(tmp_path)
    assert any("not a valid order of handshake messages" in text for text in found)
    assert any("wrote" in text and "before frames" in text for text in found)


@messages
def test_a_repeated_message_is_reported(tmp_path: Path, direction: str, i: int, name: str) -> None:
    found = changed(direction, lambda m: m[: i + 1] + m[i:]).check(tmp_path)
    assert any("not a valid order of handshake messages" in text for text in found)


@pytest.mark.parametrize("i", [0, 1])
@pytest.mark.parametrize("direction", ["a>b", "b>a"])
def test_two_swapped_messages_are_reported(tmp_path: Path, direction: str, i: int) -> None:
    found = changed(direction, lambda m: [*m[:i], m[i + 1], m[i], *m[i + 2 :]]).check(tmp_path)
    assert any("wrote" in text for text in found)


def test_a_message_after_frames_is_reported(tmp_path: Path) -> None:
    found = changed("a>b", lambda m: [*m, m[2]]).check(tmp_path)
    assert any("wrong magic or version (87, expected 78)" in text for text in found)


def test_an_unfinished_handshake_is_valid_only_without_frames(tmp_path: Path) -> None:
    refused = Recording("master/handshake_wrong_cookie")
    assert refused.check(tmp_path) == []
    alone = changed("b>a", lambda m: m[:1])
    alone.replace(1, "a>b", b"".join(alone.messages(1, "a>b")[:2]))
    assert alone.check(tmp_path) == []
    ahead = changed("b>a", lambda m: m[:1])
    ahead.replace(1, "a>b", b"".join(ahead.messages(1, "a>b")[:3]))
    assert any("not a valid order of handshake messages" in text for text in ahead.check(tmp_path))


def test_an_acceptor_that_writes_first_is_reported(tmp_path: Path) -> None:
    recording = Recording("master/links")
    recording.lines.sort(key=lambda line: line["dir"] != "b>a")
    found = recording.check(tmp_path)
    assert any("the dialer in the metadata is 'a'" in text for text in found)
    assert any("HELLO_DIALER (EHS-DIG-1)" in text for text in found)


def flip_bit(message: bytes, part: bytes, at: int = 0) -> bytes:
    """Changes one bit of a part."""
    start = message.index(part) + at
    return message[:start] + bytes([message[start] ^ 1]) + message[start + 1 :]


def digest_of(message: bytes) -> bytes:
    """Returns the last text of 64 characters in a handshake message."""
    start = message.rindex(b"\0\x40") + 2
    return message[start : start + 64]


@pytest.mark.parametrize(
    ("name", "socket", "direction", "i", "rule"),
    [
        ("master/handshake", 1, "a>b", 0, "HELLO_DIALER"),
        ("master/handshake", 1, "b>a", 0, "HELLO_ACCEPTOR"),
        ("master/handshake_tls", 1, "b>a", 0, "HELLO_CERT"),
        ("master/handshake", 1, "a>b", 1, "INTRODUCE"),
        ("v310/handshake_pool3", 2, "a>b", 0, "JOIN"),
        ("v300/handshake_pool3", 3, "b>a", 0, "JOIN_ACCEPT"),
    ],
)
def test_a_wrong_digest_is_reported(tmp_path: Path, name: str, socket: int, direction: str, i: int, rule: str) -> None:
    def change(messages_: list[bytes]) -> list[bytes]:
        return [*messages_[:i], flip_bit(messages_[i], digest_of(messages_[i]), 63), *messages_[i + 1 :]]

    found = changed(direction, change, name, socket).check(tmp_path)
    assert any(f"{rule} (" in text for text in found)


@pytest.mark.parametrize("writer", ["a", "b"])
def test_another_cookie_is_reported(tmp_path: Path, writer: str) -> None:
    recording = Recording("master/handshake")
    recording.meta["secrets"][writer]["cookie"] = "another"
    found = recording.check(tmp_path)
    assert {text.split(" (")[0] for text in found} == (
        {"socket 1: HELLO_DIALER", "socket 1: INTRODUCE"} if writer == "a" else {"socket 1: HELLO_ACCEPTOR"}
    )


def test_the_fingerprint_of_another_certificate_is_reported(tmp_path: Path) -> None:
    recording = Recording("master/handshake_tls")
    recording.meta["secrets"]["b"]["fingerprint_sha1"] = "00" * 20
    assert all("HELLO_CERT" in text for text in recording.check(tmp_path))
    assert len(recording.check(tmp_path)) == 2
    del recording.meta["secrets"]["b"]["fingerprint_sha1"]
    assert any("expected an empty digest" in text for text in recording.check(tmp_path))


def test_a_real_side_is_checked_although_its_peer_is_a_script(tmp_path: Path) -> None:
    recording = Recording("newest/old_dialer_meets_new_acceptor_3.1.1")
    assert captures.check(captures.load(recording.save(tmp_path))).counts.digests == 13
    recording.meta["secrets"]["b"]["cookie"] = "another"
    rules = {text.split(" (")[0].split(": ")[1] for text in recording.check(tmp_path)}
    assert rules == {"HELLO_DIALER", "INTRODUCE", "JOIN"}


def test_the_name_of_another_node_is_reported(tmp_path: Path) -> None:
    recording = Recording("master/links")
    recording.meta["nodes"]["b"]["name"] = "x@localhost"
    assert recording.check(tmp_path) == ["socket 1 b>a: introduced as 'b@localhost', the node is 'x@localhost'"]


def test_a_join_with_an_unannounced_connection_id_is_reported(tmp_path: Path) -> None:
    recording = Recording("master/handshake_pool3")
    recording.lines = [line for line in recording.lines if line["link"] != 1]
    found = recording.check(tmp_path)
    assert any("which no Accept announced" in text for text in found)
