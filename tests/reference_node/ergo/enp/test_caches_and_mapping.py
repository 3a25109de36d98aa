"""Caches: the node writes its own ids, reads those of the peer, and applies cache updates; atom mapping."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import agent_types, enp, error_values, gen
from ergo_conformance.model.ergo.caches import NO_CACHES, Caches
from ergo_conformance.model.ergo.enp import Verb
from ergo_conformance.model.ergo.gen import MessageEvent
from ergo_conformance.model.registry import Registry
from ergo_conformance.model.types import Reg, Slice
from ergo_conformance.model.values import Alias, Atom, Error, Event, ProcessID, Typed
from ergo_conformance.peers.corruption.frames import relation_request
from ergo_conformance.peers.ergo.connection import ANNOUNCED, PROCESS, REGISTRY, Peer
from ergo_conformance.reference_node.api.relations import RelationKind
from ergo_conformance.reference_node.ergo.enp.codec import FrameDecoder, FrameEncoder
from ergo_conformance.reference_node.ergo.enp.connection import MAX_MAPPED
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.target.agents import Echo
from ergo_conformance.spec.ergo import enp as frames
from ergo_conformance.spec.ergo.edf import EdfContext
from tests.support.consumers import Consumer, Termination, spawn_consumer
from tests.support.nodes import context, node, settle
from tests.support.work import count_calls

CACHED, PLAIN = Atom("cached"), Atom("plain")
IDS = Caches(
    atoms={300: Atom("echo"), 301: CACHED},
    types={5000: agent_types.SMALL.name, 5001: enp.RESULT.name},
    errors={33000: agent_types.CUSTOM_ERROR.text, 33001: "timed out"},
)
SMALL, CUSTOM = agent_types.Small(1, "s"), agent_types.CUSTOM_ERROR


@asynccontextmanager
async def connected_peer(
    caches: Caches = IDS, sockets: int = 1, **options: Any
) -> AsyncIterator[tuple[Node, Consumer, Peer]]:
    """Yields a node that has echo and announces `cached`, a consumer, and a peer that announces these ids."""
    b = node(**{"atoms": (CACHED,), **options})
    b.spawn(Echo(), name="echo")
    it = spawn_consumer(b)
    peer = await context(b).peer(caches=caches, sockets=sockets)
    await settle()
    try:
        yield b, it, peer
    finally:
        await b.stop()


async def written_bytes(b: Node, peer: Peer, write: Callable[[], Any]) -> bytes:
    """Returns the bytes that the node writes during the call."""
    transcript = peer.sockets[0].transcript
    peer.sockets[0].read_now()
    before = len(transcript.bytes_of("received"))
    await write()
    await settle()
    await peer.receive(1)
    return transcript.bytes_of("received")[before:]


def schema_bytes(frame: enp.Frame, caches: Caches) -> bytes:
    """Returns the frame as the schemas write it with these ids."""
    return frames.write_frame(frame, EdfContext(REGISTRY, caches))


# --- written ids ------------------------------------------------------------------------------------------------------

VALUES: list[tuple[Any, bool]] = [
    (CACHED, True),
    ([{"k": CACHED}, PLAIN], True),
    (SMALL, True),
    (Typed(Slice(Reg(agent_types.SMALL.name)), [SMALL]), True),
    (CUSTOM, True),
    ([error_values.TIMEOUT], True),
    (PLAIN, False),
    ("cached", False),
    (Error(CUSTOM.text), False),
    (Error("an error"), False),
]


@pytest.mark.parametrize(("value", "as_id"), VALUES, ids=repr)
@pytest.mark.parametrize("name", [CACHED, PLAIN])
async def test_the_node_writes_the_ids_that_it_announced(value: Any, as_id: bool, name: Atom) -> None:
    """A text where it announced no id, or where the value is a text. The ids of the peer have no effect."""
    async with connected_peer() as (b, it, peer):
        data = await written_bytes(b, peer, lambda: it.process.send(ProcessID(peer.name, name), value))
        id_ = it.process.pid.id
        cls = enp.MessageNameCache if name == CACHED else enp.MessageName
        frame = cls(id_ % 255, id_, 0, 0, name, value)
        assert data == schema_bytes(frame, b.network._stacks._caches)
        plain = schema_bytes(enp.MessageName(*frame), replace(b.network._stacks._caches, types={}, errors={}, atoms={}))
        assert (len(data) < len(plain)) is (as_id or name == CACHED)


async def stop_consumer(it: Consumer, target: Any) -> None:
    it.process.stop(CUSTOM)


async def test_reasons_and_control_messages_use_ids() -> None:
    """Reasons, names of events, types of control messages."""
    async with connected_peer() as (b, it, peer):

        async def check_written(write: Callable[[], Any], *wanted: enp.Frame) -> None:
            data = await written_bytes(b, peer, write)
            assert data == b"".join(schema_bytes(frame, b.network._stacks._caches) for frame in wanted)
            assert data != b"".join(
                schema_bytes(frame, replace(b.network._stacks._caches, types={}, errors={})) for frame in wanted
            )

        pid, process = it.process.pid, it.process
        order = PROCESS % 255
        await check_written(lambda: process.exit(peer.pid(), CUSTOM), enp.Exit(order, pid.id, 2, PROCESS, CUSTOM))
        message: Any = relation_request(peer, Verb.MONITOR, "PID", pid)
        peer.send_frame(enp.Control(0, message))
        await check_written(settle, enp.Control(order, enp.Result(None, None, message.Ref)))
        await check_written(lambda: stop_consumer(it, pid), enp.TerminatePID(0, 1, pid.id, CUSTOM))


# --- read ids ---------------------------------------------------------------------------------------------------------

READ: list[Any] = [
    Atom("echo"), [CACHED, PLAIN], SMALL, [CUSTOM, error_values.TIMEOUT, Error("an error")],
    Typed(Slice(Reg(agent_types.SMALL.name)), [SMALL]), {"k": {"k": SMALL}},
]  # fmt: skip


@pytest.mark.parametrize("value", READ, ids=repr)
@pytest.mark.parametrize("caches", [IDS, ANNOUNCED, NO_CACHES], ids=["some", "all", "none"])
async def test_the_node_reads_the_ids_that_the_peer_announced(value: Any, caches: Caches) -> None:
    async with connected_peer(caches) as (_, it, peer):
        frame = peer.message(it.process.pid.id, value)
        assert (schema_bytes(frame, caches) != schema_bytes(frame, NO_CACHES)) is (
            caches is not NO_CACHES and (caches is IDS or value != [CACHED, PLAIN])
        )
        peer.send_frame(frame)
        await settle()
        assert repr_without_registered(it.received) == repr_without_registered([value])
        assert repr_without_registered(await peer.call("echo", value)) == repr_without_registered(value)


def repr_without_registered(value: Any) -> str:
    """Returns the repr of a value without the `registered` of errors, which only a writer uses."""
    return repr(value).replace("registered=True", "registered=False")


async def test_an_id_has_a_meaning_per_direction_and_peer() -> None:
    """Also for two peers: each has its own table."""
    async with connected_peer() as (b, it, _):
        first = min(b.network._stacks._caches.atoms)
        other = await context(b, 2).peer("other@localhost", caches=Caches(atoms={first: Atom("hers")}))
        third = await context(b, 3).peer("mine@localhost", caches=Caches(atoms={first: Atom("mine")}))
        for each, text in ((other, "hers"), (third, "mine")):
            each.send(it.process.pid.id, Atom(text))
            await settle()
            assert it.take_received() == [Atom(text)]
            assert await each.call("echo", [Atom(text), b.network._stacks._caches.atoms[first]]) == [text, b.name]


UNKNOWN = Caches({900: PLAIN}, {9000: agent_types.SMALL.name}, {39000: "an error"})


@pytest.mark.parametrize("value", [PLAIN, SMALL, Error("an error", registered=True)], ids=repr)
async def test_a_frame_with_an_unknown_id_is_dropped(value: Any) -> None:
    """The frame is dropped and the connection stays (ENP-HDR-7); the node's own ids do not apply."""
    async with connected_peer() as (b, it, peer):
        for caches in (UNKNOWN, b.network._stacks._caches if value is SMALL else UNKNOWN):
            data = peer.data_of(peer.message(it.process.pid.id, value), caches)
            peer.send_bytes(data, "a message with unknown ids")
        await peer.check_alive()
        assert it.received == []


# --- further ids ------------------------------------------------------------------------------------------------------


async def update_caches(peer: Peer, socket_number: int = 0, **tables: Any) -> None:
    """Announces further ids over one socket."""
    message = enp.UpdateCache(
        **dict.fromkeys(("AtomCache", "AtomMapping", "RegCache", "ErrCache")) | tables, Ref=peer.control_ref()
    )
    peer.send_frame(enp.Control(0, message), socket_number)
    result = await peer.result(message.Ref)
    assert (result.Error, result.Result) == (None, None)


FURTHER: list[tuple[str, Any, Any]] = [
    ("AtomCache", {900: PLAIN}, [PLAIN, {"k": PLAIN}]),
    ("RegCache", {9000: agent_types.SMALL.name}, [SMALL]),
    ("ErrCache", {39000: Error("an error")}, [Error("an error", registered=True)]),
]


@pytest.mark.parametrize(("table", "entries", "value"), FURTHER)
@pytest.mark.parametrize("caches", [Caches(), Caches(atoms={300: CACHED})], ids=["first", "further"])
@pytest.mark.parametrize("socket_number", [0, 1])
async def test_ids_of_a_cache_update_are_read(
    table: str, entries: Any, value: Any, caches: Caches, socket_number: int
) -> None:
    """They apply to all sockets after the Result (ENP-CACHE-1); the old ids of the peer stay valid."""
    async with connected_peer(caches, sockets=2) as (_, it, peer):
        data = peer.data_of(peer.message(it.process.pid.id, value), UNKNOWN)
        peer.send_bytes(data, "ids that are not known yet")
        await settle()
        assert it.received == []
        await update_caches(peer, **{table: entries})
        peer.send_bytes(data, "ids that are known now", socket_number)
        peer.send(it.process.pid.id, CACHED)
        await settle()
        assert it.received == [value, CACHED]


async def test_a_cache_update_does_not_change_known_ids() -> None:
    async with connected_peer() as (_, it, peer):
        row: dict[str, Any] = {
            "AtomCache": {301: PLAIN},
            "RegCache": {5000: agent_types.NESTED.name},
            "ErrCache": {33000: Error("other")},
        }
        for _ in range(2):
            await update_caches(peer, **row)
            peer.send(it.process.pid.id, [CACHED, SMALL, CUSTOM])
        await settle()
        assert it.received == [[CACHED, SMALL, CUSTOM]] * 2


async def test_ids_of_a_cache_update_are_read_in_all_frames() -> None:
    """Names of processes and events, types of control messages, reasons."""
    types = {
        9001: enp.RESULT.name,
        9002: gen.MESSAGE_EVENT.name,
        9003: "#ergo.services/ergo/net/proto/MessageMonitorPID",
    }
    async with connected_peer(NO_CACHES) as (b, it, peer):
        await update_caches(
            peer, AtomCache={900: Atom("echo"), 901: Atom("ev")}, RegCache=types, ErrCache={39000: CUSTOM}
        )
        later = Caches({900: Atom("echo"), 901: Atom("ev")}, types, {39000: CUSTOM.text})

        def send(frame: enp.Frame) -> None:
            peer.send_bytes(peer.data_of(frame, later), frame)

        send(enp.RequestNameCache(0, PROCESS, 0, (5, 6, 7), Atom("echo"), "hi"))
        assert (await peer.answer((5, 6, 7))).value.payload == "hi"
        message: Any = relation_request(peer, Verb.MONITOR, "PID", it.process.pid)
        send(enp.Control(0, message))
        assert (await peer.result(message.Ref)).Error is None
        event, alias = Event(peer.name, Atom("ev")), Alias(peer.name, peer.creation, (1, 2, 3))
        for target in (event, alias):
            b.core.monitoring.relations.add(RelationKind.LINK, target, it.process.pid)
        send(enp.EventCacheFrame(0, PROCESS, 0, 1, Atom("ev"), MessageEvent(event, 2, "inner")))
        await settle()
        assert [heard.message for heard in it.take_received()] == [MessageEvent(event, 2, "inner")]
        send(enp.TerminateEventCache(0, 1, Atom("ev"), CUSTOM))
        send(enp.TerminateAlias(0, 1, alias.id, CUSTOM))
        send(enp.Exit(0, PROCESS, 2, it.process.pid.id, CUSTOM))
        await settle()
        assert it.received == [Termination("exit", source, CUSTOM.text) for source in (event, alias, peer.pid())]


# --- mapped atoms -----------------------------------------------------------------------------------------------------

OURS, THEIRS = Atom("ours"), Atom("theirs")
MAPPING = {OURS: THEIRS}
MAPPED: list[Any] = [OURS, [OURS, {"k": OURS}], ProcessID(OURS, OURS), Typed(t.ATOM, OURS).value]


async def test_an_announced_mapping_applies_to_received_atoms() -> None:
    """The peer's `theirs` is read as `ours`, in values and in names; texts are not mapped."""
    async with connected_peer(NO_CACHES) as (b, it, peer):
        b.spawn(Echo(), name=OURS)
        await update_caches(peer, AtomMapping={THEIRS: OURS})
        peer.send(it.process.pid.id, [THEIRS, "theirs", ProcessID(THEIRS, CACHED)])
        await settle()
        assert it.take_received() == [[OURS, "theirs", ProcessID(OURS, CACHED)]]
        assert await peer.call(str(THEIRS), "hi") == "hi"


@pytest.mark.parametrize("value", MAPPED, ids=repr)
@pytest.mark.parametrize("atoms", [{}, {300: THEIRS}, {300: OURS}], ids=["text", "theirs as id", "ours as id"])
def test_writer_and_reader_apply_a_mapping_in_opposite_directions(value: Any, atoms: dict[int, Atom]) -> None:
    """Writer and reader use a mapping in opposite directions (EDF-ATOM-2), names of frames included."""
    caches = Caches(atoms=atoms, atom_mapping=MAPPING)
    writer_, reader = FrameEncoder(REGISTRY, caches), FrameDecoder(REGISTRY, caches)
    unmapped = FrameDecoder(REGISTRY, Caches(atoms=atoms))
    cls = enp.MessageNameCache if 300 in atoms and atoms[300] == THEIRS else enp.MessageName
    frame = cls(1, 2, 0, 0, OURS, value)
    data = writer_.write(frame)
    assert data == schema_bytes(frame, caches)
    assert reader.read(data) == frame
    seen = unmapped.read(data)
    assert isinstance(seen, enp.MessageName)
    assert seen.to_name == THEIRS
    assert "ours" not in repr(seen.payload)


def test_the_cost_of_new_ids_does_not_depend_on_the_ids_known_so_far() -> None:
    known = {id_: Atom(f"a{id_}") for id_ in range(256, 60_256)}
    decoder = FrameDecoder(Registry(), Caches(atoms=known, types={4096: "#x/Y"}, errors={40_000: "old"}))
    one = Caches(
        atoms={256: Atom("other"), 60_300: Atom("new")},
        types={4096: "#x/Z"},
        errors={40_000: "new"},
        atom_mapping={Atom("local"): Atom("a300")},
    )
    assert count_calls(lambda: decoder.tables.add(one)) < 60
    assert [decoder.names[id_] for id_ in (256, 60_300, 300)] == ["a256", "new", "local"]
    assert decoder.tables.type_ids == {4096: "#x/Y"}
    assert decoder.tables.error_ids[40_000].text == "old"


async def test_the_number_of_atoms_that_a_peer_may_map_is_limited() -> None:
    async with connected_peer(NO_CACHES) as (_, it, peer):
        names = [Atom(f"m{i}") for i in range(MAX_MAPPED + 10)]
        await update_caches(peer, AtomMapping={name: Atom(f"l{name}") for name in names})
        peer.send(it.process.pid.id, names)
        await settle()
        assert sum(atom.startswith("l") for atom in it.received[0]) == MAX_MAPPED
