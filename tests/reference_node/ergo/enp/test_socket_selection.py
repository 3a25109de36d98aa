"""Which link of a connection carries what (ENP-ORD-1), and what changes when links come and go."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.model.ergo import error_values
from ergo_conformance.model.ergo.enp import Words
from ergo_conformance.peers.ergo.connection import PROCESS, Peer
from ergo_conformance.reference_node.api.messages import ProcessOptions
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.verdict.run.context import Context
from tests.support.nodes import context, node, settle


async def idle(process: Process) -> None:
    while True:
        await process.receive()


def senders(b: Node, count: int, **options: Any) -> list[Process]:
    """So many processes; the test speaks for them."""
    return [b.spawn(idle, options=ProcessOptions(**options)) for _ in range(count)]


async def connected(links: int = 3) -> tuple[Node, Peer, Context]:
    b = node()
    ctx = context(b)
    peer = await ctx.peer(sockets=links)
    await settle()
    return b, peer, ctx


async def add_socket(ctx: Context, peer: Peer) -> None:
    accept = peer.endpoints[0].target_accept
    assert accept is not None
    await ctx.add_socket(peer, accept.ID)
    await settle()


async def line_of(process: Process, peer: Peer) -> int:
    """The link over which the next message of a process comes."""
    await process.send(peer.pid(), process.pid.id)
    received = await peer.receive_message()
    assert received.value.payload == process.pid.id
    return received.socket


def by_number(process: Process, links: int) -> int:
    return process.pid.id % 255 % links


@pytest.mark.parametrize("links", [1, 2, 3, 4])
async def test_the_link_is_that_of_the_senders_number(links: int) -> None:
    b, peer, _ = await connected(links)
    for process in senders(b, 15):
        assert [await line_of(process, peer) for _ in range(3)] == [by_number(process, links)] * 3
    await b.stop()


async def test_all_that_a_sender_says_goes_over_its_link() -> None:
    b, peer, _ = await connected()
    process = senders(b, 1)[0]
    alias = process.create_alias()
    words: Words = alias.id
    work = [
        asyncio.ensure_future(process.call(peer.pid(300), "a call")),
        asyncio.ensure_future(process.send(peer.pid(301), "important", important=True)),
        asyncio.ensure_future(process.link(peer.pid(302))),
        asyncio.ensure_future(process.exit(peer.pid(303), error_values.KILL)),
    ]
    await settle()
    for to in (process.pid.id, words):  # ask the process, whose answer goes over its link, too
        peer.send(to, "ignored")
    received = [await peer.receive(1) for _ in work]
    assert {found.socket for found in received if found} == {by_number(process, 3)}
    assert len([found for found in received if found]) == 4
    for task in work:
        task.cancel()
    await b.stop()


@pytest.mark.parametrize("ordered", [True, False])
async def test_without_order_the_links_take_turns(ordered: bool) -> None:
    """So it is without keep_order, and for numbers that are 0 modulo 255 (ENP-ORD-5); none gets such a one by itself."""
    b, peer, _ = await connected()
    assert all(process.pid.id % 255 for process in senders(b, 300))
    process = b.core.spawner.spawn(idle, number=255 * 100) if ordered else senders(b, 1, keep_order=False)[0]
    lines = [await line_of(process, peer) for _ in range(9)]
    assert sorted(lines) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert lines[:3] == lines[3:6] == lines[6:]
    await b.stop()


async def test_who_has_sent_stays_on_its_link_when_others_join() -> None:
    b, peer, ctx = await connected(1)
    early, late = senders(b, 6), senders(b, 6)
    assert [await line_of(process, peer) for process in early] == [0] * 6
    for _ in range(2):
        await add_socket(ctx, peer)
    assert [await line_of(process, peer) for process in early] == [0] * 6
    assert [await line_of(process, peer) for process in late] == [by_number(process, 3) for process in late]
    await b.stop()


async def test_only_the_senders_of_a_lost_link_move() -> None:
    b, peer, ctx = await connected()
    all_ = senders(b, 9)
    before = [await line_of(process, peer) for process in all_]
    peer.sockets[1].abort()
    await settle()
    after = [await line_of(process, peer) for process in all_]
    assert {line for line, old in zip(after, before, strict=True) if old == 1} <= {0, 2}
    assert [line for line in after if line in before] == after
    for line, old in zip(after, before, strict=True):
        assert old in {1, line}
    await add_socket(ctx, peer)
    assert [await line_of(process, peer) for process in all_] == after
    await b.stop()


async def test_answers_go_over_the_link_of_who_answers() -> None:
    b, peer, _ = await connected()

    async def answers(process: Process) -> None:
        while True:
            call: Any = await process.receive()
            process.reply(call, "it")

    processes = [b.spawn(answers) for _ in range(6)]
    for process in processes:
        for asker in (PROCESS, 3, 255):
            words = peer.ask(process.pid.id, "?", sender=asker)
            received = await peer.answer(words, sender=asker)
            assert received.socket == by_number(process, 3)
    await b.stop()


async def test_acknowledgements_go_over_the_link_of_whom_the_message_was_for() -> None:
    b, peer, _ = await connected()
    for process in senders(b, 6):
        mid = peer.send_important(process.pid.id, "hi")
        received = await peer.wait_for(lambda frame, mid=mid: frame.ref[0] == mid, "an ack")  # type: ignore[misc]
        assert received.socket == by_number(process, 3)
    await b.stop()
