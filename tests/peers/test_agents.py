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
from ergo_conformance.peers.ergo.agents import Acting
from ergo_conformance.peers.ergo.connection import Peer
from ergo_conformance.peers.ergo.ours import OURS, TO, address, fail, reply, to_of, told
from ergo_conformance.peers.link import VirtualLoop
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
    pid = await agents.crasher(peer)
    name = await agents.target_of(peer, "ProcessID", pid)
    for target in (pid, name):
        await agents.watch(peer, Verb.MONITOR, target)
    return pid, name


# --- watching ---------------------------------------------------------------------------------------------------------


def test_each_address_is_told_of() -> None:
    async def script(peer: Peer) -> None:
        pid, name = await monitored(peer)
        alias = await agents.target_of(peer, "Alias", pid)
        event = await agents.target_of(peer, "Event", pid)
        assert [agents.word_of(each) for each in (pid, name, alias, event)] == list(enp.TARGETS)
        for target in (alias, event):
            await agents.watch(peer, Verb.LINK, target)
        peer.send(pid.id, "kill")
        for target in (event, alias, name, pid):
            await agents.told_once(peer, target, error_values.KILL)
        assert await agents.crasher(peer) != pid

    play(script)


def test_a_notice_is_of_one_target() -> None:
    x, words = Atom("x"), (1, 2, 3)
    rows: list[tuple[agents.Watched, list[enp.Frame]]] = [
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
            assert [agents.tells_of(frame, target) for frame in frames] == [other is target] * len(frames)


def test_another_reason_is_a_violation() -> None:
    async def script(peer: Peer) -> None:
        pid, _ = await monitored(peer)
        peer.send(pid.id, "kill")
        await agents.notice(peer, pid, error_values.SHUTDOWN)

    assert "'shutdown'" in str(fails(script, "kill").legal)


def test_a_notice_where_none_may_come_is_a_violation() -> None:
    async def script(peer: Peer) -> None:
        pid, name = await monitored(peer)
        peer.send(pid.id, "kill")
        await agents.notice(peer, pid)
        await agents.no_notice(peer, name, "notice of the name")

    assert fails(script, "TerminateName").legal == ("no notice of the name",)


def test_a_refused_relation_is_a_violation() -> None:
    async def script(peer: Peer) -> None:
        await agents.watch(peer, Verb.LINK, ProcessID(peer.target, Atom("nobody")))

    fails(script, "unknown process")


def test_what_never_becomes_true_is_a_violation_in_time() -> None:
    async def script(peer: Peer) -> None:
        async def ask() -> int:
            return 3

        started = asyncio.get_running_loop().time()
        try:
            await agents.eventually(peer, ask, lambda n: n > 3, "more than three")
        finally:
            assert 5.0 <= asyncio.get_running_loop().time() - started < 6.0

    assert fails(script, "3").legal == ("more than three within 5 s",)


def test_events_of_ones_own() -> None:
    async def script(peer: Peer) -> None:
        first, second = await agents.own_event(peer), await agents.own_event(peer)
        assert first != second
        await agents.watch(peer, Verb.MONITOR, first)
        await agents.publish(peer, second, "to nobody")
        await agents.publish(peer, first, "hello")
        frame = (await peer.wait_for(agents.is_published(first), "a frame")).value
        assert frame.payload == "hello"
        assert not agents.is_published(second)(frame)

    play(script)


def test_an_event_that_is_not_there_can_not_be_published() -> None:
    async def script(peer: Peer) -> None:
        await agents.publish(peer, Event(peer.target, Atom("nothing")), "hello")

    fails(script, "unknown event")


# --- the agent --------------------------------------------------------------------------------------------------------


def test_ops() -> None:
    async def script(peer: Peer) -> None:
        acting = Acting(peer)
        assert (await acting.pid()).node == peer.target
        ref, frame = await told(acting, "call", "PID", "hello")
        assert (to_of(frame), frame.payload) == (OURS, "hello")
        reply(peer, frame, "answer")
        assert await acting.done(ref) == "answer"
        ref, frame = await told(acting, "send_important", "ProcessID", "hello")
        fail(peer, frame, (frame.mid, 0, 0), enp.Code.MAILBOX_FULL)
        await acting.refused(ref, error_values.MAILBOX_FULL)
        await acting.timed_out(acting.tell("call", address(peer, "Alias"), 1), agents.CALL_TIMEOUT)

    play(script)


def test_ops_that_end_otherwise_are_violations() -> None:
    async def works(peer: Peer) -> None:
        await Acting(peer).refused(Acting(peer).tell("keep_order", True), error_values.TIMEOUT)

    async def is_refused(peer: Peer) -> None:
        await Acting(peer).set("disconnect", "nobody@localhost")

    async def unknown(peer: Peer) -> None:
        await Acting(peer).refused(Acting(peer).tell("no_such_op"), error_values.TIMEOUT)

    async def too_early(peer: Peer) -> None:
        acting = Acting(peer)
        ref, frame = await told(acting, "call", "PID", "hello")
        fail(peer, frame, frame.ref, enp.Code.OTHER, error_values.TIMEOUT)
        await acting.timed_out(ref, agents.CALL_TIMEOUT)

    fails(works, "True")
    fails(is_refused, "no connection")
    fails(unknown, "unknown op")
    fails(too_early, r"timed out after 0\.00 s")


def exit_signals(*texts: str) -> Callable[[Acting], Coroutine[Any, Any, None]]:
    async def send(acting: Acting) -> None:
        me = await acting.pid()
        for text in texts:
            acting.peer.send_frame(enp.Exit(0, OURS, Priority.MAX, me.id, Error(text)))

    return send


def test_what_it_received() -> None:
    async def script(peer: Peer) -> None:
        acting = Acting(peer)
        await exit_signals("one", "two")(acting)
        await acting.told("gen.MessageExitPID", "two")
        await acting.told("gen.MessageExitPID", "one")  # read with the other one, and kept
        await acting.heard_nothing("gen.MessageDownPID", "one")
        await acting.heard_nothing("gen.MessageExitPID", "three")

    play(script)


def test_what_it_should_have_received_otherwise_is_a_violation() -> None:
    async def twice(peer: Peer) -> None:
        acting = Acting(peer)
        await exit_signals("one", "one")(acting)
        await acting.told("gen.MessageExitPID", "one")

    async def never(peer: Peer) -> None:
        await Acting(peer).told("gen.MessageExitPID", "one")

    async def nevertheless(peer: Peer) -> None:
        acting = Acting(peer)
        await exit_signals("one")(acting)
        await acting.heard_nothing("gen.MessageExitPID", "one")

    for script in (twice, nevertheless):
        fails(script, "gen.MessageExitPID")
    assert "one gen.MessageExitPID with 'one'" in fails(never, r"\[\]").legal[0]


def test_a_setting_is_undone_whatever_happens() -> None:
    async def script(peer: Peer) -> None:
        acting = Acting(peer)

        async def interrupted() -> None:
            async with acting.setting("priority", 2, back=(0,)):
                assert (await told(acting, "send", "PID", "hello"))[1].priority == Priority.MAX
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await interrupted()
        assert (await told(acting, "send", "PID", "hello"))[1].priority == Priority.NORMAL

    play(script)


@pytest.mark.parametrize("word", list(TO))
def test_addresses_of_ours(word: str) -> None:
    async def script(peer: Peer) -> None:
        ref, frame = await told(Acting(peer), "send", word, word)
        assert (to_of(frame), frame.payload) == (TO[word], word)
        assert await Acting(peer).done(ref) is True

    play(script)
