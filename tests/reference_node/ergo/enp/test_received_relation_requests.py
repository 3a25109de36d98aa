"""Links and monitors that a peer asks for, as the schemas judge it: Results, notices, and who gets none."""

from typing import Any

import pytest

from ergo_conformance.model.ergo import enp, error_values
from ergo_conformance.model.ergo.enp import Verb
from ergo_conformance.model.values import PID, Alias, Atom
from ergo_conformance.peers.corruption.frames import relation_request
from ergo_conformance.peers.ergo.connection import PROCESS
from ergo_conformance.reference_node.api.relations import RelationKind
from tests.support.nodes import context, settle
from tests.support.relating import BYE, GIVE, NOTICES, TAKE, ask, at_peer, kinds, ours, watched, words
from tests.support.watchers import Told, watcher


@words
@kinds
@pytest.mark.parametrize("cached", [False, True])
async def test_one_notice_for_all_consumers_of_a_node(kind: RelationKind, word: str, cached: bool) -> None:
    async with at_peer(atoms=("it", "ev") if cached else ()) as (b, peer):
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


@words
async def test_a_notice_goes_the_way_of_what_was_said_before(word: str) -> None:
    """Over the link of the process that has ended, so that it overtakes neither its last words nor the Result."""
    async with at_peer() as (b, _):
        peer = await context(b, 3).peer("wide@localhost", sockets=3)
        for i in range(6):
            process, targets = ours(b)
            peer.send_frame(enp.Control(0, relation_request(peer, Verb.MONITOR, word, targets[word])), i % 3)
            await settle()
            await process.send(peer.pid(), "last words")
            process.stop(BYE)
            came = [received for _ in range(3) if (received := await peer.receive(10))]
            assert {type(received.value) for received in came} == {enp.Control, enp.MessagePID, type(NOTICES[word])}
            assert len({received.socket for received in came}) == 1


@words
@kinds
async def test_no_notice_of_what_was_given_back(kind: RelationKind, word: str) -> None:
    async with at_peer() as (b, peer):
        process, targets = ours(b)
        for verb in (TAKE[kind], GIVE[kind]):
            assert await ask(peer, verb, word, targets[word]) is None
        assert watched(b) == 0
        process.stop(BYE)
        assert await peer.receive(10) is None


@words
@kinds
async def test_what_is_there_already_and_what_is_not_there(kind: RelationKind, word: str) -> None:
    """It is the asker's node that knows (ENP-LINK-1): one of upstream that is refused never lets go of what it has."""
    async with at_peer() as (b, peer):
        _, targets = ours(b)
        target, relations = targets[word], b.core.monitoring.relations
        for verb in (GIVE[kind], TAKE[kind], TAKE[kind]):
            assert await ask(peer, verb, word, target) is None
        assert len(relations) == 1
        assert await ask(peer, GIVE[kind], word, target, Source=peer.pid(1)) is None
        assert len(relations) == 1
        for _ in range(2):
            assert await ask(peer, GIVE[kind], word, target) is None
            assert len(relations) == 0


@kinds
async def test_an_earlier_incarnation_is_unknown(kind: RelationKind) -> None:
    async with at_peer() as (b, peer):
        process, targets = ours(b)
        old, alias = process.pid._replace(creation=b.creation - 1), targets["Alias"]
        assert isinstance(alias, Alias)
        assert await ask(peer, TAKE[kind], "PID", old) == "unknown process"
        assert await ask(peer, TAKE[kind], "Alias", alias._replace(creation=b.creation - 1)) == "unknown alias"
        assert watched(b) == 0


@words
@kinds
async def test_only_for_its_own_processes_and_only_ours(kind: RelationKind, word: str) -> None:
    """Upstream looks at neither (ENP-LINK-3)."""
    stranger = Atom("stranger@localhost")
    async with at_peer() as (b, peer):
        _, targets = ours(b)
        target: Any = targets[word]
        assert await ask(peer, TAKE[kind], word, target, Source=PID(stranger, 1, 1)) == "not allowed"
        assert await ask(peer, TAKE[kind], word, target._replace(node=stranger)) == "no route"
        assert watched(b) == 0


async def test_consumers_of_a_lost_peer_are_forgotten() -> None:
    async with at_peer() as (b, peer):
        process, targets = ours(b)
        third = watcher(b)
        await third.monitor(process.pid)
        for word, target in targets.items():
            for verb in TAKE.values():
                await ask(peer, verb, word, target)
        assert watched(b) == 9
        peer.sockets[0].close()
        await settle()
        assert watched(b) == 1
        process.stop(error_values.KILL)
        await settle()
        assert third.told == [Told("down", process.pid, "kill")]
