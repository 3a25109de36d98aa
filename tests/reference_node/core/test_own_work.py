"""What a process requests or ends costs work in proportion to its own relations, events and aliases, not to those of others."""

import asyncio

import pytest

from ergo_conformance.model.ergo import error_values
from ergo_conformance.model.values import PID, Alias, Atom, Event, ProcessID
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from tests.support.nodes import node, settle
from tests.support.work import count_calls, count_lines, peak_memory

FEW, MANY = 10, 3000
NAME = Atom("it")
LIST_OF_MANY = 8 * MANY
"""Bytes of a list with MANY items."""


async def wait_forever(process: Process) -> None:
    """A process that handles nothing."""
    await process.receive()


def consumer(number: int) -> PID:
    return PID(Atom("c@localhost"), number, 1)


def watched(number: int) -> tuple[Node, dict[str, RelationTarget]]:
    """Returns a node with one target of each kind, each with `number` consumers."""
    b = node()
    target = b.spawn(wait_forever, name=NAME)
    b.core.events.register(target, NAME, buffer=1, notify=True)
    alias = b.core.spawner.create_alias(target)
    targets: dict[str, RelationTarget] = {
        "pid": target.pid, "name": ProcessID(b.name, NAME), "alias": alias, "event": Event(b.name, NAME)
    }  # fmt: skip
    for of_kind in targets.values():
        for i in range(number):
            b.core.route_link(RelationKind.LINK, consumer(i), of_kind)
    return b, targets


@pytest.mark.parametrize("kind", list(RelationKind))
@pytest.mark.parametrize("which", ["pid", "name", "alias", "event"])
async def test_a_relation_copies_no_list_of_the_other_consumers(which: str, kind: RelationKind) -> None:
    b, targets = watched(MANY)
    target, new = targets[which], consumer(MANY + 1)

    def add_and_remove() -> None:
        b.core.route_link(kind, new, target)
        b.core.route_unlink(kind, new, target)

    add_and_remove()  # the tables may grow now
    assert peak_memory(add_and_remove) < LIST_OF_MANY / 4
    await b.stop()


async def test_the_end_of_a_process_looks_at_its_own_events_only() -> None:
    lines = []
    for others in (FEW, MANY):
        b = node()
        other, process = b.spawn(wait_forever), b.spawn(wait_forever)
        for i in range(others):
            b.core.events.register(other, Atom(f"of the other {i}"), buffer=0, notify=False)
        b.core.events.register(process, NAME, buffer=0, notify=False)
        lines.append(count_lines(lambda: b.core.spawner.ended(process, error_values.NORMAL)))  # noqa: B023  runs at once
        assert b.core.events.get(NAME) is None
        assert b.core.events.get(Atom("of the other 0")) is not None
        process.cancel()
        await b.stop()
    assert lines[0] == lines[1]


class CountingAlias(Alias):
    """Counts the comparisons of aliases."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        type(self).compared += 1
        return tuple.__eq__(self, other)

    __hash__ = Alias.__hash__


async def test_removing_an_alias_compares_no_other_aliases() -> None:
    b = node()
    process = b.spawn(wait_forever)
    for i in range(MANY):
        alias = CountingAlias(b.name, b.creation, (i, 0, 1))
        b.core.tables.aliases[alias.id] = process
        process.aliases[alias] = None
    before = CountingAlias.compared
    process.delete_alias(Alias(b.name, b.creation, (MANY - 1, 0, 1)))
    assert CountingAlias.compared - before <= 10
    assert len(process.aliases) == MANY - 1
    await b.stop()


async def test_the_end_of_a_process_tells_every_alias_and_event_of_its_own() -> None:
    b = node()
    process = b.spawn(wait_forever)
    targets: list[RelationTarget] = [process.create_alias() for _ in range(3)]
    for i in range(3):
        process.register_event(f"event {i}")
        targets.append(Event(b.name, Atom(f"event {i}")))
    down: list[RelationTarget] = []

    async def watch(watcher: Process) -> None:
        for target in targets:
            await watcher.monitor(target)
        while len(down) < len(targets):
            envelope = await watcher.receive()
            down.append(envelope[0])

    watcher = b.spawn(watch)
    await settle()
    process.stop()
    await asyncio.wait_for(watcher.join(), 60)
    assert down == targets
    assert not b.core.events._by_owner
    await b.stop()


async def test_registering_and_removing_events_leaves_no_owner() -> None:
    b = node()
    process = b.spawn(wait_forever)
    for i in range(FEW):
        process.register_event(f"event {i}")
    for i in range(FEW):
        process.unregister_event(f"event {i}")
    assert not b.core.events._by_owner
    calls = count_calls(lambda: b.core.events.owned_by(process))
    assert calls <= FEW
    await b.stop()
