"""The 33 methods of gen.Connection (FrameworkConnection), called for operations of processes between two nodes on loopback.

The proto of the nodes is a custom one: ENP whose connections have the framework's method names and record the calls.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model.ergo import error_values, gen
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID
from ergo_conformance.reference_node.api import Core
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.handshake import PeerInfo
from ergo_conformance.reference_node.api.messages import (
    Call,
    Down,
    Envelope,
    ExitSignal,
    Message,
    ProcessOptions,
    Published,
)
from ergo_conformance.reference_node.connection.framework import FrameworkConnection
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.ergo.enp.connection import EnpConnection
from ergo_conformance.reference_node.ergo.enp.proto import EnpProto
from ergo_conformance.reference_node.node import Node
from tests.support.loopback_nodes import Echo, dial, node_starter
from tests.support.nodes import run_as_process
from tests.support.sockets import eventually

pytestmark = pytest.mark.real_loop

METHODS = (
    "Node", "SendPID", "SendProcessID", "SendAlias", "SendEvent", "SendExit", "SendResponse", "SendTerminatePID",
    "SendTerminateProcessID", "SendTerminateAlias", "SendTerminateEvent", "CallPID", "CallProcessID", "CallAlias", "LinkPID",
    "UnlinkPID", "LinkProcessID", "UnlinkProcessID", "LinkAlias", "UnlinkAlias", "LinkEvent", "UnlinkEvent", "MonitorPID",
    "DemonitorPID", "MonitorProcessID", "DemonitorProcessID", "MonitorAlias", "DemonitorAlias", "MonitorEvent",
    "DemonitorEvent", "RemoteSpawn", "Join", "Terminate",
)  # fmt: skip
"""gen/network.go, typed from the document."""


def python_name(name: str) -> str:
    """Returns `send_process_id` for `SendProcessID`."""
    words = name.replace("PID", "Pid").replace("ProcessID", "ProcessId")
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in words).removeprefix("_")


class RecordingConnection(EnpConnection):
    """ENP behind the framework's names: each of them records its call."""

    send, call = FrameworkConnection.send, FrameworkConnection.call
    send_terminate = FrameworkConnection.send_terminate
    link, unlink = FrameworkConnection.link, FrameworkConnection.unlink
    monitor, demonitor = FrameworkConnection.monitor, FrameworkConnection.demonitor


class RecordingProto(EnpProto):
    """ENP whose connections record which of the framework's methods are called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    def new_connection(self, core: Core, peer: PeerInfo, log: logging.Logger) -> EnpConnection:
        connection = RecordingConnection(peer, core)
        for name in map(python_name, METHODS):
            generic = re.sub("_(pid|process_id|alias|event)$", "", name) if name != "send_event" else name
            if name != "node":
                setattr(connection, name, self._recorded(name, getattr(EnpConnection, generic).__get__(connection)))
        return connection

    def _recorded(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*args: Any, **named: Any) -> Any:
            self.called.append(name)
            return method(*args, **named)

        return recorded


class TargetProcess:
    """Process of a node with the name, an alias and the event `x`; it answers calls and publishes on request."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.received: list[Envelope] = []
        self.alias: Alias | None = None
        self.process = node.spawn(self.run, name="x", options=ProcessOptions(trap_exit=True))

    async def run(self, process: Process) -> None:
        self.alias = process.create_alias()
        process.register_event("x", buffer=2)
        process.publish("x", "first")
        while True:
            envelope = await process.receive()
            self.received.append(envelope)
            match envelope:
                case Call(payload="fail"):
                    process.reply_error(envelope, error_values.UNSUPPORTED)
                case Call():
                    process.reply(envelope, envelope.payload)
                case Message(payload="publish"):
                    process.publish("x", "next")

    def targets(self) -> dict[str, PID | ProcessID | Alias | Event]:
        assert self.alias is not None
        name = Atom("x")
        return {
            "pid": self.process.pid,
            "process_id": ProcessID(self.node.name, name),
            "alias": self.alias,
            "event": Event(self.node.name, name),
        }


class RecordedNodes:
    """Connected nodes a and b whose protos record the calls, and a TargetProcess on b."""

    def __init__(self, a: Node, b: Node, proto_a: RecordingProto, proto_b: RecordingProto) -> None:
        self.a, self.b, self.proto_a, self.proto_b = a, b, proto_a, proto_b
        self.target = TargetProcess(b)

    async def run_on_a(self, work: Callable[[Process], Awaitable[Any]], **options: Any) -> Any:
        return await run_as_process(self.a, work, **options)

    def last_received(self) -> Envelope:
        return self.target.received[-1]


@asynccontextmanager
async def recorded_nodes() -> AsyncIterator[RecordedNodes]:
    async with node_starter() as start:
        proto_a, proto_b = RecordingProto(), RecordingProto()
        a, b = await start("a", proto=proto_a), await start("b", proto=proto_b)
        await dial(a, b)
        await eventually(lambda: a.name in b.network.connections)
        nodes = RecordedNodes(a, b, proto_a, proto_b)
        await eventually(lambda: nodes.target.alias is not None)
        yield nodes


def test_framework_connection_has_the_33_methods() -> None:
    """gen.Connection."""
    assert len(set(METHODS)) == 33
    assert [name for name in map(python_name, METHODS) if not hasattr(FrameworkConnection, name)] == []


@pytest.mark.covers("Connections: SendPID")
@pytest.mark.parametrize("target", ["pid", "process_id", "alias"])
async def test_messages_and_calls_use_the_method_of_the_address(target: str) -> None:
    """SendPID, SendProcessID, SendAlias; CallPID, CallProcessID, CallAlias; SendResponse."""
    async with recorded_nodes() as nodes:
        to: Any = nodes.target.targets()[target]
        await nodes.run_on_a(lambda it: it.send(to, "hello"))
        await eventually(lambda: nodes.target.received)
        assert isinstance(nodes.last_received(), Message)
        assert await nodes.run_on_a(lambda it: it.call(to, "question")) == "question"
        with pytest.raises(ErgoError, match="not supported"):
            await nodes.run_on_a(lambda it: it.call(to, "fail"))
        assert {f"send_{target}", f"call_{target}"} <= set(nodes.proto_a.called)
        assert "send_response" in nodes.proto_b.called


@pytest.mark.covers("Connections: SendExit")
async def test_an_exit_signal_uses_send_exit() -> None:
    """SendExit: a process that traps exits receives the signal of the sender."""
    async with recorded_nodes() as nodes:
        await nodes.run_on_a(lambda it: it.exit(nodes.target.process.pid, error_values.SHUTDOWN))
        await eventually(lambda: nodes.target.received)
        signal = nodes.last_received()
        assert isinstance(signal, ExitSignal)
        assert (signal.reason, signal.source.node) == (error_values.SHUTDOWN, nodes.a.name)  # type: ignore[union-attr]
        assert "send_exit" in nodes.proto_a.called


@pytest.mark.covers("Connections: LinkPID", "Connections: MonitorPID")
@pytest.mark.parametrize("target", ["pid", "process_id", "alias", "event"])
@pytest.mark.parametrize(("add_relation", "remove_relation"), [("link", "unlink"), ("monitor", "demonitor")])
async def test_relations_use_the_methods_of_their_target(add_relation: str, remove_relation: str, target: str) -> None:
    """Link… and Unlink…, Monitor… and Demonitor… of the four kinds; the answer for an event has its last messages."""
    async with recorded_nodes() as nodes:
        to = nodes.target.targets()[target]
        relations = nodes.b.core.monitoring.relations

        async def add_and_remove(it: Process) -> Any:
            last = await getattr(it, add_relation)(to)
            taken = len(relations.of(to))
            await getattr(it, remove_relation)(to)
            return [event.Message for event in last], taken, len(relations.of(to))

        expected = ["first"] if target == "event" else []
        assert await nodes.run_on_a(add_and_remove) == (expected, 1, 0)
        assert [f"{add_relation}_{target}", f"{remove_relation}_{target}"] == nodes.proto_a.called[-2:]


@pytest.mark.covers("Connections: SendTerminatePID")
@pytest.mark.parametrize("target", ["pid", "process_id", "alias", "event"])
async def test_the_end_of_a_target_is_sent_once_per_node(target: str) -> None:
    """SendTerminatePID, …ProcessID, …Alias, …Event: once per node, with the reason."""
    async with recorded_nodes() as nodes:
        to = nodes.target.targets()[target]

        async def receive_end(it: Process) -> Any:
            await it.link(to)
            await it.monitor(to)
            nodes.target.process.stop(Error("enough"))
            return [await it.receive(), await it.receive()]

        received = await nodes.run_on_a(receive_end, trap_exit=True)
        assert {type(one) for one in received} == {ExitSignal, Down}
        assert {(one.source, one.reason) for one in received} == {(to, Error("enough"))}
        assert nodes.proto_b.called.count(f"send_terminate_{target}") == 1


@pytest.mark.covers("Connections: SendEvent")
async def test_an_event_is_sent_once_per_node() -> None:
    """SendEvent."""
    async with recorded_nodes() as nodes:
        event = nodes.target.targets()["event"]

        async def receive_event(it: Process) -> Any:
            await it.monitor(event)
            await it.send(nodes.target.process.pid, "publish")
            return await it.receive()

        published = await nodes.run_on_a(receive_event)
        assert isinstance(published, Published)
        assert (published.event, published.payload) == (event, "next")
        assert nodes.proto_b.called.count("send_event") == 1


@pytest.mark.covers("Connections: RemoteSpawn")
async def test_a_remote_spawn_uses_remote_spawn() -> None:
    """RemoteSpawn."""
    async with recorded_nodes() as nodes:
        nodes.b.network.enable_spawn("factory", Echo)
        pid = await nodes.a.network.node(nodes.b.name).spawn("factory", gen.RemoteProcessOptions(), 1)
        assert nodes.b.core.tables.processes[pid.id].pid == pid
        assert "remote_spawn" in nodes.proto_a.called


@pytest.mark.covers("NAPI-OPT-7: Options of the network: Proto", "Connections: Node")
async def test_join_is_called_per_socket_and_terminate_once() -> None:
    """Node, Join (once per socket), Terminate (once, at the end)."""
    async with recorded_nodes() as nodes:
        assert nodes.proto_a.called.count("join") == 3
        assert nodes.a.network.node(nodes.b.name).name == nodes.b.name
        nodes.a.network.node(nodes.b.name).disconnect()
        await eventually(lambda: "terminate" in nodes.proto_b.called)
        await asyncio.sleep(0)
        assert [proto.called.count("terminate") for proto in (nodes.proto_a, nodes.proto_b)] == [1, 1]
