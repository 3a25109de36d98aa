"""The agent waits for an answer: only a valid answer of the called node, with the call's reference, ends its wait."""

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.enp import Algorithm, Code, Priority
from ergo_conformance.model.values import Error
from ergo_conformance.peers.corruption.frames import with_payload
from ergo_conformance.peers.ergo.agents import OWN_PROCESS, have_agent_send, respond, respond_error
from ergo_conformance.testing import AGENTS, AgentDriver, Context, Peer, case


def answer_of(frame: object, payload: object) -> enp.Response:
    """Returns a correct answer to a request of the agent."""
    assert isinstance(frame, enp.RequestPID)
    return enp.Response(
        frame.from_id % enp.ORDER_MODULUS, OWN_PROCESS, Priority.NORMAL, frame.from_id, frame.ref, payload
    )


def error_of(frame: object, outcome: bytes, peer: Peer) -> bytes:
    """Returns the bytes of a ResponseError to a call or a message of the agent with these bytes in place of the code."""
    assert isinstance(frame, enp.RequestPID | enp.MessagePID)
    ref = frame.ref if isinstance(frame, enp.RequestPID) else (frame.mid, 0, 0)
    good = enp.ResponseError(0, OWN_PROCESS, Priority.NORMAL, frame.from_id, ref, Code.PROCESS_UNKNOWN, None)
    return with_payload(good, peer, outcome)


async def still_waits(agent: AgentDriver, ref: enp.Words, after: str) -> None:
    """Checks that the operation with this reference has not ended."""
    await agent.peer.expect_none(
        lambda f: isinstance(f, enp.Response) and f.ref == ref, f"answer of agent after {after}", within=0.1
    )


@pytest.mark.parametrize("code", [4, 5, 127, 128, 254], ids=lambda n: f"code_{n}")
@case("ENP-ERR-1", "ENP-REQ-7", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_unknown_code(ergo_context: Context, code: int) -> None:
    """A caller ignores a ResponseError with the unknown code {code} to its call, and takes the answer behind it."""
    agent = AgentDriver(await ergo_context.peer())
    ref, frame = await have_agent_send(agent, "call", "PID", "hello")
    agent.peer.send_bytes(error_of(frame, bytes([code]), agent.peer), f"a ResponseError with code {code}")
    await still_waits(agent, ref, f"a ResponseError with code {code}")
    respond(agent.peer, frame, "right")
    answer = await agent.result(ref)
    agent.peer.check(answer == "right", repr(answer), "the answer behind the unknown code")


@case("ENP-ERR-1", "ENP-IMP-5", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_unknown_code_of_an_acknowledgement(ergo_context: Context) -> None:
    """A sender ignores an acknowledgement with an unknown code, and takes the valid one behind it."""
    agent = AgentDriver(await ergo_context.peer())
    ref, frame = await have_agent_send(agent, "send_important", "PID", "hello")
    for code in (4, 254):
        agent.peer.send_bytes(error_of(frame, bytes([code]), agent.peer), f"an acknowledgement with code {code}")
        await still_waits(agent, ref, f"an acknowledgement with code {code}")
    respond_error(agent.peer, frame, (frame.mid, 0, 0), Code.DELIVERED)
    await agent.expect_true(ref)


MALFORMED = {
    "code_255_without_an_error": b"\xff",
    "code_255_and_a_text": b"\xff\x8d\x00\x08shutdown",
    "code_255_and_nil": b"\xff\x9c\xff\xff",
    "code_1_and_an_error": b"\x01\x9c\x00\x04late",
}


@pytest.mark.parametrize("how", list(MALFORMED))
@case("ENP-ERR-1", "ENP-HDR-7", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_malformed_error(ergo_context: Context, how: str) -> None:
    """A caller ignores a malformed ResponseError to its call ({how}), and takes the answer behind it."""
    agent = AgentDriver(await ergo_context.peer())
    ref, frame = await have_agent_send(agent, "call", "PID", "hello")
    agent.peer.send_bytes(error_of(frame, MALFORMED[how], agent.peer), f"a ResponseError: {how.replace('_', ' ')}")
    if how != "code_1_and_an_error":  # upstream ignores the bytes behind the code
        await still_waits(agent, ref, "a malformed ResponseError")
    respond(agent.peer, frame, "right")
    answer = await agent.result(ref)
    right = answer == "right" or (how == "code_1_and_an_error" and isinstance(answer, Error))
    agent.peer.check(right, repr(answer), "the answer behind the malformed one")


@case("ENP-HDR-7", "ENP-REQ-7", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_undecodable(ergo_context: Context) -> None:
    """A caller ignores an answer whose value cannot be decoded, and takes the answer behind it."""
    agent = AgentDriver(await ergo_context.peer())
    ref, frame = await have_agent_send(agent, "call", "PID", "hello")
    bad = with_payload(answer_of(frame, True), agent.peer, b"\x00\x01\x02")
    agent.peer.send_bytes(bad, "an answer whose value has an unassigned tag")
    await still_waits(agent, ref, "an answer that cannot be decoded")
    respond(agent.peer, frame, "right")
    answer = await agent.result(ref)
    agent.peer.check(answer == "right", repr(answer), "the answer that can be decoded")


@case("ENP-REQ-7", "ENP-REQ-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_answer_of_another_node(ergo_context: Context) -> None:
    """A caller ignores an answer with its reference from a node that it did not call."""
    agent, stranger = AgentDriver(await ergo_context.peer()), await ergo_context.peer()
    ref, frame = await have_agent_send(agent, "call", "PID", "hello")
    stranger.send_frame(answer_of(frame, "wrong"))
    stranger.send_bytes(error_of(frame, b"\x01", stranger), "a ResponseError with code 1")
    await stranger.check_alive()
    await still_waits(agent, ref, "an answer of another node")
    respond(agent.peer, frame, "right")
    answer = await agent.result(ref)
    agent.peer.check(answer == "right", repr(answer), "the answer of the called node")


@case("ENP-IMP-2", "ENP-REQ-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_acknowledgement_of_another_node(ergo_context: Context) -> None:
    """A sender ignores an acknowledgement with its message id from a node that it did not send to."""
    agent, stranger = AgentDriver(await ergo_context.peer()), await ergo_context.peer()
    ref, frame = await have_agent_send(agent, "send_important", "PID", "hello")
    stranger.send_bytes(error_of(frame, b"\x00", stranger), "an acknowledgement with code 0")
    await stranger.check_alive()
    await still_waits(agent, ref, "an acknowledgement of another node")
    respond_error(agent.peer, frame, (frame.mid, 0, 0), Code.PROCESS_UNKNOWN)
    answer = await agent.result(ref)
    agent.peer.check(isinstance(answer, Error), repr(answer), "the error in the right acknowledgement")


@pytest.mark.parametrize("algorithm", list(Algorithm), ids=lambda a: a.name.lower())
@case("ENP-Z-1", "ENP-T-129", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_compressed(ergo_context: Context, algorithm: Algorithm) -> None:
    """A caller takes an answer that is compressed with {algorithm.name}."""
    agent = AgentDriver(await ergo_context.peer())
    text = "a long answer " * 200
    ref, frame = await have_agent_send(agent, "call", "PID", "hello")
    agent.peer.send_frame(answer_of(frame, text), algorithm=algorithm)
    answer = await agent.result(ref)
    agent.peer.check(answer == text, f"{answer!r:.60}", "the text of the compressed answer")


@pytest.mark.parametrize("link", [1, 2], ids=lambda n: f"link_{n}")
@case("ENP-REQ-7", "EHS-JOIN-8", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_over_another_socket(ergo_context: Context, link: int) -> None:
    """A caller takes an answer that arrives over another socket of the pool than its call left on."""
    agent = AgentDriver(await ergo_context.peer(sockets=2))
    ref, frame = await have_agent_send(agent, "call", "PID", "hello")
    agent.peer.send_frame(answer_of(frame, "hello"), link - 1)
    answer = await agent.result(ref)
    agent.peer.check(answer == "hello", repr(answer), "the answer of the tester")


REASONS = ("normal", "shutdown", "kill", "panic", "a custom reason")


@pytest.mark.parametrize("reason", REASONS, ids=lambda text: text.split(" ")[0])
@case("ENP-EXIT-2", "ENP-T-107", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_trapped_exit(ergo_context: Context, reason: str) -> None:
    """A process that traps exits keeps running after an exit signal with the reason {reason}, and gets the reason."""
    agent = AgentDriver(await ergo_context.peer())
    me = await agent.pid()
    agent.peer.send_frame(enp.Exit(me.id % enp.ORDER_MODULUS, OWN_PROCESS, Priority.MAX, me.id, Error(reason)))
    await agent.expect_received("gen.MessageExitPID", reason)
    agent.peer.check(await agent.pid() == me, "another PID", f"still {me!r}")


@case("ENP-REQ-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_bits_of_a_reference(ergo_context: Context) -> None:
    """Upstream puts 18 bits of a counter into the first word of a reference, which therefore repeats after 262,144 uses."""
    agent = AgentDriver(await ergo_context.peer())
    found = []
    for _ in range(3):
        ref, frame = await have_agent_send(agent, "call", "PID", "hello")
        respond(agent.peer, frame, "answer")
        await agent.result(ref)
        found.append(frame.ref)
    agent.peer.check(all(first < 1 << 18 for first, _, _ in found), found, "references with a first word below 262,144")
