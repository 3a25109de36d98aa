"""A node restarts under the same name: old addresses are refused, names work, late responses are dropped."""

import asyncio
import time
from collections import Counter
from functools import partial

import pytest

from ergo_conformance.model.ergo import error_values
from ergo_conformance.model.values import PID, Alias, Atom, ProcessID, Ref
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import Call
from ergo_conformance.reference_node.core.actor import NO_REPLY, Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from tests.support.cluster import (
    Cluster,
    Notice,
    NoticeRecorder,
    cluster,
    disconnected,
    link_and_monitor_all,
    pool_is_full,
    port_of,
    read_all,
    wait_until,
)
from tests.support.nodes import run_as_process
from tests.support.ports import free_port
from tests.support.sockets import HOST

pytestmark = pytest.mark.real_loop

INCARNATIONS = 6
OLD_INCARNATION = "process ID belongs to the previous incarnation"


class CallRecorder(Actor):
    """Actor that records calls; a test answers them later."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def handle_call(self, call: Call) -> object:
        self.calls.append(call)
        return NO_REPLY


async def start(net: Cluster, incarnation: int, port: int) -> Node:
    """Starts an incarnation of node b, always at the same port."""
    acceptors = (AcceptorOptions(host=HOST, port=port, last_port=port),)
    b = await net.node("b", acceptors=acceptors, clock=lambda: time.time() + 10 * incarnation)
    Supervisor(b.core, LEVEL_1)
    return b


async def stop_node(b: Node, how: str) -> None:
    """Stops the node; `crash`: resets all sockets first, so that it sends nothing."""
    if how == "crash":
        for socket in list(b.network._sockets.live):
            socket.abort()
    await b.stop()


@pytest.mark.parametrize("how", ["stop", "crash"])
@pytest.mark.parametrize("dialer", ["other node", "restarted node"])
async def test_after_a_restart_old_addresses_are_refused_and_names_work(how: str, dialer: str) -> None:
    async with cluster("a") as (net, [a]):
        b = await start(net, 0, free_port())
        creations = {b.creation}
        for incarnation in range(1, INCARNATIONS):
            if dialer == "restarted node":
                await b.network.get_node(a.name)
            b = await restart(net, a, b, incarnation, how)
            creations.add(b.creation)
        assert len(creations) == INCARNATIONS


async def restart(net: Cluster, a: Node, b: Node, incarnation: int, how: str) -> Node:
    """Stops b and starts its next incarnation; returns the new node."""
    echo = ProcessID(b.name, Atom("echo"))
    assert await run_as_process(a, lambda it: it.call(echo, "hello")) == "hello"
    agent = b.core.tables.names[Atom("echo")]
    old: list[PID | Alias] = [agent.pid, b.core.spawner.create_alias(agent)]
    notice_recorder, expected = await link_and_monitor_all(a, b)
    port = port_of(b)
    await stop_node(b, how)
    await wait_until(lambda: b.name not in a.network.connections)
    await wait_until(lambda: len(notice_recorder.notices) >= len(expected))
    net.nodes.remove(b)
    new = await start(net, incarnation, port)
    for target in old:
        for use in (refused_send, refused_call, refused_link, refused_exit):
            await run_as_process(a, partial(use, target=target))
    assert await run_as_process(a, lambda it: it.call(echo, incarnation)) == incarnation
    await wait_until(lambda: pool_is_full(a, new))
    assert a.network.node(new.name).creation == new.creation != b.creation
    await wait_until(lambda: a.network._sockets.live == set(a.network.connections[new.name].sockets))
    await read_all(a, [notice_recorder])  # no further notice arrives
    assert sorted(map(str, notice_recorder.notices)) == sorted(
        map(str, expected_notices(notice_recorder, expected, how))
    )
    return new


def expected_notices(notice_recorder: NoticeRecorder, expected: Counter[Notice], how: str) -> list[Notice]:
    """Returns each notice once. A stopping node may announce the end before its sockets close (ENP-DOWN-4)."""
    reasons = {row[:3]: row[3] for row in notice_recorder.notices}
    allowed = {"no connection"} if how == "crash" else {"no connection", "shutdown"}
    assert set(reasons.values()) <= allowed
    return [(*row[:3], reasons.get(row[:3], "no notice")) for row in expected]


async def refused_send(it: Process, target: PID | Alias) -> None:
    for important in (False, True):
        with pytest.raises(ErgoError, match=OLD_INCARNATION):
            await it.send(target, 1, important=important)


async def refused_call(it: Process, target: PID | Alias) -> None:
    with pytest.raises(ErgoError, match=OLD_INCARNATION):
        await it.call(target, 1)


async def refused_link(it: Process, target: PID | Alias) -> None:
    for take in (it.link, it.monitor):
        with pytest.raises(ErgoError, match=OLD_INCARNATION):
            await take(target)


async def refused_exit(it: Process, target: PID | Alias) -> None:
    if isinstance(target, PID):
        with pytest.raises(ErgoError, match=OLD_INCARNATION):
            await it.exit(target, error_values.PROCESS_UNKNOWN)


# --- late responses ---------------------------------------------------------------------------------------------------


async def test_a_response_to_the_previous_incarnation_is_dropped() -> None:
    """In the new incarnation a process with the same PID number waits for a response with the same reference."""
    async with cluster("a") as (net, [a]):
        recorder = CallRecorder()
        a.spawn(recorder, name="late")
        a_late = ProcessID(a.name, Atom("late"))
        b = await start(net, 0, free_port())
        unique = b.core.tables._unique
        callers = [b.spawn(lambda it: it.call(a_late, "first", timeout=1)) for _ in range(5)]
        await wait_until(lambda: len(recorder.calls) == 5)
        first = list(recorder.calls)
        port = port_of(b)
        await stop_node(b, "crash")
        await wait_until(lambda: disconnected(a, b))
        net.nodes.remove(b)
        b = await start(net, 1, port)
        b.core.tables._unique = unique  # as after a clock step back: the references are equal
        results: list[object] = []

        async def call_again(it: Process) -> None:
            results.append(await it.call(a_late, "second", timeout=60))

        again = [b.core.spawner.spawn(call_again, number=old.pid.id) for old in callers]
        await wait_until(lambda: len(recorder.calls) == 10)
        for call in first:
            recorder.process.reply(call, "too late")
            recorder.process.reply_error(call, error_values.PROCESS_UNKNOWN)
        assert [call.ref.id for call in recorder.calls[5:]] == [call.ref.id for call in first]
        for call in recorder.calls[5:]:
            assert call.sender.creation == b.creation
            recorder.process.reply(call, "in time")
        await asyncio.gather(*(process.join() for process in again))
        assert results == ["in time"] * 5
        assert not b.core.pending


async def test_frames_with_references_of_the_previous_incarnation_are_dropped() -> None:
    """Responses with references of the previous incarnation arrive over the new connection; no request matches them."""
    async with cluster("a") as (net, [a]):
        b = await start(net, 0, free_port())
        slow = CallRecorder()
        b.spawn(slow, name="late")
        lost: list[str] = []

        async def call_once(it: Process) -> None:
            try:
                await it.call(ProcessID(b.name, Atom("late")), "first")
            except ErgoError as error:
                lost.append(str(error))

        asker = a.spawn(call_once)
        await wait_until(lambda: slow.calls)
        words, port = slow.calls[0].ref.id, port_of(b)
        await stop_node(b, "crash")
        await wait_until(lambda: lost)
        assert lost == ["no connection"]
        net.nodes.remove(b)
        b = await start(net, 1, port)
        b.spawn(CallRecorder(), name="late")
        again = a.core.spawner.spawn(call_once, number=asker.pid.id + 100)
        await wait_until(lambda: len(a.core.pending) == 1)
        before = a.network.connections[b.name].node.info.messages_in
        stale = Ref(a.name, a.creation, words)
        for to in (asker.pid, again.pid):
            connection = b.network.connections[a.name]
            connection.send_response(b.core.pid, to, stale, again.reply_options, "too late")
            connection.send_response_error(b.core.pid, to, stale, again.reply_options, error_values.PROCESS_UNKNOWN)
        await wait_until(lambda: a.network.connections[b.name].node.info.messages_in >= before + 4)
        assert len(a.core.pending) == 1
        assert lost == ["no connection"]
        again.stop()
