"""Links, monitors, events, spawning and applications of two nodes over real sockets, one of which is killed."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model.ergo import agent_types
from ergo_conformance.model.ergo.gen import RemoteProcessOptions
from ergo_conformance.model.values import PID, Atom, Error, Event, ProcessID
from ergo_conformance.reference_node.api.applications import ApplicationState
from ergo_conformance.reference_node.api.relations import RelationTarget
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from ergo_conformance.reference_node.target import config as settings
from tests.support.nodes import transport_of
from tests.support.settings import start_node
from tests.support.sockets import HOST, eventually, port, socket_count
from tests.support.watchers import Heard, Told, Watcher, idle, refused, watcher

pytestmark = pytest.mark.real_loop

BYE = Error("bye")
COUNT = 2_000
sides = pytest.mark.parametrize("dialed", [False, True], ids=["here dials", "there dials"])


@asynccontextmanager
async def nodes(*, dialed: bool = False) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes with agents and three links: one watches, the other is watched; `dialed`: by the watched one."""
    common: dict[str, Any] = {
        "cookie": "secret", "types": agent_types.ROWS, "errors": (agent_types.CUSTOM_ERROR,),
        "acceptors": (AcceptorOptions(host=HOST),),
    }  # fmt: skip
    first = await start_node("first@localhost", **common)
    routes = {str(first.name): NetworkRoute(host=HOST, port=port(first))}
    second = await start_node("second@localhost", routes=routes, **common)
    for node in (first, second):
        settings.host_agents(node, {})
    try:
        await second.network.connection(first.name)
        await eventually(lambda: socket_count(first, second) == socket_count(second, first) == 3)
        yield (first, second) if dialed else (second, first)
    finally:
        await second.stop()
        await first.stop()


@asynccontextmanager
async def over_sockets(*, dialed: bool = False) -> AsyncIterator[tuple[Node, Node]]:
    async with nodes(dialed=dialed) as (here, there):
        yield here, there


def kill(node: Node) -> None:
    """As the end of its program does it: no more listening, every socket is reset, nothing is said."""
    for acceptor in node.network.acceptors:
        assert acceptor.server is not None
        acceptor.server.close()
    for connection in list(node.network.connections.values()):
        for link in list(connection.sockets):
            transport_of(link).abort()


def targets(there: Node) -> tuple[Process, list[RelationTarget]]:
    """A process of the other node with all that can be watched of it, and more than one of its kind."""
    process = there.spawn(idle, name="it")
    found: list[RelationTarget] = [process.pid, ProcessID(there.name, Atom("it"))]
    for i in range(3):
        process.register_event(f"ev{i}")
        found += [process.create_alias(), Event(there.name, Atom(f"ev{i}"))]
    return process, found


async def watching(here: Node, watched: list[RelationTarget], count: int = 3) -> list[Watcher]:
    """So many that are linked to everything and monitor everything."""
    them = [watcher(here) for _ in range(count)]
    await asyncio.gather(*(take(target) for it in them for target in watched for take in (it.link, it.monitor)))
    return them


def expected(watched: list[RelationTarget], reason: str) -> Counter[str]:
    return Counter(repr(Told(how, target, reason)) for target in watched for how in ("exit", "down"))


async def told(them: list[Watcher], wanted: Counter[str]) -> None:
    """Each hears just that; nothing comes twice, nor later."""
    await eventually(lambda: all(len(it.told) >= wanted.total() for it in them))
    await asyncio.sleep(0.05)
    for it in them:
        assert Counter(map(repr, it.told)) == wanted


def relations(*nodes_: Node) -> int:
    return sum(len(node.core.monitoring.relations) for node in nodes_)


@sides
async def test_each_relation_is_told_once_when_the_process_ends(dialed: bool) -> None:
    async with over_sockets(dialed=dialed) as (here, there):
        process, watched = targets(there)
        them = await watching(here, watched)
        assert relations(there) == relations(here) == 3 * 2 * len(watched)
        process.stop(BYE)
        await told(them, expected(watched, "bye"))
        assert relations(here, there) == 0


@pytest.mark.covers("Loss of a connection: MessageExitPID", "Loss of a connection: MessageDownPID")
@sides
async def test_each_relation_is_told_once_when_the_node_is_killed(dialed: bool) -> None:
    async with over_sockets(dialed=dialed) as (here, there):
        process, watched = targets(there)
        watched.append(there.name)
        them = await watching(here, watched)
        back = await watching(there, [them[0].process.pid])
        kill(there)
        await told(them, expected(watched, "no connection"))
        await told(back, expected([them[0].process.pid], "no connection"))
        assert relations(here, there) == 0
        assert not here.network.connections
        process.stop(BYE)
        await asyncio.sleep(0.05)
        assert len(them[0].told) == 2 * len(watched)


@sides
async def test_a_lost_link_ends_nothing(dialed: bool) -> None:
    """As long as one of the three is left."""
    async with over_sockets(dialed=dialed) as (here, there):
        process, watched = targets(there)
        them = await watching(here, watched)
        for link in there.network.connections[here.name].sockets[:2]:
            transport_of(link).abort()
        await eventually(lambda: socket_count(here, there) == socket_count(there, here) == 3)
        assert not any(it.told for it in them)
        process.stop(BYE)
        await told(them, expected(watched, "bye"))


@pytest.mark.covers("Loss of a connection: MessageExitPID")
@sides
async def test_who_does_not_trap_exits_ends_with_the_node(dialed: bool) -> None:
    async with over_sockets(dialed=dialed) as (here, there):
        _, watched = targets(there)
        them = [watcher(here, trap_exit=False) for _ in range(2)]
        await them[0].link(there.name)
        await them[1].link(watched[0])
        kill(there)
        await eventually(lambda: all(it.process.reason for it in them))
        assert {it.process.reason and it.process.reason.text for it in them} == {"no connection"}


@sides
async def test_what_is_asked_for_while_the_node_is_killed(dialed: bool) -> None:
    """Each request has an end, each relation that was taken is told about."""
    async with over_sockets(dialed=dialed) as (here, there):
        _, watched = targets(there)
        them = [watcher(here) for _ in range(50)]
        outcomes: Counter[int] = Counter()

        async def asks(i: int, it: Watcher) -> None:
            for target in watched[:2]:
                try:
                    await it.link(target)
                except Exception:  # noqa: BLE001  it was killed before, or cannot be dialed any more
                    break
                outcomes[i] += 1
                await asyncio.sleep(0)

        tasks = [asyncio.ensure_future(asks(i, it)) for i, it in enumerate(them)]
        await asyncio.sleep(0)
        kill(there)
        await asyncio.gather(*tasks)
        await eventually(lambda: all(len(it.told) >= outcomes[i] for i, it in enumerate(them)))
        await asyncio.sleep(0.05)
        assert [len(it.told) for it in them] == [outcomes[i] for i in range(len(them))]
        assert relations(here) == 0


@sides
async def test_events_come_whole_and_in_order(dialed: bool) -> None:
    """Those of each publisher, while several publish and others come and go."""
    async with over_sockets(dialed=dialed) as (here, there):
        publishers = [watcher(there).process for _ in range(4)]
        events = [Event(there.name, Atom(f"ev{i}")) for i in range(4)]
        for process, event in zip(publishers, events, strict=True):
            process.register_event(event.name, buffer=5)
        them = [watcher(here) for _ in range(3)]
        for it in them:
            for event in events:
                await it.link(event)

        async def publishes(process: Process, event: Event) -> None:
            for i in range(COUNT):
                process.publish(event.name, i)
                if not i % 50:
                    await asyncio.sleep(0)

        tasks = [asyncio.ensure_future(publishes(*pair)) for pair in zip(publishers, events, strict=True)]
        late = watcher(here)
        last = [event.Message for event in await late.monitor(events[0])]
        await asyncio.gather(*tasks)
        await eventually(lambda: all(len(it.told) == 4 * COUNT for it in them))
        for it in them:
            for event in events:
                assert [heard.message for heard in it.told if heard.event == event] == list(range(COUNT))
        numbers = [*last, *(heard.message for heard in late.told)]
        assert numbers == list(range(numbers[0], COUNT)) if numbers else False
        kill(there)
        await eventually(lambda: late.told[-1] == Told("down", events[0], "no connection"))


async def test_the_end_comes_behind_what_was_sent_before() -> None:
    """All that a process has sent reaches the other one; then comes its end (both on one link)."""

    class Talker(Actor):
        async def handle_message(self, sender: PID, message: Any) -> None:
            for i in range(COUNT):
                await self.process.send(sender, i)
            self.process.stop(BYE)
            await asyncio.sleep(60)

    class Listener(Watcher):
        async def handle_down(self, source: RelationTarget, reason: Error) -> None:
            self.told_at = len(self.told) + len(self.process.mailbox)

    async with over_sockets() as (here, there):
        for _ in range(5):
            it = Listener()
            it.process = here.spawn(it)
            talker = there.spawn(Talker())
            await it.monitor(talker.pid)
            await it.process.send(talker.pid, "go")
            await eventually(lambda it=it: hasattr(it, "told_at"))  # type: ignore[misc]
            assert it.told_at == COUNT


@sides
@pytest.mark.parametrize("how", ["parent", "child", "killed"])
async def test_a_spawned_process_and_its_parent(how: str, dialed: bool) -> None:
    async with over_sockets(dialed=dialed) as (here, there):
        it, name = watcher(here), Atom("echo_factory")
        options = RemoteProcessOptions(LinkParent=True, LinkChild=True)
        pids = [await here.core.remote.spawn(it.process, there.name, name, None, options) for _ in range(5)]
        children = [there.core.tables.processes[pid.id] for pid in pids]
        assert await it.process.call(pids[0], "hi") == "hi"
        reason = "no connection" if how == "killed" else "bye"
        match how:
            case "parent":
                it.process.stop(BYE)
            case "child":
                for child in children:
                    child.stop(BYE)
            case "killed":
                kill(there)
        await eventually(lambda: all(child.reason for child in children))
        assert {child.reason and child.reason.text for child in children} == {reason}
        if how != "parent":
            await told([it], Counter(repr(Told("exit", pid, reason)) for pid in pids))
            it.process.stop(BYE)
        await eventually(lambda: relations(here, there) == 0)


@sides
async def test_an_application_that_another_node_started(dialed: bool) -> None:
    async with over_sockets(dialed=dialed) as (here, there):
        remote, it = here.core.remote, watcher(here)
        await remote.start_application(there.name, Atom("test_app"), 3)
        application = there.core.applications.get("test_app")
        worker = there.core.tables.names[Atom("test_app_worker")]
        assert await it.process.call(worker.pid, "hi") == "hi"
        assert (
            await refused(remote.start_application(there.name, Atom("test_app"), 3)) == "application is still running"
        )
        await it.monitor(ProcessID(there.name, Atom("test_app_worker")))
        kill(there)
        await told([it], Counter([repr(Told("down", ProcessID(there.name, Atom("test_app_worker")), "no connection"))]))
        assert application.state is ApplicationState.RUNNING


@sides
async def test_a_killed_node_that_notified_first_and_last(dialed: bool) -> None:
    """The owner here hears that the last subscriber is gone with its node."""
    async with over_sockets(dialed=dialed) as (here, there):
        it = watcher(here)
        it.process.register_event("mine", buffer=1, notify=True)
        it.process.publish("mine", "first")
        event = Event(here.name, Atom("mine"))
        them = [watcher(there) for _ in range(3)]
        assert [[e.Message for e in await each.link(event)] for each in them] == [["first"]] * 3
        it.process.publish("mine", "second")
        await eventually(lambda: all(each.told == [Heard(event, "second")] for each in them))
        kill(there)
        await eventually(lambda: len(it.told) >= 2)
        await asyncio.sleep(0.05)
        assert [type(message).__name__ for message in it.told] == ["MessageEventStart", "MessageEventStop"]
