"""Events on the wire, checked with the schemas: sent frames, Results with buffered messages, received frames."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import agent_types, enp, gen
from ergo_conformance.model.ergo.caches import NO_CACHES, Caches
from ergo_conformance.model.ergo.enp import Algorithm, Priority, Verb
from ergo_conformance.model.ergo.gen import MessageEvent
from ergo_conformance.model.types import Slice
from ergo_conformance.model.values import Atom, Error, Event, Typed
from ergo_conformance.peers.corruption.frames import relation_request
from ergo_conformance.peers.ergo.connection import PROCESS, Peer
from ergo_conformance.reference_node.api.messages import Compression
from ergo_conformance.reference_node.api.relations import RelationKind
from ergo_conformance.reference_node.node import Node
from tests.support.consumers import Consumer, EventMessage, error_text, spawn_consumer
from tests.support.nodes import context, node, settle

EV = Atom("ev")
VALUES: list[Any] = [
    1, "text", True, b"\x00", Atom("atom"), ["a", None], {"k": 1}, Typed(t.INT64, 5), agent_types.Small(1, "s"), None,
    Error("an error"), Typed(Slice(t.STRING), ["x"]),
]  # fmt: skip
verbs = pytest.mark.parametrize("verb", [Verb.LINK, Verb.MONITOR], ids=lambda verb: verb.value.lower())


@asynccontextmanager
async def connected_peer(**options: Any) -> AsyncIterator[tuple[Node, Consumer, Peer]]:
    b = node(**options)
    owner = spawn_consumer(b)
    peer = await context(b).peer()
    await settle()
    try:
        yield b, owner, peer
    finally:
        await b.stop()


async def subscribe(peer: Peer, verb: Verb = Verb.LINK, name: Atom = EV, sender: int = PROCESS) -> enp.Result:
    message = relation_request(peer, verb, "Event", Event(peer.target, name))._replace(Source=peer.pid(sender))
    peer.send_frame(enp.Control(0, message))
    return await peer.result(message.Ref)


async def next_frame(peer: Peer) -> Any:
    received = await peer.receive(5)
    assert received is not None
    return received


# --- sent -------------------------------------------------------------------------------------------------------------


@verbs
@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("priority", list(Priority))
@pytest.mark.parametrize("keep_order", [True, False])
async def test_a_published_message_is_one_frame_per_node(
    verb: Verb, cached: bool, priority: Priority, keep_order: bool
) -> None:
    """One frame for all subscribers of the peer, with the publisher's number (ENP-EVT-2)."""
    async with connected_peer(atoms=(EV,) if cached else ()) as (b, owner, peer):
        owner.process.register_event(EV)
        for sender in range(PROCESS, PROCESS + 3):
            assert (await subscribe(peer, verb, sender=sender)).Error is None
        options = owner.process.message_options(priority, important=None)._replace(keep_order=keep_order)
        now = b.core.now()
        b.core.events.publish(owner.process, EV, "hi", options)
        value = (await next_frame(peer)).value
        id_ = owner.process.pid.id
        assert type(value) is (enp.EventCacheFrame if cached else enp.EventFrame)
        assert value == (id_ % 255 if keep_order else 0, id_, priority, now, EV, "hi")
        assert await peer.receive(5) is None


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_a_long_message_is_compressed_with_the_publishers_algorithm(algorithm: Algorithm) -> None:
    async with connected_peer() as (b, owner, peer):
        owner.process.register_event(EV)
        await subscribe(peer)
        for text, packed in (("short", False), ("x" * 5000, True)):
            options = owner.process.reply_options._replace(compression=Compression(algorithm))
            b.core.events.publish(owner.process, EV, text, options)
            received = await next_frame(peer)
            assert received.value.payload == text
            assert (received.outer is not None) == packed
            assert not packed or received.outer.algorithm == algorithm


@verbs
@pytest.mark.parametrize("count", [0, 1, 3])
async def test_the_result_has_the_buffered_messages(verb: Verb, count: int) -> None:
    """Oldest first; nil without messages (ENP-EVT-1)."""
    async with connected_peer() as (b, owner, peer):
        owner.process.register_event(EV, buffer=3)
        for i in range(count):
            owner.process.publish(EV, i)
        result = await subscribe(peer, verb)
        assert result.Error is None
        event = Event(b.name, EV)
        assert result.Result == Typed(gen.EVENTS, [(event, b.core.now(), i) for i in range(count)] or None)
        again = await subscribe(peer, verb)
        assert (again.Error, again.Result) == (None, result.Result)
        unknown = await subscribe(peer, verb, Atom("nothing"))
        assert unknown.Error is not None
        assert (unknown.Error.text, unknown.Result) == ("unknown event", Typed(gen.EVENTS, None))


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_any_value_is_buffered_for_new_subscribers(value: Any) -> None:
    async with connected_peer() as (_, owner, peer):
        owner.process.register_event(EV, buffer=1)
        owner.process.publish(EV, value)
        result = await subscribe(peer)
        assert [event.Message for event in result.Result.value] == [value]


async def test_a_message_without_an_encoding_is_not_sent_to_peers() -> None:
    """A subscription is refused while it is buffered (ENP-ANY-1: it gets one Result)."""
    async with connected_peer() as (b, owner, peer):
        owner.process.register_event(EV, buffer=1)
        local = spawn_consumer(b)
        await local.link(Event(b.name, EV))
        owner.process.publish(EV, object)
        result = await subscribe(peer)
        assert result.Error is not None
        assert result.Result == Typed(gen.EVENTS, None)
        owner.process.publish(EV, "good")
        assert await peer.receive(5) is None
        assert [heard.message for heard in local.received] == [object, "good"]
        assert (await subscribe(peer)).Error is None
        owner.process.publish(EV, object)
        owner.process.publish(EV, "again")
        assert (await next_frame(peer)).value.payload == "again"


async def test_a_message_does_not_overtake_the_result() -> None:
    """Both use the publisher's socket: a subscriber misses no later message."""
    async with connected_peer() as (b, _, _):
        peer = await context(b, 3).peer("wide@localhost", sockets=3)
        for i in range(6):
            it = spawn_consumer(b)
            it.process.register_event(f"ev{i}")
            message = relation_request(peer, Verb.LINK, "Event", Event(b.name, Atom(f"ev{i}")))
            peer.send_frame(enp.Control(0, message), i % 3)
            await settle()
            it.process.publish(f"ev{i}", "first")
            received = [await next_frame(peer) for _ in range(2)]
            assert {type(received.value) for received in received} == {enp.Control, enp.EventFrame}
            assert len({received.socket for received in received}) == 1


# --- received ---------------------------------------------------------------------------------------------------------


async def subscribe_to_peer(b: Node, peer: Peer, result: Any = None) -> tuple[Consumer, asyncio.Future[Any]]:
    """Subscribes a consumer of the node to an event of the peer, which sends this Result."""
    it = spawn_consumer(b)
    event = Event(peer.name, EV)
    task = asyncio.ensure_future(b.core.monitoring.request(RelationKind.LINK, it.process, event))
    request = (await peer.wait_for(lambda f: isinstance(f, enp.Control), "a request")).value.message
    peer.send_frame(enp.Control(0, enp.Result(None, result, request.Ref)))
    return it, task


@pytest.mark.parametrize(
    "result", [None, Typed(gen.EVENTS, None), Typed(gen.EVENTS, [])], ids=["nil", "typed nil", "empty"]
)
async def test_a_result_without_messages_subscribes(result: Any) -> None:
    async with connected_peer() as (b, _, peer):
        _, task = await subscribe_to_peer(b, peer, result)
        assert await task == []
        assert len(b.core.monitoring.relations) == 1


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_the_messages_of_a_result_are_returned(value: Any) -> None:
    async with connected_peer() as (b, _, peer):
        events = [MessageEvent(Event(peer.name, EV), 17, value), MessageEvent(Event(peer.name, EV), 18, "last")]
        _, task = await subscribe_to_peer(b, peer, Typed(gen.EVENTS, events))
        assert await task == events


@pytest.mark.parametrize("result", [1, "text", [], ["a"], Typed(Slice(t.STRING), ["x"]), Atom("ev")], ids=repr)
async def test_a_result_of_another_type_is_malformed(result: Any) -> None:
    """The consumer is not subscribed."""
    async with connected_peer() as (b, _, peer):
        _, task = await subscribe_to_peer(b, peer, result)
        assert await error_text(task) == "malformed value"
        assert len(b.core.monitoring.relations) == 0


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("priority", [0, 1, 2, 3, 0x80, 0xFF])
async def test_a_frame_reaches_each_subscriber_once(cached: bool, priority: int) -> None:
    b = node()
    peer = await context(b).peer(caches=Caches(atoms={400: EV}) if cached else NO_CACHES)
    it, task = await subscribe_to_peer(b, peer)
    await task
    event = Event(peer.name, EV)
    other = spawn_consumer(b)
    for kind in RelationKind:
        b.core.monitoring.relations.add(kind, event, other.process.pid)
    cls = enp.EventCacheFrame if cached else enp.EventFrame
    for i, value in enumerate(VALUES):
        peer.send_frame(cls(0, 9, priority, i, EV, value))
    peer.send_frame(enp.EventFrame(0, 9, priority, 1, Atom("another"), "not for us"))
    await settle()
    assert [heard.message for heard in it.received] == [heard.message for heard in other.received] == VALUES
    assert {heard.event for heard in it.received} == {event}
    await b.stop()


async def test_an_event_frame_without_subscribers_is_ignored() -> None:
    async with connected_peer() as (b, owner, peer):
        owner.process.register_event(EV)
        it = spawn_consumer(b)
        await it.link(Event(b.name, EV))
        peer.send_frame(enp.EventFrame(0, 9, 0, 1, EV, "of the peer's own event of that name"))
        await settle()
        assert it.received == []
        owner.process.publish(EV, "ours")
        await settle()
        assert it.received == [EventMessage(Event(b.name, EV), "ours")]
