"""Two nodes dial each other simultaneously, 150 times: one connection, and no message is lost."""

import asyncio
import random
from collections import Counter

import pytest

from ergo_conformance.model.values import PID, Atom, ProcessID
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from tests.support.cluster import Cluster, cluster, connection, disconnected, pool_is_full, run_to_end, wait_until

pytestmark = pytest.mark.real_loop

ROUNDS = 150
LATEST = 0.003
"""Maximum seconds by which one side dials later, in half of the rounds: about the time of a handshake."""
MOST_DIALS = 4
"""Maximum dials of one round: the two first sockets, of which one is refused, and two more of the pool."""


class Inbox(Actor):
    """Actor that counts messages by sender."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[int, int]] = Counter()

    async def handle_message(self, sender: PID, message: int) -> None:
        self.seen[sender.id, message] += 1


async def exchange(one: Node, other: Node, delay: float) -> None:
    """Three processes of `one` send to and call `other`; the first one dials."""
    inbox, echo = ProcessID(other.name, Atom("inbox")), ProcessID(other.name, Atom("echo"))

    async def sends(process: Process) -> None:
        await asyncio.sleep(delay)
        for i in range(5):
            await process.send(inbox, i)

    async def sends_important(process: Process) -> None:
        await asyncio.sleep(delay)
        for i in range(2):
            await process.send(inbox, i, important=True)

    async def calls(process: Process) -> None:
        await asyncio.sleep(delay)
        for i in range(2):
            assert await process.call(echo, i) == i

    await run_to_end(one, sends, sends_important, calls)


async def one_round(net: Cluster, a: Node, b: Node, rng: random.Random) -> None:
    inboxes = [Inbox(), Inbox()]
    processes = [node.spawn(inbox, name="inbox") for node, inbox in zip((a, b), inboxes, strict=True)]
    net.dials.clear()
    delays = [0.0, rng.choice([0.0, rng.uniform(0, LATEST)])]
    rng.shuffle(delays)
    await asyncio.gather(exchange(a, b, delays[0]), exchange(b, a, delays[1]))
    await wait_until(lambda: pool_is_full(a, b) and all(inbox.seen.total() == 7 for inbox in inboxes))
    assert connection(a, b).peer.connection_id == connection(b, a).peer.connection_id
    assert {connection(a, b).peer.role, connection(b, a).peer.role} == {*type(connection(a, b).peer.role)}
    assert {times for inbox in inboxes for times in inbox.seen.values()} == {1}
    assert len(net.dials) <= MOST_DIALS
    for process in processes:
        process.stop()
    one, other = rng.choice([(a, b), (b, a)])
    one.network.drop(connection(one, other))
    await wait_until(
        lambda: (
            disconnected(a, b)
            and not a.core.tables.names.keys() & {"inbox"}
            and not b.core.tables.names.keys() & {"inbox"}
        )
    )
    await wait_until(lambda: not a.network._sockets.live and not b.network._sockets.live)


async def test_simultaneous_dials_give_one_connection_and_lose_nothing() -> None:
    rng = random.Random(1)
    async with cluster("a", "b") as (net, [a, b]):
        for node in (a, b):
            Supervisor(node.core, LEVEL_1)
        for _ in range(ROUNDS):
            await one_round(net, a, b, rng)
        assert not a.core.pending
        assert not b.core.pending
