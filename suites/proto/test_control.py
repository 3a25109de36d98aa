"""Control messages: each request gets exactly one Result; every other value in a frame 199 is ignored."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp, error_values, gen
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.ergo.ehs import Flags
from ergo_conformance.model.ergo.enp import Verb
from ergo_conformance.model.show import show
from ergo_conformance.model.values import PID, Atom, Error, ProcessID, Ref
from ergo_conformance.peers.corruption.frames import UNKNOWN_NAME, relation_request
from ergo_conformance.testing import AGENTS, ANNOUNCED, ORDER, PROCESS, Context, Peer, case

TAKEN_BACK = {Verb.LINK: Verb.UNLINK, Verb.MONITOR: Verb.DEMONITOR}
TYPES = {6000 + i: row.name for i, row in enumerate(enp.CONTROL)}
"""Ids for the names of the control messages."""


@dataclass(frozen=True, slots=True)
class Request:
    """One kind of request and one kind of target."""

    verb: Verb
    word: str

    @property
    def label(self) -> str:
        return f"{self.verb.value} of {self.word}"

    @property
    def requirements(self) -> tuple[str, ...]:
        return (f"ENP-C-{self.verb.value}{self.word}",)


REQUESTS = [Request(verb, word) for verb, word in enp.RELATIONS]


def requests(found: list[Request]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("request_", found, ids=lambda r: f"{r.verb.value}_{r.word}".lower())


def ask(peer: Peer, message: Any) -> Ref:
    """Sends a control request; returns its reference."""
    peer.send_frame(enp.Control(ORDER, message))
    ref: Ref = message.Ref
    return ref


async def only_result(peer: Peer, message: Any) -> enp.Result:
    """Sends a control request; returns the one Result that it gets."""
    ref = ask(peer, message)
    result = await peer.result(ref)
    await peer.expect_none(lambda frame: isinstance(frame, enp.Control), "second Result")
    return result


@requests(REQUESTS)
@case("ENP-ANY-1", "ENP-T-199", "ENP-C-Result", offers=AGENTS)
async def test_one_result(ergo_context: Context, request_: Request) -> None:
    """A target answers a request for a missing target ({request_}) with one Result that has the request's reference."""
    peer = await ergo_context.peer()
    await only_result(peer, relation_request(peer, request_.verb, request_.word))


@requests([r for r in REQUESTS if r.verb in TAKEN_BACK and r.word != "Alias"])
@case("ENP-LINK-1", offers=AGENTS)
async def test_unknown_target(ergo_context: Context, request_: Request) -> None:
    """The Result of a request for a target that does not exist ({request_}) contains the error for an unknown target."""
    peer = await ergo_context.peer()
    result = await only_result(peer, relation_request(peer, request_.verb, request_.word))
    wanted = error_values.EVENT_UNKNOWN if request_.word == "Event" else error_values.PROCESS_UNKNOWN
    peer.check(
        result.Error is not None and result.Error.text == wanted.text, result, f"a Result with {show(wanted.text)}"
    )


@pytest.mark.parametrize("verb", [Verb.LINK, Verb.MONITOR], ids=lambda v: v.value.lower())
@case("ENP-LINK-1", offers=AGENTS)
async def test_old_creation(ergo_context: Context, verb: Verb) -> None:
    """A target answers a request for a PID of an earlier creation with "unknown process"."""
    peer = await ergo_context.peer()
    pid = peer.target_pid(await peer.echo_id())._replace(creation=peer.introduce.Creation - 1)
    result = await only_result(peer, relation_request(peer, verb, "PID", pid))
    good = result.Error is not None and result.Error.text == error_values.PROCESS_UNKNOWN.text
    peer.check(good, result, f"a Result with {show(error_values.PROCESS_UNKNOWN.text)}")


@pytest.mark.parametrize("verb", [Verb.LINK, Verb.MONITOR], ids=lambda v: v.value.lower())
@pytest.mark.parametrize("word", ["PID", "ProcessID"], ids=lambda w: w.lower())
@case("ENP-LINK-1", "ENP-LINK-2", "ENP-ANY-1", offers=AGENTS)
async def test_taken_and_given_back(ergo_context: Context, word: str, verb: Verb) -> None:
    """A target creates and removes a relation with `echo` (by {word}) without an error."""
    peer = await ergo_context.peer()
    pid = peer.target_pid(await peer.echo_id())
    target = pid if word == "PID" else ProcessID(peer.target, Atom("echo"))
    for step in (verb, TAKEN_BACK[verb]):
        result = await only_result(peer, relation_request(peer, step, word, target))
        peer.check(result.Error is None, result, f"a Result of {step.value} without an error")


@case("ENP-LINK-3", offers=AGENTS)
async def test_source_of_a_third_node(ergo_context: Context) -> None:
    """Upstream accepts a relation whose source is a process of a third node."""
    peer = await ergo_context.peer()
    pid = peer.target_pid(await peer.echo_id())
    stranger = PID(Atom("stranger@localhost"), PROCESS, 1_700_000_000)
    result = await only_result(peer, relation_request(peer, Verb.MONITOR, "PID", pid)._replace(Source=stranger))
    peer.check(result.Error is None, result, "a Result without an error")


@case("ENP-ANY-1", "ENP-C-Result", offers=AGENTS)
async def test_reference(ergo_context: Context) -> None:
    """A target returns the reference of a request unchanged, whatever the values of its words."""
    peer = await ergo_context.peer()
    message = relation_request(peer, Verb.MONITOR, "PID")
    for words in ((0, 0, 0), (2**64 - 1, 2**64 - 1, 2**64 - 1), (1, 2, 3)):
        await only_result(peer, message._replace(Ref=message.Ref._replace(id=words)))


@case("ENP-ANY-1", offers=AGENTS)
async def test_many_at_once(ergo_context: Context) -> None:
    """A target answers a hundred concurrent requests with one Result each."""
    peer = await ergo_context.peer()
    asked = {ask(peer, relation_request(peer, Verb.MONITOR, "ProcessID")) for _ in range(100)}
    for frame in await peer.collect(100, lambda f: isinstance(f, enp.Control), "Results"):
        ref = getattr(frame.message, "Ref", None)
        peer.check(ref in asked, frame, "one Result for each reference")
        asked.discard(ref)


@case("ENP-T-199", "ENP-C-MonitorPID", "ENP-ANY-1", offers=AGENTS)
async def test_type_as_an_id(ergo_context: Context) -> None:
    """A target accepts a request whose type is written as an id that the tester announced."""
    peer = await ergo_context.peer(caches=Caches(types=TYPES))
    await only_result(peer, relation_request(peer, Verb.MONITOR, "PID"))


# --- spawn and applications: requests are answered --------------------------------------------------------------------


@case("ENP-C-Spawn", "ENP-ANY-1", offers=AGENTS)
async def test_spawn_of_nothing(ergo_context: Context) -> None:
    """A target answers a spawn request for an unknown factory with one Result with an error."""
    peer = await ergo_context.peer()
    ergo_context.needs_flag(peer, Flags.REMOTE_SPAWN)
    options = gen.ProcessOptionsExtra(gen.RemoteProcessOptions(), peer.pid(), peer.pid())
    result = await only_result(peer, enp.Spawn(UNKNOWN_NAME, options, peer.control_ref()))
    peer.check(result.Error is not None, result, "a Result with an error")


@case("ENP-C-ApplicationStart", "ENP-ANY-1", offers=AGENTS)
async def test_start_of_no_application(ergo_context: Context) -> None:
    """A target answers a start request for an unknown application with one Result with an error."""
    peer = await ergo_context.peer()
    ergo_context.needs_flag(peer, Flags.REMOTE_APPLICATION_START)
    options = gen.ApplicationOptionsExtra(gen.ApplicationOptions(), peer.pid(1))
    result = await only_result(peer, enp.ApplicationStart(UNKNOWN_NAME, 1, options, peer.control_ref()))
    peer.check(result.Error is not None, result, "a Result with an error")


# --- values that are not requests -------------------------------------------------------------------------------------

NO_REQUESTS = (42, "hello", [1, 2, 3], Error("an error"), gen.MessageEventStart(Atom("ev")))


@case("ENP-ANY-2", "ENP-T-199", "ROB-ENP-8", offers=AGENTS, hostile=True)
async def test_no_request(ergo_context: Context) -> None:
    """A target ignores a frame 199 with a number, text, list, error or other struct; the connection stays open."""
    peer = await ergo_context.peer()
    for value in NO_REQUESTS:
        peer.send_frame(enp.Control(ORDER, value))
        await peer.expect_none(lambda frame: True, "answer to a value that is not a request")


@case("ENP-ANY-2", "ENP-C-Result", offers=AGENTS, hostile=True)
async def test_result_nobody_waits_for(ergo_context: Context) -> None:
    """A target ignores a Result, with or without an error, that answers no request; the connection stays open."""
    peer = await ergo_context.peer()
    ref = Ref(peer.target, peer.introduce.Creation, (1, 2, 3))
    for error in (None, Error("an error")):
        peer.send_frame(enp.Control(ORDER, enp.Result(error, None, ref)))
        await peer.expect_none(lambda frame: True, "answer to a Result")


# --- further ids ------------------------------------------------------------------------------------------------------


async def update(peer: Peer, **tables: Any) -> None:
    """Sends an UpdateCache and checks that its Result has no error. The peer writes with the new ids from then on."""
    empty = dict.fromkeys(("AtomCache", "AtomMapping", "RegCache", "ErrCache"))
    result = await only_result(peer, enp.UpdateCache(**{**empty, **tables}, Ref=peer.control_ref()))
    peer.check(result.Error is None, result, "a Result without an error")


@case("ENP-CACHE-1", "ENP-C-UpdateCache", offers=AGENTS)
async def test_further_atoms(ergo_context: Context) -> None:
    """A target reads atom ids that an UpdateCache adds, in values and in frames, from the next frame on."""
    peer = await ergo_context.peer(caches=Caches(atoms={300: Atom("first")}))
    await update(peer, AtomCache={301: Atom("echo"), 302: Atom("another")})
    caches = replace(peer.caches, atoms={**peer.caches.atoms, 301: Atom("echo"), 302: Atom("another")})
    value = [Atom("first"), Atom("another"), Atom("echo")]
    frame = enp.RequestNameCache(ORDER, PROCESS, 0, (5, 6, 7), Atom("echo"), value)
    peer.send_bytes(peer.data_of(frame, caches), "a call with ids that an UpdateCache announced")
    answer = (await peer.answer((5, 6, 7))).value
    peer.check_equal(getattr(answer, "payload", answer), value, "the payload of a Response")


@case("ENP-CACHE-1", "ENP-C-UpdateCache", offers=AGENTS)
async def test_known_ids_stay(ergo_context: Context) -> None:
    """A target keeps the meaning of a known id when an UpdateCache redefines it."""
    peer = await ergo_context.peer(caches=Caches(atoms={300: Atom("first"), 301: Atom("echo")}))
    await update(peer, AtomCache={300: Atom("second"), 301: Atom("nobody")})
    ref = peer.ask("echo", [Atom("first"), Atom("echo")])
    answer = (await peer.answer(ref)).value
    wanted = [Atom("first"), Atom("echo")]
    peer.check_equal(getattr(answer, "payload", answer), wanted, "the payload of a Response")


@case("ENP-CACHE-1", "ENP-C-UpdateCache", offers=AGENTS)
async def test_further_types_and_errors(ergo_context: Context) -> None:
    """A target reads type and error ids that an UpdateCache adds from the next frame on."""
    peer = await ergo_context.peer(caches=Caches(types={5000: enp.RESULT.name}, errors={33000: error_values.KILL.text}))
    await update(peer, RegCache={5001: gen.MESSAGE_EVENT_START.name}, ErrCache={33001: error_values.TIMEOUT})
    caches = replace(
        peer.caches,
        types={**peer.caches.types, 5001: gen.MESSAGE_EVENT_START.name},
        errors={**peer.caches.errors, 33001: error_values.TIMEOUT.text},
    )
    value = [gen.MessageEventStart(Atom("ev")), error_values.TIMEOUT]
    frame = enp.RequestName(ORDER, PROCESS, 0, (5, 6, 7), Atom("echo"), value)
    peer.send_bytes(peer.data_of(frame, caches), "a call with ids that an UpdateCache announced")
    answer = (await peer.answer((5, 6, 7))).value
    found = getattr(answer, "payload", None)
    peer.check_equal(found, value, "the payload of a Response")


@case("ENP-CACHE-1", "ENP-C-UpdateCache", offers=AGENTS)
async def test_nothing_further(ergo_context: Context) -> None:
    """A target answers an UpdateCache whose tables are all nil with a Result and changes nothing."""
    peer = await ergo_context.peer(caches=ANNOUNCED)
    await update(peer)
    await peer.check_alive()


@pytest.mark.parametrize("table", ["AtomCache", "RegCache", "ErrCache"])
@case("ENP-CACHE-1", "ROB-ENP-1", offers=AGENTS, hostile=True)
async def test_first_ids(ergo_context: Context, table: str) -> None:
    """A target answers an UpdateCache with a table ({table}) that was nil in the tester's Introduce with a Result."""
    peer = await ergo_context.peer()
    entries = {
        "AtomCache": {300: Atom("a")},
        "RegCache": {5000: enp.RESULT.name},
        "ErrCache": {33000: error_values.KILL},
    }
    await update(peer, **{table: entries[table]})
    await peer.check_alive()
