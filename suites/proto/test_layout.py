"""Layout of frames: the header, frames of every length, every type, numbers with eight different bytes, first and last ids."""

import pytest

from ergo_conformance.model.ergo import enp, error_values, gen
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.ergo.enp import Code, FrameType
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.corruption.frames import TYPE_OFFSET, header
from ergo_conformance.testing import AGENTS, ORDER, PROCESS, Context, Peer, ViolationError, case

NUMBER = 0x0102030405060708
REFERENCE = (0x1112131415161718, 0x2122232425262728, 0x3132333435363738)


def padding(peer: Peer, size: int, frame: enp.Frame) -> bytes:
    """Returns the payload with which a frame that has the payload b"" has this many bytes."""
    return bytes(size - len(peer.data_of(frame)))


@pytest.mark.parametrize("size", [255, 256, 257, 4_096, 65_000], ids=lambda n: f"{n}_bytes")
@case("ENP-HDR-9", "ENP-HDR-1", "ENP-T-129", offers=AGENTS)
async def test_length(ergo_context: Context, size: int) -> None:
    """A target reads a call of {size} bytes, and writes an answer of {size} bytes with that length in its header."""
    peer = await ergo_context.peer()
    for empty in (
        enp.RequestName(ORDER, PROCESS, 0, (1, 2, 3), Atom("echo"), b""),
        enp.Response(ORDER, PROCESS, 0, PROCESS, (1, 2, 3), b""),
    ):
        payload = padding(peer, size, empty)
        value = await peer.call("echo", payload)
        peer.check(value == payload, f"{value!r:.60}", f"the {len(payload)} bytes that were sent")


@case("ENP-HDR-9", "ENP-T-101", "ENP-T-129", "ENP-T-130", offers=AGENTS)
async def test_bytes_of_a_header(ergo_context: Context) -> None:
    """A target begins each frame with 78, 1, its length in big-endian order, and its type as the last byte of the header."""
    peer = await ergo_context.peer()
    for frame, type_ in (
        (peer.message("echo", bytes(300)), FrameType.MESSAGE_PID),
        (peer.request("echo", bytes(300), (1, 2, 3)), FrameType.RESPONSE),
        (peer.request("echo", "!error:unknown", (1, 2, 3)), FrameType.RESPONSE_ERROR),
    ):
        peer.send_frame(frame)
        received = await peer.wait_for(lambda _: True, f"a frame of type {type_:d}")
        head = received.data[: enp.HEADER_LENGTH]
        wanted = bytes([enp.MAGIC, enp.VERSION]) + len(received.data).to_bytes(4, "big")
        good = head[:6] == wanted and head[TYPE_OFFSET] == type_
        peer.check(good, f"the header {head.hex(' ')}", f"{wanted.hex(' ')}, an order byte, {type_:02x}")


@case("ENP-HDR-6", "ROB-ENP-1", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_every_unknown_type(ergo_context: Context) -> None:
    """A target ignores a frame of each type that is not in use, with and without a body; the socket stays open."""
    peer = await ergo_context.peer()
    body = peer.data_of(peer.message("echo", "hello"))
    for type_ in sorted(set(range(256)) - set(FrameType)):
        data = header(type_) + body[:TYPE_OFFSET] + bytes([type_]) + body[TYPE_OFFSET + 1 :]
        peer.send_bytes(data, f"two frames of type {type_}")
        try:
            await peer.check_alive()
        except ViolationError as violation:
            peer.fail(f"{violation.actual}, after frames of type {type_}", *violation.expected)
    await peer.expect_none(lambda frame: True, "answer to a frame of an unknown type")


@case("ENP-HDR-9", "ENP-REQ-1", "ENP-T-122", "ENP-T-129", offers=AGENTS)
async def test_numbers_of_a_call(ergo_context: Context) -> None:
    """A target answers a caller and a reference whose bytes all differ with the same numbers."""
    peer = await ergo_context.peer()
    peer.send_frame(enp.RequestName(ORDER, NUMBER, 0, REFERENCE, Atom("echo"), "question"))
    frame = (await peer.answers(1))[0]
    found = (frame.to_id, frame.ref)
    peer.check(found == (NUMBER, REFERENCE), frame, f"an answer to {NUMBER} with ref {REFERENCE}")


@case("ENP-HDR-9", "ENP-T-101", "ENP-T-102", offers=AGENTS)
async def test_numbers_of_a_message(ergo_context: Context) -> None:
    """A target sends a message back to a sender whose number has eight different bytes."""
    peer = await ergo_context.peer()
    peer.send_frame(peer.message("echo", "hello", sender=NUMBER))
    frame = (await peer.collect(1, lambda f: isinstance(f, enp.MessagePID), "messages"))[0]
    found = (frame.to_id, frame.from_id)
    wanted = (NUMBER, await peer.echo_id())
    peer.check(found == wanted, frame, f"a message to {wanted[0]} from {wanted[1]}, the number of echo")


@case("ENP-HDR-9", "ENP-IMP-2", "ENP-T-130", offers=AGENTS)
async def test_numbers_of_an_acknowledgement(ergo_context: Context) -> None:
    """A target acknowledges a message id whose bytes all differ, to a sender whose bytes all differ."""
    peer = await ergo_context.peer()
    mid = REFERENCE[0]
    peer.send_frame(enp.MessageName(ORDER, NUMBER, enp.IMPORTANT, mid, Atom("sink"), "hello"))
    frame = (await peer.collect(1, lambda f: isinstance(f, enp.ResponseError), "acknowledgements"))[0]
    found = (frame.to_id, frame.ref, frame.code)
    peer.check(found == (NUMBER, (mid, 0, 0), Code.DELIVERED), frame, f"code 0 to {NUMBER} with ref ({mid}, 0, 0)")


FIRST_AND_LAST = Caches(
    atoms={256: Atom("echo"), 65_535: Atom("sink")},
    types={4_096: gen.MESSAGE_EVENT_START.name, 65_535: gen.MESSAGE_EVENT_STOP.name},
    errors={32_768: error_values.TIMEOUT.text, 65_534: error_values.KILL.text},
)


@case("ENP-NAME-2", "EHS-CACHE-1", "ENP-T-123", offers=AGENTS)
async def test_first_and_last_ids(ergo_context: Context) -> None:
    """A target reads the first and the last possible id of an atom, of a type and of an error."""
    peer = await ergo_context.peer(caches=FIRST_AND_LAST)
    atoms = [Atom("echo"), Atom("sink")]
    events = [gen.MessageEventStart(Atom("sink")), gen.MessageEventStop(Atom("echo"))]
    errors = [error_values.TIMEOUT, error_values.KILL]
    value = await peer.call("echo", [*atoms, *events, *errors])
    found = isinstance(value, list) and [*value[:4], *(getattr(error, "text", error) for error in value[4:])]
    wanted = [*atoms, *events, *(error.text for error in errors)]
    peer.check(found == wanted, f"{value!r:.200}", f"{wanted}")
