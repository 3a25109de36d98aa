"""Links in memory behave as links over TCP do; the virtual clock jumps and never hangs."""

import asyncio
from typing import Any, TypeVar

import pytest

from ergo_conformance.peers.memory import MemoryTransport, VirtualLoop, connect_memory
from ergo_conformance.peers.sockets import MAX_BUFFERED, PeerSocket, connect
from ergo_conformance.peers.violation import UnreachableError

T = TypeVar("T")


class Peer(asyncio.Protocol):
    """The other end; notes what happens to it."""

    def __init__(self, *, stays: bool = False) -> None:
        self.seen: list[Any] = []
        self.stays = stays
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.seen.append(data)

    def eof_received(self) -> bool:
        self.seen.append("eof")
        return self.stays

    def connection_lost(self, exc: Exception | None) -> None:
        self.seen.append("lost" if exc is None else "reset")


def pair(*, stays: bool = False) -> tuple[PeerSocket, Peer]:
    peer = Peer(stays=stays)
    return connect_memory(peer), peer


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# --- the virtual clock ------------------------------------------------------------------------------------------------


async def test_time_jumps_to_the_next_timer() -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(7200))
    assert loop.time() - begin == pytest.approx(7200)


async def test_timers_fire_in_their_order() -> None:
    order: list[int] = []

    async def note(after: int) -> None:
        await asyncio.sleep(after)
        order.append(after)

    await asyncio.gather(*(note(n) for n in (30, 10, 20)))
    assert order == [10, 20, 30]


async def test_no_time_passes_without_a_timer() -> None:
    for _ in range(1000):
        await asyncio.sleep(0)
    assert asyncio.get_running_loop().time() == 0.0


def test_a_wait_for_nothing_is_an_error_and_no_hang() -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    loop = VirtualLoop()
    task = loop.create_task(hang())
    try:
        with pytest.raises(RuntimeError, match="the case would hang"):
            loop.run_until_complete(task)
    finally:
        task.cancel()
        loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        loop.close()


# --- links in memory --------------------------------------------------------------------------------------------------


async def test_bytes_arrive_in_order_and_not_at_once() -> None:
    link, peer = pair()
    link.write(b"one")
    link.write(b"two")
    assert peer.seen == []
    await settle()
    peer.transport.write(b"answer")
    assert await link.read(1.0) == b"answer"
    assert peer.seen == [b"one", b"two"]


async def test_reading_waits_its_time() -> None:
    link, _ = pair()
    assert (await link.read(5.0), link.now()) == (None, pytest.approx(5.0))


async def test_a_half_closed_link_still_reads() -> None:
    link, peer = pair(stays=True)
    link.write(b"last words")
    link.end_writing()
    await settle()
    peer.transport.write(b"answer")
    assert await link.read(1.0) == b"answer"
    assert not link.eof
    peer.transport.close()
    assert await link.read(1.0) == b""
    assert (link.eof, link.reset) == (True, False)
    assert peer.seen == [b"last words", "eof", "lost"]


async def test_a_close_comes_behind_the_bytes() -> None:
    link, peer = pair()
    peer.transport.write(b"bye")
    peer.transport.close()
    assert [await link.read(1.0), await link.read(1.0)] == [b"bye", b""]
    link.write(b"too late")
    await settle()
    assert peer.seen == ["lost"]


async def test_an_abort_is_seen_as_a_reset() -> None:
    link, peer = pair()
    link.abort()
    await settle()
    other_link, other = pair()
    other.transport.abort()
    assert await other_link.read(1.0) == b""
    assert other_link.reset
    assert peer.seen == ["reset"]


async def test_nothing_is_delivered_while_reading_is_paused() -> None:
    link, peer = pair()
    peer.transport.pause_reading()
    link.write(b"later")
    link.close()
    await settle()
    assert peer.seen == []
    peer.transport.resume_reading()
    await settle()
    assert peer.seen == [b"later", "eof", "lost"]


async def test_a_flood_is_held_back_at_its_source() -> None:
    link, peer = pair()
    for _ in range(5):
        peer.transport.write(bytes(MAX_BUFFERED // 2))
    await settle()
    assert isinstance(link.transport, MemoryTransport)
    assert link.transport.paused
    total = 0
    while chunk := await link.read(0.1):
        total += len(chunk)
        await settle()
    assert total == 5 * (MAX_BUFFERED // 2)
    assert link.transport.paused is False


async def test_a_drip_stops_when_the_other_end_closes() -> None:
    link, peer = pair()
    asyncio.get_running_loop().call_later(0.35, peer.transport.close)
    await link.drip(bytes(100), size=1, gap=0.1)
    assert sum(map(len, filter(lambda seen: isinstance(seen, bytes), peer.seen))) == 4


async def test_a_fingerprint_stands_in_for_tls() -> None:
    assert connect_memory(Peer(), b"f" * 20).fingerprint == b"f" * 20


# --- over TCP the same ------------------------------------------------------------------------------------------------


@pytest.mark.real_loop
async def test_a_tcp_link_reads_half_closes_and_ends() -> None:
    peers: list[Peer] = []

    def accept() -> Peer:
        peers.append(Peer(stays=True))
        return peers[-1]

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    link = await connect("127.0.0.1", server.sockets[0].getsockname()[1])
    link.write(b"question")
    link.end_writing()
    while "eof" not in peers[0].seen:
        await asyncio.sleep(0.005)
    peers[0].transport.write(b"answer")
    assert await link.read(5.0) == b"answer"
    peers[0].transport.close()
    assert await link.read(5.0) == b""
    link.close()
    await settle()
    server.close()
    assert peers[0].seen[:2] == [b"question", "eof"]


@pytest.mark.parametrize(("how", "seen"), [("close", "lost"), ("abort", "lost"), ("send_reset", "reset")])
@pytest.mark.real_loop
async def test_only_a_reset_is_one_over_tcp(how: str, seen: str) -> None:
    """A kernel makes a FIN of an abort that leaves nothing unread."""
    ends: asyncio.Queue[str] = asyncio.Queue()

    class Server(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            ends.put_nowait("lost" if exc is None else "reset")

    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    link = await connect("127.0.0.1", server.sockets[0].getsockname()[1])
    getattr(link, how)()
    async with asyncio.timeout(60):
        assert await ends.get() == seen
    link.send_reset()  # again: nothing happens
    server.close()


@pytest.mark.real_loop
async def test_nobody_to_connect_to() -> None:
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(UnreachableError, match=f"no connection to 127.0.0.1:{port}: "):
        await connect("127.0.0.1", port)
