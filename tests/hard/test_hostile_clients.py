"""Half-open and slow clients, and peers that never read: other peers are served, memory is bounded, they are closed."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable

import pytest

from ergo_conformance.model.ergo import ehs, enp
from ergo_conformance.model.ergo.caches import NO_CACHES
from ergo_conformance.model.registry import Registry
from ergo_conformance.model.values import PID, Atom, ProcessID
from ergo_conformance.reference_node.api.handshake import PeerInfo
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.ergo.enp.codec import FrameEncoder
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from tests.support.cluster import cluster, port_of, wait_until
from tests.support.node_processes import node_processes
from tests.support.nodes import run_as_process
from tests.support.sockets import HOST, ME, RawPeer, dialer_session

pytestmark = pytest.mark.real_loop

MEGABYTE = 1 << 20
MANY, FEW = 500, 40
GOOD = 9
"""Full handshakes while the half-open clients are connected."""
READ = 8.0
DEADLINES = (60.0, READ, 60.0)
"""Longer than the default ones: on a busy machine the handshake of a good peer may take many seconds."""
DRIP = ehs.READ_TIMEOUT / 4
"""Seconds between two bytes of a slow client."""


async def handshake_and_close(port: int, name: str) -> None:
    """Completes a handshake and closes the socket."""
    local = dataclasses.replace(ME, name=Atom(name))
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        assert isinstance(await RawPeer(reader, writer).handshake(dialer_session(local)), PeerInfo)
    finally:
        writer.close()


class HalfOpenClients:
    """Clients that never complete a handshake and reconnect: half are silent, half send single bytes.

    `lasted`: seconds from dialing until the acceptor closed the socket, for each socket.
    """

    def __init__(self, port: int, size: int = MANY) -> None:
        self.port = port
        self.open = self.opened = 0
        self.lasted: dict[str, list[float]] = {"silent": [], "dripping": []}
        self.changed = asyncio.Condition()
        self.tasks = [asyncio.ensure_future(self._silent() if i % 2 else self._dripping()) for i in range(size)]

    async def _silent(self) -> None:
        while True:
            async with self._socket("silent") as (reader, _):
                assert await reader.read() == b""

    async def _dripping(self) -> None:
        hello = dialer_session().start()
        while True:
            async with self._socket("dripping") as (reader, writer):
                end = asyncio.ensure_future(reader.read())
                for byte in hello:
                    if end.done():
                        break
                    writer.write(bytes([byte]))
                    await asyncio.wait([end], timeout=DRIP)
                else:
                    raise AssertionError("the acceptor waited for the whole hello")
                await end

    @contextlib.asynccontextmanager
    async def _socket(self, kind: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(HOST, self.port)
        await self._count(1)
        try:
            with contextlib.suppress(OSError):
                yield reader, writer
            self.lasted[kind].append(time.monotonic() - began)
        finally:
            writer.close()
            await self._count(-1)

    async def _count(self, change: int) -> None:
        self.open += change
        self.opened += change > 0
        async with self.changed:
            self.changed.notify_all()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Waits until `reached` holds; checked at each change. Raises the exception of a failed client."""
        async with self.changed:
            await self.changed.wait_for(lambda: reached() or any(task.done() for task in self.tasks))
        for task in self.tasks:
            if task.done():
                task.result()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_peers_connect_despite_five_hundred_half_open_clients() -> None:
    async with node_processes("b@localhost", deadlines=DEADLINES) as [b]:
        port = await b.request("port")
        await handshake_and_close(port, "first@localhost")
        memory, _ = await b.request("memory")
        clients = HalfOpenClients(port)
        for i in range(GOOD):
            await clients.until(lambda: clients.open > 0.9 * MANY)
            await handshake_and_close(port, f"good{i}@localhost")
        await clients.until(lambda: len(clients.lasted["silent"]) >= MANY)  # at least one round each
        now, _ = await b.request("memory")
        assert now - memory < 30 * MEGABYTE
        assert min(clients.lasted["silent"]) >= READ
        await clients.end()


async def test_dripping_client_is_closed_at_the_deadline_of_the_handshake() -> None:
    """With a long read deadline: a busy machine may send a byte late."""
    read, handshake = 10.0, 12.0
    async with node_processes("b@localhost", deadlines=(3.0, read, handshake)) as [b]:
        clients = HalfOpenClients(await b.request("port"), FEW)
        await clients.until(lambda: len(clients.lasted["dripping"]) >= FEW // 2)
        await clients.end()
        assert min(clients.lasted["silent"]) >= read
        assert min(clients.lasted["dripping"]) >= handshake
        # At four bytes a second a hello takes longer than a handshake may: the client fails if it can send it all.
        assert len(dialer_session().start()) * DRIP > 2 * handshake


# --- peers that never read --------------------------------------------------------------------------------------------

REQUEST_SIZE = 64 * 1024
REQUEST_COUNT = 2 * enp.MAX_QUEUED // REQUEST_SIZE


def echo_request(value: bytes) -> bytes:
    """Returns a request frame to the process `echo`."""
    encoder = FrameEncoder(Registry([]), NO_CACHES)
    return encoder.write(enp.RequestName(0, 1001, 0, (1, 0, 0), Atom("echo"), value))


async def flood(port: int, name: str) -> None:
    """Sends requests without reading until the socket closes."""
    local = dataclasses.replace(ME, name=Atom(name))
    reader, writer = await asyncio.open_connection(HOST, port)
    assert isinstance(await RawPeer(reader, writer).handshake(dialer_session(local)), PeerInfo)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    data = echo_request(bytes(REQUEST_SIZE))
    with contextlib.suppress(OSError):
        for _ in range(REQUEST_COUNT):
            writer.write(data)
            await writer.drain()
        await writer.wait_closed()
    writer.transport.abort()


async def test_a_peer_that_never_reads_is_disconnected_within_bounded_memory() -> None:
    async with node_processes("a@localhost", "b@localhost") as [a, b]:
        port = await b.request("port")
        await a.request("route", "b@localhost", HOST, port)
        await a.request("call", "b@localhost", "hello")
        before, _ = await b.request("memory")
        flooding = asyncio.ensure_future(flood(port, "me@localhost"))
        answered = 0
        while not flooding.done():
            assert await a.request("call", "b@localhost", "hello") == "hello"
            answered += 1
        await flooding
        connections = await b.request("connections")
        while list(connections) != ["a@localhost"]:
            connections = await b.request("connections")
        _, peak = await b.request("memory")
        assert peak - before < 1.5 * enp.MAX_QUEUED
        assert answered > 5
        assert await a.request("call", "b@localhost", "hello") == "hello"
        assert (await b.request("connections"))["a@localhost"][1] == 3


async def test_sender_to_a_peer_that_never_reads_blocks_and_gets_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enp, "STALL_TIMEOUT", 0.5)
    async with cluster("a", "b") as (_, [a, b]):
        Supervisor(b.core, LEVEL_1)
        reader, writer = await asyncio.open_connection(HOST, port_of(b))
        assert isinstance(await RawPeer(reader, writer).handshake(dialer_session()), PeerInfo)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await wait_until(lambda: ME.name in b.network.connections)
        sent = [0]

        async def send_repeatedly(process: Process) -> None:
            while True:
                await process.send(PID(ME.name, 1001, ME.creation), bytes(REQUEST_SIZE))
                sent[0] += REQUEST_SIZE

        processes = [b.spawn(send_repeatedly) for _ in range(20)]
        echo = ProcessID(b.name, Atom("echo"))
        while ME.name in b.network.connections:
            assert await run_as_process(a, lambda it: it.call(echo, "hello")) == "hello"
            await asyncio.sleep(0.01)
        await asyncio.gather(*(process.join() for process in processes))
        assert {process.reason.text for process in processes if process.reason} <= {"no connection", "no route"}
        assert sent[0] < 20 * MEGABYTE  # socket buffers and the queue before senders block
        assert b.network.nodes == [a.name]
        writer.transport.abort()
