"""A node with all agents, and a consumer that sends them requests: on the same node or on another one."""

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
from tests.support.consumers import Consumer, spawn_consumer
from tests.support.nodes import MemoryNetwork, settle

local_and_remote = pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])


class AgentScenario:
    """Nodes `a` with the requester and `b` with the agents; one node if all is local."""

    def __init__(self, net: MemoryNetwork, a: Node, b: Node) -> None:
        self.net, self.a, self.b = net, a, b
        settings.host_agents(b, {"allowed": "allowed@localhost"})
        self.requester: Consumer = spawn_consumer(a)
        self.agent = ProcessID(b.name, Atom("agent"))

    async def ask(self, name: str, request: Any) -> Any:
        """Calls an agent; returns the answer, of an error value its text in brackets."""
        answer = await self.requester.process.call(ProcessID(self.b.name, Atom(name)), request)
        return f"<{answer.text}>" if isinstance(answer, Error) else answer

    async def run_op(self, *request: Any) -> Any:
        """Returns the answer of `agent` to an op with its arguments."""
        return await self.ask("agent", list(request))

    async def send(self, name: str, message: Any) -> None:
        await self.requester.process.send(ProcessID(self.b.name, Atom(name)), message)
        await settle()

    async def received(self) -> list[str]:
        """Returns the entries that `agent` has collected since the last call."""
        await settle()
        answer = await self.ask("agent", "received")
        assert isinstance(answer, Typed)
        assert answer.type is Slice(t.STRING)
        texts: list[str] = answer.value
        return texts

    def pid(self, name: str) -> PID:
        """Returns the current PID of an agent."""
        return self.b.core.tables.names[Atom(name)].pid


def target_of(process: Process, kind: str) -> RelationTarget:
    """Returns the target of a kind: PID, name, new alias or new event of the process."""
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
async def agent_scenario(*, remote: bool = True, **options: Any) -> AsyncIterator[AgentScenario]:
    net = MemoryNetwork()
    b = net.node("b@localhost", errors=(agent_types.CUSTOM_ERROR,), **options)
    a = net.node("a@localhost") if remote else b
    scenario = AgentScenario(net, a, b)
    await settle()
    try:
        yield scenario
    finally:
        await net.stop()
