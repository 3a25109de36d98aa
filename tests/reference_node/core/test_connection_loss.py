"""The end of a connection: each relation with the other node ends with one notification, "no connection"."""

import asyncio

import pytest

from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api import Connection
from ergo_conformance.reference_node.api.relations import RelationKind
from tests.support.consumers import Termination, end_reason, error_text, idle, spawn_consumer
from tests.support.nodes import MemoryNetwork, settle
from tests.support.relation_scenario import BYE, SIGNALS, add_relation, relation_scenario, remove_relation

kinds = pytest.mark.parametrize("kind", list(RelationKind), ids=lambda kind: kind.value)


@pytest.mark.covers("Loss of a connection: MessageDownPID")
@kinds
@pytest.mark.parametrize("side", ["here", "there"])
async def test_the_end_of_a_connection_notifies_each_relation_once(kind: RelationKind, side: str) -> None:
    async with relation_scenario() as s:
        consumers = [spawn_consumer(s.here), spawn_consumer(s.here)]
        targets = [*s.targets.values(), s.there.name]
        for it in consumers:
            for target in targets:
                await add_relation(it, kind, target)
        closing, other = (s.here, s.there) if side == "here" else (s.there, s.here)
        closing.core.disconnect(other.name)
        await settle()
        for it in consumers:
            assert sorted(map(repr, it.received)) == sorted(
                repr(Termination(SIGNALS[kind], t, "no connection")) for t in targets
            )
            assert it.received[-1].source == s.there.name
        assert s.relations == (0, 0)
        await s.stop_target()
        assert [len(it.received) for it in consumers] == [5, 5]


@pytest.mark.covers("Loss of a connection: MessageExitNode")
@kinds
async def test_a_relation_with_a_node_dials_it_and_ends_when_it_stops(kind: RelationKind) -> None:
    net = MemoryNetwork()
    b, a = net.node("b@localhost"), net.node("a@localhost")
    it = spawn_consumer(a)
    await add_relation(it, kind, b.name)
    assert net.dialed
    assert await error_text(add_relation(it, kind, b.name)) == "target is already exist"
    await settle()
    assert a.network.node(b.name).info.messages_out == b.network.node(a.name).info.messages_out == 0
    await b.stop()
    await settle()
    assert it.received == [Termination(SIGNALS[kind], b.name, "no connection")]
    await net.stop()


@kinds
async def test_a_second_relation_with_a_node_during_the_dial_is_refused(kind: RelationKind) -> None:
    net = MemoryNetwork()
    b, a = net.node("b@localhost"), net.node("a@localhost")
    it = spawn_consumer(a)
    first, second = (
        asyncio.ensure_future(add_relation(it, kind, b.name)),
        asyncio.ensure_future(add_relation(it, kind, b.name)),
    )
    await first
    assert await error_text(second) == "target is already exist"
    a.core.disconnect(b.name)
    await settle()
    assert it.received == [Termination(SIGNALS[kind], b.name, "no connection")]
    await net.stop()


@kinds
async def test_a_relation_fails_if_the_connection_ends_right_after_the_dial(kind: RelationKind) -> None:
    async with relation_scenario() as s:
        it, connect = spawn_consumer(s.here), s.here.core.peers._connect
        s.here.core.disconnect(s.there.name)

        async def connect_and_disconnect(name: Atom) -> Connection:
            connection = await connect(name)
            s.here.core.disconnect(name)
            return connection

        s.here.core.peers._connect = connect_and_disconnect
        for target in (s.there.name, *s.targets.values()):
            assert await error_text(add_relation(it, kind, target)) == "no connection"
        assert len(s.here.core.monitoring.relations) == 0


@kinds
async def test_a_removed_relation_with_a_node_is_not_notified(kind: RelationKind) -> None:
    async with relation_scenario() as s:
        it = spawn_consumer(s.here)
        await add_relation(it, kind, s.there.name)
        await remove_relation(it, kind, s.there.name)
        assert await error_text(remove_relation(it, kind, s.there.name)) == "unknown target"
        assert s.here.network.node(s.there.name).info.messages_out == 0
        s.here.core.disconnect(s.there.name)
        await settle()
        assert it.received == []


async def test_the_loss_of_a_node_ends_linked_processes() -> None:
    async with relation_scenario() as s:
        by_node, by_name = spawn_consumer(s.here, trap_exit=False), spawn_consumer(s.here, trap_exit=False)
        await by_node.link(s.there.name)
        await by_name.link(s.targets["name"])
        s.there.core.disconnect(s.here.name)
        assert [await end_reason(it.process) for it in (by_node, by_name)] == ["no connection"] * 2


async def test_relations_with_other_nodes_stay() -> None:
    async with relation_scenario() as s:
        c = s.net.node("c@localhost")
        third, it = c.spawn(idle), spawn_consumer(s.there)
        await c.network.connection(s.there.name)
        await it.monitor(third.pid)
        other_consumer = spawn_consumer(s.here)
        await it.monitor(other_consumer.process.pid)
        s.here.core.disconnect(s.there.name)
        await settle()
        assert it.take_received() == [Termination("down", other_consumer.process.pid, "no connection")]
        third.stop(BYE)
        await settle()
        assert it.received == [Termination("down", third.pid, "bye")]


async def test_a_new_connection_does_not_restore_relations() -> None:
    async with relation_scenario() as s:
        it = spawn_consumer(s.here)
        await it.monitor(s.targets["pid"])
        s.here.core.disconnect(s.there.name)
        await settle()
        assert len(it.take_received()) == 1
        await s.here.network.get_node(s.there.name)
        await it.link(s.targets["pid"])
        await s.stop_target()
        assert it.received == [Termination("exit", s.targets["pid"], "bye")]
