"""Compression by the target: frames of a process with compression enabled that exceed its threshold; no control messages."""

from typing import Any

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Algorithm, Code, CompressionLevel
from ergo_conformance.model.values import Error
from ergo_conformance.peers.ergo.agents import Acting
from ergo_conformance.peers.ergo.connection import ORDER
from ergo_conformance.peers.ergo.lines import Received
from ergo_conformance.peers.ergo.ours import OURS, address, fail, reply, sent
from ergo_conformance.testing import AGENTS, Context, case

ALGORITHMS = {algorithm.name.lower(): algorithm for algorithm in Algorithm}
algorithms = pytest.mark.parametrize("name", list(ALGORITHMS))
LONG = "The quick brown fox jumps over the lazy dog. " * 100
SHORT = "The quick brown fox"
DEFAULT = 0
"""Default threshold and default level."""


async def compressing(ergo_context: Context, *how: Any, links: int = 1) -> Acting:
    """Returns the agent with compression enabled. Skips the case if the agent refuses."""
    acting = Acting(await ergo_context.peer(links=links))
    answer = await acting.do("compression", *how)
    if isinstance(answer, Error):
        ergo_context.skip(f"the agent of the target refuses compression: {answer.text}")
    acting.peer.check(answer is True, repr(answer), "true")
    return acting


async def plain_again(acting: Acting) -> None:
    await acting.set("compression", "")


async def message(acting: Acting, payload: object, word: str = "PID") -> Received:
    """Returns a message of the agent as it was received."""
    ref = acting.tell("send", address(acting.peer, word), payload)
    received = await sent(acting.peer)
    await acting.good(ref)
    acting.peer.check(
        received.value.payload == payload, f"{received.value!r:.80}", "the payload that the agent was told to send"
    )
    return received


def check_packed(acting: Acting, received: Received, *, packed: bool) -> None:
    """Checks whether a frame was received compressed, as required."""
    what = f"a frame of {len(acting.peer.data_of(received.value))} bytes"
    came = f"{what}, {'not ' if received.outer is None else ''}compressed"
    acting.peer.check((received.outer is not None) is packed, came, f"{what}, {'' if packed else 'not '}compressed")


@algorithms
@case("ENP-Z-1", "ENP-Z-2", "ENP-T-200", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_algorithm(ergo_context: Context, name: str) -> None:
    """A process with {name} compression sends a long message in that algorithm, and it decompresses to the whole frame."""
    acting = await compressing(ergo_context, name)
    try:
        for word in ("PID", "ProcessID", "Alias"):
            received = await message(acting, LONG, word)
            found = received.outer and received.outer.algorithm
            acting.peer.check(found == ALGORITHMS[name], f"algorithm {found}", f"algorithm {ALGORITHMS[name]:d}")
    finally:
        await plain_again(acting)


@pytest.mark.parametrize("level", list(CompressionLevel), ids=lambda level: level.name.lower())
@case("ENP-Z-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_level(ergo_context: Context, level: CompressionLevel) -> None:
    """A process with gzip compression of level {level} sends a message that decompresses like any other."""
    acting = await compressing(ergo_context, "gzip", DEFAULT, int(level))
    try:
        received = await message(acting, LONG)
        check_packed(acting, received, packed=True)
    finally:
        await plain_again(acting)


@algorithms
@case("ENP-Z-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_contents(ergo_context: Context, name: str) -> None:
    """A {name} message decompresses to its payload: zeros, random bytes, or texts with many different letters."""
    acting = await compressing(ergo_context, name)
    try:
        for payload in (
            bytes(30_000),
            ergo_context.rng.randbytes(5_000),
            "".join(chr(0x20 + i % 0x4F0) for i in range(9_000)),
        ):
            await message(acting, payload)
    finally:
        await plain_again(acting)


THRESHOLDS = {"default": (DEFAULT, enp.MIN_THRESHOLD), "given": (3_000, 3_000)}


@pytest.mark.parametrize("which", list(THRESHOLDS))
@case("ENP-Z-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_threshold(ergo_context: Context, which: str) -> None:
    """A frame as long as the threshold ({which}) is sent uncompressed, a frame one byte longer compressed."""
    given, threshold = THRESHOLDS[which]
    acting = await compressing(ergo_context, "zlib", given)
    try:
        empty = len(acting.peer.data_of(enp.MessagePID(0, 0, 0, 0, OURS, "")))
        for length in (threshold, threshold + 1):
            received = await message(acting, "x" * (length - empty))
            check_packed(acting, received, packed=length > threshold)
    finally:
        await plain_again(acting)


@case("ENP-Z-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_off(ergo_context: Context) -> None:
    """A process sends uncompressed frames before its compression is enabled and after it is disabled again."""
    acting = Acting(await ergo_context.peer())
    check_packed(acting, await message(acting, LONG), packed=False)
    acting = await compressing(ergo_context, "gzip")
    try:
        check_packed(acting, await message(acting, LONG), packed=True)
    finally:
        await plain_again(acting)
    check_packed(acting, await message(acting, LONG), packed=False)


@pytest.mark.parametrize("word", ["PID", "ProcessID", "Alias"], ids=lambda w: w.lower())
@case("ENP-ORD-6", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_order_byte(ergo_context: Context, word: str) -> None:
    """A compressed message by {word} has the order byte of its inner frame."""
    acting = await compressing(ergo_context, "zlib")
    try:
        received = await message(acting, LONG, word)
        outer = received.outer
        good = outer is not None and outer.order == received.value.order
        acting.peer.check(good, f"order byte {outer and outer.order}", f"order byte {received.value.order}")
    finally:
        await plain_again(acting)


@case("ENP-Z-1", "ENP-ORD-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_order(ergo_context: Context) -> None:
    """Long and short messages of one process arrive over one socket of a pool, in order."""
    acting = await compressing(ergo_context, "lzw", links=0)
    try:
        for i in range(20):
            acting.tell("send", address(acting.peer, "PID"), [i, LONG if i % 2 else SHORT])
        received = [await sent(acting.peer) for _ in range(20)]
        found = [each.value.payload[0] for each in received]
        acting.peer.check(found == list(range(20)), found, "0 to 19, in order")
        lines = {each.line for each in received}
        acting.peer.check(len(lines) == 1, f"sockets {sorted(lines)}", "one socket")
    finally:
        await plain_again(acting)


@case("ENP-Z-3", "ENP-Z-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_calls(ergo_context: Context) -> None:
    """Calls, important messages and answers are compressed like messages."""
    acting = await compressing(ergo_context, "gzip")
    peer = acting.peer
    try:
        ref = acting.tell("call", address(peer, "PID"), LONG)
        received = await sent(peer)
        check_packed(acting, received, packed=True)
        reply(peer, received.value, LONG)
        answer = await peer.answer(ref)
        check_packed(acting, answer, packed=True)
        peer.check(answer.value.payload == LONG, "another text", "the tester's answer as the answer of agent")
        ref = acting.tell("send_important", address(peer, "PID"), LONG)
        received = await sent(peer)
        check_packed(acting, received, packed=True)
        fail(peer, received.value, (received.value.mid, 0, 0), Code.DELIVERED)
        await acting.good(ref)
    finally:
        await plain_again(acting)


@case("ENP-Z-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_exits(ergo_context: Context) -> None:
    """Exit signals are not compressed, however long their reason is."""
    acting = await compressing(ergo_context, "gzip")
    try:
        ref = acting.tell("exit", acting.peer.pid(OURS), Error(LONG))
        received = await acting.peer.wait_for(lambda f: isinstance(f, enp.Exit), "a frame 107")
        await acting.good(ref)
        check_packed(acting, received, packed=False)
        acting.peer.check(
            received.value.reason.text == LONG, "another reason", "the reason that the agent was told to send"
        )
    finally:
        await plain_again(acting)


@case("ENP-Z-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_control_messages(ergo_context: Context) -> None:
    """Control messages are not compressed, however long they are."""
    acting = await compressing(ergo_context, "gzip")
    peer = acting.peer
    try:
        ref = acting.tell("spawn", peer.name, "a_factory", LONG)
        received = await peer.wait_for(lambda f: isinstance(f, enp.Control), "a control message")
        peer.send_frame(enp.Control(ORDER, enp.Result(None, peer.pid(OURS), received.value.message.Ref)))
        await acting.done(ref)
        check_packed(acting, received, packed=False)
    finally:
        await plain_again(acting)


@case("ENP-SIZE-1", "ENP-Z-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_limit(ergo_context: Context) -> None:
    """A target sends no compressed frame above the tester's message size limit."""
    acting = Acting(await ergo_context.peer(MaxMessageSize=3_000))
    if isinstance(await acting.do("compression", "gzip"), Error):
        ergo_context.skip("the agent of the target refuses compression")
    try:
        await acting.done(acting.tell("send", acting.peer.pid(OURS), ergo_context.rng.randbytes(6_000)))
        await acting.peer.none_of(lambda f: isinstance(f, enp.MessagePID), "message above the tester's limit")
    finally:
        await plain_again(acting)
