"""A node comes back under its old name: old addresses are refused, names work, nothing of the former life reaches anybody."""

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
from tests.support.cluster import Cluster, Told, Watcher, apart, cluster, full, port_of, until, watch_all
from tests.support.nodes import run_as_process
from tests.support.sockets import HOST

pytestmark = pytest.mark.real_loop

LIVES = 6
OLD = "process ID belongs to the previous incarnation"


class Late(Actor):
    """Keeps the calls that it gets: a test answers them when it is too late."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def handle_call(self, call: Call) -> object:
        self.calls.append(call)
        return NO_REPLY


async def start(net: Cluster, life: int, port: int = 0) -> Node:
    """Node b in one of its lives, always at the same port."""
    acceptors = (AcceptorOptions(host=HOST, port=port, last_port=port),)
    b = await net.node("b", acceptors=acceptors, clock=lambda: time.time() + 10 * life)
    Supervisor(b.core, LEVEL_1)
    return b


async def die(b: Node, how: str) -> None:
    """Regularly; or all its links are reset at once and nothing is said."""
    if how == "crash":
        for link in list(b.network._sockets.live):
            link.abort()
    await b.stop()


@pytest.mark.parametrize("how", ["stop", "crash"])
@pytest.mark.parametrize("dialer", ["the other", "it"])
async def test_old_addresses_are_refused_and_names_work(how: str, dialer: str) -> None:
    async with cluster("a") as (net, [a]):
        b = await start(net, 0)
        creations = {b.creation}
        for life in range(1, LIVES):
            if dialer == "it":
                await b.network.get_node(a.name)
            b = await one_life(net, a, b, life, how)
            creations.add(b.creation)
        assert len(creations) == LIVES


async def one_life(net: Cluster, a: Node, b: Node, life: int, how: str) -> Node:
    """b ends, and comes back: the new one."""
    echo = ProcessID(b.name, Atom("echo"))
    assert await run_as_process(a, lambda it: it.call(echo, "hello")) == "hello"
    agent = b.core.tables.names[Atom("echo")]
    old: list[PID | Alias] = [agent.pid, b.core.spawner.create_alias(agent)]
    watcher, wanted = await watch_all(a, b)
    port = port_of(b)
    await die(b, how)
    await until(lambda: b.name not in a.network.connections)
    await until(lambda: len(watcher.told) >= len(wanted))
    net.nodes.remove(b)
    new = await start(net, life, port)
    for target in old:
        for use in (refused_send, refused_call, refused_link, refused_exit):
            await run_as_process(a, partial(use, target=target))
    assert await run_as_process(a, lambda it: it.call(echo, life)) == life
    await until(lambda: full(a, new))
    assert a.network.node(new.name).creation == new.creation != b.creation
    await asyncio.sleep(0.05)
    assert sorted(map(str, watcher.told)) == sorted(map(str, wanted_of(watcher, wanted, how)))
    return new


def wanted_of(watcher: Watcher, wanted: Counter[Told], how: str) -> list[Told]:
    """Once each; a node that stops may have said so before its links went (ENP-DOWN-4)."""
    reasons = {row[:3]: row[3] for row in watcher.told}
    allowed = {"no connection"} if how == "crash" else {"no connection", "shutdown"}
    assert set(reasons.values()) <= allowed
    return [(*row[:3], reasons.get(row[:3], "never told")) for row in wanted]


async def refused_send(it: Process, target: PID | Alias) -> None:
    for important in (False, True):
        with pytest.raises(ErgoError, match=OLD):
            await it.send(target, 1, important=important)


async def refused_call(it: Process, target: PID | Alias) -> None:
    with pytest.raises(ErgoError, match=OLD):
        await it.call(target, 1)


async def refused_link(it: Process, target: PID | Alias) -> None:
    for take in (it.link, it.monitor):
        with pytest.raises(ErgoError, match=OLD):
            await take(target)


async def refused_exit(it: Process, target: PID | Alias) -> None:
    if isinstance(target, PID):
        with pytest.raises(ErgoError, match=OLD):
            await it.exit(target, error_values.PROCESS_UNKNOWN)


# --- what comes too late ----------------------------------------------------------------------------------------------


async def test_an_answer_to_the_former_life_reaches_nobody() -> None:
    """A process with the same number waits in the new life, with a call and an important message under way."""
    async with cluster("a") as (net, [a]):
        late = Late()
        a.spawn(late, name="late")
        a_late = ProcessID(a.name, Atom("late"))
        b = await start(net, 0)
        unique = b.core.tables._unique
        asks = [b.spawn(lambda it: it.call(a_late, "first", timeout=1)) for _ in range(5)]
        await until(lambda: len(late.calls) == 5)
        first = list(late.calls)
        port = port_of(b)
        await die(b, "crash")
        await until(lambda: apart(a, b))
        net.nodes.remove(b)
        b = await start(net, 1, port)
        b.core.tables._unique = unique  # as if the clock had gone back: the references are the same ones
        results: list[object] = []

        async def asks_again(it: Process) -> None:
            results.append(await it.call(a_late, "second", timeout=60))

        again = [b.core.spawner.spawn(asks_again, number=old.pid.id) for old in asks]
        await until(lambda: len(late.calls) == 10)
        for call in first:
            late.process.reply(call, "too late")
            late.process.reply_error(call, error_values.PROCESS_UNKNOWN)
        assert [call.ref.id for call in late.calls[5:]] == [call.ref.id for call in first]
        for call in late.calls[5:]:
            assert call.sender.creation == b.creation
            late.process.reply(call, "in time")
        await asyncio.gather(*(process.join() for process in again))
        assert results == ["in time"] * 5
        assert not b.core.pending


async def test_stale_frames_of_the_peers_former_life_reach_nobody() -> None:
    """Answers and acks with the references of the former life come over the new connection: nobody waits for them."""
    async with cluster("a") as (net, [a]):
        b = await start(net, 0)
        slow = Late()
        b.spawn(slow, name="late")
        lost: list[str] = []

        async def asks(it: Process) -> None:
            try:
                await it.call(ProcessID(b.name, Atom("late")), "first")
            except ErgoError as error:
                lost.append(str(error))

        asker = a.spawn(asks)
        await until(lambda: slow.calls)
        words, port = slow.calls[0].ref.id, port_of(b)
        await die(b, "crash")
        await until(lambda: lost)
        assert lost == ["no connection"]
        net.nodes.remove(b)
        b = await start(net, 1, port)
        b.spawn(Late(), name="late")
        again = a.core.spawner.spawn(asks, number=asker.pid.id + 100)
        await until(lambda: len(a.core.pending) == 1)
        before = a.network.connections[b.name].node.info.messages_in
        stale = Ref(a.name, a.creation, words)
        for to in (asker.pid, again.pid):
            connection = b.network.connections[a.name]
            connection.send_response(b.core.pid, to, stale, again.reply_options, "too late")
            connection.send_response_error(b.core.pid, to, stale, again.reply_options, error_values.PROCESS_UNKNOWN)
        await until(lambda: a.network.connections[b.name].node.info.messages_in >= before + 4)
        assert len(a.core.pending) == 1
        assert lost == ["no connection"]
        again.stop()
