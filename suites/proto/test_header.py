"""The frame header: frame boundaries, invalid headers and unknown types."""

import pytest

from ergo_conformance.model.ergo import ehs, enp
from ergo_conformance.model.ergo.enp import FrameType
from ergo_conformance.peers.corruption.frames import TYPE_OFFSET, header, with_length
from ergo_conformance.testing import AGENTS, Context, Peer, case

UNKNOWN_TYPES = (0, 100, 108, 120, 125, 128, 132, 180, 187, 198, 210, 255)
"""Types that no release uses, adjacent to types that are used."""


def good(peer: Peer) -> bytes:
    """Returns a valid message to `echo`."""
    return peer.data_of(peer.message("echo", "hello"))


WRONG = {
    "magic_of_the_handshake": lambda data: bytes([ehs.MAGIC]) + data[1:],
    "magic_0": lambda data: b"\x00" + data[1:],
    "version_0": lambda data: data[:1] + b"\x00" + data[2:],
    "version_2": lambda data: data[:1] + b"\x02" + data[2:],
}


@pytest.mark.parametrize("wrong", list(WRONG))
@case("ENP-HDR-2", "ROB-ENP-7", offers=AGENTS, hostile=True)
async def test_start(ergo_context: Context, wrong: str) -> None:
    """A target closes the socket without a message when a frame, the first or a later one, has a wrong start ({wrong})."""
    other = await ergo_context.peer()
    for later in (False, True):
        peer = await ergo_context.peer()
        if later:
            await peer.check_alive()
        peer.send_bytes(WRONG[wrong](good(peer)), f"a message with a wrong start, {wrong.replace('_', ' ')}")
        received = await peer.find(lambda frame: True, 5.0)
        peer.check(received is None, received, "no frame before the close")
        await peer.expect_close()
        await other.check_alive()


STRANGERS = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tls": bytes.fromhex("160301020001fc0303"),
    "zeros_behind_a_length": b"\x00\x00\x00\x00\x00\x10" + bytes(10),
    "text": b"hello? is anybody there?\n",
}


@pytest.mark.parametrize("kind", list(STRANGERS))
@case("ROB-ENP-7", "ROB-ENP-3", offers=AGENTS, hostile=True)
async def test_stranger(ergo_context: Context, kind: str) -> None:
    """A target does not answer bytes of another protocol ({kind}) and closes no other socket."""
    peer, other = await ergo_context.peer(), await ergo_context.peer()
    peer.send_bytes(STRANGERS[kind], f"bytes of another protocol: {kind}")
    received = await peer.find(lambda frame: True, 0.5)
    peer.check(received is None, received, "no answer")
    await other.check_alive()


@pytest.mark.parametrize("length", [0, 1, 6, 7], ids=lambda n: f"length_{n}")
@case("ENP-HDR-3", "ROB-ENP-1", offers=AGENTS, hostile=True, dangerous=True)
async def test_length_below_a_header(ergo_context: Context, length: int) -> None:
    """A target closes the socket and keeps running when a frame announces {length} bytes, fewer than its header has."""
    peer, other = await ergo_context.peer(), await ergo_context.peer()
    peer.send_bytes(header(FrameType.MESSAGE_PID, length), f"a header with length {length}")
    await peer.expect_close()
    await other.check_alive()


@case("ENP-HDR-4", offers=AGENTS)
async def test_header_alone(ergo_context: Context) -> None:
    """A target drops a frame of eight bytes, a header without a body, of any type; the socket stays open."""
    peer = await ergo_context.peer()
    for type_ in FrameType:
        peer.send_bytes(header(type_), f"a header of type {type_} without a body")
        await peer.check_alive()


@pytest.mark.parametrize("type_", UNKNOWN_TYPES, ids=lambda n: f"type_{n}")
@case("ENP-HDR-6", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_unknown_type(ergo_context: Context, type_: int) -> None:
    """A target ignores a frame of the unknown type {type_}, with or without a body; the socket stays open."""
    peer = await ergo_context.peer()
    data = bytearray(good(peer))
    data[TYPE_OFFSET] = type_
    for body in (header(type_), bytes(data)):
        peer.send_bytes(body, f"{len(body)} bytes of a frame of type {type_}")
        await peer.expect_none(lambda frame: True, "answer to a frame of unknown type", within=0.05)


@case("ENP-HDR-6", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_types_of_other_releases(ergo_context: Context) -> None:
    """A target ignores a frame of a reserved type or of a type of newer releases; the socket stays open."""
    peer = await ergo_context.peer()
    for type_ in (*enp.RESERVED, *enp.NEWEST_TYPES):
        peer.send_bytes(header(type_), f"a header of type {type_}")
        await peer.check_alive()


@case("ROB-ENP-2", "ROB-ENP-1", offers=AGENTS, hostile=True)
async def test_announced_4_gib(ergo_context: Context) -> None:
    """A target allocates nothing for ten sockets that announce 4 GiB each, and serves others meanwhile."""
    for _ in range(10):
        peer = await ergo_context.peer()
        peer.send_bytes(header(FrameType.MESSAGE_PID, 2**32 - 1) + bytes(100), "a header with length 4 GiB, 100 bytes")
    await (await ergo_context.peer()).check_alive()


NO_FRAME = b"\x00" + (16).to_bytes(4, "big") + bytes(10)
"""Bytes that follow one leftover byte: sixteen bytes that announce a length of sixteen and do not begin with the magic."""


@pytest.mark.parametrize("off", [-1, 1], ids=["one_too_small", "one_too_large"])
@case("ENP-HDR-1", "ENP-HDR-2", "ROB-ENP-7", offers=AGENTS, hostile=True)
async def test_length_off_by_one(ergo_context: Context, off: int) -> None:
    """A target closes the socket when a length that is wrong by {off} makes the next frame begin without the magic."""
    peer, other = await ergo_context.peer(), await ergo_context.peer()
    data = good(peer)
    rest = NO_FRAME if off < 0 else b"\x00\x00" + NO_FRAME
    peer.send_bytes(
        with_length(data, len(data) + off) + rest, f"a message, its length wrong by {off:+d}, and further bytes"
    )
    await peer.expect_close()
    await other.check_alive()
