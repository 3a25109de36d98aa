"""The node that serves as registrar dies repeatedly: another one takes over, and no resolve result is stale."""

import asyncio
import contextlib
import itertools
import math
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ergo_conformance.model.ergo import esrd
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api.errors import ErgoError, RegistrarError
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from tests.support.cluster import pool_is_full, port_of, wait_until
from tests.support.node_processes import NodeProcess
from tests.support.ports import free_port
from tests.support.settings import start_node
from tests.support.sockets import HOST

pytestmark = pytest.mark.real_loop

STALE_LIMIT = 0.3
"""Seconds after which a resolve result must not have an old port."""
TAKEOVER = 90.0
NAMES = [Atom(f"n{i}@localhost") for i in range(5)]
CONNECTED = NAMES[:2]
"""Nodes that stay connected and never serve."""
PROCESS_NAME = Atom("member@localhost")
"""Node in a separate process."""


async def found_by(registrar: EsrdRegistrar, name: Atom) -> list[int]:
    """Returns the ports of a node; empty if it is unknown."""
    try:
        return [route.Port for route in await registrar.resolve(name)]
    except RegistrarError:
        return []


class RegistrarCluster:
    """Nodes that resolve each other through one registrar.

    `ports`: current port by node; `port_ends`: time until which a node had a port; `found`: node, port and time of each result.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.nodes: dict[Atom, Node] = {}
        self.ports: dict[Atom, int] = {}
        self.port_ends: dict[tuple[Atom, int], float] = {}
        self.found: list[tuple[Atom, int, float]] = []
        self.dialed = 0

    async def start(self, name: Atom) -> Node:
        acceptors = (AcceptorOptions(host=HOST, port=0),)
        registrar = EsrdRegistrar(port=self.port, serve=name not in CONNECTED)
        made = await start_node(name, cookie="secret", acceptors=acceptors, registrar=registrar)
        self.nodes[name] = made
        self.set_port(name, port_of(made))
        return made

    def set_port(self, name: Atom, port: int | None) -> None:
        if port is None:
            self.port_ends[name, self.ports.pop(name)] = asyncio.get_running_loop().time()
        else:
            self.ports[name] = port
            self.port_ends[name, port] = math.inf

    async def end(self, name: Atom) -> None:
        await self.nodes.pop(name).stop()
        self.set_port(name, None)

    def registrars(self) -> list[EsrdRegistrar]:
        return [node.network.registrar for node in self.nodes.values()]  # type: ignore[misc]

    @property
    def server(self) -> Atom:
        [found] = [name for name, node in self.nodes.items() if node.network.registrar.serving]  # type: ignore[attr-defined]
        return found

    async def wait_until_settled(self) -> None:
        """Waits until one node serves, all are registered, and each one resolves each other one."""
        await wait_until(lambda: sum(each.serving for each in self.registrars()) == 1, TAKEOVER)
        await wait_until(lambda: all(each.registered for each in self.registrars()), TAKEOVER)
        for asker, (name, port) in itertools.product(self.registrars(), self.ports.items()):
            async with asyncio.timeout(TAKEOVER):
                while await found_by(asker, name) != [port]:
                    await asyncio.sleep(0.01)

    async def resolve_repeatedly(self, rng: random.Random) -> None:
        """Resolves random nodes repeatedly and records the results."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.02)
            asker, name = rng.choice(self.registrars()), rng.choice([*NAMES, PROCESS_NAME])
            began = loop.time()
            self.found += [(name, port, began) for port in await found_by(asker, name)]

    def stale_results(self) -> list[tuple[Atom, int, float]]:
        """Returns the results with a port that the node never had or no longer had."""
        return [row for row in self.found if row[2] > self.port_ends.get(row[:2], -math.inf) + STALE_LIMIT]

    async def dial_repeatedly(self, rng: random.Random) -> None:
        """Connects random nodes by name repeatedly and checks the name of the peer."""
        while True:
            await asyncio.sleep(0.1)
            one, other = rng.sample(list(self.nodes.values()), 2)
            if {one.name, other.name} == set(CONNECTED):
                continue
            with contextlib.suppress(ErgoError):
                found = await one.network.get_node(other.name)
                assert found.name == other.name
                self.dialed += 1
                found.disconnect()


async def test_another_node_takes_over_as_registrar_and_all_register_again() -> None:
    cluster = RegistrarCluster(free_port())
    process = await NodeProcess.start(PROCESS_NAME, registrar=cluster.port)
    cluster.set_port(PROCESS_NAME, await process.request("port"))
    work = []
    try:
        assert await process.request("registrar") == [True, True]
        for name in NAMES:
            await cluster.start(name)
        a, b = (cluster.nodes[name] for name in CONNECTED)
        await a.network.get_node(b.name)
        await wait_until(lambda: pool_is_full(a, b))
        kept = a.network.connections[b.name]
        rng = random.Random(1)
        work = [asyncio.ensure_future(cluster.resolve_repeatedly(rng)) for _ in range(3)]
        work += [asyncio.ensure_future(cluster.dial_repeatedly(rng)) for _ in range(3)]
        await asyncio.sleep(0.3)
        await process.kill()
        cluster.set_port(PROCESS_NAME, None)
        await cluster.wait_until_settled()
        process = await NodeProcess.start(PROCESS_NAME, registrar=cluster.port, serve=False)
        cluster.set_port(PROCESS_NAME, await process.request("port"))
        assert await process.request("registrar") == [False, True]
        for _ in range(4):
            server = cluster.server
            await cluster.end(server)
            await cluster.wait_until_settled()
            await cluster.start(server)
            await cluster.wait_until_settled()
            await asyncio.sleep(0.1)
        await wait_until(lambda: len(cluster.found) > 100 and cluster.dialed > 10)
        assert a.network.connections[b.name] is kept
        assert pool_is_full(a, b)
        for task in work:
            assert not task.done(), task.exception()
        assert cluster.stale_results() == []
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await process.kill()
        for node in cluster.nodes.values():
            await node.stop()


# --- hosts ------------------------------------------------------------------------------------------------------------


IP = shutil.which("ip") or shutil.which("ip", path="/usr/sbin:/sbin") or "ip"


def ip(*words: str) -> None:
    done = subprocess.run([IP, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (
        f"ip {' '.join(words)}: {done.stderr.strip()}. This test makes network namespaces: it has to run as root with "
        "CAP_NET_ADMIN and CAP_SYS_ADMIN, and needs iproute2"
    )


@pytest.fixture
def hosts() -> Iterator[dict[str, str]]:
    """Connects two network namespaces; yields the name of each namespace by its address."""
    assert Path(IP).exists(), "this test makes network namespaces: it needs iproute2"
    spaces = [f"hard{os.getpid()}{side}" for side in "ab"]
    addresses = ["10.213.77.1", "10.213.77.2"]
    made: list[str] = []
    try:
        for space in spaces:
            ip("netns", "add", space)
            made.append(space)
            ip("-n", space, "link", "set", "lo", "up")
        ip("-n", spaces[0], "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", spaces[1])
        for space, address in zip(spaces, addresses, strict=True):
            ip("-n", space, "addr", "add", f"{address}/24", "dev", "cable")
            ip("-n", space, "link", "set", "cable", "up")
        yield dict(zip(addresses, spaces, strict=True))
    finally:
        for space in made:
            ip("netns", "del", space)


async def on_host(hosts: dict[str, str], name: str) -> NodeProcess:
    """Starts a node in the namespace of its host, with the default port of registrars."""
    address = name.partition("@")[2]
    return await NodeProcess.start(name, IP, "netns", "exec", hosts[address], host=address, registrar=esrd.PORT)


async def test_nodes_on_two_hosts_resolve_each_other_through_their_registrars(hosts: dict[str, str]) -> None:
    here, there = hosts
    started: list[NodeProcess] = []
    try:
        started += [await on_host(hosts, name) for name in (f"a@{here}", f"a2@{here}", f"b@{there}")]
        a, a2, b = started
        assert [await each.request("registrar") for each in started] == [[True, True], [False, True], [True, True]]
        for one in started:
            for other in started:
                if one is not other:
                    assert await one.request("resolve", other.name) == [["", await other.request("port")]]
                    assert await one.request("call", other.name, one.name) == one.name
        ids = (await b.request("connections"))[a2.name]
        await a.kill()
        while await a2.request("registrar") != [True, True]:
            await asyncio.sleep(0.01)
        assert await b.try_request("resolve", a.name) == {"error": "unknown"}
        assert await b.request("resolve", a2.name) == [["", await a2.request("port")]]
        assert (await b.request("connections"))[a2.name] == ids
        started.append(await on_host(hosts, a.name))
        assert await started[-1].request("registrar") == [False, True]
        for one, other in ((b, started[-1]), (started[-1], b), (a2, started[-1])):
            assert await one.request("call", other.name, 1) == 1
        await b.kill()
        assert "error" in await a2.try_request("resolve", b.name)
    finally:
        for each in started:
            await each.kill()
