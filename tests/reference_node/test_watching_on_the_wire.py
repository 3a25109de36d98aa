"""Links and monitors as a peer sees them that the schemas judge: requests, Results, notices, and bad timing of each."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ergo_conformance.model import enp, reasons
from ergo_conformance.model.enp import Verb
from ergo_conformance.model.terms import PID, Alias, Atom, Error, Event, ProcessID
from ergo_conformance.peers.damage import relation
from ergo_conformance.peers.enp import PROCESS, Peer
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.processes import Process
from ergo_conformance.reference_node.relations import Kind, Watched
from tests.support.nodes import context, node, settle, virtually
from tests.support.watchers import Told, idle, refused, watcher

BYE = Error("bye")
WORDS = (7, 300, 9)
TAKE = {Kind.LINK: Verb.LINK, Kind.MONITOR: Verb.MONITOR}
GIVE = {Kind.LINK: Verb.UNLINK, Kind.MONITOR: Verb.DEMONITOR}
HOW = {Kind.LINK: "exit", Kind.MONITOR: "down"}
kinds = pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.value)
words = pytest.mark.parametrize("word", list(enp.TARGETS))


async def connected(**options: Any) -> tuple[Node, Peer]:
    b = node(**options)
    peer = await context(b).peer()
    await settle()
    return b, peer


def at_peer(work: Callable[[Node, Peer], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        b, peer = await connected(**options)
        await work(b, peer)
        await b.stop()

    virtually(run())


def theirs(peer: Peer) -> dict[str, Watched]:
    """Something of the peer's by each kind of address."""
    name = ProcessID(peer.name, Atom("it"))
    event = Event(peer.name, Atom("ev"))
    return {"PID": peer.pid(), "ProcessID": name, "Alias": Alias(peer.name, peer.creation, WORDS), "Event": event}


def ours(b: Node) -> tuple[Process, dict[str, Watched]]:
    """Something of the node's."""
    process = b.spawn(idle, name="it")
    process.register_event("ev")
    name, event = ProcessID(b.name, Atom("it")), Event(b.name, Atom("ev"))
    return process, {"PID": process.pid, "ProcessID": name, "Alias": process.create_alias(), "Event": event}


def is_request(frame: Any) -> bool:
    return isinstance(frame, enp.Control) and isinstance(frame.message, enp.Relation)


async def request(peer: Peer) -> enp.Control:
    """The next relation request of the node."""
    frame: enp.Control = (await peer.wait_for(is_request, "a relation request")).value
    return frame


def answer(frame: enp.Control, error: Error | None = None, result: Any = None) -> enp.Control:
    return enp.Control(0, enp.Result(error, result, frame.message.Ref))


async def ask(peer: Peer, verb: Verb, word: str, target: Any, **other: Any) -> str | None:
    """A relation request of the peer: the text of the error in its Result."""
    message: Any = relation(peer, verb, word, target)._replace(**other)
    peer.send_frame(enp.Control(0, message))
    result = await peer.result(message.Ref)
    return result.Error and result.Error.text


def watched(b: Node) -> int:
    return len(b.core.watching.relations)


# --- what the node asks for -------------------------------------------------------------------------------------------


@words
@kinds
@pytest.mark.parametrize("back", [False, True])
def test_a_request(kind: Kind, word: str, back: bool) -> None:
    """Its class, its fields, its order byte (ENP §8: a monitor of a PID has none)."""

    async def work(b: Node, peer: Peer) -> None:
        it, target = watcher(b), theirs(peer)[word]
        if back:
            b.core.watching.relations.add(kind, target, it.process.pid)
        watching = b.core.watching
        how: Any = watching.unwatch if back else watching.watch
        task = asyncio.ensure_future(how(kind, it.process, target))
        frame = await request(peer)
        verb = (GIVE if back else TAKE)[kind]
        wanted: Any = enp.RELATIONS[verb, word].value_class
        assert type(frame.message) is wanted
        assert frame.message[:2] == (it.process.pid, target)
        assert frame.message.Ref[:2] == (b.name, b.creation)
        order = {"PID": PROCESS if kind is Kind.LINK else 0, "Alias": WORDS[1]}.get(word, 0)
        assert frame.order == order % 255
        assert watched(b) == (1 if back else 0)
        peer.send_frame(answer(frame))
        assert await task == (None if back else [])
        assert watched(b) == (0 if back else 1)

    at_peer(work)


@kinds
@pytest.mark.parametrize("text", ["unknown process", "target is already exist", "no route", "anything"])
def test_a_refusal(kind: Kind, text: str) -> None:
    async def work(b: Node, peer: Peer) -> None:
        task = asyncio.ensure_future(refused(b.core.watching.watch(kind, watcher(b).process, peer.pid())))
        peer.send_frame(answer(await request(peer), Error(text)))
        assert await task == text
        assert watched(b) == 0

    at_peer(work)


@words
@kinds
def test_no_result(kind: Kind, word: str) -> None:
    """It is waited for as long as for an answer. One that comes too late changes nothing (ENP-ANY-1)."""

    async def work(b: Node, peer: Peer) -> None:
        it = watcher(b)
        task = asyncio.ensure_future(refused(b.core.watching.watch(kind, it.process, theirs(peer)[word])))
        frame = await request(peer)
        begun = asyncio.get_running_loop().time()
        assert await task == "timed out"
        assert asyncio.get_running_loop().time() - begun == pytest.approx(enp.REQUEST_TIMEOUT)
        peer.send_frame(answer(frame))
        await settle()
        assert watched(b) == 0
        assert not b.connections[peer.name].control._waiting

    at_peer(work)


@kinds
@pytest.mark.parametrize("change", ["words", "creation", "node"])
def test_a_result_with_another_reference(kind: Kind, change: str) -> None:
    """All parts of it count."""

    async def work(b: Node, peer: Peer) -> None:
        task = asyncio.ensure_future(b.core.watching.watch(kind, watcher(b).process, peer.pid()))
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

    at_peer(work)


@words
@kinds
@pytest.mark.parametrize("back", [False, True])
def test_a_peer_that_goes_while_it_is_asked(kind: Kind, word: str, back: bool) -> None:
    """The request fails; a relation that was there is told about, one that was not there is not."""

    async def work(b: Node, peer: Peer) -> None:
        it, target = watcher(b), theirs(peer)[word]
        if back:
            b.core.watching.relations.add(kind, target, it.process.pid)
        watching = b.core.watching
        how: Any = watching.unwatch if back else watching.watch
        task = asyncio.ensure_future(refused(how(kind, it.process, target)))
        await request(peer)
        peer.lines[0].dialer.link.close()
        assert await task == "no connection"
        await settle()
        assert it.told == ([Told(HOW[kind], target, "no connection")] if back else [])
        assert watched(b) == 0

    at_peer(work)


NOTICES: dict[str, Any] = {
    "PID": enp.TerminatePID(0, 1, PROCESS, BYE),
    "ProcessID": enp.TerminateName(0, 1, Atom("it"), BYE),
    "Alias": enp.TerminateAlias(0, 1, WORDS, BYE),
    "Event": enp.TerminateEvent(0, 1, Atom("ev"), BYE),
}


@words
@kinds
def test_a_target_that_ends_right_behind_the_result(kind: Kind, word: str) -> None:
    """Both in one piece: the relation holds when the notice is read."""

    async def work(b: Node, peer: Peer) -> None:
        it, target = watcher(b), theirs(peer)[word]
        task = asyncio.ensure_future(b.core.watching.watch(kind, it.process, target))
        frame = await request(peer)
        peer.send_bytes(peer.data_of(answer(frame)) + peer.data_of(NOTICES[word]), "a Result and an end")
        await task
        await settle()
        assert it.told == [Told(HOW[kind], target, "bye")]
        assert watched(b) == 0

    at_peer(work)


@words
@kinds
def test_a_target_that_ends_while_it_is_given_back(kind: Kind, word: str) -> None:
    async def work(b: Node, peer: Peer) -> None:
        it, target = watcher(b), theirs(peer)[word]
        b.core.watching.relations.add(kind, target, it.process.pid)
        task = asyncio.ensure_future(b.core.watching.unwatch(kind, it.process, target))
        frame = await request(peer)
        peer.send_frame(NOTICES[word])
        peer.send_frame(answer(frame))
        await task
        await settle()
        assert it.told == [Told(HOW[kind], target, "bye")]
        assert watched(b) == 0

    at_peer(work)


@words
def test_a_notice_that_nobody_waits_for(word: str) -> None:
    """It is ignored, and so is a second one (ENP-TERM-1)."""

    async def work(b: Node, peer: Peer) -> None:
        it = watcher(b)
        for _ in range(2):
            peer.send_frame(NOTICES[word])
        other = theirs(peer)["ProcessID" if word != "ProcessID" else "Event"]
        b.core.watching.relations.add(Kind.LINK, other, it.process.pid)
        peer.send_frame(NOTICES[word])
        await settle()
        assert it.told == []
        assert b.connections

    at_peer(work)


@kinds
def test_a_consumer_that_ends_while_it_asks(kind: Kind) -> None:
    async def work(b: Node, peer: Peer) -> None:
        it = watcher(b)
        task = asyncio.ensure_future(b.core.watching.watch(kind, it.process, peer.pid()))
        frame = await request(peer)
        it.process.stop(BYE)
        await settle()
        peer.send_frame(answer(frame))
        await task
        assert watched(b) == 0

    at_peer(work)


# --- what the peer asks for -------------------------------------------------------------------------------------------


@words
@kinds
@pytest.mark.parametrize("cached", [False, True])
def test_one_notice_for_all_consumers_of_a_node(kind: Kind, word: str, cached: bool) -> None:
    async def work(b: Node, peer: Peer) -> None:
        second = await context(b, 2).peer("second@localhost")
        process, targets = ours(b)
        for each in (peer, second):
            for id_ in (PROCESS, PROCESS + 1):
                for verb in (TAKE[kind], *TAKE.values()):
                    await ask(each, verb, word, targets[word], Source=each.pid(id_))
        process.stop(BYE)
        await settle()
        name, alias = Atom("it" if word == "ProcessID" else "ev"), targets["Alias"]
        assert isinstance(alias, Alias)
        by_name = {
            "ProcessID": enp.TerminateNameCache if cached else enp.TerminateName,
            "Event": enp.TerminateEventCache if cached else enp.TerminateEvent,
        }
        wanted = {
            "PID": enp.TerminatePID(0, 1, process.pid.id, BYE),
            "Alias": enp.TerminateAlias(0, 1, alias.id, BYE),
        }.get(word) or by_name[word](0, 1, name, BYE)
        for each in (peer, second):
            received = await each.receive(10)
            assert received is not None
            assert (type(received.value), received.value) == (type(wanted), wanted)
            assert await each.receive(10) is None
        assert watched(b) == 0

    at_peer(work, atoms=("it", "ev") if cached else ())


@words
@kinds
def test_no_notice_of_what_was_given_back(kind: Kind, word: str) -> None:
    async def work(b: Node, peer: Peer) -> None:
        process, targets = ours(b)
        for verb in (TAKE[kind], GIVE[kind]):
            assert await ask(peer, verb, word, targets[word]) is None
        assert watched(b) == 0
        process.stop(BYE)
        assert await peer.receive(10) is None

    at_peer(work)


@words
@kinds
def test_what_is_there_already_and_what_is_not_there(kind: Kind, word: str) -> None:
    """ENP-LINK-1."""

    async def work(b: Node, peer: Peer) -> None:
        _, targets = ours(b)
        target = targets[word]
        assert await ask(peer, GIVE[kind], word, target) == "unknown target"
        assert await ask(peer, TAKE[kind], word, target) is None
        assert await ask(peer, TAKE[kind], word, target) == "target is already exist"
        assert await ask(peer, GIVE[kind], word, target, Source=peer.pid(1)) == "unknown target"
        assert await ask(peer, GIVE[kind], word, target) is None
        assert await ask(peer, GIVE[kind], word, target) == "unknown target"

    at_peer(work)


@kinds
def test_an_earlier_incarnation_is_unknown(kind: Kind) -> None:
    async def work(b: Node, peer: Peer) -> None:
        process, targets = ours(b)
        old, alias = process.pid._replace(creation=b.creation - 1), targets["Alias"]
        assert isinstance(alias, Alias)
        assert await ask(peer, TAKE[kind], "PID", old) == "unknown process"
        assert await ask(peer, TAKE[kind], "Alias", alias._replace(creation=b.creation - 1)) == "unknown alias"
        assert watched(b) == 0

    at_peer(work)


@words
@kinds
def test_only_for_its_own_processes_and_only_ours(kind: Kind, word: str) -> None:
    """Upstream looks at neither (ENP-LINK-3)."""
    stranger = Atom("stranger@localhost")

    async def work(b: Node, peer: Peer) -> None:
        _, targets = ours(b)
        target: Any = targets[word]
        assert await ask(peer, TAKE[kind], word, target, Source=PID(stranger, 1, 1)) == "not allowed"
        assert await ask(peer, TAKE[kind], word, target._replace(node=stranger)) == "no route"
        assert watched(b) == 0

    at_peer(work)


def test_consumers_of_a_lost_peer_are_forgotten() -> None:
    async def work(b: Node, peer: Peer) -> None:
        process, targets = ours(b)
        third = watcher(b)
        await third.monitor(process.pid)
        for word, target in targets.items():
            for verb in TAKE.values():
                await ask(peer, verb, word, target)
        assert watched(b) == 9
        peer.lines[0].dialer.link.close()
        await settle()
        assert watched(b) == 1
        process.stop(reasons.KILL)
        await settle()
        assert third.told == [Told("down", process.pid, "kill")]

    at_peer(work)
