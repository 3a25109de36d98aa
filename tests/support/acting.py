"""A node with all agents, and somebody who asks them: on the same node or on another one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import agent_types
from ergo_conformance.model.types import Slice
from ergo_conformance.model.values import PID, Atom, Error, Event, ProcessID, Typed
from ergo_conformance.reference_node.api.relations import RelationTarget
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.target import config as settings
from tests.support.nodes import MemoryNetwork, settle
from tests.support.watchers import Watcher, watcher

places = pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])


class Scene:
    """`a` asks, `b` hosts the agents; both are one node if all is local. `it` asks."""

    def __init__(self, net: MemoryNetwork, a: Node, b: Node) -> None:
        self.net, self.a, self.b = net, a, b
        settings.host_agents(b, {"allowed": "allowed@localhost"})
        self.it: Watcher = watcher(a)
        self.agent = ProcessID(b.name, Atom("agent"))

    async def ask(self, name: str, request: Any) -> Any:
        """The answer of an agent; of an error value its text, in brackets."""
        answer = await self.it.process.call(ProcessID(self.b.name, Atom(name)), request)
        return f"<{answer.text}>" if isinstance(answer, Error) else answer

    async def do(self, *request: Any) -> Any:
        """What `agent` answers to an op with its arguments."""
        return await self.ask("agent", list(request))

    async def send(self, name: str, message: Any) -> None:
        await self.it.process.send(ProcessID(self.b.name, Atom(name)), message)
        await settle()

    async def received(self) -> list[str]:
        """What `agent` has collected since the last time."""
        await settle()
        answer = await self.ask("agent", "received")
        assert isinstance(answer, Typed)
        assert answer.type is Slice(t.STRING)
        texts: list[str] = answer.value
        return texts

    def pid(self, name: str) -> PID:
        """The PID that an agent has now."""
        return self.b.core.tables.names[Atom(name)].pid


def address(process: Process, kind: str) -> RelationTarget:
    """A process by each kind of address, or its event."""
    node = process.pid.node
    match kind:
        case "pid":
            return process.pid
        case "alias":
            return process.create_alias()
        case "event":
            process.register_event("its")
            return Event(node, Atom("its"))
    assert process.name is not None
    return ProcessID(node, process.name)


@asynccontextmanager
async def acting(*, remote: bool = True, **options: Any) -> AsyncIterator[Scene]:
    net = MemoryNetwork()
    b = net.node("b@localhost", errors=(agent_types.CUSTOM_ERROR,), **options)
    a = net.node("a@localhost") if remote else b
    scene = Scene(net, a, b)
    await settle()
    try:
        yield scene
    finally:
        await net.stop()
