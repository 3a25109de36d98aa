"""Half-open and dripping clients, and peers that never read: good ones are served, memory is bounded, the bad ones end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from statistics import median

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
from tests.support.members import Member, members
from tests.support.nodes import within
from tests.support.sockets import HOST, ME, Raw, dialer

pytestmark = pytest.mark.real_loop

MEGABYTE = 1 << 20
CROWD, FEW = 500, 40
TRIES = 9
FACTOR = 3.0
DRIP = ehs.READ_TIMEOUT / 4
"""Seconds between two bytes."""
ROUNDS, MOST_ROUNDS = 3, 3


async def connect_time(port: int) -> float:
    """Seconds that a full handshake takes."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(HOST, port)
    local = ME.__class__(**{**{name: getattr(ME, name) for name in ME.__slots__}, "name": Atom(f"me{began}@localhost")})
    try:
        assert isinstance(await Raw(reader, writer).shake(dialer(local)), PeerInfo)
    finally:
        writer.close()
    return time.perf_counter() - began


async def times(port: int, crowd: "Crowd | None" = None) -> float:
    """The median of several; most of the crowd has to be there meanwhile."""
    found, there = [], []
    for _ in range(TRIES):
        there.append(crowd.open if crowd else CROWD)
        found.append(await connect_time(port))
    assert median(there) > 0.9 * CROWD
    return median(found)


class Crowd:
    """Clients that never finish, half of them silent, half of them sending a byte now and then; they come again and again.

    `lasted`: seconds until the acceptor has closed each link.
    """

    def __init__(self, port: int, size: int = CROWD) -> None:
        self.port = port
        self.open = self.opened = 0
        self.lasted: dict[str, list[float]] = {"silent": [], "dripping": []}
        self.tasks = [asyncio.ensure_future(self._silent() if i % 2 else self._dripping()) for i in range(size)]

    async def _silent(self) -> None:
        while True:
            async with self._link("silent") as (reader, _):
                assert await reader.read() == b""

    async def _dripping(self) -> None:
        while True:
            async with self._link("dripping") as (reader, writer):
                end = asyncio.ensure_future(reader.read())
                for byte in dialer().start():
                    if end.done():
                        break
                    writer.write(bytes([byte]))
                    await asyncio.wait([end], timeout=DRIP)
                await end

    @contextlib.asynccontextmanager
    async def _link(self, kind: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(HOST, self.port)
        self.open += 1
        self.opened += 1
        try:
            with contextlib.suppress(OSError):
                yield reader, writer
            self.lasted[kind].append(time.monotonic() - began)
        finally:
            self.open -= 1
            writer.close()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def one_crowd(b: Member, port: int) -> tuple[float, float]:
    """Medians without and with the crowd; what has to hold whenever, is checked here."""
    before = await times(port)
    memory, _ = await b.good("memory")
    crowd = Crowd(port)
    while crowd.opened < CROWD:
        await asyncio.sleep(0.01)
    loaded = await times(port, crowd)
    while len(crowd.lasted["silent"]) < CROWD:  # each twice
        await asyncio.sleep(0.01)
    now, _ = await b.good("memory")
    assert now - memory < 30 * MEGABYTE
    assert 0.5 * ehs.READ_TIMEOUT < median(crowd.lasted["silent"]) < 2 * ehs.READ_TIMEOUT
    await crowd.end()
    return before, loaded


async def test_five_hundred_half_open_clients_keep_nobody_waiting() -> None:
    """The medians of several crowds are compared, as the machine may have other work in one of them."""
    async with members("b@localhost") as [b]:
        port = await b.good("port")
        await one_crowd(b, port)  # everything has been used once
        pairs: list[tuple[float, float]] = []
        for _ in range(MOST_ROUNDS):
            pairs += [await one_crowd(b, port) for _ in range(ROUNDS)]
            if median(loaded / before for before, loaded in pairs) <= FACTOR:
                return
        raise AssertionError(pairs)


async def test_a_client_that_drips_is_closed_at_the_deadline_of_the_handshake() -> None:
    async with members("b@localhost") as [b]:
        crowd = Crowd(await b.good("port"), FEW)
        while len(crowd.lasted["dripping"]) < FEW // 2:
            await asyncio.sleep(0.05)
        await crowd.end()
        assert min(crowd.lasted["silent"]) >= ehs.READ_TIMEOUT
        assert median(crowd.lasted["silent"]) < 2 * ehs.READ_TIMEOUT
        # a hello would take longer than a handshake may, at four bytes a second
        assert min(crowd.lasted["dripping"]) >= ehs.HANDSHAKE_TIMEOUT
        assert max(crowd.lasted["dripping"]) < ehs.HANDSHAKE_TIMEOUT + 2 * ehs.READ_TIMEOUT


# --- peers that never read --------------------------------------------------------------------------------------------

QUESTION = 64 * 1024
QUESTIONS = 2 * enp.MAX_QUEUED // QUESTION


def question(value: bytes) -> bytes:
    """A request for the echo."""
    encoder = FrameEncoder(Registry([]), NO_CACHES)
    return encoder.write(enp.RequestName(0, 1001, 0, (1, 0, 0), Atom("echo"), value))


async def flood(port: int, name: str) -> float:
    """A peer that asks and asks, and reads nothing: seconds until its link ends."""
    local = ME.__class__(**{**{n: getattr(ME, n) for n in ME.__slots__}, "name": Atom(name)})
    reader, writer = await asyncio.open_connection(HOST, port)
    assert isinstance(await Raw(reader, writer).shake(dialer(local)), PeerInfo)
    began = time.monotonic()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    data = question(bytes(QUESTION))
    with contextlib.suppress(OSError):
        for _ in range(QUESTIONS):
            writer.write(data)
            await writer.drain()
        await asyncio.wait_for(writer.wait_closed(), 60)
    writer.transport.abort()
    return time.monotonic() - began


async def test_a_peer_that_never_reads_costs_no_more_than_the_bound_and_disturbs_nobody() -> None:
    async with members("a@localhost", "b@localhost") as [a, b]:
        port = await b.good("port")
        await a.good("route", "b@localhost", HOST, port)
        await a.good("call", "b@localhost", "hello")
        quiet = [await timed(a) for _ in range(50)]
        before, _ = await b.good("memory")
        floods = asyncio.ensure_future(flood(port, "me@localhost"))
        busy = []
        while not floods.done():
            busy.append(await timed(a))
        assert await floods < 30
        connections = await b.good("connections")
        while list(connections) != ["a@localhost"]:
            connections = await b.good("connections")
        _, peak = await b.good("memory")
        assert peak - before < 1.5 * enp.MAX_QUEUED
        assert len(busy) > 5
        assert median(busy) < 20 * median(quiet) + 0.1
        after = [await timed(a) for _ in range(50)]
        assert median(after) < 3 * median(quiet) + 0.005
        assert (await b.good("connections"))["a@localhost"][1] == 3


async def timed(a: Member) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    assert await a.good("call", "b@localhost", "hello") == "hello"
    return time.perf_counter() - began


async def test_who_sends_to_a_peer_that_never_reads_waits_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enp, "STALL_TIMEOUT", 0.5)
    async with cluster("a", "b") as (_, [a, b]):
        Supervisor(b.core, LEVEL_1)
        reader, writer = await asyncio.open_connection(HOST, port_of(b))
        assert isinstance(await Raw(reader, writer).shake(dialer()), PeerInfo)
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
            assert await within(a, lambda it: it.call(echo, "hello")) == "hello"
            await asyncio.sleep(0.01)
        await asyncio.gather(*(process.join() for process in processes))
        assert {process.reason.text for process in processes if process.reason} <= {"no connection", "no route"}
        assert sent[0] < 20 * MEGABYTE  # what the kernel takes, and what is queued before they wait
        assert b.network.nodes == [a.name]
        writer.transport.abort()
