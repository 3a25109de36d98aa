"""The agent links and monitors targets of the tester: the requests it sends and the notifications it receives."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from ergo_conformance.model.ergo import enp, error_values, gen
from ergo_conformance.model.ergo.enp import ORDER_MODULUS, Priority, Verb
from ergo_conformance.model.ergo.gen import MessageEvent
from ergo_conformance.model.show import show
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID, Typed
from ergo_conformance.peers.ergo.agents import (
    ADDING_VERBS,
    OWN_ALIAS,
    OWN_NAME,
    OWN_PROCESS,
    REMOVING_VERBS,
    RelationTarget,
    own_address,
    word_of,
)
from ergo_conformance.testing import AGENTS, ANNOUNCED, ORDER, AgentDriver, Context, Peer, case, set_up

TOLD = {Verb.LINK: "gen.MessageExit", Verb.MONITOR: "gen.MessageDown"}
"""Beginning of an entry in the agent's list, before the kind of target."""
STAMP = 1_700_000_000_000_000_000
verbs = pytest.mark.parametrize("verb", ADDING_VERBS, ids=lambda v: v.value.lower())
words = pytest.mark.parametrize("word", list(enp.TARGETS), ids=lambda w: w.lower())


def end_of(target: RelationTarget, reason: Error) -> enp.Frame:
    """Returns the frame that reports the end of the target."""
    match target:
        case PID():
            return enp.TerminatePID(0, Priority.HIGH, target.id, reason)
        case Alias():
            return enp.TerminateAlias(0, Priority.HIGH, target.id, reason)
        case Event():
            return enp.TerminateEvent(0, Priority.HIGH, target.name, reason)
    return enp.TerminateName(0, Priority.HIGH, target.name, reason)


class Asked(NamedTuple):
    """An op of the agent that waits for the tester's Result: the reference of the call and the request frame."""

    ref: enp.Words
    frame: enp.Control


async def asked(agent: AgentDriver, verb: Verb, target: RelationTarget) -> Asked:
    """Tells the agent to link, unlink, monitor or demonitor; returns its request."""
    cls = enp.RELATIONS[verb, word_of(target)].value_class
    ref = agent.start(verb.value.lower(), target)
    received = await agent.peer.wait_for(
        lambda f: isinstance(f, enp.Control) and isinstance(f.message, cls), f"a {cls.__name__} of agent"
    )
    return Asked(ref, received.value)


def result(peer: Peer, request: enp.Control, value: Any = None, error: Error | None = None) -> None:
    """Answers a request."""
    peer.send_frame(enp.Control(ORDER, enp.Result(error, value, request.message.Ref)))


async def relate(agent: AgentDriver, verb: Verb, target: RelationTarget) -> enp.Control:
    """Tells the agent to link, unlink, monitor or demonitor, and accepts; returns its request."""
    ref, request = await asked(agent, verb, target)
    event = isinstance(target, Event) and verb in ADDING_VERBS
    result(agent.peer, request, Typed(gen.EVENTS, None) if event else None)
    value = await agent.result(ref)
    good = isinstance(value, str) if event else value is True
    agent.peer.check(good, show(value), "a string" if event else "true")
    return request


@dataclass(frozen=True, slots=True)
class Pair:
    """A relation that is created and removed again, for one kind of target."""

    verb: Verb
    word: str

    @property
    def label(self) -> str:
        return f"{self.verb.value} and {REMOVING_VERBS[self.verb].value} of {self.word}"

    @property
    def requirements(self) -> tuple[str, ...]:
        return tuple(f"ENP-C-{verb.value}{self.word}" for verb in (self.verb, REMOVING_VERBS[self.verb]))


PAIRS = [Pair(verb, word) for verb in ADDING_VERBS for word in enp.TARGETS]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: f"{p.verb.value}_{p.word}".lower())
@case("ENP-T-199", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_requests(ergo_context: Context, pair: Pair) -> None:
    """The agent sends one request for each step of {pair}, with its PID, the target, and a new reference of its node."""
    agent = AgentDriver(await ergo_context.peer())
    peer, target, me = agent.peer, own_address(agent.peer, pair.word), await agent.pid()
    refs = set()
    for step in (pair.verb, REMOVING_VERBS[pair.verb]):
        message = (await relate(agent, step, target)).message
        peer.check(message[:2] == (me, target), message, f"source {show(me)} and target {show(target)}")
        good = message.Ref[:2] == (peer.target, peer.introduce.Creation)
        peer.check(good, message.Ref, f"a reference of {peer.target} in its creation")
        refs.add(message.Ref)
        await peer.expect_none(lambda f: isinstance(f, enp.Control), "second request", within=0.05)
    peer.check(len(refs) == 2, refs, "a new reference for each request")


@case("ENP-ORD-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_order_byte_of_a_request(ergo_context: Context) -> None:
    """Upstream's order byte of a request is a linked PID's number mod 255, an alias's second word mod 255, or else 0."""
    agent = AgentDriver(await ergo_context.peer())
    for verb in ADDING_VERBS:
        for word, number in {
            "PID": OWN_PROCESS if verb is Verb.LINK else 0,
            "ProcessID": 0,
            "Alias": OWN_ALIAS[1],
            "Event": 0,
        }.items():
            target = own_address(agent.peer, word)
            with set_up("ENP-T-199"):
                request = await relate(agent, verb, target)
                await relate(agent, REMOVING_VERBS[verb], target)
            agent.peer.check(request.order == number % ORDER_MODULUS, request, f"order byte {number % ORDER_MODULUS}")


@words
@verbs
@case("ENP-TERM-6", "ENP-T-199", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_told_of_the_end(ergo_context: Context, verb: Verb, word: str) -> None:
    """A process with a {verb.value} of a target of the tester (by {word}) is notified of its end once, with the reason."""
    agent = AgentDriver(await ergo_context.peer())
    target = own_address(agent.peer, word)
    await relate(agent, verb, target)
    reason = Error(f"gone {agent.peer.new_ref()[0]}")
    for _ in range(2):
        agent.peer.send_frame(end_of(target, reason))
    await agent.expect_received(TOLD[verb] + word, reason.text)


@verbs
@case("ENP-TERM-6", "ENP-T-183", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_told_by_a_cached_name(ergo_context: Context, verb: Verb) -> None:
    """A {verb.value} of a name ends when its end is reported by an id that the tester announced."""
    agent = AgentDriver(await ergo_context.peer(caches=ANNOUNCED))
    target = ProcessID(agent.peer.name, Atom("sink"))
    await relate(agent, verb, target)
    reason = Error(f"gone {agent.peer.new_ref()[0]}")
    agent.peer.send_frame(enp.TerminateNameCache(0, Priority.HIGH, target.name, reason))
    await agent.expect_received(f"{TOLD[verb]}ProcessID", reason.text)


@case("ENP-TERM-6", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_both_are_told(ergo_context: Context) -> None:
    """A process that monitors and links one target receives a down and an exit message at its end."""
    agent = AgentDriver(await ergo_context.peer())
    peer, target = agent.peer, agent.peer.pid(OWN_PROCESS)
    await relate(agent, Verb.MONITOR, target)
    ref = agent.start("link", target)
    received = await peer.wait_for(
        lambda f: isinstance(f, enp.Control | enp.Response) and getattr(f, "ref", ref) == ref, "a request of agent"
    )
    if isinstance(received.value, enp.Response):
        ergo_context.skip("a process of the target cannot both link and monitor one target")
    result(peer, received.value)
    await agent.expect_true(ref)
    reason = Error(f"gone {peer.new_ref()[0]}")
    peer.send_frame(end_of(target, reason))
    for kind in TOLD.values():
        await agent.expect_received(f"{kind}PID", reason.text)


@words
@verbs
@case("ENP-TERM-6", "ENP-TERM-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_not_told_any_more(ergo_context: Context, verb: Verb, word: str) -> None:
    """A process that removed its {verb.value} of a target (by {word}) is not notified of its end."""
    agent = AgentDriver(await ergo_context.peer())
    target = own_address(agent.peer, word)
    for step in (verb, REMOVING_VERBS[verb]):
        await relate(agent, step, target)
    reason = Error(f"gone {agent.peer.new_ref()[0]}")
    agent.peer.send_frame(end_of(target, reason))
    await agent.expect_not_received(TOLD[verb] + word, reason.text)


@verbs
@case("ENP-LINK-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_refused(ergo_context: Context, verb: Verb) -> None:
    """A {verb.value} returns the error of the tester's Result and creates no relation."""
    agent = AgentDriver(await ergo_context.peer())
    target = agent.peer.pid(OWN_PROCESS)
    for error in (error_values.PROCESS_UNKNOWN, Error("a custom error")):
        ref, request = await asked(agent, verb, target)
        result(agent.peer, request, error=error)
        await agent.expect_error(ref, error)
    agent.peer.send_frame(end_of(target, Error("not monitored")))
    await agent.expect_not_received(f"{TOLD[verb]}PID", "not monitored")


@case("ENP-ANY-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_no_result(ergo_context: Context) -> None:
    """A request without a Result ends with "timed out" after five seconds."""
    agent = AgentDriver(await ergo_context.peer())
    ref, _ = await asked(agent, Verb.MONITOR, agent.peer.pid(OWN_PROCESS))
    await agent.expect_timeout(ref, enp.REQUEST_TIMEOUT)


@case("ENP-ANY-3", "ENP-ANY-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_wrong_reference(ergo_context: Context) -> None:
    """A requester ignores a Result with another reference (in its words, node or creation)."""
    agent = AgentDriver(await ergo_context.peer())
    peer, target = agent.peer, agent.peer.pid(OWN_PROCESS)
    ref, request = await asked(agent, Verb.MONITOR, target)
    good = request.message.Ref
    first, *rest = good.id
    wrong = (
        good._replace(id=(first + 1, *rest)),
        good._replace(id=(first, rest[0], rest[1] + 1)),
        good._replace(creation=good.creation - 1),
        good._replace(node=peer.name),
    )
    for each in wrong:
        peer.send_frame(enp.Control(ORDER, enp.Result(Error("of another request"), None, each)))
    await peer.expect_none(
        lambda f: isinstance(f, enp.Response) and f.ref == ref, "answer of agent before the tester's Result"
    )
    result(peer, request)
    await agent.expect_true(ref)
    await relate(agent, Verb.DEMONITOR, target)


@case("ENP-ANY-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_second_result(ergo_context: Context) -> None:
    """A second Result with the same reference has no effect."""
    agent = AgentDriver(await ergo_context.peer())
    target = agent.peer.pid(OWN_PROCESS)
    request = await relate(agent, Verb.MONITOR, target)
    result(agent.peer, request, error=error_values.PROCESS_UNKNOWN)
    reason = Error(f"gone {agent.peer.new_ref()[0]}")
    agent.peer.send_frame(end_of(target, reason))
    await agent.expect_received("gen.MessageDownPID", reason.text)


# --- events -----------------------------------------------------------------------------------------------------------


@verbs
@case("ENP-EVT-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_last_messages(ergo_context: Context, verb: Verb) -> None:
    """A subscriber gets all messages in the Result of its {verb.value} of an event, in order."""
    agent = AgentDriver(await ergo_context.peer())
    event = Event(agent.peer.name, OWN_NAME)
    ref, request = await asked(agent, verb, event)
    last = [MessageEvent(event, STAMP + i, f"kept {i}") for i in range(3)]
    result(agent.peer, request, Typed(gen.EVENTS, last))
    text = await agent.result(ref)
    places = [text.find(each.Message) for each in last] if isinstance(text, str) else [-1]
    agent.peer.check(-1 not in places and places == sorted(places), show(text), "a string with the messages in order")
    await relate(agent, REMOVING_VERBS[verb], event)


@pytest.mark.parametrize("how", ["nil", "empty"])
@case("ENP-EVT-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_no_last_messages(ergo_context: Context, how: str) -> None:
    """A target accepts a Result for an event without messages ({how})."""
    agent = AgentDriver(await ergo_context.peer())
    event = Event(agent.peer.name, OWN_NAME)
    ref, request = await asked(agent, Verb.MONITOR, event)
    values = {"nil": Typed(gen.EVENTS, None), "empty": Typed(gen.EVENTS, [])}
    result(agent.peer, request, values[how])
    text = await agent.result(ref)
    agent.peer.check(isinstance(text, str), show(text), "a string")
    await relate(agent, Verb.DEMONITOR, event)


@verbs
@case("ENP-EVT-6", "ENP-T-105", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_gets_what_we_publish(ergo_context: Context, verb: Verb) -> None:
    """A subscriber with a {verb.value} gets a message of its event once, and no message of another event."""
    agent = AgentDriver(await ergo_context.peer())
    event = Event(agent.peer.name, OWN_NAME)
    await relate(agent, verb, event)
    token = f"published {agent.peer.new_ref()[0]}"
    for name, text in ((Atom("another"), f"{token} of another"), (OWN_NAME, token)):
        agent.peer.send_frame(
            enp.EventFrame(OWN_PROCESS % ORDER_MODULUS, OWN_PROCESS, Priority.NORMAL, STAMP, name, text)
        )
    await agent.expect_received("gen.MessageEvent", token)
    await relate(agent, REMOVING_VERBS[verb], event)
    late = f"late {token}"
    agent.peer.send_frame(
        enp.EventFrame(OWN_PROCESS % ORDER_MODULUS, OWN_PROCESS, Priority.NORMAL, STAMP, OWN_NAME, late)
    )
    await agent.expect_not_received("gen.MessageEvent", late)


@case("ENP-EVT-6", "ENP-T-106", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_gets_it_by_a_cached_name(ergo_context: Context) -> None:
    """A subscriber gets a message of an event whose name is written as an id that the tester announced."""
    agent = AgentDriver(await ergo_context.peer(caches=ANNOUNCED))
    event = Event(agent.peer.name, Atom("sink"))
    await relate(agent, Verb.MONITOR, event)
    token = f"published {agent.peer.new_ref()[0]}"
    agent.peer.send_frame(enp.EventCacheFrame(ORDER, OWN_PROCESS, Priority.NORMAL, STAMP, event.name, token))
    await agent.expect_received("gen.MessageEvent", token)
    reason = Error(f"gone {agent.peer.new_ref()[0]}")
    agent.peer.send_frame(enp.TerminateEventCache(0, Priority.HIGH, event.name, reason))
    await agent.expect_received("gen.MessageDownEvent", reason.text)


# --- end of the connection --------------------------------------------------------------------------------------------


@words
@verbs
@case("ENP-DOWN-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_node_down(ergo_context: Context, verb: Verb, word: str) -> None:
    """A process with a {verb.value} of a target (by {word}) is notified of "no connection" when the last socket closes."""
    agent, other = AgentDriver(await ergo_context.peer()), AgentDriver(await ergo_context.peer())
    await relate(agent, verb, own_address(agent.peer, word))
    agent.peer.sockets[0].close()
    await other.expect_received(TOLD[verb] + word, error_values.NO_CONNECTION.text)


@verbs
@case("ENP-DOWN-5", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_node_itself(ergo_context: Context, verb: Verb) -> None:
    """A {verb.value} of the tester's node sends nothing; the agent is notified when the connection has ended."""
    agent, other = AgentDriver(await ergo_context.peer()), AgentDriver(await ergo_context.peer())
    await agent.run_true(f"{verb.value.lower()}_node", agent.peer.name)
    await agent.peer.expect_none(lambda f: isinstance(f, enp.Control), "control message about a node")
    agent.peer.sockets[0].close()
    await other.expect_received(f"{TOLD[verb]}Node")


@case("ENP-DOWN-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_not_before_the_last_link(ergo_context: Context) -> None:
    """A process is not notified of "no connection" while one socket of the pool is open."""
    agent, other = AgentDriver(await ergo_context.peer(sockets=2)), AgentDriver(await ergo_context.peer())
    await relate(agent, Verb.MONITOR, agent.peer.pid(OWN_PROCESS))
    agent.peer.sockets[1].close()
    await agent.peer.expect_close(1)
    await other.expect_not_received("gen.MessageDownPID", error_values.NO_CONNECTION.text)
    agent.peer.sockets[0].close()
    await other.expect_received("gen.MessageDownPID", error_values.NO_CONNECTION.text)


@case("ENP-DOWN-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_trapped(ergo_context: Context) -> None:
    """Upstream terminates even a process that traps exits when a linked node is lost, if the node itself started it."""
    agent, other = AgentDriver(await ergo_context.peer()), AgentDriver(await ergo_context.peer())
    with set_up("ENP-T-199"):
        before = await agent.pid()
        await relate(agent, Verb.LINK, agent.peer.pid(OWN_PROCESS))
    agent.peer.sockets[0].close()
    with set_up("ENP-DOWN-1"):
        await agent.peer.expect_close()
    with set_up("ROB-ENP-3"):
        after = await other.pid()
    other.peer.check(
        after != before, f"the same PID {show(after)}", "another PID of agent, because the old process has terminated"
    )


@case("ENP-ANY-3", "ENP-DOWN-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_down_while_waiting(ergo_context: Context) -> None:
    """A process that waits for a Result stops waiting when the connection ends."""
    agent, other = AgentDriver(await ergo_context.peer()), AgentDriver(await ergo_context.peer())
    await asked(agent, Verb.MONITOR, agent.peer.pid(OWN_PROCESS))
    agent.peer.sockets[0].close()
    await other.pid()


@case("ENP-DLV-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_old_creation(ergo_context: Context) -> None:
    """A target refuses every use of a PID of an earlier creation of the peer and sends nothing."""
    agent = AgentDriver(await ergo_context.peer())
    old = agent.peer.pid(OWN_PROCESS)._replace(creation=agent.peer.creation - 1)
    for op, *more in (("send", "hello"), ("call", "hello"), ("link",), ("monitor",), ("exit", "kill")):
        await agent.expect_error(agent.start(op, old, *more), error_values.PROCESS_INCARNATION)
    await agent.peer.expect_none(lambda frame: not isinstance(frame, enp.Response), "frame for an old creation")
