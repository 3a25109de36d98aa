"""What stays when something has ended: nothing may refer to ended processes, aliases and events, and all else remains."""

from typing import Any

import pytest

from ergo_conformance.model.ergo import enp, error_values, gen
from ergo_conformance.model.ergo.ehs import Flags
from ergo_conformance.model.ergo.enp import Code, Verb
from ergo_conformance.model.ergo.gen import ProcessOptionsExtra, RemoteProcessOptions
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID
from ergo_conformance.peers.ergo.agents import (
    ADDING_VERBS,
    REMOVING_VERBS,
    add_relation,
    crasher_pid,
    crasher_target,
    expect_end,
    expect_no_end,
    expect_one_end,
    request_relation,
)
from ergo_conformance.testing import AGENTS, PROCESS, Context, Peer, case, set_up

GONE = (Code.PROCESS_UNKNOWN, Code.PROCESS_TERMINATED)
MANY = 60
verbs = pytest.mark.parametrize("verb", ADDING_VERBS, ids=lambda v: v.value.lower())


async def spawned(peer: Peer, name: str = "") -> PID:
    """Returns the PID of an echo process that the target spawns for the tester, with this name."""
    extra = ProcessOptionsExtra(RemoteProcessOptions(), peer.pid(), peer.pid())._replace(Register=Atom(name))
    message = enp.Spawn(Atom("echo_factory"), extra, peer.control_ref())
    peer.send_frame(enp.Control(0, message))
    with set_up("ENP-SPAWN-1"):
        result = await peer.result(message.Ref)
        peer.check(isinstance(result.Result, PID) and result.Error is None, result, "a Result with a PID")
    pid: PID = result.Result
    return pid


async def spawner(ergo_context: Context) -> Peer:
    """Returns a peer of a target that announces remote spawn."""
    peer = await ergo_context.peer_with_target_creation()
    ergo_context.needs_flag(peer, Flags.REMOTE_SPAWN)
    return peer


async def refused(peer: Peer, target: Any, error: Error) -> None:
    """Checks that a monitor request for a target that has ended gets this error."""
    result = await request_relation(peer, Verb.MONITOR, target)
    good = result.Error is not None and result.Error.text == error.text
    peer.check(good, result, f"a Result with {error.text!r}")


@case("ENP-DLV-1", "ENP-IMP-5", "ENP-LINK-1", "ENP-SPAWN-1", offers=AGENTS, agents=("agent",))
async def test_ended_process(ergo_context: Context) -> None:
    """An ended process is reached neither by its PID nor by its name, and can no longer be monitored."""
    peer = await spawner(ergo_context)
    name = f"ended_{peer.new_ref()[0]}"
    pid = await spawned(peer, name)
    await add_relation(peer, Verb.MONITOR, pid)
    peer.ask(pid.id, "!terminate")
    await expect_end(peer, pid)
    for address in (pid.id, name):
        await peer.expect_no_answer(peer.ask(address, "hello"))
        ack = await peer.acknowledgement(peer.send_important(address, "hello"))
        peer.check(ack.code in GONE, ack, f"code 1 or 3 for {address}")
    for target in (pid, ProcessID(peer.target, Atom(name))):
        await refused(peer, target, error_values.PROCESS_UNKNOWN)


@case("ENP-DLV-1", "ENP-T-104", "ENP-TERM-2", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_alias_of_an_ended_process(ergo_context: Context) -> None:
    """The alias of an ended process reaches nobody, and can no longer be monitored."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    alias = await crasher_target(peer, "Alias", pid)
    assert isinstance(alias, Alias)
    await add_relation(peer, Verb.MONITOR, alias)
    peer.send(pid.id, "shutdown")
    await expect_end(peer, alias, error_values.SHUTDOWN)
    await crasher_pid(peer)
    await peer.expect_no_answer(peer.ask(alias.id, "pid"))
    result = await request_relation(peer, Verb.MONITOR, alias)
    peer.check(isinstance(result.Error, Error), result, "a Result with an error")


@case("ENP-TERM-2", "ENP-T-184", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_each_alias(ergo_context: Context) -> None:
    """A target reports the end of each of three aliases of a process that ends."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    aliases: list[Alias] = []
    for _ in range(3):
        ref = peer.ask(pid.id, "create_alias")
        frame = await peer.find(lambda f, ref=ref: isinstance(f, enp.Response) and f.ref == ref, within=1.0)  # type: ignore[misc]
        if frame is None or not isinstance(frame.value.payload, Alias):
            ergo_context.skip("crasher of the target does not answer `create_alias`")
        aliases.append(frame.value.payload)
    for alias in aliases:
        await add_relation(peer, Verb.MONITOR, alias)
    peer.send(pid.id, "kill")
    for alias in aliases:
        await expect_end(peer, alias, error_values.KILL)


@case("ENP-EVT-3", "ENP-LINK-1", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_event_of_an_ended_owner(ergo_context: Context) -> None:
    """An event ends with its owner: a monitor request for it gets "unknown event"."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    event = await crasher_target(peer, "Event", pid)
    await add_relation(peer, Verb.MONITOR, event)
    peer.send(pid.id, "shutdown")
    await expect_end(peer, event, error_values.SHUTDOWN)
    await refused(peer, event, error_values.EVENT_UNKNOWN)


@verbs
@case("ENP-TERM-4", "ENP-EVT-3", "ENP-TERM-2", offers=AGENTS, agents=("pub", "crasher"), exclusive=True)
async def test_name_and_event_alike(ergo_context: Context, verb: Verb) -> None:
    """A {verb.value} of a process name survives the end of an event with that name, and is reported at the process's end."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    name, event = ProcessID(peer.target, Atom("crasher")), Event(peer.target, Atom("crasher"))
    with set_up():
        await peer.call("pub", "unregister_event:crasher")  # a remnant of an interrupted run
        await peer.call("pub", "register_event:crasher")
    await add_relation(peer, verb, name)
    await add_relation(peer, verb, event)
    await peer.call("pub", "unregister_event:crasher")
    await expect_end(peer, event, error_values.UNREGISTERED)
    await expect_no_end(peer, name, "report of the end of a name whose process is running")
    peer.send(pid.id, "kill")
    await expect_one_end(peer, name, error_values.KILL)


@verbs
@case("ENP-TERM-2", "ENP-TERM-3", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_second_relation(ergo_context: Context, verb: Verb) -> None:
    """A target reports the end of a name again after the peer has requested a second {verb.value} of it."""
    peer = await ergo_context.peer_with_target_creation()
    name = ProcessID(peer.target, Atom("crasher"))
    for text in ("shutdown", "kill", "shutdown"):
        pid = await crasher_pid(peer)
        await add_relation(peer, verb, name)
        peer.send(pid.id, text)
        await expect_one_end(peer, name, Error(text))


@verbs
@case("ENP-TERM-4", "ENP-LINK-2", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_requested_twice_removed_once(ergo_context: Context, verb: Verb) -> None:
    """A target has one relation for a {verb.value} that was requested twice: one request removes it."""
    peer = await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(peer)
    await add_relation(peer, verb, pid)
    await request_relation(peer, verb, pid)  # with or without an error
    await add_relation(peer, REMOVING_VERBS[verb], pid)
    peer.send(pid.id, "kill")
    await crasher_pid(peer)
    await expect_no_end(peer, pid, f"report after the {REMOVING_VERBS[verb].value}")


@case("ENP-TERM-2", "ENP-TERM-3", offers=AGENTS, agents=("agent",))
async def test_many_ends(ergo_context: Context) -> None:
    """A target reports the end of each of sixty monitored processes, once."""
    peer = await spawner(ergo_context)
    pids = [await spawned(peer) for _ in range(MANY)]
    for pid in pids:
        await add_relation(peer, Verb.MONITOR, pid)
    for pid in pids:
        peer.ask(pid.id, "!terminate")
    ends = await peer.collect(MANY, lambda f: isinstance(f, enp.TerminatePID), "reports of an end")
    found = sorted(end.id for end in ends)
    peer.check(found == sorted(pid.id for pid in pids), found, "each of the sixty PIDs once")
    await peer.expect_none(lambda f: isinstance(f, enp.TerminatePID), "second report")


@case("ENP-TERM-2", "ENP-TERM-3", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_other_node_lost(ergo_context: Context) -> None:
    """A target keeps the monitor of one node when another node with a monitor of the same target is disconnected."""
    stays, leaves = await ergo_context.peer_with_target_creation(), await ergo_context.peer_with_target_creation()
    pid = await crasher_pid(stays)
    for peer in (leaves, stays):
        await add_relation(peer, Verb.MONITOR, pid)
    leaves.sockets[0].close()
    await leaves.expect_close()
    stays.send(pid.id, "kill")
    await expect_one_end(stays, pid, error_values.KILL)


@case("ENP-SPAWN-1", offers=AGENTS, agents=("agent",))
async def test_refused_spawn(ergo_context: Context) -> None:
    """A refused spawn request leaves neither a process nor a name behind: the next request gets the name."""
    peer = await spawner(ergo_context)
    name = Atom(f"refused_{peer.new_ref()[0]}")
    good = ProcessOptionsExtra(RemoteProcessOptions(), peer.pid(), peer.pid())._replace(Register=name)
    for factory, extra in (
        ("no_such_factory", good),
        ("restricted_factory", good),
        ("echo_factory", good._replace(ParentPID=gen.NO_PID)),
    ):
        message = enp.Spawn(Atom(factory), extra, peer.control_ref())
        peer.send_frame(enp.Control(0, message))
        result = await peer.result(message.Ref)
        peer.check(result.Error is not None, result, "a Result with an error")
        await peer.expect_no_answer(peer.ask(name, "hello"))
    pid = await spawned(peer, name)
    value = await peer.call(name, "!self")
    peer.check(value == pid, repr(value), f"{pid!r}")
    peer.ask(pid.id, "!terminate")


@pytest.mark.parametrize("length", [254, 255], ids=lambda n: f"{n}_bytes")
@case("ENP-T-102", "ENP-T-122", "ENP-T-182", "ENP-SPAWN-1", offers=AGENTS, agents=("agent",))
async def test_longest_name(ergo_context: Context, length: int) -> None:
    """A process with a name of {length} bytes can be called and messaged by it, and its end is reported."""
    peer = await spawner(ergo_context)
    name = f"n{peer.new_ref()[0]}".ljust(length, "n")
    pid = await spawned(peer, name)
    value = await peer.call(name, "!self")
    peer.check(value == pid, repr(value), f"{pid!r}")
    peer.send(name, "hello")
    await peer.receive_message()
    target = ProcessID(peer.target, Atom(name))
    await add_relation(peer, Verb.LINK, target)
    peer.ask(name, "!terminate")
    await expect_one_end(peer, target, error_values.NORMAL)


@case("ENP-TERM-3", "ENP-TERM-2", offers=AGENTS, agents=("crasher",), exclusive=True)
async def test_end_of_another_process(ergo_context: Context) -> None:
    """A target does not report the end of a monitored process when another process ends."""
    peer = await ergo_context.peer_with_target_creation()
    echo = peer.target_pid(await peer.echo_id())
    name = ProcessID(peer.target, Atom("echo"))
    for target in (echo, name):
        await add_relation(peer, Verb.MONITOR, target, PROCESS)
    peer.send((await crasher_pid(peer)).id, "kill")
    await crasher_pid(peer)
    for target in (echo, name):
        await expect_no_end(peer, target, "report of the end of a process that is running")
