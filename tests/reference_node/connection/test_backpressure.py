"""Peers that read slowly or not at all: senders wait, queues are bounded, stalled sockets are closed."""

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


class StalledTransport:
    """Transport of a node's socket that queues the written bytes until the test drains them."""

    def __init__(self, sock: SocketProtocol, high: int) -> None:
        self.sock, self.below, self.high = sock, transport_of(sock), high
        self.held = bytearray()
        self.writes = 0
        self.paused = False
        sock._transport = sock._outbox._transport = self  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)

    def write(self, data: bytes) -> None:
        self.writes += 1
        self.held += data
        if not self.paused and len(self.held) > self.high:
            self.paused = True
            self.sock.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.held)

    def drain_bytes(self, size: int) -> None:
        """Passes `size` bytes to the peer."""
        self.below.write(bytes(self.held[:size]))
        del self.held[:size]
        if self.paused and len(self.held) <= self.high // 4:
            self.paused = False
            self.sock.resume_writing()


async def stalled_connection(sockets: int = 1) -> tuple[Node, Peer, list[StalledTransport]]:
    b = node()
    Supervisor(b.core, LEVEL_1)
    peer = await context(b).peer(sockets=sockets)
    await settle()
    transports = [StalledTransport(sock, outbox.HIGH_WATER) for sock in b.network.connections[peer.name].sockets]  # type: ignore[arg-type]
    return b, peer, transports


async def send_forever(process: Process, peer: Peer, sent: list[int], size: int = KILOBYTE) -> None:
    """Sends until it is stopped; `sent[0]` counts the messages."""
    while True:
        await process.send(peer.pid(), bytes(size))
        sent[0] += 1


async def test_frames_of_one_loop_iteration_are_written_at_once() -> None:
    b, peer, [transport] = await stalled_connection()
    processes = [b.spawn(send_forever, peer, [0]) for _ in range(3)]
    for process in processes:
        process.stop()
    for turns in (1, 2):
        for i in range(100):
            connection = b.network.connections[peer.name]
            connection.send(processes[0].pid, peer.pid(), processes[0].reply_options, i)
        assert transport.writes == turns - 1
        await settle()
        assert transport.writes == turns
    transport.drain_bytes(len(transport.held))
    assert [(await peer.receive_message()).value.payload for _ in range(200)] == [*range(100)] * 2
    await b.stop()


async def test_senders_wait_above_the_high_water_mark_until_the_queue_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "HIGH_WATER", 50 * KILOBYTE)
    b, peer, [transport] = await stalled_connection()
    sent = [0]
    process = b.spawn(send_forever, peer, sent)
    await settle(500)
    before = sent[0]
    assert 45 <= before <= 55
    await asyncio.sleep(10)
    assert sent[0] == before
    transport.drain_bytes(10 * KILOBYTE)  # not enough
    await settle(500)
    assert sent[0] == before
    transport.drain_bytes(len(transport.held))
    await settle(500)
    assert before + 45 <= sent[0] <= before + 55
    process.stop()
    await b.stop()


async def test_a_stalled_socket_delays_only_its_own_senders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "HIGH_WATER", 50 * KILOBYTE)
    b, peer, transports = await stalled_connection(sockets=2)
    counts: list[list[int]] = [[0] for _ in range(6)]
    processes = [b.spawn(send_forever, peer, count) for count in counts]
    for _ in range(50):
        await settle()
        transports[1].drain_bytes(len(transports[1].held))
    sums = [0, 0]
    for process, [count] in zip(processes, counts, strict=True):
        sums[process.pid.id % 255 % 2] += count
    assert sums[0] < 60
    assert sums[1] > 1000
    await b.stop()


async def test_waiting_senders_get_no_route_when_the_socket_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "HIGH_WATER", 50 * KILOBYTE)
    b, peer, _ = await stalled_connection()
    processes = [b.spawn(send_forever, peer, [0]) for _ in range(3)]
    await settle(500)
    peer.sockets[0].abort()
    await asyncio.gather(*(process.join() for process in processes))
    assert {process.reason.text for process in processes if process.reason} == {"no route"}
    await b.stop()


# --- bounds -----------------------------------------------------------------------------------------------------------


def send_calls(peer: Peer, number: int, size: int = KILOBYTE) -> None:
    """Sends calls whose answers the peer does not read."""
    data = b"".join(peer.data_of(peer.request("echo", bytes(size), peer.new_ref())) for _ in range(number))
    peer.send_bytes(data, f"{number} calls")


async def test_a_peer_that_does_not_read_its_answers_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers are queued up to a bound; beyond it the socket is closed."""
    monkeypatch.setattr(enp, "MAX_QUEUED", 100 * KILOBYTE)
    b, peer, [transport] = await stalled_connection()
    other = await context(b, 2).peer()
    for _ in range(15):
        send_calls(peer, 10)
        await settle()
    assert not b.network.connections.get(peer.name)
    assert 100 * KILOBYTE < len(transport.held) < 115 * KILOBYTE
    await other.check_alive()
    assert list(b.network.connections) == [other.name]
    await b.stop()


async def test_queued_answers_use_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enp, "MAX_QUEUED", 1 << 20)
    b, peer, _ = await stalled_connection()
    data = b"".join(peer.data_of(peer.request("echo", bytes(KILOBYTE), peer.new_ref())) for _ in range(100))
    sock = b.network.connections[peer.name].sockets[0]
    assert isinstance(sock, SocketProtocol)
    tracemalloc.start()
    for _ in range(100):  # ten megabytes of answers
        sock.data_received(data)
        await settle(10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not b.network.connections
    assert peak < 4 << 20
    await b.stop()


async def test_a_stalled_peer_is_disconnected_after_the_stall_timeout() -> None:
    b, peer, [transport] = await stalled_connection()
    loop = asyncio.get_running_loop()
    b.spawn(send_forever, peer, [0], 100 * KILOBYTE // 2)
    await settle(500)
    assert transport.paused
    for _ in range(5):  # a slow peer stays connected
        await asyncio.sleep(enp.STALL_TIMEOUT - 1)
        transport.drain_bytes(1)
    await settle()
    assert b.network.connections[peer.name].sockets
    begun = loop.time()
    while b.network.connections:
        await asyncio.sleep(0.5)
    assert enp.STALL_TIMEOUT - 2 <= loop.time() - begun <= 2 * enp.STALL_TIMEOUT
    await b.stop()


async def test_a_peer_that_drains_its_queue_stays_connected() -> None:
    b, peer, [transport] = await stalled_connection()
    process = b.spawn(send_forever, peer, [0], 50 * KILOBYTE)
    await settle(500)
    process.stop()
    transport.drain_bytes(len(transport.held))
    await asyncio.sleep(10 * enp.STALL_TIMEOUT)
    assert b.network.connections[peer.name].sockets
    await b.stop()


# --- over sockets -----------------------------------------------------------------------------------------------------


@pytest.mark.real_loop
async def test_a_slow_reader_over_tcp_gets_all_messages_with_bounded_memory() -> None:
    """Twenty megabytes for a peer that starts to read late: the sender waits, and all messages arrive in order."""
    number, size = 400, 50 * KILOBYTE

    async def send_all(process: Process, peer: Peer, sent: list[int]) -> None:
        for i in range(number):
            await process.send(peer.pid(), [i, bytes(size)])
            sent[0] += 1

    b = await start_node("b@localhost", cookie="secret", acceptors=(AcceptorOptions(host=HOST, port=0),))
    target_info, port = TargetInfo(b.name, b.network.cookie), b.network.acceptors[0].port
    running = TcpRunningTarget(target_info, tls=False, offers=OFFERS, host=HOST, port=port)
    peer = await Context(running, context(b).rng).peer()
    await eventually(lambda: peer.name in b.network.connections)
    peer.sockets[0].stop_reading()
    sent = [0]
    tracemalloc.start()
    process = b.spawn(send_all, peer, sent)
    await eventually(lambda: b.network.connections[peer.name].sockets[0].is_congested)
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
