"""The agent links and monitors a target twice, targets with equal names, and targets of two nodes."""

from typing import Any

import pytest

from ergo_conformance.model.ergo import enp, gen
from ergo_conformance.model.ergo.enp import ORDER_MODULUS, Priority, Verb
from ergo_conformance.model.values import Atom, Error, Event, ProcessID, Typed
from ergo_conformance.peers.ergo.agents import (
    ADDING_VERBS,
    OWN_ALIAS,
    OWN_NAME,
    OWN_PROCESS,
    RelationTarget,
    own_address,
    publish,
    register_event,
    word_of,
)
from ergo_conformance.testing import AGENTS, ORDER, AgentDriver, Context, Peer, case, set_up

TOLD = {Verb.LINK: "gen.MessageExit", Verb.MONITOR: "gen.MessageDown"}
"""Beginning of an entry in the agent's list, before the kind of target."""
STAMP = 1_700_000_000_000_000_000
verbs = pytest.mark.parametrize("verb", ADDING_VERBS, ids=lambda v: v.value.lower())


async def relate(agent: AgentDriver, verb: Verb, target: RelationTarget, peer: Peer | None = None) -> None:
    """Tells the agent to add or remove a relation with a target at a node of the tester, which accepts it."""
    peer = peer or agent.peer
    cls = enp.RELATIONS[verb, word_of(target)].value_class
    ref = agent.start(verb.value.lower(), target)
    with set_up("ENP-T-199"):
        request = await peer.wait_for(
            lambda f: isinstance(f, enp.Control) and isinstance(f.message, cls), f"a {cls.__name__} of agent"
        )
        value = Typed(gen.EVENTS, None) if isinstance(target, Event) and verb in ADDING_VERBS else None
        peer.send_frame(enp.Control(ORDER, enp.Result(None, value, request.value.message.Ref)))
        answer: Any = await agent.result(ref)
        agent.peer.check(answer is True or isinstance(answer, str), repr(answer), "true or a string")


def new_reason(peer: Peer) -> Error:
    return Error(f"gone {peer.new_ref()[0]}")


def end_of(word: str, reason: Error) -> enp.Frame:
    """Returns the frame that reports the end of the tester's process by this kind of address, or of its event."""
    match word:
        case "PID":
            return enp.TerminatePID(0, Priority.HIGH, OWN_PROCESS, reason)
        case "ProcessID":
            return enp.TerminateName(0, Priority.HIGH, OWN_NAME, reason)
        case "Alias":
            return enp.TerminateAlias(0, Priority.HIGH, OWN_ALIAS, reason)
    return enp.TerminateEvent(0, Priority.HIGH, OWN_NAME, reason)


def message_of(event: Event, text: str) -> enp.EventFrame:
    """Returns a message of an event of the tester."""
    return enp.EventFrame(OWN_PROCESS % ORDER_MODULUS, OWN_PROCESS, Priority.NORMAL, STAMP, event.name, text)


@verbs
@case("ENP-TERM-6", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_again(ergo_context: Context, verb: Verb) -> None:
    """A process is notified of the end of a name again after it has requested a second {verb.value}."""
    agent = AgentDriver(await ergo_context.peer())
    target = own_address(agent.peer, "ProcessID")
    for _ in range(3):
        await relate(agent, verb, target)
        reason = new_reason(agent.peer)
        agent.peer.send_frame(enp.TerminateName(0, Priority.HIGH, OWN_NAME, reason))
        await agent.expect_received(f"{TOLD[verb]}ProcessID", reason.text)


@verbs
@case("ENP-TERM-6", "ENP-TERM-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_name_and_event_alike(ergo_context: Context, verb: Verb) -> None:
    """A process with a {verb.value} of a name and of an event with the same name is notified of the end of each separately."""
    agent = AgentDriver(await ergo_context.peer())
    for word in ("ProcessID", "Event"):
        await relate(agent, verb, own_address(agent.peer, word))
    first, second = new_reason(agent.peer), new_reason(agent.peer)
    agent.peer.send_frame(enp.TerminateEvent(0, Priority.HIGH, OWN_NAME, first))
    await agent.expect_received(f"{TOLD[verb]}Event", first.text)
    await agent.expect_not_received(f"{TOLD[verb]}ProcessID", first.text)
    agent.peer.send_frame(enp.TerminateName(0, Priority.HIGH, OWN_NAME, second))
    await agent.expect_received(f"{TOLD[verb]}ProcessID", second.text)
    await agent.expect_not_received(f"{TOLD[verb]}Event", second.text)


@pytest.mark.parametrize("word", ["PID", "ProcessID", "Alias", "Event"], ids=lambda w: w.lower())
@case("ENP-TERM-6", "ENP-TERM-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_equal_target_of_another_node(ergo_context: Context, word: str) -> None:
    """A monitor of a target (by {word}) does not end when another node reports the end of its target with that name."""
    agent, other = AgentDriver(await ergo_context.peer()), await ergo_context.peer()
    await relate(agent, Verb.MONITOR, own_address(agent.peer, word))
    mine, theirs = new_reason(agent.peer), new_reason(other)
    other.send_frame(end_of(word, theirs))
    await other.check_alive()
    await agent.expect_not_received(f"gen.MessageDown{word}", theirs.text)
    agent.peer.send_frame(end_of(word, mine))
    await agent.expect_received(f"gen.MessageDown{word}", mine.text)


@case("ENP-EVT-6", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_equal_event_of_another_node(ergo_context: Context) -> None:
    """A subscriber gets no message of an event that has the name of its event and belongs to another node."""
    agent, other = AgentDriver(await ergo_context.peer()), await ergo_context.peer()
    event = Event(agent.peer.name, OWN_NAME)
    await relate(agent, Verb.MONITOR, event)
    mine, theirs = f"published {agent.peer.new_ref()[0]}", f"published {other.new_ref()[0]}"
    other.send_frame(message_of(event, theirs))
    await other.check_alive()
    agent.peer.send_frame(message_of(event, mine))
    await agent.expect_received("gen.MessageEvent", mine)
    await agent.expect_not_received("gen.MessageEvent", theirs)
    await relate(agent, Verb.DEMONITOR, event)


@case("ENP-EVT-6", "ENP-EVT-5", offers=AGENTS, agents=("agent", "pub"), exclusive=True)
async def test_equal_event_of_the_target(ergo_context: Context) -> None:
    """A subscriber of a peer's event gets no message of the target's own event with the same name, and the reverse."""
    agent = AgentDriver(await ergo_context.peer())
    local = await register_event(agent.peer)
    event = local._replace(node=agent.peer.name)
    await relate(agent, Verb.MONITOR, event)
    token = f"published {agent.peer.new_ref()[0]}"
    await publish(agent.peer, local, f"{token} by pub")
    await agent.expect_not_received("gen.MessageEvent", f"{token} by pub")
    agent.peer.send_frame(message_of(event, f"{token} by the tester"))
    await agent.expect_received("gen.MessageEvent", f"{token} by the tester")
    await agent.peer.expect_none(
        lambda f: isinstance(f, enp.EventFrame) and f.name == event.name, "frame of an event without subscribers"
    )
    await relate(agent, Verb.DEMONITOR, event)


@case("ENP-EVT-6", "ENP-TERM-6", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_two_nodes(ergo_context: Context) -> None:
    """A subscriber of events of two nodes keeps the one when the other node is lost."""
    stays, leaves = AgentDriver(await ergo_context.peer()), await ergo_context.peer()
    event = Event(stays.peer.name, OWN_NAME)
    await relate(stays, Verb.MONITOR, event)
    await relate(stays, Verb.MONITOR, Event(leaves.name, OWN_NAME), leaves)
    leaves.sockets[0].close()
    await leaves.expect_close()
    await stays.expect_received("gen.MessageDownEvent", "no connection")
    token = f"published {stays.peer.new_ref()[0]}"
    stays.peer.send_frame(message_of(event, token))
    await stays.expect_received("gen.MessageEvent", token)
    await relate(stays, Verb.DEMONITOR, event)


@case("ENP-DOWN-2", "ENP-TERM-6", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_lost_after_an_end(ergo_context: Context) -> None:
    """A process that was notified of the end of one of two targets is notified of the other when the connection ends."""
    agent, other = AgentDriver(await ergo_context.peer()), AgentDriver(await ergo_context.peer())
    ended, kept = ProcessID(agent.peer.name, Atom("ended")), ProcessID(agent.peer.name, Atom("kept"))
    for target in (ended, kept):
        await relate(agent, Verb.MONITOR, target)
    reason = new_reason(agent.peer)
    agent.peer.send_frame(enp.TerminateName(0, Priority.HIGH, ended.name, reason))
    await agent.expect_received("gen.MessageDownProcessID", reason.text)
    agent.peer.sockets[0].close()
    await other.expect_received("gen.MessageDownProcessID", "no connection")
