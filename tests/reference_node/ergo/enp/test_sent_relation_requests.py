"""Links and monitors that the node asks a peer for: what it says, and bad timing of what it gets."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.values import Error
from ergo_conformance.peers.ergo.connection import PROCESS
from ergo_conformance.reference_node.api.relations import RelationKind
from tests.support.nodes import settle
from tests.support.relating import (
    BYE,
    GIVE,
    NOTICES,
    TAKE,
    WORDS,
    answer,
    at_peer,
    kinds,
    request,
    theirs,
    watched,
    words,
)
from tests.support.watchers import Told, refused, watcher

HOW = {RelationKind.LINK: "exit", RelationKind.MONITOR: "down"}


@words
@kinds
@pytest.mark.parametrize("back", [False, True])
async def test_a_request(kind: RelationKind, word: str, back: bool) -> None:
    """Its class, its fields, its order byte (ENP §8: a monitor of a PID has none)."""
    async with at_peer() as (b, peer):
        it, target = watcher(b), theirs(peer)[word]
        if back:
            b.core.monitoring.relations.add(kind, target, it.process.pid)
        watching = b.core.monitoring
        how: Any = watching.withdraw if back else watching.request
        task = asyncio.ensure_future(how(kind, it.process, target))
        frame = await request(peer)
        verb = (GIVE if back else TAKE)[kind]
        wanted: Any = enp.RELATIONS[verb, word].value_class
        assert type(frame.message) is wanted
        assert frame.message[:2] == (it.process.pid, target)
        assert frame.message.Ref[:2] == (b.name, b.creation)
        order = {"PID": PROCESS if kind is RelationKind.LINK else 0, "Alias": WORDS[1]}.get(word, 0)
        assert frame.order == order % 255
        assert watched(b) == (1 if back else 0)
        peer.send_frame(answer(frame))
        assert await task == (None if back else [])
        assert watched(b) == (0 if back else 1)


@kinds
@pytest.mark.parametrize("text", ["unknown process", "target is already exist", "no route", "anything"])
async def test_a_refusal(kind: RelationKind, text: str) -> None:
    async with at_peer() as (b, peer):
        task = asyncio.ensure_future(refused(b.core.monitoring.request(kind, watcher(b).process, peer.pid())))
        peer.send_frame(answer(await request(peer), Error(text)))
        assert await task == text
        assert watched(b) == 0


@words
@kinds
async def test_no_result(kind: RelationKind, word: str) -> None:
    """It is waited for as long as for an answer. One that comes too late changes nothing (ENP-ANY-1)."""
    async with at_peer() as (b, peer):
        it = watcher(b)
        task = asyncio.ensure_future(refused(b.core.monitoring.request(kind, it.process, theirs(peer)[word])))
        frame = await request(peer)
        begun = asyncio.get_running_loop().time()
        assert await task == "timed out"
        assert asyncio.get_running_loop().time() - begun == pytest.approx(enp.REQUEST_TIMEOUT)
        connection: Any = b.network.connections[peer.name]
        assert not connection.control._pending
        peer.send_frame(answer(frame))
        await settle()
        assert watched(b) == 0


@kinds
@pytest.mark.parametrize("change", ["words", "creation", "node"])
async def test_a_result_with_another_reference(kind: RelationKind, change: str) -> None:
    """All parts of it count."""
    async with at_peer() as (b, peer):
        task = asyncio.ensure_future(b.core.monitoring.request(kind, watcher(b).process, peer.pid()))
        frame = await request(peer)
        ref = frame.message.Ref
        other = {
            "words": ref._replace(id=(ref.id[0], 1, 0)),
            "creation": ref._replace(creation=ref.creation + 1),
            "node": ref._replace(node=peer.name),
        }[change]
        peer.send_frame(enp.Control(0, enp.Result(None, None, other)))
        await settle()
        assert not task.done()
        peer.send_frame(answer(frame))
        await task


@words
@kinds
@pytest.mark.parametrize("back", [False, True])
async def test_a_peer_that_goes_while_it_is_asked(kind: RelationKind, word: str, back: bool) -> None:
    """The request fails; a relation that was there is told about, one that was not there is not."""
    async with at_peer() as (b, peer):
        it, target = watcher(b), theirs(peer)[word]
        if back:
            b.core.monitoring.relations.add(kind, target, it.process.pid)
        watching = b.core.monitoring
        how: Any = watching.withdraw if back else watching.request
        task = asyncio.ensure_future(refused(how(kind, it.process, target)))
        await request(peer)
        peer.sockets[0].close()
        assert await task == "no connection"
        await settle()
        assert it.told == ([Told(HOW[kind], target, "no connection")] if back else [])
        assert watched(b) == 0


@words
@kinds
async def test_a_target_that_ends_right_behind_the_result(kind: RelationKind, word: str) -> None:
    """Both in one piece: the relation holds when the notice is read."""
    async with at_peer() as (b, peer):
        it, target = watcher(b), theirs(peer)[word]
        task = asyncio.ensure_future(b.core.monitoring.request(kind, it.process, target))
        frame = await request(peer)
        peer.send_bytes(peer.data_of(answer(frame)) + peer.data_of(NOTICES[word]), "a Result and an end")
        await task
        await settle()
        assert it.told == [Told(HOW[kind], target, "bye")]
        assert watched(b) == 0


@words
@kinds
async def test_a_target_that_ends_while_it_is_given_back(kind: RelationKind, word: str) -> None:
    async with at_peer() as (b, peer):
        it, target = watcher(b), theirs(peer)[word]
        b.core.monitoring.relations.add(kind, target, it.process.pid)
        task = asyncio.ensure_future(b.core.monitoring.withdraw(kind, it.process, target))
        frame = await request(peer)
        peer.send_frame(NOTICES[word])
        peer.send_frame(answer(frame))
        assert await refused(task) == "unknown target"  # it has been told about
        await settle()
        assert it.told == [Told(HOW[kind], target, "bye")]
        assert watched(b) == 0


@words
async def test_a_notice_that_nobody_waits_for(word: str) -> None:
    """It is ignored, and so is a second one (ENP-TERM-1)."""
    async with at_peer() as (b, peer):
        it = watcher(b)
        for _ in range(2):
            peer.send_frame(NOTICES[word])
        other = theirs(peer)["ProcessID" if word != "ProcessID" else "Event"]
        b.core.monitoring.relations.add(RelationKind.LINK, other, it.process.pid)
        peer.send_frame(NOTICES[word])
        await settle()
        assert it.told == []
        assert b.network.connections


@kinds
async def test_a_consumer_that_ends_while_it_asks(kind: RelationKind) -> None:
    async with at_peer() as (b, peer):
        it = watcher(b)
        task = asyncio.ensure_future(b.core.monitoring.request(kind, it.process, peer.pid()))
        frame = await request(peer)
        it.process.stop(BYE)
        await settle()
        peer.send_frame(answer(frame))
        await task
        assert watched(b) == 0


@words
@kinds
@pytest.mark.parametrize("back", [False, True])
async def test_a_connection_that_ends_right_behind_the_result(kind: RelationKind, word: str, back: bool) -> None:
    """What was given back is not told about, what was taken is."""
    async with at_peer() as (b, peer):
        it, target = watcher(b), theirs(peer)[word]
        if back:
            b.core.monitoring.relations.add(kind, target, it.process.pid)
        watching, connection = b.core.monitoring, b.network.connections[peer.name]
        how: Any = watching.withdraw if back else watching.request
        task = asyncio.ensure_future(how(kind, it.process, target))
        frame = await request(peer)
        connection.receive(connection.sockets[0], peer.data_of(answer(frame)))
        b.core.disconnect(peer.name)
        await task
        await settle()
        assert it.told == ([] if back else [Told(HOW[kind], target, "no connection")])
        assert watched(b) == 0
