"""The agent sends messages and exit signals to the tester, connects and disconnects: the frames of both directions."""

import pytest

from ergo_conformance.model.ergo import agent_types, enp, error_values
from ergo_conformance.model.ergo.enp import ORDER_MODULUS, Priority
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Error
from ergo_conformance.peers.ergo.agents import (
    MESSAGES,
    OWN_ADDRESSES,
    OWN_ALIAS,
    OWN_PROCESS,
    REQUESTS,
    have_agent_send,
    own_address,
    poll_until,
    receive_from_agent,
    receiver_of,
    respond,
)
from ergo_conformance.testing import AGENTS, AgentDriver, Context, case, set_up

SENDS = {"PID": "ENP-T-101", "ProcessID": "ENP-T-102", "Alias": "ENP-T-104"}
"""Requirement about a message by each kind of address."""
words = pytest.mark.parametrize("word", list(OWN_ADDRESSES), ids=lambda w: w.lower())


@words
@case("ENP-T-101", "ENP-T-102", "ENP-T-104", "ENP-PRIO-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_send(ergo_context: Context, word: str) -> None:
    """The agent sends a message by {word} in one frame with its own number, the receiver's address and priority 0."""
    agent = AgentDriver(await ergo_context.peer())
    peer, me = agent.peer, await agent.pid()
    ref, frame = await have_agent_send(agent, "send", word, "hello")
    found = (isinstance(frame, MESSAGES), frame.from_id, receiver_of(frame), frame.payload, frame.priority)
    peer.check(
        found == (True, me.id, OWN_ADDRESSES[word], "hello", 0),
        frame,
        f"a message from {me.id} to {OWN_ADDRESSES[word]}, priority 0",
    )
    await agent.expect_true(ref)
    await peer.expect_none(lambda f: isinstance(f, MESSAGES), "second message")


@words
@case("ENP-ORD-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_order_byte(ergo_context: Context, word: str) -> None:
    """Upstream takes the order byte of a message by {word} from its PID, its alias's second word, or its sender."""
    agent = AgentDriver(await ergo_context.peer())
    with set_up(SENDS[word]):
        ref, frame = await have_agent_send(agent, "send", word, "hello")
        await agent.expect_true(ref)
    wanted = {"PID": OWN_PROCESS, "ProcessID": frame.from_id, "Alias": OWN_ALIAS[1]}[word] % ORDER_MODULUS
    agent.peer.check(frame.order == wanted, frame, f"order byte {wanted}")


@words
@case("ENP-ORD-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_without_order(ergo_context: Context, word: str) -> None:
    """Upstream writes order byte 0 for a message by {word} while the process has network order disabled."""
    agent = AgentDriver(await ergo_context.peer())
    async with agent.changed_setting("keep_order", False, back=(True,)):
        with set_up(SENDS[word]):
            ref, frame = await have_agent_send(agent, "send", word, "hello")
            await agent.expect_true(ref)
        agent.peer.check(frame.order == 0, frame, "order byte 0")
    with set_up(SENDS[word]):
        ref, frame = await have_agent_send(agent, "send", word, "hello")
        await agent.expect_true(ref)
    agent.peer.check(frame.order != 0, frame, "an order byte other than 0")


@case("ENP-ORD-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_one_link(ergo_context: Context) -> None:
    """The agent sends all its messages over one socket of a pool, in order."""
    agent = AgentDriver(await ergo_context.peer(sockets=0))
    peer = agent.peer
    for i in range(30):
        agent.start("send", own_address(peer, "PID"), i)
    received = [await receive_from_agent(peer) for _ in range(30)]
    found = [each.value.payload for each in received]
    peer.check_equal(found, list(range(30)), "in order")
    sockets = {each.socket for each in received}
    peer.check(len(sockets) == 1, f"sockets {sorted(sockets)}", "one socket")


PRIORITIES = {"send": Priority.NORMAL, "send_high": Priority.HIGH, "send_max": Priority.MAX}


@pytest.mark.parametrize("op", list(PRIORITIES)[1:])
@case("ENP-PRIO-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_priority_of_a_message(ergo_context: Context, op: str) -> None:
    """A message of {op} has its priority in the low two bits and no other bit set."""
    agent = AgentDriver(await ergo_context.peer())
    ref, frame = await have_agent_send(agent, op, "PID", "hello")
    await agent.expect_true(ref)
    agent.peer.check(frame.priority == PRIORITIES[op], frame, f"priority byte {PRIORITIES[op]:d}")


@pytest.mark.parametrize("priority", list(Priority), ids=lambda p: p.name.lower())
@case("ENP-PRIO-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_priority_of_a_process(ergo_context: Context, priority: Priority) -> None:
    """A process sends its messages and calls with its configured priority ({priority})."""
    agent = AgentDriver(await ergo_context.peer())
    async with agent.changed_setting("priority", int(priority), back=(0,)):
        ref, frame = await have_agent_send(agent, "send", "ProcessID", "hello")
        await agent.expect_true(ref)
        agent.peer.check(frame.priority == priority, frame, f"priority byte {priority:d}")
        ref, frame = await have_agent_send(agent, "call", "ProcessID", "hello")
        respond(agent.peer, frame, "answer")
        agent.peer.check_equal(await agent.result(ref), "answer")
        agent.peer.check(frame.priority == priority, frame, f"priority byte {priority:d}")


@case("ENP-T-107", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_exit(ergo_context: Context) -> None:
    """The agent sends exit signals as frames 107 with its own number, the receiver's number and the given reason."""
    agent = AgentDriver(await ergo_context.peer())
    peer, me = agent.peer, await agent.pid()
    for given, reason in (
        ("kill", error_values.KILL),
        ("custom", agent_types.CUSTOM_ERROR),
        (Error("mine"), Error("mine")),
    ):
        ref = agent.start("exit", peer.pid(OWN_PROCESS), given)
        frame = (await peer.wait_for(lambda f: isinstance(f, enp.Exit), "a frame 107")).value
        found = (frame.from_id, frame.to_id, frame.reason.text)
        peer.check(
            found == (me.id, OWN_PROCESS, reason.text), frame, f"from {me.id} to {OWN_PROCESS} with {show(reason.text)}"
        )
        await agent.expect_true(ref)


@case("ENP-EXIT-2", "ENP-T-107", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_trapped_exit(ergo_context: Context) -> None:
    """A process that traps exits receives the tester's exit signal with its reason and keeps running."""
    agent = AgentDriver(await ergo_context.peer())
    peer, me = agent.peer, await agent.pid()
    reason = Error(f"exit {peer.new_ref()[0]}")
    peer.send_frame(enp.Exit(me.id % ORDER_MODULUS, OWN_PROCESS, Priority.MAX, me.id, reason))
    await agent.expect_received("gen.MessageExitPID", reason.text)
    peer.check_equal(await agent.pid(), me, "the same PID as before")


@case("ENP-SIZE-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_too_large(ergo_context: Context) -> None:
    """A target refuses a message, a call and an important message above the tester's limit at the sender."""
    agent = AgentDriver(await ergo_context.peer(MaxMessageSize=2_000))
    for op in ("send", "call", "send_important"):
        ref = agent.start(op, agent.peer.pid(OWN_PROCESS), bytes(2_000))
        await agent.expect_error(ref, error_values.TOO_LARGE)
    await agent.peer.expect_none(lambda f: isinstance(f, (*MESSAGES, *REQUESTS)), "message above the tester's limit")
    ref, frame = await have_agent_send(agent, "send", "PID", bytes(1_900))
    await agent.expect_true(ref)
    agent.peer.check(len(frame.payload) == 1_900, frame, "a message below the tester's limit")


# --- the connection ---------------------------------------------------------------------------------------------------


@case("ENP-DOWN-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_disconnect(ergo_context: Context) -> None:
    """A target that disconnects closes all sockets without a frame; the tester may connect again at once."""
    agent, other = AgentDriver(await ergo_context.peer(sockets=2)), AgentDriver(await ergo_context.peer())
    name = agent.peer.name
    await other.run_true("disconnect", name)
    for socket in range(2):
        await agent.peer.expect_close(socket)
    agent.peer.check(await agent.peer.receive(0) is None, "a frame", "no frame before the sockets close")
    back = await ergo_context.peer(name)
    await back.check_alive()


@case("ENP-DOWN-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_nodes(ergo_context: Context) -> None:
    """A target lists a connected node, and no longer lists it soon after its last socket has closed."""
    agent, other = AgentDriver(await ergo_context.peer()), AgentDriver(await ergo_context.peer())
    name = agent.peer.name

    async def is_connected() -> bool:
        nodes = await other.run("nodes")
        return name in getattr(nodes, "value", nodes)

    other.peer.check(await is_connected(), "not in the list of nodes", f"{name} in the list of nodes")
    await other.run_true("connect", name)
    agent.peer.sockets[0].close()
    await poll_until(other.peer, is_connected, lambda found: not found, f"{name} not in the list of nodes")
