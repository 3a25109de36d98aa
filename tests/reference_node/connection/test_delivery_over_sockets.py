"""Order and completeness of many messages and calls between two nodes with a pool of three sockets."""

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

MESSAGES, MANY_MESSAGES, SENDERS, CALLS = 4000, 20_000, 8, 10_000
"""Many messages go to one PID without compression, fewer in the other tests."""


class RecordingActor(Actor):
    """Records the messages of each sender."""

    def __init__(self) -> None:
        self.seen: defaultdict[PID, list[int]] = defaultdict(list)
        self.count = 0

    async def handle_message(self, sender: PID, message: Any) -> None:
        self.seen[sender].append(message[0])
        self.count += 1


@asynccontextmanager
async def connected_nodes() -> AsyncIterator[tuple[Node, Node]]:
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


async def send_from_all(
    a: Node, target: Any, messages: int = MESSAGES, text: str = "twenty characters ok", **options: Any
) -> list[PID]:
    """Sends from SENDERS processes at once; returns their PIDs when all have finished."""
    each = messages // SENDERS

    async def send_messages(process: Process) -> None:
        for i in range(each):
            await process.send(target, agent_types.Small(i, text))

    processes = [a.spawn(send_messages, options=ProcessOptions(**options)) for _ in range(SENDERS)]
    await asyncio.gather(*(process.join() for process in processes))
    return [process.pid for process in processes]


COMPRESSED = {"text": "x" * 200, "compression": Compression(Algorithm.ZLIB, threshold=100)}


@pytest.mark.parametrize(
    ("address_kind", "messages", "options"),
    [("pid", MANY_MESSAGES, {}), ("name", MESSAGES, {}), ("pid", MESSAGES, COMPRESSED), ("name", MESSAGES, COMPRESSED)],
    ids=["pid", "name", "pid, compressed", "name, compressed"],
)
async def test_the_messages_of_each_sender_arrive_once_and_in_order(
    address_kind: str, messages: int, options: Any
) -> None:
    async with connected_nodes() as (a, b):
        actor = RecordingActor()
        process = b.spawn(actor, name="counter")
        target = process.pid if address_kind == "pid" else ProcessID(b.name, Atom("counter"))
        senders = await send_from_all(a, target, messages, **options)
        await eventually(lambda: actor.count == messages)
        assert set(actor.seen) == set(senders)
        assert {tuple(seen) for seen in actor.seen.values()} == {tuple(range(messages // SENDERS))}
        order_slots = {sender.id % 255 % 3 for sender in senders}
        assert order_slots == {0, 1, 2}


async def test_messages_without_keep_order_arrive_once() -> None:
    async with connected_nodes() as (a, b):
        actor = RecordingActor()
        senders = await send_from_all(a, b.spawn(actor).pid, keep_order=False)
        await eventually(lambda: actor.count == MESSAGES)
        assert set(actor.seen) == set(senders)
        assert {tuple(sorted(seen)) for seen in actor.seen.values()} == {tuple(range(MESSAGES // SENDERS))}


async def test_ten_thousand_concurrent_calls_are_answered() -> None:
    async with connected_nodes() as (a, b):
        echo = ProcessID(b.name, Atom("echo"))

        async def work(it: Process) -> list[Any]:
            return list(await asyncio.gather(*(it.call(echo, i, timeout=60) for i in range(CALLS))))

        assert await run_as_process(a, work) == list(range(CALLS))
        assert not a.core.pending
