"""Compressed frames: round trip of each algorithm, refusals with reasons, and the cost of wrong lengths."""

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Algorithm, Compressed, CompressionLevel, FrameType
from ergo_conformance.reference_node.api.messages import Compression
from ergo_conformance.reference_node.ergo.enp import lzw
from ergo_conformance.reference_node.ergo.enp.compression import compress, uncompress
from ergo_conformance.spec.ergo.enp import pack, unpack
from tests.edf.strategies import fixed

from .codecs import node_reads, node_writes, spec_reads, spec_writes
from .strategies import PLAIN, TABLES, frames
from .vectors import COMPRESSED, compressed_of

Unpack = Callable[[Compressed, int], bytes]

FRAME = node_writes(PLAIN[FrameType.MESSAGE_PID]._replace(payload="hi" * 800))
GIB = 1 << 30


def by_spec(frame: Compressed, limit: int = enp.MAX_UNLIMITED) -> bytes:
    found = unpack(frame, limit)
    if isinstance(found, Rejected):
        raise found
    return found


UNPACK: dict[str, Unpack] = {"node": uncompress, "spec": by_spec}
STREAMS: dict[Algorithm, Callable[[bytes], bytes]] = {
    Algorithm.LZW: lzw.pack,
    Algorithm.ZLIB: zlib.compress,
    Algorithm.GZIP: gzip.compress,
}
unpackers = pytest.mark.parametrize("unpack", UNPACK.values(), ids=list(UNPACK))
algorithms = pytest.mark.parametrize("algorithm", Algorithm, ids=lambda algorithm: algorithm.name)


def frame_of(algorithm: int, data: bytes, length: int | None = None) -> Compressed:
    """Returns a compressed frame; `length`: the announced length."""
    stream = STREAMS.get(algorithm, zlib.compress)(data)  # type: ignore[call-overload]
    return Compressed(7, algorithm, len(data) if length is None else length, stream)


def reason(unpack: Unpack, frame: Compressed, limit: int = enp.MAX_UNLIMITED) -> Reason:
    with pytest.raises(Rejected) as caught:
        unpack(frame, limit)
    return caught.value.reason


@unpackers
def test_an_unknown_algorithm_is_refused_at_its_offset(unpack: Unpack) -> None:
    with pytest.raises(Rejected) as caught:
        unpack(frame_of(7, FRAME), enp.MAX_UNLIMITED)
    assert (caught.value.reason, caught.value.offset) == (Reason.COMPRESSION, enp.HEADER_LENGTH)


# --- round trip -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", CompressionLevel, ids=lambda level: level.name)
@algorithms
def test_both_unpack_what_the_node_compresses(algorithm: Algorithm, level: CompressionLevel) -> None:
    data = compress(FRAME, Compression(algorithm, level))
    frame = node_reads(data)
    assert frame == spec_reads(data)
    assert (frame.order, frame.algorithm, frame.length) == (FRAME[6], algorithm, len(FRAME))
    assert {unpack(frame, len(FRAME)) for unpack in UNPACK.values()} == {FRAME}
    assert node_writes(frame) == spec_writes(frame) == data


@algorithms
def test_both_unpack_what_the_schema_packs(algorithm: Algorithm) -> None:
    frame = pack(FRAME, algorithm, 9)
    assert {unpack(frame, len(FRAME)) for unpack in UNPACK.values()} == {FRAME}
    assert pack(FRAME, algorithm, 9) == frame, "the same bytes on every run"


@pytest.mark.parametrize("level", CompressionLevel, ids=lambda level: level.name)
def test_sizes_of_levels_are_between_best_size_and_best_speed(level: CompressionLevel) -> None:
    small, fast = (
        len(compress(FRAME * 40, Compression(Algorithm.GZIP, at)))
        for at in (CompressionLevel.BEST_SIZE, CompressionLevel.BEST_SPEED)
    )
    assert small <= len(compress(FRAME * 40, Compression(Algorithm.GZIP, level))) <= fast


@algorithms
@fixed(15)
@given(data=st.data(), type_=st.sampled_from(sorted(enp.COMPRESSIBLE)))
def test_a_random_compressible_frame_is_compressed_and_unpacked(
    algorithm: Algorithm, data: st.DataObject, type_: FrameType
) -> None:
    inner = node_writes(data.draw(frames(type_, TABLES["plain"])), caches=TABLES["plain"])
    frame = node_reads(compress(inner, Compression(algorithm)))
    assert {unpack(frame, len(inner)) for unpack in UNPACK.values()} == {inner}


@pytest.mark.parametrize("row", COMPRESSED, ids=lambda row: row["id"])
def test_both_unpack_a_golden_stream_alike(row: Any) -> None:
    frame = compressed_of(row)
    assert uncompress(frame, frame.length) == by_spec(frame)


# --- corruption -------------------------------------------------------------------------------------------------------

CORRUPTIONS: dict[str, tuple[Callable[[Compressed], Compressed], Reason]] = {
    "announces one byte more": (lambda f: f._replace(length=f.length + 1), Reason.COMPRESSION),
    "announces one byte less": (lambda f: f._replace(length=f.length - 1), Reason.COMPRESSION),
    "announces nothing": (lambda f: f._replace(length=0), Reason.LENGTH),
    "announces less than a header": (lambda f: f._replace(length=7), Reason.LENGTH),
    "announces 4 GiB": (lambda f: f._replace(length=0xFFFF_FFFF), Reason.LENGTH),
    "announces the maximum": (lambda f: f._replace(length=GIB), Reason.COMPRESSION),
    "an unknown algorithm": (lambda f: f._replace(algorithm=99), Reason.COMPRESSION),
    "no stream": (lambda f: f._replace(stream=b""), Reason.COMPRESSION),
    "a stream without its last byte": (lambda f: f._replace(stream=f.stream[:-1]), Reason.COMPRESSION),
    "a byte after the stream": (lambda f: f._replace(stream=f.stream + b"\0"), Reason.COMPRESSION),
    "a second stream after the first": (lambda f: f._replace(stream=f.stream * 2), Reason.COMPRESSION),
    "a stream of noise": (lambda f: f._replace(stream=b"\xf7" * 40), Reason.COMPRESSION),
}


@pytest.mark.parametrize("corruption", CORRUPTIONS)
@algorithms
@unpackers
def test_a_corrupt_compressed_frame_is_refused(unpack: Unpack, algorithm: Algorithm, corruption: str) -> None:
    change, why = CORRUPTIONS[corruption]
    assert reason(unpack, change(frame_of(algorithm, FRAME))) is why


@algorithms
@unpackers
def test_the_limit_is_checked_before_decompression(unpack: Unpack, algorithm: Algorithm) -> None:
    frame = frame_of(algorithm, FRAME)
    assert unpack(frame, len(FRAME)) == FRAME
    assert reason(unpack, frame, len(FRAME) - 1) is Reason.LENGTH
    assert reason(unpack, frame._replace(stream=b"nothing at all"), len(FRAME) - 1) is Reason.LENGTH


@pytest.mark.parametrize("other", Algorithm, ids=lambda algorithm: algorithm.name)
@algorithms
@unpackers
def test_a_stream_of_another_algorithm_is_refused(unpack: Unpack, algorithm: Algorithm, other: Algorithm) -> None:
    frame = frame_of(algorithm, FRAME)._replace(algorithm=other)
    if other is algorithm:
        assert unpack(frame, GIB) == FRAME
    else:
        assert reason(unpack, frame) is Reason.COMPRESSION


@unpackers
def test_an_empty_last_block_is_part_of_the_stream(unpack: Unpack) -> None:
    """Go's writer produces this ending after Flush and Close (ENP-Z-2)."""
    packer = zlib.compressobj()
    stream = packer.compress(FRAME) + packer.flush(zlib.Z_SYNC_FLUSH) + packer.flush()
    assert unpack(Compressed(0, Algorithm.ZLIB, len(FRAME), stream), GIB) == FRAME


# --- cost -------------------------------------------------------------------------------------------------------------


def peak(work: Callable[[], Any]) -> int:
    """Returns the peak memory of a refusal, in bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(Rejected):
            work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@cache
def zeros(algorithm: Algorithm) -> bytes:
    """Returns a short stream of many zeros."""
    return STREAMS[algorithm](bytes(20_000_000 if algorithm is not Algorithm.LZW else 600_000))


@pytest.mark.parametrize("announced", [0xFFFF_FFFF, GIB + 1, 0, 7])
@algorithms
@unpackers
def test_an_impossible_length_allocates_nothing(unpack: Unpack, algorithm: Algorithm, announced: int) -> None:
    frame = Compressed(0, algorithm, announced, zeros(algorithm))
    assert peak(lambda: unpack(frame, GIB)) < 20_000


@algorithms
@unpackers
def test_decompression_of_a_bomb_stops_at_the_announced_length(unpack: Unpack, algorithm: Algorithm) -> None:
    """The stream contains far more than the announced length."""
    frame = Compressed(0, algorithm, 10_000, zeros(algorithm))
    assert peak(lambda: unpack(frame, GIB)) < 1_500_000


@algorithms
@unpackers
def test_an_announced_gibibyte_is_not_reserved(unpack: Unpack, algorithm: Algorithm) -> None:
    """The stream contains far less than the announced length."""
    frame = frame_of(algorithm, FRAME, GIB)
    assert peak(lambda: unpack(frame, GIB)) < 1_000_000


@algorithms
@unpackers
def test_a_bomb_above_the_limit_allocates_nothing(unpack: Unpack, algorithm: Algorithm) -> None:
    frame = Compressed(0, algorithm, 20_000_000, zeros(algorithm))
    assert peak(lambda: unpack(frame, 65_000)) < 20_000
