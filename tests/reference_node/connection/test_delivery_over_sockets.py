"""Two nodes with a pool of three links over real sockets, and much to say to each other."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model.ergo import agent_types
from ergo_conformance.model.ergo.enp import Algorithm
from ergo_conformance.model.values import PID, Atom, ProcessID
from ergo_conformance.reference_node.api.messages import Compression, ProcessOptions
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from tests.support.nodes import run_as_process
from tests.support.settings import start_node
from tests.support.sockets import HOST, eventually

pytestmark = pytest.mark.real_loop

MESSAGES, SENDERS, CALLS = 20_000, 8, 10_000


class Counter(Actor):
    """Notes what each sender has sent."""

    def __init__(self) -> None:
        self.seen: defaultdict[PID, list[int]] = defaultdict(list)
        self.count = 0

    async def handle_message(self, sender: PID, message: Any) -> None:
        self.seen[sender].append(message[0])
        self.count += 1


@asynccontextmanager
async def nodes() -> AsyncIterator[tuple[Node, Node]]:
    common: dict[str, Any] = {
        "cookie": "secret",
        "types": agent_types.ROWS,
        "acceptors": (AcceptorOptions(host=HOST, port=0),),
    }
    b = await start_node("b@localhost", **common)
    routes = {str(b.name): NetworkRoute(host=HOST, port=b.network.acceptors[0].port)}
    a = await start_node("a@localhost", routes=routes, **common)
    for made in (a, b):
        Supervisor(made.core, LEVEL_1)
    try:
        await a.network.connection(b.name)
        await eventually(lambda: len(b.network.connections[a.name].sockets) == 3)
        yield a, b
    finally:
        await a.stop()
        await b.stop()


async def all_send(a: Node, target: Any, text: str = "twenty characters ok", **options: Any) -> list[PID]:
    """All senders at once; the last of them is through when this returns."""
    each = MESSAGES // SENDERS

    async def sends(process: Process) -> None:
        for i in range(each):
            await process.send(target, agent_types.Small(i, text))

    processes = [a.spawn(sends, options=ProcessOptions(**options)) for _ in range(SENDERS)]
    await asyncio.gather(*(process.join() for process in processes))
    return [process.pid for process in processes]


@pytest.mark.parametrize("by", ["pid", "name"])
@pytest.mark.parametrize("how", [{}, {"text": "x" * 200, "compression": Compression(Algorithm.ZLIB, threshold=100)}])
async def test_each_senders_messages_come_in_order_and_once(by: str, how: Any) -> None:
    async with nodes() as (a, b):
        counter = Counter()
        process = b.spawn(counter, name="counter")
        target = process.pid if by == "pid" else ProcessID(b.name, Atom("counter"))
        senders = await all_send(a, target, **how)
        await eventually(lambda: counter.count == MESSAGES)
        assert set(counter.seen) == set(senders)
        assert {tuple(seen) for seen in counter.seen.values()} == {tuple(range(MESSAGES // SENDERS))}
        used = {sender.id % 255 % 3 for sender in senders}
        assert used == {0, 1, 2}


async def test_without_order_all_come_once() -> None:
    async with nodes() as (a, b):
        counter = Counter()
        senders = await all_send(a, b.spawn(counter).pid, keep_order=False)
        await eventually(lambda: counter.count == MESSAGES)
        assert set(counter.seen) == set(senders)
        assert {tuple(sorted(seen)) for seen in counter.seen.values()} == {tuple(range(MESSAGES // SENDERS))}


async def test_ten_thousand_calls_at_once() -> None:
    async with nodes() as (a, b):
        echo = ProcessID(b.name, Atom("echo"))

        async def work(it: Process) -> list[Any]:
            return list(await asyncio.gather(*(it.call(echo, i, timeout=60) for i in range(CALLS))))

        assert await run_as_process(a, work) == list(range(CALLS))
        assert not a.core.pending
