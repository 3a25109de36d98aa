"""Processes: start, end and reason, names and aliases, exit signals, and the supervisor."""

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
    """Receives messages and ignores them."""
    while True:
        await process.receive()


async def end_reason(process: Process) -> Error:
    """Waits for the end of a process; returns its reason."""
    await process.join()
    assert process.reason is not None
    return process.reason


# --- ends -------------------------------------------------------------------------------------------------------------


async def return_at_once(process: Process) -> None:
    """Does nothing."""


async def raise_stop(process: Process) -> None:
    raise Stop(BYE)


async def raise_error(process: Process) -> None:
    raise ErgoError(error_values.NO_ROUTE)


async def raise_exception(process: Process) -> None:
    raise RuntimeError("a mistake")


async def raise_cancelled(process: Process) -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (return_at_once, error_values.NORMAL),
        (raise_stop, BYE),
        (raise_error, error_values.NO_ROUTE),
        (raise_exception, error_values.PANIC),
        (raise_cancelled, error_values.KILL),
    ],
)
async def test_a_process_ends_with_a_reason(body: Any, reason: Error, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        b = node()
        process = b.spawn(body, name="it")
        assert await end_reason(process) == reason
        assert process.pid.id not in b.core.tables.processes
        assert not b.core.tables.names
    assert ("a mistake" in caplog.text) == (body is raise_exception)


class FailingActor(Actor):
    """Fails in `init` or at a message."""

    async def init(self, failing_in: str = "") -> None:
        if failing_in == "init":
            raise KeyError(failing_in)

    async def handle_message(self, sender: PID, message: Any) -> None:
        if message == "stop":
            raise Stop(BYE)
        raise ValueError(message)


@pytest.mark.parametrize(("failing_in", "message", "reason"), [
    ("init", None, error_values.PANIC), ("", "anything", error_values.PANIC), ("", "stop", BYE),
])  # fmt: skip
async def test_an_actor_ends_with_a_reason(failing_in: str, message: Any, reason: Error) -> None:
    b = node()
    process = b.spawn(FailingActor(), failing_in)
    if message is not None:
        await run_as_process(b, lambda it: it.send(process.pid, message))
    assert await end_reason(process) == reason


@pytest.mark.parametrize("started", [False, True])
async def test_stop_ends_a_process_with_the_first_reason(started: bool) -> None:
    b = node()
    process = b.spawn(idle, name="it")
    if started:
        await settle()
    process.stop(BYE)
    process.stop(Error("too late"))
    assert await end_reason(process) == BYE
    assert not b.core.tables.processes
    assert b.spawn(idle, name="it") is not process
    await b.stop()


async def test_started_of_a_process_that_was_stopped_before_its_start_raises() -> None:
    process = node().spawn(idle)
    process.stop(BYE)
    with pytest.raises(ErgoError, match="bye"):
        await process.started


@pytest.mark.parametrize(("failing_in", "why"), [("", None), ("init", "panic")])
async def test_started_returns_after_init_or_raises_its_error(failing_in: str, why: str | None) -> None:
    b = node()
    process = b.spawn(FailingActor(), failing_in)
    if why is None:
        await process.started
    else:
        with pytest.raises(ErgoError, match=why):
            await process.started
    await b.stop()


async def test_a_message_to_an_ended_process_is_refused() -> None:
    b = node()
    process = b.spawn(idle)
    alias = process.create_alias()
    process.stop()
    message = Message(process.pid, "too late")
    assert b.core.tables.deliver(process, message, Priority.NORMAL) == error_values.PROCESS_TERMINATED
    await end_reason(process)
    for target in (process.pid, alias):
        with pytest.raises(ErgoError, match="unknown process"):
            await run_as_process(b, lambda it, to=target: it.send(to, "hello"))  # type: ignore[misc]


async def test_a_stopped_core_ends_all_processes_and_spawns_none() -> None:
    b = node()
    running = b.spawn(idle)
    await settle()
    not_started = b.spawn(idle)
    await b.core.stop()
    assert running.reason == not_started.reason == error_values.SHUTDOWN
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
    await end_reason(first)
    second = b.spawn(idle, name="it")
    assert second.pid.id == first.pid.id + 1
    await b.stop()


async def test_pids_have_the_nodes_name_and_increasing_numbers() -> None:
    b = node()
    pids = [b.spawn(idle).pid for _ in range(3)]
    assert [pid.id for pid in pids] == [1001, 1002, 1003]
    assert {(pid.node, pid.creation) for pid in pids} == {(b.name, b.creation)}
    await b.stop()


async def call_with(b: Node, to: Any) -> Any:
    return await run_as_process(b, lambda it: it.call(to, "hello", timeout=1))


async def test_a_process_is_reached_by_pid_name_and_alias() -> None:
    b = node()
    echo = b.spawn(Echo(), name="echo")
    aliases = [echo.create_alias(), echo.create_alias()]
    assert aliases[0] != aliases[1]
    for to in (echo.pid, "echo", ProcessID(b.name, Atom("echo")), *aliases):
        assert await call_with(b, to) == "hello"
    b.core.monitoring.delete_alias(echo, aliases[0])
    assert await call_with(b, aliases[1]) == "hello"
    with pytest.raises(ErgoError, match="unknown process"):
        await call_with(b, aliases[0])
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
            await call_with(b, old)
    await b.stop()


# --- exit signals -----------------------------------------------------------------------------------------------------


class TrappingActor(Actor):
    """Records exit signals."""

    options = ProcessOptions(trap_exit=True)

    def __init__(self) -> None:
        self.seen: list[tuple[Any, Error]] = []

    async def handle_exit(self, source: Any, reason: Error) -> None:
        self.seen.append((source, reason))


async def record_envelopes(process: Process, seen: list[Any]) -> None:
    while True:
        seen.append(await process.receive())


async def test_an_exit_signal_ends_a_process_that_does_not_trap_exits() -> None:
    b = node()
    actor, coroutine = b.spawn(Echo()), b.spawn(idle)
    for process in (actor, coroutine):
        await run_as_process(b, lambda it, to=process.pid: it.exit(to, BYE))  # type: ignore[misc]
        assert await end_reason(process) == BYE


async def test_an_exit_signal_overtakes_messages_and_fits_into_a_full_mailbox() -> None:
    b = node()
    seen: list[Any] = []
    options = ProcessOptions(trap_exit=True, mailbox_size=1)
    process = b.spawn(record_envelopes, seen, options=options)

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


async def test_a_trapping_process_survives_exit_signals_except_of_its_parent() -> None:
    b = node()
    actor = TrappingActor()
    parent = b.spawn(idle)
    process = b.core.spawner.spawn(actor, parent=parent.pid)
    sender = await run_as_process(b, send_exit_to(process.pid))
    await settle()
    assert (actor.seen, process.reason) == ([(sender, BYE)], None)
    b.core.route_send_exit(parent.pid, process.pid.id, BYE)
    assert await end_reason(process) == BYE
    await b.stop()


def send_exit_to(pid: PID) -> Any:
    async def work(it: Process) -> PID:
        await it.exit(pid, BYE)
        return it.pid

    return work


async def test_an_exit_signal_for_an_unknown_process_has_no_effect() -> None:
    b = node()
    alive = b.spawn(idle)
    await settle()
    await run_as_process(b, lambda it: it.exit(PID(b.name, 5, b.creation), BYE))
    await run_as_process(b, lambda it: it.exit(alive.pid._replace(creation=1), BYE))
    await settle()
    assert alive.reason is None
    await b.stop()


# --- the supervisor ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("started", [False, True])
async def test_the_supervisor_restarts_an_ended_process(started: bool) -> None:
    b = node()
    supervisor = Supervisor(b.core, {"one": Echo, "two": Echo})
    before = supervisor.pids
    if started:
        await settle()
    b.core.tables.names[Atom("one")].stop(BYE)
    await settle()
    assert supervisor.pids == {"two": before["two"], "one": before["two"] + 1}
    assert await call_with(b, "one") == "hello"
    await b.stop()
    assert supervisor.pids == {}
