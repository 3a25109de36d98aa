"""A peer that takes us and lets go at once: each further try to use it begins later."""

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


def test_pauses_grow_up_to_a_bound_and_begin_anew() -> None:
    pauses, now, seen = ReconnectBackoff(), 100.0, []
    assert pauses.remaining(NAME, now) == 0
    for _ in range(10):
        pauses.failed(NAME, now)
        seen.append(pauses.remaining(NAME, now))
        assert pauses.remaining(NAME, now + seen[-1]) == 0
    assert seen == pytest.approx([min(FIRST_DELAY * 2**i, MAX_DELAY) for i in range(10)])
    assert pauses.remaining(Atom("other@localhost"), now) == 0
    pauses.succeeded(NAME)
    assert pauses.remaining(NAME, now) == 0
    pauses.failed(NAME, now)
    assert pauses.remaining(NAME, now) == pytest.approx(FIRST_DELAY)
    assert next_delay(0.0) == FIRST_DELAY


async def tries(a: Node, b: Node, *, lives: float, ours: bool = False) -> float:
    """Seconds that it takes to be connected, for somebody who is dropped again after a while."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await a.network.connection(b.name)
    took = loop.time() - begun
    await asyncio.sleep(lives)
    (a if ours else b).core.disconnect((b if ours else a).name)
    await settle()
    return took


@pytest.mark.parametrize(
    ("lives", "ours", "grows"),
    [(0.0, False, True), (MIN_LIFETIME / 2, False, True), (MIN_LIFETIME, False, False), (0.0, True, False)],
)
async def test_only_who_is_let_go_at_once_waits(lives: float, ours: bool, grows: bool) -> None:
    net = MemoryNetwork()
    b, a = net.node("b@localhost"), net.node("a@localhost")
    took = [await tries(a, b, lives=lives, ours=ours) for _ in range(5)]
    wanted = [0.0, *(FIRST_DELAY * 2**i for i in range(4))] if grows else [0.0] * 5
    assert took == pytest.approx(wanted, abs=1e-3)
    await net.stop()


async def test_a_word_is_enough() -> None:
    net = MemoryNetwork()
    b, a = net.node("b@localhost"), net.node("a@localhost")
    loop = asyncio.get_running_loop()
    for _ in range(3):
        begun = loop.time()
        await a.network.connection(b.name)
        assert loop.time() - begun < 1e-3
        b.network.connections[a.name].send(b.core.pid, a.core.pid, MessageOptions(), "a word")
        await settle()
        b.core.disconnect(a.name)
        await settle()
    await net.stop()


async def test_who_is_dialed_meanwhile_need_not_wait() -> None:
    net = MemoryNetwork()
    b, a = net.node("b@localhost"), net.node("a@localhost")
    b.network.add_route("^a@", NetworkRoute(host="127.0.0.1", port=2))
    for _ in range(8):
        await tries(a, b, lives=0.0)
    waiting = asyncio.ensure_future(a.network.connection(b.name))
    await asyncio.sleep(1)
    assert not waiting.done()
    await b.network.connection(a.name)
    await waiting
    assert waiting.result() is a.network.connections[b.name]
    assert waiting.result().peer.role is Role.ACCEPTOR
    await net.stop()
