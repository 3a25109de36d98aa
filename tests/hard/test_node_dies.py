"""A node with up to ten thousand links and monitors dies: each relation gets one notice."""

import asyncio
from collections import Counter

import pytest

from ergo_conformance.model.values import PID, Alias, Atom, Event, ProcessID
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.node import Node
from tests.support.cluster import Notice, NoticeRecorder, cluster, notice, port_of, read_all, wait_until
from tests.support.node_processes import NodeProcess
from tests.support.sockets import HOST

pytestmark = pytest.mark.real_loop

B = Atom("b@localhost")
CONSUMERS, TARGETS, FEW_TARGETS = 50, 50, 10
"""Each target has a PID, a name, an alias and an event; the node itself is a further target.

Each consumer has a relation with each of them: 10,000 relations with all targets, 2,000 with few.
"""
LIMIT = 10.0
"""Maximum seconds until all notices have arrived."""


def targets_of(made: list[list[object]], creation: int) -> list[RelationTarget]:
    found: list[RelationTarget] = []
    for i, (number, words) in enumerate(made):
        name = Atom(f"t{i}")
        alias = Alias(B, creation, tuple(words))  # type: ignore[arg-type]
        found += [PID(B, number, creation), ProcessID(B, name), alias, Event(B, name)]  # type: ignore[arg-type]
    return found


async def link_and_monitor(a: Node, b: NodeProcess, number: int) -> tuple[list[NoticeRecorder], Counter[Notice]]:
    """Creates relations with this number of targets concurrently; returns the recorders and the expected notices."""
    creation = a.network.connections[B].peer.creation
    targets = targets_of(await b.request("targets", number), creation)
    recorders = [NoticeRecorder() for _ in range(CONSUMERS)]
    kinds = list(RelationKind)

    async def request_half(consumer: int, recorder: NoticeRecorder) -> None:
        process = a.spawn(recorder)
        for i, target in enumerate(targets):
            await a.core.monitoring.request(kinds[(i + consumer) % 2], process, target)

    await asyncio.gather(*(request_half(*each) for each in enumerate(recorders)))
    expected = Counter(notice(kinds[(i + each) % 2], t) for each in range(CONSUMERS) for i, t in enumerate(targets))
    assert (
        expected.total() == CONSUMERS * number * 4 == await b.request("relations") == len(a.core.monitoring.relations)
    )
    for recorder in recorders:
        for kind in kinds:
            await a.core.monitoring.request(kind, recorder.process, B)
            expected[notice(kind, B)] += 1
    return recorders, expected


@pytest.mark.parametrize(
    ("how", "dialer", "number"),
    [("kill", "a", TARGETS), ("kill", "b", FEW_TARGETS), ("reset", "a", FEW_TARGETS), ("reset", "b", FEW_TARGETS)],
)
async def test_each_relation_gets_one_notice_when_the_node_dies(how: str, dialer: str, number: int) -> None:
    b = await NodeProcess.start(B)
    try:
        async with cluster("a") as (_, [a]):
            await connect(a, b, dialer)
            recorders, expected = await link_and_monitor(a, b, number)
            await (b.kill() if how == "kill" else b.request("reset"))
            await wait_until(lambda: sum(len(recorder.notices) for recorder in recorders) >= expected.total(), LIMIT)
            await wait_until(lambda: not a.network._sockets.live)
            await read_all(a, recorders)  # no further notice arrives
            assert Counter(row for recorder in recorders for row in recorder.notices) == expected
            assert all(len(set(recorder.notices)) == len(recorder.notices) for recorder in recorders)
            assert not len(a.core.monitoring.relations)
            if how == "reset":  # the node removes its relations: their consumers are out of reach
                assert not await b.request("relations")
    finally:
        await b.kill()


async def connect(a: Node, b: NodeProcess, dialer: str) -> None:
    if dialer == "a":
        a.network.add_route(B, NetworkRoute(host=HOST, port=await b.request("port")))
        await a.network.get_node(B)
    else:
        await b.request("route", str(a.name), HOST, port_of(a))
        await b.request("get_node", str(a.name))
    await wait_until(lambda: B in a.network.connections)
