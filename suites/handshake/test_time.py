"""Timing of the handshake: silent clients, slow clients, half-closed sockets, and concurrent handshakes."""

import asyncio

import pytest

from ergo_conformance.model.ergo.ehs import Accept, HandshakeState, Hello, Introduce
from ergo_conformance.testing import REPLY_TIMEOUT, Context, case, frame, payload_of

WAITING = (HandshakeState.AWAIT_HELLO, HandshakeState.HELLO_ANSWERED, HandshakeState.AWAIT_ACCEPT)
waiting = pytest.mark.parametrize("state", WAITING, ids=lambda state: state.name.lower())
SOON = 5.0
"""Seconds in which a socket is closed that has no exact limit."""


@waiting
@case("EHS-TIME-1", "ROB-EHS-6", hostile=True)
async def test_silence(ergo_context: Context, state: HandshakeState) -> None:
    """An acceptor closes the socket without a message after one second of silence."""
    await ergo_context.expect_time_limit(state)


@pytest.mark.parametrize("sent", [1, 5, 6, 20], ids=lambda n: f"after_{n}_bytes")
@case("EHS-TIME-1", "ROB-EHS-6", hostile=True)
async def test_silence_within_a_frame(ergo_context: Context, sent: int) -> None:
    """An acceptor closes the socket after one second of silence within a frame."""
    await ergo_context.expect_time_limit(
        send=lambda dialer: dialer.send_bytes(
            frame(payload_of(dialer.hello()))[:sent], f"the first {sent} bytes of a valid Hello"
        )
    )


@waiting
@case("ROB-EHS-6", "ROB-EHS-10", hostile=True)
async def test_half_close(ergo_context: Context, state: HandshakeState) -> None:
    """An acceptor closes the socket of a peer that shuts down its sending side during the handshake."""
    dialer = await ergo_context.dial(state=state)
    dialer.socket.end_writing()
    await dialer.expect_close(SOON)


@waiting
@case("ROB-EHS-10", "ROB-EHS-3", hostile=True)
async def test_disconnect(ergo_context: Context, state: HandshakeState) -> None:
    """An acceptor serves a peer that disconnected during a handshake and reconnects at once under the same name."""
    dialer = await ergo_context.dial(state=state)
    dialer.socket.abort()
    again, _ = await ergo_context.connected(dialer.name)
    await again.expect_open(0.2)


@case("EHS-TIME-2")
async def test_drip(ergo_context: Context) -> None:
    """An acceptor serves a message sent in pieces with pauses of 0.6 s, because every read restarts the time limit."""
    dialer = await ergo_context.dial()
    data = frame(payload_of(dialer.hello()))
    await dialer.socket.drip(data, size=len(data) // 4, gap=0.6)
    await dialer.expect(Hello)


@case("ROB-EHS-6", "ROB-EHS-7", hostile=True)
async def test_endless_drip_ends(ergo_context: Context) -> None:
    """An acceptor serves a conforming peer while another client sends a frame slowly and never completes it."""
    dialer = await ergo_context.dial()
    data = frame(payload_of(dialer.hello()))
    drip = asyncio.create_task(dialer.socket.drip(data[:12], size=1, gap=0.3))
    good, _ = await ergo_context.connected()
    await good.expect_open(0.1)
    await drip


@case("EHS-TIME-5")
async def test_deadline_is_lifted(ergo_context: Context) -> None:
    """A silent socket stays open after the handshake is complete."""
    dialer, _ = await ergo_context.connected()
    await dialer.expect_open(2.5)


@case("EHS-TIME-1", "ROB-EHS-6", hostile=True)
async def test_silence_the_second_time(ergo_context: Context) -> None:
    """An acceptor closes a silent socket after one second also while other sockets are open and after it has closed some."""
    await ergo_context.connected()
    for state in (*WAITING, *WAITING):
        await ergo_context.expect_time_limit(state)


@case("EHS-TIME-5", "EHS-JOIN-8")
async def test_deadline_is_lifted_on_joined_links(ergo_context: Context) -> None:
    """A silent joined socket stays open."""
    first, accept = await ergo_context.connected()
    if accept.PoolSize < 2:
        ergo_context.skip("the target announces a pool of one socket")
    dialer = await ergo_context.join(first, accept.ID)
    await dialer.expect(Accept)
    await dialer.expect_open(2.5)


@case("EHS-TIME-3")
async def test_silent_client_delays_others(ergo_context: Context) -> None:
    """Upstream serves a peer only after an earlier silent client has timed out."""
    await ergo_context.socket("silent")
    started = asyncio.get_running_loop().time()  # before the dial: over TLS the silent client delays that already
    dialer = await ergo_context.dial()
    dialer.send(dialer.hello())
    await dialer.expect(Hello)
    took = dialer.socket.now() - started
    dialer.check_timing(took > 0.5, f"an answer after {took:.2f} s", "an answer after a second")


@case("ROB-EHS-7", "ROB-EHS-2", hostile=True)
async def test_many_silent_clients(ergo_context: Context) -> None:
    """An acceptor serves a peer while twenty silent sockets are open, within the time that a serial acceptor needs."""
    for i in range(20):
        await ergo_context.socket(f"silent {i + 1}")
    dialer = await ergo_context.dial()
    dialer.send(dialer.hello())
    await dialer.expect(Hello, within=25.0 if ergo_context.target.serial else REPLY_TIMEOUT)


@case("ROB-EHS-2", "ROB-EHS-3")
async def test_many_failed_handshakes(ergo_context: Context) -> None:
    """An acceptor serves the next peer after a hundred refused handshakes."""
    for _ in range(100):
        dialer = await ergo_context.dial()
        dialer.send(dialer.hello(Digest="wrong"))
        await dialer.expect_close()
    await ergo_context.still_serves()


@case("ROB-EHS-8", "EHS-AST-4", "EHS-AST-5")
async def test_handshakes_side_by_side(ergo_context: Context) -> None:
    """An acceptor completes ten concurrent handshakes whose steps alternate."""
    if ergo_context.target.serial:
        for _ in range(10):
            await ergo_context.connected()
        return
    dialers = [await ergo_context.dial() for _ in range(10)]
    for dialer in dialers:
        dialer.send(dialer.hello())
    for dialer in dialers:
        await dialer.expect(Hello)
        dialer.send(dialer.introduce())
    for dialer in dialers:
        await dialer.expect(Accept)
        await dialer.expect(Introduce)
        dialer.send(Accept())
    await asyncio.gather(*(dialer.expect_open(0.3) for dialer in dialers))
