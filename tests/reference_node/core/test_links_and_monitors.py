"""Links and monitors on one node and between two: each ends with one notification that has the reason."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ergo_conformance.model.ergo import agent_types, error_values
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget
from ergo_conformance.reference_node.node import Node
from tests.support.consumers import Termination, error_text, spawn_consumer
from tests.support.nodes import settle
from tests.support.relation_scenario import BYE, SIGNALS, add_relation, relation_scenario, remove_relation

TARGET_KINDS = ("pid", "name", "alias", "event")
kinds = pytest.mark.parametrize("kind", list(RelationKind), ids=lambda kind: kind.value)
target_kinds = pytest.mark.parametrize("target_kind", TARGET_KINDS)
local_and_remote = pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])


@local_and_remote
@target_kinds
@kinds
@pytest.mark.parametrize(
    "reason", [BYE, error_values.KILL, error_values.NORMAL, agent_types.CUSTOM_ERROR], ids=lambda r: r.text
)
async def test_the_end_of_a_target_is_notified_once(
    kind: RelationKind, target_kind: str, remote: bool, reason: Error
) -> None:
    async with relation_scenario(remote=remote) as s:
        it = spawn_consumer(s.here)
        await add_relation(it, kind, s.targets[target_kind])
        assert s.relations == (1, 1)
        await settle()
        assert it.received == []
        await s.stop_target(reason)
        assert it.received == [Termination(SIGNALS[kind], s.targets[target_kind], reason.text)]
        assert s.relations == (0, 0)
        assert it.process.reason is None


@local_and_remote
@target_kinds
@kinds
async def test_a_removed_relation_is_not_notified(kind: RelationKind, target_kind: str, remote: bool) -> None:
    async with relation_scenario(remote=remote) as s:
        it = spawn_consumer(s.here)
        await add_relation(it, kind, s.targets[target_kind])
        await remove_relation(it, kind, s.targets[target_kind])
        assert s.relations == (0, 0)
        await s.stop_target()
        assert it.received == []


@local_and_remote
@target_kinds
@kinds
async def test_a_relation_is_established_once_and_removed_once(
    kind: RelationKind, target_kind: str, remote: bool
) -> None:
    async with relation_scenario(remote=remote) as s:
        it, target = spawn_consumer(s.here), s.targets[target_kind]
        assert await error_text(remove_relation(it, kind, target)) == "unknown target"
        await add_relation(it, kind, target)
        assert await error_text(add_relation(it, kind, target)) == "target is already exist"
        await remove_relation(it, kind, target)
        assert await error_text(remove_relation(it, kind, target)) == "unknown target"
        await add_relation(it, kind, target)
        await s.stop_target()
        assert it.take_received() == [Termination(SIGNALS[kind], target, "bye")]
        assert await error_text(remove_relation(it, kind, target)) == "unknown target"


@local_and_remote
async def test_all_relations_of_all_consumers_are_notified(remote: bool) -> None:
    async with relation_scenario(remote=remote) as s:
        consumers = [spawn_consumer(s.here), spawn_consumer(s.here)]
        for it in consumers:
            for target in s.targets.values():
                for kind in RelationKind:
                    await add_relation(it, kind, target)
        assert s.relations == (16, 16)
        await s.stop_target()
        wanted = {(how, repr(target), "bye") for how in SIGNALS.values() for target in s.targets.values()}
        for it in consumers:
            assert len(it.received) == 8
            assert {(told.signal, repr(told.source), told.reason) for told in it.received} == wanted
        assert s.relations == (0, 0)


@local_and_remote
@kinds
async def test_removing_one_kind_of_relation_leaves_the_other(kind: RelationKind, remote: bool) -> None:
    """Removing a link leaves the monitor, and removing a monitor leaves the link."""
    other = next(other for other in RelationKind if other is not kind)
    async with relation_scenario(remote=remote) as s:
        it = spawn_consumer(s.here)
        for each in RelationKind:
            await add_relation(it, each, s.targets["pid"])
        await remove_relation(it, kind, s.targets["pid"])
        await s.stop_target()
        assert it.received == [Termination(SIGNALS[other], s.targets["pid"], "bye")]


# --- unknown targets --------------------------------------------------------------------------------------------------

UNKNOWN: list[tuple[Callable[[Node], RelationTarget], str]] = [
    (lambda node: PID(node.name, 9999, node.creation), "unknown process"),
    (lambda node: ProcessID(node.name, Atom("nobody")), "unknown process"),
    (lambda node: Alias(node.name, node.creation, (1, 2, 3)), "unknown alias"),
    (lambda node: Event(node.name, Atom("nothing")), "unknown event"),
    (lambda node: Event(node.name, Atom("it")), "unknown event"),
    (lambda node: ProcessID(node.name, Atom("ev")), "unknown process"),
]


@local_and_remote
@kinds
@pytest.mark.parametrize(("target", "text"), UNKNOWN)
async def test_an_unknown_target_is_refused(
    target: Callable[[Node], RelationTarget], text: str, kind: RelationKind, remote: bool
) -> None:
    async with relation_scenario(remote=remote) as s:
        it = spawn_consumer(s.here)
        assert await error_text(add_relation(it, kind, target(s.there))) == text
        assert s.relations == (0, 0)


@local_and_remote
@kinds
@target_kinds
async def test_a_target_that_has_ended_is_unknown(target_kind: str, kind: RelationKind, remote: bool) -> None:
    async with relation_scenario(remote=remote) as s:
        await s.stop_target()
        it = spawn_consumer(s.here)
        text = {"alias": "unknown alias", "event": "unknown event"}.get(target_kind, "unknown process")
        assert await error_text(add_relation(it, kind, s.targets[target_kind])) == text
        assert it.received == []


@kinds
@pytest.mark.parametrize("target_kind", ["pid", "alias"])
async def test_an_address_of_an_earlier_incarnation_is_refused(target_kind: str, kind: RelationKind) -> None:
    async with relation_scenario() as s:
        it = spawn_consumer(s.here)
        old: Any = s.targets[target_kind]
        text = "process ID belongs to the previous incarnation"
        assert await error_text(add_relation(it, kind, old._replace(creation=old.creation - 1))) == text
        assert s.relations == (0, 0)


@kinds
async def test_a_target_on_an_unreachable_node_has_no_route(kind: RelationKind) -> None:
    nowhere = Atom("nowhere@localhost")
    async with relation_scenario() as s:
        it = spawn_consumer(s.here)
        for target in (nowhere, PID(nowhere, 1, 1), ProcessID(nowhere, Atom("it")), Event(nowhere, Atom("ev"))):
            assert await error_text(add_relation(it, kind, target)) == "no route"
        assert await error_text(add_relation(it, kind, s.here.name)) == "unknown target"
        assert s.relations == (0, 0)


@kinds
async def test_a_relation_of_a_process_with_itself_is_not_allowed(kind: RelationKind) -> None:
    async with relation_scenario() as s:
        it = spawn_consumer(s.here)
        assert await error_text(add_relation(it, kind, it.process.pid)) == "not allowed"


# --- effect on the consumer -------------------------------------------------------------------------------------------


@local_and_remote
@target_kinds
@pytest.mark.parametrize("reason", [BYE, error_values.NORMAL, error_values.SHUTDOWN], ids=lambda r: r.text)
async def test_a_link_ends_a_consumer_that_does_not_trap_exits(target_kind: str, remote: bool, reason: Error) -> None:
    async with relation_scenario(remote=remote) as s:
        it = spawn_consumer(s.here, trap_exit=False)
        second = spawn_consumer(s.here)
        await it.link(s.targets[target_kind])
        await second.monitor(it.process.pid)
        await s.stop_target(reason)
        assert it.process.reason is not None
        assert second.received == [Termination("down", it.process.pid, reason.text)]
        assert it.received == []


@local_and_remote
@target_kinds
async def test_a_monitor_does_not_end_its_consumer(target_kind: str, remote: bool) -> None:
    async with relation_scenario(remote=remote) as s:
        it = spawn_consumer(s.here, trap_exit=False)
        await it.monitor(s.targets[target_kind])
        await s.stop_target(error_values.KILL)
        assert it.process.reason is None
        assert it.received == [Termination("down", s.targets[target_kind], "kill")]


@local_and_remote
async def test_the_end_of_the_consumer_does_not_affect_the_target(remote: bool) -> None:
    """A link has a direction. The end of a consumer removes its relations on its own node."""
    async with relation_scenario(remote=remote) as s:
        it = spawn_consumer(s.here)
        await it.link(s.targets["pid"])
        it.process.stop(BYE)
        await settle()
        assert s.target.reason is None
        assert len(s.here.core.monitoring.relations) == 0
        await s.stop_target()
        assert s.relations == (0, 0)


@local_and_remote
@kinds
async def test_a_deleted_alias_ends_its_relations_with_unregistered(kind: RelationKind, remote: bool) -> None:
    async with relation_scenario(remote=remote) as s:
        it, alias = spawn_consumer(s.here), s.target.create_alias()
        await add_relation(it, kind, alias)
        s.target.delete_alias(alias)
        await settle()
        assert it.take_received() == [Termination(SIGNALS[kind], alias, "unregistered")]
        await s.stop_target()
        assert it.received == []


async def test_many_concurrent_relations_are_notified() -> None:
    """They are established at the same time, and each is notified."""
    async with relation_scenario() as s:
        consumers = [spawn_consumer(s.here) for _ in range(100)]
        await asyncio.gather(*(add_relation(it, kind, s.targets["pid"]) for it in consumers for kind in RelationKind))
        assert s.relations == (200, 200)
        await s.stop_target()
        assert all(sorted(told.signal for told in it.received) == ["down", "exit"] for it in consumers)
