"""The agent sends messages and exit signals to the tester, connects and disconnects: the frames of both directions."""

import pytest

from ergo_conformance.model.ergo import enp, error_values, subject
from ergo_conformance.model.ergo.enp import ORDER_MODULUS, Priority
from ergo_conformance.model.values import Error
from ergo_conformance.peers.ergo.agents import Acting, eventually
from ergo_conformance.peers.ergo.ours import MESSAGES, OURS, REQUESTS, TO, WORDS, address, reply, sent, to_of, told
from ergo_conformance.testing import AGENTS, Context, case

words = pytest.mark.parametrize("word", list(TO), ids=lambda w: w.lower())


@words
@case("ENP-T-101", "ENP-T-102", "ENP-T-104", "ENP-PRIO-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_send(ergo_context: Context, word: str) -> None:
    """The agent sends a message by {word} in one frame with its own number, the receiver's address and priority 0."""
    acting = Acting(await ergo_context.peer())
    peer, me = acting.peer, await acting.pid()
    ref, frame = await told(acting, "send", word, "hello")
    found = (isinstance(frame, MESSAGES), frame.from_id, to_of(frame), frame.payload, frame.priority)
    peer.check(found == (True, me.id, TO[word], "hello", 0), frame, f"a message from {me.id} to {TO[word]}, priority 0")
    await acting.good(ref)
    await peer.none_of(lambda f: isinstance(f, MESSAGES), "second message")


@words
@case("ENP-ORD-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_order_byte(ergo_context: Context, word: str) -> None:
    """Upstream takes the order byte of a message by {word} from its PID, its alias's second word, or its sender."""
    acting = Acting(await ergo_context.peer())
    ref, frame = await told(acting, "send", word, "hello")
    await acting.good(ref)
    wanted = {"PID": OURS, "ProcessID": frame.from_id, "Alias": WORDS[1]}[word] % ORDER_MODULUS
    acting.peer.check(frame.order == wanted, frame, f"order byte {wanted}")


@words
@case("ENP-ORD-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_without_order(ergo_context: Context, word: str) -> None:
    """Upstream writes order byte 0 for a message by {word} while the process has network order disabled."""
    acting = Acting(await ergo_context.peer())
    async with acting.setting("keep_order", False, back=(True,)):
        ref, frame = await told(acting, "send", word, "hello")
        await acting.good(ref)
        acting.peer.check(frame.order == 0, frame, "order byte 0")
    ref, frame = await told(acting, "send", word, "hello")
    await acting.good(ref)
    acting.peer.check(frame.order != 0, frame, "an order byte other than 0")


@case("ENP-ORD-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_one_link(ergo_context: Context) -> None:
    """The agent sends all its messages over one socket of a pool, in order."""
    acting = Acting(await ergo_context.peer(links=0))
    peer = acting.peer
    for i in range(30):
        acting.tell("send", address(peer, "PID"), i)
    received = [await sent(peer) for _ in range(30)]
    found = [each.value.payload for each in received]
    peer.check(found == list(range(30)), found, "0 to 29, in order")
    lines = {each.line for each in received}
    peer.check(len(lines) == 1, f"sockets {sorted(lines)}", "one socket")


PRIORITIES = {"send": Priority.NORMAL, "send_high": Priority.HIGH, "send_max": Priority.MAX}


@pytest.mark.parametrize("op", list(PRIORITIES)[1:])
@case("ENP-PRIO-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_priority_of_a_message(ergo_context: Context, op: str) -> None:
    """A message of {op} has its priority in the low two bits and no other bit set."""
    acting = Acting(await ergo_context.peer())
    ref, frame = await told(acting, op, "PID", "hello")
    await acting.good(ref)
    acting.peer.check(frame.priority == PRIORITIES[op], frame, f"priority byte {PRIORITIES[op]:d}")


@pytest.mark.parametrize("priority", list(Priority), ids=lambda p: p.name.lower())
@case("ENP-PRIO-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_priority_of_a_process(ergo_context: Context, priority: Priority) -> None:
    """A process sends its messages and calls with its configured priority ({priority})."""
    acting = Acting(await ergo_context.peer())
    async with acting.setting("priority", int(priority), back=(0,)):
        ref, frame = await told(acting, "send", "ProcessID", "hello")
        await acting.good(ref)
        acting.peer.check(frame.priority == priority, frame, f"priority byte {priority:d}")
        ref, frame = await told(acting, "call", "ProcessID", "hello")
        reply(acting.peer, frame, "answer")
        acting.peer.check(await acting.done(ref) == "answer", "another answer", "the answer")
        acting.peer.check(frame.priority == priority, frame, f"priority byte {priority:d}")


@case("ENP-T-107", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_exit(ergo_context: Context) -> None:
    """The agent sends exit signals as frames 107 with its own number, the receiver's number and the given reason."""
    acting = Acting(await ergo_context.peer())
    peer, me = acting.peer, await acting.pid()
    for given, reason in (
        ("kill", error_values.KILL),
        ("custom", subject.CUSTOM_ERROR),
        (Error("mine"), Error("mine")),
    ):
        ref = acting.tell("exit", peer.pid(OURS), given)
        frame = (await peer.wait_for(lambda f: isinstance(f, enp.Exit), "a frame 107")).value
        found = (frame.from_id, frame.to_id, frame.reason.text)
        peer.check(found == (me.id, OURS, reason.text), frame, f"from {me.id} to {OURS} with {reason.text!r}")
        await acting.good(ref)


@case("ENP-EXIT-2", "ENP-T-107", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_trapped_exit(ergo_context: Context) -> None:
    """A process that traps exits receives the tester's exit signal with its reason and keeps running."""
    acting = Acting(await ergo_context.peer())
    peer, me = acting.peer, await acting.pid()
    reason = Error(f"exit {peer.new_ref()[0]}")
    peer.send_frame(enp.Exit(me.id % ORDER_MODULUS, OURS, Priority.MAX, me.id, reason))
    await acting.told("gen.MessageExitPID", reason.text)
    peer.check(await acting.pid() == me, "another PID", f"still {me!r}")


@case("ENP-SIZE-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_too_large(ergo_context: Context) -> None:
    """A target refuses a message, a call and an important message above the tester's limit at the sender."""
    acting = Acting(await ergo_context.peer(MaxMessageSize=2_000))
    for op in ("send", "call", "send_important"):
        ref = acting.tell(op, acting.peer.pid(OURS), bytes(2_000))
        await acting.refused(ref, error_values.TOO_LARGE)
    await acting.peer.none_of(lambda f: isinstance(f, (*MESSAGES, *REQUESTS)), "message above the tester's limit")
    ref, frame = await told(acting, "send", "PID", bytes(1_900))
    await acting.good(ref)
    acting.peer.check(len(frame.payload) == 1_900, frame, "a message below the tester's limit")


# --- the connection ---------------------------------------------------------------------------------------------------


@case("ENP-DOWN-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_disconnect(ergo_context: Context) -> None:
    """A target that disconnects closes all sockets without a frame; the tester may connect again at once."""
    acting, other = Acting(await ergo_context.peer(links=2)), Acting(await ergo_context.peer())
    name = acting.peer.name
    await other.set("disconnect", name)
    for line in range(2):
        await acting.peer.closed(line)
    acting.peer.check(await acting.peer.receive(0) is None, "a frame", "no frame before the sockets close")
    back = await ergo_context.peer(name)
    await back.alive()


@case("ENP-DOWN-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_nodes(ergo_context: Context) -> None:
    """A target lists a connected node, and no longer lists it soon after its last socket has closed."""
    acting, other = Acting(await ergo_context.peer()), Acting(await ergo_context.peer())
    name = acting.peer.name

    async def is_connected() -> bool:
        nodes = await other.do("nodes")
        return name in getattr(nodes, "value", nodes)

    other.peer.check(await is_connected(), "not in the list of nodes", f"{name} in the list of nodes")
    await other.set("connect", name)
    acting.peer.lines[0].dialer.link.close()
    await eventually(other.peer, is_connected, lambda found: not found, f"{name} not in the list of nodes")
