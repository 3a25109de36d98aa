"""Transcripts: decoding of frames and packets, and bounds on memory and work."""

from unittest import mock

from ergo_conformance.model.ergo.ehs import Hello
from ergo_conformance.model.ergo.esrd import RegisterRoutes
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.ergo.handshake import frame, payload_of
from ergo_conformance.peers.transcript import Direction, Entry, Transcript
from ergo_conformance.spec.ergo.ehs import read_frame
from ergo_conformance.spec.ergo.esrd import write_packet

HELLO = frame(payload_of(Hello("salt", "digest")))


def transcript(*entries: tuple[float, Direction, bytes | str]) -> Transcript:
    made = Transcript("socket 1")
    for at, direction, what in entries:
        made.add(Entry(at, direction, event=what) if isinstance(what, str) else Entry(at, direction, what))
    return made


def test_frames_are_decoded_wherever_they_are_cut() -> None:
    made = transcript(
        (0.0, "received", "open"),
        (0.001, "sent", HELLO[:10]),
        (0.002, "sent", HELLO[10:] + HELLO),
        (1.0, "received", "closed"),
    )
    assert list(made.lines()) == [
        "   0.000 s < open",
        "   0.002 s > Hello(Salt='salt', Digest='digest', DigestCert='')",
        "   0.002 s > Hello(Salt='salt', Digest='digest', DigestCert='')",
        "   1.000 s < closed",
    ]
    assert made.bytes_of("sent") == HELLO * 2


def test_bytes_that_are_not_a_frame_are_shown_in_hex() -> None:
    made = transcript((0.5, "received", b"HTTP"), (0.6, "received", b"\x57\x01\x00\x00"))
    assert list(made.lines()) == ["   0.500 s < 48545450", "           < 57010000 (incomplete)"]


def test_a_refused_frame_is_shown_with_its_reason() -> None:
    (line,) = transcript((0.0, "received", frame(b"\x00"))).lines()
    assert "refused: unknown tag" in line


def test_an_incomplete_frame_before_the_close_is_shown_in_hex() -> None:
    made = transcript((0.1, "received", HELLO[:8]), (0.2, "received", "closed"))
    assert list(made.lines()) == ["   0.200 s < 57010000 00418300", "   0.200 s < closed"]


def test_only_the_last_lines_are_shown() -> None:
    made = transcript(*((float(i), "received", f"event {i}") for i in range(20)))
    assert list(made.lines(3)) == ["… 17 earlier lines", *(f"{i:8.3f} s < event {i}" for i in (17, 18, 19))]


def test_memory_and_decoded_frames_are_bounded_under_a_flood() -> None:
    made = Transcript()
    chunk = frame(b"\xff") * 10_000
    for _ in range(1000):
        made.add(Entry(0.0, "received", chunk))
    assert sum(len(entry.data) for entry in made.entries) < 1_000_000
    with mock.patch("ergo_conformance.peers.transcript.read_frame", wraps=read_frame) as decode:
        lines = list(made.lines())
    assert decode.call_count <= 12
    assert len(lines) < 20
    assert "bytes more" in lines[-1]


def test_long_texts_are_shortened() -> None:
    (line,) = transcript((0.0, "sent", frame(payload_of(Hello("s" * 64, ""))))).lines()
    assert "Salt='ssssssssssss…'" in line


def test_registrar_packets_and_datagrams_are_decoded() -> None:
    request = write_packet(RegisterRoutes(Atom("a@b"), None))
    text = "RegisterRoutes(Node='a@b', Routes=None)"
    made = transcript((0.0, "sent", request[:30]), (0.1, "sent", request[30:] + request), (0.2, "received", b"no"))
    made.kind = "packets"
    assert list(made.lines()) == [f"   0.100 s > {text}"] * 2 + ["   0.200 s < 6e6f"]
    cut = transcript((0.0, "sent", request[:6]), (0.1, "sent", request))
    cut.kind = "datagrams"
    first, second = cut.lines()
    assert first.startswith("   0.000 s > 012c ")
    assert "refused: end of data (64 bytes needed, 2 left)" in first
    assert second == f"   0.100 s > {text}"
