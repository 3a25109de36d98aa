"""Isolation of peers: floods, silence, half-closed sockets and early frames of one peer do not affect other peers."""

import asyncio

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.ehs import HandshakeState
from ergo_conformance.model.ergo.enp import FrameType
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.corruption.frames import UNKNOWN_NAME, header, with_payload
from ergo_conformance.spec.ergo.ehs import write_frame
from ergo_conformance.testing import AGENTS, ORDER, PROCESS, Context, Dialer, Peer, case

MEGABYTE = 1 << 20


# --- frames before the handshake is complete --------------------------------------------------------------------------


async def delivers_nothing(ergo_context: Context, peer: Peer, dialer: Dialer, before: bytes, description: str) -> None:
    """Sends handshake bytes and a message to `sink` in one segment: the socket is closed and `sink` gets nothing."""
    count = await peer.call("sink", "count")
    dialer.send_bytes(before + peer.data_of(peer.message("sink", dialer.token(8))), description)
    await dialer.expect_close(bytes_allowed=True)
    await peer.check_alive()
    found = await peer.call("sink", "count")
    peer.check(found == count, f"{found - count} further messages at sink", "no further message at sink")


@pytest.mark.parametrize(
    "state", [HandshakeState.AWAIT_HELLO, HandshakeState.HELLO_ANSWERED], ids=["first", "behind_hello"]
)
@case("ROB-ENP-4", offers=AGENTS, hostile=True, exclusive=True)
async def test_before_the_digest(ergo_context: Context, state: HandshakeState) -> None:
    """A target delivers no frame that is sent instead of a handshake message, before a digest was verified."""
    dialer = await ergo_context.dial(state=state)
    await delivers_nothing(
        ergo_context, await ergo_context.peer(), dialer, b"", "a message to sink instead of a handshake message"
    )


@case("ROB-ENP-4", offers=AGENTS, hostile=True, exclusive=True)
async def test_behind_a_bad_introduce(ergo_context: Context) -> None:
    """A target delivers no frame from the segment of an Introduce with a wrong digest."""
    dialer = await ergo_context.dial(state=HandshakeState.HELLO_ANSWERED)
    before = write_frame(dialer.introduce(Digest=dialer.token(64)))
    await delivers_nothing(
        ergo_context, await ergo_context.peer(), dialer, before, "an Introduce with a wrong digest, a message to sink"
    )


@case("ROB-ENP-4", offers=AGENTS, hostile=True, exclusive=True)
async def test_behind_a_bad_join(ergo_context: Context) -> None:
    """A target delivers no frame from the segment of a Join with a wrong digest."""
    peer = await ergo_context.peer()
    accept = peer.endpoints[0].target_accept
    assert accept is not None
    dialer = await ergo_context.dial(peer.name)
    before = write_frame(dialer.join(accept.ID, Digest=dialer.token(64)))
    await delivers_nothing(ergo_context, peer, dialer, before, "a Join with a wrong digest, a message to sink")


# --- many peers and many frames ---------------------------------------------------------------------------------------


@case("ROB-ENP-3", "ROB-ENP-1", offers=AGENTS)
async def test_fifty_peers(ergo_context: Context) -> None:
    """A target serves fifty concurrent peers and sends each its own answers."""
    peers = [await ergo_context.peer() for _ in range(50)]
    refs = [peer.ask("echo", f"question {i}") for i, peer in enumerate(peers)]
    for i, (peer, ref) in enumerate(zip(peers, refs, strict=True)):
        answer = (await peer.answer(ref)).value
        peer.check(getattr(answer, "payload", None) == f"question {i}", answer, f"the answer to question {i}")


@pytest.mark.parametrize("how", ["close", "abort"])
@case("ROB-ENP-3", "ENP-DOWN-1", offers=AGENTS, hostile=True)
async def test_churn(ergo_context: Context, how: str) -> None:
    """A target serves the next peer after fifty peers, one after another, have connected, called and gone ({how})."""
    for _ in range(50):
        peer = await ergo_context.peer()
        await peer.check_alive()
        socket = peer.sockets[0]
        if how == "close":
            socket.close()
        else:
            socket.abort()
    await (await ergo_context.peer()).check_alive()


@case("ROB-ENP-3", "ROB-ENP-1", offers=AGENTS, hostile=True)
async def test_gone_before_the_answer(ergo_context: Context) -> None:
    """A target serves others while twenty peers disconnect before their answers, some within a frame."""
    other = await ergo_context.peer()
    for i in range(20):
        peer = await ergo_context.peer()
        for _ in range(10):
            peer.ask("echo", "question")
        if i % 2:
            peer.send_bytes(peer.data_of(peer.message("echo", "cut"))[:20], "the first 20 bytes of a message")
        peer.sockets[0].abort()
    await other.check_alive()


@case("ROB-ENP-1", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_flood_of_bad_frames(ergo_context: Context) -> None:
    """A target keeps the connection open after two thousand frames that cannot be decoded."""
    peer, other = await ergo_context.peer(), await ergo_context.peer()
    bad = with_payload(peer.message("echo", True), peer, b"\x00\x01")
    peer.send_bytes((bad + header(0)) * 1_000, "two thousand frames that cannot be decoded")
    await peer.check_alive()
    await other.check_alive()


@case("ROB-ENP-1", "ENP-DLV-1", offers=AGENTS, hostile=True)
async def test_flood_for_nobody(ergo_context: Context) -> None:
    """A target drops twenty thousand messages to unknown processes; the connection stays open."""
    peer, other = await ergo_context.peer(), await ergo_context.peer()
    peer.send_bytes(
        peer.data_of(peer.message(UNKNOWN_NAME, "hello")) * 20_000, "twenty thousand messages to an unknown process"
    )
    await peer.check_alive()
    await other.check_alive()


@case("ROB-ENP-2", "ROB-ENP-3", offers=AGENTS, hostile=True)
async def test_thirty_unfinished_frames(ergo_context: Context) -> None:
    """A target serves others while thirty peers each announce a megabyte and send only ten bytes."""
    for _ in range(30):
        peer = await ergo_context.peer()
        peer.send_bytes(
            header(FrameType.MESSAGE_PID, MEGABYTE) + bytes(10), "the first bytes of a frame of one megabyte"
        )
    await (await ergo_context.peer()).check_alive()


# --- slow and silent peers --------------------------------------------------------------------------------------------


@case("ENP-KA-1", offers=AGENTS)
async def test_idle(ergo_context: Context) -> None:
    """A target sends nothing on an idle connection for two and a half seconds, then answers a call."""
    peer = await ergo_context.peer()
    received = await peer.find(lambda frame: True, 2.5)
    peer.check(received is None, received, "no frame on an idle connection")
    await peer.check_alive()


@case("ENP-HDR-1", "ROB-ENP-3", offers=AGENTS)
async def test_long_pause_within_a_frame(ergo_context: Context) -> None:
    """A target waits two seconds for the rest of a frame and serves others meanwhile."""
    peer, other = await ergo_context.peer(), await ergo_context.peer()
    data = peer.data_of(peer.message("echo", "hello"))
    peer.send_bytes(data[:20], "the first 20 bytes of a message")
    await other.check_alive()
    await asyncio.sleep(2.0)
    peer.send_bytes(data[20:], "the remaining bytes")
    message = (await peer.receive_message()).value
    peer.check(message.payload == "hello", message, "the message back from echo")


@case("ROB-ENP-5", "ROB-ENP-3", offers=AGENTS, hostile=True, exclusive=True)
async def test_peer_that_does_not_read(ergo_context: Context) -> None:
    """A target serves others while a peer requests a hundred megabytes and reads none of them."""
    peer, good = await ergo_context.peer(), await ergo_context.peer()
    socket = peer.sockets[0]
    on_a_socket = socket.transport is not None and socket.transport.get_extra_info("socket") is not None
    frame = enp.RequestName(ORDER, PROCESS, 0, (1, 2, 3), Atom("echo_cached"), bytes(MEGABYTE))
    data = peer.data_of(frame)
    socket.stop_reading()
    for i in range(100 if on_a_socket else 5):
        peer.send_bytes(data, "calls with one megabyte each, no answer is read")
        if i % 10 == 0:
            await good.check_alive()
    await good.check_alive()
    await (await ergo_context.peer()).check_alive()


@case("ROB-ENP-1", "ROB-ENP-3", offers=AGENTS, hostile=True)
async def test_half_closed(ergo_context: Context) -> None:
    """A target answers the earlier calls of a peer that shut down its sending side, or closes the socket."""
    peer, other = await ergo_context.peer(), await ergo_context.peer()
    ref = peer.ask("echo", "question")
    peer.sockets[0].end_writing()
    received = await peer.find(lambda f: isinstance(f, enp.Response) and f.ref == ref, 2.0)
    peer.check(
        received is not None or peer.sockets[0].eof,
        "no answer and an open socket",
        "the answer, or a closed socket",
    )
    await other.check_alive()


@case("EHS-JOIN-9", "ROB-ENP-3", offers=AGENTS, hostile=True)
async def test_half_closed_link_of_a_pool(ergo_context: Context) -> None:
    """A target keeps using the other sockets of a connection when one socket is half-closed."""
    peer = await ergo_context.peer(sockets=2)
    peer.sockets[1].end_writing()
    await asyncio.sleep(0.1)
    for _ in range(10):
        ref = peer.new_ref()
        peer.send_frame(peer.request("echo", "question", ref), 0)
        if await peer.find(lambda f, ref=ref: isinstance(f, enp.Response) and f.ref == ref, 0.5):  # type: ignore[misc]
            return
    peer.fail("no answer to ten calls", "an answer over a socket that is not half-closed")
