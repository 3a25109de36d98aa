"""Links of a pool are cut with RST while messages flow both ways: what was acknowledged is there, once and in order."""

import asyncio
import random
from collections import defaultdict

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.values import PID, ProcessID
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.connection import backoff as pauses
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from tests.support.cluster import Cluster, End, Relay, cluster, connection, full, until
from tests.support.nodes import transport_of

pytestmark = pytest.mark.real_loop

CUTS = 80
SENDERS = 6
PATIENCE = 0.4
"""Seconds until the sender of an important message gives up, in place of five: whoever is unlucky goes on soon."""


class Inbox(Actor):
    """What each sender has sent, in the order in which it came."""

    def __init__(self) -> None:
        self.seen: defaultdict[PID, list[int]] = defaultdict(list)

    async def handle_message(self, sender: PID, message: list[int]) -> None:
        self.seen[sender].append(message[0])


class Traffic:
    """Senders of one node, half of what they send is important. `sure`: the numbers that were acknowledged."""

    def __init__(self, one: Node, other: Node) -> None:
        self.one, self.to = one, ProcessID(other.name, other.core.tables.names["inbox"].name)  # type: ignore[index, arg-type]
        self.inbox = other.core.tables.names["inbox"]  # type: ignore[index]
        self.sure: defaultdict[PID, list[int]] = defaultdict(list)
        self.errors: set[str] = set()
        self.going_on = True
        self.tasks = [process.join() for process in (one.spawn(self.sends, n) for n in range(SENDERS))]

    async def sends(self, process: Process, n: int) -> None:
        number = 0
        while self.going_on:
            number += 1
            await process.send(self.to, [number, bytes(n * 400)])
            number += 1
            try:
                await process.send(self.to, [number, bytes(n * 400)], important=True)
                self.sure[process.pid].append(number)
            except ErgoError as error:
                self.errors.add(error.error.text)
            await asyncio.sleep(0.001)

    async def end(self) -> None:
        self.going_on = False
        await asyncio.gather(*self.tasks)
        assert self.errors <= {"timed out"}


def whole(relay: Relay, a: Node, b: Node) -> list[End]:
    """The links that both nodes use, and that are not about to be cut."""
    ours = {transport_of(link).get_extra_info("sockname") for link in connection(a, b).sockets}
    theirs = {transport_of(link).get_extra_info("peername") for link in connection(b, a).sockets}
    return [link for link in relay.sockets if link.is_whole and link.near in ours and link.far in theirs]


async def cuts(net: Cluster, relay: Relay, a: Node, b: Node, rng: random.Random) -> None:
    """Again and again, also while the pool is not full yet, but never the last link."""
    kept = connection(a, b), connection(b, a)
    for number in range(CUTS):
        await until(lambda: len(whole(relay, a, b)) > 1)
        link = rng.choice(whole(relay, a, b))
        if number % 2:
            link.cut()
        else:
            rng.choice([link, link.other or link]).cut(after=rng.randint(5, 3000))  # in the middle of a frame
        await asyncio.sleep(rng.choice([0.0, 0.02, 0.1]))
        assert (connection(a, b), connection(b, a)) == kept
    await until(lambda: full(a, b) and len(relay.sockets) == 3)
    assert (connection(a, b), connection(b, a)) == kept


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_that_was_acknowledged_is_lost(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enp, "REQUEST_TIMEOUT", PATIENCE)
    monkeypatch.setattr(pauses, "MAX_DELAY", pauses.FIRST_DELAY)  # the pauses grow while links don't last: not here
    async with cluster("a", "b") as (net, [a, b]):
        relay = await net.relay(b)
        inboxes = [Inbox(), Inbox()]
        for node, inbox in zip((a, b), inboxes, strict=True):
            node.spawn(inbox, name="inbox")
        await a.network.get_node(b.name)
        await until(lambda: full(a, b))
        flows = [Traffic(a, b), Traffic(b, a)]
        await cuts(net, relay, a, b, random.Random(seed))
        await asyncio.gather(*(flow.end() for flow in flows))
        for flow, inbox in zip(flows, reversed(inboxes), strict=True):
            assert sorted(flow.sure) == sorted(inbox.seen)
            for sender, sure in flow.sure.items():
                seen = inbox.seen[sender]
                assert seen == sorted(set(seen))
                assert set(sure) <= set(seen)
                assert len(sure) > CUTS // 4
        assert relay.accepted <= 3 + CUTS + 20
