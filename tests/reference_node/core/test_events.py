"""Events: publishers, subscribers, order of messages, buffered messages, and the end of an event."""

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
from tests.support.consumers import Consumer, EventMessage, Termination, error_text, spawn_consumer
from tests.support.nodes import MemoryNetwork, settle

BYE = Error("bye")
EV = Atom("ev")
SIGNALS = {RelationKind.LINK: "exit", RelationKind.MONITOR: "down"}
kinds = pytest.mark.parametrize("kind", list(RelationKind), ids=lambda kind: kind.value)
local_and_remote = pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])


class EventScenario:
    """The owner of an event on `there`, and subscribers on `here` or on other nodes."""

    def __init__(self, net: MemoryNetwork, here: Node, there: Node) -> None:
        self.net, self.here, self.there = net, here, there
        self.owner = spawn_consumer(there)
        self.event = Event(there.name, EV)

    def register(self, **how: Any) -> None:
        self.owner.process.register_event(EV, **how)

    def publish(self, *messages: Any) -> None:
        for message in messages:
            self.owner.process.publish(EV, message)

    async def subscribe(
        self, kind: RelationKind = RelationKind.LINK, node: Node | None = None
    ) -> tuple[Consumer, list[Any]]:
        """Returns a new subscriber and the buffered messages that it received."""
        it = spawn_consumer(node or self.here)
        last = await (it.link(self.event) if kind is RelationKind.LINK else it.monitor(self.event))
        assert all(event[0] == self.event for event in last)
        return it, [event.Message for event in last]

    def messages(self, *messages: Any) -> list[Any]:
        return [EventMessage(self.event, message) for message in messages]


@asynccontextmanager
async def event_scenario(*, remote: bool = True, **options: Any) -> AsyncIterator[EventScenario]:
    net = MemoryNetwork()
    a, b, _ = await net.pair(**options)
    try:
        yield EventScenario(net, a, b if remote else a)
    finally:
        await net.stop()


def raised_text(work: Callable[[], Any]) -> str:
    with pytest.raises(ErgoError) as raised:
        work()
    return raised.value.error.text


async def unsubscribe(it: Consumer, kind: RelationKind, event: Event) -> None:
    await (it.process.unlink(event) if kind is RelationKind.LINK else it.process.demonitor(event))


# --- owners -----------------------------------------------------------------------------------------------------------


async def test_an_event_is_registered_once_and_only_its_owner_may_publish() -> None:
    async with event_scenario() as s:
        other = spawn_consumer(s.there).process
        mine = s.owner.process
        assert (
            raised_text(lambda: mine.publish(EV, 1))
            == raised_text(lambda: mine.unregister_event(EV))
            == "unknown event"
        )
        token = mine.register_event(EV)
        assert token.node == s.there.name
        for process in (mine, other):
            assert raised_text(lambda process=process: process.register_event(EV)) == "resource is taken"  # type: ignore[misc]
        assert other.register_event("other") != token
        assert (
            raised_text(lambda: other.publish(EV, 1))
            == raised_text(lambda: other.unregister_event(EV))
            == "not an owner"
        )
        mine.unregister_event(EV)
        assert raised_text(lambda: mine.unregister_event(EV)) == "unknown event"
        other.register_event(EV)
        assert raised_text(lambda: mine.publish(EV, 1)) == "not an owner"


@local_and_remote
@kinds
async def test_subscribers_are_notified_when_an_event_is_unregistered(kind: RelationKind, remote: bool) -> None:
    async with event_scenario(remote=remote) as s:
        s.register(buffer=2)
        it, _ = await s.subscribe(kind)
        s.publish("last words")
        await settle()
        s.owner.process.unregister_event(EV)
        await settle()
        assert it.take_received() == [*s.messages("last words"), Termination(SIGNALS[kind], s.event, "unregistered")]
        assert len(s.here.core.monitoring.relations) == len(s.there.core.monitoring.relations) == 0
        s.register(buffer=2)
        s.publish("a new life")
        await settle()
        assert it.received == []
        assert await it.monitor(s.event) == [MessageEvent(s.event, s.there.core.now(), "a new life")]


@local_and_remote
@kinds
@pytest.mark.parametrize("reason", [BYE, error_values.SHUTDOWN, error_values.PANIC], ids=lambda reason: reason.text)
async def test_an_event_ends_with_its_owner(kind: RelationKind, remote: bool, reason: Error) -> None:
    async with event_scenario(remote=remote) as s:
        s.register()
        it, _ = await s.subscribe(kind)
        s.owner.process.stop(reason)
        await settle()
        assert it.received == [Termination(SIGNALS[kind], s.event, reason.text)]
        assert EV not in s.there.core.events._events
        assert await error_text(it.link(s.event)) == "unknown event"


# --- subscribers ------------------------------------------------------------------------------------------------------


@local_and_remote
@kinds
@pytest.mark.parametrize(
    ("buffer", "published", "last"),
    [(0, 0, []), (0, 3, []), (1, 0, []), (1, 3, [2]), (3, 2, [0, 1]), (3, 3, [0, 1, 2]), (3, 10, [7, 8, 9])],
)
async def test_a_new_subscriber_gets_the_buffered_messages(
    kind: RelationKind, remote: bool, buffer: int, published: int, last: list[int]
) -> None:
    """Oldest first, and none of them a second time."""
    async with event_scenario(remote=remote) as s:
        s.register(buffer=buffer)
        s.publish(*range(published))
        it, got = await s.subscribe(kind)
        assert got == last
        await settle()
        assert it.received == []
        s.publish("next")
        await settle()
        assert it.received == s.messages("next")


@local_and_remote
async def test_buffered_messages_have_their_timestamps(remote: bool) -> None:
    async with event_scenario(remote=remote) as s:
        s.register(buffer=2)
        times = []
        for i in range(2):
            times.append(s.there.core.now())
            s.publish(i)
            await asyncio.sleep(1)
        last = await spawn_consumer(s.here).monitor(s.event)
        assert [(event.Timestamp, event.Message) for event in last] == [(times[0], 0), (times[1], 1)]


@local_and_remote
async def test_messages_arrive_in_the_order_of_publication(remote: bool) -> None:
    async with event_scenario(remote=remote) as s:
        s.register()
        consumers = [(await s.subscribe(kind))[0] for kind in (*RelationKind, *RelationKind)]
        s.publish(*range(500))
        await settle()
        assert all(it.received == s.messages(*range(500)) for it in consumers)


@local_and_remote
async def test_a_consumer_with_link_and_monitor_gets_each_message_once_and_both_notifications(remote: bool) -> None:
    async with event_scenario(remote=remote) as s:
        s.register()
        it, _ = await s.subscribe()
        await it.monitor(s.event)
        s.publish("once")
        await settle()
        s.owner.process.unregister_event(EV)
        await settle()
        assert it.received[:1] == s.messages("once")
        assert sorted(told.signal for told in it.received[1:]) == ["down", "exit"]


@kinds
async def test_each_node_gets_one_frame_for_all_its_subscribers(kind: RelationKind) -> None:
    async with event_scenario() as s:
        s.register()
        c = s.net.node("c@localhost")
        consumers = [(await s.subscribe(kind, node))[0] for node in (s.here, c, s.there) for _ in range(3)]
        connections = [s.there.network.connections[node.name] for node in (s.here, c)]
        before = [connection.node.info.messages_out for connection in connections]
        s.publish("to all")
        await settle()
        assert [connection.node.info.messages_out for connection in connections] == [count + 1 for count in before]
        assert all(it.received == s.messages("to all") for it in consumers)
        s.owner.process.unregister_event(EV)
        await settle()
        assert [connection.node.info.messages_out for connection in connections] == [count + 2 for count in before]
        assert all(it.received[1:] == [Termination(SIGNALS[kind], s.event, "unregistered")] for it in consumers)


@local_and_remote
@kinds
async def test_a_consumer_gets_no_message_after_it_unsubscribed(kind: RelationKind, remote: bool) -> None:
    async with event_scenario(remote=remote) as s:
        s.register()
        (it, _), (other, _) = await s.subscribe(kind), await s.subscribe(kind)
        await unsubscribe(it, kind, s.event)
        s.publish("to the other")
        await settle()
        assert it.received == []
        assert other.received == s.messages("to the other")
        await unsubscribe(other, kind, s.event)
        frames = [connection.node.info.messages_out for connection in s.there.network.connections.values()]
        s.publish("to nobody")
        await settle()
        assert frames == [connection.node.info.messages_out for connection in s.there.network.connections.values()]


@local_and_remote
async def test_a_subscription_during_publication_misses_and_repeats_no_message(remote: bool) -> None:
    """The buffered messages and the later ones are consecutive."""
    async with event_scenario(remote=remote) as s:
        s.register(buffer=10)

        async def publish_all() -> None:
            for i in range(300):
                s.publish(i)
                await asyncio.sleep(0)

        task = asyncio.ensure_future(publish_all())
        consumers = []
        for _ in range(20):
            await settle(7)
            consumers.append(await s.subscribe())
        await task
        await settle()
        for it, last in consumers:
            numbers = [*last, *(heard.message for heard in it.received)]
            assert len(last) == min(numbers[len(last)], 10)
            assert numbers == list(range(numbers[0], 300))


@local_and_remote
async def test_the_owner_may_subscribe_to_its_event(remote: bool) -> None:
    async with event_scenario(remote=remote) as s:
        s.register(notify=True)
        await s.owner.link(s.event)
        s.publish("to myself")
        await settle()
        assert s.owner.received == [gen.MessageEventStart(EV), *s.messages("to myself")]


@local_and_remote
@kinds
async def test_the_end_of_an_event_overtakes_published_messages(kind: RelationKind, remote: bool) -> None:
    """It has a higher priority; no message is lost."""
    async with event_scenario(remote=remote) as s:
        s.register()
        it, _ = await s.subscribe(kind)
        s.publish("last words")
        s.owner.process.unregister_event(EV)
        await settle()
        assert it.received == [Termination(SIGNALS[kind], s.event, "unregistered"), *s.messages("last words")]


# --- notifications of the owner ----------------------------------------------------------------------------------------

START, STOP = gen.MessageEventStart(EV), gen.MessageEventStop(EV)


@local_and_remote
@kinds
async def test_the_owner_is_notified_of_the_first_and_the_last_subscriber(kind: RelationKind, remote: bool) -> None:
    async with event_scenario(remote=remote) as s:
        s.register(notify=True)
        for _ in range(2):
            first, _ = await s.subscribe(kind)
            await settle()
            assert s.owner.take_received() == [START]
            second, _ = await s.subscribe(kind)
            await second.monitor(s.event) if kind is RelationKind.LINK else await second.link(s.event)
            await unsubscribe(first, kind, s.event)
            await unsubscribe(second, kind, s.event)
            await settle()
            assert s.owner.take_received() == []
            await unsubscribe(second, RelationKind.MONITOR if kind is RelationKind.LINK else RelationKind.LINK, s.event)
            await settle()
            assert s.owner.take_received() == [STOP]


async def test_an_owner_without_notify_is_not_notified() -> None:
    async with event_scenario() as s:
        s.register()
        it, _ = await s.subscribe()
        await unsubscribe(it, RelationKind.LINK, s.event)
        await settle()
        assert s.owner.received == []


@pytest.mark.parametrize("both", [False, True])
async def test_the_owner_is_notified_when_the_last_subscriber_ends(both: bool) -> None:
    async with event_scenario(remote=False) as s:
        s.register(notify=True)
        it, _ = await s.subscribe()
        if both:
            await it.monitor(s.event)
        it.process.stop(BYE)
        await settle()
        assert s.owner.received == [START, STOP]


@kinds
async def test_the_owner_is_notified_when_the_node_of_the_last_subscribers_is_lost(kind: RelationKind) -> None:
    async with event_scenario() as s:
        s.register(notify=True)
        for _ in range(3):
            await s.subscribe(kind)
        s.here.core.disconnect(s.there.name)
        await settle()
        assert s.owner.received == [START, STOP]


async def test_a_refused_subscription_is_not_counted() -> None:
    async with event_scenario() as s:
        s.register(notify=True)
        it, _ = await s.subscribe()
        assert await error_text(it.link(s.event)) == "target is already exist"
        await unsubscribe(it, RelationKind.LINK, s.event)
        await settle()
        assert s.owner.received == [START, STOP]


async def test_the_end_of_an_event_does_not_notify_the_owner() -> None:
    async with event_scenario() as s:
        s.register(notify=True)
        await s.subscribe()
        s.owner.process.unregister_event(EV)
        await settle()
        assert s.owner.received == [START]


@kinds
async def test_a_full_mailbox_drops_messages_but_not_the_end(kind: RelationKind) -> None:
    async with event_scenario(remote=False) as s:
        s.register()
        it = spawn_consumer(s.here, mailbox_size=2, trap_exit=True)
        await (it.link(s.event) if kind is RelationKind.LINK else it.monitor(s.event))
        s.publish(1, 2, 3)
        s.owner.process.stop(BYE)
        await settle()
        assert it.received == [*s.messages(1, 2), Termination(SIGNALS[kind], s.event, "bye")]
