"""Sockets of a pool are cut with RST while messages flow both ways: acknowledged messages arrive once and in order."""

import asyncio
import random
from collections import defaultdict

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.values import PID, ProcessID
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.connection import backoff
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from tests.support.cluster import Cluster, Relay, RelaySocket, cluster, connection, pool_is_full, wait_until
from tests.support.nodes import transport_of

pytestmark = pytest.mark.real_loop

CUTS = 50
SENDERS = 6
IMPORTANT_TIMEOUT = 0.4
"""Seconds until the sender of an important message times out, in place of five, so that it soon continues."""


class Inbox(Actor):
    """Actor that records the numbers of each sender in the order of arrival."""

    def __init__(self) -> None:
        self.seen: defaultdict[PID, list[int]] = defaultdict(list)

    async def handle_message(self, sender: PID, message: list[int]) -> None:
        self.seen[sender].append(message[0])


class Traffic:
    """Processes of one node that send; every second message is important. `acknowledged`: numbers by sender."""

    def __init__(self, one: Node, other: Node) -> None:
        self.one, self.to = one, ProcessID(other.name, other.core.tables.names["inbox"].name)  # type: ignore[index, arg-type]
        self.inbox = other.core.tables.names["inbox"]  # type: ignore[index]
        self.acknowledged: defaultdict[PID, list[int]] = defaultdict(list)
        self.errors: set[str] = set()
        self.running = True
        self.tasks = [process.join() for process in (one.spawn(self.sends, n) for n in range(SENDERS))]

    async def sends(self, process: Process, n: int) -> None:
        number = 0
        while self.running:
            number += 1
            await process.send(self.to, [number, bytes(n * 400)])
            number += 1
            try:
                await process.send(self.to, [number, bytes(n * 400)], important=True)
                self.acknowledged[process.pid].append(number)
            except ErgoError as error:
                self.errors.add(error.error.text)
            await asyncio.sleep(0.001)

    def has_acknowledged(self, number: int) -> bool:
        """Tells whether each sender has this number of acknowledged messages."""
        return len(self.acknowledged) == SENDERS and all(len(each) >= number for each in self.acknowledged.values())

    async def end(self) -> None:
        self.running = False
        await asyncio.gather(*self.tasks)
        assert self.errors <= {"timed out"}


def intact_sockets(relay: Relay, a: Node, b: Node) -> list[RelaySocket]:
    """Returns the relay's sockets that both nodes use and that have no pending cut."""
    ours = {transport_of(socket).get_extra_info("sockname") for socket in connection(a, b).sockets}
    theirs = {transport_of(socket).get_extra_info("peername") for socket in connection(b, a).sockets}
    return [
        socket
        for socket in relay.sockets
        if socket.is_intact and socket.dialer_address in ours and socket.address_at_acceptor in theirs
    ]


async def cut_sockets(net: Cluster, relay: Relay, a: Node, b: Node, rng: random.Random) -> None:
    """Cuts sockets repeatedly, also while the pool is not full, but never the last one."""
    kept = connection(a, b), connection(b, a)
    for number in range(CUTS):
        await wait_until(lambda: len(intact_sockets(relay, a, b)) > 1)
        socket = rng.choice(intact_sockets(relay, a, b))
        if number % 2:
            socket.cut()
        else:
            rng.choice([socket, socket.other or socket]).cut(after=rng.randint(5, 3000))  # in the middle of a frame
        await asyncio.sleep(rng.choice([0.0, 0.02, 0.1]))
        assert (connection(a, b), connection(b, a)) == kept
    await wait_until(lambda: pool_is_full(a, b) and len(relay.sockets) == 3)
    assert (connection(a, b), connection(b, a)) == kept


@pytest.mark.parametrize("seed", [1, 2])
async def test_acknowledged_messages_arrive_once_and_in_order_despite_cut_sockets(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enp, "REQUEST_TIMEOUT", IMPORTANT_TIMEOUT)
    monkeypatch.setattr(backoff, "MAX_DELAY", backoff.FIRST_DELAY)  # no growing backoff in this test
    async with cluster("a", "b") as (net, [a, b]):
        relay = await net.relay(b)
        inboxes = [Inbox(), Inbox()]
        for node, inbox in zip((a, b), inboxes, strict=True):
            node.spawn(inbox, name="inbox")
        await a.network.get_node(b.name)
        await wait_until(lambda: pool_is_full(a, b))
        flows = [Traffic(a, b), Traffic(b, a)]
        await cut_sockets(net, relay, a, b, random.Random(seed))
        await wait_until(lambda: all(flow.has_acknowledged(CUTS // 4) for flow in flows))
        await asyncio.gather(*(flow.end() for flow in flows))
        for flow, inbox in zip(flows, reversed(inboxes), strict=True):
            assert sorted(flow.acknowledged) == sorted(inbox.seen)
            for sender, acknowledged in flow.acknowledged.items():
                seen = inbox.seen[sender]
                assert seen == sorted(set(seen))
                assert set(acknowledged) <= set(seen)
        assert relay.accepted <= 3 + CUTS + 20
