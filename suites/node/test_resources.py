"""What a started target uses: memory, file descriptors and threads return to their level after each round of a load.

The load is done once before the first measurement: caches, pools and allocators grow then. A target that was not started by the
toolkit, and one in the tester's own process, can't be measured.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Final

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.values import Atom
from ergo_conformance.targets.usage import Usage
from ergo_conformance.testing import AGENTS, Context, Peer, case

ROUNDS: Final = 4
"""Rounds after the first measurement; memory has to grow in each of them for a FAIL."""
COUNT: Final = 60
"""Connections of a round."""
FRAMES: Final = 1_000
"""Frames of a round."""
BYTES_EACH: Final = 8_192
"""Growth of the memory for each connection of a round that is a FAIL."""
BYTES_A_FRAME: Final = 1_024
"""The same for each frame."""
DESCRIPTORS: Final = 5
"""File descriptors that may be open more than before."""
THREADS: Final = 16
"""Threads that may run more than before: runtimes start some as they need them."""
SETTLE_SECONDS: Final = 10.0
"""Time in which a target has to close the sockets of a round."""
MEGABYTE: Final = 1 << 20
UNREAD: Final = 150
"""Megabytes that a peer asks for and does not read."""
MAX_UNREAD: Final = 96
"""Megabytes that the target may use more for them."""


async def settled(ctx: Context, base: Usage | None) -> Usage:
    """Returns what the target uses once its descriptors are back at the level of `base`, or after SETTLE_SECONDS."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SETTLE_SECONDS
    while True:
        await asyncio.sleep(0.2)
        usage = ctx.usage()
        if loop.time() > deadline or (base is not None and usage.descriptors <= base.descriptors + DESCRIPTORS):
            return usage
        if base is None and usage == ctx.usage():
            return usage


async def close_all(ctx: Context) -> None:
    """Closes the sockets of the case and waits for their ends."""
    for socket in ctx.sockets:
        socket.close()
    for socket in ctx.sockets:
        await socket.wait_closed()
    ctx.sockets.clear()


async def expect_return(ctx: Context, load: Callable[[], Awaitable[None]], what: str, allowed: int) -> None:
    """Checks that a load, done in rounds, leaves nothing behind. `allowed`: bytes by which the memory may grow in a round."""
    ctx.usage()
    await load()
    found = [await settled(ctx, None)]
    for _ in range(ROUNDS):
        await load()
        found.append(await settled(ctx, found[0]))
    first, last = found[0], found[-1]
    growth = [after.memory - before.memory for before, after in pairwise(found)]
    dialer = await ctx.dial()
    dialer.check_timing(
        last.descriptors <= first.descriptors + DESCRIPTORS,
        f"open file descriptors after each round of {what}: {', '.join(str(each.descriptors) for each in found)}",
        f"at most {first.descriptors + DESCRIPTORS} after {SETTLE_SECONDS:g} s",
    )
    dialer.check(
        last.threads <= first.threads + THREADS,
        f"threads after each round of {what}: {', '.join(str(each.threads) for each in found)}",
        f"at most {first.threads + THREADS}",
    )
    dialer.check(
        min(growth) <= allowed,
        f"memory after each round of {what}, in kB: {', '.join(str(each.memory // 1000) for each in found)}",
        f"at least one round in which it grows by at most {allowed // 1000} kB",
    )


@case("ROB-EHS-2", "ROB-EHS-15", offers=("accept",), exclusive=True)
async def test_refused_handshakes(ergo_context: Context) -> None:
    """A target keeps nothing of handshakes that it has refused."""

    async def load() -> None:
        for _ in range(COUNT):
            dialer = await ergo_context.dial()
            dialer.send(dialer.hello(Digest="0" * 64))
            await dialer.expect_close()
            await close_all(ergo_context)

    await expect_return(ergo_context, load, f"{COUNT} refused handshakes", COUNT * BYTES_EACH)


@case("ROB-EHS-15", offers=("accept",), exclusive=True)
async def test_silent_sockets(ergo_context: Context) -> None:
    """A target keeps nothing of sockets on which no byte was sent and that have been closed."""

    async def load() -> None:
        for _ in range(COUNT):
            await ergo_context.socket()
        await close_all(ergo_context)

    await expect_return(ergo_context, load, f"{COUNT} silent sockets", COUNT * BYTES_EACH)


@case("ROB-EHS-15", offers=("accept",), exclusive=True)
async def test_ended_connections(ergo_context: Context) -> None:
    """A target keeps nothing of connections that have ended."""

    async def load() -> None:
        for _ in range(COUNT):
            await ergo_context.connected()
            await close_all(ergo_context)

    await expect_return(ergo_context, load, f"{COUNT} connections", COUNT * BYTES_EACH)


@case("ROB-ENP-9", offers=AGENTS, exclusive=True)
async def test_answered_calls(ergo_context: Context) -> None:
    """A target keeps nothing of calls that it has answered."""
    peer = await ergo_context.peer()

    async def load() -> None:
        for start in range(0, FRAMES, 100):
            for i in range(100):
                peer.ask("echo", start + i)
            await peer.answers(100)

    await expect_return(ergo_context, load, f"{FRAMES} calls", FRAMES * BYTES_A_FRAME)


async def ask_without_reading(peer: Peer) -> None:
    """Asks for UNREAD megabytes and reads none of them."""
    peer.sockets[0].stop_reading()
    frame = enp.RequestName(PROCESS_ORDER, PROCESS, 0, (1, 2, 3), Atom("echo_cached"), bytes(MEGABYTE))
    data = peer.data_of(frame)
    for _ in range(UNREAD):
        peer.send_bytes(data, "calls with one megabyte each, no answer is read")


PROCESS: Final = 1_001
PROCESS_ORDER: Final = PROCESS % enp.ORDER_MODULUS


@case("ROB-ENP-5", offers=AGENTS, exclusive=True, hostile=True)
async def test_peer_that_does_not_read(ergo_context: Context) -> None:
    """A target uses bounded memory for a peer that asks for a hundred and fifty megabytes and reads none of them."""
    good, peer = await ergo_context.peer(), await ergo_context.peer()
    before = ergo_context.usage()
    await ask_without_reading(peer)
    most = before.memory
    loop = asyncio.get_running_loop()
    deadline = loop.time() + 3.0
    while loop.time() < deadline:
        await good.check_alive()
        most = max(most, ergo_context.usage().memory)
        await asyncio.sleep(0.05)
    good.check(
        most - before.memory <= MAX_UNREAD * MEGABYTE,
        f"its memory grew by {(most - before.memory) // MEGABYTE} MB",
        f"growth by at most {MAX_UNREAD} MB",
    )
