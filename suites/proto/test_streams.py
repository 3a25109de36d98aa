"""Compressed streams that lack their end or their checksum, are nested, or follow a malformed stream."""

import zlib
from collections.abc import Callable

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Algorithm
from ergo_conformance.spec.ergo.enp import pack
from ergo_conformance.testing import AGENTS, ORDER, Context, Peer, case

TEXT = "The quick brown fox jumps over the lazy dog. " * 100
ALGORITHMS = {algorithm.name.lower(): algorithm for algorithm in Algorithm}
TRAILER = {Algorithm.ZLIB: 4, Algorithm.GZIP: 8}
"""Bytes behind the compressed data: a checksum, and for gzip the length."""
LEVELS = 300
"""Levels of compression that no bound allows."""


def message(peer: Peer, payload: object = TEXT) -> bytes:
    """Returns a message to `echo`, uncompressed."""
    return peer.data_of(peer.message("echo", payload))


def flushed(data: bytes, algorithm: Algorithm) -> bytes:
    """Returns a stream from which all data can be decompressed and that does not end."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | (16 if algorithm is Algorithm.GZIP else 0))
    return packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)


def with_bit(stream: bytes, at: int) -> bytes:
    """Returns a stream with one bit of the byte at this place inverted."""
    bad = bytearray(stream)
    bad[at] ^= 1
    return bytes(bad)


Spoil = Callable[[bytes, bytes, Algorithm], bytes]
SPOILT: dict[str, Spoil] = {
    "last_byte_missing": lambda stream, _, __: stream[:-1],
    "trailer_missing": lambda stream, _, algorithm: stream[: -TRAILER[algorithm]],
    "half_a_trailer": lambda stream, _, algorithm: stream[: -TRAILER[algorithm] // 2],
    "wrong_checksum": lambda stream, _, algorithm: with_bit(stream, -TRAILER[algorithm]),
    "never_ends": lambda _, data, algorithm: flushed(data, algorithm),
}


@pytest.mark.parametrize("how", list(SPOILT))
@pytest.mark.parametrize("name", ["zlib", "gzip"])
@case("ENP-Z-4", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_incomplete(ergo_context: Context, name: str, how: str) -> None:
    """A target drops a {name} stream that has all its data and no valid end ({how}); the socket stays open."""
    peer = await ergo_context.peer()
    data, algorithm = message(peer), ALGORITHMS[name]
    stream = SPOILT[how](pack(data, algorithm, ORDER).stream, data, algorithm)
    peer.send_bytes(peer.compress(data, algorithm, stream=stream), f"a {name} message: {how.replace('_', ' ')}")
    await peer.expect_none(lambda f: isinstance(f, enp.MessagePID), "message from an incomplete stream", within=0.05)


@case("ENP-Z-4", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_wrong_length_of_gzip(ergo_context: Context) -> None:
    """A target drops a gzip stream whose trailer has another length than its data; the socket stays open."""
    peer = await ergo_context.peer()
    data = message(peer)
    stream = with_bit(pack(data, Algorithm.GZIP, ORDER).stream, -4)
    peer.send_bytes(peer.compress(data, Algorithm.GZIP, stream=stream), "a gzip message with a wrong length behind it")
    await peer.expect_none(lambda f: isinstance(f, enp.MessagePID), "message from a malformed stream", within=0.05)


@pytest.mark.parametrize("missing", [1, 2, 20], ids=lambda n: f"{n}_bytes")
@case("ENP-Z-4", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_incomplete_lzw(ergo_context: Context, missing: int) -> None:
    """A target drops an LZW stream whose last {missing} bytes are missing, the end code among them; the socket stays open."""
    peer = await ergo_context.peer()
    data = message(peer)
    stream = pack(data, Algorithm.LZW, ORDER).stream[:-missing]
    peer.send_bytes(peer.compress(data, Algorithm.LZW, stream=stream), f"an LZW message, {missing} bytes missing")
    await peer.expect_none(lambda f: isinstance(f, enp.MessagePID), "message from an incomplete stream", within=0.05)


@pytest.mark.parametrize("name", list(ALGORITHMS))
@case("ENP-Z-4", "ENP-Z-1", offers=AGENTS, hostile=True)
async def test_good_after_malformed(ergo_context: Context, name: str) -> None:
    """A target delivers a message compressed with {name} after a malformed stream of the same algorithm."""
    peer = await ergo_context.peer()
    data, algorithm = message(peer), ALGORITHMS[name]
    for round_ in range(3):
        stream = pack(data, algorithm, ORDER).stream
        peer.send_bytes(peer.compress(data, algorithm, stream=stream[: len(stream) // 2]), "half a compressed message")
        peer.send_frame(peer.message("echo", [round_, TEXT]), algorithm=algorithm)
        received = (await peer.receive_message()).value
        peer.check(
            received.payload == [round_, TEXT], f"{received.payload!r:.60}", f"the message {round_} and its text"
        )


@case("ROB-ENP-6", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_nesting_is_bounded(ergo_context: Context) -> None:
    """A target drops a message that is compressed three hundred times; the socket stays open."""
    peer = await ergo_context.peer()
    data = message(peer, "hello")
    for _ in range(LEVELS):
        data = peer.data_of(enp.Compressed(ORDER, Algorithm.ZLIB, len(data), zlib.compress(data, 0)))
    peer.send_bytes(data, f"a message, compressed {LEVELS} times")
    await peer.expect_none(lambda f: isinstance(f, enp.MessagePID), f"message from {LEVELS} levels")
