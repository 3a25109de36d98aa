"""Compression by the target: frames of a process with compression enabled that exceed its threshold; no control messages."""

from typing import Any

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Algorithm, Code, CompressionLevel
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Error
from ergo_conformance.peers.ergo.agents import OWN_PROCESS, own_address, receive_from_agent, respond, respond_error
from ergo_conformance.testing import AGENTS, ORDER, AgentDriver, Context, Received, case, set_up

ALGORITHMS = {algorithm.name.lower(): algorithm for algorithm in Algorithm}
algorithms = pytest.mark.parametrize("name", list(ALGORITHMS))
LONG = "The quick brown fox jumps over the lazy dog. " * 100
SHORT = "The quick brown fox"
DEFAULT = 0
"""Default threshold and default level."""


async def compressing(ergo_context: Context, *how: Any, sockets: int = 1) -> AgentDriver:
    """Returns the agent with compression enabled. Skips the case if the agent refuses."""
    agent = AgentDriver(await ergo_context.peer(sockets=sockets))
    answer = await agent.run("compression", *how)
    if isinstance(answer, Error):
        ergo_context.skip(f"the agent of the target refuses compression: {answer.text}")
    agent.peer.check(answer is True, show(answer), "true")
    return agent


async def plain_again(agent: AgentDriver) -> None:
    await agent.run_true("compression", "")


async def message(agent: AgentDriver, payload: object, word: str = "PID") -> Received:
    """Returns a message of the agent as it was received."""
    ref = agent.start("send", own_address(agent.peer, word), payload)
    with set_up("ENP-T-101"):
        received = await receive_from_agent(agent.peer)
        await agent.expect_true(ref)
    agent.peer.check_equal(received.value.payload, payload, "the payload of the operation")
    return received


def check_packed(agent: AgentDriver, received: Received, *, packed: bool) -> None:
    """Checks whether a frame was received compressed, as required."""
    what = f"a frame of {len(agent.peer.data_of(received.value))} bytes"
    came = f"{what}, {'not ' if received.outer is None else ''}compressed"
    agent.peer.check((received.outer is not None) is packed, came, f"{what}, {'' if packed else 'not '}compressed")


@algorithms
@case("ENP-Z-1", "ENP-Z-2", "ENP-T-200", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_algorithm(ergo_context: Context, name: str) -> None:
    """A process with {name} compression sends a long message in that algorithm, and it decompresses to the whole frame."""
    agent = await compressing(ergo_context, name)
    try:
        for word in ("PID", "ProcessID", "Alias"):
            received = await message(agent, LONG, word)
            found = received.outer and received.outer.algorithm
            agent.peer.check(found == ALGORITHMS[name], f"algorithm {found}", f"algorithm {ALGORITHMS[name]:d}")
    finally:
        await plain_again(agent)


@pytest.mark.parametrize("level", list(CompressionLevel), ids=lambda level: level.name.lower())
@case("ENP-Z-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_level(ergo_context: Context, level: CompressionLevel) -> None:
    """A process with gzip compression of level {level} sends a message that decompresses like any other."""
    agent = await compressing(ergo_context, "gzip", DEFAULT, int(level))
    try:
        received = await message(agent, LONG)
        check_packed(agent, received, packed=True)
    finally:
        await plain_again(agent)


@algorithms
@case("ENP-Z-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_contents(ergo_context: Context, name: str) -> None:
    """A {name} message decompresses to its payload: zeros, random bytes, or texts with many different letters."""
    agent = await compressing(ergo_context, name)
    try:
        for payload in (
            bytes(30_000),
            ergo_context.rng.randbytes(5_000),
            "".join(chr(0x20 + i % 0x4F0) for i in range(9_000)),
        ):
            await message(agent, payload)
    finally:
        await plain_again(agent)


THRESHOLDS = {"default": (DEFAULT, enp.MIN_THRESHOLD), "given": (3_000, 3_000)}


@pytest.mark.parametrize("which", list(THRESHOLDS))
@case("ENP-Z-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_threshold(ergo_context: Context, which: str) -> None:
    """A frame as long as the threshold ({which}) is sent uncompressed, a frame one byte longer compressed."""
    given, threshold = THRESHOLDS[which]
    agent = await compressing(ergo_context, "zlib", given)
    try:
        empty = len(agent.peer.data_of(enp.MessagePID(0, 0, 0, 0, OWN_PROCESS, "")))
        for length in (threshold, threshold + 1):
            received = await message(agent, "x" * (length - empty))
            check_packed(agent, received, packed=length > threshold)
    finally:
        await plain_again(agent)


@case("ENP-Z-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_off(ergo_context: Context) -> None:
    """A process sends uncompressed frames before its compression is enabled and after it is disabled again."""
    agent = AgentDriver(await ergo_context.peer())
    check_packed(agent, await message(agent, LONG), packed=False)
    agent = await compressing(ergo_context, "gzip")
    try:
        check_packed(agent, await message(agent, LONG), packed=True)
    finally:
        await plain_again(agent)
    check_packed(agent, await message(agent, LONG), packed=False)


@pytest.mark.parametrize("word", ["PID", "ProcessID", "Alias"], ids=lambda w: w.lower())
@case("ENP-ORD-6", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_order_byte(ergo_context: Context, word: str) -> None:
    """A compressed message by {word} has the order byte of its inner frame."""
    agent = await compressing(ergo_context, "zlib")
    try:
        received = await message(agent, LONG, word)
        outer = received.outer
        good = outer is not None and outer.order == received.value.order
        agent.peer.check(good, f"order byte {outer and outer.order}", f"order byte {received.value.order}")
    finally:
        await plain_again(agent)


@case("ENP-Z-1", "ENP-ORD-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_order(ergo_context: Context) -> None:
    """Long and short messages of one process arrive over one socket of a pool, in order."""
    agent = await compressing(ergo_context, "lzw", sockets=0)
    try:
        for i in range(20):
            agent.start("send", own_address(agent.peer, "PID"), [i, LONG if i % 2 else SHORT])
        received = [await receive_from_agent(agent.peer) for _ in range(20)]
        found = [each.value.payload[0] for each in received]
        agent.peer.check_equal(found, list(range(20)), "in order")
        sockets = {each.socket for each in received}
        agent.peer.check(len(sockets) == 1, f"sockets {sorted(sockets)}", "one socket")
    finally:
        await plain_again(agent)


@case("ENP-Z-3", "ENP-Z-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_calls(ergo_context: Context) -> None:
    """Calls, important messages and answers are compressed like messages."""
    agent = await compressing(ergo_context, "gzip")
    peer = agent.peer
    try:
        ref = agent.start("call", own_address(peer, "PID"), LONG)
        received = await receive_from_agent(peer)
        check_packed(agent, received, packed=True)
        respond(peer, received.value, LONG)
        answer = await peer.answer(ref)
        check_packed(agent, answer, packed=True)
        peer.check_equal(answer.value.payload, LONG, "the tester's answer as the answer of agent")
        ref = agent.start("send_important", own_address(peer, "PID"), LONG)
        received = await receive_from_agent(peer)
        check_packed(agent, received, packed=True)
        respond_error(peer, received.value, (received.value.mid, 0, 0), Code.DELIVERED)
        await agent.expect_true(ref)
    finally:
        await plain_again(agent)


@case("ENP-Z-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_exits(ergo_context: Context) -> None:
    """Exit signals are not compressed, however long their reason is."""
    agent = await compressing(ergo_context, "gzip")
    try:
        ref = agent.start("exit", agent.peer.pid(OWN_PROCESS), Error(LONG))
        with set_up("ENP-T-107"):
            received = await agent.peer.wait_for(lambda f: isinstance(f, enp.Exit), "a frame 107")
            await agent.expect_true(ref)
        check_packed(agent, received, packed=False)
        agent.peer.check_equal(received.value.reason.text, LONG, "the reason of the operation")
    finally:
        await plain_again(agent)


@case("ENP-Z-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_control_messages(ergo_context: Context) -> None:
    """Control messages are not compressed, however long they are."""
    agent = await compressing(ergo_context, "gzip")
    peer = agent.peer
    try:
        ref = agent.start("spawn", peer.name, "a_factory", LONG)
        with set_up("ENP-C-Spawn"):
            received = await peer.wait_for(lambda f: isinstance(f, enp.Control), "a control message")
        peer.send_frame(enp.Control(ORDER, enp.Result(None, peer.pid(OWN_PROCESS), received.value.message.Ref)))
        await agent.result(ref)
        check_packed(agent, received, packed=False)
    finally:
        await plain_again(agent)


@case("ENP-SIZE-1", "ENP-Z-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_limit(ergo_context: Context) -> None:
    """A target sends no compressed frame above the tester's message size limit."""
    agent = AgentDriver(await ergo_context.peer(MaxMessageSize=3_000))
    if isinstance(await agent.run("compression", "gzip"), Error):
        ergo_context.skip("the agent of the target refuses compression")
    try:
        await agent.result(agent.start("send", agent.peer.pid(OWN_PROCESS), ergo_context.rng.randbytes(6_000)))
        await agent.peer.expect_none(lambda f: isinstance(f, enp.MessagePID), "message above the tester's limit")
    finally:
        await plain_again(agent)
