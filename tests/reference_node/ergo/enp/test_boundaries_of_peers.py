"""Boundaries that upstream peers reach: long marshaled values, repeated references, order slot 0, changed sockets."""

from typing import Any

import pytest

from ergo_conformance.model.ergo import agent_types, enp
from ergo_conformance.model.types import Reg
from ergo_conformance.model.values import PID, Typed
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from tests.support.nodes import context, node, settle

REPEATED = (1, 0, 0)
"""A reference that upstream uses again after 262,144 others: its counter has 18 bits."""
SLOT_0 = 1020
"""The first number of a process that is divisible by 255."""


def node_with_agents() -> Node:
    b = node()
    Supervisor(b.core, LEVEL_1)
    return b


@pytest.mark.parametrize("size", [4095, 4096, 4097, 5000, 60_000])
async def test_a_marshaled_value_of_any_length_is_echoed(size: int) -> None:
    """Upstream's writer begins with 4,096 bytes."""
    b = node_with_agents()
    peer = await context(b).peer()
    value = Typed(Reg(agent_types.PREFIX + "Custom"), b"\x00\x07" + b"x" * (size - 2))
    assert await peer.call("echo", value) == value
    await b.stop()


async def test_requests_with_one_reference_are_each_answered_to_their_caller() -> None:
    b = node_with_agents()
    peer = await context(b).peer()
    for round_ in range(2):
        for caller in (1001, 1002):
            peer.send_frame(peer.request("echo", [round_, caller], REPEATED, sender=caller))
        answers = await peer.answers(2)
        assert [(answer.to_id, answer.ref, answer.payload) for answer in answers] == [
            (caller, REPEATED, [round_, caller]) for caller in (1001, 1002)
        ]
    await b.stop()


async def test_no_new_process_has_a_number_of_order_slot_0() -> None:
    """Messages to it would not be ordered (ENP-ORD-5). A remote spawn takes its number from the same counter."""

    async def ends(process: Process) -> None:
        del process

    b = node()
    numbers = [b.spawn(ends).pid.id for _ in range(600)]
    assert SLOT_0 not in numbers
    assert not [number for number in numbers if number % enp.ORDER_MODULUS == 0]
    assert numbers == sorted(set(numbers))
    await b.stop()


async def test_messages_to_a_peers_process_of_order_slot_0_are_sent() -> None:
    b = node()
    peer = await context(b).peer(sockets=3)
    await settle()

    async def send(process: Process) -> None:
        for number in range(5):
            await process.send(PID(peer.name, SLOT_0, peer.pid().creation), number)

    b.spawn(send)
    received = [await peer.receive_message(to=SLOT_0) for _ in range(5)]
    assert sorted(row.value.payload for row in received) == list(range(5))
    assert {row.value.order for row in received} == {0}
    await b.stop()


async def test_messages_of_a_sender_that_changes_its_socket_all_arrive() -> None:
    """Upstream chooses by the size of the pool: a sender moves to another socket while the pool grows."""
    b = node_with_agents()
    seen: list[Any] = []

    async def record(process: Process) -> None:
        while True:
            seen.append((await process.receive())[1])

    b.spawn(record, name="record")
    peer = await context(b).peer(sockets=3)
    await settle()
    for number, index in enumerate((0, 0, 1, 2, 2)):
        peer.send_frame(peer.message("record", number, sender=1001), index)
        await settle()
    assert seen == list(range(5))
    await b.stop()


async def test_our_sender_keeps_its_socket_while_the_pool_grows() -> None:
    b = node()
    it = context(b)
    peer = await it.peer()
    await settle()
    connection = b.network.connections[peer.name]
    [first] = connection.sockets
    assert connection.socket_of(1001) is first  # type: ignore[attr-defined]
    accept_id = connection.peer.connection_id
    for _ in range(2):
        await it.add_socket(peer, accept_id)
    await settle()
    assert len(connection.sockets) == 3
    assert connection.socket_of(1001) is first  # type: ignore[attr-defined]
    assert {connection.socket_of(number) for number in range(1002, 1008)} == set(connection.sockets)  # type: ignore[attr-defined]
    await b.stop()
