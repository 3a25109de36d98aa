"""Important delivery: acknowledgements of the node, and the results of its own important messages."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.ehs import DEFAULT_FLAGS, FLAGS_WIDTH, Flags
from ergo_conformance.model.ergo.enp import Code, Priority
from ergo_conformance.model.values import Alias, Atom, Error, ProcessID
from ergo_conformance.peers.corruption.frames import UNKNOWN_ALIAS, UNKNOWN_NAME, UNKNOWN_PROCESS
from ergo_conformance.peers.ergo.connection import ORDER, PROCESS, Peer
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import ProcessOptions
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.target.agents import Echo
from tests.support.nodes import context, node, run_as_process, settle

WITHOUT = DEFAULT_FLAGS & ~Flags.IMPORTANT_DELIVERY
KINDS = ("pid", "name", "alias")
kinds = pytest.mark.parametrize("kind", KINDS)


async def idle(process: Process) -> None:
    while True:
        await process.receive()


async def sleeping(process: Process) -> None:
    await asyncio.sleep(1000)


async def connected_peer(*, flags: Flags = DEFAULT_FLAGS, peer_flags: Flags = DEFAULT_FLAGS) -> tuple[Node, Peer]:
    b = node(flags=flags)
    peer = await context(b).peer(Flags=int(peer_flags).to_bytes(FLAGS_WIDTH, "big"))
    await settle()
    return b, peer


# --- received ---------------------------------------------------------------------------------------------------------


def addresses(process: Process | None) -> dict[str, Any]:
    if process is None:
        return {"pid": UNKNOWN_PROCESS, "name": str(UNKNOWN_NAME), "alias": UNKNOWN_ALIAS}
    return {"pid": process.pid.id, "name": "it", "alias": process.create_alias().id}


async def acknowledgement(peer: Peer, mid: int) -> enp.ResponseError:
    ack = await peer.acknowledgement(mid)
    await peer.expect_none(lambda frame: isinstance(frame, enp.ResponseError), "second acknowledgement")
    return ack


@kinds
@pytest.mark.parametrize("priority", list(Priority))
@pytest.mark.parametrize("code", [Code.DELIVERED, Code.PROCESS_UNKNOWN, Code.MAILBOX_FULL, Code.PROCESS_TERMINATED])
async def test_the_sender_gets_one_acknowledgement_with_the_result(kind: str, priority: Priority, code: Code) -> None:
    b, peer = await connected_peer()
    b.spawn(Echo(), name="echo")
    process = None
    if code is not Code.PROCESS_UNKNOWN:
        process = b.spawn(sleeping, name="it", options=ProcessOptions(mailbox_size=1))
    to = addresses(process)[kind]
    await settle()
    match code, process:
        case Code.MAILBOX_FULL, _:
            peer.send(to, "first", priority=priority)
        case Code.PROCESS_TERMINATED, Process():
            process.reason = Error("being ended")
    mid = peer.send_important(to, "hi", priority=priority, sender=3000)
    from_id = to if kind == "pid" else 0
    good = enp.ResponseError(0, from_id, priority, 3000, (mid, 0, 0), code, None)
    assert await acknowledgement(peer, mid) == good
    await b.stop()


@kinds
@pytest.mark.parametrize("code", [Code.PROCESS_UNKNOWN, Code.MAILBOX_FULL])
@pytest.mark.parametrize("important", [True, False])
async def test_an_undeliverable_request_is_answered_only_if_it_is_important(
    kind: str, code: Code, important: bool
) -> None:
    b, peer = await connected_peer()
    b.spawn(Echo(), name="echo")
    process = None
    if code is not Code.PROCESS_UNKNOWN:
        process = b.spawn(sleeping, name="it", options=ProcessOptions(mailbox_size=1))
    to = addresses(process)[kind]
    await settle()
    words = (2**64 - 1, 7, 8)
    priority = Priority.HIGH | (enp.IMPORTANT if important else 0)
    if process is not None:
        peer.send(to, "first", priority=Priority.HIGH)
    peer.send_frame(peer.request(to, "?", words, priority=priority))
    if important:
        from_id = to if kind == "pid" else 0
        answer = (await peer.answer(words)).value
        assert answer == enp.ResponseError(0, from_id, Priority.HIGH, PROCESS, words, code, None)
    await peer.expect_no_answer(words)
    await b.stop()


@pytest.mark.parametrize("peer_flags", [DEFAULT_FLAGS, WITHOUT])
async def test_acknowledgements_depend_on_the_nodes_own_flag(peer_flags: Flags) -> None:
    for flags in (DEFAULT_FLAGS, WITHOUT):
        b, peer = await connected_peer(flags=flags, peer_flags=peer_flags)
        b.spawn(Echo(), name="echo")
        peer.send_important("echo", "hi")
        peer.send_frame(peer.request(str(UNKNOWN_NAME), "?", (5, 0, 0), priority=enp.IMPORTANT))
        assert (await peer.receive_message()).value.payload == "hi"
        await peer.check_alive()
        found = [frame.value.code for frame in peer.skipped if isinstance(frame.value, enp.ResponseError)]
        assert found == ([0, 1] if flags == DEFAULT_FLAGS else [])
        await b.stop()


# --- sent -------------------------------------------------------------------------------------------------------------


def targets(peer: Peer) -> dict[str, Any]:
    return {
        "pid": peer.pid(),
        "name": ProcessID(peer.name, Atom("x")),
        "alias": Alias(peer.name, peer.creation, (1, 2, 3)),
    }


async def send_important(b: Node, peer: Peer, kind: str = "pid") -> "tuple[Any, asyncio.Task[None]]":
    """Sends an important message from the node; returns its frame and the pending send."""
    task = asyncio.create_task(_send_from_process(b, targets(peer)[kind]))
    received = await peer.wait_for(lambda frame: hasattr(frame, "mid"), "a message")
    return received.value, task


async def _send_from_process(b: Node, to: Any) -> None:
    await run_as_process(b, lambda it: it.send(to, "hi", important=True, priority=Priority.HIGH))


@kinds
@pytest.mark.parametrize("code", list(Code))
async def test_a_send_returns_or_raises_by_the_acknowledgement(kind: str, code: Code) -> None:
    b, peer = await connected_peer()
    frame, task = await send_important(b, peer, kind)
    assert frame.priority == Priority.HIGH | enp.IMPORTANT
    assert frame.mid
    error = Error("my own") if code is Code.OTHER else None
    ack = enp.ResponseError(0, 0, 1, frame.from_id, (frame.mid, 0, 0), code, error)
    wrong = [ack._replace(to_id=5), ack._replace(ref=(frame.mid + 1, 0, 0)), ack._replace(ref=(frame.mid, 1, 0))]
    for wrong_ack in wrong:
        peer.send_frame(wrong_ack)
    await settle()
    assert not task.done()
    peer.send_frame(ack)
    if code is Code.DELIVERED:
        await task
    else:
        with pytest.raises(ErgoError) as raised:
            await task
        assert raised.value.error == (error or enp.CODE_ERRORS[code])
    assert not b.core.pending
    await b.stop()


async def test_a_send_times_out_after_five_seconds() -> None:
    b, peer = await connected_peer()
    frame, task = await send_important(b, peer)
    begun = asyncio.get_running_loop().time()
    with pytest.raises(ErgoError, match="timed out"):
        await task
    assert asyncio.get_running_loop().time() - begun == pytest.approx(enp.REQUEST_TIMEOUT)
    peer.send_frame(enp.ResponseError(ORDER, 0, 1, frame.from_id, (frame.mid, 0, 0), 0, None))  # late
    frame, task = await send_important(b, peer)
    peer.send_frame(enp.ResponseError(ORDER, 0, 1, frame.from_id, (frame.mid, 0, 0), 0, None))
    await task
    await b.stop()


async def test_a_thousand_concurrent_sends_get_their_own_acknowledgements() -> None:
    b, peer = await connected_peer()

    async def work(it: Process) -> list[Any]:
        sends = (it.send(peer.pid(i), i, important=True) for i in range(1000))
        return list(await asyncio.gather(*sends, return_exceptions=True))

    task = asyncio.ensure_future(run_as_process(b, work))
    frames = await peer.collect(1000, lambda frame: isinstance(frame, enp.MessagePID), "messages")
    for frame in reversed(frames):
        code = Code(frame.payload % 4)
        peer.send_frame(enp.ResponseError(0, 0, 0, frame.from_id, (frame.mid, 0, 0), code, None))
    results = await task
    for i, result in enumerate(results):
        found = result.error if isinstance(result, ErgoError) else result
        assert found == enp.CODE_ERRORS.get(Code(i % 4))
    await b.stop()


async def test_an_important_message_on_one_node_needs_no_acknowledgement() -> None:
    b, _ = await connected_peer()
    process = b.spawn(idle)
    await run_as_process(b, lambda it: it.send(process.pid, "hi", important=True))
    with pytest.raises(ErgoError, match="unknown process"):
        await run_as_process(b, lambda it: it.send("nobody", "hi", important=True))
    await b.stop()
