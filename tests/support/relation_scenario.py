"""Two connected nodes in memory, and a process with a target of each kind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ergo_conformance.model.values import Atom, Error, Event, ProcessID
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from tests.support.consumers import Consumer, idle
from tests.support.nodes import MemoryNetwork, settle

BYE = Error("bye")
SIGNALS = {RelationKind.LINK: "exit", RelationKind.MONITOR: "down"}


@dataclass
class RelationScenario:
    """Two connected nodes; `target` is a process on `there`, which is `here` if all is local; `targets` by kind."""

    net: MemoryNetwork
    here: Node
    there: Node
    target: Process
    targets: dict[str, RelationTarget]

    @property
    def relations(self) -> tuple[int, int]:
        return len(self.here.core.monitoring.relations), len(self.there.core.monitoring.relations)

    async def stop_target(self, reason: Error = BYE) -> None:
        self.target.stop(reason)
        await settle()


@asynccontextmanager
async def relation_scenario(*, remote: bool = True) -> AsyncIterator[RelationScenario]:
    net = MemoryNetwork()
    a, b, _ = await net.pair()
    there = b if remote else a
    process = there.spawn(idle, name="it")
    process.register_event("ev")
    name = there.name
    targets: dict[str, RelationTarget] = {
        "pid": process.pid,
        "name": ProcessID(name, Atom("it")),
        "alias": process.create_alias(),
    }
    try:
        yield RelationScenario(net, a, there, process, {**targets, "event": Event(name, Atom("ev"))})
    finally:
        await net.stop()


async def add_relation(of: Consumer, kind: RelationKind, target: RelationTarget) -> None:
    assert await (of.link(target) if kind is RelationKind.LINK else of.monitor(target)) == []


async def remove_relation(of: Consumer, kind: RelationKind, target: RelationTarget) -> None:
    await (of.process.unlink(target) if kind is RelationKind.LINK else of.process.demonitor(target))
