"""In-memory sockets behave like TCP sockets; the virtual clock jumps to the next timer and never hangs."""

import asyncio
from typing import Any, TypeVar

import pytest

from ergo_conformance.peers.memory import MemoryTransport, VirtualLoop, connect_memory
from ergo_conformance.peers.sockets import LINGER, MAX_BUFFERED, PeerSocket, connect
from ergo_conformance.peers.violation import UnreachableError

T = TypeVar("T")


class Peer(asyncio.Protocol):
    """Peer of the socket; records its events."""

    def __init__(self, *, half_open: bool = False) -> None:
        self.seen: list[Any] = []
        self.half_open = half_open
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.seen.append(data)

    def eof_received(self) -> bool:
        self.seen.append("eof")
        return self.half_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.seen.append("lost" if exc is None else "reset")


def pair(*, half_open: bool = False) -> tuple[PeerSocket, Peer]:
    peer = Peer(half_open=half_open)
    return connect_memory(peer), peer


async def run_loop() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# --- the virtual clock ------------------------------------------------------------------------------------------------


async def test_time_jumps_to_the_next_timer() -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(7200))
    assert loop.time() - begin == pytest.approx(7200)


async def test_timers_fire_in_order_of_time() -> None:
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


def test_a_wait_without_a_timer_raises_instead_of_hanging() -> None:
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


# --- in-memory sockets ------------------------------------------------------------------------------------------------


async def test_bytes_arrive_in_order_in_a_later_turn_of_the_loop() -> None:
    socket, peer = pair()
    socket.write(b"one")
    socket.write(b"two")
    assert peer.seen == []
    await run_loop()
    peer.transport.write(b"answer")
    assert await socket.read(1.0) == b"answer"
    assert peer.seen == [b"one", b"two"]


async def test_read_returns_none_after_its_timeout() -> None:
    socket, _ = pair()
    assert (await socket.read(5.0), socket.now()) == (None, pytest.approx(5.0))


async def test_a_half_closed_socket_still_reads() -> None:
    socket, peer = pair(half_open=True)
    socket.write(b"last words")
    socket.end_writing()
    await run_loop()
    peer.transport.write(b"answer")
    assert await socket.read(1.0) == b"answer"
    assert not socket.eof
    peer.transport.close()
    assert await socket.read(1.0) == b""
    assert (socket.eof, socket.reset) == (True, False)
    assert peer.seen == [b"last words", "eof", "lost"]


async def test_a_close_arrives_after_the_bytes() -> None:
    socket, peer = pair()
    peer.transport.write(b"bye")
    peer.transport.close()
    assert [await socket.read(1.0), await socket.read(1.0)] == [b"bye", b""]
    socket.write(b"too late")
    await run_loop()
    assert peer.seen == ["lost"]


async def test_a_closed_socket_drops_what_arrives_until_the_other_side_ends_it() -> None:
    socket, peer = pair(half_open=True)
    socket.close()
    await run_loop()
    peer.transport.write(b"too late")
    await run_loop()
    assert peer.seen == ["eof"]
    assert await socket.read(LINGER / 2) is None
    peer.transport.close()
    await socket.wait_closed()
    assert socket.now() == pytest.approx(LINGER / 2)


async def test_a_socket_that_the_other_side_keeps_is_dropped_after_the_linger_time() -> None:
    socket, peer = pair(half_open=True)
    socket.close()
    await socket.wait_closed()
    assert socket.now() == pytest.approx(LINGER)
    await run_loop()
    assert peer.seen == ["eof", "reset"]


async def test_an_abort_is_seen_as_a_reset() -> None:
    socket, peer = pair()
    socket.abort()
    await run_loop()
    other_socket, other = pair()
    other.transport.abort()
    assert await other_socket.read(1.0) == b""
    assert other_socket.reset
    assert peer.seen == ["reset"]


async def test_a_paused_reader_gets_bytes_and_close_when_it_resumes() -> None:
    socket, peer = pair()
    peer.transport.pause_reading()
    socket.write(b"later")
    socket.close()
    await run_loop()
    assert peer.seen == []
    peer.transport.resume_reading()
    await run_loop()
    assert peer.seen == [b"later", "eof", "lost"]


async def test_a_full_buffer_pauses_the_sender() -> None:
    socket, peer = pair()
    for _ in range(5):
        peer.transport.write(bytes(MAX_BUFFERED // 2))
    await run_loop()
    assert isinstance(socket.transport, MemoryTransport)
    assert socket.transport.paused
    total = 0
    while chunk := await socket.read(0.1):
        total += len(chunk)
        await run_loop()
    assert total == 5 * (MAX_BUFFERED // 2)
    assert socket.transport.paused is False


async def test_drip_stops_when_the_peer_closes() -> None:
    socket, peer = pair()
    asyncio.get_running_loop().call_later(0.35, peer.transport.close)
    await socket.drip(bytes(100), size=1, gap=0.1)
    assert sum(map(len, filter(lambda seen: isinstance(seen, bytes), peer.seen))) == 4


async def test_a_memory_socket_has_the_given_fingerprint() -> None:
    assert connect_memory(Peer(), b"f" * 20).fingerprint == b"f" * 20


# --- TCP sockets ------------------------------------------------------------------------------------------------------


@pytest.mark.real_loop
async def test_a_tcp_socket_reads_after_a_half_close_and_ends() -> None:
    peers: list[Peer] = []

    def accept() -> Peer:
        peers.append(Peer(half_open=True))
        return peers[-1]

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    socket = await connect("127.0.0.1", server.sockets[0].getsockname()[1])
    socket.write(b"question")
    socket.end_writing()
    while "eof" not in peers[0].seen:
        await asyncio.sleep(0.005)
    peers[0].transport.write(b"answer")
    assert await socket.read(5.0) == b"answer"
    peers[0].transport.close()
    assert await socket.read(5.0) == b""
    socket.close()
    await run_loop()
    server.close()
    assert peers[0].seen[:2] == [b"question", "eof"]


@pytest.mark.parametrize(("how", "seen"), [("close", "lost"), ("abort", "lost"), ("send_reset", "reset")])
@pytest.mark.real_loop
async def test_over_tcp_only_send_reset_is_seen_as_a_reset(how: str, seen: str) -> None:
    """The kernel sends FIN for an abort without unread bytes."""
    ends: asyncio.Queue[str] = asyncio.Queue()

    class Server(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            ends.put_nowait("lost" if exc is None else "reset")

    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    socket = await connect("127.0.0.1", server.sockets[0].getsockname()[1])
    getattr(socket, how)()
    async with asyncio.timeout(60):
        assert await ends.get() == seen
    socket.send_reset()  # a second reset has no effect
    server.close()


@pytest.mark.real_loop
async def test_connect_to_a_closed_port_raises_unreachable() -> None:
    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(UnreachableError, match=f"no connection to 127.0.0.1:{port}: "):
        await connect("127.0.0.1", port)
