"""Messages of up to 200 MB: they arrive without a limit; with a limit at either side other traffic continues."""

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import NO_CACHES
from ergo_conformance.model.ergo.enp import MAGIC, FrameType
from ergo_conformance.model.registry import Registry
from ergo_conformance.model.values import PID, Atom
from ergo_conformance.peers.corruption.frames import header
from ergo_conformance.reference_node.api.handshake import ConnectionRef
from ergo_conformance.reference_node.api.messages import MessageOptions
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.ergo.enp.codec import FrameEncoder
from tests.support.node_processes import NodeProcess, node_processes
from tests.support.nodes import node, settle
from tests.support.sockets import HOST, ME, RawPeer, dialer_session

MEGABYTE = 1 << 20
SIZE, SMALLER = 200 * MEGABYTE, 40 * MEGABYTE
"""Bytes of a message, and of messages whose number or refusal is tested."""
LIMIT = MEGABYTE
ANSWER = len(FrameEncoder(Registry([]), NO_CACHES).write(enp.Response(0, 1, 0, 1, (1, 0, 0), b"still here")))
COPIES = 5
"""Message, frame, bytes queued at the socket, bytes read so far, and memory that the allocator keeps."""
A, B = "a@localhost", "b@localhost"


async def connect(a: NodeProcess, b: NodeProcess) -> None:
    await a.request("route", B, HOST, await b.request("port"))
    await a.request("get_node", B)
    while (await b.request("connections")).get(A, [0, 0])[1] != 3:
        await asyncio.sleep(0.01)


async def received_digests(process: NodeProcess, number: int = 1) -> list[list[object]]:
    while len(seen := await process.request("received_digests")) < number:
        await asyncio.sleep(0.05)
    return seen  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("direction", "size", "times"),
    [((0, 1), SMALLER, 2), ((1, 0), SIZE, 1)],
    ids=["dialer sends 40 MB twice", "acceptor sends 200 MB"],
)
@pytest.mark.real_loop
async def test_a_large_message_arrives_unchanged_while_other_calls_are_answered(
    direction: tuple[int, int], size: int, times: int
) -> None:
    async with node_processes(A, B) as both:
        await connect(*both)
        one, other = (both[i] for i in direction)
        before = [(await process.request("memory"))[0] for process in both]
        ids = [await process.request("connections") for process in both]
        sends = asyncio.ensure_future(one.request("send_bytes", other.name, size))
        calls = 0
        while not sends.done() or len(await other.request("received_digests")) < 1:
            await asyncio.gather(*(x.request("call", y.name, calls) for x, y in ((one, other), (other, one)) * 3))
            calls += 1
        digest, _ = await sends
        assert await received_digests(other) == [digest]
        assert digest[0] == size
        assert calls
        assert [await process.request("connections") for process in both] == ids
        for number in range(2, times + 1):
            await one.request("send_bytes", other.name, size)
            assert await received_digests(other, number) == [digest] * number
        for process, start in zip(both, before, strict=True):  # memory of one message only
            assert (await process.request("memory"))[1] - start < COPIES * size
        await one.request("send_bytes", other.name, 5)
        assert len(await received_digests(other, times + 1)) == times + 1


@pytest.mark.real_loop
async def test_a_message_above_the_limit_of_the_peer_raises_too_large_and_the_connection_stays() -> None:
    async with node_processes(A) as [a], node_processes(B, max_message_size=LIMIT) as [b]:
        await connect(a, b)
        ids = await a.request("connections")
        assert await a.try_request("send_bytes", B, SMALLER) == {"error": "too large"}
        assert await a.try_request("send_bytes", B, LIMIT) == {
            "error": "too large"
        }  # the frame is longer than the message
        await a.request("send_bytes", B, LIMIT - 100)
        assert [length for length, _ in await received_digests(b)] == [LIMIT - 100]
        digest, _ = await b.request("send_bytes", A, 4 * LIMIT)
        assert await received_digests(a) == [digest]
        assert await a.request("connections") == ids


@pytest.mark.real_loop
async def test_a_frame_above_the_limit_closes_only_its_socket() -> None:
    async with node_processes(A) as [a], node_processes(B, max_message_size=LIMIT) as [b]:
        await connect(a, b)
        port = await b.request("port")
        async with raw_peer(port) as first:
            peer = await first.handshake(dialer_session())
            async with raw_peer(port) as second, raw_peer(port) as third:
                for raw in (second, third):
                    await raw.handshake(dialer_session(joining=ConnectionRef(peer.node, peer.connection_id)))
                await wait_for_sockets(b, str(ME.name), 3)
                before, _ = await b.request("memory")
                second.writer.write(header(FrameType.MESSAGE_PID)[:2] + (LIMIT + 1).to_bytes(4, "big") + bytes(2))
                second.writer.write(bytes(2 * LIMIT))
                with contextlib.suppress(OSError):
                    await second.writer.drain()
                with contextlib.suppress(OSError):
                    assert await second.read_to_end() == b""
                await wait_for_sockets(b, str(ME.name), 2)
                for raw in (first, third):
                    raw.writer.write(echo_request(b"still here"))
                answers = [asyncio.ensure_future(raw.reader.readexactly(2 * ANSWER)) for raw in (first, third)]
                await asyncio.wait(
                    answers, return_when=asyncio.FIRST_COMPLETED
                )  # one process answers both, so on one socket
                [answer] = [each.result() for each in answers if each.done()]
                assert answer[0] == answer[ANSWER] == MAGIC
                for each in answers:
                    each.cancel()
                assert await a.request("call", B, "hello") == "hello"
                assert (await b.request("connections"))[A][1] == 3
                assert (await b.request("memory"))[0] - before < 16 * MEGABYTE
        while len(await b.request("connections")) > 1:
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def raw_peer(port: int) -> AsyncIterator[RawPeer]:
    made = RawPeer(*await asyncio.open_connection(HOST, port))
    try:
        yield made
    finally:
        made.writer.close()


async def wait_for_sockets(b: NodeProcess, name: str, count: int) -> None:
    while (await b.request("connections"))[name][1] != count:
        await asyncio.sleep(0.01)


def echo_request(value: bytes) -> bytes:
    """Returns a request frame to the process `echo`."""
    encoder = FrameEncoder(Registry([]), NO_CACHES)
    return encoder.write(enp.RequestName(0, 1001, 0, (1, 0, 0), Atom("echo"), value))


async def test_a_handled_message_is_freed_before_the_next_one() -> None:
    class Large:
        pass

    class Reads(Actor):
        async def handle_message(self, sender: PID, message: Large) -> None:
            assert isinstance(message, Large)

    b = node()
    reader = b.spawn(Reads())
    large = Large()
    kept = weakref.ref(large)
    b.core.route_send(b.core.pid, reader.pid, MessageOptions(), large)
    del large
    assert kept() is not None
    await settle()
    assert kept() is None
    await b.stop()
