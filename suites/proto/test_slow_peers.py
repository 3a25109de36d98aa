"""Peers that do not read: what a target keeps for them is bounded."""

import asyncio

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.values import Atom
from ergo_conformance.testing import AGENTS, ORDER, PROCESS, Context, PeerSocket, case

MEGABYTE = 1 << 20
CALLS = 100
SETTLED = 1.0
"""Seconds without progress after which a target is taken to read no more."""


async def until_settled(socket: PeerSocket) -> int:
    """Waits until the target has taken all bytes, or takes no more. Returns the number of bytes that it has not taken."""
    left, since = socket.unsent, socket.now()
    while left and socket.now() - since < SETTLED:
        await asyncio.sleep(0.05)
        if socket.unsent != left:
            left, since = socket.unsent, socket.now()
    return left


async def received(socket: PeerSocket) -> int:
    """Reads until the target has sent nothing for SETTLED seconds, or has closed the socket. Returns the number of bytes."""
    socket.resume_reading()
    found = 0
    while chunk := await socket.read(SETTLED):
        found += len(chunk)
    return found


@case("ROB-ENP-5", "ROB-ENP-3", offers=AGENTS, hostile=True, exclusive=True)
async def test_unread_answers(ergo_context: Context) -> None:
    """A target that takes a hundred calls of a megabyte does not keep all answers for a peer that reads none of them."""
    peer, good = await ergo_context.peer(), await ergo_context.peer()
    socket = peer.sockets[0]
    data = peer.data_of(enp.RequestName(ORDER, PROCESS, 0, (1, 2, 3), Atom("echo_cached"), bytes(MEGABYTE)))
    socket.stop_reading()
    for i in range(CALLS):
        peer.send_bytes(data, "calls with one megabyte each, no answer is read")
        if i % 10 == 0:
            await good.check_alive()
    unsent = await until_settled(socket)
    kept = await received(socket)
    peer.check(
        unsent > 0 or kept < CALLS * MEGABYTE,
        f"{kept:,} bytes of answers, all of them, after the target had taken all calls",
        "a closed socket, or calls that the target takes only after its answers were read",
    )
    await good.check_alive()
