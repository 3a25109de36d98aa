"""Selection of a connection's socket for each sender (ENP-ORD-1), also when sockets join and close."""

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


def spawn_senders(b: Node, count: int, **options: Any) -> list[Process]:
    """Spawns idle processes; the test sends in their name."""
    return [b.spawn(idle, options=ProcessOptions(**options)) for _ in range(count)]


async def connected_peer(sockets: int = 3) -> tuple[Node, Peer, Context]:
    b = node()
    ctx = context(b)
    peer = await ctx.peer(sockets=sockets)
    await settle()
    return b, peer, ctx


async def add_socket(ctx: Context, peer: Peer) -> None:
    accept = peer.endpoints[0].target_accept
    assert accept is not None
    await ctx.add_socket(peer, accept.ID)
    await settle()


async def socket_of(process: Process, peer: Peer) -> int:
    """Sends a message from a process; returns the number of the socket on which the peer receives it."""
    await process.send(peer.pid(), process.pid.id)
    received = await peer.receive_message()
    assert received.value.payload == process.pid.id
    return received.socket


def expected_socket(process: Process, sockets: int) -> int:
    return process.pid.id % 255 % sockets


@pytest.mark.parametrize("sockets", [1, 2, 3, 4])
async def test_the_number_of_the_sender_selects_the_socket(sockets: int) -> None:
    b, peer, _ = await connected_peer(sockets)
    for process in spawn_senders(b, 15):
        assert [await socket_of(process, peer) for _ in range(3)] == [expected_socket(process, sockets)] * 3
    await b.stop()


async def test_all_frames_of_a_sender_use_its_socket() -> None:
    b, peer, _ = await connected_peer()
    process = spawn_senders(b, 1)[0]
    alias = process.create_alias()
    words: Words = alias.id
    work = [
        asyncio.ensure_future(process.call(peer.pid(300), "a call")),
        asyncio.ensure_future(process.send(peer.pid(301), "important", important=True)),
        asyncio.ensure_future(process.link(peer.pid(302))),
        asyncio.ensure_future(process.exit(peer.pid(303), error_values.KILL)),
    ]
    await settle()
    for to in (process.pid.id, words):  # the process ignores both
        peer.send(to, "ignored")
    received = [await peer.receive(1) for _ in work]
    assert {found.socket for found in received if found} == {expected_socket(process, 3)}
    assert len([found for found in received if found]) == 4
    for task in work:
        task.cancel()
    await b.stop()


@pytest.mark.parametrize("ordered", [True, False])
async def test_messages_without_order_use_the_sockets_in_turn(ordered: bool) -> None:
    """Without keep_order, and for numbers divisible by 255 (ENP-ORD-5), which the node does not assign."""
    b, peer, _ = await connected_peer()
    assert all(process.pid.id % 255 for process in spawn_senders(b, 300))
    process = b.core.spawner.spawn(idle, number=255 * 100) if ordered else spawn_senders(b, 1, keep_order=False)[0]
    numbers = [await socket_of(process, peer) for _ in range(9)]
    assert sorted(numbers) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert numbers[:3] == numbers[3:6] == numbers[6:]
    await b.stop()


async def test_a_sender_keeps_its_socket_when_others_join() -> None:
    b, peer, ctx = await connected_peer(1)
    early_senders, late_senders = spawn_senders(b, 6), spawn_senders(b, 6)
    assert [await socket_of(process, peer) for process in early_senders] == [0] * 6
    for _ in range(2):
        await add_socket(ctx, peer)
    assert [await socket_of(process, peer) for process in early_senders] == [0] * 6
    assert [await socket_of(process, peer) for process in late_senders] == [
        expected_socket(process, 3) for process in late_senders
    ]
    await b.stop()


async def test_only_the_senders_of_a_lost_socket_move() -> None:
    b, peer, ctx = await connected_peer()
    all_ = spawn_senders(b, 9)
    before = [await socket_of(process, peer) for process in all_]
    peer.sockets[1].abort()
    await settle()
    after = [await socket_of(process, peer) for process in all_]
    assert {number for number, old in zip(after, before, strict=True) if old == 1} <= {0, 2}
    assert [number for number in after if number in before] == after
    for number, old in zip(after, before, strict=True):
        assert old in {1, number}
    await add_socket(ctx, peer)
    assert [await socket_of(process, peer) for process in all_] == after
    await b.stop()


async def test_answers_use_the_socket_of_the_answering_process() -> None:
    b, peer, _ = await connected_peer()

    async def answer_calls(process: Process) -> None:
        while True:
            call: Any = await process.receive()
            process.reply(call, "it")

    processes = [b.spawn(answer_calls) for _ in range(6)]
    for process in processes:
        for asker in (PROCESS, 3, 255):
            words = peer.ask(process.pid.id, "?", sender=asker)
            received = await peer.answer(words, sender=asker)
            assert received.socket == expected_socket(process, 3)
    await b.stop()


async def test_acknowledgements_use_the_socket_of_the_receiver() -> None:
    b, peer, _ = await connected_peer()
    for process in spawn_senders(b, 6):
        mid = peer.send_important(process.pid.id, "hi")
        received = await peer.wait_for(lambda frame, mid=mid: frame.ref[0] == mid, "an ack")  # type: ignore[misc]
        assert received.socket == expected_socket(process, 3)
    await b.stop()
