"""Limits: what a target announces it keeps, and what we announce it keeps to."""

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Algorithm, FrameType
from ergo_conformance.peers.corruption.frames import header
from ergo_conformance.peers.ergo.connection import ORDER, Peer
from ergo_conformance.testing import AGENTS, Context, case

LIMIT = 30_000
LIMITED = {"max_message_size": LIMIT}
OURS = 5_000


def message_of(peer: Peer, size: int) -> bytes:
    """A message to echo whose frame has this many bytes."""
    empty = len(peer.data_of(peer.message("echo", b"")))
    return peer.data_of(peer.message("echo", bytes(size - empty)))


@case("ENP-HDR-5", offers=AGENTS, config=LIMITED)
async def test_announced(ergo_context: Context) -> None:
    """A target with a limit announces it in its Introduce."""
    peer = await ergo_context.peer()
    found = peer.introduce.MaxMessageSize
    peer.check(found == LIMIT, f"MaxMessageSize {found}", f"MaxMessageSize {LIMIT}")


@case("ENP-HDR-5", offers=AGENTS, config=LIMITED)
async def test_within_the_limit(ergo_context: Context) -> None:
    """A frame of exactly as many bytes as are allowed is delivered."""
    peer = await ergo_context.peer()
    peer.send_bytes(message_of(peer, LIMIT), f"a message, its frame of {LIMIT} bytes")
    await peer.receive_message()


@pytest.mark.parametrize("size", [LIMIT + 1, 2**32 - 1], ids=lambda n: f"{n}_bytes")
@case("ENP-HDR-5", "ROB-ENP-2", offers=AGENTS, config=LIMITED, hostile=True)
async def test_above_the_limit(ergo_context: Context, size: int) -> None:
    """A frame of {size} bytes ends its link as soon as the header is there: nobody waits for the rest."""
    peer = await ergo_context.peer()
    peer.send_bytes(header(FrameType.MESSAGE_NAME, size), f"a header that announces {size} bytes")
    await peer.expect_close(within=1.0)


@case("ENP-HDR-5", "ROB-ENP-7", offers=AGENTS, config=LIMITED, hostile=True)
async def test_one_link_alone(ergo_context: Context) -> None:
    """A frame above the limit ends the link it came over, and no other one."""
    peer, other = await ergo_context.peer(sockets=2), await ergo_context.peer()
    peer.send_bytes(message_of(peer, LIMIT + 1), "a message, its frame one byte above the limit", 1)
    await peer.expect_close(1)
    await peer.check_alive()
    await other.check_alive()


@pytest.mark.parametrize("call", ["plain", "compressed"])
@case("ENP-SIZE-1", offers=AGENTS)
async def test_our_limit(ergo_context: Context, call: str) -> None:
    """Nothing longer than we announced is sent to us, not the answer to a long {call} call either; others come."""
    peer = await ergo_context.peer(MaxMessageSize=OURS)
    ref = peer.new_ref()
    how = {"algorithm": Algorithm.ZLIB} if call == "compressed" else {}
    peer.send_frame(peer.request("echo", ergo_context.rng.randbytes(20_000), ref, order=ORDER), **how)
    peer.send_frame(peer.message("echo", ergo_context.rng.randbytes(20_000), order=ORDER), **how)
    small = await peer.call("echo", bytes(4_000))
    peer.check(small == bytes(4_000), f"{small!r:.40}", "the answer that is short enough")
    await peer.expect_none(
        lambda f: isinstance(f, enp.MessagePID | enp.Response), f"frame longer than {OURS} bytes", 0.5
    )


@case("ENP-SIZE-2", offers=AGENTS)
async def test_answer_above_our_limit(ergo_context: Context) -> None:
    """An answer that is too long for the caller is dropped where it was made: the caller hears nothing."""
    peer = await ergo_context.peer(MaxMessageSize=OURS)
    await peer.expect_no_answer(peer.ask("echo", ergo_context.rng.randbytes(20_000)), within=0.5)


@case("ENP-SIZE-1", offers=AGENTS)
async def test_limits_of_two_peers(ergo_context: Context) -> None:
    """The limit of one peer does not bind what another one gets."""
    narrow, wide = await ergo_context.peer(MaxMessageSize=OURS), await ergo_context.peer()
    await narrow.check_alive()
    payload = ergo_context.rng.randbytes(20_000)
    wide.check(await wide.call("echo", payload) == payload, "something else", "the 20,000 bytes that were sent")
