"""Links, monitors, events, spawns and applications of two nodes over TCP, one of which is killed."""

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
from ergo_conformance.reference_node.connection import socket_protocol
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from ergo_conformance.reference_node.target import config as settings
from tests.support.consumers import Consumer, EventMessage, Termination, error_text, idle, spawn_consumer
from tests.support.nodes import transport_of
from tests.support.settings import start_node
from tests.support.sockets import HOST, eventually, port, socket_count

pytestmark = pytest.mark.real_loop

BYE = Error("bye")
COUNT = 2_000
dialing_side = pytest.mark.parametrize("dialed", [False, True], ids=["here dials", "there dials"])


@asynccontextmanager
async def connected_nodes(*, dialed: bool = False) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes with agents and three sockets: the first has consumers, the second targets; `dialed`: the second dials."""
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


def kill(node: Node) -> None:
    """Closes the acceptors and resets every socket without a message, as the end of the program does."""
    for acceptor in node.network.acceptors:
        assert acceptor.server is not None
        acceptor.server.close()
    for connection in list(node.network.connections.values()):
        for sock in list(connection.sockets):
            transport_of(sock).abort()


def spawn_target(there: Node) -> tuple[Process, list[RelationTarget]]:
    """Spawns a process with a name, three aliases and three events; returns it and all its targets."""
    process = there.spawn(idle, name="it")
    found: list[RelationTarget] = [process.pid, ProcessID(there.name, Atom("it"))]
    for i in range(3):
        process.register_event(f"ev{i}")
        found += [process.create_alias(), Event(there.name, Atom(f"ev{i}"))]
    return process, found


async def spawn_consumers(here: Node, targets: list[RelationTarget], count: int = 3) -> list[Consumer]:
    """Spawns consumers that link and monitor every target."""
    consumers = [spawn_consumer(here) for _ in range(count)]
    await asyncio.gather(
        *(add_relation(target) for it in consumers for target in targets for add_relation in (it.link, it.monitor))
    )
    return consumers


def notifications(targets: list[RelationTarget], reason: str) -> Counter[str]:
    return Counter(repr(Termination(how, target, reason)) for target in targets for how in ("exit", "down"))


async def check_notifications(consumers: list[Consumer], wanted: Counter[str]) -> None:
    """Waits for the notifications of each consumer; none is missing, repeated or late."""
    await eventually(lambda: all(len(it.received) >= wanted.total() for it in consumers))
    await asyncio.sleep(0.05)
    for it in consumers:
        assert Counter(map(repr, it.received)) == wanted


def relation_count(*nodes_: Node) -> int:
    return sum(len(node.core.monitoring.relations) for node in nodes_)


@dialing_side
async def test_each_relation_is_notified_once_when_the_process_ends(dialed: bool) -> None:
    async with connected_nodes(dialed=dialed) as (here, there):
        process, targets = spawn_target(there)
        consumers = await spawn_consumers(here, targets)
        assert relation_count(there) == relation_count(here) == 3 * 2 * len(targets)
        process.stop(BYE)
        await check_notifications(consumers, notifications(targets, "bye"))
        assert relation_count(here, there) == 0


@pytest.mark.covers("Loss of a connection: MessageExitPID", "Loss of a connection: MessageDownPID")
@dialing_side
async def test_each_relation_is_notified_once_when_the_node_is_killed(dialed: bool) -> None:
    async with connected_nodes(dialed=dialed) as (here, there):
        process, targets = spawn_target(there)
        targets.append(there.name)
        consumers = await spawn_consumers(here, targets)
        consumers_there = await spawn_consumers(there, [consumers[0].process.pid])
        kill(there)
        await check_notifications(consumers, notifications(targets, "no connection"))
        await check_notifications(consumers_there, notifications([consumers[0].process.pid], "no connection"))
        assert relation_count(here, there) == 0
        assert not here.network.connections
        process.stop(BYE)
        await asyncio.sleep(0.05)
        assert len(consumers[0].received) == 2 * len(targets)


@dialing_side
async def test_the_loss_of_two_sockets_ends_no_relation(dialed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the three sockets is left. A socket that ends soon after it joined would count as a refused Join."""
    monkeypatch.setattr(socket_protocol, "REFUSED_WITHIN", 0.0)
    async with connected_nodes(dialed=dialed) as (here, there):
        process, targets = spawn_target(there)
        consumers = await spawn_consumers(here, targets)
        for sock in there.network.connections[here.name].sockets[:2]:
            transport_of(sock).abort()
        await eventually(lambda: socket_count(here, there) == socket_count(there, here) == 3)
        assert not any(it.received for it in consumers)
        process.stop(BYE)
        await check_notifications(consumers, notifications(targets, "bye"))


@pytest.mark.covers("Loss of a connection: MessageExitPID")
@dialing_side
async def test_a_linked_process_that_does_not_trap_exits_ends_with_the_node(dialed: bool) -> None:
    async with connected_nodes(dialed=dialed) as (here, there):
        _, targets = spawn_target(there)
        consumers = [spawn_consumer(here, trap_exit=False) for _ in range(2)]
        await consumers[0].link(there.name)
        await consumers[1].link(targets[0])
        kill(there)
        await eventually(lambda: all(it.process.reason for it in consumers))
        assert {it.process.reason and it.process.reason.text for it in consumers} == {"no connection"}


@dialing_side
async def test_relations_requested_while_the_node_is_killed_fail_or_are_notified(dialed: bool) -> None:
    """Each request returns or fails, and each established relation is notified."""
    async with connected_nodes(dialed=dialed) as (here, there):
        _, targets = spawn_target(there)
        consumers = [spawn_consumer(here) for _ in range(50)]
        outcomes: Counter[int] = Counter()

        async def link_targets(i: int, it: Consumer) -> None:
            for target in targets[:2]:
                try:
                    await it.link(target)
                except Exception:  # noqa: BLE001  it was killed before, or cannot be dialed any more
                    break
                outcomes[i] += 1
                await asyncio.sleep(0)

        tasks = [asyncio.ensure_future(link_targets(i, it)) for i, it in enumerate(consumers)]
        await asyncio.sleep(0)
        kill(there)
        await asyncio.gather(*tasks)
        await eventually(lambda: all(len(it.received) >= outcomes[i] for i, it in enumerate(consumers)))
        await asyncio.sleep(0.05)
        assert [len(it.received) for it in consumers] == [outcomes[i] for i in range(len(consumers))]
        assert relation_count(here) == 0


@dialing_side
async def test_events_arrive_complete_and_in_order(dialed: bool) -> None:
    """For each of several publishers."""
    async with connected_nodes(dialed=dialed) as (here, there):
        publishers = [spawn_consumer(there).process for _ in range(4)]
        events = [Event(there.name, Atom(f"ev{i}")) for i in range(4)]
        for process, event in zip(publishers, events, strict=True):
            process.register_event(event.name, buffer=5)
        consumers = [spawn_consumer(here) for _ in range(3)]
        for it in consumers:
            for event in events:
                await it.link(event)

        async def publish_all(process: Process, event: Event) -> None:
            for i in range(COUNT):
                process.publish(event.name, i)
                if not i % 50:
                    await asyncio.sleep(0)

        tasks = [asyncio.ensure_future(publish_all(*pair)) for pair in zip(publishers, events, strict=True)]
        late = spawn_consumer(here)
        last = [event.Message for event in await late.monitor(events[0])]
        await asyncio.gather(*tasks)
        await eventually(lambda: all(len(it.received) == 4 * COUNT for it in consumers))
        for it in consumers:
            for event in events:
                assert [heard.message for heard in it.received if heard.event == event] == list(range(COUNT))
        numbers = [*last, *(heard.message for heard in late.received)]
        assert numbers == list(range(numbers[0], COUNT)) if numbers else False
        kill(there)
        await eventually(lambda: late.received[-1] == Termination("down", events[0], "no connection"))


async def test_the_end_of_a_process_arrives_after_its_messages() -> None:
    """All messages of a process arrive before its end, over the same socket."""

    class Talker(Actor):
        async def handle_message(self, sender: PID, message: Any) -> None:
            for i in range(COUNT):
                await self.process.send(sender, i)
            self.process.stop(BYE)
            await asyncio.sleep(60)

    class Listener(Consumer):
        async def handle_down(self, source: RelationTarget, reason: Error) -> None:
            self.told_at = len(self.received) + len(self.process.mailbox)

    async with connected_nodes() as (here, there):
        for _ in range(5):
            it = Listener()
            it.process = here.spawn(it)
            talker = there.spawn(Talker())
            await it.monitor(talker.pid)
            await it.process.send(talker.pid, "go")
            await eventually(lambda it=it: hasattr(it, "told_at"))  # type: ignore[misc]
            assert it.told_at == COUNT


@dialing_side
@pytest.mark.parametrize("how", ["parent", "child", "killed"])
async def test_linked_parent_and_child_end_together(how: str, dialed: bool) -> None:
    async with connected_nodes(dialed=dialed) as (here, there):
        it, name = spawn_consumer(here), Atom("echo_factory")
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
            await check_notifications([it], Counter(repr(Termination("exit", pid, reason)) for pid in pids))
            it.process.stop(BYE)
        await eventually(lambda: relation_count(here, there) == 0)


@dialing_side
async def test_an_application_outlives_the_connection_of_the_node_that_started_it(dialed: bool) -> None:
    async with connected_nodes(dialed=dialed) as (here, there):
        remote, it = here.core.remote, spawn_consumer(here)
        await remote.start_application(there.name, Atom("test_app"), 3)
        application = there.core.applications.get("test_app")
        worker = there.core.tables.names[Atom("test_app_worker")]
        assert await it.process.call(worker.pid, "hi") == "hi"
        assert (
            await error_text(remote.start_application(there.name, Atom("test_app"), 3))
            == "application is still running"
        )
        await it.monitor(ProcessID(there.name, Atom("test_app_worker")))
        kill(there)
        await check_notifications(
            [it], Counter([repr(Termination("down", ProcessID(there.name, Atom("test_app_worker")), "no connection"))])
        )
        assert application.state is ApplicationState.RUNNING


@dialing_side
async def test_the_owner_is_notified_when_the_node_of_its_subscribers_is_killed(dialed: bool) -> None:
    """The owner is notified that the last subscriber is lost with its node."""
    async with connected_nodes(dialed=dialed) as (here, there):
        it = spawn_consumer(here)
        it.process.register_event("mine", buffer=1, notify=True)
        it.process.publish("mine", "first")
        event = Event(here.name, Atom("mine"))
        consumers = [spawn_consumer(there) for _ in range(3)]
        assert [[e.Message for e in await each.link(event)] for each in consumers] == [["first"]] * 3
        it.process.publish("mine", "second")
        await eventually(lambda: all(each.received == [EventMessage(event, "second")] for each in consumers))
        kill(there)
        await eventually(lambda: len(it.received) >= 2)
        await asyncio.sleep(0.05)
        assert [type(message).__name__ for message in it.received] == ["MessageEventStart", "MessageEventStop"]
