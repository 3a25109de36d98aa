"""Compressed frames and the message size limits of both sides, checked with the schemas."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Algorithm, CompressionLevel, Verb
from ergo_conformance.model.values import Alias, Atom, Error, ProcessID
from ergo_conformance.peers.corruption.frames import relation_request
from ergo_conformance.peers.ergo.connection import ORDER, PROCESS, Peer
from ergo_conformance.peers.ergo.pool import Received
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import Call, Compression, ProcessOptions
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from ergo_conformance.spec.ergo.enp import pack
from tests.support.nodes import context, node, run_as_process, settle

TEXT = "The quick brown fox jumps over the lazy dog. " * 100
LIMIT = 5000
algorithms = pytest.mark.parametrize("algorithm", list(Algorithm), ids=lambda a: a.name.lower())


async def connected_peer(*, peer_limit: int = 0, **options: Any) -> tuple[Node, Peer]:
    b = node(atoms=("cached",), **options)
    Supervisor(b.core, LEVEL_1)
    peer = await context(b).peer(MaxMessageSize=peer_limit)
    await settle()
    return b, peer


def payload_for(peer: Peer, size: int) -> bytes:
    """Returns a payload for which a message to a PID is a frame of `size` bytes."""
    return bytes(size - len(peer.data_of(peer.message(PROCESS, b""))))


async def send_to_peer(b: Node, peer: Peer, message: Any, compression: Compression | None, **how: Any) -> Received:
    await run_as_process(b, lambda it: it.send(peer.pid(), message, **how), compression=compression)
    received = await peer.receive(1.0)
    assert received is not None
    return received


# --- sent frames ------------------------------------------------------------------------------------------------------


@algorithms
@pytest.mark.parametrize("threshold", [1024, 3000])
async def test_a_frame_above_the_threshold_is_compressed(algorithm: Algorithm, threshold: int) -> None:
    b, peer = await connected_peer()
    how = Compression(algorithm, threshold=threshold)
    for size in (40, threshold, threshold + 1, 100_000):
        payload = payload_for(peer, size)
        received = await send_to_peer(b, peer, payload, how)
        assert received.value.payload == payload
        if size <= threshold:
            assert received.outer is None
        else:
            assert received.outer is not None
            assert (received.outer.algorithm, received.outer.length) == (algorithm, size)
            assert received.outer.order == received.value.order == PROCESS % 255
    await b.stop()


async def test_a_process_without_compression_sends_plain_frames() -> None:
    b, peer = await connected_peer()
    assert (await send_to_peer(b, peer, TEXT, None)).outer is None
    await b.stop()


async def test_zeros_that_a_peer_may_refuse_to_unpack_are_sent_plain() -> None:
    b, peer = await connected_peer()
    for size, compressed in ((enp.MAX_UNPACKED, True), (enp.MAX_UNPACKED + 1, False)):
        received = await send_to_peer(b, peer, payload_for(peer, size), Compression(Algorithm.ZLIB))
        assert (received.outer is not None) is compressed
    await b.stop()


async def test_incompressible_data_is_sent_plain() -> None:
    b, peer = await connected_peer()
    noise = random.Random(1).randbytes(20_000)
    for algorithm in Algorithm:
        received = await send_to_peer(b, peer, noise, Compression(algorithm))
        assert (received.value.payload, received.outer) == (noise, None)
    await b.stop()


GZIP_EXTRA = 8
"""Byte of a gzip stream with the writer's effort: 2 best compression, 4 fastest."""


async def test_the_compression_level_is_that_of_gzip() -> None:
    b, peer = await connected_peer()
    words = "".join(random.Random(1).choice(("alpha ", "beta ", "gamma ", "delta ")) for _ in range(5000))
    found = {}
    for level in CompressionLevel:
        received = await send_to_peer(b, peer, words, Compression(Algorithm.GZIP, level))
        assert received.outer is not None
        found[level] = received.outer.stream
    extra = {level: stream[GZIP_EXTRA] for level, stream in found.items()}
    assert extra == {CompressionLevel.DEFAULT: 0, CompressionLevel.BEST_SPEED: 4, CompressionLevel.BEST_SIZE: 2}
    assert (
        len(found[CompressionLevel.BEST_SIZE])
        <= len(found[CompressionLevel.DEFAULT])
        < len(found[CompressionLevel.BEST_SPEED])
    )
    await b.stop()


TARGETS: dict[str, Callable[[Peer], Any]] = {
    "pid": lambda peer: peer.pid(),
    "name": lambda peer: ProcessID(peer.name, Atom("plain")),
    "cached": lambda peer: ProcessID(peer.name, Atom("cached")),
    "alias": lambda peer: Alias(peer.name, peer.creation, (1, 2, 3)),
}


@pytest.mark.parametrize("kind", list(TARGETS))
@pytest.mark.parametrize("operation", ["message", "request"])
async def test_messages_and_requests_to_each_address_are_compressed(kind: str, operation: str) -> None:
    b, peer = await connected_peer()

    async def work(it: Process) -> None:
        to = TARGETS[kind](peer)
        await (it.send(to, TEXT) if operation == "message" else it.call(to, TEXT))

    task = asyncio.ensure_future(run_as_process(b, work, compression=Compression()))
    received = await peer.receive(1)
    assert received is not None
    assert received.outer is not None
    assert received.value.payload == TEXT
    task.cancel()
    await b.stop()


async def answer_calls(process: Process) -> None:
    """Answers calls with their payload; with a ResponseError if it is an error."""
    while True:
        call = await process.receive()
        assert isinstance(call, Call)
        if isinstance(call.payload, Error):
            process.reply_error(call, call.payload)
        else:
            process.reply(call, call.payload)


async def test_answers_are_compressed_and_errors_are_not() -> None:
    b, peer = await connected_peer()
    process = b.spawn(answer_calls, options=ProcessOptions(compression=Compression()))
    received = await peer.answer(peer.ask(process.pid.id, TEXT))
    assert received.outer is not None
    assert received.value.payload == TEXT
    received = await peer.answer(peer.ask(process.pid.id, Error(TEXT)))
    assert (received.outer, received.value.error) == (None, Error(TEXT))
    await b.stop()


async def test_exits_and_control_messages_are_never_compressed() -> None:
    b, peer = await connected_peer()
    process = b.spawn(answer_calls, options=ProcessOptions(compression=Compression(threshold=1)))
    await process.exit(peer.pid(), Error(TEXT))
    task = asyncio.ensure_future(process.link(peer.pid()))
    for kind in (enp.Exit, enp.Control):
        received = await peer.receive(1)
        assert received is not None
        assert (received.outer, type(received.value)) == (None, kind)
    peer.send_frame(enp.Control(0, message := relation_request(peer, Verb.MONITOR, "PID", process.pid)))
    await peer.result(message.Ref)
    process.stop(Error(TEXT))
    received = await peer.wait_for(lambda frame: isinstance(frame, enp.TerminatePID), "the end of the process")
    assert (received.outer, received.value.reason) == (None, Error(TEXT))
    task.cancel()
    await b.stop()


# --- received frames --------------------------------------------------------------------------------------------------


@algorithms
async def test_a_compressed_frame_is_unpacked(algorithm: Algorithm) -> None:
    b, peer = await connected_peer()
    for size in (0, 1, 5000, 100_000):
        payload = random.Random(size).randbytes(size)
        peer.send_frame(peer.message("echo", payload), algorithm=algorithm)
        assert (await peer.receive_message()).value.payload == payload
    await b.stop()


@algorithms
@pytest.mark.parametrize(
    "overrides", [{"length": 7}, {"length": 0}, {"length": 5000}, {"algorithm": 99}, {"stream": b"?"}]
)
async def test_an_invalid_compressed_frame_is_dropped_and_the_socket_stays(
    algorithm: Algorithm, overrides: dict[str, Any]
) -> None:
    b, peer = await connected_peer()
    data = peer.data_of(peer.message("echo", TEXT))
    peer.send_frame(pack(data, algorithm, ORDER)._replace(**overrides))
    await peer.expect_none(lambda frame: True, "message")
    await b.stop()


@algorithms
async def test_the_size_limit_applies_to_the_unpacked_frame(algorithm: Algorithm) -> None:
    """Upstream unpacks any announced length (ENP-Z-6)."""
    b, peer = await connected_peer(max_message_size=LIMIT)
    for size in (LIMIT, LIMIT + 1):
        data = peer.data_of(peer.message("echo", bytes(size - len(peer.data_of(peer.message("echo", b""))))))
        assert len(data) == size
        peer.send_bytes(peer.compress(data, algorithm), f"{size} bytes, compressed")
    assert len((await peer.receive_message()).value.payload) < LIMIT
    await peer.expect_none(lambda frame: True, "message above the limit")
    await b.stop()


@pytest.mark.parametrize("max_message_size", [0, 2 * enp.MAX_UNPACKED])
async def test_without_a_size_limit_the_unpacked_frame_is_limited_by_the_stream(max_message_size: int) -> None:
    b, peer = await connected_peer(max_message_size=max_message_size)
    zeros = peer.data_of(peer.message("echo", bytes(enp.MAX_UNPACKED)))
    peer.send_bytes(peer.compress(zeros, Algorithm.ZLIB), "zeros, compressed a thousand times")
    if max_message_size:
        assert (await peer.receive_message()).value.payload == bytes(enp.MAX_UNPACKED)
    else:
        await peer.expect_none(lambda frame: True, "message above the limit")
    await b.stop()


@pytest.mark.parametrize(
    ("stream", "unpacked"),
    [(0, 1 << 24), (1 << 18, 1 << 24), ((1 << 18) + 1, (1 << 24) + 64), (1 << 24, 1 << 30), (1 << 30, 1 << 30)],
)
def test_the_limit_of_an_unpacked_frame_is_in_proportion_to_the_stream(stream: int, unpacked: int) -> None:
    assert enp.max_unpacked(stream) == unpacked


async def test_a_frame_above_the_limit_closes_its_socket() -> None:
    b, peer = await connected_peer(max_message_size=LIMIT)
    peer.send_bytes(peer.data_of(peer.message("echo", bytes(LIMIT)))[:8], "the header of a frame above the limit")
    await peer.expect_close()
    assert not b.network.connections
    await b.stop()


# --- the limit of the peer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, Compression()])
async def test_a_message_above_the_limit_of_the_peer_raises_too_large(compression: Compression | None) -> None:
    """The length before compression counts: the peer may refuse to unpack more than its limit."""
    b, peer = await connected_peer(peer_limit=LIMIT)
    received = await send_to_peer(b, peer, payload_for(peer, LIMIT), compression)
    assert len(received.value.payload) > LIMIT - 100
    long_ = payload_for(peer, LIMIT + 1)
    for work in (
        lambda it: it.send(peer.pid(), long_),
        lambda it: it.send(peer.pid(), long_, important=True),
        lambda it: it.call(peer.pid(), long_),
        lambda it: it.exit(peer.pid(), Error(TEXT * 2)),
    ):
        with pytest.raises(ErgoError, match="too large"):
            await run_as_process(b, work, compression=compression)
    assert await peer.receive(0.1) is None
    assert not b.core.pending
    await b.stop()


async def test_an_answer_above_the_limit_of_the_peer_is_dropped() -> None:
    b, peer = await connected_peer(peer_limit=LIMIT)
    before = b.core.tables.names[Atom("echo")].pid
    for payload in (TEXT * 2, Error(TEXT * 2)):
        await peer.expect_no_answer(peer.ask("echo", payload))
    peer.send("echo", TEXT * 2)
    await peer.expect_none(lambda frame: True, "message above the limit")
    assert b.core.tables.names[Atom("echo")].pid == before
    await b.stop()


async def test_an_acknowledgement_above_the_limit_of_the_peer_is_dropped() -> None:
    b, peer = await connected_peer(peer_limit=20)
    peer.send_important("sink", "hi")
    peer.send_frame(enp.Control(0, relation_request(peer, Verb.LINK, "PID")))
    assert await peer.receive(1) is None
    assert b.network.node(peer.name).info.messages_in == 2
    await b.stop()


async def test_a_notification_above_the_limit_of_the_peer_is_dropped() -> None:
    b, peer = await connected_peer(peer_limit=LIMIT)
    process = b.spawn(answer_calls)
    peer.send_frame(enp.Control(0, message := relation_request(peer, Verb.MONITOR, "PID", process.pid)))
    await peer.result(message.Ref)
    process.stop(Error(TEXT * 2))
    await peer.expect_none(lambda frame: True, "frame above the limit")
    await b.stop()
