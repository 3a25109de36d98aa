"""Events: the buffer that a new subscriber gets, publication to subscribers, and the end of an event."""

from typing import Any

import pytest

from ergo_conformance.model.ergo import enp, error_values, gen
from ergo_conformance.model.ergo.enp import ORDER_MODULUS, Verb
from ergo_conformance.model.ergo.gen import MessageEvent
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom, Error, Event, Typed
from ergo_conformance.peers.ergo.agents import (
    ADDING_VERBS,
    REMOVING_VERBS,
    add_relation,
    crasher_pid,
    crasher_target,
    expect_end,
    expect_no_end,
    expect_one_end,
    is_message_of,
    publish,
    register_event,
    request_relation,
)
from ergo_conformance.testing import AGENTS, PROCESS, Context, Peer, case, set_up

BUFFER = 3
"""Buffer size of an event that pub registers on request."""
CACHED = {"atoms": ["crasher", "ev_cached"]}
"""Names that the announced atom cache must contain."""
OTHER = 2002
NANOSECONDS = 10**9
TEN_YEARS = 10 * 366 * 24 * 3600
verbs = pytest.mark.parametrize("verb", ADDING_VERBS, ids=lambda v: v.value.lower())


def kept(peer: Peer, value: Any) -> list[MessageEvent]:
    """Returns the messages in the Result of a link or monitor request for an event."""
    good = isinstance(value, Typed) and value.type == gen.EVENTS
    peer.check(good, show(value), "a slice of gen.MessageEvent")
    events: list[MessageEvent] = value.value or []
    return events


async def published(peer: Peer, event: Event, payload: Any) -> enp.EventFrame:
    """Returns the next frame of an event, which must have this payload."""
    frame: enp.EventFrame = (await peer.wait_for(is_message_of(event), f"a frame of {event.name}")).value
    peer.check(frame.payload == payload, frame, f"a frame of {event.name} with {show(payload)}")
    return frame


async def nothing_published(peer: Peer, event: Event, what: str) -> None:
    await peer.expect_none(is_message_of(event), what)


# --- the buffer for a new subscriber ----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 3, 5], ids=lambda n: f"{n}_published")
@verbs
@case("ENP-EVT-1", offers=AGENTS, agents=("pub",))
async def test_buffer(ergo_context: Context, verb: Verb, count: int) -> None:
    """The Result of a {verb.value} of an event with a buffer of 3 lists the last of {count} messages, oldest first."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    texts = [f"text {i}" for i in range(count)]
    for text in texts:
        await publish(peer, event, text)
    events = kept(peer, await add_relation(peer, verb, event))
    peer.check(all(each.Event == event for each in events), events, f"messages of {show(event)}")
    found = [each.Message for each in events]
    peer.check_equal(found, texts[-BUFFER:], "the last messages")


@case("ENP-EVT-1", offers=AGENTS, agents=("pub",), exclusive=True)
async def test_without_a_buffer(ergo_context: Context) -> None:
    """An event without a buffer gives a new subscriber no earlier messages and publishes to it later ones."""
    peer = await ergo_context.peer()
    event = Event(peer.target, Atom("ev_nobuf"))
    await publish(peer, event, "before")
    events = kept(peer, await add_relation(peer, Verb.MONITOR, event))
    peer.check(events == [], events, "no message")
    await publish(peer, event, "behind")
    await published(peer, event, "behind")


@case("ENP-EVT-1", offers=AGENTS, agents=("pub",), exclusive=True)
async def test_buffer_of_one(ergo_context: Context) -> None:
    """An event with a buffer of one message gives a new subscriber the last one."""
    peer = await ergo_context.peer()
    event = Event(peer.target, Atom("ev_cached"))
    for text in ("first", "last"):
        await publish(peer, event, text)
    found = [each.Message for each in kept(peer, await add_relation(peer, Verb.LINK, event))]
    peer.check_equal(found, ["last"], "the last message")


@case("ENP-EVT-1", "ENP-EVT-2", offers=AGENTS, agents=("pub",))
async def test_same_timestamps(ergo_context: Context) -> None:
    """Timestamps are Unix nanoseconds, never decrease, and are equal in a frame and in the event's buffer."""
    peer, late = await ergo_context.peer(), await ergo_context.peer()
    event = await register_event(peer)
    await add_relation(peer, Verb.MONITOR, event)
    for i in range(BUFFER):
        await publish(peer, event, f"text {i}")
    stamps = [(await published(peer, event, f"text {i}")).timestamp for i in range(BUFFER)]
    since = peer.introduce.Creation
    good = since * NANOSECONDS <= stamps[0] < (since + TEN_YEARS) * NANOSECONDS and stamps == sorted(stamps)
    peer.check(good, stamps, f"nanoseconds after the target's creation {since}, in order")
    found = [each.Timestamp for each in kept(late, await add_relation(late, Verb.MONITOR, event))]
    late.check_equal(found, stamps, "the timestamps")


@case("ENP-EVT-1", "ENP-EVT-2", offers=AGENTS, agents=("pub",))
async def test_counter(ergo_context: Context) -> None:
    """A target buffers and publishes numbers like texts."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    await add_relation(peer, Verb.LINK, event)
    counter = await peer.call("pub", f"publish:{event.name}")
    await published(peer, event, counter)
    late = await ergo_context.peer()
    found = [each.Message for each in kept(late, await add_relation(late, Verb.LINK, event))]
    late.check_equal(found, [counter], "the message")


# --- published messages -----------------------------------------------------------------------------------------------


@verbs
@case("ENP-EVT-2", "ENP-T-105", offers=AGENTS, agents=("pub",))
async def test_published(ergo_context: Context, verb: Verb) -> None:
    """A target sends each message to a subscriber with a {verb.value} in one frame with the number of the event's owner."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    await add_relation(peer, verb, event)
    ref = peer.ask("pub", f"publish:{event.name}:hello")
    frame = await published(peer, event, "hello")
    owner = (await peer.answer(ref)).value.from_id
    peer.check(frame.from_id == owner, frame, f"a frame from {owner}, the number that pub answers from")
    await nothing_published(peer, event, "second frame of the same message")


@case("ENP-ORD-2", offers=AGENTS, agents=("pub",))
async def test_order_byte(ergo_context: Context) -> None:
    """Upstream writes the publisher's number mod 255 as the order byte of a published message."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    await add_relation(peer, Verb.MONITOR, event)
    await publish(peer, event, "hello")
    with set_up("ENP-EVT-2"):
        frame = await published(peer, event, "hello")
    wanted = frame.from_id % ORDER_MODULUS
    peer.check(frame.order == wanted, frame, f"order byte {wanted}")


@case("ENP-EVT-2", offers=AGENTS, agents=("pub",))
async def test_one_frame_per_node(ergo_context: Context) -> None:
    """A target sends a message to a node once, however many of its processes subscribe to the event."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    for source in (PROCESS, OTHER, OTHER + 1):
        for verb in ADDING_VERBS:
            await add_relation(peer, verb, event, source)
    await publish(peer, event, "hello")
    await published(peer, event, "hello")
    await nothing_published(peer, event, "second frame of the same message")


@case("ENP-EVT-2", offers=AGENTS, agents=("pub",))
async def test_each_node(ergo_context: Context) -> None:
    """A target sends each message to all three subscribed nodes."""
    peers = [await ergo_context.peer() for _ in range(3)]
    event = await register_event(peers[0])
    for peer in peers:
        await add_relation(peer, Verb.MONITOR, event)
    await publish(peers[0], event, "hello")
    for peer in peers:
        await published(peer, event, "hello")


@case("ENP-EVT-2", "ENP-ORD-4", offers=AGENTS, agents=("pub",))
async def test_order(ergo_context: Context) -> None:
    """A target sends fifty messages of an event in the order in which they were published."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    await add_relation(peer, Verb.MONITOR, event)
    for i in range(50):
        peer.send("pub", f"publish:{event.name}:text {i}")
    frames = await peer.collect(50, is_message_of(event), f"frames of {event.name}")
    found = [frame.payload for frame in frames]
    peer.check_equal(found, [f"text {i}" for i in range(50)], "in order")


@case("ENP-T-106", offers=AGENTS, agents=("pub",), exclusive=True, config=CACHED)
async def test_cached_name(ergo_context: Context) -> None:
    """A target names an event whose name is in its announced atom cache by id or by text in its messages."""
    peer = await ergo_context.peer()
    atoms = (peer.introduce.AtomCache or {}).values()
    peer.check("ev_cached" in atoms, f"the atoms {sorted(atoms)}", "an atom cache with ev_cached, as configured")
    event = Event(peer.target, Atom("ev_cached"))
    await add_relation(peer, Verb.MONITOR, event)
    await publish(peer, event, "hello")
    await published(peer, event, "hello")


@case("ENP-T-186", "ENP-EVT-3", offers=AGENTS, agents=("pub",), exclusive=True, config=CACHED)
async def test_end_of_a_cached_name(ergo_context: Context) -> None:
    """A target reports the end of an event whose name is in its announced atom cache by id or by text."""
    peer = await ergo_context.peer()
    event = Event(peer.target, Atom("ev_cached"))
    await add_relation(peer, Verb.MONITOR, event)
    peer.check(await peer.call("pub", "unregister_event:ev_cached") is True, "not unregistered", "true")
    await expect_one_end(peer, event, error_values.UNREGISTERED)
    await peer.call("pub", "register_event:ev_cached")


# --- subscribers ------------------------------------------------------------------------------------------------------


@verbs
@case("ENP-EVT-5", "ENP-LINK-2", offers=AGENTS, agents=("pub",))
async def test_given_back(ergo_context: Context, verb: Verb) -> None:
    """A target sends neither messages nor the end of an event after its {verb.value} was removed."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    for step in (verb, REMOVING_VERBS[verb]):
        await add_relation(peer, step, event)
    await publish(peer, event, "hello")
    await nothing_published(peer, event, "frame of an event that is no longer monitored")
    await peer.call("pub", f"unregister_event:{event.name}")
    await expect_no_end(peer, event, "report of the end of an event that is no longer monitored")


@case("ENP-EVT-5", offers=AGENTS, agents=("pub",))
async def test_not_watched(ergo_context: Context) -> None:
    """A target sends messages of an event only to peers that subscribed to that event."""
    peer, other = await ergo_context.peer(), await ergo_context.peer()
    event, another = await register_event(peer), await register_event(peer)
    await add_relation(peer, Verb.MONITOR, event)
    await publish(peer, another, "hello")
    await publish(peer, event, "hello")
    await published(peer, event, "hello")
    await nothing_published(peer, another, "frame of an event that is not monitored")
    await nothing_published(other, event, "frame of an event that is not monitored")


@case("ENP-EVT-2", offers=AGENTS, agents=("pub",))
async def test_other_process_still_watches(ergo_context: Context) -> None:
    """A target sends messages while one process of the node still links or monitors the event."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    for verb, source in ((Verb.LINK, PROCESS), (Verb.MONITOR, PROCESS), (Verb.LINK, OTHER)):
        await add_relation(peer, verb, event, source)
    for verb, source in ((Verb.UNLINK, PROCESS), (Verb.UNLINK, OTHER)):
        await add_relation(peer, verb, event, source)
        await publish(peer, event, f"{source}")
        await published(peer, event, f"{source}")


@case("ENP-EVT-5", offers=AGENTS, agents=("pub",))
async def test_connection_lost(ergo_context: Context) -> None:
    """A target drops a node's subscriptions with its connection: after a reconnect under the same name it sends nothing."""
    first = await ergo_context.peer()
    event = await register_event(first)
    await add_relation(first, Verb.MONITOR, event)
    first.sockets[0].close()
    await first.expect_close()
    back = await ergo_context.peer(first.name)
    await publish(back, event, "hello")
    await nothing_published(back, event, "frame of an event that an earlier connection monitored")


# --- ends -------------------------------------------------------------------------------------------------------------


@verbs
@case("ENP-EVT-3", "ENP-T-185", "ENP-TERM-3", offers=AGENTS, agents=("pub",))
async def test_unregistered(ergo_context: Context, verb: Verb) -> None:
    """A target reports the end of an unregistered event after a {verb.value} once, with "unregistered"."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    await add_relation(peer, verb, event)
    peer.check(await peer.call("pub", f"unregister_event:{event.name}") is True, "not unregistered", "true")
    await expect_one_end(peer, event, error_values.UNREGISTERED)


@pytest.mark.parametrize("text", ["shutdown", "a custom reason"], ids=lambda text: text.split(" ")[0])
@case("ENP-EVT-3", "ENP-T-185", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_owner_ends(ergo_context: Context, text: str) -> None:
    """A target reports the end of an event whose owner terminates with the reason {text} with that reason."""
    peer = await ergo_context.peer()
    pid = await crasher_pid(peer)
    event = await crasher_target(peer, "Event", pid)
    for verb in ADDING_VERBS:
        await add_relation(peer, verb, event)
    peer.send(pid.id, text)
    await expect_one_end(peer, event, Error(text))


@case("ENP-EVT-3", "ENP-LINK-1", offers=AGENTS, agents=("pub",))
async def test_gone(ergo_context: Context) -> None:
    """A target answers a monitor request for an unregistered event with "unknown event"."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    await peer.call("pub", f"unregister_event:{event.name}")
    result = await request_relation(peer, Verb.MONITOR, event)
    good = result.Error is not None and result.Error.text == error_values.EVENT_UNKNOWN.text
    peer.check(good, result, f"a Result with {show(error_values.EVENT_UNKNOWN.text)}")


@case("ENP-EVT-5", "ENP-EVT-1", offers=AGENTS, agents=("pub",))
async def test_second_life(ergo_context: Context) -> None:
    """An event that is registered again starts with an empty buffer and without its earlier subscribers."""
    peer, late = await ergo_context.peer(), await ergo_context.peer()
    event = await register_event(peer)
    await publish(peer, event, "of the first")
    await add_relation(peer, Verb.MONITOR, event)
    await peer.call("pub", f"unregister_event:{event.name}")
    await expect_end(peer, event, error_values.UNREGISTERED)
    await peer.call("pub", f"register_event:{event.name}")
    events = kept(late, await add_relation(late, Verb.MONITOR, event))
    late.check(events == [], events, "no message")
    await publish(late, event, "of the second")
    await published(late, event, "of the second")
    await nothing_published(peer, event, "frame of an event that was monitored before it was unregistered")
