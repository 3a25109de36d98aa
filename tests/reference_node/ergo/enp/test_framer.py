"""Cutting a stream into frames: however the bytes come, the frames are the same and the work is linear."""

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
    """A frame of so many bytes."""
    return header(FrameType.MESSAGE_PID, size) + bytes([fill]) * (size - enp.HEADER_LENGTH)


frames = st.lists(st.builds(frame, st.integers(enp.HEADER_LENGTH, 60), st.integers(0, 255)), max_size=6)
GOOD = frame(20, 1)


def cut_by(framer: Framer, chunks: list[bytes]) -> tuple[list[bytes], Rejected | None, int]:
    """The frames, the refusal that ended it, and the number of bytes that were fed until then."""
    found: list[bytes] = []
    fed = 0
    for chunk in chunks:
        fed += len(chunk)
        try:
            found.extend(framer.feed(chunk))
        except Rejected as refusal:
            # what came before the refusal was delivered: extend() has taken it
            return found, refusal, fed
    return found, None, fed


def chunked(data: bytes, places: list[int]) -> list[bytes]:
    """Bytes in pieces that end at these places."""
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(ends)]


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


@given(frames, st.lists(st.integers(0, 1000), max_size=20))
def test_any_split_gives_the_same_frames(whole: list[bytes], places: list[int]) -> None:
    framer = Framer(LIMIT)
    found, refusal, _ = cut_by(framer, chunked(b"".join(whole), places))
    assert (found, refusal) == (whole, None)
    assert framer.consumed == len(b"".join(whole))


@given(frames, st.integers(1, 59))
def test_an_unfinished_frame_is_kept_back(whole: list[bytes], held: int) -> None:
    framer = Framer(LIMIT)
    last = frame(60, 7)
    for chunks in ([b"".join(whole) + last[:held]], [last[held:]]):
        found, refusal, _ = cut_by(framer, chunks)
        assert refusal is None
        assert found == (whole if chunks[0] != last[held:] else [last])


def test_nothing_is_nothing() -> None:
    framer = Framer(LIMIT)
    assert cut_by(framer, [b"", b""]) == ([], None, 0)
    assert cut_by(framer, [GOOD[:5], b"", GOOD[5:]])[0] == [GOOD]


def test_frames_are_bytes_of_their_own() -> None:
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
"""Bytes, why they are refused, and how many of them suffice to see it."""
refused = pytest.mark.parametrize(("data", "reason", "needed"), REFUSED.values(), ids=list(REFUSED))


@refused
@pytest.mark.parametrize("before", [0, 1, 3])
def test_the_frames_before_a_refusal_are_delivered(data: bytes, reason: Reason, needed: int, before: int) -> None:
    for chunks in ([GOOD * before + data], bytewise(GOOD * before + data)):
        found, refusal, _ = cut_by(Framer(LIMIT), chunks)
        assert found == [GOOD] * before
        assert refusal is not None
        assert (refusal.reason, refusal.offset) == (reason, len(GOOD) * before)


@refused
@pytest.mark.parametrize("before", [0, 2])
def test_a_refusal_comes_with_the_first_byte_that_shows_it(
    data: bytes, reason: Reason, needed: int, before: int
) -> None:
    start = len(GOOD) * before
    _, refusal, fed = cut_by(Framer(LIMIT), bytewise(GOOD * before + data))
    assert refusal is not None
    assert fed == start + needed
    _, refusal, fed = cut_by(Framer(LIMIT), [GOOD * before + data[:needed]])
    assert refusal is not None


def test_the_limit_itself_is_allowed() -> None:
    assert cut_by(Framer(LIMIT), [frame(LIMIT)])[:2] == ([frame(LIMIT)], None)


def test_what_is_refused_is_said() -> None:
    _, refusal, _ = cut_by(Framer(LIMIT), [header(FrameType.MESSAGE_PID, LIMIT + 1)])
    assert str(refusal) == "length out of range (1,001, allowed 8 to 1,000) at length, offset 0"
    _, refusal, _ = cut_by(Framer(LIMIT), [b"GET / HTTP/1.1"])
    assert str(refusal) == "wrong magic or version (4745, expected 4e01), offset 0"


# --- long frames ------------------------------------------------------------------------------------------------------


def allocated(size: int, chunk: int) -> int:
    """Bytes of memory that a framer asks for, chunk by chunk, until it has one frame of this size."""
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


def test_the_bytes_of_a_long_frame_are_copied_once_however_many_chunks_bring_them() -> None:
    """Were they joined at each chunk, eight times the length would take 64 times the bytes."""
    short, long = allocated(1 << 16, 256), allocated(1 << 19, 256)
    assert 1 << 19 < long < 9 * short


def test_nothing_is_reserved_for_an_announced_length() -> None:
    framer = Framer(enp.MAX_UNLIMITED)
    assert cut_by(framer, [header(FrameType.MESSAGE_PID, enp.MAX_UNLIMITED)])[1] is None
    assert sum(map(len, framer._chunks)) == enp.HEADER_LENGTH
