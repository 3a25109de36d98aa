"""Frames that a node sends, checked with the schemas."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ergo_conformance.errors import CannotEncode
from ergo_conformance.model.ergo import enp, error_values
from ergo_conformance.model.ergo.ehs import DEFAULT_FLAGS, FLAGS_WIDTH, Flags
from ergo_conformance.model.ergo.enp import Priority
from ergo_conformance.model.values import PID, Alias, Atom, Error, ProcessID
from ergo_conformance.peers.ergo.connection import PROCESS, Peer
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import ProcessOptions
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from tests.support.nodes import context, node, run_as_process, settle

CACHED, PLAIN = Atom("cached"), Atom("plain")
WORDS = (7, 300, 9)
FIRST = 1001
"""Number of the first process of a node."""

Targets = dict[str, Any]


def targets(peer: Peer) -> Targets:
    """Returns a target of the peer for each kind of address."""
    return {
        "pid": peer.pid(),
        "name": ProcessID(peer.name, PLAIN),
        "cached": ProcessID(peer.name, CACHED),
        "alias": Alias(peer.name, peer.creation, WORDS),
    }


async def connected_peer(**overrides: Any) -> tuple[Node, Peer, Targets]:
    b = node(atoms=(CACHED,))
    peer = await context(b).peer(**overrides)
    await settle()
    return b, peer, targets(peer)


async def next_frame(peer: Peer) -> Any:
    received = await peer.receive(1.0)
    assert received is not None
    return received.value


MESSAGES: dict[str, Any] = {
    "pid": enp.MessagePID(PROCESS % 255, FIRST, 0, 0, PROCESS, "hi"),
    "name": enp.MessageName(FIRST % 255, FIRST, 0, 0, PLAIN, "hi"),
    "cached": enp.MessageNameCache(FIRST % 255, FIRST, 0, 0, CACHED, "hi"),
    "alias": enp.MessageAlias(WORDS[1] % 255, FIRST, 0, 0, WORDS, "hi"),
}
kinds = pytest.mark.parametrize("kind", list(MESSAGES))


@kinds
@pytest.mark.parametrize("priority", list(Priority))
@pytest.mark.parametrize("keep_order", [True, False])
async def test_a_message_has_order_slot_and_priority(kind: str, priority: Priority, keep_order: bool) -> None:
    """Type, order slot (ENP-ORD-2), priority, zeros in place of a message id (ENP-PID-1)."""
    b, peer, to = await connected_peer()
    await run_as_process(b, lambda it: it.send(to[kind], "hi", priority=priority), keep_order=keep_order)
    good = MESSAGES[kind]._replace(priority=int(priority))
    assert await next_frame(peer) == (good if keep_order else good._replace(order=0))
    await b.stop()


REQUESTS: dict[str, Callable[[enp.Words], Any]] = {
    "pid": lambda ref: enp.RequestPID(PROCESS % 255, FIRST, 1, ref, PROCESS, "hi"),
    "name": lambda ref: enp.RequestName(FIRST % 255, FIRST, 1, ref, PLAIN, "hi"),
    "cached": lambda ref: enp.RequestNameCache(FIRST % 255, FIRST, 1, ref, CACHED, "hi"),
    "alias": lambda ref: enp.RequestAlias(WORDS[1] % 255, FIRST, 1, ref, WORDS, "hi"),
}


@kinds
@pytest.mark.parametrize("important", [False, True])
@pytest.mark.parametrize("keep_order", [True, False])
async def test_a_request_has_order_slot_priority_and_reference(kind: str, important: bool, keep_order: bool) -> None:
    b, peer, to = await connected_peer()

    async def work(it: Process) -> Any:
        return await it.call(to[kind], "hi", priority=Priority.HIGH, important=important, timeout=60)

    task = asyncio.ensure_future(run_as_process(b, work, keep_order=keep_order))
    frame = await next_frame(peer)
    good = REQUESTS[kind](frame.ref)
    good = good._replace(priority=Priority.HIGH | (enp.IMPORTANT if important else 0))
    assert frame == (good if keep_order else good._replace(order=0))
    peer.send_frame(enp.Response(0, PROCESS, 0, FIRST, frame.ref, "answer"))
    assert await task == "answer"
    await b.stop()


async def answer_one_call(process: Process, answer: str) -> None:
    call: Any = await process.receive()
    if answer == "value":
        process.reply(call, "it")
    else:
        process.reply_error(call, Error(answer, registered=answer == "timed out"))


@pytest.mark.parametrize("keep_order", [True, False])
@pytest.mark.parametrize(
    ("answer", "code", "error"),
    [
        ("value", None, None),
        ("unknown process", 1, None),
        ("process mailbox is full", 2, None),
        ("process terminated", 3, None),
        ("timed out", 255, error_values.TIMEOUT.text),
        ("my own", 255, "my own"),
    ],
)
async def test_an_answer_has_value_or_error_code(
    answer: str, code: int | None, error: str | None, keep_order: bool
) -> None:
    b, peer, _ = await connected_peer()
    process = b.spawn(answer_one_call, answer)
    process.options = ProcessOptions(keep_order=keep_order)
    words = peer.ask(process.pid.id, "?")
    order = PROCESS % 255 if keep_order else 0
    frame = await next_frame(peer)
    if code is None:
        assert frame == enp.Response(order, FIRST, 0, PROCESS, words, "it")
    else:
        assert frame[:6] == (order, FIRST, 0, PROCESS, words, code)
        assert (frame.error.text if frame.error else None) == error
    await b.stop()


async def test_an_exit_signal_has_priority_and_reason() -> None:
    b, peer, _ = await connected_peer()
    await run_as_process(b, lambda it: it.exit(peer.pid(), error_values.KILL), keep_order=False)
    frame = await next_frame(peer)
    assert (*frame[:4], frame.reason.text) == (PROCESS % 255, FIRST, Priority.MAX, PROCESS, "kill")
    await b.stop()


@pytest.mark.parametrize("id_", [255, 510, 2**64 - 1 - (2**64 - 1) % 255])
async def test_a_receiver_number_divisible_by_255_has_order_slot_0(id_: int) -> None:
    b, peer, _ = await connected_peer()
    await run_as_process(b, lambda it: it.send(peer.pid(id_), 1))
    assert (await next_frame(peer)).order == 0
    await b.stop()


# --- refused operations -----------------------------------------------------------------------------------------------


async def check_refused(work: Awaitable[Any], error: str, peer: Peer) -> None:
    """Checks that the work raises at once and that no frame is sent."""
    begun = asyncio.get_running_loop().time()
    with pytest.raises(ErgoError, match=error):
        await work
    assert asyncio.get_running_loop().time() == begun
    assert await peer.receive(0.1) is None


VERBS = {
    "send": lambda it, to: it.send(to, "hi"),
    "send_important": lambda it, to: it.send(to, "hi", important=True),
    "call": lambda it, to: it.call(to, "hi"),
    "call_important": lambda it, to: it.call(to, "hi", important=True),
}


@pytest.mark.parametrize("verb", list(VERBS))
@pytest.mark.parametrize("kind", ["pid", "alias"])
async def test_an_address_of_an_earlier_incarnation_is_refused_without_a_frame(verb: str, kind: str) -> None:
    """Frames have no creation: the node refuses an old one (ENP-DLV)."""
    b, peer, to = await connected_peer()
    old = to[kind]._replace(creation=peer.creation - 1)
    await check_refused(run_as_process(b, lambda it: VERBS[verb](it, old)), "previous incarnation", peer)
    assert not b.core.pending
    await b.stop()


async def test_an_exit_signal_for_an_earlier_incarnation_is_refused() -> None:
    b, peer, _ = await connected_peer()
    old = peer.pid()._replace(creation=1)
    await check_refused(run_as_process(b, lambda it: it.exit(old, error_values.KILL)), "previous incarnation", peer)
    await b.stop()


@kinds
@pytest.mark.parametrize("verb", ["send_important", "call_important"])
async def test_important_delivery_without_the_flag_of_the_peer_is_not_supported(verb: str, kind: str) -> None:
    flags = (DEFAULT_FLAGS & ~Flags.IMPORTANT_DELIVERY).to_bytes(FLAGS_WIDTH, "big")
    b, peer, to = await connected_peer(Flags=flags)
    await check_refused(run_as_process(b, lambda it: VERBS[verb](it, to[kind])), "not supported", peer)
    await run_as_process(b, lambda it: it.send(to[kind], "hi"))
    assert await peer.receive(1) is not None
    await b.stop()


async def test_a_name_longer_than_255_bytes_raises_cannot_encode() -> None:
    b, peer, _ = await connected_peer()
    longest = ProcessID(peer.name, Atom("n" * 255))
    await run_as_process(b, lambda it: it.send(longest, 1))
    assert (await next_frame(peer)).to_name == longest.name
    with pytest.raises(CannotEncode, match="256 bytes"):
        await run_as_process(b, lambda it: it.send(ProcessID(peer.name, Atom("n" * 256)), 1))
    await b.stop()


async def test_answers_to_a_disconnected_peer_are_dropped() -> None:
    """A later node of that name gets no answer."""
    b, peer, _ = await connected_peer()
    calls: list[Any] = []

    async def keep_call(process: Process) -> None:
        calls.append(await process.receive())
        await process.receive()

    process = b.spawn(keep_call)
    peer.ask(process.pid.id, "?")
    await settle()
    peer.sockets[0].abort()
    await settle()
    process.reply(calls[0], "no connection")
    again = await context(b, 2).peer(str(peer.name), Creation=peer.creation + 1)
    assert again.name == peer.name
    process.reply(calls[0], "an earlier incarnation")
    process.reply_error(calls[0], Error("an earlier incarnation"))
    assert await again.receive(0.1) is None
    await b.stop()


async def test_operations_with_an_unreachable_node_raise_no_route() -> None:
    b = node()
    nowhere = PID(Atom("x@nowhere"), 1, 1)
    for work in (*VERBS.values(), lambda it, to: it.exit(to, error_values.KILL)):
        with pytest.raises(ErgoError, match="no route"):
            await run_as_process(b, lambda it, work=work: work(it, nowhere))  # type: ignore[misc]
    await b.stop()
