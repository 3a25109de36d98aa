"""What is used a second time, or on a second connection: references, message ids, names of nodes, cache ids, incarnations."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.values import Atom, Typed
from ergo_conformance.testing import AGENTS, ORDER, PROCESS, Context, Peer, case, set_up

BUSY = 1_500
"""Milliseconds that slow sleeps: enough for a node to disconnect and to connect again."""
IDS = Caches(atoms={300: Atom("echo")})


async def leave(peer: Peer) -> None:
    """Closes the only socket of a peer and waits until the target has closed it, too."""
    peer.sockets[0].close()
    with set_up("ENP-DOWN-1"):
        await peer.expect_close()


@case("ENP-REQ-1", offers=AGENTS)
async def test_reference(ergo_context: Context) -> None:
    """A target answers three calls of one process that use the same reference one after another."""
    peer = await ergo_context.peer()
    for i in range(3):
        peer.send_frame(enp.RequestName(ORDER, PROCESS, 0, (7, 8, 9), Atom("echo"), i))
        answer = (await peer.answer((7, 8, 9))).value
        peer.check(getattr(answer, "payload", None) == i, answer, f"the answer {i}")


@case("ENP-IMP-2", offers=AGENTS)
async def test_message_id(ergo_context: Context) -> None:
    """A target acknowledges three important messages of one process that use the same id, and delivers each."""
    peer = await ergo_context.peer()
    for i in range(3):
        peer.send("echo", i, mid=77)
        await peer.acknowledgement(77)
        message = (await peer.receive_message()).value
        peer.check(message.payload == i, message, f"the message {i} back from echo")


@case("ENP-REQ-1", "ENP-DLV-2", offers=AGENTS, exclusive=True)
async def test_answer_for_an_earlier_incarnation(ergo_context: Context) -> None:
    """A target does not send the answer for a process of a node's earlier incarnation to the restarted node."""
    old = await ergo_context.peer()
    ref = old.ask("slow", Typed(t.INT64, BUSY))
    await old.check_alive()
    await leave(old)
    new = await ergo_context.peer(old.name, creation=old.creation + 1)
    with set_up("ENP-REQ-1"):
        await new.call("slow", Typed(t.INT64, 0))  # answered after the call of the earlier incarnation
    await new.expect_no_answer(ref)


@case("ENP-NAME-2", "EHS-CACHE-7", offers=AGENTS)
async def test_ids_end_with_their_connection(ergo_context: Context) -> None:
    """A target drops a frame with a name id that the same node announced on an earlier connection."""
    first = await ergo_context.peer(caches=IDS)
    with set_up("ENP-T-123"):
        await first.call("echo", "hello")
    await leave(first)
    back = await ergo_context.peer(first.name)
    frame = enp.MessageNameCache(ORDER, PROCESS, 0, 0, Atom("echo"), "hello")
    back.send_bytes(back.data_of(frame, IDS), "a message to a name id of an earlier connection")
    await back.expect_none(lambda f: isinstance(f, enp.MessagePID), "message back")


async def update(peer: Peer, atoms: dict[int, Atom]) -> None:
    """Sends an UpdateCache with these atoms; its Result must have no error."""
    message = enp.UpdateCache(atoms, None, None, None, peer.control_ref())
    peer.send_frame(enp.Control(ORDER, message))
    with set_up("ENP-CACHE-1"):
        result = await peer.result(message.Ref)
        peer.check(result.Error is None, result, "a Result without an error")


def to_an_id(peer: Peer) -> bytes:
    """Returns a message to `echo` by an id."""
    return peer.data_of(enp.MessageNameCache(ORDER, PROCESS, 0, 0, Atom("echo"), "hello"), IDS)


@case("ENP-CACHE-1", "ENP-NAME-2", offers=AGENTS)
async def test_id_before_its_announcement(ergo_context: Context) -> None:
    """A target drops a message to a name id, and delivers the same message after an UpdateCache has announced the id."""
    peer = await ergo_context.peer(caches=Caches(atoms={301: Atom("sink")}))
    peer.send_bytes(to_an_id(peer), "a message to the name id 300, which is announced later")
    await peer.expect_none(lambda f: isinstance(f, enp.MessagePID), "message back")
    await update(peer, {300: Atom("echo")})
    peer.send_bytes(to_an_id(peer), "a message to the name id 300, which an UpdateCache has announced")
    await peer.receive_message()


@case("ENP-CACHE-1", "ENP-NAME-2", offers=AGENTS)
async def test_ids_of_one_peer_alone(ergo_context: Context) -> None:
    """A target applies an UpdateCache to the connection on which it arrived and to no other."""
    one, two = await ergo_context.peer(caches=Caches(atoms={301: Atom("sink")})), await ergo_context.peer()
    await update(one, {300: Atom("echo")})
    two.send_bytes(to_an_id(two), "a message to a name id that another node has announced")
    await two.expect_none(lambda f: isinstance(f, enp.MessagePID), "message back")
    one.send_bytes(to_an_id(one), "a message to the name id 300")
    await one.receive_message()


@case("ENP-CACHE-1", offers=AGENTS)
async def test_second_update(ergo_context: Context) -> None:
    """A target knows the ids of two UpdateCaches; the second one does not redefine an id of the first."""
    peer = await ergo_context.peer(caches=Caches(atoms={301: Atom("sink")}))
    await update(peer, {300: Atom("echo")})
    await update(peer, {300: Atom("sink"), 302: Atom("echo_cached")})
    peer.send_bytes(to_an_id(peer), "a message to the name id 300")
    message = (await peer.receive_message()).value
    peer.check(message.from_id == await peer.echo_id(), message, "a message from echo, whose name has the id 300")


@pytest.mark.parametrize("creation", ["same", "next"])
@case("ENP-DOWN-1", "ENP-REQ-1", offers=AGENTS)
async def test_node_name(ergo_context: Context, creation: str) -> None:
    """A node connects five times under one name, with the {creation} creation, and is served each time."""
    peer = await ergo_context.peer()
    for i in range(1, 5):
        await leave(peer)
        peer = await ergo_context.peer(peer.name, creation=peer.creation + (creation == "next"))
        value: Any = await peer.call("echo", i)
        peer.check(value == i, repr(value), f"{i}")


@case("ENP-REQ-1", "ENP-DOWN-1", offers=AGENTS)
async def test_others_while_one_leaves(ergo_context: Context) -> None:
    """A target serves its other peers on their connections while one peer leaves and comes back."""
    stays, leaves = await ergo_context.peer(), await ergo_context.peer()
    ref = stays.ask("slow", Typed(t.INT64, 100))
    await leave(leaves)
    leaves = await ergo_context.peer(leaves.name)
    await stays.answer(ref)
    await asyncio.sleep(0)
    for peer in (stays, leaves):
        await peer.check_alive()
