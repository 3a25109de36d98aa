"""The agent calls the tester and sends it important messages: the frames it writes and its reaction to the answers."""

import pytest

from ergo_conformance.model.ergo import enp, error_values
from ergo_conformance.model.ergo.ehs import DEFAULT_FLAGS, FLAGS_WIDTH, Flags
from ergo_conformance.model.ergo.enp import IMPORTANT, PRIORITY_MASK, Code, Priority
from ergo_conformance.model.values import Error
from ergo_conformance.peers.ergo.agents import (
    CALL_TIMEOUT,
    MESSAGES,
    OWN_ADDRESSES,
    OWN_PROCESS,
    REQUESTS,
    have_agent_send,
    receiver_of,
    respond,
    respond_error,
)
from ergo_conformance.testing import AGENTS, ORDER, AgentDriver, Context, case, set_up

words = pytest.mark.parametrize("word", list(OWN_ADDRESSES), ids=lambda w: w.lower())


@words
@case("ENP-T-121", "ENP-T-122", "ENP-T-124", "ENP-REQ-7", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_call(ergo_context: Context, word: str) -> None:
    """The agent sends a call by {word} in one frame with a new reference and returns the tester's answer."""
    agent = AgentDriver(await ergo_context.peer())
    peer, me = agent.peer, await agent.pid()
    refs = set()
    for value in ("hello", ["a", "list"], b"bytes"):
        ref, frame = await have_agent_send(agent, "call", word, value)
        found = (isinstance(frame, REQUESTS), frame.from_id, receiver_of(frame), frame.payload, frame.priority)
        peer.check(
            found == (True, me.id, OWN_ADDRESSES[word], value, 0),
            frame,
            f"a call of {OWN_ADDRESSES[word]} from {me.id}, priority 0",
        )
        respond(peer, frame, value)
        answer = await agent.result(ref)
        peer.check_equal(answer, value, "the tester's answer")
        refs.add(frame.ref)
    peer.check(len(refs) == 3, refs, "three references")


CALLS = {"call_high": Priority.HIGH, "call_max": Priority.MAX}


@pytest.mark.parametrize("op", list(CALLS))
@case("ENP-PRIO-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_priority_of_a_call(ergo_context: Context, op: str) -> None:
    """A call of {op} has its priority in the low two bits and no other bit set."""
    agent = AgentDriver(await ergo_context.peer())
    ref, frame = await have_agent_send(agent, op, "PID", "hello")
    respond(agent.peer, frame, 42)
    answer = await agent.result(ref)
    agent.peer.check_equal(answer, 42, "the tester's answer")
    agent.peer.check(frame.priority == CALLS[op], frame, f"priority byte {CALLS[op]:d}")


ERRORS: dict[str, tuple[Code, Error | None, Error]] = {
    "unknown": (Code.PROCESS_UNKNOWN, None, error_values.PROCESS_UNKNOWN),
    "mailbox": (Code.MAILBOX_FULL, None, error_values.MAILBOX_FULL),
    "terminated": (Code.PROCESS_TERMINATED, None, error_values.PROCESS_TERMINATED),
    "other": (Code.OTHER, Error("a custom error"), Error("a custom error")),
}
errors = pytest.mark.parametrize("what", list(ERRORS))


@errors
@case("ENP-ERR-1", "ENP-IMP-5", "ENP-T-130", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_call_fails(ergo_context: Context, what: str) -> None:
    """A call returns the error of the ResponseError ({what}) that answers it."""
    agent = AgentDriver(await ergo_context.peer())
    code, said, error = ERRORS[what]
    ref, frame = await have_agent_send(agent, "call", "PID", "hello")
    respond_error(agent.peer, frame, frame.ref, code, said)
    await agent.expect_error(ref, error)


@case("ENP-REQ-7", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_call_times_out(ergo_context: Context) -> None:
    """A call without an answer ends with "timed out" at its timeout; a late answer has no effect."""
    agent = AgentDriver(await ergo_context.peer())
    ref, frame = await have_agent_send(agent, "call", "PID", "hello")
    await agent.expect_timeout(ref, CALL_TIMEOUT)
    respond(agent.peer, frame, "too late")
    await agent.peer.check_alive()
    ref, frame = await have_agent_send(agent, "call", "PID", "hello")
    respond(agent.peer, frame, "in time")
    answer = await agent.result(ref)
    agent.peer.check_equal(answer, "in time", "the answer to this call")


@case("ENP-REQ-7", "ENP-REQ-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_wrong_reference(ergo_context: Context) -> None:
    """A caller ignores an answer with another reference (in any word) or for another number."""
    agent = AgentDriver(await ergo_context.peer())
    peer = agent.peer
    ref, frame = await have_agent_send(agent, "call", "PID", "hello")
    one, two, three = frame.ref
    for words in ((one + 1, two, three), (one, two + 1, three), (one, two, three + 1)):
        respond(peer, frame, "wrong", ref=words)
        respond_error(peer, frame, words, Code.PROCESS_UNKNOWN)
    respond(peer, frame, "wrong", to_id=frame.from_id + 1)
    await peer.expect_none(
        lambda f: isinstance(f, enp.Response) and f.ref == ref, "answer of agent before the tester's answer"
    )
    respond(peer, frame, "right")
    answer = await agent.result(ref)
    peer.check_equal(answer, "right", "the answer with the reference of the call")


@case("ENP-REQ-7", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_second_answer(ergo_context: Context) -> None:
    """A caller does not take a second answer to a call for the answer to the next call."""
    agent = AgentDriver(await ergo_context.peer())
    ref, frame = await have_agent_send(agent, "call", "PID", "hello")
    for text in ("first", "second"):
        respond(agent.peer, frame, text)
    first = await agent.result(ref)
    ref, frame = await have_agent_send(agent, "call", "PID", "hello")
    respond(agent.peer, frame, "third")
    found = (first, await agent.result(ref))
    agent.peer.check_equal(found, ("first", "third"), "the first answer and the third")


@case("ENP-REQ-7", "ENP-DOWN-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_down_while_waiting(ergo_context: Context) -> None:
    """A caller that waits when the connection ends serves others again at its timeout at the latest."""
    agent, other = AgentDriver(await ergo_context.peer()), AgentDriver(await ergo_context.peer())
    await have_agent_send(agent, "call", "PID", "hello")
    agent.peer.sockets[0].close()
    await other.result(other.start("pid"), CALL_TIMEOUT + 2)


# --- important delivery -----------------------------------------------------------------------------------------------


@words
@case("ENP-IMP-2", "ENP-PRIO-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_important(ergo_context: Context, word: str) -> None:
    """An important message by {word} has the important bit and an id; the sender continues after the acknowledgement."""
    agent = AgentDriver(await ergo_context.peer())
    peer = agent.peer
    ref, frame = await have_agent_send(agent, "send_important", word, "hello")
    peer.check(frame.priority == IMPORTANT, frame, "priority byte 128")
    await peer.expect_none(
        lambda f: isinstance(f, enp.Response) and f.ref == ref, "answer of agent before the tester's acknowledgement"
    )
    respond_error(peer, frame, (frame.mid, 0, 0), Code.DELIVERED)
    await agent.expect_true(ref)


@errors
@case("ENP-IMP-5", "ENP-ERR-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_important_fails(ergo_context: Context, what: str) -> None:
    """An important send returns the error of its acknowledgement ({what})."""
    agent = AgentDriver(await ergo_context.peer())
    code, said, error = ERRORS[what]
    ref, frame = await have_agent_send(agent, "send_important", "PID", "hello")
    respond_error(agent.peer, frame, (frame.mid, 0, 0), code, said)
    await agent.expect_error(ref, error)


@case("ENP-IMP-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_important_times_out(ergo_context: Context) -> None:
    """Upstream waits five seconds for the acknowledgement of an important message and returns "timed out"."""
    agent = AgentDriver(await ergo_context.peer())
    with set_up("ENP-T-101"):
        ref, _ = await have_agent_send(agent, "send_important", "PID", "hello")
    await agent.expect_timeout(ref, enp.REQUEST_TIMEOUT)


@case("ENP-IMP-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_wrong_acknowledgement(ergo_context: Context) -> None:
    """A sender ignores an acknowledgement of another id or for another number."""
    agent = AgentDriver(await ergo_context.peer())
    peer = agent.peer
    ref, frame = await have_agent_send(agent, "send_important", "PID", "hello")
    respond_error(peer, frame, (frame.mid + 1, 0, 0), Code.PROCESS_UNKNOWN)
    respond_error(peer, frame, (frame.mid, 0, 0), Code.PROCESS_UNKNOWN, to_id=frame.from_id + 1)
    await peer.expect_none(
        lambda f: isinstance(f, enp.Response) and f.ref == ref, "answer of agent before the tester's acknowledgement"
    )
    respond_error(peer, frame, (frame.mid, 0, 0), Code.DELIVERED)
    await agent.expect_true(ref)


@case("ENP-IMP-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_ids_differ(ergo_context: Context) -> None:
    """A target gives each important message a different id other than 0."""
    agent = AgentDriver(await ergo_context.peer())
    mids = []
    for _ in range(5):
        ref, frame = await have_agent_send(agent, "send_important", "ProcessID", "hello")
        respond_error(agent.peer, frame, (frame.mid, 0, 0), Code.DELIVERED, order=ORDER)
        await agent.expect_true(ref)
        mids.append(frame.mid)
    agent.peer.check(len({*mids, 0}) == len(mids) + 1, mids, "five ids, none of them 0")


@case("ENP-IMP-4", "ENP-PRIO-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_important_call(ergo_context: Context) -> None:
    """An important call has the important bit and needs only the answer, no acknowledgement."""
    agent = AgentDriver(await ergo_context.peer())
    ref, frame = await have_agent_send(agent, "call_important", "PID", "hello")
    good = isinstance(frame, REQUESTS) and frame.priority == IMPORTANT | Priority.NORMAL
    agent.peer.check(good and not frame.priority & PRIORITY_MASK, frame, "a call with priority byte 128")
    respond(agent.peer, frame, "answer")
    answer = await agent.result(ref)
    agent.peer.check_equal(answer, "answer", "the tester's answer")
    ref, frame = await have_agent_send(agent, "call_important", "ProcessID", "hello")
    respond_error(agent.peer, frame, frame.ref, Code.PROCESS_UNKNOWN)
    await agent.expect_error(ref, error_values.PROCESS_UNKNOWN)


@pytest.mark.parametrize("op", ["send_important", "call_important"])
@case("ENP-IMP-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_not_announced(ergo_context: Context, op: str) -> None:
    """A target refuses {op} with "not supported" and sends nothing if the peer did not announce important delivery."""
    flags = (DEFAULT_FLAGS & ~Flags.IMPORTANT_DELIVERY).to_bytes(FLAGS_WIDTH, "big")
    agent = AgentDriver(await ergo_context.peer(Flags=flags))
    await agent.expect_error(agent.start(op, agent.peer.pid(OWN_PROCESS), "hello"), error_values.UNSUPPORTED)
    await agent.peer.expect_none(lambda f: isinstance(f, (*MESSAGES, *REQUESTS)), "message with the important bit")
