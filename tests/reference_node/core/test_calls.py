"""Messages and calls between processes of one node, and the match of a peer's answers with pending calls."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.errors import CannotEncode
from ergo_conformance.model.ergo import enp, error_values
from ergo_conformance.model.ergo.enp import Code, Priority
from ergo_conformance.model.values import Atom, Error, ProcessID
from ergo_conformance.peers.ergo.connection import Peer
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import Call, ProcessOptions
from ergo_conformance.reference_node.core.actor import NO_REPLY, Actor
from ergo_conformance.reference_node.core.pending import PendingRequests
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from tests.support.nodes import context, node, run_as_process, settle


class Server(Actor):
    """Answers a float after that many seconds, fails with a text, keeps a call with None, answers other payloads."""

    def __init__(self) -> None:
        self.kept: list[Call] = []

    async def handle_call(self, call: Call) -> Any:
        match call.payload:
            case float(seconds):
                await asyncio.sleep(seconds)
            case str(text):
                raise ErgoError(Error(text))
            case None:
                self.kept.append(call)
                return NO_REPLY
        return call.payload


def start_server(**options: Any) -> tuple[Node, Server, Process]:
    b, server = node(), Server()
    return b, server, b.spawn(server, name="server", options=ProcessOptions(**options))


async def call(b: Node, to: Any, request: Any, **options: Any) -> Any:
    return await run_as_process(b, lambda it: it.call(to, request, **options))


# --- on one node ------------------------------------------------------------------------------------------------------


async def test_a_call_on_one_node_opens_no_connection() -> None:
    b, _, server = start_server()
    for to in (server.pid, "server", ProcessID(b.name, Atom("server"))):
        assert await call(b, to, [1, 2]) == [1, 2]
    assert await call(b, "server", 7, important=True) == 7
    assert not b.network.connections
    await b.stop()


async def test_a_local_call_passes_the_object_itself() -> None:
    b, _, server = start_server()
    thing = object()  # nothing is encoded
    assert await call(b, server.pid, thing) is thing
    await b.stop()


async def test_an_error_is_raised_and_an_error_value_returned() -> None:
    b, _, server = start_server()
    with pytest.raises(ErgoError, match="no good") as raised:
        await call(b, server.pid, "no good")
    assert raised.value.error == Error("no good")
    assert await call(b, server.pid, Error("a value")) == Error("a value")
    await b.stop()


@pytest.mark.parametrize("timeout", [None, 0.5, 3.0])
async def test_a_call_times_out(timeout: float | None) -> None:
    b, _, server = start_server()
    options = {} if timeout is None else {"timeout": timeout}
    begun = asyncio.get_running_loop().time()
    with pytest.raises(ErgoError, match="timed out"):
        await call(b, server.pid, None, **options)
    assert asyncio.get_running_loop().time() - begun == pytest.approx(timeout or enp.REQUEST_TIMEOUT)
    assert not b.core.pending
    await b.stop()


async def test_a_late_answer_is_dropped() -> None:
    b, server, process = start_server()
    with pytest.raises(ErgoError, match="timed out"):
        await call(b, process.pid, None, timeout=1)
    process.reply(server.kept[0], "late")
    process.reply_error(server.kept[0], Error("later"))
    assert await call(b, process.pid, 5) == 5
    await b.stop()


async def test_only_the_first_answer_is_returned() -> None:
    b, server, process = start_server()
    task = asyncio.ensure_future(call(b, process.pid, None))
    await settle()
    for answer in (1, 2):
        process.reply(server.kept[0], answer)
    assert await task == 1
    await b.stop()


async def test_an_undeliverable_call_fails_at_once() -> None:
    b, _, server = start_server(mailbox_size=1)
    with pytest.raises(ErgoError, match="unknown process"):
        await call(b, "nobody", 1)
    busy = asyncio.ensure_future(call(b, server.pid, 1.0))
    await settle()
    queued = asyncio.ensure_future(call(b, server.pid, 0.0))
    await settle()
    with pytest.raises(ErgoError, match="mailbox is full"):
        await call(b, server.pid, 1)
    assert await call(b, server.pid, 2, priority=Priority.HIGH) == 2  # the queue of this priority is empty
    assert [await busy, await queued] == [1.0, 0.0]
    assert not b.core.pending
    await b.stop()


async def test_an_undeliverable_message_raises() -> None:
    b, *_ = start_server(mailbox_size=1)
    with pytest.raises(ErgoError, match="unknown process"):
        await run_as_process(b, lambda it: it.send("nobody", 1))
    busy = asyncio.ensure_future(call(b, "server", 1.0))
    await settle()
    await run_as_process(b, lambda it: it.send("server", 1))
    with pytest.raises(ErgoError, match="mailbox is full"):
        await run_as_process(b, lambda it: it.send("server", 1))
    await busy
    await b.stop()


async def test_concurrent_calls_of_one_process_get_their_own_answers() -> None:
    b, _, server = start_server()

    async def work(it: Process) -> list[Any]:
        return list(await asyncio.gather(*(it.call(server.pid, i) for i in range(1000))))

    assert await run_as_process(b, work) == list(range(1000))
    await b.stop()


async def test_the_end_of_the_caller_removes_its_pending_call() -> None:
    b, server, process = start_server()

    async def call_server(it: Process) -> None:
        await it.call(process.pid, None)

    caller = b.spawn(call_server)
    await settle()
    assert len(b.core.pending) == 1
    caller.stop()
    await settle()
    assert not b.core.pending
    process.reply(server.kept[0], "no pending call")
    await b.stop()


async def test_references_are_not_reused() -> None:
    b = node()
    words = {b.core.make_ref().id for _ in range(300_000)}  # upstream's repeat after 262,144 (ENP-REQ-2)
    assert len(words) == 300_000


# --- pending requests ---------------------------------------------------------------------------------------------------


async def test_a_pending_request_is_completed_once_by_its_own_node_and_process() -> None:
    pending, here = PendingRequests(), Atom("b@localhost")
    one, two = (asyncio.ensure_future(pending.wait(here, (n, 0, 0), 7, 5.0, lambda: None)) for n in (1, 2))
    await settle()
    assert not pending.answer(here, 8, (1, 0, 0), "of another process")
    assert not pending.answer(here, 7, (3, 0, 0), "of another call")
    assert not pending.answer(Atom("a@localhost"), 7, (1, 0, 0), "of another node")
    assert pending.answer(here, 7, (1, 0, 0), "it")
    assert not pending.answer(here, 7, (1, 0, 0), "again")
    assert await one == "it"
    pending.fail_all(here, error_values.NO_CONNECTION)
    with pytest.raises(ErgoError, match="no connection"):
        await two
    assert len(pending) == 0


# --- answers from another node ----------------------------------------------------------------------------------------


async def receive_request(peer: Peer, b: Node, **options: Any) -> tuple[enp.RequestPID, "asyncio.Task[Any]"]:
    """Calls a process of the peer; returns the request that the peer received and the pending call."""
    task = asyncio.create_task(call(b, peer.pid(), "question", **options))
    received = await peer.wait_for(lambda frame: isinstance(frame, enp.RequestPID), "a request")
    return received.value, task


def response(request: enp.RequestPID, payload: Any, **overrides: Any) -> enp.Response:
    good = enp.Response(1, request.to_id, 0, request.from_id, request.ref, payload)
    return good._replace(**overrides)


async def test_an_answer_with_another_reference_or_process_is_ignored() -> None:
    b = node()
    peer = await context(b).peer()
    request, task = await receive_request(peer, b)
    assert request.payload == "question"
    words = request.ref
    for overrides in (
        {"to_id": request.from_id + 1},
        {"ref": (words[0] + 1, *words[1:])},
        {"ref": (words[0], 1, 0)},
        {"ref": (words[0], 0, 1)},
    ):
        peer.send_frame(response(request, "wrong", **overrides))
    peer.send_frame(enp.ResponseError(1, 1007, 0, request.from_id + 1, words, Code.PROCESS_UNKNOWN, None))
    await settle()
    assert not task.done()
    peer.send_frame(response(request, "right", from_id=4, order=0))  # sender and order slot are not compared
    peer.send_frame(response(request, "twice"))
    assert await task == "right"
    await b.stop()


@pytest.mark.parametrize("code", list(Code))
async def test_a_response_error_ends_the_call_by_its_code(code: Code) -> None:
    b = node()
    peer = await context(b).peer()
    request, task = await receive_request(peer, b)
    error = Error("my own") if code is Code.OTHER else None
    peer.send_frame(enp.ResponseError(1, 1007, 0, request.from_id, request.ref, code, error))
    if code is Code.DELIVERED:
        assert await task is None
    else:
        with pytest.raises(ErgoError) as raised:
            await task
        assert raised.value.error == (error or enp.CODE_ERRORS[code])
    await b.stop()


async def test_a_late_answer_of_a_peer_is_dropped() -> None:
    b = node()
    peer = await context(b).peer()
    request, task = await receive_request(peer, b, timeout=1)
    with pytest.raises(ErgoError, match="timed out"):
        await task
    assert not b.core.pending
    peer.send_frame(response(request, "late"))
    request, task = await receive_request(peer, b)
    peer.send_frame(response(request, "in time"))
    assert await task == "in time"
    await b.stop()


async def test_a_payload_without_an_encoding_raises_and_leaves_no_pending_call() -> None:
    b = node()
    peer = await context(b).peer()
    for work in (lambda it: it.call(peer.pid(), object()), lambda it: it.send(peer.pid(), None)):
        with pytest.raises(CannotEncode):
            await run_as_process(b, work)
    connection = b.network.connections[peer.name]
    assert (len(b.core.pending), connection.node.info.messages_out) == (0, 0)
    await b.stop()
