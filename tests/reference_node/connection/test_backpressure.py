"""Peers that read slowly or not at all: senders wait, queues are bounded, links that stand still are closed."""

import asyncio
import tracemalloc
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.peers.ergo.connection import Peer
from ergo_conformance.peers.ergo.handshake import TargetInfo
from ergo_conformance.reference_node.connection import outbox
from ergo_conformance.reference_node.connection.socket_protocol import SocketProtocol
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from ergo_conformance.targets.self_node import OFFERS
from ergo_conformance.targets.tcp import TcpRunningTarget
from ergo_conformance.verdict.run.context import Context
from tests.support.nodes import context, node, settle, transport_of
from tests.support.settings import start_node
from tests.support.sockets import HOST, eventually

KILOBYTE = 1024


class Jam:
    """What is below a link of the node, from now on with a queue that the test empties, or not."""

    def __init__(self, link: SocketProtocol, high: int) -> None:
        self.link, self.below, self.high = link, transport_of(link), high
        self.held = bytearray()
        self.writes = 0
        self.paused = False
        link._transport = link._outbox._transport = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.held += data
        if not self.paused and len(self.held) > self.high:
            self.paused = True
            self.link.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.held)

    def take(self, size: int) -> None:
        """The peer reads so many bytes."""
        self.below.write(bytes(self.held[:size]))
        del self.held[:size]
        if self.paused and len(self.held) <= self.high // 4:
            self.paused = False
            self.link.resume_writing()


async def jammed(links: int = 1) -> tuple[Node, Peer, list[Jam]]:
    b = node()
    Supervisor(b.core, LEVEL_1)
    peer = await context(b).peer(sockets=links)
    await settle()
    jams = [Jam(link, outbox.HIGH_WATER) for link in b.network.connections[peer.name].sockets]  # type: ignore[arg-type]
    return b, peer, jams


async def pouring(process: Process, peer: Peer, sent: list[int], size: int = KILOBYTE) -> None:
    """Sends without end, and notes how many times it has."""
    while True:
        await process.send(peer.pid(), bytes(size))
        sent[0] += 1


async def test_what_is_written_in_one_turn_goes_out_together() -> None:
    b, peer, [jam] = await jammed()
    processes = [b.spawn(pouring, peer, [0]) for _ in range(3)]
    for process in processes:
        process.stop()
    for turns in (1, 2):
        for i in range(100):
            connection = b.network.connections[peer.name]
            connection.send(processes[0].pid, peer.pid(), processes[0].reply_options, i)
        assert jam.writes == turns - 1
        await settle()
        assert jam.writes == turns
    jam.take(len(jam.held))
    assert [(await peer.receive_message()).value.payload for _ in range(200)] == [*range(100)] * 2
    await b.stop()


async def test_senders_wait_when_much_is_queued_and_go_on_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "HIGH_WATER", 50 * KILOBYTE)
    b, peer, [jam] = await jammed()
    sent = [0]
    process = b.spawn(pouring, peer, sent)
    await settle(500)
    before = sent[0]
    assert 45 <= before <= 55
    await asyncio.sleep(10)
    assert sent[0] == before
    jam.take(10 * KILOBYTE)  # not enough
    await settle(500)
    assert sent[0] == before
    jam.take(len(jam.held))
    await settle(500)
    assert before + 45 <= sent[0] <= before + 55
    process.stop()
    await b.stop()


async def test_all_senders_of_a_link_wait_and_those_of_another_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "HIGH_WATER", 50 * KILOBYTE)
    b, peer, jams = await jammed(links=2)
    counts: list[list[int]] = [[0] for _ in range(6)]
    processes = [b.spawn(pouring, peer, count) for count in counts]
    for _ in range(50):
        await settle()
        jams[1].take(len(jams[1].held))
    sums = [0, 0]
    for process, [count] in zip(processes, counts, strict=True):
        sums[process.pid.id % 255 % 2] += count
    assert sums[0] < 60
    assert sums[1] > 1000
    await b.stop()


async def test_who_waits_for_a_link_that_goes_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "HIGH_WATER", 50 * KILOBYTE)
    b, peer, _ = await jammed()
    processes = [b.spawn(pouring, peer, [0]) for _ in range(3)]
    await settle(500)
    peer.sockets[0].abort()
    await asyncio.gather(*(process.join() for process in processes))
    assert {process.reason.text for process in processes if process.reason} == {"no route"}
    await b.stop()


# --- bounds -----------------------------------------------------------------------------------------------------------


def flood(peer: Peer, number: int, size: int = KILOBYTE) -> None:
    """Questions whose answers nobody reads."""
    data = b"".join(peer.data_of(peer.request("echo", bytes(size), peer.new_ref())) for _ in range(number))
    peer.send_bytes(data, f"{number} questions")


async def test_a_peer_that_does_not_read_its_answers_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers can't wait: they are queued up to a bound, and then the link goes."""
    monkeypatch.setattr(enp, "MAX_QUEUED", 100 * KILOBYTE)
    b, peer, [jam] = await jammed()
    other = await context(b, 2).peer()
    for _ in range(15):
        flood(peer, 10)
        await settle()
    assert not b.network.connections.get(peer.name)
    assert 100 * KILOBYTE < len(jam.held) < 115 * KILOBYTE
    await other.check_alive()
    assert list(b.network.connections) == [other.name]
    await b.stop()


async def test_memory_is_bounded_whatever_a_peer_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enp, "MAX_QUEUED", 1 << 20)
    b, peer, _ = await jammed()
    data = b"".join(peer.data_of(peer.request("echo", bytes(KILOBYTE), peer.new_ref())) for _ in range(100))
    link = b.network.connections[peer.name].sockets[0]
    assert isinstance(link, SocketProtocol)
    tracemalloc.start()
    for _ in range(100):  # ten megabytes of answers
        link.data_received(data)
        await settle(10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not b.network.connections
    assert peak < 4 << 20
    await b.stop()


async def test_a_peer_that_stands_still_is_cut_off() -> None:
    b, peer, [jam] = await jammed()
    loop = asyncio.get_running_loop()
    b.spawn(pouring, peer, [0], 100 * KILOBYTE // 2)
    await settle(500)
    assert jam.paused
    for _ in range(5):  # a slow one is left alone
        await asyncio.sleep(enp.STALL_TIMEOUT - 1)
        jam.take(1)
    await settle()
    assert b.network.connections[peer.name].sockets
    begun = loop.time()
    while b.network.connections:
        await asyncio.sleep(0.5)
    assert enp.STALL_TIMEOUT - 2 <= loop.time() - begun <= 2 * enp.STALL_TIMEOUT
    await b.stop()


async def test_a_peer_that_catches_up_is_left_alone() -> None:
    b, peer, [jam] = await jammed()
    process = b.spawn(pouring, peer, [0], 50 * KILOBYTE)
    await settle(500)
    process.stop()
    jam.take(len(jam.held))
    await asyncio.sleep(10 * enp.STALL_TIMEOUT)
    assert b.network.connections[peer.name].sockets
    await b.stop()


# --- over sockets -----------------------------------------------------------------------------------------------------


@pytest.mark.real_loop
async def test_over_a_socket_nothing_is_lost_and_little_is_held() -> None:
    """Twenty megabytes for a peer that begins to read late: the sender waits, and all arrives in order."""
    number, size = 400, 50 * KILOBYTE

    async def sends(process: Process, peer: Peer, sent: list[int]) -> None:
        for i in range(number):
            await process.send(peer.pid(), [i, bytes(size)])
            sent[0] += 1

    b = await start_node("b@localhost", cookie="secret", acceptors=(AcceptorOptions(host=HOST, port=0),))
    facts, port = TargetInfo(b.name, b.network.cookie), b.network.acceptors[0].port
    running = TcpRunningTarget(facts, tls=False, offers=OFFERS, host=HOST, port=port)
    peer = await Context(running, context(b).rng).peer()
    await eventually(lambda: peer.name in b.network.connections)
    peer.sockets[0].stop_reading()
    sent = [0]
    tracemalloc.start()
    process = b.spawn(sends, peer, sent)
    while not b.network.connections[peer.name].sockets[0].is_congested:
        await asyncio.sleep(0)
    await settle()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sent[0] < number // 2
    assert peak < 4 * outbox.HIGH_WATER
    transport_ = peer.sockets[0].transport
    assert transport_ is not None
    transport_.resume_reading()
    found = [(await peer.receive_message()).value.payload[0] for _ in range(number)]
    assert found == list(range(number))

    await process.join()
    peer.sockets[0].close()
    await b.stop()
