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
from tests.support.network import Echo, dial, lan
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


class Owner:
    """A process with a name, an alias and an event, all of them `x`, that does as it is told."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.got: list[Envelope] = []
        self.alias: Alias | None = None
        self.process = node.spawn(self.run, name="x", options=ProcessOptions(trap_exit=True))

    async def run(self, process: Process) -> None:
        self.alias = process.create_alias()
        process.register_event("x", buffer=2)
        process.publish("x", "first")
        while True:
            envelope = await process.receive()
            self.got.append(envelope)
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


class Scene:
    """a, whose proto notes its calls, is connected with b and its Owner."""

    def __init__(self, a: Node, b: Node, near: RecordingProto, far: RecordingProto) -> None:
        self.a, self.b, self.near, self.far = a, b, near, far
        self.owner = Owner(b)

    async def does(self, work: Callable[[Process], Awaitable[Any]], **options: Any) -> Any:
        return await run_as_process(self.a, work, **options)

    def last(self) -> Envelope:
        return self.owner.got[-1]


@asynccontextmanager
async def scenario() -> AsyncIterator[Scene]:
    async with lan() as start:
        near, far = RecordingProto(), RecordingProto()
        a, b = await start("a", proto=near), await start("b", proto=far)
        await dial(a, b)
        await eventually(lambda: a.name in b.network.connections)
        scene = Scene(a, b, near, far)
        await eventually(lambda: scene.owner.alias is not None)
        yield scene


def test_all_33_are_there() -> None:
    """gen.Connection."""
    assert len(set(METHODS)) == 33
    assert [name for name in map(python_name, METHODS) if not hasattr(FrameworkConnection, name)] == []


@pytest.mark.covers("Connections: SendPID")
@pytest.mark.parametrize("target", ["pid", "process_id", "alias"])
async def test_messages_and_requests(target: str) -> None:
    """SendPID, SendProcessID, SendAlias; CallPID, CallProcessID, CallAlias; SendResponse."""
    async with scenario() as scene:
        to: Any = scene.owner.targets()[target]
        await scene.does(lambda it: it.send(to, "hello"))
        await eventually(lambda: scene.owner.got)
        assert isinstance(scene.last(), Message)
        assert await scene.does(lambda it: it.call(to, "question")) == "question"
        with pytest.raises(ErgoError, match="not supported"):
            await scene.does(lambda it: it.call(to, "fail"))
        assert {f"send_{target}", f"call_{target}"} <= set(scene.near.called)
        assert "send_response" in scene.far.called


@pytest.mark.covers("Connections: SendExit")
async def test_exits() -> None:
    """SendExit: reaches who traps it as a signal of its sender."""
    async with scenario() as scene:
        await scene.does(lambda it: it.exit(scene.owner.process.pid, error_values.SHUTDOWN))
        await eventually(lambda: scene.owner.got)
        signal = scene.last()
        assert isinstance(signal, ExitSignal)
        assert (signal.reason, signal.source.node) == (error_values.SHUTDOWN, scene.a.name)  # type: ignore[union-attr]
        assert "send_exit" in scene.near.called


@pytest.mark.covers("Connections: LinkPID", "Connections: MonitorPID")
@pytest.mark.parametrize("target", ["pid", "process_id", "alias", "event"])
@pytest.mark.parametrize(("take", "give_back"), [("link", "unlink"), ("monitor", "demonitor")])
async def test_relations_are_taken_and_given_back(take: str, give_back: str, target: str) -> None:
    """Link… and Unlink…, Monitor… and Demonitor… of the four kinds; an event's last messages come with the answer."""
    async with scenario() as scene:
        to = scene.owner.targets()[target]
        relations = scene.b.core.monitoring.relations

        async def both(it: Process) -> Any:
            last = await getattr(it, take)(to)
            taken = len(relations.of(to))
            await getattr(it, give_back)(to)
            return [event.Message for event in last], taken, len(relations.of(to))

        expected = ["first"] if target == "event" else []
        assert await scene.does(both) == (expected, 1, 0)
        assert [f"{take}_{target}", f"{give_back}_{target}"] == scene.near.called[-2:]


@pytest.mark.covers("Connections: SendTerminatePID")
@pytest.mark.parametrize("target", ["pid", "process_id", "alias", "event"])
async def test_the_end_of_a_target_is_told(target: str) -> None:
    """SendTerminatePID, …ProcessID, …Alias, …Event: once per node, with the reason."""
    async with scenario() as scene:
        to = scene.owner.targets()[target]

        async def hears(it: Process) -> Any:
            await it.link(to)
            await it.monitor(to)
            scene.owner.process.stop(Error("enough"))
            return [await it.receive(), await it.receive()]

        heard = await scene.does(hears, trap_exit=True)
        assert {type(one) for one in heard} == {ExitSignal, Down}
        assert {(one.source, one.reason) for one in heard} == {(to, Error("enough"))}
        assert scene.far.called.count(f"send_terminate_{target}") == 1


@pytest.mark.covers("Connections: SendEvent")
async def test_events_are_sent_once_per_node() -> None:
    """SendEvent."""
    async with scenario() as scene:
        event = scene.owner.targets()["event"]

        async def subscribes(it: Process) -> Any:
            await it.monitor(event)
            await it.send(scene.owner.process.pid, "publish")
            return await it.receive()

        published = await scene.does(subscribes)
        assert isinstance(published, Published)
        assert (published.event, published.payload) == (event, "next")
        assert scene.far.called.count("send_event") == 1


@pytest.mark.covers("Connections: RemoteSpawn")
async def test_a_remote_spawn() -> None:
    """RemoteSpawn."""
    async with scenario() as scene:
        scene.b.network.enable_spawn("factory", Echo)
        pid = await scene.a.network.node(scene.b.name).spawn("factory", gen.RemoteProcessOptions(), 1)
        assert scene.b.core.tables.processes[pid.id].pid == pid
        assert "remote_spawn" in scene.near.called


@pytest.mark.covers("NAPI-OPT-7: Options of the network: Proto", "Connections: Node")
async def test_the_life_of_a_connection() -> None:
    """Node, Join (once per link), Terminate (once, in the end)."""
    async with scenario() as scene:
        assert scene.near.called.count("join") == 3
        assert scene.a.network.node(scene.b.name).name == scene.b.name
        scene.a.network.node(scene.b.name).disconnect()
        await eventually(lambda: "terminate" in scene.far.called)
        await asyncio.sleep(0)
        assert [proto.called.count("terminate") for proto in (scene.near, scene.far)] == [1, 1]
