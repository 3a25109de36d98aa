"""Message size limits: the target enforces the limit it announces and respects the limit of the tester."""

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Algorithm, FrameType
from ergo_conformance.peers.corruption.frames import header
from ergo_conformance.testing import AGENTS, ORDER, Context, Peer, case

LIMIT = 30_000
LIMITED = {"max_message_size": LIMIT}
OURS = 5_000


def message_of(peer: Peer, size: int) -> bytes:
    """Returns a message to `echo` whose frame has this many bytes."""
    empty = len(peer.data_of(peer.message("echo", b"")))
    return peer.data_of(peer.message("echo", bytes(size - empty)))


@case("ENP-HDR-5", offers=AGENTS, config=LIMITED)
async def test_announced(ergo_context: Context) -> None:
    """A target with a message size limit announces it in its Introduce."""
    peer = await ergo_context.peer()
    found = peer.introduce.MaxMessageSize
    peer.check(found == LIMIT, f"MaxMessageSize {found}", f"MaxMessageSize {LIMIT}")


@case("ENP-HDR-5", offers=AGENTS, config=LIMITED)
async def test_within_the_limit(ergo_context: Context) -> None:
    """A target delivers a frame whose length equals its limit."""
    peer = await ergo_context.peer()
    peer.send_bytes(message_of(peer, LIMIT), f"a message whose frame has {LIMIT} bytes")
    await peer.receive_message()


@pytest.mark.parametrize("size", [LIMIT + 1, 2**32 - 1], ids=lambda n: f"{n}_bytes")
@case("ENP-HDR-5", "ROB-ENP-2", offers=AGENTS, config=LIMITED, hostile=True)
async def test_above_the_limit(ergo_context: Context, size: int) -> None:
    """A target closes the socket at once when a header announces a frame of {size} bytes, above its limit."""
    peer = await ergo_context.peer()
    peer.send_bytes(header(FrameType.MESSAGE_NAME, size), f"a header that announces {size} bytes")
    await peer.expect_close(within=1.0)


@case("ENP-HDR-5", "ROB-ENP-7", offers=AGENTS, config=LIMITED, hostile=True)
async def test_one_link_alone(ergo_context: Context) -> None:
    """A target closes only the socket on which a frame above its limit arrived."""
    peer, other = await ergo_context.peer(sockets=2), await ergo_context.peer()
    peer.send_bytes(message_of(peer, LIMIT + 1), "a message whose frame is one byte above the limit", 1)
    await peer.expect_close(1)
    await peer.check_alive()
    await other.check_alive()


@pytest.mark.parametrize("call", ["plain", "compressed"])
@case("ENP-SIZE-1", offers=AGENTS)
async def test_our_limit(ergo_context: Context, call: str) -> None:
    """A target sends no frame above the tester's limit, not even the answer to a long {call} call; shorter frames arrive."""
    peer = await ergo_context.peer(MaxMessageSize=OURS)
    ref = peer.new_ref()
    how = {"algorithm": Algorithm.ZLIB} if call == "compressed" else {}
    peer.send_frame(peer.request("echo", ergo_context.rng.randbytes(20_000), ref, order=ORDER), **how)
    peer.send_frame(peer.message("echo", ergo_context.rng.randbytes(20_000), order=ORDER), **how)
    small = await peer.call("echo", bytes(4_000))
    peer.check_equal(small, bytes(4_000), "the answer that is short enough")
    await peer.expect_none(
        lambda f: isinstance(f, enp.MessagePID | enp.Response), f"frame longer than {OURS} bytes", 0.5
    )


@case("ENP-SIZE-2", offers=AGENTS)
async def test_answer_above_our_limit(ergo_context: Context) -> None:
    """Upstream drops an answer that exceeds the caller's limit, and the caller gets no answer."""
    peer = await ergo_context.peer(MaxMessageSize=OURS)
    await peer.expect_no_answer(peer.ask("echo", ergo_context.rng.randbytes(20_000)), within=0.5)


@case("ENP-SIZE-1", offers=AGENTS)
async def test_limits_of_two_peers(ergo_context: Context) -> None:
    """A target applies the limit of one peer only to that peer."""
    narrow, wide = await ergo_context.peer(MaxMessageSize=OURS), await ergo_context.peer()
    await narrow.check_alive()
    payload = ergo_context.rng.randbytes(20_000)
    wide.check_equal(await wide.call("echo", payload), payload, "the bytes that were sent")


@case("ENP-SIZE-1", "ENP-T-129", offers=AGENTS)
async def test_exactly_our_limit(ergo_context: Context) -> None:
    """A target sends an answer and a message whose frames have exactly the tester's limit, and none with one byte more."""
    peer = await ergo_context.peer(MaxMessageSize=OURS)
    empty = enp.Response(0, 1, 0, 1, (1, 2, 3), b""), enp.MessagePID(0, 1, 0, 0, 1, b"")
    answer, message = (bytes(OURS - len(peer.data_of(frame))) for frame in empty)
    value = await peer.call("echo", answer)
    peer.check(value == answer, f"{value!r:.40}", "an answer whose frame is as long as the limit")
    peer.send("echo", message)
    await peer.receive_message()
    ref = peer.ask("echo", answer + b"x")
    peer.send("echo", message + b"x")
    await peer.expect_no_answer(ref)
    await peer.expect_none(lambda f: isinstance(f, enp.MessagePID), f"message longer than {OURS} bytes")
