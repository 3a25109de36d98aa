"""Events with notification: their owner is notified of the first and of the last subscriber."""

import asyncio

import pytest

from ergo_conformance.model.ergo.enp import Verb
from ergo_conformance.model.values import Atom, Event
from ergo_conformance.peers.ergo.agents import ADDING_VERBS, REMOVING_VERBS, add_relation, poll_until, register_event
from ergo_conformance.testing import AGENTS, PROCESS, Context, Peer, case, set_up

OTHER = 2002
"""Number of a second process of the tester."""
verbs = pytest.mark.parametrize("verb", ADDING_VERBS, ids=lambda v: v.value.lower())
NOTIFIED = Atom("ev_notify")
NOTICED = 1.0
"""Seconds within which a target notices the end of a socket that it has closed, too."""


async def counts(peer: Peer) -> tuple[int, int]:
    """Returns how often `pub` was notified of a first subscriber and of the loss of the last one."""
    starts, stops = await peer.call("pub", "starts"), await peer.call("pub", "stops")
    return starts, stops


async def counted(peer: Peer, before: tuple[int, int], starts: int, stops: int) -> None:
    """Checks that the counts rise by exactly these numbers, now or soon."""
    wanted = before[0] + starts, before[1] + stops
    legal = f"starts and stops of pub {wanted}"
    await poll_until(peer, lambda: counts(peer), lambda found: found == wanted, legal)
    await peer.check_alive()
    found = await counts(peer)
    peer.check(found == wanted, found, legal)


@verbs
@case("ENP-EVT-4", offers=AGENTS, agents=("pub",), exclusive=True)
async def test_first_and_last(ergo_context: Context, verb: Verb) -> None:
    """A target notifies the owner of the first {verb.value} and of the end of the last one, and of no other."""
    peer = await ergo_context.peer()
    event = Event(peer.target, NOTIFIED)
    before = await counts(peer)
    for step, source, change in (
        (verb, PROCESS, (1, 0)),
        (verb, OTHER, (1, 0)),
        (REMOVING_VERBS[verb], PROCESS, (1, 0)),
        (REMOVING_VERBS[verb], OTHER, (1, 1)),
        (verb, PROCESS, (2, 1)),
        (REMOVING_VERBS[verb], PROCESS, (2, 2)),
    ):
        await add_relation(peer, step, event, source)
        await counted(peer, before, *change)


@case("ENP-EVT-4", offers=AGENTS, agents=("pub",), exclusive=True)
async def test_two_nodes(ergo_context: Context) -> None:
    """A target counts the subscribers of two nodes together and notifies the owner when both are gone."""
    one, two = await ergo_context.peer(), await ergo_context.peer()
    event = Event(one.target, NOTIFIED)
    before = await counts(one)
    for peer, step, change in (
        (one, Verb.MONITOR, (1, 0)),
        (two, Verb.LINK, (1, 0)),
        (one, Verb.DEMONITOR, (1, 0)),
        (two, Verb.UNLINK, (1, 1)),
    ):
        await add_relation(peer, step, event)
        await counted(one, before, *change)


@case("ENP-EVT-7", offers=AGENTS, agents=("pub",), exclusive=True)
async def test_last_one_is_lost(ergo_context: Context) -> None:
    """Upstream does not notify the owner when the last subscriber is lost with its connection."""
    one, two = await ergo_context.peer(), await ergo_context.peer()
    event = Event(one.target, NOTIFIED)
    before = await counts(one)
    await add_relation(two, Verb.LINK, event)
    two.sockets[0].close()
    with set_up("ENP-DOWN-1"):
        await two.expect_close()
    await asyncio.sleep(NOTICED)
    starts, stops = await counts(one)
    found = starts - before[0], stops - before[1]
    one.check(found == (1, 0), f"{found[0]} starts and {found[1]} stops", "1 start and no stop")


@case("ENP-EVT-4", offers=AGENTS, agents=("pub",), exclusive=True)
async def test_no_notification(ergo_context: Context) -> None:
    """A target does not notify the owner of an event without notification."""
    peer = await ergo_context.peer()
    event = await register_event(peer)
    before = await counts(peer)
    await add_relation(peer, Verb.MONITOR, event)
    await add_relation(peer, Verb.DEMONITOR, event)
    await counted(peer, before, 0, 0)
