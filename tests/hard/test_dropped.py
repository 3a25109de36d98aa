"""The acceptor ends the connection, or refuses links again and again: the dialer notices, and does not storm."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Role
from ergo_conformance.model.values import Atom, ProcessID
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.handshake import JoinedSocket, LocalIdentity, PeerInfo
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.connection.backoff import FIRST_DELAY
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.reference_node.node import Node, random_hex
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from tests.support.cluster import Cluster, Watcher, all_done, apart, cluster, full, until, watch_all
from tests.support.nodes import run_as_process
from tests.support.sockets import HOST, ME, RawPeer

pytestmark = pytest.mark.real_loop

POOL = ehs.POOL_SIZE
TIMES = 40


@pytest.mark.parametrize("by", ["the acceptor", "the dialer"])
async def test_the_end_is_noticed_once_and_the_next_use_begins_anew(by: str) -> None:
    async with cluster("a", "b") as (net, [a, b]):
        for node in (a, b):
            Supervisor(node.core, LEVEL_1)
        ids = {await one_end(net, a, b, by) for _ in range(TIMES)}
        assert len(ids) == TIMES


async def one_end(net: Cluster, a: Node, b: Node, by: str) -> str:
    """Connects a with b, and ends that: the connection's id."""
    net.dials.clear()
    assert await run_as_process(a, lambda it: it.call(ProcessID(b.name, Atom("echo")), "hello")) == "hello"
    await until(lambda: full(a, b))
    id_ = a.network.connections[b.name].peer.connection_id
    assert len(net.dials) == POOL
    notes = [await watch_all(a, b), await watch_all(b, a)]
    one, other = (b, a) if by == "the acceptor" else (a, b)
    one.network.node(other.name).disconnect()
    assert other.name not in one.network.connections
    await until(lambda: apart(a, b))
    await until(lambda: all(len(watcher.told) >= len(wanted) for watcher, wanted in notes))
    await until(lambda: not a.network._sockets.live and not b.network._sockets.live)
    await asyncio.sleep(0.01)
    for watcher, wanted in notes:
        assert Counter(watcher.told) == wanted
    assert len(net.dials) <= 2 * POOL  # one Join for each link that has gone, and the end
    for node in (a, b):
        node.core.tables.names[Atom("target")].stop()
    await until(lambda: not (a.core.tables.names.keys() | b.core.tables.names.keys()) & {"target"})
    return id_


# --- a peer that refuses ----------------------------------------------------------------------------------------------

LASTED = {"at once": 0.0, "after a while": 0.3}


class Refusing:
    """An acceptor that takes full handshakes and closes links that join. `keeps`: seconds until it closes those."""

    def __init__(self, keeps: float, *, also_first: bool) -> None:
        self.keeps, self.also_first = keeps, also_first
        self.full = self.joins = 0
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        local = LocalIdentity(
            name=ME.name, cookie="secret", creation=5, version=ME.version, pool_size=3, flags=ehs.DEFAULT_FLAGS
        )
        side = EhsSession(Role.ACCEPTOR, local, random_hex, address=f"{HOST}:{self.port}")
        with contextlib.suppress(OSError):
            match await RawPeer(reader, writer).handshake(side):
                case JoinedSocket():
                    self.joins += 1
                    await asyncio.sleep(self.keeps)
                case PeerInfo():
                    self.full += 1
                    while not self.also_first and await reader.read(1 << 16):
                        pass
            writer.close()


@pytest.mark.parametrize("keeps", LASTED.values(), ids=list(LASTED))
@pytest.mark.parametrize("also_first", [False, True], ids=["joins only", "everything"])
async def test_who_refuses_again_and_again_is_not_stormed(keeps: float, also_first: bool) -> None:
    """For three seconds, with nobody who sends anything after the first message."""
    refusing = Refusing(keeps, also_first=also_first)
    async with cluster("a") as (net, [a]), refusing.serving():
        a.network.add_route("^me@localhost$", NetworkRoute(host=HOST, port=refusing.port))
        with contextlib.suppress(ErgoError):
            await a.network.get_node("me@localhost")
        await asyncio.sleep(3)
        assert refusing.full == 1
        assert len(net.dials) <= 1 + 2 + 2 * 8  # 0.05 s, 0.1 s, … between two tries to replace a link
        assert refusing.full + refusing.joins <= len(net.dials)


async def test_what_is_watched_on_a_node_that_goes_again_is_told_or_refused() -> None:
    refusing = Refusing(0.0, also_first=True)
    async with cluster("a") as (_, [a]), refusing.serving():
        a.network.add_route("^me@localhost$", NetworkRoute(host=HOST, port=refusing.port))
        watcher, taken = Watcher(), 0
        process = a.spawn(watcher)
        for _ in range(3):
            for take in (process.link, process.monitor):
                with contextlib.suppress(ErgoError):
                    await take(ME.name)
                    taken += 1
                await until(lambda: not a.network.connections)
        assert not len(a.core.monitoring.relations)
        await until(lambda: len(watcher.told) == taken)
        assert refusing.full == 6


async def test_who_uses_it_again_and_again_begins_anew_and_waits_longer_each_time() -> None:
    refusing = Refusing(0.0, also_first=True)
    async with cluster("a") as (net, [a]), refusing.serving():
        a.network.add_route("^me@localhost$", NetworkRoute(host=HOST, port=refusing.port))

        async def sends(process: Process) -> None:
            while refusing.full < 5:
                with contextlib.suppress(ErgoError):
                    await process.send(ProcessID(ME.name, Atom("x")), 1)

        began = asyncio.get_running_loop().time()
        await all_done(a, *[sends] * 4)
        assert asyncio.get_running_loop().time() - began >= sum(FIRST_DELAY * 2**i for i in range(4))
        assert refusing.joins <= 2 * refusing.full
        dials = len(net.dials)
        await asyncio.sleep(1)
        assert len(net.dials) == dials == refusing.full + refusing.joins
