"""Compressed frames: the inner frame is handled like any other frame; malformed ones are dropped in bounded memory."""

import gzip
import zlib
from collections.abc import Callable

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import NO_CACHES
from ergo_conformance.model.ergo.enp import IMPORTANT, Algorithm, Code, FrameType
from ergo_conformance.peers.corruption.frames import (
    ORDER_OFFSET,
    TYPE_OFFSET,
    UNKNOWN_PROCESS,
    header,
    valid_frame,
    with_length,
)
from ergo_conformance.spec.ergo.enp import pack
from ergo_conformance.testing import AGENTS, ANNOUNCED, ORDER, PROCESS, Context, Peer, case

ALGORITHMS = {algorithm.name.lower(): algorithm for algorithm in Algorithm}
algorithms = pytest.mark.parametrize("name", list(ALGORITHMS))
TEXT = "The quick brown fox jumps over the lazy dog. " * 100
LARGEST = 2**32 - 1
SLOW_MACHINE = 25.0
"""Seconds within which any machine clears 4 GiB of memory."""


def message(peer: Peer, payload: object = TEXT) -> bytes:
    """Returns a message to `echo`, uncompressed."""
    return peer.data_of(peer.message("echo", payload))


async def echoed(peer: Peer, payload: object = TEXT) -> None:
    """Checks that the payload comes back from `echo`."""
    received = (await peer.receive_message()).value
    peer.check_equal(received.payload, payload, "the payload that was sent")


async def dropped(peer: Peer, data: bytes, description: str) -> None:
    """Checks that the bytes of a compressed frame deliver nothing and the connection stays open."""
    peer.send_bytes(data, description)
    await peer.expect_none(
        lambda frame: isinstance(frame, enp.MessagePID), "message from a frame that cannot be decompressed", within=0.05
    )


# --- valid compressed frames ------------------------------------------------------------------------------------------


@algorithms
@pytest.mark.parametrize("by", ["pid", "name", "cached_name"])
@case("ENP-Z-1", "ENP-Z-2", "ENP-T-200", offers=AGENTS)
async def test_unpacked(ergo_context: Context, by: str, name: str) -> None:
    """A target delivers a message and a call by {by} that are compressed with {name} to `echo`."""
    algorithm = ALGORITHMS[name]
    peer = await ergo_context.peer(caches=ANNOUNCED if by == "cached_name" else NO_CACHES)
    echo = await peer.echo_id() if by == "pid" else "echo"
    peer.send_frame(peer.message(echo, TEXT), algorithm=algorithm)
    await echoed(peer)
    ref = peer.new_ref()
    peer.send_frame(peer.request(echo, TEXT, ref), algorithm=algorithm)
    answer = (await peer.answer(ref)).value
    peer.check(getattr(answer, "payload", None) == TEXT, answer, "a Response with the text that was sent")


@algorithms
@case("ENP-Z-1", "ENP-Z-2", offers=AGENTS)
async def test_sizes(ergo_context: Context, name: str) -> None:
    """A target decompresses frames of any size with {name}, including small and incompressible ones."""
    peer = await ergo_context.peer()
    for size in (0, 1, 5_000, 30_000):
        payload = ergo_context.rng.randbytes(size)
        peer.send_frame(peer.message("echo", payload), algorithm=ALGORITHMS[name])
        await echoed(peer, payload)


@pytest.mark.parametrize("name", ["zlib", "gzip"])
@case("ENP-Z-1", offers=AGENTS)
async def test_levels(ergo_context: Context, name: str) -> None:
    """A target decompresses a {name} stream of any level and with an empty stored block before its end, as upstream writes."""
    algorithm = ALGORITHMS[name]
    peer = await ergo_context.peer()
    data = message(peer)
    for level in (0, 1, 9):
        packer = zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS | (16 if algorithm is Algorithm.GZIP else 0))
        stream = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH) + packer.flush()
        peer.send_bytes(peer.compress(data, algorithm, stream=stream), f"a message, {algorithm.name} of level {level}")
        await echoed(peer)


@pytest.mark.parametrize("by", ["pid", "name", "cached_name"])
@case("ENP-IMP-2", "ENP-IMP-7", "ENP-Z-1", offers=AGENTS)
async def test_important_message(ergo_context: Context, by: str) -> None:
    """A target acknowledges a compressed important message by {by} with the message's id."""
    peer = await ergo_context.peer(caches=ANNOUNCED if by == "cached_name" else NO_CACHES)
    echo = await peer.echo_id() if by == "pid" else "echo"
    mid = peer.new_ref()[0]
    peer.send_frame(peer.message(echo, TEXT, mid=mid), algorithm=Algorithm.ZLIB)
    ack = await peer.wait_for(lambda f: isinstance(f, enp.ResponseError), "an acknowledgement")
    found = (ack.value.ref, ack.value.code)
    peer.check(found == ((mid, 0, 0), Code.DELIVERED), ack.value, f"code 0 with ref ({mid}, 0, 0)")


@case("ENP-Z-1", "ENP-IMP-4", offers=AGENTS)
async def test_important_request(ergo_context: Context) -> None:
    """A target answers a compressed important request to an unknown process with the request's reference."""
    peer = await ergo_context.peer()
    ref = (1, 2, 3)
    peer.send_frame(enp.RequestPID(ORDER, PROCESS, IMPORTANT, ref, UNKNOWN_PROCESS, TEXT), algorithm=Algorithm.LZW)
    answer = (await peer.answer(ref)).value
    peer.check(getattr(answer, "code", None) == Code.PROCESS_UNKNOWN, answer, "a ResponseError with code 1")


@case("ENP-Z-1", "ENP-ORD-4", offers=AGENTS)
async def test_order_of_plain_and_compressed(ergo_context: Context) -> None:
    """A target delivers compressed and plain messages of one sender in order."""
    peer = await ergo_context.peer()
    for i in range(100):
        if i % 3:
            peer.send("echo", [i, TEXT])
        else:
            peer.send_frame(peer.message("echo", [i, TEXT]), algorithm=list(Algorithm)[i % 9 // 3])
    found = [(await peer.receive_message()).value.payload[0] for _ in range(100)]
    peer.check(found == list(range(100)), found, "0 to 99 in order")


@case("ENP-ORD-7", "ENP-Z-1", offers=AGENTS)
async def test_inner_order_byte(ergo_context: Context) -> None:
    """A target delivers a compressed message whose inner order byte differs from the outer one."""
    peer = await ergo_context.peer()
    data = bytearray(message(peer))
    data[ORDER_OFFSET] = 99
    peer.send_bytes(peer.compress(bytes(data), order=ORDER), "a compressed message with another inner order byte")
    await echoed(peer)


@pytest.mark.parametrize("field", ["magic", "version", "length"])
@case("ENP-Z-5", offers=AGENTS)
async def test_inner_header(ergo_context: Context, field: str) -> None:
    """Upstream checks only the type in an inner header and ignores a wrong {field}."""
    peer = await ergo_context.peer()
    data = message(peer)
    wrong = {
        "magic": b"\x00" + data[1:],
        "version": data[:1] + b"\x09" + data[2:],
        "length": with_length(data, 3),
    }
    peer.send_bytes(peer.compress(wrong[field], order=ORDER), f"a compressed message with a wrong inner {field}")
    received = await peer.find(lambda f: isinstance(f, enp.MessagePID), 1.0)
    peer.check(received is not None, "no message", "the delivered message")


# --- malformed compressed frames --------------------------------------------------------------------------------------


@algorithms
@case("ENP-Z-4", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_wrong_length(ergo_context: Context, name: str) -> None:
    """A target drops a frame compressed with {name} whose announced length is wrong, even by one; the socket stays open."""
    peer = await ergo_context.peer()
    data = message(peer)
    for off in (-1, 1, -1_000, 1_000, 1_000_000):
        bad = peer.compress(data, ALGORITHMS[name], length=len(data) + off)
        await dropped(peer, bad, f"a compressed message, its length wrong by {off:+d}")


Spoil = Callable[[bytes, Algorithm], bytes]
STREAMS: dict[str, Spoil] = {
    "empty": lambda _, __: b"",
    "one_byte": lambda stream, _: stream[:1],
    "cut": lambda stream, _: stream[: len(stream) // 2],
    "zeros": lambda stream, _: bytes(len(stream)),
    "ones": lambda stream, _: b"\xff" * len(stream),
    "of_another_algorithm": lambda stream, algorithm: (
        zlib.compress(stream) if algorithm is Algorithm.GZIP else gzip.compress(stream)
    ),
}
UNTIDY: dict[str, Spoil] = {
    "last_byte_missing": lambda stream, _: stream[:-1],
    "bytes_behind": lambda stream, _: stream + b"behind",
}
"""Streams from which all announced bytes can be decompressed."""


@pytest.mark.parametrize("how", list(STREAMS))
@case("ENP-Z-4", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_bad_stream(ergo_context: Context, how: str) -> None:
    """A target drops a compressed frame with an invalid stream ({how}) of any algorithm; the socket stays open."""
    peer = await ergo_context.peer()
    data = message(peer)
    for algorithm in Algorithm:
        stream = STREAMS[how](pack(data, algorithm, ORDER).stream, algorithm)
        description = f"a message compressed with {algorithm.name}, its stream: {how.replace('_', ' ')}"
        await dropped(peer, peer.compress(data, algorithm, stream=stream), description)


@pytest.mark.parametrize("how", list(UNTIDY))
@case("ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_untidy_stream(ergo_context: Context, how: str) -> None:
    """A target delivers or drops a compressed frame whose stream ends in another place ({how}); the socket stays open."""
    peer = await ergo_context.peer()
    data = message(peer)
    for algorithm in Algorithm:
        stream = UNTIDY[how](pack(data, algorithm, ORDER).stream, algorithm)
        description = f"a message compressed with {algorithm.name}, its stream: {how.replace('_', ' ')}"
        peer.send_bytes(peer.compress(data, algorithm, stream=stream), description)
        await peer.check_alive()


@case("ENP-Z-4", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_unknown_algorithm(ergo_context: Context) -> None:
    """A target drops a compressed frame with an unknown algorithm; the socket stays open."""
    peer = await ergo_context.peer()
    packed = pack(message(peer), Algorithm.ZLIB, ORDER)
    for id_ in (0, 99, 103, 255):
        await dropped(peer, peer.data_of(packed._replace(algorithm=id_)), f"a compressed message, algorithm {id_}")


@case("ENP-HDR-6", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_unknown_type_inside(ergo_context: Context) -> None:
    """A target drops a compressed frame whose inner type is unknown; the socket stays open."""
    peer = await ergo_context.peer()
    data = bytearray(message(peer))
    for type_ in (0, 1, 108, 201, 255):
        data[TYPE_OFFSET] = type_
        await dropped(peer, peer.compress(bytes(data)), f"a compressed frame of type {type_}")


@case("ROB-ENP-6", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_compressed_in_compressed(ergo_context: Context) -> None:
    """A target delivers or drops a frame that is compressed twice or a hundred times; the socket stays open."""
    peer = await ergo_context.peer()
    data = message(peer)
    for times in range(1, 101):
        data = peer.compress(data, Algorithm.ZLIB)
        if times in (2, 3, 100):
            peer.send_bytes(data, f"a message, compressed {times} times")
            await peer.check_alive()


@case("ENP-T-200", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_what_is_never_compressed(ergo_context: Context) -> None:
    """A target handles or drops a compressed frame of a type that is never compressed; the socket stays open."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    for type_ in sorted(set(FrameType) - enp.COMPRESSIBLE):
        peer.send_frame(valid_frame(type_, peer), algorithm=Algorithm.ZLIB)
        await peer.check_alive()


BOMB = {Algorithm.LZW: 300_000, Algorithm.ZLIB: 30_000_000, Algorithm.GZIP: 30_000_000}
"""Number of zeros in a bomb; fewer for LZW, whose compressor in the tester is slow."""


@algorithms
@case("ROB-ENP-6", "ENP-Z-4", offers=AGENTS, hostile=True)
async def test_bomb(ergo_context: Context, name: str) -> None:
    """A target drops a {name} stream that decompresses to far more than the announced 1,000 bytes; the socket stays open."""
    algorithm = ALGORITHMS[name]
    peer = await ergo_context.peer()
    stream = pack(header(FrameType.MESSAGE_PID) + bytes(BOMB[algorithm]), algorithm, ORDER).stream
    bomb = peer.compress(message(peer), algorithm, stream=stream, length=1_000)
    await dropped(peer, bomb, f"a decompression bomb of {name}")


@case("ROB-ENP-6", offers=AGENTS, hostile=True, config={"max_message_size": 5_000})
async def test_above_the_limit(ergo_context: Context) -> None:
    """A target delivers or drops a short frame that decompresses to more than its limit; the socket stays open."""
    peer = await ergo_context.peer()
    peer.send_frame(peer.message("echo", bytes(20_000)), algorithm=Algorithm.ZLIB)
    await peer.check_alive()


@case("ENP-Z-6", offers=AGENTS, config={"max_message_size": 5_000})
async def test_limit_does_not_count(ergo_context: Context) -> None:
    """Upstream delivers a frame whose decompressed length exceeds its limit."""
    peer = await ergo_context.peer()
    peer.send_frame(peer.message("echo", bytes(20_000)), algorithm=Algorithm.ZLIB)
    received = await peer.find(lambda f: isinstance(f, enp.MessagePID), 1.0)
    peer.check(received is not None, "no message", "the delivered message")


@algorithms
@case("ROB-ENP-6", "ENP-Z-4", "ROB-ENP-1", offers=AGENTS, hostile=True, dangerous=True)
async def test_announced_4_gib(ergo_context: Context, name: str) -> None:
    """A target drops a short {name} frame that announces 4 GiB; the socket stays open."""
    peer = await ergo_context.peer()
    data = peer.compress(message(peer), ALGORITHMS[name], length=LARGEST)
    peer.send_bytes(data, "a compressed message, length 4 GiB")
    await peer.check_alive(within=SLOW_MACHINE)  # how long the memory takes depends on the machine
    received = await peer.find(lambda frame: isinstance(frame, enp.MessagePID), 0.05)
    peer.check(received is None, received, "no message from a frame that cannot be decompressed")


@pytest.mark.parametrize("length", [0, 7], ids=lambda n: f"length_{n}")
@case("ENP-Z-4", "ROB-ENP-1", "ROB-ENP-8", offers=AGENTS, hostile=True, dangerous=True)
async def test_no_room_for_a_header(ergo_context: Context, length: int) -> None:
    """A target drops a compressed frame of {length} bytes, too few for a header; the socket stays open."""
    peer = await ergo_context.peer()
    data = header(FrameType.MESSAGE_PID)[:length]
    await dropped(peer, peer.compress(data, Algorithm.ZLIB), f"{length} bytes, compressed")
