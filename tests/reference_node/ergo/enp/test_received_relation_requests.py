"""Links and monitors that a peer requests, checked with the schemas: Results and Terminate frames."""

from typing import Any

import pytest

from ergo_conformance.model.ergo import enp, error_values
from ergo_conformance.model.ergo.enp import Verb
from ergo_conformance.model.values import PID, Alias, Atom
from ergo_conformance.peers.corruption.frames import relation_request
from ergo_conformance.peers.ergo.connection import PROCESS
from ergo_conformance.reference_node.api.relations import RelationKind
from tests.support.consumers import Termination, spawn_consumer
from tests.support.nodes import context, settle
from tests.support.relation_peer import (
    ADD_VERBS,
    BYE,
    REMOVE_VERBS,
    TERMINATE_FRAMES,
    connected_peer,
    kinds,
    node_targets,
    relation_count,
    request_relation,
    target_kinds,
)


@target_kinds
@kinds
@pytest.mark.parametrize("cached", [False, True])
async def test_one_terminate_frame_for_all_consumers_of_a_node(
    kind: RelationKind, target_kind: str, cached: bool
) -> None:
    async with connected_peer(atoms=("it", "ev") if cached else ()) as (b, peer):
        second = await context(b, 2).peer("second@localhost")
        process, targets = node_targets(b)
        for each in (peer, second):
            for id_ in (PROCESS, PROCESS + 1):
                for verb in (ADD_VERBS[kind], *ADD_VERBS.values()):
                    await request_relation(each, verb, target_kind, targets[target_kind], Source=each.pid(id_))
        process.stop(BYE)
        await settle()
        name, alias = Atom("it" if target_kind == "ProcessID" else "ev"), targets["Alias"]
        assert isinstance(alias, Alias)
        by_name = {
            "ProcessID": enp.TerminateNameCache if cached else enp.TerminateName,
            "Event": enp.TerminateEventCache if cached else enp.TerminateEvent,
        }
        wanted = {
            "PID": enp.TerminatePID(0, 1, process.pid.id, BYE),
            "Alias": enp.TerminateAlias(0, 1, alias.id, BYE),
        }.get(target_kind) or by_name[target_kind](0, 1, name, BYE)
        for each in (peer, second):
            received = await each.receive(10)
            assert received is not None
            assert (type(received.value), received.value) == (type(wanted), wanted)
            assert await each.receive(10) is None
        assert relation_count(b) == 0


@target_kinds
async def test_a_terminate_frame_uses_the_socket_of_the_ended_process(target_kind: str) -> None:
    """It uses the socket of the ended process, so that it overtakes neither its last message nor the Result."""
    async with connected_peer() as (b, _):
        peer = await context(b, 3).peer("wide@localhost", sockets=3)
        for i in range(6):
            process, targets = node_targets(b)
            peer.send_frame(
                enp.Control(0, relation_request(peer, Verb.MONITOR, target_kind, targets[target_kind])), i % 3
            )
            await settle()
            await process.send(peer.pid(), "last words")
            process.stop(BYE)
            received = [received for _ in range(3) if (received := await peer.receive(10))]
            assert {type(received.value) for received in received} == {
                enp.Control,
                enp.MessagePID,
                type(TERMINATE_FRAMES[target_kind]),
            }
            assert len({received.socket for received in received}) == 1


@target_kinds
@kinds
async def test_no_terminate_frame_for_a_removed_relation(kind: RelationKind, target_kind: str) -> None:
    async with connected_peer() as (b, peer):
        process, targets = node_targets(b)
        for verb in (ADD_VERBS[kind], REMOVE_VERBS[kind]):
            assert await request_relation(peer, verb, target_kind, targets[target_kind]) is None
        assert relation_count(b) == 0
        process.stop(BYE)
        assert await peer.receive(10) is None


@target_kinds
@kinds
async def test_repeated_link_and_unlink_requests_succeed(kind: RelationKind, target_kind: str) -> None:
    """The requesting node keeps its own table (ENP-LINK-1): an upstream node that is refused never removes its entry."""
    async with connected_peer() as (b, peer):
        _, targets = node_targets(b)
        target, relations = targets[target_kind], b.core.monitoring.relations
        for verb in (REMOVE_VERBS[kind], ADD_VERBS[kind], ADD_VERBS[kind]):
            assert await request_relation(peer, verb, target_kind, target) is None
        assert len(relations) == 1
        assert await request_relation(peer, REMOVE_VERBS[kind], target_kind, target, Source=peer.pid(1)) is None
        assert len(relations) == 1
        for _ in range(2):
            assert await request_relation(peer, REMOVE_VERBS[kind], target_kind, target) is None
            assert len(relations) == 0


@kinds
async def test_a_target_of_an_earlier_incarnation_is_unknown(kind: RelationKind) -> None:
    async with connected_peer() as (b, peer):
        process, targets = node_targets(b)
        old, alias = process.pid._replace(creation=b.creation - 1), targets["Alias"]
        assert isinstance(alias, Alias)
        assert await request_relation(peer, ADD_VERBS[kind], "PID", old) == "unknown process"
        assert (
            await request_relation(peer, ADD_VERBS[kind], "Alias", alias._replace(creation=b.creation - 1))
            == "unknown alias"
        )
        assert relation_count(b) == 0


@target_kinds
@kinds
async def test_consumers_of_the_peer_and_targets_of_the_node_are_required(kind: RelationKind, target_kind: str) -> None:
    """Upstream checks neither (ENP-LINK-3)."""
    stranger = Atom("stranger@localhost")
    async with connected_peer() as (b, peer):
        _, targets = node_targets(b)
        target: Any = targets[target_kind]
        assert (
            await request_relation(peer, ADD_VERBS[kind], target_kind, target, Source=PID(stranger, 1, 1))
            == "not allowed"
        )
        assert await request_relation(peer, ADD_VERBS[kind], target_kind, target._replace(node=stranger)) == "no route"
        assert relation_count(b) == 0


async def test_the_loss_of_a_peer_removes_its_consumers() -> None:
    async with connected_peer() as (b, peer):
        process, targets = node_targets(b)
        third = spawn_consumer(b)
        await third.monitor(process.pid)
        for target_kind, target in targets.items():
            for verb in ADD_VERBS.values():
                await request_relation(peer, verb, target_kind, target)
        assert relation_count(b) == 9
        peer.sockets[0].close()
        await settle()
        assert relation_count(b) == 1
        process.stop(error_values.KILL)
        await settle()
        assert third.received == [Termination("down", process.pid, "kill")]
