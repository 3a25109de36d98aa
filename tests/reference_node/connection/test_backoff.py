"""Reconnect backoff for a peer that accepts a connection and closes it at once."""

import asyncio

import pytest

from ergo_conformance.model.ergo.ehs import Role
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api.messages import MessageOptions
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.connection.backoff import (
    FIRST_DELAY,
    MAX_DELAY,
    MIN_LIFETIME,
    ReconnectBackoff,
    next_delay,
)
from ergo_conformance.reference_node.node import Node
from tests.support.nodes import MemoryNetwork, settle

NAME = Atom("b@localhost")


def test_the_delay_doubles_up_to_its_maximum_and_success_resets_it() -> None:
    backoff, now, delays = ReconnectBackoff(), 100.0, []
    assert backoff.remaining(NAME, now) == 0
    for _ in range(10):
        backoff.failed(NAME, now)
        delays.append(backoff.remaining(NAME, now))
        assert backoff.remaining(NAME, now + delays[-1]) == 0
    assert delays == pytest.approx([min(FIRST_DELAY * 2**i, MAX_DELAY) for i in range(10)])
    assert backoff.remaining(Atom("other@localhost"), now) == 0
    backoff.succeeded(NAME)
    assert backoff.remaining(NAME, now) == 0
    backoff.failed(NAME, now)
    assert backoff.remaining(NAME, now) == pytest.approx(FIRST_DELAY)
    assert next_delay(0.0) == FIRST_DELAY


async def connect_and_disconnect(a: Node, b: Node, *, lifetime: float, by_dialer: bool = False) -> float:
    """Connects, waits for `lifetime`, disconnects on one side; returns the seconds that connecting took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await a.network.connection(b.name)
    waited = loop.time() - begun
    await asyncio.sleep(lifetime)
    (a if by_dialer else b).core.disconnect((b if by_dialer else a).name)
    await settle()
    return waited


@pytest.mark.parametrize(
    ("lifetime", "by_dialer", "delayed"),
    [(0.0, False, True), (MIN_LIFETIME / 2, False, True), (MIN_LIFETIME, False, False), (0.0, True, False)],
)
async def test_dialing_is_delayed_only_after_a_short_connection_that_the_peer_closed(
    lifetime: float, by_dialer: bool, delayed: bool
) -> None:
    net = MemoryNetwork()
    b, a = net.node("b@localhost"), net.node("a@localhost")
    waited = [await connect_and_disconnect(a, b, lifetime=lifetime, by_dialer=by_dialer) for _ in range(5)]
    wanted = [0.0, *(FIRST_DELAY * 2**i for i in range(4))] if delayed else [0.0] * 5
    assert waited == pytest.approx(wanted, abs=1e-3)
    await net.stop()


async def test_one_message_resets_the_backoff() -> None:
    net = MemoryNetwork()
    b, a = net.node("b@localhost"), net.node("a@localhost")
    loop = asyncio.get_running_loop()
    for _ in range(3):
        begun = loop.time()
        await a.network.connection(b.name)
        assert loop.time() - begun < 1e-3
        b.network.connections[a.name].send(b.core.pid, a.core.pid, MessageOptions(), "message")
        await settle()
        b.core.disconnect(a.name)
        await settle()
    await net.stop()


async def test_an_accepted_connection_ends_the_wait_for_the_backoff() -> None:
    net = MemoryNetwork()
    b, a = net.node("b@localhost"), net.node("a@localhost")
    b.network.add_route("^a@", NetworkRoute(host="127.0.0.1", port=2))
    for _ in range(8):
        await connect_and_disconnect(a, b, lifetime=0.0)
    waiting = asyncio.ensure_future(a.network.connection(b.name))
    await asyncio.sleep(1)
    assert not waiting.done()
    await b.network.connection(a.name)
    await waiting
    assert waiting.result() is a.network.connections[b.name]
    assert waiting.result().peer.role is Role.ACCEPTOR
    await net.stop()
