"""Much at once on two nodes: whatever was taken is given back or told about, exactly once, and no table keeps anything."""

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
from tests.support.nodes import MemoryNetwork, settle, transport_of
from tests.support.watchers import Told, Watcher, idle, watcher

STEPS, WATCHERS, TARGETS = 60, 6, 4
HOW = {RelationKind.LINK: "exit", RelationKind.MONITOR: "down"}
LEGAL = {
    "no connection", "no route", "unknown process", "unknown alias", "unknown event", "unknown target",
    "target is already exist", "process ID belongs to the previous incarnation",
    "timed out",  # a link was cut with the request or its Result on it
}  # fmt: skip


class Turmoil:
    """Watchers and targets on both nodes. `balance`: of each relation, how often it was taken and is not told yet."""

    def __init__(self, rng: random.Random, a: Node, b: Node) -> None:
        self.rng, self.nodes = rng, (a, b)
        self.balance: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.living: dict[tuple[Node, int], tuple[Process, list[RelationTarget]]] = {}
        self.watchers: list[Watcher] = [watcher(node) for node in self.nodes for _ in range(WATCHERS)]
        for node in self.nodes:
            for i in range(TARGETS):
                self.begin(node, i)

    def begin(self, node: Node, i: int) -> None:
        """Another process of this name, with an event of its own."""
        process = node.spawn(idle, name=f"it{i}")
        process.register_event(f"ev{i}")
        name, event = ProcessID(node.name, Atom(f"it{i}")), Event(node.name, Atom(f"ev{i}"))
        self.living[node, i] = process, [process.pid, name, process.create_alias(), event]

    def key(self, of: Watcher, how: str, target: RelationTarget) -> str:
        return f"{self.watchers.index(of)} {how} {target!r}"

    def target(self) -> RelationTarget:
        """Anything; now and then a node."""
        targets = [target for _, found in self.living.values() for target in found]
        return self.rng.choice([*targets, *(node.name for node in self.nodes)])

    async def tried(self, work: Awaitable[object]) -> bool:
        try:
            await work
        except ErgoError as error:
            self.refusals[error.error.text] += 1
            return False
        return True

    async def watches(self, it: Watcher) -> None:
        """Takes and gives back at random, a few at a time."""
        watching = cast("Monitoring", it.process.host.monitoring)

        async def one(kind: RelationKind, target: RelationTarget) -> None:
            if self.rng.random() < 0.3 and watching.relations.has(kind, target, it.process.pid):
                good, change = await self.tried(watching.withdraw(kind, it.process, target)), -1
            else:
                good, change = await self.tried(watching.request(kind, it.process, target)), 1
            self.balance[self.key(it, HOW[kind], target)] += change * good

        for _ in range(STEPS):
            kinds = self.rng.choices(list(RelationKind), k=self.rng.randrange(1, 4))
            await asyncio.gather(*(one(kind, self.target()) for kind in kinds))
            await settle(self.rng.randrange(3))

    async def ends(self) -> None:
        """Ends processes, cuts links and connections."""
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
                        self.begin(node, i)

    def settled(self) -> Counter[str]:
        """What is left of the balance, once all that was told is taken off."""
        told = Counter(self.key(it, t.how, t.source) for it in self.watchers for t in it.told if isinstance(t, Told))
        return Counter({key: n - told[key] for key, n in self.balance.items() if n != told[key]}) + Counter(
            {key: n for key, n in told.items() if key not in self.balance}
        )


@pytest.mark.parametrize("seed", range(40))
async def test_all_relations_are_given_back_or_told_once(seed: int) -> None:
    net = MemoryNetwork()
    a, b, _ = await net.pair()
    turmoil = Turmoil(random.Random(seed), a, b)
    await asyncio.gather(*map(turmoil.watches, turmoil.watchers), turmoil.ends())
    for process, _ in turmoil.living.values():
        process.stop(Error("the last"))
    await settle()
    for node in (a, b):
        if node.network.connections:
            node.core.disconnect(next(iter(node.network.connections)))
    await settle()
    assert turmoil.settled() == Counter()
    assert set(turmoil.refusals) <= LEGAL
    assert sum(turmoil.balance.values()) > 100
    for node in (a, b):
        relations = node.core.monitoring.relations
        assert len(relations) == 0
        assert not relations._by_target | relations._by_node | relations._by_consumer | relations._consumers_of_node
    await net.stop()
