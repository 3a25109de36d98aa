"""The buffer of an event over its life, and subscribers of several nodes."""

from typing import Any

import pytest

from ergo_conformance.model.ergo import gen
from ergo_conformance.model.ergo.enp import Verb
from ergo_conformance.model.values import Event, Typed
from ergo_conformance.peers.ergo.agents import (
    ADDING_VERBS,
    REMOVING_VERBS,
    add_relation,
    is_message_of,
    publish,
    register_event,
    request_relation,
)
from ergo_conformance.testing import AGENTS, PROCESS, Context, Peer, case

BUFFER = 3
OTHER = 2002
verbs = pytest.mark.parametrize("verb", ADDING_VERBS, ids=lambda v: v.value.lower())


def texts(peer: Peer, value: Any) -> list[Any]:
    """Returns the messages in the Result of a request for an event."""
    good = isinstance(value, Typed) and value.type == gen.EVENTS
    peer.check(good, repr(value), "a slice of gen.MessageEvent")
    return [each.Message for each in value.value or ()]


async def subscribed(peer: Peer, event: Event, wanted: list[str], source: int = PROCESS) -> None:
    """Monitors an event; its Result must have these messages in this order."""
    found = texts(peer, await add_relation(peer, Verb.MONITOR, event, source))
    peer.check(found == wanted, found, f"the messages {wanted}")


async def expect_message(peer: Peer, event: Event, text: str) -> None:
    """The next frame of an event has this text."""
    frame: Any = (await peer.wait_for(is_message_of(event), f"a frame of {event.name}")).value
    peer.check(frame.payload == text, frame, f"a frame with {text!r}")


@pytest.mark.parametrize("count", [2, 3, 4, 7], ids=lambda n: f"{n}_published")
@case("ENP-EVT-1", offers=AGENTS, agents=("pub",))
async def test_limit(ergo_context: Context, count: int) -> None:
    """A buffer of three messages has the last of {count} messages, oldest first, for two subscribers one after another."""
    peer, late = await ergo_context.peer(), await ergo_context.peer()
    event = await register_event(peer)
    published = [f"text {i}" for i in range(count)]
    for text in published:
        await publish(peer, event, text)
    for each in (peer, late):
        await subscribed(each, event, published[-BUFFER:])


@case("ENP-EVT-1", offers=AGENTS, agents=("pub",))
async def test_second_subscription(ergo_context: Context) -> None:
    """A buffer is filled while nobody subscribes: a node that comes back gets the messages that it missed."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    await publish(peer, event, "one")
    await subscribed(peer, event, ["one"])
    await add_relation(peer, Verb.DEMONITOR, event)
    for text in ("two", "three", "four"):
        await publish(peer, event, text)
    await subscribed(peer, event, ["two", "three", "four"])


@case("ENP-EVT-1", "ENP-EVT-5", offers=AGENTS, agents=("pub",))
async def test_two_events(ergo_context: Context) -> None:
    """Each of two events of one owner has a buffer of its own."""
    peer = await ergo_context.peer()
    one, two = await register_event(peer), await register_event(peer)
    for event, text in ((one, "one"), (two, "two"), (one, "three"), (two, "four")):
        await publish(peer, event, text)
    await subscribed(peer, one, ["one", "three"])
    await subscribed(peer, two, ["two", "four"])


@case("ENP-EVT-1", offers=AGENTS, agents=("pub",))
async def test_second_process(ergo_context: Context) -> None:
    """A second process of a subscribed node gets the buffer with its own Result."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    await publish(peer, event, "one")
    await subscribed(peer, event, ["one"])
    await subscribed(peer, event, ["one"], OTHER)


@case("ENP-EVT-2", "ENP-EVT-5", offers=AGENTS, agents=("pub",))
async def test_other_node_lost(ergo_context: Context) -> None:
    """A node gets the messages of an event, once each, after another subscribed node was disconnected."""
    stays, leaves = await ergo_context.peer(), await ergo_context.peer()
    event = await register_event(stays)
    for peer in (leaves, stays):
        await subscribed(peer, event, [])
    leaves.sockets[0].close()
    await leaves.expect_close()
    await publish(stays, event, "hello")
    await expect_message(stays, event, "hello")
    await stays.expect_none(is_message_of(event), "second frame of the same message")


@verbs
@case("ENP-EVT-5", "ENP-LINK-2", offers=AGENTS, agents=("pub",))
async def test_requested_twice_removed_once(ergo_context: Context, verb: Verb) -> None:
    """A target has one subscription for a {verb.value} that was requested twice: one request removes it."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    await add_relation(peer, verb, event)
    await request_relation(peer, verb, event)  # with or without an error
    await add_relation(peer, REMOVING_VERBS[verb], event)
    await publish(peer, event, "hello")
    await peer.expect_none(is_message_of(event), "frame of an event that is no longer monitored")


@case("ENP-EVT-2", "ENP-EVT-5", offers=AGENTS, agents=("pub",))
async def test_subscribed_again(ergo_context: Context) -> None:
    """A node that subscribes again gets the further messages of the event."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    for i in range(3):
        await add_relation(peer, Verb.LINK, event)
        await publish(peer, event, f"text {i}")
        await expect_message(peer, event, f"text {i}")
        await add_relation(peer, Verb.UNLINK, event)
