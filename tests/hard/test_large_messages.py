"""Two hundred megabytes in one message: without a limit they arrive, with one at either side the others are not disturbed."""

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
from tests.support.members import Member, members
from tests.support.nodes import node, settle
from tests.support.sockets import HOST, ME, RawPeer, dialer_session

MEGABYTE = 1 << 20
SIZE = 200 * MEGABYTE
LIMIT = MEGABYTE
ANSWER = len(FrameEncoder(Registry([]), NO_CACHES).write(enp.Response(0, 1, 0, 1, (1, 0, 0), b"still here")))
COPIES = 5
"""The message, the frame, what of it waits for the socket, what was read so far: and what the allocator keeps."""
A, B = "a@localhost", "b@localhost"


async def connect(a: Member, b: Member) -> None:
    await a.good("route", B, HOST, await b.good("port"))
    await a.good("get_node", B)
    while (await b.good("connections")).get(A, [0, 0])[1] != 3:
        await asyncio.sleep(0.01)


async def weighed(member: Member, number: int = 1) -> list[list[object]]:
    while len(seen := await member.good("weighed")) < number:
        await asyncio.sleep(0.05)
    return seen  # type: ignore[no-any-return]


@pytest.mark.parametrize("way", [(0, 1), (1, 0)], ids=["dialer sends", "acceptor sends"])
@pytest.mark.real_loop
async def test_it_arrives_as_it_is_and_others_talk_meanwhile(way: tuple[int, int]) -> None:
    async with members(A, B) as both:
        await connect(*both)
        one, other = (both[i] for i in way)
        before = [(await member.good("memory"))[0] for member in both]
        ids = [await member.good("connections") for member in both]
        sends = asyncio.ensure_future(one.good("weigh", other.name, SIZE))
        calls = 0
        while not sends.done() or len(await other.good("weighed")) < 1:
            await asyncio.gather(*(x.good("call", y.name, calls) for x, y in ((one, other), (other, one)) * 3))
            calls += 1
        digest, _ = await sends
        assert await weighed(other) == [digest]
        assert digest[0] == SIZE
        assert calls
        assert [await member.good("connections") for member in both] == ids
        await one.good("weigh", other.name, SIZE)
        assert await weighed(other, 2) == [digest] * 2
        for member, start in zip(both, before, strict=True):  # of the second one, not of both
            assert (await member.good("memory"))[1] - start < COPIES * SIZE
        await one.good("weigh", other.name, 5)
        assert len(await weighed(other, 3)) == 3


@pytest.mark.real_loop
async def test_with_a_limit_at_the_other_side_it_is_too_large_here_and_the_way_back_is_open() -> None:
    async with members(A) as [a], members(B, max_message_size=LIMIT) as [b]:
        await connect(a, b)
        ids = await a.good("connections")
        assert await a.ask("weigh", B, SIZE) == {"error": "too large"}
        assert await a.ask("weigh", B, LIMIT) == {"error": "too large"}  # the frame is longer than the message
        await a.good("weigh", B, LIMIT - 100)
        assert [length for length, _ in await weighed(b)] == [LIMIT - 100]
        digest, _ = await b.good("weigh", A, 4 * LIMIT)
        assert await weighed(a) == [digest]
        assert await a.good("connections") == ids


@pytest.mark.real_loop
async def test_who_sends_more_than_the_limit_loses_the_link_and_no_more() -> None:
    async with members(A) as [a], members(B, max_message_size=LIMIT) as [b]:
        await connect(a, b)
        port = await b.good("port")
        async with raw(port) as first:
            peer = await first.handshake(dialer_session())
            async with raw(port) as second, raw(port) as third:
                for link in (second, third):
                    await link.handshake(dialer_session(joining=ConnectionRef(peer.node, peer.connection_id)))
                await of(b, str(ME.name), 3)
                before, _ = await b.good("memory")
                second.writer.write(header(FrameType.MESSAGE_PID)[:2] + (LIMIT + 1).to_bytes(4, "big") + bytes(2))
                second.writer.write(bytes(2 * LIMIT))
                with contextlib.suppress(OSError):
                    await second.writer.drain()
                with contextlib.suppress(OSError):
                    assert await second.read_to_end() == b""
                await of(b, str(ME.name), 2)
                for link in (first, third):
                    link.writer.write(question(b"still here"))
                answers = [asyncio.ensure_future(link.reader.readexactly(2 * ANSWER)) for link in (first, third)]
                await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)  # both from one process: on one link
                [answer] = [each.result() for each in answers if each.done()]
                assert answer[0] == answer[ANSWER] == MAGIC
                for each in answers:
                    each.cancel()
                assert await a.good("call", B, "hello") == "hello"
                assert (await b.good("connections"))[A][1] == 3
                assert (await b.good("memory"))[0] - before < 16 * MEGABYTE
        while len(await b.good("connections")) > 1:
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def raw(port: int) -> AsyncIterator[RawPeer]:
    made = RawPeer(*await asyncio.open_connection(HOST, port))
    try:
        yield made
    finally:
        made.writer.close()


async def of(b: Member, name: str, links: int) -> None:
    while (await b.good("connections"))[name][1] != links:
        await asyncio.sleep(0.01)


def question(value: bytes) -> bytes:
    """A request for the echo."""
    encoder = FrameEncoder(Registry([]), NO_CACHES)
    return encoder.write(enp.RequestName(0, 1001, 0, (1, 0, 0), Atom("echo"), value))


async def test_what_was_handled_is_not_kept_until_the_next_message_comes() -> None:
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
