"""Events: who publishes, who hears of it and in which order, what latecomers get, and how an event ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model.ergo import error_values, gen
from ergo_conformance.model.ergo.gen import MessageEvent
from ergo_conformance.model.values import Atom, Error, Event
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.relations import RelationKind
from ergo_conformance.reference_node.node import Node
from tests.support.nodes import MemoryNetwork, settle
from tests.support.watchers import Heard, Told, Watcher, refused, watcher

BYE = Error("bye")
EV = Atom("ev")
HOW = {RelationKind.LINK: "exit", RelationKind.MONITOR: "down"}
kinds = pytest.mark.parametrize("kind", list(RelationKind), ids=lambda kind: kind.value)
places = pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])


class Scene:
    """An owner with its event on one node, subscribers there or on others."""

    def __init__(self, net: MemoryNetwork, here: Node, there: Node) -> None:
        self.net, self.here, self.there = net, here, there
        self.owner = watcher(there)
        self.event = Event(there.name, EV)

    def register(self, **how: Any) -> None:
        self.owner.process.register_event(EV, **how)

    def publish(self, *messages: Any) -> None:
        for message in messages:
            self.owner.process.publish(EV, message)

    async def subscribed(
        self, kind: RelationKind = RelationKind.LINK, node: Node | None = None
    ) -> tuple[Watcher, list[Any]]:
        """A new subscriber, and the messages it got for a start."""
        it = watcher(node or self.here)
        last = await (it.link(self.event) if kind is RelationKind.LINK else it.monitor(self.event))
        assert all(event[0] == self.event for event in last)
        return it, [event.Message for event in last]

    def heard(self, *messages: Any) -> list[Any]:
        return [Heard(self.event, message) for message in messages]


@asynccontextmanager
async def scenario(*, remote: bool = True, **options: Any) -> AsyncIterator[Scene]:
    net = MemoryNetwork()
    a, b, _ = await net.pair(**options)
    try:
        yield Scene(net, a, b if remote else a)
    finally:
        await net.stop()


def fails(work: Callable[[], Any]) -> str:
    with pytest.raises(ErgoError) as raised:
        work()
    return raised.value.error.text


async def leave(it: Watcher, kind: RelationKind, event: Event) -> None:
    await (it.process.unlink(event) if kind is RelationKind.LINK else it.process.demonitor(event))


# --- owners -----------------------------------------------------------------------------------------------------------


async def test_a_name_is_registered_once_and_used_by_its_owner_alone() -> None:
    async with scenario() as s:
        other = watcher(s.there).process
        mine = s.owner.process
        assert fails(lambda: mine.publish(EV, 1)) == fails(lambda: mine.unregister_event(EV)) == "unknown event"
        token = mine.register_event(EV)
        assert token.node == s.there.name
        for process in (mine, other):
            assert fails(lambda process=process: process.register_event(EV)) == "resource is taken"  # type: ignore[misc]
        assert other.register_event("other") != token
        assert fails(lambda: other.publish(EV, 1)) == fails(lambda: other.unregister_event(EV)) == "not an owner"
        mine.unregister_event(EV)
        assert fails(lambda: mine.unregister_event(EV)) == "unknown event"
        other.register_event(EV)
        assert fails(lambda: mine.publish(EV, 1)) == "not an owner"


@places
@kinds
async def test_an_event_that_is_unregistered(kind: RelationKind, remote: bool) -> None:
    async with scenario(remote=remote) as s:
        s.register(buffer=2)
        it, _ = await s.subscribed(kind)
        s.publish("last words")
        await settle()
        s.owner.process.unregister_event(EV)
        await settle()
        assert it.take() == [*s.heard("last words"), Told(HOW[kind], s.event, "unregistered")]
        assert len(s.here.core.monitoring.relations) == len(s.there.core.monitoring.relations) == 0
        s.register(buffer=2)
        s.publish("a new life")
        await settle()
        assert it.told == []
        assert await it.monitor(s.event) == [MessageEvent(s.event, s.there.core.now(), "a new life")]


@places
@kinds
@pytest.mark.parametrize("reason", [BYE, error_values.SHUTDOWN, error_values.PANIC], ids=lambda reason: reason.text)
async def test_an_event_ends_with_its_owner(kind: RelationKind, remote: bool, reason: Error) -> None:
    async with scenario(remote=remote) as s:
        s.register()
        it, _ = await s.subscribed(kind)
        s.owner.process.stop(reason)
        await settle()
        assert it.told == [Told(HOW[kind], s.event, reason.text)]
        assert EV not in s.there.core.events._events
        assert await refused(it.link(s.event)) == "unknown event"


# --- subscribers ------------------------------------------------------------------------------------------------------


@places
@kinds
@pytest.mark.parametrize(
    ("buffer", "published", "last"),
    [(0, 0, []), (0, 3, []), (1, 0, []), (1, 3, [2]), (3, 2, [0, 1]), (3, 3, [0, 1, 2]), (3, 10, [7, 8, 9])],
)
async def test_a_latecomer_gets_the_last_messages(
    kind: RelationKind, remote: bool, buffer: int, published: int, last: list[int]
) -> None:
    """Oldest first, and none of them a second time."""
    async with scenario(remote=remote) as s:
        s.register(buffer=buffer)
        s.publish(*range(published))
        it, got = await s.subscribed(kind)
        assert got == last
        await settle()
        assert it.told == []
        s.publish("next")
        await settle()
        assert it.told == s.heard("next")


@places
async def test_the_last_messages_have_their_times(remote: bool) -> None:
    async with scenario(remote=remote) as s:
        s.register(buffer=2)
        times = []
        for i in range(2):
            times.append(s.there.core.now())
            s.publish(i)
            await asyncio.sleep(1)
        last = await watcher(s.here).monitor(s.event)
        assert [(event.Timestamp, event.Message) for event in last] == [(times[0], 0), (times[1], 1)]


@places
async def test_messages_come_in_the_order_in_which_they_are_published(remote: bool) -> None:
    async with scenario(remote=remote) as s:
        s.register()
        them = [(await s.subscribed(kind))[0] for kind in (*RelationKind, *RelationKind)]
        s.publish(*range(500))
        await settle()
        assert all(it.told == s.heard(*range(500)) for it in them)


@places
async def test_who_is_linked_and_monitors_hears_it_once_and_of_the_end_twice(remote: bool) -> None:
    async with scenario(remote=remote) as s:
        s.register()
        it, _ = await s.subscribed()
        await it.monitor(s.event)
        s.publish("once")
        await settle()
        s.owner.process.unregister_event(EV)
        await settle()
        assert it.told[:1] == s.heard("once")
        assert sorted(told.how for told in it.told[1:]) == ["down", "exit"]


@kinds
async def test_each_node_gets_one_frame_for_all_its_subscribers(kind: RelationKind) -> None:
    async with scenario() as s:
        s.register()
        c = s.net.node("c@localhost")
        them = [(await s.subscribed(kind, node))[0] for node in (s.here, c, s.there) for _ in range(3)]
        connections = [s.there.network.connections[node.name] for node in (s.here, c)]
        before = [connection.node.info.messages_out for connection in connections]
        s.publish("to all")
        await settle()
        assert [connection.node.info.messages_out for connection in connections] == [count + 1 for count in before]
        assert all(it.told == s.heard("to all") for it in them)
        s.owner.process.unregister_event(EV)
        await settle()
        assert [connection.node.info.messages_out for connection in connections] == [count + 2 for count in before]
        assert all(it.told[1:] == [Told(HOW[kind], s.event, "unregistered")] for it in them)


@places
@kinds
async def test_who_has_left_hears_nothing_more(kind: RelationKind, remote: bool) -> None:
    async with scenario(remote=remote) as s:
        s.register()
        (it, _), (other, _) = await s.subscribed(kind), await s.subscribed(kind)
        await leave(it, kind, s.event)
        s.publish("to the other")
        await settle()
        assert it.told == []
        assert other.told == s.heard("to the other")
        await leave(other, kind, s.event)
        frames = [connection.node.info.messages_out for connection in s.there.network.connections.values()]
        s.publish("to nobody")
        await settle()
        assert frames == [connection.node.info.messages_out for connection in s.there.network.connections.values()]


@places
async def test_nothing_is_missed_and_nothing_comes_twice_while_one_subscribes(remote: bool) -> None:
    """What came for a start and what came later is one unbroken row."""
    async with scenario(remote=remote) as s:
        s.register(buffer=10)

        async def publishes() -> None:
            for i in range(300):
                s.publish(i)
                await asyncio.sleep(0)

        task = asyncio.ensure_future(publishes())
        them = []
        for _ in range(20):
            await settle(7)
            them.append(await s.subscribed())
        await task
        await settle()
        for it, last in them:
            numbers = [*last, *(heard.message for heard in it.told)]
            assert len(last) == min(numbers[len(last)], 10)
            assert numbers == list(range(numbers[0], 300))


@places
async def test_the_owner_may_be_among_its_subscribers(remote: bool) -> None:
    async with scenario(remote=remote) as s:
        s.register(notify=True)
        await s.owner.link(s.event)
        s.publish("to myself")
        await settle()
        assert s.owner.told == [gen.MessageEventStart(EV), *s.heard("to myself")]


@places
@kinds
async def test_the_end_overtakes_what_was_published(kind: RelationKind, remote: bool) -> None:
    """It goes with a higher priority; nothing is lost."""
    async with scenario(remote=remote) as s:
        s.register()
        it, _ = await s.subscribed(kind)
        s.publish("last words")
        s.owner.process.unregister_event(EV)
        await settle()
        assert it.told == [Told(HOW[kind], s.event, "unregistered"), *s.heard("last words")]


# --- the first and the last -------------------------------------------------------------------------------------------

START, STOP = gen.MessageEventStart(EV), gen.MessageEventStop(EV)


@places
@kinds
async def test_the_owner_hears_of_the_first_and_of_the_last_subscriber(kind: RelationKind, remote: bool) -> None:
    async with scenario(remote=remote) as s:
        s.register(notify=True)
        for _ in range(2):
            first, _ = await s.subscribed(kind)
            await settle()
            assert s.owner.take() == [START]
            second, _ = await s.subscribed(kind)
            await second.monitor(s.event) if kind is RelationKind.LINK else await second.link(s.event)
            await leave(first, kind, s.event)
            await leave(second, kind, s.event)
            await settle()
            assert s.owner.take() == []
            await leave(second, RelationKind.MONITOR if kind is RelationKind.LINK else RelationKind.LINK, s.event)
            await settle()
            assert s.owner.take() == [STOP]


async def test_an_owner_that_did_not_ask_hears_of_nobody() -> None:
    async with scenario() as s:
        s.register()
        it, _ = await s.subscribed()
        await leave(it, RelationKind.LINK, s.event)
        await settle()
        assert s.owner.told == []


@pytest.mark.parametrize("both", [False, True])
async def test_the_last_subscriber_may_leave_by_its_end(both: bool) -> None:
    async with scenario(remote=False) as s:
        s.register(notify=True)
        it, _ = await s.subscribed()
        if both:
            await it.monitor(s.event)
        it.process.stop(BYE)
        await settle()
        assert s.owner.told == [START, STOP]


@kinds
async def test_the_last_subscribers_may_leave_with_their_node(kind: RelationKind) -> None:
    async with scenario() as s:
        s.register(notify=True)
        for _ in range(3):
            await s.subscribed(kind)
        s.here.core.disconnect(s.there.name)
        await settle()
        assert s.owner.told == [START, STOP]


async def test_a_refused_subscriber_is_none() -> None:
    async with scenario() as s:
        s.register(notify=True)
        it, _ = await s.subscribed()
        assert await refused(it.link(s.event)) == "target is already exist"
        await leave(it, RelationKind.LINK, s.event)
        await settle()
        assert s.owner.told == [START, STOP]


async def test_the_end_of_an_event_is_no_last_subscriber() -> None:
    async with scenario() as s:
        s.register(notify=True)
        await s.subscribed()
        s.owner.process.unregister_event(EV)
        await settle()
        assert s.owner.told == [START]


@kinds
async def test_a_full_mailbox_loses_messages_but_not_the_end(kind: RelationKind) -> None:
    async with scenario(remote=False) as s:
        s.register()
        it = watcher(s.here, mailbox_size=2, trap_exit=True)
        await (it.link(s.event) if kind is RelationKind.LINK else it.monitor(s.event))
        s.publish(1, 2, 3)
        s.owner.process.stop(BYE)
        await settle()
        assert it.told == [*s.heard(1, 2), Told(HOW[kind], s.event, "bye")]
