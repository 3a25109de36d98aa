"""`parse`: spans nest and cover all bytes, offsets and paths are right, `prefix` allows further bytes."""

import json
from typing import Any

import construct
import pytest

from ergo_conformance.errors import CannotEncode, Reason, Rejected
from ergo_conformance.locate import suites
from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Accept, Hello
from ergo_conformance.model.registry import Registry, Struct
from ergo_conformance.spec import Parsed, build, combinators, parse
from ergo_conformance.spec.ergo import edf
from ergo_conformance.spec.ergo.ehs import CONTEXT, FRAME, digest, frame_size, read_frame, write_frame
from ergo_conformance.spec.ergo.stream import read_handshake
from ergo_conformance.spec.parse import Span

FRAMES = json.loads((suites() / "golden" / "ehs_vectors.json").read_text(encoding="utf-8"))["vectors"]


def frame_of(group: str) -> bytes:
    return max((bytes.fromhex(row["hex"]) for row in FRAMES if row["group"] == group), key=len)


def parsed(data: bytes, **options: Any) -> Parsed:
    found = read_frame(data, **options)
    assert isinstance(found, Parsed)
    return found


@pytest.mark.parametrize("row", FRAMES, ids=lambda row: str(row["id"]))
class TestSpans:
    def test_spans_nest(self, row: Any) -> None:
        """Two spans are disjoint, or one is inside the other and the inner one comes first."""
        spans = [s for s in parsed(bytes.fromhex(row["hex"])).spans if s.end > s.start]
        around: list[Span] = []
        for span in reversed(spans):
            while around and not (around[-1].start <= span.start and span.end <= around[-1].end):
                assert span.end <= around[-1].start
                around.pop()
            around.append(span)

    def test_spans_cover_each_byte(self, row: Any) -> None:
        data = bytes.fromhex(row["hex"])
        found = parsed(data)
        for offset in range(0, len(data), 1 + len(data) // 100):
            span = found.at(offset)
            assert span.start <= offset < span.end
            assert all(s[2] - s[1] >= span.end - span.start for s in found.found if s[1] <= offset < s[2])
        innermost = [s for s in found.found if s[2] > s[1]]
        assert {n for _, start, end in innermost for n in range(start, end)} == {*range(len(data))}
        with pytest.raises(KeyError):
            found.at(len(data))

    def test_each_path_begins_with_the_path_of_the_enclosing_span(self, row: Any) -> None:
        found = parsed(bytes.fromhex(row["hex"]))
        *inner, last = spans = list(found.spans)
        assert last == Span("", 0, found.end)
        for i, span in enumerate(inner, 1):  # an enclosing span comes later
            outer = next(s for s in spans[i:] if s.start <= span.start and span.end <= s.end and s.path != span.path)
            assert span.path.startswith(outer.path), (span, outer)

    def test_an_offset_moves_all_spans(self, row: Any) -> None:
        data = bytes.fromhex(row["hex"])
        here, there = list(parsed(data).spans), list(parsed(b"\0" * 9 + data, offset=9).spans)
        assert there == [Span(path, start + 9, end + 9) for path, start, end in here]


def test_the_spans_of_a_frame_are_those_of_header_and_message() -> None:
    data = frame_of("MessageHello") if any(r["group"] == "MessageHello" for r in FRAMES) else frame_of("Hello")
    found = parsed(data)
    assert [found.span(name) for name in ("magic", "version", "length")] == [
        Span("magic", 0, 1), Span("version", 1, 2), Span("length", 2, 6),
    ]  # fmt: skip
    assert found.span("message").end == len(data)
    salt = found.span("message.Salt")
    assert data[salt.start + 2 : salt.end].decode() == found.value.Salt
    assert found.at(salt.start + 2).path == "message.Salt"
    with pytest.raises(KeyError):
        found.span("message.Pepper")


def test_every_field_of_every_message_has_a_span() -> None:
    for row in FRAMES:
        found = parsed(bytes.fromhex(row["hex"]))
        paths = {span.path for span in found.spans}
        assert {f"message.{name}" for name in found.value._fields} - paths == set()


class TestEnd:
    def test_bytes_after_the_value_are_refused(self) -> None:
        found = read_frame(write_frame(Accept()) + b"x")
        assert isinstance(found, Rejected)
        assert (found.reason, found.path, found.offset) == (Reason.LEFTOVER, "", len(write_frame(Accept())))

    def test_bytes_after_the_value_are_allowed_with_prefix(self) -> None:
        data = write_frame(Accept())
        assert parsed(data + b"x", prefix=True).end == len(data)

    def test_leftover_inside_the_frame_is_refused_even_with_prefix(self) -> None:
        data = write_frame(Accept())
        longer = data[:2] + (len(data) - 6 + 1).to_bytes(4, "big") + data[6:] + b"x"
        found = read_frame(longer + b"more", prefix=True)
        assert isinstance(found, Rejected)
        assert (found.reason, found.offset) == (Reason.LEFTOVER, len(data))

    @pytest.mark.parametrize("n", range(len(write_frame(Accept()))))
    def test_every_proper_prefix_is_refused_at_its_end_or_before(self, n: int) -> None:
        found = read_frame(write_frame(Accept())[:n])
        assert isinstance(found, Rejected)
        assert found.reason is Reason.END_OF_DATA
        assert found.offset <= n

    def test_a_frame_ends_at_the_length_of_its_header(self) -> None:
        data = write_frame(Hello("s", "d"))
        short = data[:2] + (len(data) - 8).to_bytes(4, "big") + data[6:]
        found = read_frame(short, prefix=True)
        assert isinstance(found, Rejected)
        assert found.reason is Reason.END_OF_DATA


class TestContext:
    SCHEMA = edf.schemas(CONTEXT.registry).value

    def test_two_contexts_are_independent(self) -> None:
        one, two = (Registry([Struct("#x/S", (("A", kind),))]) for kind in (t.INT8, t.INT16))
        for registry, width in ((one, 1), (two, 2), (one, 1)):
            found = edf.decode(b"\x83\0\4#x/S\0\7", edf.EdfContext(registry), prefix=True)
            assert isinstance(found, Parsed)
            assert found.end == 7 + width

    def test_a_schema_without_context_reads_without_one(self) -> None:
        found = parse(
            combinators.Fields("a" / combinators.U8, "b" / combinators.CountedText(combinators.U16)), b"\1\0\2hi"
        )
        assert isinstance(found, Parsed)
        assert found.value == {"a": 1, "b": "hi"}


def test_refusals_of_bytes_and_values_have_paths() -> None:
    data = bytearray(frame_of("Introduce" if any(r["group"] == "Introduce" for r in FRAMES) else "MessageIntroduce"))
    found = parsed(bytes(data))
    at = found.span("message.Flags").start
    data[at + 3] = 3
    refusal = read_frame(bytes(data))
    assert isinstance(refusal, Rejected)
    assert refusal.path.startswith("message")
    assert str(refusal).endswith(f"offset {refusal.offset}")


def test_cannot_encode_has_the_path_of_the_wrong_field() -> None:
    with pytest.raises(CannotEncode) as caught:
        build(FRAME, Hello("s", 5), CONTEXT)  # type: ignore[arg-type]
    assert caught.value.path == "message.Digest"


@pytest.mark.parametrize("message", ["text", None, ehs.Version("a")])
def test_only_the_four_messages_are_read(message: Any) -> None:
    payload = edf.encode(message, edf.EdfContext(CONTEXT.registry)) if message is not None else b"\xff"
    found = read_frame(b"\x57\1" + len(payload).to_bytes(4, "big") + payload)
    assert isinstance(found, Rejected)
    assert (found.reason, found.path, found.offset) == (Reason.UNEXPECTED, "message", 6)


def test_a_body_has_65535_bytes_at_most() -> None:
    name = len(write_frame(Hello("", ""))) - 6
    longest = Hello("s" * (65_535 - name), "")
    assert len(write_frame(longest)) == 6 + 65_535
    assert parsed(write_frame(longest)).value == longest
    with pytest.raises(CannotEncode, match="65,536"):
        write_frame(longest._replace(Digest="d"))


def test_the_size_of_a_frame_needs_a_complete_header() -> None:
    data = write_frame(Accept())
    assert [frame_size(data[:n]) for n in range(7)] == [None] * 6 + [len(data)]


@pytest.mark.parametrize("rule", ehs.Digest, ids=lambda rule: str(rule.name))
def test_a_digest_is_sha256_of_its_parts_and_the_fingerprint(rule: ehs.Digest) -> None:
    import hashlib

    facts = {part: f"<{part}>" for part in rule.parts}
    text = ":".join(facts.values()).encode() + (b"F" * 20 if rule.fingerprint else b"")
    assert digest(rule, fingerprint=b"F" * 20, **facts) == hashlib.sha256(text).hexdigest()
    with pytest.raises(KeyError):
        digest(rule)


class TestStream:
    def test_frames_are_read_up_to_another_protocol(self) -> None:
        frames = [write_frame(Hello("s", "d")), write_frame(Accept())]
        read = read_handshake(b"".join(frames) + b"\x4e\1rest")
        assert [type(p.value) for p in read.frames] == [Hello, Accept]
        assert read.starts == (0, len(frames[0]))
        assert read.end == len(b"".join(frames))
        assert read.refusal is None

    def test_reading_ends_at_a_malformed_frame(self) -> None:
        good = write_frame(Accept())
        read = read_handshake(good + good[:-1])
        assert len(read.frames) == 1
        assert read.end == len(good)
        assert read.refusal is not None
        assert read.refusal.reason is Reason.END_OF_DATA

    def test_another_protocol_from_the_start_is_refused(self) -> None:
        refusal = read_handshake(b"\x4e\1\0\0\0\0").refusal
        assert refusal is not None
        assert refusal.reason is Reason.MAGIC

    def test_empty_input_is_refused(self) -> None:
        assert read_handshake(b"").frames == ()


def test_an_error_of_a_plain_construct_is_a_refusal() -> None:
    assert isinstance(parse(construct.Const(b"x"), b"y"), Rejected)
