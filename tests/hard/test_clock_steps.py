"""The wall clock steps by hours: nothing times out or hangs, references stay unique."""

import asyncio
import random
import time
from functools import partial

import pytest

from ergo_conformance.model.values import PID, Alias, Atom, Event, ProcessID
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from tests.support.cluster import Cluster, cluster, pool_is_full, port_of, wait_until
from tests.support.nodes import run_as_process
from tests.support.sockets import HOST

pytestmark = pytest.mark.real_loop

HOUR = 3600.0
STEPS = [HOUR, -2 * HOUR, 26 * HOUR, -48 * HOUR, 0.5, -0.5, 100 * 24 * HOUR, -100 * 24 * HOUR]
START = 1_700_000_000.0


class StepClock:
    """Wall clock with an offset that a test sets."""

    def __init__(self) -> None:
        self.off = START
        self._zero = asyncio.get_running_loop().time()

    def __call__(self) -> float:
        return self.off + asyncio.get_running_loop().time() - self._zero


class Subscriber(Actor):
    """Actor that counts messages of an event."""

    def __init__(self) -> None:
        self.count = 0

    async def handle_event(self, event: Event, timestamp: int, message: int) -> None:
        self.count += 1


async def exchange(one: Node, other: Node, rounds: int = 20) -> None:
    """Runs calls, important messages and monitors: operations with a timeout."""
    echo = ProcessID(other.name, Atom("echo"))

    async def work(process: Process) -> None:
        for i in range(rounds):
            assert await process.call(echo, i, timeout=60) == i
            await process.send(echo, i, important=True)
            await process.monitor(echo)
            await process.demonitor(echo)

    await run_as_process(one, work)


async def test_calls_links_and_events_work_across_clock_steps() -> None:
    clocks = [StepClock(), StepClock()]
    async with cluster() as (net, _):
        a, b = [await net.node(name, clock=clock) for name, clock in zip("ab", clocks, strict=True)]
        for node in (a, b):
            Supervisor(node.core, LEVEL_1)
        await a.network.get_node(b.name)
        await wait_until(lambda: pool_is_full(a, b))
        kept = a.network.connections[b.name]
        subscriber = Subscriber()
        process = a.spawn(subscriber)
        owner = b.core.tables.names[Atom("echo")]
        owner.register_event("tick")
        await process.monitor(Event(b.name, Atom("tick")))
        for number, (step, clock) in enumerate((step, clock) for step in STEPS for clock in clocks):
            exchanges = [asyncio.ensure_future(exchange(one, other)) for one, other in ((a, b), (b, a)) * 3]
            await asyncio.sleep(0.002)
            clock.off += step
            owner.publish("tick", number)
            await asyncio.gather(*exchanges)
            for node, other, its in zip((a, b), (b, a), clocks, strict=True):
                info = node.network.node(other.name).info
                assert info.uptime == int(its()) - other.creation  # NAPI-RN-1: it may be negative
                assert abs(info.connection_uptime - (int(its()) - int(START))) <= 2
        assert a.network.connections[b.name] is kept
        assert pool_is_full(a, b)
        await wait_until(lambda: subscriber.count == 2 * len(STEPS))


async def test_references_and_aliases_are_unique_across_clock_steps() -> None:
    rng, clock = random.Random(1), StepClock()
    async with cluster("a", clock=clock) as (_, [a]):
        process = a.spawn(lambda it: asyncio.sleep(100))
        seen = set()
        for number in range(2000):
            seen |= {a.core.make_ref().id, a.core.spawner.create_alias(process).id}
            clock.off = START + rng.choice([-1, 1]) * rng.random() * 48 * HOUR
            assert len(seen) == 2 * (number + 1)


@pytest.mark.parametrize("step", [HOUR, -HOUR, -24 * HOUR])
async def test_a_node_restarted_after_a_clock_step_has_another_creation(step: float) -> None:
    """The creation may be greater or less: old addresses are refused, new ones work."""
    async with cluster("a") as (net, [a]):
        old: list[PID | Alias] = []
        for incarnation in range(4):
            old = await run_incarnation(net, a, START + incarnation * step, old)


async def run_incarnation(net: Cluster, a: Node, now: float, old: list[PID | Alias]) -> list[PID | Alias]:
    """Starts node b at time `now`, uses it and stops it; returns addresses of this incarnation."""
    b = await net.node("b", clock=lambda: now)
    if old:
        a.network.remove_route(str(b.name))
        a.network.add_route(str(b.name), NetworkRoute(host=HOST, port=port_of(b)))
    Supervisor(b.core, LEVEL_1)
    await exchange(a, b, 3)
    assert abs(a.network.node(b.name).uptime - (time.time() - b.creation)) < 2
    for target in old:
        with pytest.raises(ErgoError, match="previous incarnation"):
            await run_as_process(a, partial(Process.call, to=target, request=1))
    echo = b.core.tables.names[Atom("echo")]
    addresses: list[PID | Alias] = [echo.pid, b.core.spawner.create_alias(echo)]
    await b.stop()
    net.nodes.remove(b)
    await wait_until(lambda: not a.network.connections)
    return addresses
