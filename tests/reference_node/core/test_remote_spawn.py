"""Processes that one node starts on another: with which options, for whom, and what becomes of a refusal."""

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
from tests.support.nodes import MemoryNetwork, settle
from tests.support.watchers import Told, ended, idle, refused, watcher

BYE = Error("bye")
FACTORY = Atom("factory")


class Child(Actor):
    """Keeps its arguments; fails in `init` if the first one says so."""

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


class Scene:
    """`here` spawns on `there`."""

    def __init__(self, net: MemoryNetwork, here: Node, there: Node) -> None:
        self.net, self.here, self.there = net, here, there
        self.parent = watcher(here)
        self.children: list[Child] = []
        there.core.remote.enable_spawn(FACTORY, self.make)

    def make(self) -> Child:
        self.children.append(Child())
        return self.children[-1]

    async def spawn(self, *args: Any, name: str = FACTORY, **options: Any) -> Process:
        """A child; its process on the other node."""
        register = options.pop("register", "")
        asked = RemoteProcessOptions(**options)
        pid = await self.here.core.remote.spawn(
            self.parent.process, self.there.name, Atom(name), args, asked, register=register
        )
        assert pid[::2] == (self.there.name, self.there.creation)
        return self.there.core.tables.processes[pid.id]

    def pid(self) -> PID:
        return self.parent.process.pid


@asynccontextmanager
async def scenario(**options: Any) -> AsyncIterator[Scene]:
    net = MemoryNetwork()
    a, b, _ = await net.pair(**options)
    try:
        yield Scene(net, a, b)
    finally:
        await net.stop()


# --- what it is like --------------------------------------------------------------------------------------------------


async def test_a_process_without_options() -> None:
    async with scenario() as s:
        child = await s.spawn()
        assert child.options == messages.ProcessOptions()
        assert (child.parent, child.leader, child.name) == (s.pid(), s.parent.process.leader, None)
        assert s.children[0].args == ()
        assert len(s.there.core.monitoring.relations) == len(s.here.core.monitoring.relations) == 0


@pytest.mark.parametrize("args", [(), (1,), ("a", 2, None, [Atom("b")], {"k": True})], ids=repr)
async def test_its_arguments(args: tuple[Any, ...]) -> None:
    async with scenario() as s:
        await s.spawn(*args)
        assert s.children[0].args == args


@pytest.mark.parametrize(
    ("asked", "wanted"),
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
async def test_its_options(asked: dict[str, Any], wanted: dict[str, Any]) -> None:
    async with scenario() as s:
        child = await s.spawn(**asked)
        assert child.options == messages.ProcessOptions(**wanted)


@pytest.mark.parametrize(
    ("asked", "wanted"),
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
async def test_its_compression(asked: RemoteCompression, wanted: Any) -> None:
    async with scenario() as s:
        how = (await s.spawn(Compression=asked)).options.compression
        assert (how and (how.algorithm, how.level, how.threshold)) == wanted


async def test_its_mailbox_has_the_size_asked_for() -> None:
    async with scenario() as s:
        child = await s.spawn(MailboxSize=2)
        taken = [child.mailbox.put(messages.Message(s.pid(), i), Priority.NORMAL) for i in range(3)]
        assert taken == [True, True, False]


async def test_its_leader_is_its_parents_or_the_one_asked_for() -> None:
    async with scenario() as s:
        chosen = PID(s.here.name, 4321, s.here.creation)
        s.parent.process.leader = PID(s.here.name, 1234, s.here.creation)
        assert (await s.spawn()).leader == s.parent.process.leader
        assert (await s.spawn(Leader=chosen)).leader == chosen


@pytest.mark.parametrize(
    ("expose", "parent", "asked", "wanted"),
    [
        (False, {"A": "parent"}, None, {}),
        (False, {"A": "parent"}, {"B": "own"}, {"B": "own"}),
        (True, {"A": "parent"}, None, {"A": "parent"}),
        (True, {"A": "parent", "B": "parent"}, {"B": "own"}, {"A": "parent", "B": "own"}),
        (True, {}, {"B": "own"}, {"B": "own"}),
        (True, {}, None, {}),
    ],
)
async def test_its_environment(expose: bool, parent: Any, asked: Any, wanted: dict[str, str]) -> None:
    """The parent's, if it is exposed, under its own (ENP-SPAWN-4)."""
    async with scenario(expose_env=expose, env={"A_NODE": "never without a process"}) as s:
        s.parent.process.options = messages.ProcessOptions(env=parent)
        assert (await s.spawn(Env=asked)).options.env == wanted


@pytest.mark.parametrize("expose", [False, True])
async def test_a_node_may_be_the_parent(expose: bool) -> None:
    async with scenario(expose_env=expose, env={"N": 1}) as s:
        pid = await s.here.core.remote.spawn(None, s.there.name, FACTORY)
        child = s.there.core.tables.processes[pid.id]
        assert child.parent == child.leader == s.here.core.pid
        assert child.options.env == ({"N": 1} if expose else {})


# --- links of parent and child ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("how", ["ends", "disconnects"])
async def test_a_child_that_is_linked_to_its_parent_ends_with_it(linked: bool, how: str) -> None:
    """Also when the connection ends (ENP-SPAWN-5). An exit of its parent it can't trap."""
    async with scenario() as s:
        child = await s.spawn(LinkParent=linked)
        child.options = messages.ProcessOptions(trap_exit=how == "ends")
        if how == "ends":
            s.parent.process.stop(BYE)
        else:
            s.here.core.disconnect(s.there.name)
        await settle()
        wanted = error_values.NO_CONNECTION.text if how == "disconnects" else "bye"
        assert (child.reason and child.reason.text) == (wanted if linked else None)
        assert len(s.here.core.monitoring.relations) == len(s.there.core.monitoring.relations) == 0


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("how", ["ends", "disconnects"])
async def test_a_parent_that_is_linked_to_its_child_is_told_once(linked: bool, how: str) -> None:
    async with scenario() as s:
        child = await s.spawn(LinkChild=linked)
        if how == "ends":
            child.stop(BYE)
        else:
            s.there.core.disconnect(s.here.name)
        await settle()
        wanted = error_values.NO_CONNECTION.text if how == "disconnects" else "bye"
        assert s.parent.told == ([Told("exit", child.pid, wanted)] if linked else [])
        assert len(s.here.core.monitoring.relations) == len(s.there.core.monitoring.relations) == 0


async def test_a_child_that_ends_at_once_is_told() -> None:
    """Its end may be right behind the Result."""
    async with scenario() as s:

        async def brief(process: Process) -> None:
            process.set_ready()

        s.there.core.remote.enable_spawn("brief", lambda: _Body(brief))
        pid = await s.here.core.remote.spawn(
            s.parent.process, s.there.name, Atom("brief"), None, RemoteProcessOptions(LinkChild=True)
        )
        await settle()
        assert s.parent.told == [Told("exit", pid, "normal")]
        assert len(s.here.core.monitoring.relations) == 0


class _Body(Actor):
    def __init__(self, body: Any) -> None:
        self.body = body

    async def run(self, process: Process, *args: Any) -> None:
        await self.body(process)


async def test_both_ways_at_once() -> None:
    async with scenario() as s:
        child = await s.spawn(LinkParent=True, LinkChild=True)
        for node in (s.here, s.there):
            assert node.core.monitoring.relations.has(RelationKind.LINK, s.pid(), child.pid)
            assert node.core.monitoring.relations.has(RelationKind.LINK, child.pid, s.pid())
        s.parent.process.stop(BYE)
        assert await ended(child) == "bye"
        await settle()
        assert len(s.here.core.monitoring.relations) == len(s.there.core.monitoring.relations) == 0


# --- names and refusals -----------------------------------------------------------------------------------------------


async def test_a_name_is_taken_once() -> None:
    async with scenario() as s:
        first = await s.spawn(register="it")
        assert first.name == "it"
        assert await refused(s.spawn(register="it")) == "resource is taken"
        first.stop(BYE)
        await settle()
        assert (await s.spawn(register="it")).pid != first.pid


@pytest.mark.parametrize(
    ("args", "text"),
    [(("fail", "no luck"), "no luck"), (("stop", "enough"), "enough"), (("panic",), "panic")],
)
async def test_a_child_that_fails_in_its_beginning(args: Any, text: str, caplog: pytest.LogCaptureFixture) -> None:
    async with scenario() as s:
        living = len(s.there.core.tables.processes)
        assert await refused(s.spawn(*args, register="it", LinkChild=True, LinkParent=True)) == text
        await settle()
        assert len(s.there.core.tables.processes) == living
        assert not s.there.core.tables.names
        assert s.parent.told == []
        assert len(s.here.core.monitoring.relations) == len(s.there.core.monitoring.relations) == 0


async def test_there_is_no_such_factory_node_or_parent() -> None:
    async with scenario() as s:
        remote = s.here.core.remote
        assert await refused(s.spawn(name="nothing")) == "unknown name"
        assert await refused(remote.spawn(None, Atom("nowhere@localhost"), FACTORY)) == "no route"
        assert await refused(remote.spawn(None, s.here.name, FACTORY)) == "not allowed"
        assert not s.children


async def test_a_slow_child_is_waited_for_so_long() -> None:
    async with scenario() as s:
        await s.spawn("sleep", 4)
        begun = asyncio.get_running_loop().time()
        assert await refused(s.spawn("sleep", 6)) == "timed out"
        assert asyncio.get_running_loop().time() - begun == pytest.approx(5)
        await asyncio.sleep(2)
        assert len(s.children) == 2
        await s.spawn()
        assert len(s.children) == 3


@pytest.mark.parametrize("side", ["here", "there"])
async def test_the_connection_ends_while_it_is_waited_for(side: str) -> None:
    async with scenario() as s:
        task = asyncio.ensure_future(refused(s.spawn("sleep", 1, LinkParent=True, LinkChild=True)))
        await settle()
        assert len(s.children) == 1
        cutter, other = (s.here, s.there) if side == "here" else (s.there, s.here)
        cutter.core.disconnect(other.name)
        assert await task == "no connection"
        await asyncio.sleep(2)
        assert s.parent.told == []
        assert s.children[0].process.reason == error_values.NO_CONNECTION
        assert len(s.here.core.monitoring.relations) == len(s.there.core.monitoring.relations) == 0


@pytest.mark.parametrize("flags", [DEFAULT_FLAGS & ~Flags.REMOTE_SPAWN, Flags.ENABLE])
async def test_a_peer_that_does_not_want_it_is_not_asked(flags: Flags) -> None:
    net = MemoryNetwork()
    b, a = net.node("b@localhost", flags=flags), net.node("a@localhost")
    b.core.remote.enable_spawn(FACTORY, Child)
    connection = await a.network.connection(b.name)
    process = a.spawn(idle)
    assert await refused(a.core.remote.spawn(process, b.name, FACTORY)) == "not allowed"
    assert connection.node.info.messages_out == 0
    # the own flags do not limit what a node may ask for (NAPI-RN-6)
    a.core.remote.enable_spawn(FACTORY, Child)
    assert await b.core.remote.spawn(None, a.name, FACTORY)
    await net.stop()
