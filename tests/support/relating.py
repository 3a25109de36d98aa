"""Links and monitors between a node and a peer that the schemas judge: requests, Results, notices."""

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
from tests.support.nodes import context, node, settle
from tests.support.watchers import idle

BYE = Error("bye")
WORDS = (7, 300, 9)
TAKE = {RelationKind.LINK: Verb.LINK, RelationKind.MONITOR: Verb.MONITOR}
GIVE = {RelationKind.LINK: Verb.UNLINK, RelationKind.MONITOR: Verb.DEMONITOR}
kinds = pytest.mark.parametrize("kind", list(RelationKind), ids=lambda kind: kind.value)
words = pytest.mark.parametrize("word", list(enp.TARGETS))
NOTICES: dict[str, Any] = {
    "PID": enp.TerminatePID(0, 1, PROCESS, BYE),
    "ProcessID": enp.TerminateName(0, 1, Atom("it"), BYE),
    "Alias": enp.TerminateAlias(0, 1, WORDS, BYE),
    "Event": enp.TerminateEvent(0, 1, Atom("ev"), BYE),
}
"""What a peer says when its things of `theirs` end."""


async def connected(**options: Any) -> tuple[Node, Peer]:
    b = node(**options)
    peer = await context(b).peer()
    await settle()
    return b, peer


@asynccontextmanager
async def at_peer(**options: Any) -> AsyncIterator[tuple[Node, Peer]]:
    b, peer = await connected(**options)
    try:
        yield b, peer
    finally:
        await b.stop()


def theirs(peer: Peer) -> dict[str, RelationTarget]:
    """Something of the peer's by each kind of address."""
    name = ProcessID(peer.name, Atom("it"))
    event = Event(peer.name, Atom("ev"))
    return {"PID": peer.pid(), "ProcessID": name, "Alias": Alias(peer.name, peer.creation, WORDS), "Event": event}


def ours(b: Node) -> tuple[Process, dict[str, RelationTarget]]:
    """Something of the node's."""
    process = b.spawn(idle, name="it")
    process.register_event("ev")
    name, event = ProcessID(b.name, Atom("it")), Event(b.name, Atom("ev"))
    return process, {"PID": process.pid, "ProcessID": name, "Alias": process.create_alias(), "Event": event}


def is_request(frame: Any) -> bool:
    return isinstance(frame, enp.Control) and isinstance(frame.message, enp.RelationRequest)


async def request(peer: Peer) -> enp.Control:
    """The next relation request of the node."""
    frame: enp.Control = (await peer.wait_for(is_request, "a relation request")).value
    return frame


def answer(frame: enp.Control, error: Error | None = None, result: Any = None) -> enp.Control:
    return enp.Control(0, enp.Result(error, result, frame.message.Ref))


async def ask(peer: Peer, verb: Verb, word: str, target: Any, **other: Any) -> str | None:
    """A relation request of the peer: the text of the error in its Result."""
    message: Any = relation_request(peer, verb, word, target)._replace(**other)
    peer.send_frame(enp.Control(0, message))
    result = await peer.result(message.Ref)
    return result.Error and result.Error.text


def watched(b: Node) -> int:
    return len(b.core.monitoring.relations)
