"""Framer: splits a byte stream into frames, independent of the chunks, with linear work."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model.ergo import ehs, enp
from ergo_conformance.model.ergo.enp import FrameType
from ergo_conformance.peers.corruption.frames import header
from ergo_conformance.reference_node.ergo.enp.framer import Framer

LIMIT = 1000


def frame(size: int, fill: int = 0) -> bytes:
    """Returns a frame of `size` bytes."""
    return header(FrameType.MESSAGE_PID, size) + bytes([fill]) * (size - enp.HEADER_LENGTH)


frames = st.lists(st.builds(frame, st.integers(enp.HEADER_LENGTH, 60), st.integers(0, 255)), max_size=6)
GOOD = frame(20, 1)


def frames_of(framer: Framer, chunks: list[bytes]) -> tuple[list[bytes], Rejected | None, int]:
    """Returns the frames, the refusal that ended the stream, and the number of bytes fed until then."""
    found: list[bytes] = []
    fed = 0
    for chunk in chunks:
        fed += len(chunk)
        try:
            found.extend(framer.feed(chunk))
        except Rejected as refusal:
            # extend() has taken the frames before the refusal
            return found, refusal, fed
    return found, None, fed


def chunked(data: bytes, places: list[int]) -> list[bytes]:
    """Splits bytes at these positions."""
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(ends)]


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@given(frames, st.lists(st.integers(0, 1000), max_size=20))
def test_any_split_gives_the_same_frames(whole: list[bytes], places: list[int]) -> None:
    framer = Framer(LIMIT)
    found, refusal, _ = frames_of(framer, chunked(b"".join(whole), places))
    assert (found, refusal) == (whole, None)
    assert framer.consumed == len(b"".join(whole))


@given(frames, st.integers(1, 59))
def test_an_unfinished_frame_is_buffered(whole: list[bytes], held: int) -> None:
    framer = Framer(LIMIT)
    last = frame(60, 7)
    for chunks in ([b"".join(whole) + last[:held]], [last[held:]]):
        found, refusal, _ = frames_of(framer, chunks)
        assert refusal is None
        assert found == (whole if chunks[0] != last[held:] else [last])


def test_empty_chunks_give_no_frames() -> None:
    framer = Framer(LIMIT)
    assert frames_of(framer, [b"", b""]) == ([], None, 0)
    assert frames_of(framer, [GOOD[:5], b"", GOOD[5:]])[0] == [GOOD]


def test_frames_have_the_type_bytes() -> None:
    [found] = Framer(LIMIT).feed(GOOD)
    assert type(found) is bytes


# --- refusals ---------------------------------------------------------------------------------------------------------

REFUSED = {
    "magic": (bytes([ehs.MAGIC]) + GOOD[1:], Reason.MAGIC, 1),
    "version": (GOOD[:1] + b"\x02" + GOOD[2:], Reason.MAGIC, 2),
    "length 0": (header(FrameType.MESSAGE_PID, 0), Reason.LENGTH, 8),
    "length 7": (header(FrameType.MESSAGE_PID, 7), Reason.LENGTH, 8),
    "above the limit": (header(FrameType.MESSAGE_PID, LIMIT + 1), Reason.LENGTH, 8),
    "4 GiB": (header(FrameType.MESSAGE_PID, 2**32 - 1), Reason.LENGTH, 8),
}
"""Bytes, reason of the refusal, and the number of bytes that suffice for it."""
refused = pytest.mark.parametrize(("data", "reason", "needed"), REFUSED.values(), ids=list(REFUSED))


@refused
@pytest.mark.parametrize("before", [0, 1, 3])
def test_the_frames_before_a_refusal_are_delivered(data: bytes, reason: Reason, needed: int, before: int) -> None:
    for chunks in ([GOOD * before + data], bytewise(GOOD * before + data)):
        found, refusal, _ = frames_of(Framer(LIMIT), chunks)
        assert found == [GOOD] * before
        assert refusal is not None
        assert (refusal.reason, refusal.offset) == (reason, len(GOOD) * before)


@refused
@pytest.mark.parametrize("before", [0, 2])
def test_a_frame_is_refused_at_the_first_invalid_byte(data: bytes, reason: Reason, needed: int, before: int) -> None:
    start = len(GOOD) * before
    _, refusal, fed = frames_of(Framer(LIMIT), bytewise(GOOD * before + data))
    assert refusal is not None
    assert fed == start + needed
    _, refusal, fed = frames_of(Framer(LIMIT), [GOOD * before + data[:needed]])
    assert refusal is not None


def test_a_frame_of_the_maximum_length_is_allowed() -> None:
    assert frames_of(Framer(LIMIT), [frame(LIMIT)])[:2] == ([frame(LIMIT)], None)


def test_a_refusal_has_value_and_allowed_range() -> None:
    _, refusal, _ = frames_of(Framer(LIMIT), [header(FrameType.MESSAGE_PID, LIMIT + 1)])
    assert str(refusal) == "length out of range (1,001, allowed 8 to 1,000) at length, offset 0"
    _, refusal, _ = frames_of(Framer(LIMIT), [b"GET / HTTP/1.1"])
    assert str(refusal) == "wrong magic or version (4745, expected 4e01), offset 0"


# --- long frames ------------------------------------------------------------------------------------------------------


def allocated_bytes(size: int, chunk: int) -> int:
    """Returns the bytes of memory that a framer allocates, chunk by chunk, for one frame of this size."""
    data, framer, total = frame(size), Framer(enp.MAX_UNLIMITED), 0
    found: list[bytes] = []
    tracemalloc.start()
    try:
        for at in range(0, size, chunk):
            piece = data[at : at + chunk]
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            found.extend(framer.feed(piece))
            total += tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert found == [data]
    return total


def test_the_bytes_of_a_long_frame_are_copied_once() -> None:
    """If each chunk joined them, eight times the length would allocate 64 times the bytes."""
    short, long = allocated_bytes(1 << 16, 256), allocated_bytes(1 << 19, 256)
    assert 1 << 19 < long < 9 * short


def test_no_memory_is_reserved_for_an_announced_length() -> None:
    framer = Framer(enp.MAX_UNLIMITED)
    assert frames_of(framer, [header(FrameType.MESSAGE_PID, enp.MAX_UNLIMITED)])[1] is None
    assert sum(map(len, framer._chunks)) == enp.HEADER_LENGTH
