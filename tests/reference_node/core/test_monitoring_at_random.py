"""Random relations between two nodes: each is removed or notified exactly once, and no table keeps an entry."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable
from typing import cast

import pytest

from ergo_conformance.model.values import Atom, Error, Event, ProcessID
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget
from ergo_conformance.reference_node.core.monitoring import Monitoring
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from tests.support.consumers import Consumer, Termination, idle, spawn_consumer
from tests.support.nodes import MemoryNetwork, settle, transport_of

STEPS, CONSUMERS, TARGETS = 60, 6, 4
SIGNALS = {RelationKind.LINK: "exit", RelationKind.MONITOR: "down"}
ALLOWED_ERRORS = {
    "no connection", "no route", "unknown process", "unknown alias", "unknown event", "unknown target",
    "target is already exist", "process ID belongs to the previous incarnation",
    "timed out",  # a socket was aborted with the request or its Result on it
}  # fmt: skip


class RandomRelations:
    """Consumers and targets on both nodes. `balance`: per relation, how often it was established and not ended."""

    def __init__(self, rng: random.Random, a: Node, b: Node) -> None:
        self.rng, self.nodes = rng, (a, b)
        self.balance: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.living: dict[tuple[Node, int], tuple[Process, list[RelationTarget]]] = {}
        self.consumers: list[Consumer] = [spawn_consumer(node) for node in self.nodes for _ in range(CONSUMERS)]
        for node in self.nodes:
            for i in range(TARGETS):
                self.spawn_target(node, i)

    def spawn_target(self, node: Node, i: int) -> None:
        """Spawns target number `i` of a node with an alias and an event."""
        process = node.spawn(idle, name=f"it{i}")
        process.register_event(f"ev{i}")
        name, event = ProcessID(node.name, Atom(f"it{i}")), Event(node.name, Atom(f"ev{i}"))
        self.living[node, i] = process, [process.pid, name, process.create_alias(), event]

    def key(self, of: Consumer, how: str, target: RelationTarget) -> str:
        return f"{self.consumers.index(of)} {how} {target!r}"

    def target(self) -> RelationTarget:
        """Returns a random target; sometimes a node."""
        targets = [target for _, found in self.living.values() for target in found]
        return self.rng.choice([*targets, *(node.name for node in self.nodes)])

    async def succeeds(self, work: Awaitable[object]) -> bool:
        try:
            await work
        except ErgoError as error:
            self.errors[error.error.text] += 1
            return False
        return True

    async def run_consumer(self, it: Consumer) -> None:
        """Establishes and removes random relations, up to three at a time."""
        monitoring = cast("Monitoring", it.process.host.monitoring)

        async def change_relation(kind: RelationKind, target: RelationTarget) -> None:
            if self.rng.random() < 0.3 and monitoring.relations.has(kind, target, it.process.pid):
                succeeded, change = await self.succeeds(monitoring.withdraw(kind, it.process, target)), -1
            else:
                succeeded, change = await self.succeeds(monitoring.request(kind, it.process, target)), 1
            self.balance[self.key(it, SIGNALS[kind], target)] += change * succeeded

        for _ in range(STEPS):
            kinds = self.rng.choices(list(RelationKind), k=self.rng.randrange(1, 4))
            await asyncio.gather(*(change_relation(kind, self.target()) for kind in kinds))
            await settle(self.rng.randrange(3))

    async def run_failures(self) -> None:
        """Ends processes, aborts sockets and closes connections at random."""
        for _ in range(STEPS):
            await settle(self.rng.randrange(8))
            node, i = self.rng.choice(list(self.living))
            match self.rng.randrange(6):
                case 0 if node.network.connections:
                    node.core.disconnect(next(iter(node.network.connections)))
                case 1 if node.network.connections:
                    transport_of(self.rng.choice(next(iter(node.network.connections.values())).sockets)).abort()
                case _:
                    self.living[node, i][0].stop(Error("bye"))
                    await settle(self.rng.randrange(1, 4))
                    if f"it{i}" not in node.core.tables.names:
                        self.spawn_target(node, i)

    def remaining_balance(self) -> Counter[str]:
        """Returns the balance minus the notifications: entries that are not zero."""
        told = Counter(
            self.key(it, t.signal, t.source) for it in self.consumers for t in it.received if isinstance(t, Termination)
        )
        return Counter({key: n - told[key] for key, n in self.balance.items() if n != told[key]}) + Counter(
            {key: n for key, n in told.items() if key not in self.balance}
        )


@pytest.mark.parametrize("seed", range(16))
async def test_each_relation_is_removed_or_notified_once(seed: int) -> None:
    net = MemoryNetwork()
    a, b, _ = await net.pair()
    run = RandomRelations(random.Random(seed), a, b)
    await asyncio.gather(*map(run.run_consumer, run.consumers), run.run_failures())
    for process, _ in run.living.values():
        process.stop(Error("the last"))
    await settle()
    for node in (a, b):
        if node.network.connections:
            node.core.disconnect(next(iter(node.network.connections)))
    await settle()
    assert run.remaining_balance() == Counter()
    assert set(run.errors) <= ALLOWED_ERRORS
    assert sum(run.balance.values()) > 100
    for node in (a, b):
        relations = node.core.monitoring.relations
        assert len(relations) == 0
        assert not relations._by_target | relations._by_node | relations._by_consumer | relations._consumers_of_node
    await net.stop()
