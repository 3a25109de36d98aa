"""Compressed frames and the limits on both sides, as the schemas unpack and pack them."""

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


async def connected(*, theirs: int = 0, **options: Any) -> tuple[Node, Peer]:
    b = node(atoms=("cached",), **options)
    Supervisor(b.core, LEVEL_1)
    peer = await context(b).peer(MaxMessageSize=theirs)
    await settle()
    return b, peer


def payload_for(peer: Peer, size: int) -> bytes:
    """What makes a message to a PID a frame of so many bytes."""
    return bytes(size - len(peer.data_of(peer.message(PROCESS, b""))))


async def sent(b: Node, peer: Peer, message: Any, compression: Compression | None, **how: Any) -> Received:
    await run_as_process(b, lambda it: it.send(peer.pid(), message, **how), compression=compression)
    received = await peer.receive(1.0)
    assert received is not None
    return received


# --- what is compressed -----------------------------------------------------------------------------------------------


@algorithms
@pytest.mark.parametrize("threshold", [1024, 3000])
async def test_what_is_longer_than_the_threshold(algorithm: Algorithm, threshold: int) -> None:
    b, peer = await connected()
    how = Compression(algorithm, threshold=threshold)
    for size in (40, threshold, threshold + 1, 100_000):
        payload = payload_for(peer, size)
        received = await sent(b, peer, payload, how)
        assert received.value.payload == payload
        if size <= threshold:
            assert received.outer is None
        else:
            assert received.outer is not None
            assert (received.outer.algorithm, received.outer.length) == (algorithm, size)
            assert received.outer.order == received.value.order == PROCESS % 255
    await b.stop()


async def test_nothing_is_compressed_unless_a_process_wants_it() -> None:
    b, peer = await connected()
    assert (await sent(b, peer, TEXT, None)).outer is None
    await b.stop()


async def test_what_would_not_become_shorter_goes_as_it_is() -> None:
    b, peer = await connected()
    noise = random.Random(1).randbytes(20_000)
    for algorithm in Algorithm:
        received = await sent(b, peer, noise, Compression(algorithm))
        assert (received.value.payload, received.outer) == (noise, None)
    await b.stop()


GZIP_EXTRA = 8
"""Byte of a gzip stream that tells how hard the writer tried: 2 most, 4 least."""


async def test_the_level_is_gzips() -> None:
    b, peer = await connected()
    words = "".join(random.Random(1).choice(("alpha ", "beta ", "gamma ", "delta ")) for _ in range(5000))
    found = {}
    for level in CompressionLevel:
        received = await sent(b, peer, words, Compression(Algorithm.GZIP, level))
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
@pytest.mark.parametrize("what", ["message", "request"])
async def test_messages_and_requests_of_every_kind(kind: str, what: str) -> None:
    b, peer = await connected()

    async def work(it: Process) -> None:
        to = TARGETS[kind](peer)
        await (it.send(to, TEXT) if what == "message" else it.call(to, TEXT))

    task = asyncio.ensure_future(run_as_process(b, work, compression=Compression()))
    received = await peer.receive(1)
    assert received is not None
    assert received.outer is not None
    assert received.value.payload == TEXT
    task.cancel()
    await b.stop()


async def answers(process: Process) -> None:
    """Answers with the value, or with it as an error."""
    while True:
        call = await process.receive()
        assert isinstance(call, Call)
        if isinstance(call.payload, Error):
            process.reply_error(call, call.payload)
        else:
            process.reply(call, call.payload)


async def test_answers_are_compressed_and_errors_are_not() -> None:
    b, peer = await connected()
    process = b.spawn(answers, options=ProcessOptions(compression=Compression()))
    received = await peer.answer(peer.ask(process.pid.id, TEXT))
    assert received.outer is not None
    assert received.value.payload == TEXT
    received = await peer.answer(peer.ask(process.pid.id, Error(TEXT)))
    assert (received.outer, received.value.error) == (None, Error(TEXT))
    await b.stop()


async def test_exits_and_control_messages_are_never_compressed() -> None:
    b, peer = await connected()
    process = b.spawn(answers, options=ProcessOptions(compression=Compression(threshold=1)))
    await process.exit(peer.pid(), Error(TEXT))
    task = asyncio.ensure_future(process.link(peer.pid()))
    for kind in (enp.Exit, enp.Control):
        received = await peer.receive(1)
        assert received is not None
        assert (received.outer, type(received.value)) == (None, kind)
    peer.send_frame(enp.Control(0, message := relation_request(peer, Verb.MONITOR, "PID", process.pid)))
    await peer.result(message.Ref)
    process.stop(Error(TEXT))
    received = await peer.wait_for(lambda frame: isinstance(frame, enp.TerminatePID), "its end")
    assert (received.outer, received.value.reason) == (None, Error(TEXT))
    task.cancel()
    await b.stop()


# --- what comes compressed --------------------------------------------------------------------------------------------


@algorithms
async def test_what_comes_compressed_is_unpacked(algorithm: Algorithm) -> None:
    b, peer = await connected()
    for size in (0, 1, 5000, 100_000):
        payload = random.Random(size).randbytes(size)
        peer.send_frame(peer.message("echo", payload), algorithm=algorithm)
        assert (await peer.receive_message()).value.payload == payload
    await b.stop()


@algorithms
@pytest.mark.parametrize("lies", [{"length": 7}, {"length": 0}, {"length": 5000}, {"algorithm": 99}, {"stream": b"?"}])
async def test_what_cannot_be_unpacked_is_dropped_and_the_link_stays(
    algorithm: Algorithm, lies: dict[str, Any]
) -> None:
    b, peer = await connected()
    data = peer.data_of(peer.message("echo", TEXT))
    peer.send_frame(pack(data, algorithm, ORDER)._replace(**lies))
    await peer.expect_none(lambda frame: True, "message")
    await b.stop()


@algorithms
async def test_the_own_limit_holds_for_what_is_unpacked(algorithm: Algorithm) -> None:
    """Upstream unpacks whatever is announced (ENP-Z-6)."""
    b, peer = await connected(max_message_size=LIMIT)
    for size in (LIMIT, LIMIT + 1):
        data = peer.data_of(peer.message("echo", bytes(size - len(peer.data_of(peer.message("echo", b""))))))
        assert len(data) == size
        peer.send_bytes(peer.compress(data, algorithm), f"{size} bytes, compressed")
    assert len((await peer.receive_message()).value.payload) < LIMIT
    await peer.expect_none(lambda frame: True, "message above the limit")
    await b.stop()


async def test_a_frame_above_the_own_limit_ends_its_link() -> None:
    b, peer = await connected(max_message_size=LIMIT)
    peer.send_bytes(peer.data_of(peer.message("echo", bytes(LIMIT)))[:8], "the header of a frame above the limit")
    await peer.expect_close()
    assert not b.network.connections
    await b.stop()


# --- the limit of the peer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, Compression()])
async def test_a_message_the_peer_would_not_take_is_refused_here(compression: Compression | None) -> None:
    """The frame counts as it is before compression: the peer may refuse to unpack more than it would read."""
    b, peer = await connected(theirs=LIMIT)
    received = await sent(b, peer, payload_for(peer, LIMIT), compression)
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


async def test_an_answer_the_peer_would_not_take_is_dropped_and_the_process_lives_on() -> None:
    b, peer = await connected(theirs=LIMIT)
    before = b.core.tables.names[Atom("echo")].pid
    for payload in (TEXT * 2, Error(TEXT * 2)):
        await peer.expect_no_answer(peer.ask("echo", payload))
    peer.send("echo", TEXT * 2)
    await peer.expect_none(lambda frame: True, "message above the limit")
    assert b.core.tables.names[Atom("echo")].pid == before
    await b.stop()


async def test_a_peer_that_takes_next_to_nothing_gets_no_acknowledgement() -> None:
    b, peer = await connected(theirs=20)
    peer.send_important("sink", "hi")
    peer.send_frame(enp.Control(0, relation_request(peer, Verb.LINK, "PID")))
    assert await peer.receive(1) is None
    assert b.network.node(peer.name).info.messages_in == 2
    await b.stop()


async def test_what_ends_is_told_as_far_as_it_fits() -> None:
    b, peer = await connected(theirs=LIMIT)
    process = b.spawn(answers)
    peer.send_frame(enp.Control(0, message := relation_request(peer, Verb.MONITOR, "PID", process.pid)))
    await peer.result(message.Ref)
    process.stop(Error(TEXT * 2))
    await peer.expect_none(lambda frame: True, "frame above the limit")
    await b.stop()
