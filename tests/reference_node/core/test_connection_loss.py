"""The end of a connection: each relation with the other node ends with one notification, "no connection"."""

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
@pytest.mark.parametrize("side", ["here", "there"])
async def test_the_end_of_a_connection_notifies_each_relation_once(kind: RelationKind, side: str) -> None:
    async with scene() as s:
        consumers = [watcher(s.here), watcher(s.here)]
        targets = [*s.by.values(), s.there.name]
        for it in consumers:
            for target in targets:
                await take(it, kind, target)
        closing, other = (s.here, s.there) if side == "here" else (s.there, s.here)
        closing.core.disconnect(other.name)
        await settle()
        for it in consumers:
            assert sorted(map(repr, it.told)) == sorted(repr(Told(HOW[kind], t, "no connection")) for t in targets)
            assert it.told[-1].source == s.there.name
        assert s.relations == (0, 0)
        await s.end()
        assert [len(it.told) for it in consumers] == [5, 5]


@pytest.mark.covers("Loss of a connection: MessageExitNode")
@kinds
async def test_a_relation_with_a_node_dials_it_and_ends_when_it_stops(kind: RelationKind) -> None:
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
async def test_a_second_relation_with_a_node_during_the_dial_is_refused(kind: RelationKind) -> None:
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
async def test_a_relation_fails_if_the_connection_ends_right_after_the_dial(kind: RelationKind) -> None:
    async with scene() as s:
        it, connect = watcher(s.here), s.here.core.peers._connect
        s.here.core.disconnect(s.there.name)

        async def connect_and_disconnect(name: Atom) -> Connection:
            connection = await connect(name)
            s.here.core.disconnect(name)
            return connection

        s.here.core.peers._connect = connect_and_disconnect
        for target in (s.there.name, *s.by.values()):
            assert await refused(take(it, kind, target)) == "no connection"
        assert len(s.here.core.monitoring.relations) == 0


@kinds
async def test_a_removed_relation_with_a_node_is_not_notified(kind: RelationKind) -> None:
    async with scene() as s:
        it = watcher(s.here)
        await take(it, kind, s.there.name)
        await give_back(it, kind, s.there.name)
        assert await refused(give_back(it, kind, s.there.name)) == "unknown target"
        assert s.here.network.node(s.there.name).info.messages_out == 0
        s.here.core.disconnect(s.there.name)
        await settle()
        assert it.told == []


async def test_the_loss_of_a_node_ends_linked_processes() -> None:
    async with scene() as s:
        by_node, by_name = watcher(s.here, trap_exit=False), watcher(s.here, trap_exit=False)
        await by_node.link(s.there.name)
        await by_name.link(s.by["name"])
        s.there.core.disconnect(s.here.name)
        assert [await ended(it.process) for it in (by_node, by_name)] == ["no connection"] * 2


async def test_relations_with_other_nodes_stay() -> None:
    async with scene() as s:
        c = s.net.node("c@localhost")
        third, it = c.spawn(idle), watcher(s.there)
        await c.network.connection(s.there.name)
        await it.monitor(third.pid)
        other_consumer = watcher(s.here)
        await it.monitor(other_consumer.process.pid)
        s.here.core.disconnect(s.there.name)
        await settle()
        assert it.take() == [Told("down", other_consumer.process.pid, "no connection")]
        third.stop(BYE)
        await settle()
        assert it.told == [Told("down", third.pid, "bye")]


async def test_a_new_connection_does_not_restore_relations() -> None:
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
