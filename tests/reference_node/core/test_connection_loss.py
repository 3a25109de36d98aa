"""The end of a connection: whoever watched something of the other node is told once, "no connection"."""

import asyncio

import pytest

from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api import Connection
from ergo_conformance.reference_node.api.relations import RelationKind
from tests.support.nodes import MemoryNetwork, settle
from tests.support.scenes import BYE, HOW, give_back, scene, take
from tests.support.watchers import Told, ended, idle, refused, watcher

kinds = pytest.mark.parametrize("kind", list(RelationKind), ids=lambda kind: kind.value)


@pytest.mark.covers("Loss of a connection: MessageDownPID")
@kinds
@pytest.mark.parametrize("who", ["here", "there"])
async def test_the_end_of_a_connection_is_told_once_for_each_relation(kind: RelationKind, who: str) -> None:
    async with scene() as s:
        both = [watcher(s.here), watcher(s.here)]
        watched = [*s.by.values(), s.there.name]
        for it in both:
            for target in watched:
                await take(it, kind, target)
        cutter, other = (s.here, s.there) if who == "here" else (s.there, s.here)
        cutter.core.disconnect(other.name)
        await settle()
        for it in both:
            assert sorted(map(repr, it.told)) == sorted(repr(Told(HOW[kind], t, "no connection")) for t in watched)
            assert it.told[-1].source == s.there.name
        assert s.relations == (0, 0)
        await s.end()
        assert [len(it.told) for it in both] == [5, 5]


@pytest.mark.covers("Loss of a connection: MessageExitNode")
@kinds
async def test_a_watched_node_is_dialed_and_told_when_it_stops(kind: RelationKind) -> None:
    net = MemoryNetwork()
    b, a = net.node("b@localhost"), net.node("a@localhost")
    it = watcher(a)
    await take(it, kind, b.name)
    assert net.dialed
    assert await refused(take(it, kind, b.name)) == "target is already exist"
    await settle()
    assert a.network.node(b.name).info.messages_out == b.network.node(a.name).info.messages_out == 0
    await b.stop()
    await settle()
    assert it.told == [Told(HOW[kind], b.name, "no connection")]
    await net.stop()


@kinds
async def test_a_node_is_asked_for_twice_while_it_is_dialed(kind: RelationKind) -> None:
    net = MemoryNetwork()
    b, a = net.node("b@localhost"), net.node("a@localhost")
    it = watcher(a)
    first, second = asyncio.ensure_future(take(it, kind, b.name)), asyncio.ensure_future(take(it, kind, b.name))
    await first
    assert await refused(second) == "target is already exist"
    a.core.disconnect(b.name)
    await settle()
    assert it.told == [Told(HOW[kind], b.name, "no connection")]
    await net.stop()


@kinds
async def test_a_node_that_is_gone_as_soon_as_it_is_dialed(kind: RelationKind) -> None:
    async with scene() as s:
        it, connect = watcher(s.here), s.here.core.peers._connect
        s.here.core.disconnect(s.there.name)

        async def connected_for_a_moment(name: Atom) -> Connection:
            connection = await connect(name)
            s.here.core.disconnect(name)
            return connection

        s.here.core.peers._connect = connected_for_a_moment
        for target in (s.there.name, *s.by.values()):
            assert await refused(take(it, kind, target)) == "no connection"
        assert len(s.here.core.monitoring.relations) == 0


@kinds
async def test_a_node_is_no_longer_watched(kind: RelationKind) -> None:
    async with scene() as s:
        it = watcher(s.here)
        await take(it, kind, s.there.name)
        await give_back(it, kind, s.there.name)
        assert await refused(give_back(it, kind, s.there.name)) == "unknown target"
        assert s.here.network.node(s.there.name).info.messages_out == 0
        s.here.core.disconnect(s.there.name)
        await settle()
        assert it.told == []


async def test_a_lost_node_ends_who_is_linked_to_it() -> None:
    async with scene() as s:
        by_node, by_name = watcher(s.here, trap_exit=False), watcher(s.here, trap_exit=False)
        await by_node.link(s.there.name)
        await by_name.link(s.by["name"])
        s.there.core.disconnect(s.here.name)
        assert [await ended(it.process) for it in (by_node, by_name)] == ["no connection"] * 2


async def test_other_nodes_are_not_concerned() -> None:
    async with scene() as s:
        c = s.net.node("c@localhost")
        third, it = c.spawn(idle), watcher(s.there)
        await c.network.connection(s.there.name)
        await it.monitor(third.pid)
        away = watcher(s.here)
        await it.monitor(away.process.pid)
        s.here.core.disconnect(s.there.name)
        await settle()
        assert it.take() == [Told("down", away.process.pid, "no connection")]
        third.stop(BYE)
        await settle()
        assert it.told == [Told("down", third.pid, "bye")]


async def test_a_new_connection_brings_nothing_back() -> None:
    async with scene() as s:
        it = watcher(s.here)
        await it.monitor(s.by["pid"])
        s.here.core.disconnect(s.there.name)
        await settle()
        assert len(it.take()) == 1
        await s.here.network.get_node(s.there.name)
        await it.link(s.by["pid"])
        await s.end()
        assert it.told == [Told("exit", s.by["pid"], "bye")]
