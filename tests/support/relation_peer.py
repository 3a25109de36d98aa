"""Links and monitors between a node and a scripted peer: requests, Results, Terminate frames."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Verb
from ergo_conformance.model.values import Alias, Atom, Error, Event, ProcessID
from ergo_conformance.peers.corruption.frames import relation_request
from ergo_conformance.peers.ergo.connection import PROCESS, Peer
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from tests.support.consumers import idle
from tests.support.nodes import context, node, settle

BYE = Error("bye")
ALIAS_ID = (7, 300, 9)
ADD_VERBS = {RelationKind.LINK: Verb.LINK, RelationKind.MONITOR: Verb.MONITOR}
REMOVE_VERBS = {RelationKind.LINK: Verb.UNLINK, RelationKind.MONITOR: Verb.DEMONITOR}
kinds = pytest.mark.parametrize("kind", list(RelationKind), ids=lambda kind: kind.value)
target_kinds = pytest.mark.parametrize("target_kind", list(enp.TARGETS))
TERMINATE_FRAMES: dict[str, Any] = {
    "PID": enp.TerminatePID(0, 1, PROCESS, BYE),
    "ProcessID": enp.TerminateName(0, 1, Atom("it"), BYE),
    "Alias": enp.TerminateAlias(0, 1, ALIAS_ID, BYE),
    "Event": enp.TerminateEvent(0, 1, Atom("ev"), BYE),
}
"""Frames that a peer sends at the end of its targets."""


async def connected(**options: Any) -> tuple[Node, Peer]:
    b = node(**options)
    peer = await context(b).peer()
    await settle()
    return b, peer


@asynccontextmanager
async def connected_peer(**options: Any) -> AsyncIterator[tuple[Node, Peer]]:
    b, peer = await connected(**options)
    try:
        yield b, peer
    finally:
        await b.stop()


def peer_targets(peer: Peer) -> dict[str, RelationTarget]:
    """Returns a target of the peer for each kind of address."""
    name = ProcessID(peer.name, Atom("it"))
    event = Event(peer.name, Atom("ev"))
    return {"PID": peer.pid(), "ProcessID": name, "Alias": Alias(peer.name, peer.creation, ALIAS_ID), "Event": event}


def node_targets(b: Node) -> tuple[Process, dict[str, RelationTarget]]:
    """Spawns a process of the node; returns it and its targets by kind."""
    process = b.spawn(idle, name="it")
    process.register_event("ev")
    name, event = ProcessID(b.name, Atom("it")), Event(b.name, Atom("ev"))
    return process, {"PID": process.pid, "ProcessID": name, "Alias": process.create_alias(), "Event": event}


def is_request(frame: Any) -> bool:
    return isinstance(frame, enp.Control) and isinstance(frame.message, enp.RelationRequest)


async def next_request(peer: Peer) -> enp.Control:
    """Returns the next relation request of the node."""
    frame: enp.Control = (await peer.wait_for(is_request, "a relation request")).value
    return frame


def result_frame(frame: enp.Control, error: Error | None = None, result: Any = None) -> enp.Control:
    return enp.Control(0, enp.Result(error, result, frame.message.Ref))


async def request_relation(peer: Peer, verb: Verb, target_kind: str, target: Any, **other: Any) -> str | None:
    """Sends a relation request of the peer; returns the text of the error in its Result."""
    message: Any = relation_request(peer, verb, target_kind, target)._replace(**other)
    peer.send_frame(enp.Control(0, message))
    result = await peer.result(message.Ref)
    return result.Error and result.Error.text


def relation_count(b: Node) -> int:
    return len(b.core.monitoring.relations)
