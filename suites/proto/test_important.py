"""Important delivery: the receiver reports the outcome of each message once, to its sender."""

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import NO_CACHES
from ergo_conformance.model.ergo.ehs import DEFAULT_FLAGS, FLAGS_WIDTH, Flags
from ergo_conformance.model.ergo.enp import IMPORTANT, Code, Priority, Words
from ergo_conformance.model.values import Atom, Typed
from ergo_conformance.peers.corruption.frames import UNKNOWN_ALIAS, UNKNOWN_NAME, UNKNOWN_PROCESS
from ergo_conformance.testing import AGENTS, ANNOUNCED, ORDER, PROCESS, Address, Context, Peer, case, set_up

LAST = 2**64 - 1
UNKNOWN: dict[str, Address] = {
    "pid": UNKNOWN_PROCESS,
    "name": str(UNKNOWN_NAME),
    "cached_name": str(UNKNOWN_NAME),
    "alias": UNKNOWN_ALIAS,
}
unknown = pytest.mark.parametrize("whom", list(UNKNOWN))
by = pytest.mark.parametrize("by", ["pid", "name", "cached_name"])
AT_ONCE = Typed(t.INT64, 0)
"""Payload with which slow and small_mailbox do not sleep."""


async def peer_and_address(ergo_context: Context, by: str) -> tuple[Peer, Address]:
    """Returns a peer and the address with which it reaches `echo`."""
    peer = await ergo_context.peer(caches=ANNOUNCED if by == "cached_name" else NO_CACHES)
    return peer, await peer.echo_id() if by == "pid" else "echo"


def is_ack(frame: object) -> bool:
    return isinstance(frame, enp.ResponseError)


@by
@case("ENP-IMP-2", "ENP-T-130", offers=AGENTS)
async def test_delivered(ergo_context: Context, by: str) -> None:
    """A target delivers an important message by {by} and acknowledges it once, to its sender, with its id and code 0."""
    peer, echo = await peer_and_address(ergo_context, by)
    mid = peer.send_important(echo, "hello")
    ack = await peer.acknowledgement(mid)
    found = (ack.to_id, ack.ref, ack.code)
    peer.check(found == (PROCESS, (mid, 0, 0), Code.DELIVERED), ack, f"code 0 to {PROCESS} with ref ({mid}, 0, 0)")
    message = (await peer.receive_message()).value
    peer.check(message.payload == "hello", message, "the message back from echo")
    await peer.expect_none(is_ack, "second acknowledgement")


@by
@case("ENP-IMP-8", offers=AGENTS)
async def test_shape_of_an_acknowledgement(ergo_context: Context, by: str) -> None:
    """Upstream writes an acknowledgement with order byte 0, from the target PID, or from 0 for a name."""
    peer, echo = await peer_and_address(ergo_context, by)
    with set_up("ENP-IMP-2"):
        ack = await peer.acknowledgement(peer.send_important(echo, "hello"))
    wanted = (0, echo if by == "pid" else 0)
    peer.check((ack.order, ack.from_id) == wanted, ack, f"order byte and sender {wanted}")


@pytest.mark.parametrize("priority", list(Priority), ids=lambda p: p.name.lower())
@case("ENP-IMP-2", offers=AGENTS)
async def test_priority_of_an_acknowledgement(ergo_context: Context, priority: Priority) -> None:
    """A target acknowledges with the priority of the message, without the important bit."""
    peer = await ergo_context.peer()
    ack = await peer.acknowledgement(peer.send_important("echo", "hello", priority=priority))
    peer.check(ack.priority == priority, f"priority byte {ack.priority}", f"priority byte {priority}")


@unknown
@case("ENP-IMP-2", "ENP-IMP-5", "ENP-T-101", "ENP-T-102", "ENP-T-103", "ENP-T-104", offers=AGENTS)
async def test_nobody_there(ergo_context: Context, whom: str) -> None:
    """A target answers an important message to an unknown process (by {whom}) with code 1, unknown process."""
    peer = await ergo_context.peer(caches=ANNOUNCED if whom == "cached_name" else NO_CACHES)
    mid = peer.send_important(UNKNOWN[whom], "hello")
    ack = await peer.acknowledgement(mid)
    found = (ack.to_id, ack.ref, ack.code)
    peer.check(
        found == (PROCESS, (mid, 0, 0), Code.PROCESS_UNKNOWN), ack, f"code 1 to {PROCESS} with ref ({mid}, 0, 0)"
    )
    await peer.expect_none(is_ack, "second acknowledgement")


@case("ENP-IMP-2", offers=AGENTS)
async def test_any_id(ergo_context: Context) -> None:
    """A target acknowledges any message id and sender number unchanged, including 0 and 2^64-1."""
    peer = await ergo_context.peer()
    for sender, mid in ((PROCESS, 0), (PROCESS, LAST), (0, 5), (LAST, 6)):
        peer.send_frame(enp.MessageName(ORDER, sender, IMPORTANT, mid, Atom("echo"), "hello"))
        ack = await peer.acknowledgement(mid)
        found = (ack.to_id, ack.ref, ack.code)
        peer.check(found == (sender, (mid, 0, 0), Code.DELIVERED), ack, f"code 0 to {sender} with ref ({mid}, 0, 0)")


@case("ENP-IMP-2", offers=AGENTS)
async def test_same_id_of_two_senders(ergo_context: Context) -> None:
    """A target acknowledges both messages when two processes use the same message id at once."""
    peer = await ergo_context.peer()
    for sender in (3001, 3002):
        peer.send("echo", "hello", sender=sender, mid=77)
    acks = await peer.collect(2, is_ack, "acknowledgements")
    found = sorted((ack.to_id, ack.ref, ack.code) for ack in acks)
    wanted = [(sender, (77, 0, 0), Code.DELIVERED) for sender in (3001, 3002)]
    peer.check(found == wanted, found, "one acknowledgement to each")


@case("ENP-IMP-2", "ENP-PID-1", offers=AGENTS)
async def test_plain_messages_are_not_acknowledged(ergo_context: Context) -> None:
    """A target does not acknowledge plain messages, whatever their receiver and message id."""
    peer = await ergo_context.peer()
    for i in range(50):
        name = Atom("echo" if i % 2 else UNKNOWN_NAME)
        peer.send_frame(enp.MessageName(ORDER, PROCESS, i % 4, i, name, "hello"))
    await peer.expect_none(is_ack, "acknowledgement of a plain message")


@case("ENP-HDR-7", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_undecodable(ergo_context: Context) -> None:
    """A target neither delivers nor acknowledges an important message whose value cannot be decoded."""
    peer = await ergo_context.peer()
    data = peer.data_of(enp.MessageName(ORDER, PROCESS, IMPORTANT, 5, Atom("echo"), True))
    peer.send_bytes(data[:-2] + b"\x00\x01", "an important message whose value has an unassigned tag")
    await peer.expect_none(lambda frame: True, "frame about a message that cannot be decoded")


# --- flags ------------------------------------------------------------------------------------------------------------


@case("ENP-IMP-6", offers=AGENTS, config={"flags": {"important": False}})
async def test_target_without_the_flag(ergo_context: Context) -> None:
    """A target that does not announce important delivery delivers an important message and does not acknowledge it."""
    peer = await ergo_context.peer()
    flags = int.from_bytes(peer.introduce.Flags, "big")
    peer.check(not flags & Flags.IMPORTANT_DELIVERY, f"flags {flags:#x}", "flags without 64, as configured")
    peer.send_important("echo", "hello")
    message = (await peer.receive_message()).value
    peer.check(message.payload == "hello", message, "the message back from echo")
    await peer.expect_none(is_ack, "acknowledgement from a target that did not announce the flag")


@case("ENP-IMP-6", offers=AGENTS)
async def test_sender_without_the_flag(ergo_context: Context) -> None:
    """A target acknowledges an important message even if the sender did not announce the flag."""
    flags = (DEFAULT_FLAGS & ~Flags.IMPORTANT_DELIVERY).to_bytes(FLAGS_WIDTH, "big")
    peer = await ergo_context.peer(Flags=flags)
    ack = await peer.acknowledgement(peer.send_important("echo", "hello"))
    peer.check(ack.code == Code.DELIVERED, ack, "code 0")


# --- requests ---------------------------------------------------------------------------------------------------------


@by
@case("ENP-IMP-4", offers=AGENTS)
async def test_request(ergo_context: Context, by: str) -> None:
    """A target answers an important request by {by} only with its Response, without an acknowledgement."""
    peer, echo = await peer_and_address(ergo_context, by)
    ref = peer.ask(echo, "question", priority=IMPORTANT)
    answer = (await peer.answer(ref)).value
    peer.check(getattr(answer, "payload", None) == "question", answer, "a Response with the value")
    await peer.expect_none(is_ack, "acknowledgement beside the Response")


@unknown
@case("ENP-IMP-4", "ENP-IMP-5", offers=AGENTS)
async def test_request_of_nobody(ergo_context: Context, whom: str) -> None:
    """A target answers an important request to an unknown process (by {whom}) with code 1 and its whole reference."""
    peer = await ergo_context.peer(caches=ANNOUNCED if whom == "cached_name" else NO_CACHES)
    words: Words = (11, 22, LAST)
    peer.send_frame(peer.request(UNKNOWN[whom], "question", words, priority=IMPORTANT))
    frame = (await peer.answer(words)).value
    found = (frame.code, frame.ref) if isinstance(frame, enp.ResponseError) else frame
    peer.check(found == (Code.PROCESS_UNKNOWN, words), frame, f"a ResponseError with code 1 and ref {words}")


# --- a full mailbox ---------------------------------------------------------------------------------------------------


@case("ENP-IMP-5", "ENP-IMP-2", offers=AGENTS, exclusive=True)
async def test_full_mailbox(ergo_context: Context) -> None:
    """A target reports code 2 for an important message that arrives when the mailbox of `small_mailbox` is full."""
    peer = await ergo_context.peer()
    codes: list[int] = []
    async for _ in peer.while_busy("small_mailbox"):
        mids = [peer.send_important("small_mailbox", AT_ONCE) for _ in range(3)]
        codes = [(await peer.acknowledgement(mid)).code for mid in mids]
    wanted = [Code.DELIVERED, Code.MAILBOX_FULL, Code.MAILBOX_FULL]
    peer.check(codes == wanted, codes, f"codes {wanted}")


@case("ENP-IMP-4", "ENP-IMP-5", offers=AGENTS, exclusive=True)
async def test_request_to_a_full_mailbox(ergo_context: Context) -> None:
    """A target answers an important request that finds the mailbox full with code 2 and its whole reference."""
    peer = await ergo_context.peer()
    words: Words = (33, 44, 55)
    frame = None
    async for _ in peer.while_busy("small_mailbox"):
        peer.send("small_mailbox", AT_ONCE)
        peer.send_frame(peer.request("small_mailbox", AT_ONCE, words, priority=IMPORTANT))
        frame = (await peer.answer(words)).value
    found = (frame.code, frame.ref) if isinstance(frame, enp.ResponseError) else frame
    peer.check(found == (Code.MAILBOX_FULL, words), frame, f"a ResponseError with code 2 and ref {words}")


@case("ENP-IMP-4", offers=AGENTS, exclusive=True)
async def test_plain_to_a_full_mailbox(ergo_context: Context) -> None:
    """A target drops a plain message and a plain request that find the mailbox full, without a reply."""
    peer = await ergo_context.peer()
    ref = None
    async for _ in peer.while_busy("small_mailbox"):
        peer.send("small_mailbox", AT_ONCE)
        peer.send("small_mailbox", AT_ONCE)
        ref = peer.ask("small_mailbox", AT_ONCE)
    assert ref is not None
    await peer.expect_no_answer(ref)


# --- many messages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["pid", "name", "cached_name"])
@case("ENP-IMP-7", "ENP-IMP-2", offers=AGENTS)
async def test_thousand_at_once(ergo_context: Context, by: str) -> None:
    """A target acknowledges a thousand important messages (by {by}) of ten senders once each, to the right sender."""
    peer, echo = await peer_and_address(ergo_context, by)
    mids = {peer.send_important(echo, i, sender=4000 + i % 10): 4000 + i % 10 for i in range(1_000)}
    for ack in await peer.collect(len(mids), is_ack, "acknowledgements", within=10.0):
        sender = mids.pop(ack.ref[0], None)
        peer.check(sender is not None, ack, "one acknowledgement of each message")
        peer.check((ack.to_id, ack.code) == (sender, Code.DELIVERED), ack, f"code 0 to {sender}")
