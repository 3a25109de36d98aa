"""Corrupted frames: both readers return the same reason and offset."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Algorithm, FrameType
from ergo_conformance.reference_node.ergo.enp.compression import uncompress
from ergo_conformance.spec import Parsed
from ergo_conformance.spec.ergo import enp as spec_enp
from ergo_conformance.spec.ergo.edf import EdfContext
from ergo_conformance.spec.ergo.stream import read_one
from tests.edf.strategies import fixed

from .codecs import agreed, judged, node_reads, node_writes, slowly_reads
from .strategies import CACHES, PLAIN, REGISTRY, TABLES, frames

PLAIN_CACHES = TABLES["plain"]
GOOD = {type_: node_writes(frame, caches=PLAIN_CACHES) for type_, frame in PLAIN.items()}
every_frame = pytest.mark.parametrize("type_", FrameType, ids=lambda type_: type_.name)


def corruptions(data: bytes) -> Iterator[bytes]:
    """Returns one corruption per byte; the length field is corrected if bytes were added or removed."""
    for i, byte in enumerate(data):
        for other in {byte ^ 1, byte ^ 0x80, (byte - 1) % 256, 255} - {byte}:
            yield data[:i] + bytes([other]) + data[i + 1 :]
        for cut in (data[:i], data[:i] + data[i + 1 :], *(data[:i] + x + data[i:] for x in (b"\0", b"\x84"))):
            yield cut
            yield sized(cut)


def sized(data: bytes) -> bytes:
    """Returns a frame with correct length field."""
    return data[:2] + len(data).to_bytes(4, "big") + data[6:] if len(data) >= enp.HEADER_LENGTH else data


@every_frame
def test_corruption_of_each_byte(type_: FrameType) -> None:
    for corrupt in corruptions(GOOD[type_]):
        agreed(corrupt, caches=PLAIN_CACHES)


@every_frame
@fixed(8)
@given(data=st.data())
def test_corruption_of_one_field(type_: FrameType, data: st.DataObject) -> None:
    good = node_writes(data.draw(frames(type_)), caches=CACHES)
    parsed = spec_enp.read_frame(good, EdfContext(REGISTRY, CACHES))
    assert isinstance(parsed, Parsed)
    start, end = data.draw(st.sampled_from(list(dict.fromkeys((start, end) for _, start, end in parsed.found))))
    patch = data.draw(st.binary(max_size=min(end - start + 1, 20)))
    for part in (patch, good[start:end] * 2):
        corrupt = good[:start] + part + good[end:]
        agreed(corrupt, caches=CACHES)
        agreed(sized(corrupt), caches=CACHES)


@fixed(60)
@given(data=st.binary(max_size=60))
def test_random_bytes(data: bytes) -> None:
    agreed(data, caches=CACHES)


@every_frame
@fixed(8)
@given(body=st.binary(max_size=60))
def test_random_body(type_: FrameType, body: bytes) -> None:
    agreed(sized(bytes([enp.MAGIC, enp.VERSION, 0, 0, 0, 0, 1, type_]) + body), caches=CACHES)


def test_every_byte_as_frame_type() -> None:
    data = GOOD[FrameType.MESSAGE_PID]
    verdicts = [agreed(data[:7] + bytes([byte]) + data[8:], caches=PLAIN_CACHES) for byte in range(256)]
    unknown = {byte for byte, verdict in enumerate(verdicts) if verdict == (Reason.UNKNOWN_FRAME, "", 7)}
    assert unknown == {*range(256)} - {*FrameType}
    assert unknown >= {*enp.RESERVED, *enp.NEWEST_TYPES}


@every_frame
def test_every_proper_prefix_is_refused(type_: FrameType) -> None:
    """Tests each prefix unchanged, and with a header whose length matches it."""
    good = GOOD[type_]
    for n in range(len(good)):
        assert agreed(good[:n], caches=PLAIN_CACHES).reason is Reason.END_OF_DATA
        if n >= enp.HEADER_LENGTH and not (
            type_ is FrameType.COMPRESSED and n >= 13
        ):  # every stream is accepted at this level
            assert agreed(sized(good[:n]), caches=PLAIN_CACHES).reason in (Reason.END_OF_DATA, Reason.COUNT)


@every_frame
def test_a_byte_after_the_value_is_refused_at_its_offset(type_: FrameType) -> None:
    longer = sized(GOOD[type_] + b"\0")
    verdict = agreed(longer, caches=PLAIN_CACHES)
    if type_ is not FrameType.COMPRESSED:
        assert (verdict.reason, verdict.offset) == (Reason.LEFTOVER, len(longer) - 1)
    behind = agreed(GOOD[type_] + b"\0", caches=PLAIN_CACHES)
    assert (behind.reason, behind.offset) == (Reason.LEFTOVER, len(GOOD[type_]))


# --- reasons, paths and offsets of refusals ---------------------------------------------------------------------------


def refused(type_: FrameType, start: int, end: int, by: bytes) -> tuple[Any, Any]:
    """Returns the refusals of both readers for a frame with bytes replaced at one offset."""
    corrupt = sized(GOOD[type_][:start] + by + GOOD[type_][end:])
    return agreed(corrupt, caches=PLAIN_CACHES), judged(lambda: node_reads(corrupt, caches=PLAIN_CACHES))[0]


@pytest.mark.parametrize(
    ("type_", "start", "end", "by", "wanted"),
    [
        (FrameType.MESSAGE_NAME_CACHE, 25, 27, "0101", (Reason.UNKNOWN_ID, "MESSAGE_NAME_CACHE.to_name", 25)),
        (FrameType.EVENT_CACHE, 25, 27, "0001", (Reason.UNKNOWN_ID, "EVENT_CACHE.name", 25)),
        (FrameType.REQUEST_NAME_CACHE, 41, 43, "ffff", (Reason.UNKNOWN_ID, "REQUEST_NAME_CACHE.to_name", 41)),
        (FrameType.TERMINATE_NAME_CACHE, 9, 11, "0000", (Reason.UNKNOWN_ID, "TERMINATE_NAME_CACHE.name", 9)),
        (FrameType.EXIT, 25, 99, "960000000000000001", (Reason.UNEXPECTED, "EXIT.reason", 25)),
        (FrameType.TERMINATE_PID, 17, 99, "8d0000", (Reason.UNEXPECTED, "TERMINATE_PID.reason", 17)),
        (FrameType.TERMINATE_ALIAS, 33, 99, "9cffff", (Reason.UNEXPECTED, "TERMINATE_ALIAS.reason", 33)),
        (FrameType.RESPONSE_ERROR, 49, 99, "04", (Reason.UNEXPECTED, "RESPONSE_ERROR.outcome", 49)),
        (FrameType.RESPONSE_ERROR, 49, 99, "ff8d0000", (Reason.UNEXPECTED, "RESPONSE_ERROR.outcome.error", 50)),
        (FrameType.CONTROL, 8, 999, "8d0000", (Reason.UNEXPECTED, "CONTROL.message", 8)),
        (FrameType.CONTROL, 8, 999, "00", (Reason.UNKNOWN_TAG, "CONTROL.message", 8)),
        (FrameType.MESSAGE_PID, 33, 99, "8200029d849d0000000100", (Reason.UNKNOWN_TAG, "MESSAGE_PID.payload[0]", 43)),
        (FrameType.MESSAGE_NAME, 25, 99, "056f6e6c79", (Reason.END_OF_DATA, "MESSAGE_NAME.to_name", 26)),
    ],
)  # fmt: skip
def test_a_refusal_names_field_and_offset(type_: FrameType, start: int, end: int, by: str, wanted: Any) -> None:
    by_spec, by_node = refused(type_, start, end, bytes.fromhex(by))
    assert tuple(by_spec) == wanted
    assert by_node[0] is wanted[0]
    assert by_node.offset == wanted[2]
    assert by_node.path.split(".")[:2] == wanted[1].split(".")[:2]


@every_frame
@fixed(10)
@given(data=st.data())
def test_the_slow_reader_gives_the_verdict_of_the_fast_one(type_: FrameType, data: st.DataObject) -> None:
    good = node_writes(data.draw(frames(type_)), caches=CACHES)
    at = data.draw(st.integers(enp.HEADER_LENGTH, len(good) - 1))
    corrupt = good[:at] + data.draw(st.binary(min_size=1, max_size=1)) + good[at + 1 :]
    fast, slow = (judged(partial(read, corrupt, caches=CACHES)) for read in (node_reads, slowly_reads))
    assert fast[0] == slow[0]
    assert repr(fast[1]) == repr(slow[1])


# --- compressed frames ------------------------------------------------------------------------------------------------


def unpacked(data: bytes) -> tuple[Reason | None, Reason | None]:
    """Returns the verdicts of both readers on a compressed frame and its inner frame."""

    def by_node() -> Any:
        outer = node_reads(data, caches=CACHES)
        return node_reads(uncompress(outer, enp.max_unpacked(len(outer.stream))), caches=CACHES)

    by_spec = read_one(data, 0, EdfContext(REGISTRY, CACHES))
    return judged(by_node)[0].reason, by_spec.reason if isinstance(by_spec, Rejected) else None


def compressed(inner: bytes, algorithm: Algorithm = Algorithm.ZLIB) -> bytes:
    return node_writes(spec_enp.pack(inner, algorithm, 0))


@pytest.mark.parametrize("algorithm", Algorithm, ids=lambda algorithm: algorithm.name)
def test_corruption_of_each_byte_of_a_compressed_frame(algorithm: Algorithm) -> None:
    good = compressed(GOOD[FrameType.MESSAGE_NAME], algorithm)
    assert unpacked(good) == (None, None)
    for corrupt in map(sized, corruptions(good)):
        if corrupt[7:8] == bytes([FrameType.COMPRESSED]):
            by_node, by_spec = unpacked(corrupt)
            assert by_node is by_spec, corrupt.hex()


@pytest.mark.parametrize(
    "type_", [FrameType.MESSAGE_NAME, FrameType.RESPONSE, FrameType.COMPRESSED], ids=lambda t: t.name
)
def test_corruption_of_each_byte_of_the_inner_frame(type_: FrameType) -> None:
    for corrupt in corruptions(GOOD[type_]):
        by_node, by_spec = unpacked(compressed(corrupt))
        assert by_node is by_spec, corrupt.hex()


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        (GOOD[FrameType.MESSAGE_NAME], None),
        (b"", Reason.LENGTH),
        (GOOD[FrameType.MESSAGE_NAME][:7], Reason.LENGTH),
        (GOOD[FrameType.MESSAGE_NAME][:8], Reason.END_OF_DATA),
        (GOOD[FrameType.MESSAGE_NAME][:-1], Reason.END_OF_DATA),
        (GOOD[FrameType.MESSAGE_NAME] + b"\0", Reason.LEFTOVER),
        (b"\x57" + GOOD[FrameType.MESSAGE_NAME][1:], Reason.MAGIC),
        (b"\x4e\2" + GOOD[FrameType.MESSAGE_NAME][2:], Reason.MAGIC),
        (b"\x4e\1\0\0\0\7\0\x65", Reason.LENGTH),
        (b"\x4e\1\0\0\0\x08\0\xca", Reason.UNKNOWN_FRAME),
        (compressed(GOOD[FrameType.MESSAGE_NAME]), Reason.COMPRESSION),
        (b"\x4e\1\0\0\0\x08\0\xc8", Reason.COMPRESSION),
    ],
    ids=lambda part: part.hex()[:40] if isinstance(part, bytes) else part and part.name,
)
def test_inner_frame_is_accepted_or_refused_with_its_reason(inner: bytes, reason: Reason | None) -> None:
    for algorithm in Algorithm:
        assert unpacked(compressed(inner, algorithm)) == (reason, reason)
