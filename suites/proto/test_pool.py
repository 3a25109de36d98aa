"""Several sockets of one connection: which frames each of them carries, and the loss of a socket."""

import asyncio

import pytest

from ergo_conformance.model.ergo import ehs, enp
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.corruption.frames import header
from ergo_conformance.testing import AGENTS, ANNOUNCED, ORDER, PROCESS, Context, Peer, ViolationError, case

LINKS = 3
GONE = 5.0
"""Seconds within which a target must notice that a socket has closed."""


async def pooled(ergo_context: Context) -> Peer:
    """Returns a peer with three sockets over which no frame was sent yet."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    accept = peer.endpoints[0].target_accept
    assert accept is not None
    if accept.PoolSize < LINKS:
        ergo_context.skip(f"the target announces a pool of {accept.PoolSize} sockets, the case needs {LINKS}")
    for _ in range(1, LINKS):
        await ergo_context.add_socket(peer, accept.ID)
    return peer


async def serves_again(peer: Peer, socket: int) -> None:
    """Checks that a call over this socket is answered once the target has noticed which sockets are open."""
    deadline = asyncio.get_running_loop().time() + GONE
    ref = peer.new_ref()
    while asyncio.get_running_loop().time() < deadline:
        ref = peer.new_ref()
        peer.send_frame(peer.request("echo", "still there?", ref), socket)
        if await peer.find(lambda f, ref=ref: isinstance(f, enp.Response) and f.ref == ref, 0.5):  # type: ignore[misc]
            return
        if peer.is_closed:
            peer.fail_timing("all sockets were closed", f"an answer with ref {ref[0]}")
    peer.fail_timing(f"no answer over the remaining sockets within {GONE:g} s", f"an answer with ref {ref[0]}")


@pytest.mark.parametrize("socket", [0, 1, 2], ids=lambda n: f"link_{n + 1}")
@case("EHS-JOIN-8", offers=AGENTS)
async def test_every_link_serves(ergo_context: Context, socket: int) -> None:
    """A target answers a call over any socket of a pool; the tables announced on the first socket apply to all."""
    peer = await pooled(ergo_context)
    ref = peer.new_ref()
    peer.send_frame(enp.RequestNameCache(ORDER, PROCESS, 0, ref, Atom("echo"), [Atom("sink"), 1]), socket)
    answer = (await peer.answer(ref)).value
    peer.check_equal(getattr(answer, "payload", answer), [Atom("sink"), 1], "the value that was sent")


@case("ENP-ORD-1", "ENP-ORD-4", offers=AGENTS)
async def test_one_sender_one_link(ergo_context: Context) -> None:
    """A target sends all messages of one process over one socket, and so in order."""
    peer = await pooled(ergo_context)
    for i in range(60):
        peer.send("echo", i, sender=6000 + i)
    found = [(await peer.receive_message(to=6000 + i)).socket for i in range(60)]
    peer.check(len(set(found)) == 1, f"messages of echo over sockets {sorted(set(found))}", "one socket for one sender")


@case("ENP-ORD-1", offers=AGENTS)
async def test_which_link(ergo_context: Context) -> None:
    """A target uses the socket with the index sender number modulo 255 modulo number of sockets, in order of joining."""
    peer = await pooled(ergo_context)
    for agent in ("echo", "echo_cached"):
        ref = peer.ask(agent, "!self")
        received = await peer.answer(ref)
        number = received.value.from_id
        order = number % enp.ORDER_MODULUS
        wanted = order % 3
        if order:
            peer.check(received.socket == wanted, f"socket {received.socket + 1} for {number}", f"socket {wanted + 1}")


@case("ENP-ORD-1", offers=AGENTS)
async def test_one_sender_over_all_links(ergo_context: Context) -> None:
    """A target delivers all messages of one process that are sent over three sockets in turn, in any order."""
    peer = await pooled(ergo_context)
    for i in range(90):
        peer.send_frame(peer.message("echo", i), i % 3)
    found = [(await peer.receive_message()).value.payload for _ in range(90)]
    peer.check(sorted(found) == list(range(90)), found, "each of the 90 once")


@pytest.mark.parametrize("number", [0, 1, 2], ids=lambda n: f"link_{n + 1}")
@pytest.mark.parametrize("how", ["close", "abort"])
@case("EHS-JOIN-9", offers=AGENTS)
async def test_link_goes(ergo_context: Context, how: str, number: int) -> None:
    """A connection stays alive over its other sockets when any socket of the pool, even the first, ends ({how})."""
    peer = await pooled(ergo_context)
    socket = peer.sockets[number]
    if how == "close":
        socket.close()
    else:
        socket.abort()
    for other in {0, 1, 2} - {number}:
        await serves_again(peer, other)


@case("EHS-JOIN-9", offers=AGENTS)
async def test_link_comes_back(ergo_context: Context) -> None:
    """A target serves a socket that joined to replace a closed one."""
    peer = await pooled(ergo_context)
    peer.sockets[1].close()
    await serves_again(peer, 0)
    accept = peer.endpoints[0].target_accept
    assert accept is not None
    await ergo_context.add_socket(peer, accept.ID)
    await serves_again(peer, 3)


@case("ENP-HDR-1", "ROB-ENP-7", offers=AGENTS, hostile=True)
async def test_frame_does_not_go_on_elsewhere(ergo_context: Context) -> None:
    """A target drops half a frame on a socket that ends and does not continue it on another socket."""
    peer = await pooled(ergo_context)
    data = peer.data_of(peer.message("echo", "in two halves"))
    peer.send_bytes(data[:20], "the first 20 bytes of a message", 1)
    await asyncio.sleep(0.05)
    peer.sockets[1].close()
    peer.send_bytes(data[20:], "the remaining bytes on another socket", 2)
    await serves_again(peer, 0)
    received = await peer.find(lambda f: isinstance(f, enp.MessagePID), 0.2)
    peer.check(received is None, received, "no message from two halves on two sockets")


@case("ENP-HDR-2", "ROB-ENP-7", offers=AGENTS, hostile=True)
async def test_bad_bytes_end_their_link_alone(ergo_context: Context) -> None:
    """A target closes only the socket on which bytes arrived that are not a frame."""
    peer = await pooled(ergo_context)
    peer.send_bytes(bytes([ehs.MAGIC]) + header(enp.FrameType.MESSAGE_PID)[1:], "a frame with magic 87", 2)
    await peer.expect_close(2)
    await serves_again(peer, 0)


@case("ENP-DOWN-1", offers=AGENTS)
async def test_all_links_go(ergo_context: Context) -> None:
    """A target accepts the same name again, with a new connection id, after the last socket has closed."""
    peer = await pooled(ergo_context)
    await peer.check_alive()
    for socket in peer.sockets:
        socket.close()
    deadline = asyncio.get_running_loop().time() + GONE
    while True:
        try:
            again = await ergo_context.peer(peer.name)
            await again.check_alive()
            break
        except ViolationError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.1)
