"""Processes and sockets share the iterations of the loop: on a clock that only the work moves, in parts that are counted."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ergo_conformance.model.values import PID
from ergo_conformance.peers.ergo.connection import Peer
from ergo_conformance.peers.memory import VirtualLoop
from ergo_conformance.reference_node.api.messages import Message
from ergo_conformance.reference_node.connection.reading import SLICE, Inbox, Reading
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.core.process_table import ProcessTable
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.turns import LEAST, LONG, MOST, PROCESSES, READING, Share, Turns
from tests.support.nodes import context, node, settle

COST = 20e-6
"""Seconds that reading, handling or sending one message takes."""
TURN = PROCESSES + READING
SLACK = 1.2
"""A part is overrun by what was begun before its end."""


def work(seconds: float) -> None:
    """Moves the clock of the running loop, as a computation does."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.virtual.time += seconds


class Sink(Actor):
    """Handles each message at the same cost, in seconds."""

    def __init__(self, cost: float = COST) -> None:
        self.cost, self.count = cost, 0

    async def handle_message(self, sender: PID, message: Any) -> None:
        del sender, message
        work(self.cost)
        self.count += 1


async def send_forever(process: Process, peer: Peer, sent: list[int]) -> None:
    while True:
        work(COST)
        await process.send(peer.pid(), "hello")
        sent[0] += 1


@pytest.fixture
def costly_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes each received message cost COST."""
    deliver = ProcessTable.deliver

    def deliver_at_a_cost(*args: Any) -> Any:
        work(COST)
        return deliver(*args)

    monkeypatch.setattr(ProcessTable, "deliver", staticmethod(deliver_at_a_cost))


async def flooded_node(sockets: int = 3) -> tuple[Node, Peer, Callable[[], None]]:
    """Returns a node, a peer of it, and a function that sends 5000 messages for the process "sink" over each socket."""
    b = node()
    peer = await context(b).peer(sockets=sockets)
    await settle()
    data = peer.data_of(peer.message("sink", "flood")) * 5000
    ours = list(b.network.connections[peer.name].sockets)

    def flood() -> None:
        for socket in ours:
            transport = socket._transport  # type: ignore[attr-defined]
            if transport.is_reading():
                socket.data_received(data)  # type: ignore[attr-defined]

    return b, peer, flood


async def run_turns(number: int, flood: Callable[[], None]) -> float:
    """Runs iterations of the loop under a flood; returns the longest, in seconds of work."""
    loop, longest = asyncio.get_running_loop(), 0.0
    for _ in range(number):
        flood()
        before = loop.time()
        await asyncio.sleep(0)
        longest = max(longest, loop.time() - before)
    return longest


@pytest.mark.usefixtures("costly_reading")
@pytest.mark.parametrize("senders", [1, 4])
async def test_senders_keep_a_third_of_the_time_while_a_process_is_flooded(senders: int) -> None:
    b, peer, flood = await flooded_node()
    b.spawn(Sink(), name="sink")
    counts = [[0] for _ in range(senders)]
    for sent in counts:
        b.spawn(send_forever, peer, sent)
    loop = asyncio.get_running_loop()
    before = loop.time()
    longest = await run_turns(100, flood)
    assert sum(sent for [sent] in counts) * COST >= 0.3 * (loop.time() - before)
    assert longest <= SLACK * TURN
    await b.stop()


@pytest.mark.usefixtures("costly_reading")
async def test_a_flooded_mailbox_stays_short_if_its_process_is_three_times_as_slow_as_the_reading() -> None:
    b, _, flood = await flooded_node()
    sink = Sink(3 * COST)
    process = b.spawn(sink, name="sink")
    longest = 0
    for _ in range(200):
        await run_turns(1, flood)
        longest = max(longest, len(process.mailbox))
    assert sink.count > 10 * LONG
    assert longest < 10 * LONG
    await b.stop()


@pytest.mark.usefixtures("costly_reading")
async def test_every_message_of_a_flood_is_handled_once_it_ends() -> None:
    b, _, flood = await flooded_node()
    sink = Sink()
    b.spawn(sink, name="sink")
    flood()
    while sink.count < 15_000:
        await asyncio.sleep(0)
    await settle()
    assert sink.count == 15_000
    await b.stop()


@pytest.mark.usefixtures("costly_reading")
async def test_a_quiet_socket_is_read_while_the_others_are_flooded() -> None:
    b, _, flood = await flooded_node()
    b.spawn(Sink(), name="sink")
    other = await context(b, 2).peer()
    await settle()
    asked = Sink()
    b.spawn(asked, name="asked")
    for number in range(1, 6):
        flood()
        other.send_bytes(other.data_of(other.message("asked", "hello")), "a message")
        await run_turns(4, flood)
        assert asked.count == number
    await b.stop()


@pytest.mark.usefixtures("costly_reading")
async def test_a_hundred_busy_processes_share_one_turn() -> None:
    b = node()
    sinks = [Sink() for _ in range(100)]
    processes = [b.spawn(sink) for sink in sinks]
    await settle()

    def flood() -> None:
        for process in processes:
            while len(process.mailbox) < 2 * MOST:
                process.mailbox.put(Message(b.core.pid, "flood"), process.options.priority)

    loop = asyncio.get_running_loop()
    await run_turns(5, flood)
    for process in processes:
        while process.mailbox.take():
            pass
    before, began = [sink.count for sink in sinks], loop.time()
    longest = await run_turns(20, flood)
    handled = [sink.count - count for sink, count in zip(sinks, before, strict=True)]
    assert longest <= TURN + 100 * LEAST
    assert min(handled) >= 0.5 * max(handled)
    assert sum(handled) * COST == pytest.approx(loop.time() - began)
    await b.stop()


async def test_a_message_after_a_pause_is_handled_without_a_wait() -> None:
    share = Share(Turns())
    assert not share.is_over()
    await asyncio.sleep(10)
    assert not share.is_over()
    assert not share.is_over()


async def test_the_number_of_messages_counts_where_the_clock_stands_still() -> None:
    share = Share(Turns())
    assert [share.is_over() for _ in range(MOST + 1)] == [False] * MOST + [True]
    await share.wait()
    assert not share.is_over()


# --- received bytes ---------------------------------------------------------------------------------------------------


class Transport(asyncio.Transport):
    """Records whether it is read."""

    paused = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


def inbox_of(reading: Reading, slices: list[bytes], cost: float = READING) -> tuple[Inbox, Transport]:
    """Returns an inbox that takes `cost` seconds for each slice; the time of a whole turn by default."""

    def deliver(data: bytes) -> None:
        work(cost)
        slices.append(data)

    inbox, transport = Inbox(reading, deliver), Transport()
    inbox.open(transport)
    return inbox, transport


async def until_read_again(transport: Transport) -> None:
    while transport.paused:
        await asyncio.sleep(0)


async def test_bytes_beyond_the_time_of_a_turn_wait_for_the_next_and_the_socket_is_not_read() -> None:
    slices: list[bytes] = []
    inbox, transport = inbox_of(Reading(Turns()), slices)
    data = bytes(range(256)) * (3 * SLICE // 256) + b"end"
    inbox.receive(data)
    assert len(slices) == 1
    assert transport.paused
    await until_read_again(transport)
    assert b"".join(slices) == data
    assert {len(part) for part in slices[:-1]} == {SLICE}


async def test_bytes_that_arrive_while_others_are_kept_are_read_after_them() -> None:
    slices: list[bytes] = []
    inbox, transport = inbox_of(Reading(Turns()), slices)
    inbox.receive(b"a" * 2 * SLICE)
    inbox.receive(b"b" * SLICE)
    await until_read_again(transport)
    assert b"".join(slices) == b"a" * 2 * SLICE + b"b" * SLICE


async def test_kept_bytes_are_delivered_when_the_peer_has_closed() -> None:
    slices: list[bytes] = []
    inbox, _ = inbox_of(Reading(Turns()), slices)
    inbox.receive(b"a" * 2 * SLICE)
    inbox.finish()
    assert b"".join(slices) == b"a" * 2 * SLICE
    await settle()
    assert b"".join(slices) == b"a" * 2 * SLICE


async def test_kept_bytes_are_dropped_when_the_node_closes() -> None:
    slices: list[bytes] = []
    inbox, _ = inbox_of(Reading(Turns()), slices)
    inbox.receive(b"a" * 2 * SLICE)
    inbox.drop()
    await settle()
    assert slices == [b"a" * SLICE]


async def test_a_slice_that_took_the_time_of_several_turns_is_followed_by_turns_without_reading() -> None:
    slices: list[bytes] = []
    inbox, transport = inbox_of(Reading(Turns()), slices, 3.5 * READING)
    inbox.receive(b"a" * 3 * SLICE)
    turns = [len(slices)]
    while transport.paused:
        await asyncio.sleep(0)
        turns.append(len(slices))
    assert turns.count(1) >= 3
    assert turns.count(2) >= 3


async def test_a_long_mailbox_of_a_busy_process_slows_reading_down() -> None:
    turns = Turns()
    turns.begin()
    turns.exhausted(10 * LONG)
    turns.exhausted(1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert turns.reading == pytest.approx(READING / 10)
    assert turns.quantum == pytest.approx(PROCESSES / 2)
    turns.begin()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (turns.reading, turns.quantum) == (READING, PROCESSES)
