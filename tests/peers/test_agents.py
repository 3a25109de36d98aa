"""What a peer makes of the agents of level 2, against those of the embedded node: good answers, and each way to fail."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp, error_values
from ergo_conformance.model.ergo.enp import Priority, Verb
from ergo_conformance.model.values import Alias, Atom, Error, Event, ProcessID
from ergo_conformance.peers.ergo import agents
from ergo_conformance.peers.ergo.agents import (
    OWN_ADDRESSES,
    OWN_PROCESS,
    AgentDriver,
    have_agent_send,
    own_address,
    receiver_of,
    respond,
    respond_error,
)
from ergo_conformance.peers.ergo.connection import Peer
from ergo_conformance.peers.memory import VirtualLoop
from ergo_conformance.peers.violation import ViolationError
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.verdict.run.context import Context

Script = Callable[[Peer], Coroutine[Any, Any, None]]


def play(script: Script) -> None:
    """Runs a script with a peer of the embedded node."""

    async def run() -> None:
        running = await SelfTarget().start({})
        context = Context(running, random.Random(0))
        try:
            await script(await context.peer())
        finally:
            context.close()
            await running.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


def fails(script: Script, came: str) -> ViolationError:
    """A script ends with a violation that says so."""
    with pytest.raises(ViolationError, match=came) as raised:
        play(script)
    return raised.value


async def monitored(peer: Peer) -> tuple[Any, Any]:
    """The crasher by PID and by name, both monitored."""
    pid = await agents.crasher_pid(peer)
    name = await agents.crasher_target(peer, "ProcessID", pid)
    for target in (pid, name):
        await agents.add_relation(peer, Verb.MONITOR, target)
    return pid, name


# --- watching ---------------------------------------------------------------------------------------------------------


def test_each_address_is_told_of() -> None:
    async def script(peer: Peer) -> None:
        pid, name = await monitored(peer)
        alias = await agents.crasher_target(peer, "Alias", pid)
        event = await agents.crasher_target(peer, "Event", pid)
        assert [agents.word_of(each) for each in (pid, name, alias, event)] == list(enp.TARGETS)
        for target in (alias, event):
            await agents.add_relation(peer, Verb.LINK, target)
        peer.send(pid.id, "kill")
        for target in (event, alias, name, pid):
            await agents.expect_one_end(peer, target, error_values.KILL)
        assert await agents.crasher_pid(peer) != pid

    play(script)


def test_a_notice_is_of_one_target() -> None:
    x, words = Atom("x"), (1, 2, 3)
    rows: list[tuple[agents.RelationTarget, list[enp.Frame]]] = [
        (
            ProcessID(Atom("n"), x),
            [cls(0, 1, x, error_values.KILL) for cls in (enp.TerminateName, enp.TerminateNameCache)],
        ),
        (
            Event(Atom("n"), x),
            [cls(0, 1, x, error_values.KILL) for cls in (enp.TerminateEvent, enp.TerminateEventCache)],
        ),
        (Alias(Atom("n"), 1, words), [enp.TerminateAlias(0, 1, words, error_values.KILL)]),
    ]
    for target, _ in rows:
        for other, frames in rows:
            assert [agents.is_end_of(frame, target) for frame in frames] == [other is target] * len(frames)


def test_another_reason_is_a_violation() -> None:
    async def script(peer: Peer) -> None:
        pid, _ = await monitored(peer)
        peer.send(pid.id, "kill")
        await agents.expect_end(peer, pid, error_values.SHUTDOWN)

    assert "'shutdown'" in str(fails(script, "kill").expected)


def test_a_notice_where_none_may_come_is_a_violation() -> None:
    async def script(peer: Peer) -> None:
        pid, name = await monitored(peer)
        peer.send(pid.id, "kill")
        await agents.expect_end(peer, pid)
        await agents.expect_no_end(peer, name, "notice of the name")

    assert fails(script, "TerminateName").expected == ("no notice of the name",)


def test_a_refused_relation_is_a_violation() -> None:
    async def script(peer: Peer) -> None:
        await agents.add_relation(peer, Verb.LINK, ProcessID(peer.target, Atom("nobody")))

    fails(script, "unknown process")


def test_what_never_becomes_true_is_a_violation_in_time() -> None:
    async def script(peer: Peer) -> None:
        async def ask() -> int:
            return 3

        started = asyncio.get_running_loop().time()
        try:
            await agents.poll_until(peer, ask, lambda n: n > 3, "more than three")
        finally:
            assert 5.0 <= asyncio.get_running_loop().time() - started < 6.0

    assert fails(script, "3").expected == ("more than three within 5 s",)


def test_events_of_ones_own() -> None:
    async def script(peer: Peer) -> None:
        first, second = await agents.register_event(peer), await agents.register_event(peer)
        assert first != second
        await agents.add_relation(peer, Verb.MONITOR, first)
        await agents.publish(peer, second, "to nobody")
        await agents.publish(peer, first, "hello")
        frame = (await peer.wait_for(agents.is_message_of(first), "a frame")).value
        assert frame.payload == "hello"
        assert not agents.is_message_of(second)(frame)

    play(script)


def test_an_event_that_is_not_there_can_not_be_published() -> None:
    async def script(peer: Peer) -> None:
        await agents.publish(peer, Event(peer.target, Atom("nothing")), "hello")

    fails(script, "unknown event")


# --- the agent --------------------------------------------------------------------------------------------------------


def test_ops() -> None:
    async def script(peer: Peer) -> None:
        agent = AgentDriver(peer)
        assert (await agent.pid()).node == peer.target
        ref, frame = await have_agent_send(agent, "call", "PID", "hello")
        assert (receiver_of(frame), frame.payload) == (OWN_PROCESS, "hello")
        respond(peer, frame, "answer")
        assert await agent.result(ref) == "answer"
        ref, frame = await have_agent_send(agent, "send_important", "ProcessID", "hello")
        respond_error(peer, frame, (frame.mid, 0, 0), enp.Code.MAILBOX_FULL)
        await agent.expect_error(ref, error_values.MAILBOX_FULL)
        await agent.expect_timeout(agent.start("call", own_address(peer, "Alias"), 1), agents.CALL_TIMEOUT)

    play(script)


def test_ops_that_end_otherwise_are_violations() -> None:
    async def works(peer: Peer) -> None:
        await AgentDriver(peer).expect_error(AgentDriver(peer).start("keep_order", True), error_values.TIMEOUT)

    async def is_refused(peer: Peer) -> None:
        await AgentDriver(peer).run_true("disconnect", "nobody@localhost")

    async def unknown(peer: Peer) -> None:
        await AgentDriver(peer).expect_error(AgentDriver(peer).start("no_such_op"), error_values.TIMEOUT)

    async def too_early(peer: Peer) -> None:
        agent = AgentDriver(peer)
        ref, frame = await have_agent_send(agent, "call", "PID", "hello")
        respond_error(peer, frame, frame.ref, enp.Code.OTHER, error_values.TIMEOUT)
        await agent.expect_timeout(ref, agents.CALL_TIMEOUT)

    fails(works, "True")
    fails(is_refused, "no connection")
    fails(unknown, "unknown op")
    fails(too_early, r"timed out after 0\.00 s")


def exit_signals(*texts: str) -> Callable[[AgentDriver], Coroutine[Any, Any, None]]:
    async def send(agent: AgentDriver) -> None:
        me = await agent.pid()
        for text in texts:
            agent.peer.send_frame(enp.Exit(0, OWN_PROCESS, Priority.MAX, me.id, Error(text)))

    return send


def test_what_it_received() -> None:
    async def script(peer: Peer) -> None:
        agent = AgentDriver(peer)
        await exit_signals("one", "two")(agent)
        await agent.expect_received("gen.MessageExitPID", "two")
        await agent.expect_received("gen.MessageExitPID", "one")  # read with the other one, and kept
        await agent.expect_not_received("gen.MessageDownPID", "one")
        await agent.expect_not_received("gen.MessageExitPID", "three")

    play(script)


def test_what_it_should_have_received_otherwise_is_a_violation() -> None:
    async def twice(peer: Peer) -> None:
        agent = AgentDriver(peer)
        await exit_signals("one", "one")(agent)
        await agent.expect_received("gen.MessageExitPID", "one")

    async def never(peer: Peer) -> None:
        await AgentDriver(peer).expect_received("gen.MessageExitPID", "one")

    async def nevertheless(peer: Peer) -> None:
        agent = AgentDriver(peer)
        await exit_signals("one")(agent)
        await agent.expect_not_received("gen.MessageExitPID", "one")

    for script in (twice, nevertheless):
        fails(script, "gen.MessageExitPID")
    assert "one gen.MessageExitPID with 'one'" in fails(never, r"\[\]").expected[0]


def test_a_setting_is_undone_whatever_happens() -> None:
    async def script(peer: Peer) -> None:
        agent = AgentDriver(peer)

        async def interrupted() -> None:
            async with agent.changed_setting("priority", 2, back=(0,)):
                assert (await have_agent_send(agent, "send", "PID", "hello"))[1].priority == Priority.MAX
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await interrupted()
        assert (await have_agent_send(agent, "send", "PID", "hello"))[1].priority == Priority.NORMAL

    play(script)


@pytest.mark.parametrize("word", list(OWN_ADDRESSES))
def test_addresses_of_ours(word: str) -> None:
    async def script(peer: Peer) -> None:
        ref, frame = await have_agent_send(AgentDriver(peer), "send", word, word)
        assert (receiver_of(frame), frame.payload) == (OWN_ADDRESSES[word], word)
        assert await AgentDriver(peer).result(ref) is True

    play(script)
