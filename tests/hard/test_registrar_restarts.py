"""The node that is the registrar dies, again and again: another one takes over, and nobody is sent to a wrong place."""

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
from ergo_conformance.reference_node.registrars.esrd_server import EsrdServer
from tests.support.cluster import full, port_of, until
from tests.support.members import Member
from tests.support.settings import start_node
from tests.support.sockets import HOST

pytestmark = pytest.mark.real_loop

STALE = 0.3
"""Seconds after which nobody may still be sent to where a node was."""
TAKEOVER = 90.0
NAMES = [Atom(f"n{i}@localhost") for i in range(5)]
KEPT = NAMES[:2]
"""Stay connected all the time, and never serve."""
MEMBER = Atom("member@localhost")
"""Lives in a process of its own."""


async def free_port() -> int:
    """For TCP and UDP alike."""
    server = EsrdServer(HOST, 0)
    await server.start()
    await server.stop()
    return server.port


async def found_by(registrar: EsrdRegistrar, name: Atom) -> list[int]:
    """The ports where a node is; nothing if it is not known."""
    try:
        return [route.Port for route in await registrar.resolve(name)]
    except RegistrarError:
        return []


class Town:
    """Nodes that find each other through one registrar. `places`: where each is now; `lives`: all ports a node had, and until
    when; `found`: who was found where, and when that was asked.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.nodes: dict[Atom, Node] = {}
        self.places: dict[Atom, int] = {}
        self.lives: dict[tuple[Atom, int], float] = {}
        self.found: list[tuple[Atom, int, float]] = []
        self.dialed = 0

    async def start(self, name: Atom) -> Node:
        acceptors = (AcceptorOptions(host=HOST, port=0),)
        registrar = EsrdRegistrar(port=self.port, serve=name not in KEPT)
        made = await start_node(name, cookie="secret", acceptors=acceptors, registrar=registrar)
        self.nodes[name] = made
        self.note(name, port_of(made))
        return made

    def note(self, name: Atom, port: int | None) -> None:
        if port is None:
            self.lives[name, self.places.pop(name)] = asyncio.get_running_loop().time()
        else:
            self.places[name] = port
            self.lives[name, port] = math.inf

    async def end(self, name: Atom) -> None:
        await self.nodes.pop(name).stop()
        self.note(name, None)

    def registrars(self) -> list[EsrdRegistrar]:
        return [node.network.registrar for node in self.nodes.values()]  # type: ignore[misc]

    @property
    def server(self) -> Atom:
        [found] = [name for name, node in self.nodes.items() if node.network.registrar.serving]  # type: ignore[attr-defined]
        return found

    async def settled(self) -> None:
        """One serves, all are known, and each is found by each."""
        await until(lambda: sum(each.serving for each in self.registrars()) == 1, TAKEOVER)
        await until(lambda: all(each.registered for each in self.registrars()), TAKEOVER)
        for asker, (name, port) in itertools.product(self.registrars(), self.places.items()):
            async with asyncio.timeout(TAKEOVER):
                while await found_by(asker, name) != [port]:
                    await asyncio.sleep(0.01)

    async def ask(self, rng: random.Random) -> None:
        """Looks for nodes all the time: what is found is where they are."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.002)
            asker, name = rng.choice(self.registrars()), rng.choice([*NAMES, MEMBER])
            began = loop.time()
            self.found += [(name, port, began) for port in await found_by(asker, name)]

    def wrong(self) -> list[tuple[Atom, int, float]]:
        """Who was found where it never was, or was no more."""
        return [row for row in self.found if row[2] > self.lives.get(row[:2], -math.inf) + STALE]

    async def dial(self, rng: random.Random) -> None:
        """Dials by name all the time: who is reached is who was meant."""
        while True:
            await asyncio.sleep(0.005)
            one, other = rng.sample(list(self.nodes.values()), 2)
            if {one.name, other.name} == set(KEPT):
                continue
            with contextlib.suppress(ErgoError):
                found = await one.network.get_node(other.name)
                assert found.name == other.name
                self.dialed += 1
                found.disconnect()


async def test_another_takes_over_and_all_register_again() -> None:
    town = Town(await free_port())
    member = await Member.start(MEMBER, registrar=town.port)
    town.note(MEMBER, await member.good("port"))
    work = []
    try:
        assert await member.good("registrar") == [True, True]
        for name in NAMES:
            await town.start(name)
        a, b = (town.nodes[name] for name in KEPT)
        await a.network.get_node(b.name)
        await until(lambda: full(a, b))
        kept = a.network.connections[b.name]
        rng = random.Random(1)
        work = [asyncio.ensure_future(town.ask(rng)) for _ in range(3)]
        work += [asyncio.ensure_future(town.dial(rng)) for _ in range(3)]
        await asyncio.sleep(0.3)
        await member.kill()
        town.note(MEMBER, None)
        await town.settled()
        member = await Member.start(MEMBER, registrar=town.port, serve=False)
        town.note(MEMBER, await member.good("port"))
        assert await member.good("registrar") == [False, True]
        for _ in range(6):
            server = town.server
            await town.end(server)
            await town.settled()
            await town.start(server)
            await town.settled()
            await asyncio.sleep(0.1)
        assert a.network.connections[b.name] is kept
        assert full(a, b)
        for task in work:
            assert not task.done(), task.exception()
        assert len(town.found) > 100
        assert town.wrong() == []
        assert town.dialed > 10
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        await member.kill()
        for node in town.nodes.values():
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
    """Two hosts with a cable between them: the name of the namespace by the address."""
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


async def on_host(hosts: dict[str, str], name: str) -> Member:
    """A node on the host of its name, with the usual port of registrars."""
    address = name.partition("@")[2]
    return await Member.start(name, IP, "netns", "exec", hosts[address], host=address, registrar=esrd.PORT)


async def test_nodes_of_two_hosts_find_each_other_through_their_registrars(hosts: dict[str, str]) -> None:
    here, there = hosts
    started: list[Member] = []
    try:
        started += [await on_host(hosts, name) for name in (f"a@{here}", f"a2@{here}", f"b@{there}")]
        a, a2, b = started
        assert [await each.good("registrar") for each in started] == [[True, True], [False, True], [True, True]]
        for one in started:
            for other in started:
                if one is not other:
                    assert await one.good("resolve", other.name) == [["", await other.good("port")]]
                    assert await one.good("call", other.name, one.name) == one.name
        ids = (await b.good("connections"))[a2.name]
        await a.kill()
        while await a2.good("registrar") != [True, True]:
            await asyncio.sleep(0.01)
        assert await b.ask("resolve", a.name) == {"error": "unknown"}
        assert await b.good("resolve", a2.name) == [["", await a2.good("port")]]
        assert (await b.good("connections"))[a2.name] == ids
        started.append(await on_host(hosts, a.name))
        assert await started[-1].good("registrar") == [False, True]
        for one, other in ((b, started[-1]), (started[-1], b), (a2, started[-1])):
            assert await one.good("call", other.name, 1) == 1
        await b.kill()
        assert "error" in await a2.ask("resolve", b.name)
    finally:
        for each in started:
            await each.kill()
