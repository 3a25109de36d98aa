"""Order and priority: messages of one sender keep their order, higher priorities overtake, any order byte is accepted."""

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import NO_CACHES
from ergo_conformance.model.ergo.enp import Priority
from ergo_conformance.model.values import Typed
from ergo_conformance.testing import AGENTS, ANNOUNCED, PROCESS, Address, Context, Peer, case

MANY = 500
by = pytest.mark.parametrize("by", ["pid", "name", "cached_name"])


async def mails(peer: Peer, count: int, to: int = PROCESS) -> list[object]:
    """Returns the payloads of this many messages to one process of the tester, in order of arrival."""
    found = await peer.collect(count, lambda f: isinstance(f, enp.MessagePID) and f.to_id == to, f"messages to {to}")
    return [message.payload for message in found]


def check_order(peer: Peer, found: list[object], wanted: list[object], of: str = "one sender") -> None:
    """Fails with the first message that is out of order."""
    at = next((i for i, (x, y) in enumerate(zip(found, wanted, strict=True)) if x != y), None)
    if at is not None:
        peer.fail(f"{found[at]} as message {at} of {of}", f"{wanted[at]} at this position")


@by
@case("ENP-ORD-1", "ENP-ORD-4", offers=AGENTS)
async def test_one_sender(ergo_context: Context, by: str) -> None:
    """A target delivers five hundred messages of one sender to `echo` (by {by}) in order, each exactly once."""
    peer = await ergo_context.peer(caches=ANNOUNCED if by == "cached_name" else NO_CACHES)
    echo = await peer.echo_id() if by == "pid" else "echo"
    for i in range(MANY):
        peer.send(echo, i)
    check_order(peer, await mails(peer, MANY), list(range(MANY)))
    await peer.expect_none(lambda frame: isinstance(frame, enp.MessagePID), "further message")


@by
@case("ENP-ORD-1", "ENP-ORD-4", offers=AGENTS)
async def test_senders_over_a_pool(ergo_context: Context, by: str) -> None:
    """A target delivers the messages of five senders (by {by}), each on its own socket of the pool, in order."""
    peer = await ergo_context.peer(caches=ANNOUNCED if by == "cached_name" else NO_CACHES, sockets=0)
    echo = await peer.echo_id() if by == "pid" else "echo"
    senders = range(5001, 5006)
    for i in range(100):
        for sender in senders:
            peer.send(echo, i, sender=sender)
    for sender in senders:
        check_order(peer, await mails(peer, 100, sender), list(range(100)), f"sender {sender}")


@case("ENP-ORD-1", "ENP-ORD-4", offers=AGENTS)
async def test_messages_and_calls(ergo_context: Context) -> None:
    """A target handles messages and calls from one sender to one process in the order in which they were sent."""
    peer = await ergo_context.peer()
    for i in range(100):
        if i % 2:
            peer.ask("echo", i)
        else:
            peer.send("echo", i)
    found = await peer.collect(100, lambda f: isinstance(f, enp.MessagePID | enp.Response), "messages and answers")
    check_order(peer, [frame.payload for frame in found], list(range(100)))


async def both_delivered(peer: Peer, to: Address, **how: int) -> None:
    """Checks that a message and a call reach `echo`."""
    peer.send(to, "hello", **how)
    ref = peer.ask(to, "question", **how)
    message, answer = (await peer.receive_message()).value, (await peer.answer(ref)).value
    peer.check(message.payload == "hello", message, "the message back from echo")
    peer.check(getattr(answer, "payload", None) == "question", answer, "the answer of echo")


@pytest.mark.parametrize("to", ["pid", "name"])
@case("ENP-ORD-7", offers=AGENTS)
async def test_any_order_byte(ergo_context: Context, to: str) -> None:
    """A target delivers messages and calls to a {to} with any order byte, including 0 and 255."""
    peer = await ergo_context.peer()
    echo = await peer.echo_id() if to == "pid" else "echo"
    for order in (0, 1, 127, 254, 255):
        await both_delivered(peer, echo, order=order)


@case("ENP-ORD-7", offers=AGENTS)
async def test_order_bytes_at_random(ergo_context: Context) -> None:
    """A target delivers two hundred messages of one sender with random order bytes, in any order."""
    peer = await ergo_context.peer()
    for i in range(200):
        peer.send("echo", i, order=ergo_context.rng.randrange(256))
    found = await mails(peer, 200)
    peer.check(sorted(found, key=repr) == sorted(range(200), key=repr), found, "each of the 200 once")


# --- priorities -------------------------------------------------------------------------------------------------------


@case("ENP-PRIO-1", "ENP-PRIO-2", offers=AGENTS)
async def test_any_priority(ergo_context: Context) -> None:
    """A target delivers messages and calls with any priority byte; only its low two bits and 0x80 have a meaning."""
    peer = await ergo_context.peer()
    for byte in (0, 1, 2, 3, 4, 0x40, 0x7C, 0x7F):
        await both_delivered(peer, "echo", priority=byte)


async def check_served(ergo_context: Context, bytes_: list[int], wanted: list[int]) -> None:
    """Checks that calls with these priority bytes, sent while `slow` sleeps, are served in this order."""
    peer = await ergo_context.peer()
    refs: list[enp.Words] = []
    async for _ in peer.while_busy("slow"):
        refs = [peer.ask("slow", Typed(t.INT64, 0), priority=byte) for byte in bytes_]
    answers = await peer.collect(len(refs), lambda f: isinstance(f, enp.Response) and f.ref in refs, "answers of slow")
    found = [refs.index(answer.ref) for answer in answers]
    peer.check(found == wanted, f"served in the order {found}", f"calls of priorities {bytes_} in the order {wanted}")


@case("ENP-PRIO-3", "ENP-PRIO-1", offers=AGENTS, exclusive=True)
async def test_priorities_overtake(ergo_context: Context) -> None:
    """A busy process serves waiting calls of priority max first, then high, then normal."""
    bytes_: list[int] = [Priority.NORMAL, Priority.HIGH, Priority.MAX, Priority.NORMAL, Priority.HIGH, Priority.MAX]
    await check_served(ergo_context, bytes_, [2, 5, 1, 4, 0, 3])


@case("ENP-PRIO-2", offers=AGENTS, exclusive=True)
async def test_other_bits_are_normal(ergo_context: Context) -> None:
    """A target treats priority 3 and bits above the low two as normal: such calls keep their place among normal calls."""
    await check_served(ergo_context, [0, 3, 4, 0x7C, 0], [0, 1, 2, 3, 4])
