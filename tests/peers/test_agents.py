"""Scripted peer with the agents of level 2 of the embedded node: operations, notices, and violations."""

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
from ergo_conformance.peers.violation import SetUpError, ViolationError, set_up
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.verdict.run.case import Case
from ergo_conformance.verdict.run.context import Context, SkippedError
from ergo_conformance.verdict.run.execution import CaseResult, PlannedCase, run_case

Script = Callable[[Peer], Coroutine[Any, Any, None]]


def run_script(script: Script) -> None:
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


def violation_of(script: Script, actual: str) -> ViolationError:
    """Returns the violation that ends a script; its text must match."""
    with pytest.raises(ViolationError, match=actual) as raised:
        run_script(script)
    return raised.value


async def monitored(peer: Peer) -> tuple[Any, Any]:
    """Monitors the crasher by PID and by name; returns both addresses."""
    pid = await agents.crasher_pid(peer)
    name = await agents.crasher_target(peer, "ProcessID", pid)
    for target in (pid, name):
        await agents.add_relation(peer, Verb.MONITOR, target)
    return pid, name


# --- relations and events ---------------------------------------------------------------------------------------------


def test_one_end_is_expected_for_each_address_of_a_killed_process() -> None:
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

    run_script(script)


def test_is_end_of_matches_only_the_notices_of_its_target() -> None:
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


def test_an_end_with_another_reason_is_a_violation() -> None:
    async def script(peer: Peer) -> None:
        pid, _ = await monitored(peer)
        peer.send(pid.id, "kill")
        await agents.expect_end(peer, pid, error_values.SHUTDOWN)

    assert 'reason "shutdown"' in str(violation_of(script, "kill").expected)


def test_an_unexpected_notice_is_a_violation() -> None:
    async def script(peer: Peer) -> None:
        pid, name = await monitored(peer)
        peer.send(pid.id, "kill")
        await agents.expect_end(peer, pid)
        await agents.expect_no_end(peer, name, "notice of the name")

    assert violation_of(script, "TerminateName").expected == ("no notice of the name",)


def test_a_refused_relation_is_a_violation() -> None:
    async def script(peer: Peer) -> None:
        await agents.add_relation(peer, Verb.LINK, ProcessID(peer.target, Atom("nobody")))

    violation_of(script, "unknown process")


def test_poll_until_a_condition_that_never_holds_is_a_violation_after_5_s() -> None:
    async def script(peer: Peer) -> None:
        async def ask() -> int:
            return 3

        started = asyncio.get_running_loop().time()
        try:
            await agents.poll_until(peer, ask, lambda n: n > 3, "more than three")
        finally:
            assert 5.0 <= asyncio.get_running_loop().time() - started < 6.0

    assert violation_of(script, "3").expected == ("more than three within 5 s",)


def test_registered_events_are_distinct_and_delivered_separately() -> None:
    async def script(peer: Peer) -> None:
        first, second = await agents.register_event(peer), await agents.register_event(peer)
        assert first != second
        await agents.add_relation(peer, Verb.MONITOR, first)
        await agents.publish(peer, second, "to nobody")
        await agents.publish(peer, first, "hello")
        frame = (await peer.wait_for(agents.is_message_of(first), "a frame")).value
        assert frame.payload == "hello"
        assert not agents.is_message_of(second)(frame)

    run_script(script)


def test_publishing_an_unknown_event_makes_the_case_impossible_to_judge() -> None:
    async def script(peer: Peer) -> None:
        with pytest.raises(SetUpError, match="unknown event"):
            await agents.publish(peer, Event(peer.target, Atom("nothing")), "hello")

    run_script(script)


# --- the agent --------------------------------------------------------------------------------------------------------


def test_agent_operations_return_results_errors_and_timeouts() -> None:
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

    run_script(script)


def test_an_operation_with_an_unexpected_outcome_is_a_violation() -> None:
    async def expect_error_of_a_result(peer: Peer) -> None:
        await AgentDriver(peer).expect_error(AgentDriver(peer).start("keep_order", True), error_values.TIMEOUT)

    async def run_refused_operation(peer: Peer) -> None:
        await AgentDriver(peer).run_true("disconnect", "nobody@localhost")

    async def start_unknown_operation(peer: Peer) -> None:
        await AgentDriver(peer).expect_error(AgentDriver(peer).start("no_such_op"), error_values.TIMEOUT)

    async def answer_before_the_timeout(peer: Peer) -> None:
        agent = AgentDriver(peer)
        ref, frame = await have_agent_send(agent, "call", "PID", "hello")
        respond_error(peer, frame, frame.ref, enp.Code.OTHER, error_values.TIMEOUT)
        await agent.expect_timeout(ref, agents.CALL_TIMEOUT)

    violation_of(expect_error_of_a_result, "received  true")
    violation_of(run_refused_operation, "no connection")
    violation_of(start_unknown_operation, "unknown op")
    violation_of(answer_before_the_timeout, r"timed out after 0\.00 s")


def exit_signals(*texts: str) -> Callable[[AgentDriver], Coroutine[Any, Any, None]]:
    async def send(agent: AgentDriver) -> None:
        me = await agent.pid()
        for text in texts:
            agent.peer.send_frame(enp.Exit(0, OWN_PROCESS, Priority.MAX, me.id, Error(text)))

    return send


def test_expect_received_finds_messages_in_any_order() -> None:
    async def script(peer: Peer) -> None:
        agent = AgentDriver(peer)
        await exit_signals("one", "two")(agent)
        await agent.expect_received("gen.MessageExitPID", "two")
        await agent.expect_received("gen.MessageExitPID", "one")  # kept when the other one was read
        await agent.expect_not_received("gen.MessageDownPID", "one")
        await agent.expect_not_received("gen.MessageExitPID", "three")

    run_script(script)


def test_missing_repeated_and_forbidden_messages_are_violations() -> None:
    async def received_twice(peer: Peer) -> None:
        agent = AgentDriver(peer)
        await exit_signals("one", "one")(agent)
        await agent.expect_received("gen.MessageExitPID", "one")

    async def received_nothing(peer: Peer) -> None:
        await AgentDriver(peer).expect_received("gen.MessageExitPID", "one")

    async def received_forbidden(peer: Peer) -> None:
        agent = AgentDriver(peer)
        await exit_signals("one")(agent)
        await agent.expect_not_received("gen.MessageExitPID", "one")

    for script in (received_twice, received_forbidden):
        violation_of(script, "gen.MessageExitPID")
    assert "one gen.MessageExitPID with 'one'" in violation_of(received_nothing, r"\[\]").expected[0]


def test_a_changed_setting_is_restored_after_an_exception() -> None:
    async def script(peer: Peer) -> None:
        agent = AgentDriver(peer)

        async def interrupted() -> None:
            async with agent.changed_setting("priority", 2, back=(0,)):
                assert (await have_agent_send(agent, "send", "PID", "hello"))[1].priority == Priority.MAX
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await interrupted()
        assert (await have_agent_send(agent, "send", "PID", "hello"))[1].priority == Priority.NORMAL

    run_script(script)


@pytest.mark.parametrize("word", list(OWN_ADDRESSES))
def test_agent_sends_to_each_address_of_the_peer(word: str) -> None:
    async def script(peer: Peer) -> None:
        ref, frame = await have_agent_send(AgentDriver(peer), "send", word, word)
        assert (receiver_of(frame), frame.payload) == (OWN_ADDRESSES[word], word)
        assert await AgentDriver(peer).result(ref) is True

    run_script(script)


# --- steps before the subject of a case -------------------------------------------------------------------------------


def test_an_event_that_is_registered_already_makes_the_case_impossible_to_judge() -> None:
    async def script(peer: Peer) -> None:
        event = await agents.register_event(peer)
        peer._refs -= 2  # the next event has the same name
        with pytest.raises(SetUpError, match=f"resource is taken.*register_event:{event.name}"):
            await agents.register_event(peer)

    run_script(script)


def test_a_crasher_that_is_not_restarted_is_named_once_and_then_missing() -> None:
    async def dead(_: Context) -> None:
        raise SetUpError("`crasher` did not answer", "crasher")

    async def run() -> list[CaseResult]:
        running = await SelfTarget().start({})
        case = Case(("ENP-TERM-2",), agents=frozenset({"crasher"}))
        results = [await run_case(PlannedCase("x.y.z", case, dead), running, 0, 60.0) for _ in range(2)]
        await running.stop()
        return results

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        first, second = runner.run(run())
    assert str(first.error) == "`crasher` did not answer"
    assert isinstance(second.error, SkippedError)
    assert str(second.error) == "the target hosts no agent `crasher`"


def test_crasher_pid_without_an_answer_raises_set_up_error() -> None:
    async def script(peer: Peer) -> None:
        peer.ask = lambda *_, **__: (1, 2, 3)  # type: ignore[method-assign]  # the call is lost
        with pytest.raises(SetUpError, match="within a second") as raised:
            await agents.crasher_pid(peer)
        assert raised.value.agent == "crasher"

    run_script(script)


def refused_relation(target: ProcessID) -> Script:
    async def script(peer: Peer) -> None:
        await agents.add_relation(peer, Verb.MONITOR, target._replace(node=peer.target))

    return script


def test_a_refused_relation_violates_the_requirement_about_relations() -> None:
    violation = violation_of(refused_relation(ProcessID(Atom(""), Atom("no such name"))), "unknown process")
    assert violation.requirements == ("ENP-LINK-1",)


@pytest.mark.parametrize("given", [(), ("ENP-ANY-1",)], ids=["none", "named_before"])
def test_set_up_names_its_requirements_unless_an_inner_step_has_named_some(given: tuple[str, ...]) -> None:
    violation = ViolationError("nothing")
    violation.requirements = given
    with pytest.raises(ViolationError) as raised, set_up("ENP-REQ-1"):
        raise violation
    assert raised.value.requirements == (given or ("ENP-REQ-1",))


def test_a_set_up_that_no_requirement_covers_raises_set_up_error_with_the_evidence() -> None:
    with pytest.raises(SetUpError, match="failed: 'x'; expected a or b"), set_up():
        raise ViolationError("'x'", ("a", "b"))
