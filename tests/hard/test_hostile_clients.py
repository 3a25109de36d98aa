"""Half-open and dripping clients, and peers that never read: good ones are served, memory is bounded, the bad ones end."""

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
from tests.support.cluster import cluster, port_of, until
from tests.support.members import members
from tests.support.nodes import run_as_process
from tests.support.sockets import HOST, ME, RawPeer, dialer_session

pytestmark = pytest.mark.real_loop

MEGABYTE = 1 << 20
CROWD, FEW = 500, 40
GOOD = 9
"""Full handshakes while the crowd is there."""
DEADLINES = (ehs.CONNECT_TIMEOUT, ehs.READ_TIMEOUT, ehs.HANDSHAKE_TIMEOUT)
DRIP = ehs.READ_TIMEOUT / 4
"""Seconds between two bytes."""


async def shake_hands(port: int, name: str) -> None:
    """A full handshake, then the end of the socket."""
    local = dataclasses.replace(ME, name=Atom(name))
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        assert isinstance(await RawPeer(reader, writer).handshake(dialer_session(local)), PeerInfo)
    finally:
        writer.close()


class Crowd:
    """Clients that never finish, half of them silent, half of them sending a byte now and then; they come again and again.

    `lasted`: seconds from dialing until the acceptor has closed each socket.
    """

    def __init__(self, port: int, size: int = CROWD) -> None:
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
        """Waits until `reached` holds; it is asked at each change of the crowd. Fails with a client that failed."""
        async with self.changed:
            await self.changed.wait_for(lambda: reached() or any(task.done() for task in self.tasks))
        for task in self.tasks:
            if task.done():
                task.result()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_five_hundred_half_open_clients_do_not_keep_others_from_connecting() -> None:
    async with members("b@localhost", deadlines=DEADLINES) as [b]:
        port = await b.good("port")
        await shake_hands(port, "first@localhost")
        memory, _ = await b.good("memory")
        crowd = Crowd(port)
        for i in range(GOOD):
            await crowd.until(lambda: crowd.open > 0.9 * CROWD)
            await shake_hands(port, f"good{i}@localhost")
        await crowd.until(lambda: len(crowd.lasted["silent"]) >= CROWD)  # each twice
        now, _ = await b.good("memory")
        assert now - memory < 30 * MEGABYTE
        assert min(crowd.lasted["silent"]) >= ehs.READ_TIMEOUT
        await crowd.end()


async def test_dripping_client_is_closed_at_the_deadline_of_the_handshake() -> None:
    async with members("b@localhost", deadlines=DEADLINES) as [b]:
        crowd = Crowd(await b.good("port"), FEW)
        await crowd.until(lambda: len(crowd.lasted["dripping"]) >= FEW // 2)
        await crowd.end()
        assert min(crowd.lasted["silent"]) >= ehs.READ_TIMEOUT
        assert min(crowd.lasted["dripping"]) >= ehs.HANDSHAKE_TIMEOUT
        # At four bytes a second a hello takes longer than a handshake may: the client fails if it can send it all.
        assert len(dialer_session().start()) * DRIP > 2 * ehs.HANDSHAKE_TIMEOUT


# --- peers that never read --------------------------------------------------------------------------------------------

QUESTION = 64 * 1024
QUESTIONS = 2 * enp.MAX_QUEUED // QUESTION


def question(value: bytes) -> bytes:
    """A request for the echo."""
    encoder = FrameEncoder(Registry([]), NO_CACHES)
    return encoder.write(enp.RequestName(0, 1001, 0, (1, 0, 0), Atom("echo"), value))


async def flood(port: int, name: str) -> None:
    """A peer that asks and asks, and reads nothing, until its socket ends."""
    local = dataclasses.replace(ME, name=Atom(name))
    reader, writer = await asyncio.open_connection(HOST, port)
    assert isinstance(await RawPeer(reader, writer).handshake(dialer_session(local)), PeerInfo)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    data = question(bytes(QUESTION))
    with contextlib.suppress(OSError):
        for _ in range(QUESTIONS):
            writer.write(data)
            await writer.drain()
        await writer.wait_closed()
    writer.transport.abort()


async def test_a_peer_that_never_reads_costs_no_more_than_the_bound_and_disturbs_nobody() -> None:
    async with members("a@localhost", "b@localhost") as [a, b]:
        port = await b.good("port")
        await a.good("route", "b@localhost", HOST, port)
        await a.good("call", "b@localhost", "hello")
        before, _ = await b.good("memory")
        floods = asyncio.ensure_future(flood(port, "me@localhost"))
        answered = 0
        while not floods.done():
            assert await a.good("call", "b@localhost", "hello") == "hello"
            answered += 1
        await floods
        connections = await b.good("connections")
        while list(connections) != ["a@localhost"]:
            connections = await b.good("connections")
        _, peak = await b.good("memory")
        assert peak - before < 1.5 * enp.MAX_QUEUED
        assert answered > 5
        assert await a.good("call", "b@localhost", "hello") == "hello"
        assert (await b.good("connections"))["a@localhost"][1] == 3


async def test_who_sends_to_a_peer_that_never_reads_waits_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enp, "STALL_TIMEOUT", 0.5)
    async with cluster("a", "b") as (_, [a, b]):
        Supervisor(b.core, LEVEL_1)
        reader, writer = await asyncio.open_connection(HOST, port_of(b))
        assert isinstance(await RawPeer(reader, writer).handshake(dialer_session()), PeerInfo)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await until(lambda: ME.name in b.network.connections)
        sent = [0]

        async def pours(process: Process) -> None:
            while True:
                await process.send(PID(ME.name, 1001, ME.creation), bytes(QUESTION))
                sent[0] += QUESTION

        processes = [b.spawn(pours) for _ in range(20)]
        echo = ProcessID(b.name, Atom("echo"))
        while ME.name in b.network.connections:
            assert await run_as_process(a, lambda it: it.call(echo, "hello")) == "hello"
            await asyncio.sleep(0.01)
        await asyncio.gather(*(process.join() for process in processes))
        assert {process.reason.text for process in processes if process.reason} <= {"no connection", "no route"}
        assert sent[0] < 20 * MEGABYTE  # what the kernel takes, and what is queued before they wait
        assert b.network.nodes == [a.name]
        writer.transport.abort()
