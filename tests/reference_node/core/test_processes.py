"""Processes: how they begin and end, by which names they are known, and who starts them again."""

import asyncio
import logging
from typing import Any

import pytest

from ergo_conformance.model.ergo import error_values
from ergo_conformance.model.ergo.enp import Priority
from ergo_conformance.model.values import PID, Alias, Atom, Error, ProcessID
from ergo_conformance.reference_node.api.errors import ErgoError, Stop
from ergo_conformance.reference_node.api.messages import ExitSignal, Message, ProcessOptions
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.target.agents import Echo, Supervisor
from tests.support.nodes import node, run_as_process, settle

BYE = Error("bye")


async def idle(process: Process) -> None:
    """Waits for messages and takes no notice of them."""
    while True:
        await process.receive()


async def ends(process: Process) -> Error:
    """Waits for the end of a process: its reason."""
    await process.join()
    assert process.reason is not None
    return process.reason


# --- ends -------------------------------------------------------------------------------------------------------------


async def returns(process: Process) -> None:
    """Does nothing."""


async def stops(process: Process) -> None:
    raise Stop(BYE)


async def fails(process: Process) -> None:
    raise ErgoError(error_values.NO_ROUTE)


async def panics(process: Process) -> None:
    raise RuntimeError("a mistake")


async def is_cancelled(process: Process) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (returns, error_values.NORMAL),
        (stops, BYE),
        (fails, error_values.NO_ROUTE),
        (panics, error_values.PANIC),
        (is_cancelled, error_values.KILL),
    ],
)
async def test_a_process_ends_with_a_reason(body: Any, reason: Error, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        b = node()
        process = b.spawn(body, name="it")
        assert await ends(process) == reason
        assert process.pid.id not in b.core.tables.processes
        assert not b.core.tables.names
    assert ("a mistake" in caplog.text) == (body is panics)


class Fragile(Actor):
    """Fails where it is told to."""

    async def init(self, where: str = "") -> None:
        if where == "init":
            raise KeyError(where)

    async def handle_message(self, sender: PID, message: Any) -> None:
        if message == "stop":
            raise Stop(BYE)
        raise ValueError(message)


@pytest.mark.parametrize(("where", "message", "reason"), [
    ("init", None, error_values.PANIC), ("", "anything", error_values.PANIC), ("", "stop", BYE),
])  # fmt: skip
async def test_an_actor_ends_with_a_reason(where: str, message: Any, reason: Error) -> None:
    b = node()
    process = b.spawn(Fragile(), where)
    if message is not None:
        await run_as_process(b, lambda it: it.send(process.pid, message))
    assert await ends(process) == reason


@pytest.mark.parametrize("begun", [False, True])
async def test_a_process_is_ended_from_outside(begun: bool) -> None:
    b = node()
    process = b.spawn(idle, name="it")
    if begun:
        await settle()
    process.stop(BYE)
    process.stop(Error("too late"))
    assert await ends(process) == BYE
    assert not b.core.tables.processes
    assert b.spawn(idle, name="it") is not process
    await b.stop()


async def test_who_waits_for_a_process_that_never_began_is_told() -> None:
    process = node().spawn(idle)
    process.stop(BYE)
    with pytest.raises(ErgoError, match="bye"):
        await process.started


@pytest.mark.parametrize(("where", "why"), [("", None), ("init", "panic")])
async def test_started_tells_whether_it_has_begun(where: str, why: str | None) -> None:
    b = node()
    process = b.spawn(Fragile(), where)
    if why is None:
        await process.started
    else:
        with pytest.raises(ErgoError, match=why):
            await process.started
    await b.stop()


async def test_nothing_reaches_one_that_has_ended() -> None:
    b = node()
    process = b.spawn(idle)
    alias = process.create_alias()
    process.stop()
    letter = Message(process.pid, "too late")
    assert b.core.tables.deliver(process, letter, Priority.NORMAL) == error_values.PROCESS_TERMINATED
    await ends(process)
    for target in (process.pid, alias):
        with pytest.raises(ErgoError, match="unknown process"):
            await run_as_process(b, lambda it, to=target: it.send(to, "hello"))  # type: ignore[misc]


async def test_the_core_stops_all_and_starts_none() -> None:
    b = node()
    reached = b.spawn(idle)
    await settle()
    fresh = b.spawn(idle)
    await b.core.stop()
    assert reached.reason == fresh.reason == error_values.SHUTDOWN
    assert not b.core.tables.processes
    with pytest.raises(ErgoError, match="node terminated"):
        b.spawn(idle)


# --- names and aliases ------------------------------------------------------------------------------------------------


async def test_a_name_is_taken_once() -> None:
    b = node()
    first = b.spawn(idle, name="it")
    with pytest.raises(ErgoError, match="resource is taken"):
        b.spawn(idle, name="it")
    assert b.core.tables.names == {Atom("it"): first}
    first.stop()
    await ends(first)
    second = b.spawn(idle, name="it")
    assert second.pid.id == first.pid.id + 1
    await b.stop()


async def test_pids_are_of_the_node_and_count_up() -> None:
    b = node()
    pids = [b.spawn(idle).pid for _ in range(3)]
    assert [pid.id for pid in pids] == [1001, 1002, 1003]
    assert {(pid.node, pid.creation) for pid in pids} == {(b.name, b.creation)}
    await b.stop()


async def answer_of(b: Node, to: Any) -> Any:
    return await run_as_process(b, lambda it: it.call(to, "hello", timeout=1))


async def test_a_process_is_reached_by_pid_name_and_alias() -> None:
    b = node()
    echo = b.spawn(Echo(), name="echo")
    aliases = [echo.create_alias(), echo.create_alias()]
    assert aliases[0] != aliases[1]
    for to in (echo.pid, "echo", ProcessID(b.name, Atom("echo")), *aliases):
        assert await answer_of(b, to) == "hello"
    b.core.monitoring.delete_alias(echo, aliases[0])
    assert await answer_of(b, aliases[1]) == "hello"
    with pytest.raises(ErgoError, match="unknown process"):
        await answer_of(b, aliases[0])
    await b.stop()


async def test_an_alias_is_deleted_by_its_owner_once() -> None:
    b = node()
    owner, other = b.spawn(idle), b.spawn(idle)
    alias = owner.create_alias()
    with pytest.raises(ErgoError, match="not an owner"):
        b.core.monitoring.delete_alias(other, alias)
    b.core.monitoring.delete_alias(owner, alias)
    with pytest.raises(ErgoError, match="unknown alias"):
        b.core.monitoring.delete_alias(owner, alias)
    await b.stop()


async def test_addresses_of_an_earlier_incarnation_are_refused() -> None:
    b = node()
    echo = b.spawn(Echo())
    alias = echo.create_alias()
    for old in (echo.pid._replace(creation=1), Alias(b.name, 1, alias.id)):
        with pytest.raises(ErgoError, match="previous incarnation"):
            await answer_of(b, old)
    await b.stop()


# --- exit signals -----------------------------------------------------------------------------------------------------


class Trapping(Actor):
    """Notes exit signals."""

    options = ProcessOptions(trap_exit=True)

    def __init__(self) -> None:
        self.seen: list[tuple[Any, Error]] = []

    async def handle_exit(self, source: Any, reason: Error) -> None:
        self.seen.append((source, reason))


async def receiving(process: Process, seen: list[Any]) -> None:
    while True:
        seen.append(await process.receive())


async def test_an_exit_signal_ends_who_does_not_trap_it() -> None:
    b = node()
    actor, coroutine = b.spawn(Echo()), b.spawn(idle)
    for process in (actor, coroutine):
        await run_as_process(b, lambda it, to=process.pid: it.exit(to, BYE))  # type: ignore[misc]
        assert await ends(process) == BYE


async def test_an_exit_signal_overtakes_messages_and_fits_into_a_full_mailbox() -> None:
    b = node()
    seen: list[Any] = []
    options = ProcessOptions(trap_exit=True, mailbox_size=1)
    process = b.spawn(receiving, seen, options=options)

    async def work(it: Process) -> PID:
        for priority in Priority:
            await it.send(process.pid, "hello", priority=priority)
        await it.exit(process.pid, BYE)
        return it.pid

    sender = await run_as_process(b, work)
    await settle()
    assert [type(envelope) for envelope in seen] == [Message, ExitSignal, Message, Message]
    assert seen[1] == ExitSignal(sender, BYE)
    await b.stop()


async def test_who_traps_exits_lives_on_but_not_without_its_parent() -> None:
    b = node()
    actor = Trapping()
    parent = b.spawn(idle)
    process = b.core.spawner.spawn(actor, parent=parent.pid)
    sender = await run_as_process(b, _exit_to(process.pid))
    await settle()
    assert (actor.seen, process.reason) == ([(sender, BYE)], None)
    b.core.route_send_exit(parent.pid, process.pid.id, BYE)
    assert await ends(process) == BYE
    await b.stop()


def _exit_to(pid: PID) -> Any:
    async def work(it: Process) -> PID:
        await it.exit(pid, BYE)
        return it.pid

    return work


async def test_an_exit_signal_for_nobody_is_nothing() -> None:
    b = node()
    alive = b.spawn(idle)
    await settle()
    await run_as_process(b, lambda it: it.exit(PID(b.name, 5, b.creation), BYE))
    await run_as_process(b, lambda it: it.exit(alive.pid._replace(creation=1), BYE))
    await settle()
    assert alive.reason is None
    await b.stop()


# --- the supervisor ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [False, True])
async def test_the_supervisor_starts_again_what_has_ended(begun: bool) -> None:
    b = node()
    supervisor = Supervisor(b.core, {"one": Echo, "two": Echo})
    before = supervisor.pids
    if begun:
        await settle()
    b.core.tables.names[Atom("one")].stop(BYE)
    await settle()
    assert supervisor.pids == {"two": before["two"], "one": before["two"] + 1}
    assert await answer_of(b, "one") == "hello"
    await b.stop()
    assert supervisor.pids == {}
