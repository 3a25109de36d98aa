"""The agents of level 1, checked with the schemas (protocol notes: agents, sections 2 and 8)."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import agent_types, enp, error_values
from ergo_conformance.model.ergo.enp import Code
from ergo_conformance.model.types import Slice
from ergo_conformance.model.values import PID, Atom, Error, ProcessID, Typed
from ergo_conformance.peers.ergo.connection import ANNOUNCED, Peer
from ergo_conformance.reference_node.api.messages import ProcessOptions
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.target.agent_operations import permit_remote_starts
from ergo_conformance.reference_node.target.agents import LEVEL_1, Echo, Supervisor
from tests.support.nodes import MemoryNetwork, context, node, run_as_process, settle

NOBODY = PID(Atom(""), 0, 0)
CUSTOM = agent_types.CUSTOM_ERROR.text


def int64(n: int) -> Typed:
    return Typed(t.INT64, n)


async def start_agents() -> tuple[Node, Peer, dict[str, int]]:
    b = node(atoms=("echo_cached",))
    pids = Supervisor(b.core, LEVEL_1).pids
    return b, await context(b).peer(caches=ANNOUNCED), pids


@asynccontextmanager
async def agents_and_peer() -> AsyncIterator[tuple[Peer, dict[str, int]]]:
    """Yields a peer of a node with agents, and the numbers of the agents."""
    b, peer, pids = await start_agents()
    try:
        yield peer, pids
    finally:
        await b.stop()


async def test_all_agents_are_running() -> None:
    async with agents_and_peer() as (_, pids):
        assert set(pids) == {"echo", "echo_cached", "sink", "slow", "small_mailbox"}
        assert sorted(pids.values()) == [1001, 1002, 1003, 1004, 1005]


# --- echo -------------------------------------------------------------------------------------------------------------

PID_TYPED = PID(Atom("x@y"), 7, 9)
VALUES = [
    True, 0, -5, int64(7), Typed(t.UINT8, 255), 1.5, Typed(t.FLOAT32, 0.5), "text", "", b"\x00\xff", Atom("atom"),
    PID_TYPED, ["a", 1, [None]], {"k": 1}, Typed(Slice(t.STRING), ["x"]), Error("an error"), agent_types.Small(1, "s"),
    "!error", ["!self"], Atom("!self"), Atom("!error:x"), "!unknown", "plain !error",
]  # fmt: skip


@pytest.mark.parametrize("name", ["echo", "echo_cached"])
@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_echo_returns_each_message(name: str, value: Any) -> None:
    """Also the special strings, which are plain in a message."""
    async with agents_and_peer() as (peer, pids):
        peer.send(name, value, sender=2000, priority=enp.Priority.MAX)
        message = (await peer.receive_message(to=2000)).value
        assert message == enp.MessagePID(2000 % 255, pids[name], 0, 0, 2000, value)


@pytest.mark.parametrize("value", [value for value in VALUES if value != "!error"], ids=repr)
async def test_echo_answers_with_the_payload(value: Any) -> None:
    async with agents_and_peer() as (peer, pids):
        assert await peer.call("echo", value) == value
        assert await peer.call(pids["echo_cached"], value) == value


async def response_error(peer: Peer, text: str) -> Any:
    """Returns code and error of the ResponseError to a call of echo."""
    frame = (await peer.answer(peer.ask("echo", text))).value
    assert isinstance(frame, enp.ResponseError)
    return frame.code, frame.error and frame.error.text


@pytest.mark.parametrize(
    ("text", "code", "error"),
    [
        ("!error", Code.OTHER, CUSTOM),
        ("!error:custom", Code.OTHER, CUSTOM),
        ("!error:unknown", Code.PROCESS_UNKNOWN, None),
        ("!error:mailbox", Code.MAILBOX_FULL, None),
        ("!error:terminated", Code.PROCESS_TERMINATED, None),
        ("!error:timeout", Code.OTHER, "timed out"),
        ("!error:normal", Code.OTHER, "normal"),
        ("!error:shutdown", Code.OTHER, "shutdown"),
        ("!error:kill", Code.OTHER, "kill"),
        ("!error:panic", Code.OTHER, "panic"),
        ("!error:anything: else", Code.OTHER, "anything: else"),
        ("!error:", Code.OTHER, ""),
    ],
)
async def test_echo_answers_error_requests_with_code_and_error(text: str, code: Code, error: str | None) -> None:
    async with agents_and_peer() as (peer, pids):
        assert await response_error(peer, text) == (code, error)
        assert await peer.call("echo", "!self") == peer.target_pid(pids["echo"])


async def test_an_unregistered_error_is_sent_as_text() -> None:
    """Even if its text is that of a registered error."""
    async with agents_and_peer() as (peer, _):
        ids = {}
        for text in ("!error:timeout", "!error:timed out"):
            ref = peer.ask("echo", text)
            await peer.answer(ref)
            received = peer.sockets[0].transcript.bytes_of("received")
            ids[text] = len(received[received.rindex(ref[0].to_bytes(8, "big")) :])
        assert ids["!error:timed out"] - ids["!error:timeout"] == len("timed out")


async def test_echo_answers_self_with_its_pid() -> None:
    async with agents_and_peer() as (peer, pids):
        for name in ("echo", "echo_cached"):
            assert await peer.call(name, "!self") == peer.target_pid(pids[name])


async def test_echo_does_not_answer_noreply() -> None:
    async with agents_and_peer() as (peer, _):
        await peer.expect_no_answer(peer.ask("echo", "!noreply"), 10)


async def test_echo_answers_env_with_its_environment() -> None:
    async with agents_and_peer() as (peer, _):
        assert await peer.call("echo", "!env") == Typed(Slice(t.STRING), [])
    b = node()
    b.spawn(Echo(), name="echo", options=ProcessOptions(env={"A": "1", "B": 2}))
    peer = await context(b).peer()
    answer = await peer.call("echo", "!env")
    assert answer.type is Slice(t.STRING)
    assert sorted(answer.value) == ["A=1", "B=2"]
    await b.stop()


async def test_processes_inherit_the_nodes_environment_and_expose_it() -> None:
    net = MemoryNetwork()
    a, b, _ = await net.pair(env={"NODE": "1", "BOTH": "node"}, expose_env=True)
    b.spawn(Echo(), name="echo", options=ProcessOptions(env={"BOTH": "own"}))
    permit_remote_starts(b.core, "allowed@localhost")

    async def ask(process: Process) -> None:
        environment = await process.call(ProcessID(b.name, Atom("echo")), "!env")
        assert sorted(environment.value) == ["BOTH=own", "NODE=1"]
        child = await a.core.remote.spawn(process, b.name, Atom("echo_factory"), ())
        environment = await process.call(child, "!env")
        assert sorted(environment.value) == ["BOTH=mine", "NODE=1"]
        await a.core.remote.start_application(b.name, Atom("test_app"), 0)
        environment = await process.call(ProcessID(b.name, Atom("test_app_worker")), "!env")
        assert sorted(environment.value) == ["BOTH=node", "NODE=1"]

    await run_as_process(a, ask, env={"BOTH": "mine"})
    await net.stop()


async def test_echo_is_restarted_after_terminate() -> None:
    async with agents_and_peer() as (peer, pids):
        assert await peer.call("echo", "!terminate") == "bye"
        await settle()
        pid = await peer.call("echo", "!self")
        assert pid.id not in pids.values()
        await peer.expect_no_answer(peer.ask(pids["echo"], "call"))


async def test_echo_survives_messages_too_long_to_return() -> None:
    b, _, pids = await start_agents()
    peer = await context(b, 2).peer(MaxMessageSize=500)
    for text in ("!self", "x" * 450, "x" * 480):
        peer.send("echo", text)
        peer.ask("echo", text)
    assert await peer.call("echo", "!self") == peer.target_pid(pids["echo"])
    await b.stop()


# --- sink -------------------------------------------------------------------------------------------------------------


async def test_sink_counts_messages_and_keeps_the_last() -> None:
    async with agents_and_peer() as (peer, _):

        async def ask(text: str) -> Any:
            return await peer.call("sink", text)

        assert [await ask("count"), await ask("from")] == [0, NOBODY]
        await peer.expect_no_answer(peer.ask("sink", "last"))
        for i in range(3):
            peer.send("sink", ["message", i], sender=2000 + i)
        assert [await ask("count"), await ask("last"), await ask("from")] == [3, ["message", 2], peer.pid(2002)]
        assert await ask("reset") is True
        assert [await ask("count"), await ask("from")] == [0, peer.pid(2002)]
        await peer.expect_no_answer(peer.ask("sink", "last"))
        peer.send("sink", "again")
        assert [await ask("count"), await ask("last"), await ask("from")] == [1, "again", peer.pid()]


@pytest.mark.parametrize("value", ["", "Count", 1, ["count"], Atom("count"), b"last"])
async def test_sink_answers_other_requests_with_unsupported(value: Any) -> None:
    async with agents_and_peer() as (peer, _):
        answer = await peer.call("sink", value)
        assert isinstance(answer, Error)
        assert answer.text == error_values.UNSUPPORTED.text


# --- slow and small_mailbox -------------------------------------------------------------------------------------------


async def timed(work: Coroutine[Any, Any, Any]) -> tuple[Any, float]:
    started = asyncio.get_running_loop().time()
    return await work, asyncio.get_running_loop().time() - started


@pytest.mark.parametrize("name", ["slow", "small_mailbox"])
@pytest.mark.parametrize("ms", [0, 1, 250, 3000])
async def test_slow_agents_sleep_for_the_requested_time(name: str, ms: int) -> None:
    async with agents_and_peer() as (peer, _):
        answer, seconds = await timed(peer.call(name, int64(ms)))
        assert (answer, seconds) == (int64(ms), pytest.approx(ms / 1000))
        peer.send(name, int64(ms))
        await settle()
        answer, seconds = await timed(peer.call(name, int64(1)))
        assert (answer, seconds) == (int64(1), pytest.approx((ms + 1) / 1000))


@pytest.mark.parametrize("name", ["slow", "small_mailbox"])
@pytest.mark.parametrize("value", [1, "1", Typed(t.UINT64, 1), Typed(t.INT32, 1), [int64(1)], True, 1.0])
async def test_slow_agents_answer_other_requests_with_incorrect(name: str, value: Any) -> None:
    async with agents_and_peer() as (peer, _):
        answer = await peer.call(name, value)
        assert isinstance(answer, Error)
        assert answer.text == error_values.INCORRECT.text
        peer.send(name, value)
        await settle()
        answer, seconds = await timed(peer.call(name, int64(0)))
        assert (answer, seconds) == (int64(0), 0)


@pytest.mark.parametrize(("name", "codes"), [("small_mailbox", [0, 2, 2]), ("slow", [0, 0, 0])])
async def test_the_small_mailbox_holds_one_message(name: str, codes: list[int]) -> None:
    async with agents_and_peer() as (peer, pids):
        peer.send(name, int64(1000))
        await settle()
        for to in (name, pids[name]):
            found = [(await peer.acknowledgement(peer.send_important(to, int64(1000)))).code for _ in range(3)]
            assert found == (codes if to == name else [max(codes)] * 3)


async def test_a_call_to_a_full_mailbox_is_refused_only_if_important() -> None:
    async with agents_and_peer() as (peer, _):
        first = peer.ask("small_mailbox", int64(1000))
        await settle()
        second, dropped = peer.ask("small_mailbox", int64(5)), peer.ask("small_mailbox", int64(6))
        refused = peer.ask("small_mailbox", int64(7), priority=enp.IMPORTANT)
        assert (await peer.answer(refused)).value.code == Code.MAILBOX_FULL
        assert (await peer.answer(first)).value.payload == int64(1000)
        assert (await peer.answer(second)).value.payload == int64(5)
        await peer.expect_no_answer(dropped)
