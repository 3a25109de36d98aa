"""Links and monitors within a node and between two: each is told about once, for the right reason."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ergo_conformance.model.ergo import agent_types, error_values
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget
from ergo_conformance.reference_node.node import Node
from tests.support.nodes import settle
from tests.support.scenes import BYE, HOW, give_back, scene, take
from tests.support.watchers import Told, refused, watcher

WORDS = ("pid", "name", "alias", "event")
kinds = pytest.mark.parametrize("kind", list(RelationKind), ids=lambda kind: kind.value)
words = pytest.mark.parametrize("word", WORDS)
places = pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])


@places
@words
@kinds
@pytest.mark.parametrize(
    "reason", [BYE, error_values.KILL, error_values.NORMAL, agent_types.CUSTOM_ERROR], ids=lambda r: r.text
)
async def test_the_end_is_told_once(kind: RelationKind, word: str, remote: bool, reason: Error) -> None:
    async with scene(remote=remote) as s:
        it = watcher(s.here)
        await take(it, kind, s.by[word])
        assert s.relations == (1, 1)
        await settle()
        assert it.told == []
        await s.end(reason)
        assert it.told == [Told(HOW[kind], s.by[word], reason.text)]
        assert s.relations == (0, 0)
        assert it.process.reason is None


@places
@words
@kinds
async def test_what_was_taken_back_is_not_told(kind: RelationKind, word: str, remote: bool) -> None:
    async with scene(remote=remote) as s:
        it = watcher(s.here)
        await take(it, kind, s.by[word])
        await give_back(it, kind, s.by[word])
        assert s.relations == (0, 0)
        await s.end()
        assert it.told == []


@places
@words
@kinds
async def test_a_relation_is_taken_once_and_given_back_once(kind: RelationKind, word: str, remote: bool) -> None:
    async with scene(remote=remote) as s:
        it, target = watcher(s.here), s.by[word]
        assert await refused(give_back(it, kind, target)) == "unknown target"
        await take(it, kind, target)
        assert await refused(take(it, kind, target)) == "target is already exist"
        await give_back(it, kind, target)
        assert await refused(give_back(it, kind, target)) == "unknown target"
        await take(it, kind, target)
        await s.end()
        assert it.take() == [Told(HOW[kind], target, "bye")]
        assert await refused(give_back(it, kind, target)) == "unknown target"


@places
async def test_all_relations_of_all_consumers_are_told(remote: bool) -> None:
    async with scene(remote=remote) as s:
        both = [watcher(s.here), watcher(s.here)]
        for it in both:
            for target in s.by.values():
                for kind in RelationKind:
                    await take(it, kind, target)
        assert s.relations == (16, 16)
        await s.end()
        wanted = {(how, repr(target), "bye") for how in HOW.values() for target in s.by.values()}
        for it in both:
            assert len(it.told) == 8
            assert {(told.how, repr(told.source), told.reason) for told in it.told} == wanted
        assert s.relations == (0, 0)


@places
@kinds
async def test_only_the_other_kind_is_left(kind: RelationKind, remote: bool) -> None:
    """To take back a link leaves the monitor, and the reverse."""
    other = next(other for other in RelationKind if other is not kind)
    async with scene(remote=remote) as s:
        it = watcher(s.here)
        for each in RelationKind:
            await take(it, each, s.by["pid"])
        await give_back(it, kind, s.by["pid"])
        await s.end()
        assert it.told == [Told(HOW[other], s.by["pid"], "bye")]


# --- targets that are not there ---------------------------------------------------------------------------------------

UNKNOWN: list[tuple[Callable[[Node], RelationTarget], str]] = [
    (lambda node: PID(node.name, 9999, node.creation), "unknown process"),
    (lambda node: ProcessID(node.name, Atom("nobody")), "unknown process"),
    (lambda node: Alias(node.name, node.creation, (1, 2, 3)), "unknown alias"),
    (lambda node: Event(node.name, Atom("nothing")), "unknown event"),
    (lambda node: Event(node.name, Atom("it")), "unknown event"),
    (lambda node: ProcessID(node.name, Atom("ev")), "unknown process"),
]


@places
@kinds
@pytest.mark.parametrize(("target", "text"), UNKNOWN)
async def test_an_unknown_target_is_refused(
    target: Callable[[Node], RelationTarget], text: str, kind: RelationKind, remote: bool
) -> None:
    async with scene(remote=remote) as s:
        it = watcher(s.here)
        assert await refused(take(it, kind, target(s.there))) == text
        assert s.relations == (0, 0)


@places
@kinds
@words
async def test_a_target_that_has_ended_is_unknown(word: str, kind: RelationKind, remote: bool) -> None:
    async with scene(remote=remote) as s:
        await s.end()
        it = watcher(s.here)
        text = {"alias": "unknown alias", "event": "unknown event"}.get(word, "unknown process")
        assert await refused(take(it, kind, s.by[word])) == text
        assert it.told == []


@kinds
@pytest.mark.parametrize("word", ["pid", "alias"])
async def test_an_address_of_an_earlier_incarnation_is_refused(word: str, kind: RelationKind) -> None:
    async with scene() as s:
        it = watcher(s.here)
        old: Any = s.by[word]
        text = "process ID belongs to the previous incarnation"
        assert await refused(take(it, kind, old._replace(creation=old.creation - 1))) == text
        assert s.relations == (0, 0)


@kinds
async def test_a_node_that_is_not_there_is_no_target(kind: RelationKind) -> None:
    nowhere = Atom("nowhere@localhost")
    async with scene() as s:
        it = watcher(s.here)
        for target in (nowhere, PID(nowhere, 1, 1), ProcessID(nowhere, Atom("it")), Event(nowhere, Atom("ev"))):
            assert await refused(take(it, kind, target)) == "no route"
        assert await refused(take(it, kind, s.here.name)) == "unknown target"
        assert s.relations == (0, 0)


@kinds
async def test_a_process_does_not_watch_itself(kind: RelationKind) -> None:
    async with scene() as s:
        it = watcher(s.here)
        assert await refused(take(it, kind, it.process.pid)) == "not allowed"


# --- what becomes of the consumer -------------------------------------------------------------------------------------


@places
@words
@pytest.mark.parametrize("reason", [BYE, error_values.NORMAL, error_values.SHUTDOWN], ids=lambda r: r.text)
async def test_a_link_ends_who_does_not_trap_exits(word: str, remote: bool, reason: Error) -> None:
    async with scene(remote=remote) as s:
        it = watcher(s.here, trap_exit=False)
        second = watcher(s.here)
        await it.link(s.by[word])
        await second.monitor(it.process.pid)
        await s.end(reason)
        assert it.process.reason is not None
        assert second.told == [Told("down", it.process.pid, reason.text)]
        assert it.told == []


@places
@words
async def test_a_monitor_ends_nobody(word: str, remote: bool) -> None:
    async with scene(remote=remote) as s:
        it = watcher(s.here, trap_exit=False)
        await it.monitor(s.by[word])
        await s.end(error_values.KILL)
        assert it.process.reason is None
        assert it.told == [Told("down", s.by[word], "kill")]


@places
async def test_the_end_of_the_consumer_is_not_told_to_the_target(remote: bool) -> None:
    """A link has a direction. Nothing is left of a consumer that has ended on its own node."""
    async with scene(remote=remote) as s:
        it = watcher(s.here)
        await it.link(s.by["pid"])
        it.process.stop(BYE)
        await settle()
        assert s.target.reason is None
        assert len(s.here.core.monitoring.relations) == 0
        await s.end()
        assert s.relations == (0, 0)


@places
@kinds
async def test_a_deleted_alias_is_unregistered(kind: RelationKind, remote: bool) -> None:
    async with scene(remote=remote) as s:
        it, alias = watcher(s.here), s.target.create_alias()
        await take(it, kind, alias)
        s.target.delete_alias(alias)
        await settle()
        assert it.take() == [Told(HOW[kind], alias, "unregistered")]
        await s.end()
        assert it.told == []


async def test_many_relations_at_once() -> None:
    """Taken side by side, all told."""
    async with scene() as s:
        them = [watcher(s.here) for _ in range(100)]
        await asyncio.gather(*(take(it, kind, s.by["pid"]) for it in them for kind in RelationKind))
        assert s.relations == (200, 200)
        await s.end()
        assert all(sorted(told.how for told in it.told) == ["down", "exit"] for it in them)
