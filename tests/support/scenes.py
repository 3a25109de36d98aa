"""Two connected nodes in memory, and a process that is watched by all its addresses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ergo_conformance.model.values import Atom, Error, Event, ProcessID
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from tests.support.nodes import MemoryNetwork, settle
from tests.support.watchers import Watcher, idle

BYE = Error("bye")
HOW = {RelationKind.LINK: "exit", RelationKind.MONITOR: "down"}


@dataclass
class Scene:
    """Two connected nodes; `target` is on `there`, which is `here` if all is local."""

    net: MemoryNetwork
    here: Node
    there: Node
    target: Process
    by: dict[str, RelationTarget]

    @property
    def relations(self) -> tuple[int, int]:
        return len(self.here.core.monitoring.relations), len(self.there.core.monitoring.relations)

    async def end(self, reason: Error = BYE) -> None:
        self.target.stop(reason)
        await settle()


@asynccontextmanager
async def scene(*, remote: bool = True) -> AsyncIterator[Scene]:
    net = MemoryNetwork()
    a, b, _ = await net.pair()
    there = b if remote else a
    process = there.spawn(idle, name="it")
    process.register_event("ev")
    name = there.name
    by: dict[str, RelationTarget] = {
        "pid": process.pid,
        "name": ProcessID(name, Atom("it")),
        "alias": process.create_alias(),
    }
    try:
        yield Scene(net, a, there, process, {**by, "event": Event(name, Atom("ev"))})
    finally:
        await net.stop()


async def take(of: Watcher, kind: RelationKind, target: RelationTarget) -> None:
    assert await (of.link(target) if kind is RelationKind.LINK else of.monitor(target)) == []


async def give_back(of: Watcher, kind: RelationKind, target: RelationTarget) -> None:
    await (of.process.unlink(target) if kind is RelationKind.LINK else of.process.demonitor(target))
