"""Received frames: delivery to processes, undecodable frames, control requests, the end of a connection."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp, error_values, gen
from ergo_conformance.model.ergo.enp import FrameType, Verb
from ergo_conformance.model.values import PID, Alias, Atom, Error, ProcessID
from ergo_conformance.peers.corruption.frames import (
    UNKNOWN_ALIAS,
    UNKNOWN_NAME,
    UNKNOWN_PROCESS,
    header,
    relation_request,
    with_payload,
)
from ergo_conformance.peers.ergo.connection import ANNOUNCED, ORDER, PROCESS, Address, Peer
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import ExitSignal, Message, ProcessOptions
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from tests.support.nodes import context, node, run_as_process, settle


async def record_envelopes(process: Process, seen: list[Any]) -> None:
    """Records received envelopes."""
    while True:
        seen.append(await process.receive())


async def connected_peer(sockets: int = 1) -> tuple[Node, Peer]:
    b = node()
    Supervisor(b.core, LEVEL_1)
    return b, await context(b).peer(sockets=sockets, caches=ANNOUNCED)


def spawn_receiver(b: Node, **spawn_options: Any) -> tuple[Process, list[Any]]:
    seen: list[Any] = []
    return b.spawn(record_envelopes, seen, name="sink2", options=ProcessOptions(**spawn_options)), seen


def addresses(process: Process) -> dict[str, Any]:
    return {"pid": process.pid.id, "name": "sink2", "alias": process.create_alias().id}


# --- delivery ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pid", "name", "alias"])
async def test_messages_and_requests_reach_their_process(kind: str) -> None:
    b, peer = await connected_peer()
    process, seen = spawn_receiver(b)
    to = addresses(process)[kind]
    peer.send(to, "hi")
    words = peer.ask(to, "?", priority=enp.IMPORTANT)
    await settle()
    message, call = seen
    assert message == Message(peer.pid(), "hi")
    assert (call.sender, call.ref, call.payload, call.important) == (
        peer.pid(), (peer.name, peer.creation, words), "?", True,
    )  # fmt: skip
    await b.stop()


async def test_a_cached_name_reaches_its_process() -> None:
    b, peer = await connected_peer()
    assert isinstance(peer.message("echo", 1), enp.MessageNameCache)
    peer.send("echo", "hi")
    assert (await peer.receive_message()).value.payload == "hi"
    assert await peer.call("echo", "?") == "?"
    await b.stop()


async def test_an_exit_signal_reaches_its_process() -> None:
    b, peer = await connected_peer()
    process, seen = spawn_receiver(b, trap_exit=True)
    for to in (UNKNOWN_PROCESS, process.pid.id):
        peer.send_frame(enp.Exit(1, PROCESS, 2, to, Error("so be it")))
    await settle()
    assert seen == [ExitSignal(peer.pid(), Error("so be it"))]
    await b.stop()


async def test_the_priority_chooses_the_queue() -> None:
    b, peer = await connected_peer()
    process, seen = spawn_receiver(b)
    bytes_ = [0, 1, 2, 3, 0xFC, 0x41, 0x7E]
    data = b"".join(peer.data_of(enp.MessagePID(ORDER, PROCESS, byte, 5, process.pid.id, byte)) for byte in bytes_)
    peer.send_bytes(data, "messages of all priorities in one segment")
    await settle()
    assert [message.payload for message in seen] == [2, 0x7E, 1, 0x41, 0, 3, 0xFC]
    await b.stop()


async def test_messages_of_more_senders_than_cached_pids_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergo_conformance.reference_node.ergo.enp.connection.MAX_CACHED_PIDS", 3)
    b, peer = await connected_peer()
    process, seen = spawn_receiver(b)
    for _ in range(2):
        for sender in (0, 1, 2**64 - 1, 4, 5):
            peer.send(process.pid.id, "hi", sender=sender)
    await settle()
    assert [message.sender for message in seen] == [peer.pid(sender) for sender in (0, 1, 2**64 - 1, 4, 5)] * 2
    connection: Any = b.network.connections[peer.name]
    assert len(connection._pids) == 3
    await b.stop()


async def test_undeliverable_messages_and_requests_are_dropped() -> None:
    b, peer = await connected_peer()

    async def sleep_and_count(process: Process) -> None:
        await asyncio.sleep(5)
        while process.mailbox.take():
            messages.append(1)

    messages: list[int] = []
    full = b.spawn(sleep_and_count, options=ProcessOptions(mailbox_size=2))
    unknown: list[Address] = [UNKNOWN_PROCESS, str(UNKNOWN_NAME), UNKNOWN_ALIAS]
    for to in (*unknown, *[full.pid.id] * 3):
        peer.send(to, "hi")
        peer.ask(to, "?")
    await peer.expect_none(lambda frame: True, "answer")
    await asyncio.sleep(6)
    assert len(messages) == 2
    await b.stop()


# --- undecodable frames -----------------------------------------------------------------------------------------------


def undecodable_frames(peer: Peer) -> dict[str, bytes]:
    """Returns frames with a valid header that cannot be decoded."""
    message = peer.message("echo", "hi")
    return {
        "unknown type": header(108),
        "reserved type": header(202, 20) + bytes(12),
        "no body": header(FrameType.MESSAGE_PID),
        "undecodable": with_payload(message, peer, b"\x00\x01"),
        "extra byte": with_payload(message, peer, b"\x8d\x00\x02hi\x00"),
        "unknown name": peer.data_of(message)[:-7] + b"\xff\xf0" + peer.data_of(message)[-5:],
        "no control message": peer.data_of(enp.Control(0, relation_request(peer, Verb.LINK, "PID")))[:8] + b"\x84\x00",
        "no reason": with_payload(enp.Exit(1, 1, 2, UNKNOWN_PROCESS, Error("x")), peer, b"\x8d\x00\x02hi"),
    }


async def test_an_undecodable_frame_is_dropped_and_the_socket_stays() -> None:
    b, peer = await connected_peer()
    kinds = undecodable_frames(peer)
    for what, data in kinds.items():
        peer.send_bytes(data[:2] + len(data).to_bytes(4, "big") + data[6:], what)
        await peer.expect_none(lambda frame: True, "answer", 0.01)
    connection = b.network.connections[peer.name]
    assert connection.node.info.messages_in == 2 * len(kinds)  # a call to echo follows each of them
    assert len(connection.sockets) == 1
    await b.stop()


async def test_an_invalid_header_closes_its_socket_after_the_frames_before_it() -> None:
    b, peer = await connected_peer(sockets=2)
    good = peer.data_of(peer.message("echo", "before"))
    peer.send_bytes(good + b"GET / HTTP/1.1\r\n\r\n" + good, "a message, and another protocol", 1)
    assert (await peer.receive_message()).value.payload == "before"
    await peer.expect_close(1)
    await peer.expect_none(lambda frame: True, "further message")
    assert len(b.network.connections[peer.name].sockets) == 1
    await b.stop()


async def test_each_socket_has_its_own_byte_stream() -> None:
    b, peer = await connected_peer(sockets=2)
    data = peer.data_of(peer.message("echo", "halves"))
    peer.send_bytes(data[:9], "the beginning of a message", 0)
    peer.send_bytes(peer.data_of(peer.message("echo", "whole")), "a message on another socket", 1)
    assert (await peer.receive_message()).value.payload == "whole"
    peer.send_bytes(data[9:], "the rest of the message", 0)
    assert (await peer.receive_message()).value.payload == "halves"
    await b.stop()


# --- control messages -------------------------------------------------------------------------------------------------


def spawn_options(peer: Peer) -> gen.ProcessOptionsExtra:
    return gen.ProcessOptionsExtra(
        gen.RemoteProcessOptions(), peer.pid(), peer.pid(), None, 1, Atom(""), Atom(""), None
    )


def application_options(peer: Peer) -> gen.ApplicationOptionsExtra:
    return gen.ApplicationOptionsExtra(gen.ApplicationOptions(), peer.pid(), None, 1)


CONTROL: dict[str, Any] = {
    **{f"{verb.value} {word}": lambda p, v=verb, w=word: relation_request(p, v, w) for verb, word in enp.RELATIONS},
    "Spawn": lambda p: enp.Spawn(Atom("nothing"), spawn_options(p), p.control_ref()),
    "ApplicationStart": lambda p: enp.ApplicationStart(Atom("nothing"), 0, application_options(p), p.control_ref()),
    "UpdateCache": lambda p: enp.UpdateCache(None, None, None, None, p.control_ref()),
}


@pytest.mark.parametrize("what", list(CONTROL))
async def test_a_control_request_gets_one_result(what: str) -> None:
    b, peer = await connected_peer()
    message = CONTROL[what](peer)
    peer.send_frame(enp.Control(0, message))
    result = await peer.result(message.Ref)
    assert (result.Error is None) == (what == "UpdateCache")
    if what.endswith(("PID", "ProcessID")):
        assert result.Error == error_values.PROCESS_UNKNOWN
    await peer.expect_none(lambda frame: isinstance(frame, enp.Control), "second Result")
    await b.stop()


@pytest.mark.parametrize(("verb", "word"), list(enp.RELATIONS))
async def test_a_relation_of_a_third_nodes_process_or_target_is_refused(verb: Verb, word: str) -> None:
    """Upstream accepts both: it can be made to dial others, and to panic (ENP-LINK-3)."""
    b, peer = await connected_peer()
    good: Any = relation_request(peer, verb, word)
    stranger = good._replace(Source=PID(Atom("else@where"), 1, 1), Ref=peer.control_ref())
    elsewhere = good._replace(Target=good.Target._replace(node=Atom("else@where")), Ref=peer.control_ref())
    for message, error in ((stranger, error_values.NOT_ALLOWED), (elsewhere, error_values.NO_ROUTE)):
        peer.send_frame(enp.Control(0, message))
        result = await peer.result(message.Ref)
        assert result.Error is not None
        assert result.Error.text == error.text
    assert not b.core.monitoring.relations
    await b.stop()


# --- the end of a connection ------------------------------------------------------------------------------------------

WAITS: dict[str, Any] = {
    "call": lambda it, pid: it.call(pid, "?"),
    "important": lambda it, pid: it.send(pid, "hi", important=True),
    "link": lambda it, pid: it.link(pid),
    "monitor": lambda it, pid: it.monitor(ProcessID(pid.node, Atom("x"))),
    "link of an alias": lambda it, pid: it.link(Alias(pid.node, pid.creation, (1, 2, 3))),
}


@pytest.mark.parametrize("by_node", [True, False])
@pytest.mark.parametrize("verb", list(WAITS))
async def test_pending_requests_fail_when_the_connection_ends(verb: str, by_node: bool) -> None:
    b, peer = await connected_peer(sockets=3)
    task = asyncio.ensure_future(run_as_process(b, lambda it: WAITS[verb](it, peer.pid())))
    assert await peer.receive(1) is not None
    if by_node:
        b.core.disconnect(peer.name)
    else:
        for socket in peer.sockets:
            socket.close()
    begun = asyncio.get_running_loop().time()
    with pytest.raises(ErgoError, match="no connection"):
        await task
    assert asyncio.get_running_loop().time() == begun
    assert not b.network.connections
    for number in range(3):
        await peer.expect_close(number)
    with pytest.raises(ErgoError, match="no connection"):
        b.core.disconnect(peer.name)
    await b.stop()


async def test_a_pending_call_stays_while_one_socket_is_open() -> None:
    b, peer = await connected_peer(sockets=3)
    task = asyncio.ensure_future(run_as_process(b, lambda it: it.call(peer.pid(), "?")))
    request = (await peer.wait_for(lambda f: isinstance(f, enp.RequestPID), "a request")).value
    for number in (0, 1):
        peer.sockets[number].abort()
    await settle()
    peer.send_frame(enp.Response(1, PROCESS, 0, request.from_id, request.ref, "at last"), 2)
    assert await task == "at last"
    await b.stop()
