"""Links and monitors that the node requests of a peer: the requests, and answers at an unfavourable time."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.values import Error
from ergo_conformance.peers.ergo.connection import PROCESS
from ergo_conformance.reference_node.api.relations import RelationKind
from tests.support.consumers import Termination, error_text, spawn_consumer
from tests.support.nodes import settle
from tests.support.relation_peer import (
    ADD_VERBS,
    ALIAS_ID,
    BYE,
    REMOVE_VERBS,
    TERMINATE_FRAMES,
    connected_peer,
    kinds,
    next_request,
    peer_targets,
    relation_count,
    result_frame,
    target_kinds,
)

SIGNALS = {RelationKind.LINK: "exit", RelationKind.MONITOR: "down"}


@target_kinds
@kinds
@pytest.mark.parametrize("withdraw", [False, True])
async def test_a_relation_request_has_the_fields_of_its_kind(
    kind: RelationKind, target_kind: str, withdraw: bool
) -> None:
    """Class, fields and order slot (ENP §8: a monitor of a PID has slot 0)."""
    async with connected_peer() as (b, peer):
        it, target = spawn_consumer(b), peer_targets(peer)[target_kind]
        if withdraw:
            b.core.monitoring.relations.add(kind, target, it.process.pid)
        monitoring = b.core.monitoring
        operation: Any = monitoring.withdraw if withdraw else monitoring.request
        task = asyncio.ensure_future(operation(kind, it.process, target))
        frame = await next_request(peer)
        verb = (REMOVE_VERBS if withdraw else ADD_VERBS)[kind]
        wanted: Any = enp.RELATIONS[verb, target_kind].value_class
        assert type(frame.message) is wanted
        assert frame.message[:2] == (it.process.pid, target)
        assert frame.message.Ref[:2] == (b.name, b.creation)
        order = {"PID": PROCESS if kind is RelationKind.LINK else 0, "Alias": ALIAS_ID[1]}.get(target_kind, 0)
        assert frame.order == order % 255
        assert relation_count(b) == (1 if withdraw else 0)
        peer.send_frame(result_frame(frame))
        assert await task == (None if withdraw else [])
        assert relation_count(b) == (0 if withdraw else 1)


@kinds
@pytest.mark.parametrize("text", ["unknown process", "target is already exist", "no route", "anything"])
async def test_the_error_of_a_refused_relation_is_raised(kind: RelationKind, text: str) -> None:
    async with connected_peer() as (b, peer):
        task = asyncio.ensure_future(error_text(b.core.monitoring.request(kind, spawn_consumer(b).process, peer.pid())))
        peer.send_frame(result_frame(await next_request(peer), Error(text)))
        assert await task == text
        assert relation_count(b) == 0


@target_kinds
@kinds
async def test_a_relation_request_without_a_result_times_out(kind: RelationKind, target_kind: str) -> None:
    """It times out like a call. A late Result changes nothing (ENP-ANY-1)."""
    async with connected_peer() as (b, peer):
        it = spawn_consumer(b)
        task = asyncio.ensure_future(
            error_text(b.core.monitoring.request(kind, it.process, peer_targets(peer)[target_kind]))
        )
        frame = await next_request(peer)
        begun = asyncio.get_running_loop().time()
        assert await task == "timed out"
        assert asyncio.get_running_loop().time() - begun == pytest.approx(enp.REQUEST_TIMEOUT)
        connection: Any = b.network.connections[peer.name]
        assert not connection.control._pending
        peer.send_frame(result_frame(frame))
        await settle()
        assert relation_count(b) == 0


@kinds
@pytest.mark.parametrize("change", ["words", "creation", "node"])
async def test_a_result_with_another_reference_is_ignored(kind: RelationKind, change: str) -> None:
    """All parts of a reference are compared."""
    async with connected_peer() as (b, peer):
        task = asyncio.ensure_future(b.core.monitoring.request(kind, spawn_consumer(b).process, peer.pid()))
        frame = await next_request(peer)
        ref = frame.message.Ref
        other = {
            "words": ref._replace(id=(ref.id[0], 1, 0)),
            "creation": ref._replace(creation=ref.creation + 1),
            "node": ref._replace(node=peer.name),
        }[change]
        peer.send_frame(enp.Control(0, enp.Result(None, None, other)))
        await settle()
        assert not task.done()
        peer.send_frame(result_frame(frame))
        await task


@target_kinds
@kinds
@pytest.mark.parametrize("withdraw", [False, True])
async def test_a_pending_relation_request_fails_when_the_peer_disconnects(
    kind: RelationKind, target_kind: str, withdraw: bool
) -> None:
    """The request fails; an existing relation is notified, a requested one is not."""
    async with connected_peer() as (b, peer):
        it, target = spawn_consumer(b), peer_targets(peer)[target_kind]
        if withdraw:
            b.core.monitoring.relations.add(kind, target, it.process.pid)
        monitoring = b.core.monitoring
        operation: Any = monitoring.withdraw if withdraw else monitoring.request
        task = asyncio.ensure_future(error_text(operation(kind, it.process, target)))
        await next_request(peer)
        peer.sockets[0].close()
        assert await task == "no connection"
        await settle()
        assert it.received == ([Termination(SIGNALS[kind], target, "no connection")] if withdraw else [])
        assert relation_count(b) == 0


@target_kinds
@kinds
async def test_the_end_of_a_target_directly_after_the_result_is_notified(kind: RelationKind, target_kind: str) -> None:
    """Both arrive in one segment: the relation exists when the Terminate frame is read."""
    async with connected_peer() as (b, peer):
        it, target = spawn_consumer(b), peer_targets(peer)[target_kind]
        task = asyncio.ensure_future(b.core.monitoring.request(kind, it.process, target))
        frame = await next_request(peer)
        peer.send_bytes(
            peer.data_of(result_frame(frame)) + peer.data_of(TERMINATE_FRAMES[target_kind]), "a Result and an end"
        )
        await task
        await settle()
        assert it.received == [Termination(SIGNALS[kind], target, "bye")]
        assert relation_count(b) == 0


@target_kinds
@kinds
async def test_the_end_of_a_target_during_the_withdrawal_is_notified(kind: RelationKind, target_kind: str) -> None:
    async with connected_peer() as (b, peer):
        it, target = spawn_consumer(b), peer_targets(peer)[target_kind]
        b.core.monitoring.relations.add(kind, target, it.process.pid)
        task = asyncio.ensure_future(b.core.monitoring.withdraw(kind, it.process, target))
        frame = await next_request(peer)
        peer.send_frame(TERMINATE_FRAMES[target_kind])
        peer.send_frame(result_frame(frame))
        assert await error_text(task) == "unknown target"  # it has been notified
        await settle()
        assert it.received == [Termination(SIGNALS[kind], target, "bye")]
        assert relation_count(b) == 0


@target_kinds
async def test_a_terminate_frame_without_a_relation_is_ignored(target_kind: str) -> None:
    """It is ignored, also a second one (ENP-TERM-1)."""
    async with connected_peer() as (b, peer):
        it = spawn_consumer(b)
        for _ in range(2):
            peer.send_frame(TERMINATE_FRAMES[target_kind])
        other = peer_targets(peer)["ProcessID" if target_kind != "ProcessID" else "Event"]
        b.core.monitoring.relations.add(RelationKind.LINK, other, it.process.pid)
        peer.send_frame(TERMINATE_FRAMES[target_kind])
        await settle()
        assert it.received == []
        assert b.network.connections


@kinds
async def test_the_end_of_the_consumer_during_the_request_leaves_no_relation(kind: RelationKind) -> None:
    async with connected_peer() as (b, peer):
        it = spawn_consumer(b)
        task = asyncio.ensure_future(b.core.monitoring.request(kind, it.process, peer.pid()))
        frame = await next_request(peer)
        it.process.stop(BYE)
        await settle()
        peer.send_frame(result_frame(frame))
        await task
        assert relation_count(b) == 0


@target_kinds
@kinds
@pytest.mark.parametrize("withdraw", [False, True])
async def test_the_end_of_the_connection_directly_after_the_result(
    kind: RelationKind, target_kind: str, withdraw: bool
) -> None:
    """A removed relation is not notified, an established one is."""
    async with connected_peer() as (b, peer):
        it, target = spawn_consumer(b), peer_targets(peer)[target_kind]
        if withdraw:
            b.core.monitoring.relations.add(kind, target, it.process.pid)
        monitoring, connection = b.core.monitoring, b.network.connections[peer.name]
        operation: Any = monitoring.withdraw if withdraw else monitoring.request
        task = asyncio.ensure_future(operation(kind, it.process, target))
        frame = await next_request(peer)
        connection.receive(connection.sockets[0], peer.data_of(result_frame(frame)))
        b.core.disconnect(peer.name)
        await task
        await settle()
        assert it.received == ([] if withdraw else [Termination(SIGNALS[kind], target, "no connection")])
        assert relation_count(b) == 0
