"""A node dies that ten thousand links and monitors lead to: each is told about once."""

import asyncio
from collections import Counter

import pytest

from ergo_conformance.model.values import PID, Alias, Atom, Event, ProcessID
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.node import Node
from tests.support.cluster import Told, Watcher, cluster, port_of, told, until
from tests.support.members import Member
from tests.support.sockets import HOST

pytestmark = pytest.mark.real_loop

B = Atom("b@localhost")
CONSUMERS, TARGETS = 50, 50
"""Each target is a PID, a name, an alias and an event; and there is the node."""
RELATIONS = 10_000
LIMIT = 10.0
"""Seconds until all are told: far more than it takes."""


def targets_of(made: list[list[object]], creation: int) -> list[RelationTarget]:
    found: list[RelationTarget] = []
    for i, (number, words) in enumerate(made):
        name = Atom(f"t{i}")
        alias = Alias(B, creation, tuple(words))  # type: ignore[arg-type]
        found += [PID(B, number, creation), ProcessID(B, name), alias, Event(B, name)]  # type: ignore[arg-type]
    return found


async def watch(a: Node, b: Member) -> tuple[list[Watcher], Counter[Told]]:
    """All relations, from many consumers at once; what each of them is to be told."""
    creation = a.network.connections[B].peer.creation
    targets = targets_of(await b.good("targets", TARGETS), creation)
    watchers = [Watcher() for _ in range(CONSUMERS)]
    kinds = list(RelationKind)

    async def of_one(number: int, watcher: Watcher) -> None:
        process = a.spawn(watcher)
        for i, target in enumerate(targets):
            await a.core.monitoring.request(kinds[(i + number) % 2], process, target)

    await asyncio.gather(*(of_one(*each) for each in enumerate(watchers)))
    wanted = Counter(told(kinds[(i + number) % 2], t) for number in range(CONSUMERS) for i, t in enumerate(targets))
    assert wanted.total() == RELATIONS == await b.good("relations") == len(a.core.monitoring.relations)
    for watcher in watchers:
        for kind in kinds:
            await a.core.monitoring.request(kind, watcher.process, B)
            wanted[told(kind, B)] += 1
    return watchers, wanted


@pytest.mark.parametrize("dialer", ["a", "b"])
@pytest.mark.parametrize("how", ["kill", "reset"])
async def test_ten_thousand_relations_are_told_once_each(dialer: str, how: str) -> None:
    b = await Member.start(B)
    try:
        async with cluster("a") as (_, [a]):
            await connect(a, b, dialer)
            watchers, wanted = await watch(a, b)
            await (b.kill() if how == "kill" else b.good("reset"))
            await until(lambda: sum(len(watcher.told) for watcher in watchers) >= wanted.total(), LIMIT)
            await asyncio.sleep(0.5)  # nothing comes behind
            assert Counter(row for watcher in watchers for row in watcher.told) == wanted
            assert all(len(set(watcher.told)) == len(watcher.told) for watcher in watchers)
            assert not len(a.core.monitoring.relations)
            if how == "reset":  # it forgets them silently, its consumers are out of reach
                assert not await b.good("relations")
    finally:
        await b.kill()


async def connect(a: Node, b: Member, dialer: str) -> None:
    if dialer == "a":
        a.network.add_route(B, NetworkRoute(host=HOST, port=await b.good("port")))
        await a.network.get_node(B)
    else:
        await b.good("route", str(a.name), HOST, port_of(a))
        await b.good("get_node", str(a.name))
    await until(lambda: B in a.network.connections)
