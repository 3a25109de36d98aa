"""Transcripts: decoding of frames and packets, and bounds on memory and work."""

from unittest import mock

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.ergo.ehs import Hello
from ergo_conformance.model.ergo.esrd import RegisterRoutes
from ergo_conformance.model.show import MAX_TEXT
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.ergo.connection import NO_CONTEXT, REGISTRY
from ergo_conformance.peers.ergo.handshake import frame, payload_of
from ergo_conformance.peers.transcript import Direction, Entry, Transcript
from ergo_conformance.spec.ergo.edf import EdfContext
from ergo_conformance.spec.ergo.ehs import read_frame
from ergo_conformance.spec.ergo.enp import write_frame
from ergo_conformance.spec.ergo.esrd import write_packet

SHOWN = 'Hello{Salt: "salt", Digest: "digest", DigestCert: ""}'
HELLO = frame(payload_of(Hello("salt", "digest")))


def transcript(*entries: tuple[float, Direction, bytes | str]) -> Transcript:
    made = Transcript("socket 1")
    for at, direction, what in entries:
        made.add(Entry(at, direction, event=what) if isinstance(what, str) else Entry(at, direction, what))
    return made


def texts(made: Transcript, last: int = 12) -> list[str]:
    return [line.stamp + line.text for line in made.lines(last)]


def test_frames_are_decoded_wherever_they_are_cut() -> None:
    made = transcript(
        (0.0, "received", "open"),
        (0.001, "sent", HELLO[:10]),
        (0.002, "sent", HELLO[10:] + HELLO),
        (1.0, "received", "closed"),
    )
    assert texts(made) == [
        "   0.000 s < open",
        "   0.002 s > " + SHOWN,
        "   0.002 s > " + SHOWN,
        "   1.000 s < closed",
    ]
    assert made.bytes_of("sent") == HELLO * 2


def test_bytes_that_are_not_a_frame_are_shown_in_hex() -> None:
    made = transcript((0.5, "received", b"HTTP"), (0.6, "received", b"\x57\x01\x00\x00"))
    assert texts(made) == ["   0.500 s < 48545450", "           < 57010000 (incomplete)"]


def test_a_refused_frame_is_shown_with_its_reason() -> None:
    (line,) = transcript((0.0, "received", frame(b"\x00"))).lines()
    assert "refused: unknown tag" in line.text


def test_an_incomplete_frame_before_the_close_is_shown_in_hex() -> None:
    made = transcript((0.1, "received", HELLO[:8]), (0.2, "received", "closed"))
    assert texts(made) == [
        "   0.200 s < 57010000 00418300 (incomplete: the header announces 71 bytes, these are 8)",
        "   0.200 s < closed",
    ]


def test_only_the_last_lines_are_shown() -> None:
    made = transcript(*((float(i), "received", f"event {i}") for i in range(20)))
    assert texts(made, 3) == ["… 17 earlier lines", *(f"{i:8.3f} s < event {i}" for i in (17, 18, 19))]


def test_memory_and_decoded_frames_are_bounded_under_a_flood() -> None:
    made = Transcript()
    chunk = frame(b"\xff") * 10_000
    for _ in range(1000):
        made.add(Entry(0.0, "received", chunk))
    assert sum(len(entry.data) for entry in made.entries) < 1_000_000
    with mock.patch("ergo_conformance.peers.transcript.read_frame", wraps=read_frame) as decode:
        lines = list(made.lines())
    assert decode.call_count <= 2 * 12  # whole and short
    assert len(lines) < 20
    assert "bytes more" in lines[-1].text


def test_a_line_has_the_whole_text_a_short_one_and_the_bytes() -> None:
    data = frame(payload_of(Hello("s" * 64, "")))
    (line,) = transcript((0.0, "sent", data)).lines()
    assert f'Salt: "{"s" * 64}"' in line.text
    assert f'Salt: "{"s" * 12}"…, ' in line.short
    assert line.data == data


def test_a_long_payload_is_whole_up_to_the_limit_of_a_text() -> None:
    made = Transcript(contexts={"received": NO_CONTEXT})
    for payload in ("x" * 1_000, "x" * 60_000, ["x" * 60_000] * 2):
        made.add(Entry(0.0, "received", write_frame(enp.MessagePID(1, 2, 0, 0, 4, payload), NO_CONTEXT)))
    first, second, third = made.lines()
    assert "x" * 1_000 in first.text
    assert "x" * 60_000 in second.text
    assert len(third.text) <= MAX_TEXT + 100
    assert max(len(line.short) for line in (first, second, third)) < 200


def test_bytes_that_the_tester_sent_on_purpose_have_the_description_of_the_script() -> None:
    made = Transcript(contexts={"sent": NO_CONTEXT})
    wrong = write_frame(enp.MessagePID(1, 2, 0, 0, 4, "x"), NO_CONTEXT)[:7] + b"\xfa" + bytes(31)
    cached = write_frame(
        enp.MessageNameCache(0, 1, 0, 0, Atom("echo"), "x"), EdfContext(REGISTRY, Caches({9: Atom("echo")}))
    )
    unknown = enp.MessageNameCache(0, 1, 0, 0, Atom("echo"), "x")
    for data, description in (
        (wrong, "a frame of type 250"),
        (cached, unknown),
        (cached, "an unknown id"),
        (cached, ""),
    ):
        made.add(Entry(0.0, "sent", data[: int.from_bytes(data[2:6], "big")], description=description))
    first, second, third, fourth = (line.text for line in made.lines())
    assert first.startswith("a frame of type 250: 4e01")
    assert second.startswith("MessageNameCache{order: 0, ")
    assert third.startswith("an unknown id: 4e01")
    assert "not valid: unknown cache id" in fourth
    assert not any("refused" in line for line in (first, second, third, fourth))


def test_registrar_packets_and_datagrams_are_decoded() -> None:
    request = write_packet(RegisterRoutes(Atom("a@b"), None))
    text = "RegisterRoutes{Node: 'a@b', Routes: nil}"
    made = transcript((0.0, "sent", request[:30]), (0.1, "sent", request[30:] + request), (0.2, "received", b"no"))
    made.kind = "packets"
    assert texts(made) == [f"   0.100 s > {text}"] * 2 + [
        "   0.200 s < 6e6f  refused: wrong magic or version (110, expected 1) at version, offset 0"
    ]
    cut = transcript((0.0, "sent", request[:6]), (0.1, "sent", request))
    cut.kind = "datagrams"
    first, second = cut.lines()
    assert first.text.startswith("012c0040 8300  ")
    assert "not valid: end of data (64 bytes needed, 2 left)" in first.text
    assert second.text == text
