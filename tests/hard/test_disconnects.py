"""One side disconnects, or the acceptor closes sockets repeatedly: the dialer gets notices and limits its dials."""

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
from tests.support.cluster import (
    Cluster,
    NoticeRecorder,
    cluster,
    disconnected,
    link_and_monitor_all,
    pool_is_full,
    read_all,
    run_to_end,
    wait_until,
)
from tests.support.nodes import run_as_process
from tests.support.sockets import HOST, ME, RawPeer

pytestmark = pytest.mark.real_loop

POOL = ehs.POOL_SIZE
TIMES = 20


@pytest.mark.parametrize("by", ["the acceptor", "the dialer"])
async def test_a_disconnect_gives_one_notice_each_and_the_next_use_connects_again(by: str) -> None:
    async with cluster("a", "b") as (net, [a, b]):
        for node in (a, b):
            Supervisor(node.core, LEVEL_1)
        ids = {await connect_and_disconnect(net, a, b, by) for _ in range(TIMES)}
        assert len(ids) == TIMES


async def connect_and_disconnect(net: Cluster, a: Node, b: Node, by: str) -> str:
    """Connects a with b and disconnects; returns the id of the connection."""
    net.dials.clear()
    assert await run_as_process(a, lambda it: it.call(ProcessID(b.name, Atom("echo")), "hello")) == "hello"
    await wait_until(lambda: pool_is_full(a, b))
    id_ = a.network.connections[b.name].peer.connection_id
    assert len(net.dials) == POOL
    recorders = [await link_and_monitor_all(a, b), await link_and_monitor_all(b, a)]
    one, other = (b, a) if by == "the acceptor" else (a, b)
    one.network.node(other.name).disconnect()
    assert other.name not in one.network.connections
    await wait_until(lambda: disconnected(a, b))
    await wait_until(lambda: all(len(recorder.notices) >= len(expected) for recorder, expected in recorders))
    await wait_until(lambda: not a.network._sockets.live and not b.network._sockets.live)
    await read_all(a, [recorders[0][0]])
    await read_all(b, [recorders[1][0]])
    for recorder, expected in recorders:
        assert Counter(recorder.notices) == expected
    assert len(net.dials) <= 2 * POOL  # at most one Join for each closed socket
    for node in (a, b):
        node.core.tables.names[Atom("target")].stop()
    await wait_until(lambda: not (a.core.tables.names.keys() | b.core.tables.names.keys()) & {"target"})
    return id_


# --- acceptor that closes sockets -------------------------------------------------------------------------------------

DELAYS = (0.0, 0.3)
"""Seconds until an acceptor closes a joined socket: at once, or after a while."""


class ClosingAcceptor:
    """Acceptor that closes joined sockets after `delay` seconds; with `close_all` also first sockets, at once."""

    def __init__(self, delay: float, *, close_all: bool) -> None:
        self.delay, self.close_all = delay, close_all
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
                    await asyncio.sleep(self.delay)
                case PeerInfo():
                    self.full += 1
                    while not self.close_all and await reader.read(1 << 16):
                        pass
            writer.close()


async def test_dials_to_an_acceptor_that_closes_sockets_are_limited() -> None:
    """Acceptors that close joined sockets or all sockets, at once or after a while."""
    await asyncio.gather(*(limited_dials(delay, close_all) for delay in DELAYS for close_all in (False, True)))


async def limited_dials(delay: float, close_all: bool) -> None:
    """Checks the dials of three seconds without any use of the connection."""
    acceptor = ClosingAcceptor(delay, close_all=close_all)
    async with cluster("a") as (net, [a]), acceptor.serving():
        a.network.add_route("^me@localhost$", NetworkRoute(host=HOST, port=acceptor.port))
        with contextlib.suppress(ErgoError):
            await a.network.get_node("me@localhost")
        await asyncio.sleep(3)
        assert acceptor.full == 1
        assert len(net.dials) <= 1 + 2 + 2 * 8  # 0.05 s, 0.1 s, … between two attempts to replace a socket
        assert acceptor.full + acceptor.joins <= len(net.dials)


async def test_relations_with_a_node_that_disconnects_at_once_end_or_are_refused() -> None:
    acceptor = ClosingAcceptor(0.0, close_all=True)
    async with cluster("a") as (_, [a]), acceptor.serving():
        a.network.add_route("^me@localhost$", NetworkRoute(host=HOST, port=acceptor.port))
        recorder, accepted = NoticeRecorder(), 0
        process = a.spawn(recorder)
        for _ in range(3):
            for relate in (process.link, process.monitor):
                with contextlib.suppress(ErgoError):
                    await relate(ME.name)
                    accepted += 1
                await wait_until(lambda: not a.network.connections)
        assert not len(a.core.monitoring.relations)
        await wait_until(lambda: len(recorder.notices) == accepted)
        assert acceptor.full == 6


async def test_repeated_use_of_a_disconnecting_peer_dials_with_growing_backoff() -> None:
    acceptor = ClosingAcceptor(0.0, close_all=True)
    async with cluster("a") as (net, [a]), acceptor.serving():
        a.network.add_route("^me@localhost$", NetworkRoute(host=HOST, port=acceptor.port))

        async def sends(process: Process) -> None:
            while acceptor.full < 5:
                with contextlib.suppress(ErgoError):
                    await process.send(ProcessID(ME.name, Atom("x")), 1)

        began = asyncio.get_running_loop().time()
        await run_to_end(a, *[sends] * 4)
        assert asyncio.get_running_loop().time() - began >= sum(FIRST_DELAY * 2**i for i in range(4))
        assert acceptor.joins <= 2 * acceptor.full
        dials = len(net.dials)
        await asyncio.sleep(1)
        assert len(net.dials) == dials == acceptor.full + acceptor.joins
