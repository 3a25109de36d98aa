"""Remote spawn: options of the child, links of parent and child, and refusals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model.ergo import error_values
from ergo_conformance.model.ergo.ehs import DEFAULT_FLAGS, Flags
from ergo_conformance.model.ergo.enp import Algorithm, CompressionLevel, Priority
from ergo_conformance.model.ergo.gen import RemoteCompression, RemoteProcessOptions
from ergo_conformance.model.values import PID, Atom, Error
from ergo_conformance.reference_node.api import messages
from ergo_conformance.reference_node.api.errors import ErgoError, Stop
from ergo_conformance.reference_node.api.relations import RelationKind
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from tests.support.consumers import Termination, end_reason, error_text, idle, spawn_consumer
from tests.support.nodes import MemoryNetwork, settle

BYE = Error("bye")
FACTORY = Atom("factory")


class Child(Actor):
    """Records its arguments; fails, stops, panics or sleeps in `init` as the first one says."""

    args: tuple[Any, ...] = ()

    async def init(self, *args: Any) -> None:
        self.args = args
        match args:
            case ("fail", str(text)):
                raise ErgoError(Error(text))
            case ("stop", str(text)):
                raise Stop(Error(text))
            case ("panic",):
                raise RuntimeError("a mistake")
            case ("sleep", int(seconds)):
                await asyncio.sleep(seconds)


class SpawnScenario:
    """A parent on `here`, which spawns children on `there`."""

    def __init__(self, net: MemoryNetwork, here: Node, there: Node) -> None:
        self.net, self.here, self.there = net, here, there
        self.parent = spawn_consumer(here)
        self.children: list[Child] = []
        there.core.remote.enable_spawn(FACTORY, self.make)

    def make(self) -> Child:
        self.children.append(Child())
        return self.children[-1]

    async def spawn(self, *args: Any, name: str = FACTORY, **options: Any) -> Process:
        """Spawns a child; returns its process on the other node."""
        register = options.pop("register", "")
        requested = RemoteProcessOptions(**options)
        pid = await self.here.core.remote.spawn(
            self.parent.process, self.there.name, Atom(name), args, requested, register=register
        )
        assert pid[::2] == (self.there.name, self.there.creation)
        return self.there.core.tables.processes[pid.id]

    def pid(self) -> PID:
        return self.parent.process.pid


@asynccontextmanager
async def spawn_scenario(**options: Any) -> AsyncIterator[SpawnScenario]:
    net = MemoryNetwork()
    a, b, _ = await net.pair(**options)
    try:
        yield SpawnScenario(net, a, b)
    finally:
        await net.stop()


# --- options of the child ---------------------------------------------------------------------------------------------


async def test_a_child_without_options_has_the_defaults() -> None:
    async with spawn_scenario() as s:
        child = await s.spawn()
        assert child.options == messages.ProcessOptions()
        assert (child.parent, child.leader, child.name) == (s.pid(), s.parent.process.leader, None)
        assert s.children[0].args == ()
        assert len(s.there.core.monitoring.relations) == len(s.here.core.monitoring.relations) == 0


@pytest.mark.parametrize("args", [(), (1,), ("a", 2, None, [Atom("b")], {"k": True})], ids=repr)
async def test_the_child_gets_the_arguments(args: tuple[Any, ...]) -> None:
    async with spawn_scenario() as s:
        await s.spawn(*args)
        assert s.children[0].args == args


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ({"MailboxSize": 3}, {"mailbox_size": 3}),
        ({"MailboxSize": -3}, {"mailbox_size": 0}),
        ({"SendPriority": 1}, {"priority": Priority.HIGH}),
        ({"SendPriority": 2}, {"priority": Priority.MAX}),
        ({"SendPriority": 3}, {"priority": Priority.NORMAL}),
        ({"ImportantDelivery": True}, {"important": True}),
        ({"LinkParent": True}, {"link_parent": True}),
        ({"Env": {"A": 1}}, {"env": {"A": 1}}),
    ],
    ids=repr,
)
async def test_the_child_has_the_requested_options(requested: dict[str, Any], expected: dict[str, Any]) -> None:
    async with spawn_scenario() as s:
        child = await s.spawn(**requested)
        assert child.options == messages.ProcessOptions(**expected)


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        (RemoteCompression(), None),
        (RemoteCompression(False, "lzw", 1, 5000), None),
        (RemoteCompression(True), (Algorithm.GZIP, CompressionLevel.DEFAULT, 1024)),
        (RemoteCompression(True, "gzip", 1, 2000), (Algorithm.GZIP, CompressionLevel.BEST_SPEED, 2000)),
        (RemoteCompression(True, "zlib", 2, 1), (Algorithm.ZLIB, CompressionLevel.BEST_SIZE, 1024)),
        (RemoteCompression(True, "lzw", 9, -1), (Algorithm.LZW, CompressionLevel.DEFAULT, 1024)),
    ],
    ids=repr,
)
async def test_the_child_has_the_requested_compression(requested: RemoteCompression, expected: Any) -> None:
    async with spawn_scenario() as s:
        how = (await s.spawn(Compression=requested)).options.compression
        assert (how and (how.algorithm, how.level, how.threshold)) == expected


async def test_the_mailbox_has_the_requested_size() -> None:
    async with spawn_scenario() as s:
        child = await s.spawn(MailboxSize=2)
        taken = [child.mailbox.put(messages.Message(s.pid(), i), Priority.NORMAL) for i in range(3)]
        assert taken == [True, True, False]


async def test_the_leader_is_the_parents_or_the_requested_one() -> None:
    async with spawn_scenario() as s:
        chosen = PID(s.here.name, 4321, s.here.creation)
        s.parent.process.leader = PID(s.here.name, 1234, s.here.creation)
        assert (await s.spawn()).leader == s.parent.process.leader
        assert (await s.spawn(Leader=chosen)).leader == chosen


@pytest.mark.parametrize(
    ("expose", "parent", "requested", "expected"),
    [
        (False, {"A": "parent"}, None, {}),
        (False, {"A": "parent"}, {"B": "own"}, {"B": "own"}),
        (True, {"A": "parent"}, None, {"A": "parent"}),
        (True, {"A": "parent", "B": "parent"}, {"B": "own"}, {"A": "parent", "B": "own"}),
        (True, {}, {"B": "own"}, {"B": "own"}),
        (True, {}, None, {}),
    ],
)
async def test_the_environment_combines_parent_and_request(
    expose: bool, parent: Any, requested: Any, expected: dict[str, str]
) -> None:
    """The environment of the parent if it is exposed; that of the request wins (ENP-SPAWN-4)."""
    async with spawn_scenario(expose_env=expose, env={"A_NODE": "never without a process"}) as s:
        s.parent.process.options = messages.ProcessOptions(env=parent)
        assert (await s.spawn(Env=requested)).options.env == expected


@pytest.mark.parametrize("expose", [False, True])
async def test_a_node_may_be_the_parent(expose: bool) -> None:
    async with spawn_scenario(expose_env=expose, env={"N": 1}) as s:
        pid = await s.here.core.remote.spawn(None, s.there.name, FACTORY)
        child = s.there.core.tables.processes[pid.id]
        assert child.parent == child.leader == s.here.core.pid
        assert child.options.env == ({"N": 1} if expose else {})


# --- links of parent and child ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("how", ["ends", "disconnects"])
async def test_a_child_linked_to_its_parent_ends_with_it(linked: bool, how: str) -> None:
    """Also when the connection ends (ENP-SPAWN-5). A child cannot trap the exit of its parent."""
    async with spawn_scenario() as s:
        child = await s.spawn(LinkParent=linked)
        child.options = messages.ProcessOptions(trap_exit=how == "ends")
        if how == "ends":
            s.parent.process.stop(BYE)
        else:
            s.here.core.disconnect(s.there.name)
        await settle()
        expected = error_values.NO_CONNECTION.text if how == "disconnects" else "bye"
        assert (child.reason and child.reason.text) == (expected if linked else None)
        assert len(s.here.core.monitoring.relations) == len(s.there.core.monitoring.relations) == 0


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("how", ["ends", "disconnects"])
async def test_a_parent_linked_to_its_child_is_notified_once(linked: bool, how: str) -> None:
    async with spawn_scenario() as s:
        child = await s.spawn(LinkChild=linked)
        if how == "ends":
            child.stop(BYE)
        else:
            s.there.core.disconnect(s.here.name)
        await settle()
        expected = error_values.NO_CONNECTION.text if how == "disconnects" else "bye"
        assert s.parent.received == ([Termination("exit", child.pid, expected)] if linked else [])
        assert len(s.here.core.monitoring.relations) == len(s.there.core.monitoring.relations) == 0


async def test_the_end_of_a_short_lived_child_is_notified() -> None:
    """Its end may directly follow the Result."""
    async with spawn_scenario() as s:

        async def end_at_once(process: Process) -> None:
            process.set_ready()

        s.there.core.remote.enable_spawn("brief", lambda: _CoroutineActor(end_at_once))
        pid = await s.here.core.remote.spawn(
            s.parent.process, s.there.name, Atom("brief"), None, RemoteProcessOptions(LinkChild=True)
        )
        await settle()
        assert s.parent.received == [Termination("exit", pid, "normal")]
        assert len(s.here.core.monitoring.relations) == 0


class _CoroutineActor(Actor):
    def __init__(self, body: Any) -> None:
        self.body = body

    async def run(self, process: Process, *args: Any) -> None:
        await self.body(process)


async def test_parent_and_child_linked_both_ways() -> None:
    async with spawn_scenario() as s:
        child = await s.spawn(LinkParent=True, LinkChild=True)
        for node in (s.here, s.there):
            assert node.core.monitoring.relations.has(RelationKind.LINK, s.pid(), child.pid)
            assert node.core.monitoring.relations.has(RelationKind.LINK, child.pid, s.pid())
        s.parent.process.stop(BYE)
        assert await end_reason(child) == "bye"
        await settle()
        assert len(s.here.core.monitoring.relations) == len(s.there.core.monitoring.relations) == 0


# --- names and refusals -----------------------------------------------------------------------------------------------


async def test_a_name_is_taken_once() -> None:
    async with spawn_scenario() as s:
        first = await s.spawn(register="it")
        assert first.name == "it"
        assert await error_text(s.spawn(register="it")) == "resource is taken"
        first.stop(BYE)
        await settle()
        assert (await s.spawn(register="it")).pid != first.pid


@pytest.mark.parametrize(
    ("args", "text"),
    [(("fail", "no luck"), "no luck"), (("stop", "enough"), "enough"), (("panic",), "panic")],
)
async def test_a_child_that_fails_in_init_leaves_nothing(
    args: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with spawn_scenario() as s:
        process_count = len(s.there.core.tables.processes)
        assert await error_text(s.spawn(*args, register="it", LinkChild=True, LinkParent=True)) == text
        await settle()
        assert len(s.there.core.tables.processes) == process_count
        assert not s.there.core.tables.names
        assert s.parent.received == []
        assert len(s.here.core.monitoring.relations) == len(s.there.core.monitoring.relations) == 0


async def test_an_unknown_factory_node_or_parent_is_refused() -> None:
    async with spawn_scenario() as s:
        remote = s.here.core.remote
        assert await error_text(s.spawn(name="nothing")) == "unknown name"
        assert await error_text(remote.spawn(None, Atom("nowhere@localhost"), FACTORY)) == "no route"
        assert await error_text(remote.spawn(None, s.here.name, FACTORY)) == "not allowed"
        assert not s.children


async def test_a_spawn_times_out_after_five_seconds() -> None:
    async with spawn_scenario() as s:
        await s.spawn("sleep", 4)
        begun = asyncio.get_running_loop().time()
        assert await error_text(s.spawn("sleep", 6)) == "timed out"
        assert asyncio.get_running_loop().time() - begun == pytest.approx(5)
        await asyncio.sleep(2)
        assert len(s.children) == 2
        await s.spawn()
        assert len(s.children) == 3


@pytest.mark.parametrize("side", ["here", "there"])
async def test_a_pending_spawn_fails_when_the_connection_ends_in_memory(side: str) -> None:
    async with spawn_scenario() as s:
        task = asyncio.ensure_future(error_text(s.spawn("sleep", 1, LinkParent=True, LinkChild=True)))
        await settle()
        assert len(s.children) == 1
        closing, other = (s.here, s.there) if side == "here" else (s.there, s.here)
        closing.core.disconnect(other.name)
        assert await task == "no connection"
        await asyncio.sleep(2)
        assert s.parent.received == []
        assert s.children[0].process.reason == error_values.NO_CONNECTION
        assert len(s.here.core.monitoring.relations) == len(s.there.core.monitoring.relations) == 0


@pytest.mark.parametrize("flags", [DEFAULT_FLAGS & ~Flags.REMOTE_SPAWN, Flags.ENABLE])
async def test_no_spawn_is_requested_without_the_flag_of_the_peer(flags: Flags) -> None:
    net = MemoryNetwork()
    b, a = net.node("b@localhost", flags=flags), net.node("a@localhost")
    b.core.remote.enable_spawn(FACTORY, Child)
    connection = await a.network.connection(b.name)
    process = a.spawn(idle)
    assert await error_text(a.core.remote.spawn(process, b.name, FACTORY)) == "not allowed"
    assert connection.node.info.messages_out == 0
    # a node's own flags do not limit its requests (NAPI-RN-6)
    a.core.remote.enable_spawn(FACTORY, Child)
    assert await b.core.remote.spawn(None, a.name, FACTORY)
    await net.stop()
