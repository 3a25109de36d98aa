"""Applications: load, start, stop, the end of a member in each mode, and starts by another node."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model.ergo import agent_types, error_values
from ergo_conformance.model.ergo.gen import ApplicationOptions, ApplicationOptionsExtra
from ergo_conformance.model.values import PID, Atom, Error
from ergo_conformance.reference_node.api.applications import ApplicationMode, ApplicationState
from ergo_conformance.reference_node.api.errors import ErgoError, Stop
from ergo_conformance.reference_node.api.messages import Call, ProcessOptions
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.applications import Application, ApplicationMember, ApplicationSpec
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from tests.support.consumers import Termination, error_text, spawn_consumer
from tests.support.nodes import MemoryNetwork, node, settle

BYE = Error("bye")
NAME = "app"
MODES = [ApplicationMode.TEMPORARY, ApplicationMode.TRANSIENT, ApplicationMode.PERMANENT]
modes = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)


class Worker(Actor):
    """Fails, stops, sleeps or panics in `init` as its argument says; a message is seconds to sleep or a reason to end."""

    options = ProcessOptions(trap_exit=True, env={"WORKER": "own"})

    async def init(self, outcome: str = "", *_: Any) -> None:
        match outcome:
            case "fails":
                raise ErgoError(BYE)
            case "stops":
                raise Stop(BYE)
            case "is slow":
                await asyncio.sleep(3)
            case "panics":
                raise RuntimeError("a mistake")

    async def handle_message(self, sender: PID, message: Any) -> None:
        match message:
            case float():
                await asyncio.sleep(message)
            case Error():
                raise Stop(message)


class EndingActor(Actor):
    """Ends before the next member is started."""

    async def run(self, process: Process, *args: Any) -> None:
        process.set_ready()
        if args:
            raise Stop(args[0])


def application_spec(
    *members: ApplicationMember, mode: ApplicationMode = ApplicationMode.TEMPORARY, name: str = NAME, **more: Any
) -> ApplicationSpec:
    """Two workers, one of them with a name, unless others are given."""
    return ApplicationSpec(
        name, members or (ApplicationMember(Worker, "first"), ApplicationMember(Worker)), mode, **more
    )


@asynccontextmanager
async def loaded_application(specification: ApplicationSpec | None = None) -> AsyncIterator[tuple[Node, Application]]:
    b = node()
    b.core.applications.load(specification or application_spec())
    try:
        yield b, b.core.applications.get(NAME)
    finally:
        await b.stop()


def start(b: Node, mode: int = 0, name: str = NAME) -> Awaitable[None]:
    return b.core.applications.start(name, mode)


def status(application: Application) -> tuple[ApplicationState, ApplicationMode, int]:
    return application.state, application.mode, len(application.processes)


# --- loading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("specification", "text"),
    [
        (application_spec(name=""), "application has no name"),
        (ApplicationSpec("other", ()), "application has no items"),
        (application_spec(), "resource is taken"),
    ],
)
async def test_load_of_an_invalid_or_loaded_application_raises(specification: ApplicationSpec, text: str) -> None:
    async with loaded_application() as (b, _):
        with pytest.raises(ErgoError) as raised:
            b.core.applications.load(specification)
        assert raised.value.error.text == text
        assert list(b.core.applications.loaded) == [NAME]


async def test_an_application_that_is_not_loaded_is_unknown() -> None:
    async with loaded_application() as (b, _):
        applications = b.core.applications
        assert await error_text(start(b, name="other")) == "unknown application"
        assert await error_text(applications.stop("other")) == "unknown application"
        await start(b)
        with pytest.raises(ErgoError, match="application is still running"):
            applications.unload(NAME)
        await applications.stop(NAME)
        applications.unload(NAME)
        with pytest.raises(ErgoError, match="unknown application"):
            applications.unload(NAME)


# --- start and stop ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [*MODES, ApplicationMode.OWN, 9, -1])
@pytest.mark.parametrize("own", MODES, ids=lambda mode: mode.name)
async def test_start_uses_the_requested_mode_or_the_default_of_the_application(mode: int, own: ApplicationMode) -> None:
    async with loaded_application(application_spec(mode=own)) as (b, application):
        assert status(application) == (ApplicationState.LOADED, own, 0)
        await start(b, mode)
        assert status(application) == (ApplicationState.RUNNING, mode if mode in MODES else own, 2)
        assert await error_text(start(b, mode)) == "application is still running"
        assert b.core.tables.names[Atom("first")].application == NAME


@modes
@pytest.mark.parametrize("force", [False, True])
async def test_stop_ends_all_members(mode: ApplicationMode, force: bool) -> None:
    """No process is left, although they trap exits; it can be started again."""
    async with loaded_application() as (b, application):
        for _ in range(2):
            await start(b, mode)
            members = list(application.processes)
            await b.core.applications.stop(NAME, force=force)
            assert status(application)[::2] == (ApplicationState.LOADED, 0)
            assert {process.reason for process in members} == {error_values.KILL if force else error_values.SHUTDOWN}
            assert not b.core.tables.processes
        await b.core.applications.stop(NAME, force=force)


async def test_a_stop_that_times_out_can_be_forced() -> None:
    async with loaded_application() as (b, application):
        applications = b.core.applications
        await start(b)
        busy, idle = sorted(application.processes, key=lambda process: process.pid.id)
        await spawn_consumer(b).process.send(busy.pid, 60.0)
        await settle()
        begun = asyncio.get_running_loop().time()
        task = asyncio.ensure_future(error_text(applications.stop(NAME)))
        await settle()
        assert status(application)[::2] == (ApplicationState.STOPPING, 1)
        assert idle.reason == error_values.SHUTDOWN
        assert await error_text(start(b)) == "application is in running/stopping state"
        assert await error_text(applications.stop(NAME)) == "application stopping is in progress"
        assert await task == "application stopping is in progress"
        assert asyncio.get_running_loop().time() - begun == pytest.approx(5)
        await applications.stop(NAME, force=True)
        assert status(application)[::2] == (ApplicationState.LOADED, 0)
        assert busy.reason == error_values.KILL


# --- the end of a process ---------------------------------------------------------------------------------------------

ENDS = [error_values.NORMAL, error_values.SHUTDOWN, error_values.KILL, error_values.PANIC, BYE]


@modes
@pytest.mark.parametrize("reason", ENDS, ids=lambda reason: reason.text)
async def test_the_end_of_one_member_stops_the_application_by_its_mode(mode: ApplicationMode, reason: Error) -> None:
    """The application stops in permanent mode, and in transient mode unless the reason is normal or shutdown."""
    async with loaded_application() as (b, application):
        await start(b, mode)
        one, other = sorted(application.processes, key=lambda process: process.pid.id)
        it = spawn_consumer(b)
        await it.process.send(one.pid, reason)
        await settle()
        good = reason in (error_values.NORMAL, error_values.SHUTDOWN)
        stops = mode is ApplicationMode.PERMANENT or (mode is ApplicationMode.TRANSIENT and not good)
        assert one.reason == reason
        assert other.reason == (error_values.SHUTDOWN if stops else None)
        assert status(application)[::2] == ((ApplicationState.LOADED, 0) if stops else (ApplicationState.RUNNING, 1))
        if not stops:
            await it.process.send(other.pid, error_values.NORMAL)
            await settle()
            assert status(application)[::2] == (ApplicationState.LOADED, 0)
        await start(b)


async def test_the_end_of_a_process_that_is_not_a_member_has_no_effect() -> None:
    async with loaded_application() as (b, application):
        await start(b, ApplicationMode.PERMANENT)
        stranger = spawn_consumer(b)
        stranger.process.application = Atom(NAME)
        stranger.process.stop(BYE)
        await settle()
        assert status(application)[::2] == (ApplicationState.RUNNING, 2)


# --- starts that fail -------------------------------------------------------------------------------------------------


@modes
@pytest.mark.parametrize(("outcome", "text"), [("fails", "bye"), ("stops", "bye"), ("panics", "panic")])
@pytest.mark.parametrize("position", [0, 1, 2])
async def test_a_member_that_fails_in_init_fails_the_start(
    mode: ApplicationMode, outcome: str, text: str, position: int
) -> None:
    members = [ApplicationMember(Worker, f"worker{i}") for i in range(3)]
    members[position] = ApplicationMember(Worker, f"worker{position}", (outcome,))
    async with loaded_application(application_spec(*members)) as (b, application):
        for _ in range(2):
            assert await error_text(start(b, mode)) == text
            assert status(application)[::2] == (ApplicationState.LOADED, 0)
            assert not b.core.tables.processes
            assert not b.core.tables.names


async def test_a_member_with_a_taken_name_fails_the_start() -> None:
    async with loaded_application(
        application_spec(ApplicationMember(Worker, "first"), ApplicationMember(Worker, "second"))
    ) as (
        b,
        application,
    ):
        other = b.spawn(Worker(), name="second")
        assert await error_text(start(b)) == "resource is taken"
        assert list(b.core.tables.processes.values()) == [other]
        other.stop()
        await settle()
        await start(b)
        assert status(application)[::2] == (ApplicationState.RUNNING, 2)


@modes
@pytest.mark.parametrize("reason", [None, BYE], ids=["normal", "bye"])
async def test_a_member_that_ends_during_the_start_counts_by_the_mode(
    mode: ApplicationMode, reason: Error | None
) -> None:
    """It has the same effect as any other end."""
    async with loaded_application(
        application_spec(ApplicationMember(EndingActor, "", (reason,) if reason else ()), ApplicationMember(Worker))
    ) as (
        b,
        application,
    ):
        if mode is ApplicationMode.PERMANENT or (mode is ApplicationMode.TRANSIENT and reason):
            assert await error_text(start(b, mode)) == (reason or error_values.NORMAL).text
            assert status(application)[::2] == (ApplicationState.LOADED, 0)
            assert not b.core.tables.processes
        else:
            await start(b, mode)
            assert status(application)[::2] == (ApplicationState.RUNNING, 1)
            assert await error_text(start(b)) == "application is still running"
            await b.core.applications.stop(NAME)
        assert status(application)[::2] == (ApplicationState.LOADED, 0)


async def test_an_application_whose_members_all_ended_during_the_start_is_loaded() -> None:
    async with loaded_application(application_spec(ApplicationMember(EndingActor), ApplicationMember(EndingActor))) as (
        b,
        application,
    ):
        await start(b, ApplicationMode.TEMPORARY)
        assert status(application)[::2] == (ApplicationState.LOADED, 0)


@pytest.mark.parametrize("force", [False, True])
async def test_a_stop_during_the_start_ends_both(force: bool) -> None:
    async with loaded_application(
        application_spec(
            ApplicationMember(Worker), ApplicationMember(Worker, "slow", ("is slow",)), ApplicationMember(Worker)
        )
    ) as (b, application):
        task = asyncio.ensure_future(error_text(start(b)))
        await settle()
        assert status(application)[::2] == (ApplicationState.RUNNING, 2)
        assert await error_text(start(b)) == "application is still running"
        await b.core.applications.stop(NAME, force=force)
        assert await task == ("kill" if force else "shutdown")
        assert status(application)[::2] == (ApplicationState.LOADED, 0)
        assert not b.core.tables.processes


async def test_members_are_started_one_after_the_other() -> None:
    async with loaded_application(
        application_spec(ApplicationMember(Worker, "slow", ("is slow",)), ApplicationMember(Worker, "last"))
    ) as (
        b,
        _,
    ):
        task = asyncio.ensure_future(start(b))
        await settle()
        assert "last" not in b.core.tables.names
        await task
        assert "last" in b.core.tables.names


# --- options of members -----------------------------------------------------------------------------------------------


class EnvironmentActor(Actor):
    """Answers a call with its environment."""

    async def handle_call(self, call: Call) -> Any:
        return dict(self.process.options.env)


async def test_options_and_environment_of_members() -> None:
    """Environment of the core, of the application, of the start's options, of the member: the later ones win."""
    rows = {"CORE": "core", "APP": "core", "ASKED": "core", "MEMBER": "core"}
    member = ApplicationMember(EnvironmentActor, "it", (), ProcessOptions(mailbox_size=7, env={"MEMBER": "member"}))
    async with loaded_application() as (b, _):
        own = {"APP": "app", "ASKED": "app", "MEMBER": "app"}
        b.core.applications.load(application_spec(member, ApplicationMember(Worker, "worker"), name="other", env=own))
        parent = PID(Atom("a@localhost"), 1, 9)
        asked = ApplicationOptions(Env={"ASKED": "asked", "MEMBER": "asked"})
        await b.core.applications.start("other", 0, ApplicationOptionsExtra(asked, parent, rows))
        wanted = {"CORE": "core", "APP": "app", "ASKED": "asked", "MEMBER": "member"}
        assert await spawn_consumer(b).process.call("it", "?") == wanted
        it, worker = b.core.tables.names[Atom("it")], b.core.tables.names[Atom("worker")]
        assert (it.options.mailbox_size, it.parent, it.application) == (7, parent, "other")
        assert worker.options == ProcessOptions(trap_exit=True, env={**wanted, "MEMBER": "asked", "WORKER": "own"})


# --- from another node ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(ApplicationMode), ids=lambda mode: mode.name)
@pytest.mark.parametrize("expose", [False, True])
async def test_another_node_starts_the_application(mode: ApplicationMode, expose: bool) -> None:
    net = MemoryNetwork()
    a, b, _ = await net.pair(env={"NODE": "a"}, expose_env=expose)
    b.core.env.clear()
    b.core.env["HERE"] = "b"
    b.core.applications.load(application_spec(ApplicationMember(Worker, "first"), mode=ApplicationMode.TRANSIENT))
    b.core.remote.enable_application_start(NAME)
    await a.core.remote.start_application(b.name, Atom(NAME), mode, ApplicationOptions(Env={"ASKED": 1}))
    application, first = b.core.applications.get(NAME), b.core.tables.names[Atom("first")]
    assert status(application) == (ApplicationState.RUNNING, mode or ApplicationMode.TRANSIENT, 1)
    assert first.parent == a.core.pid
    asked = {"NODE": "a"} if expose else {}
    assert first.options.env == {"HERE": "b", "WORKER": "own", "ASKED": 1, **asked}
    text = await error_text(a.core.remote.start_application(b.name, Atom(NAME), mode))
    assert text == "application is still running"
    it = spawn_consumer(a)
    await it.monitor(first.pid)
    a.core.disconnect(b.name)
    await settle()
    assert status(application)[::2] == (ApplicationState.RUNNING, 1)
    await b.core.applications.stop(NAME)
    assert it.received == [Termination("down", first.pid, "no connection")]
    await net.stop()


async def test_the_error_of_a_member_reaches_the_node_that_started_the_application() -> None:
    net = MemoryNetwork()
    a, b, _ = await net.pair(errors=(agent_types.CUSTOM_ERROR,))
    b.core.applications.load(application_spec(ApplicationMember(Worker, "", ("fails",))))
    b.core.remote.enable_application_start(NAME)
    for _ in range(2):
        assert await error_text(a.core.remote.start_application(b.name, Atom(NAME), 0)) == "bye"
    assert await error_text(a.core.remote.start_application(Atom("x@y"), Atom(NAME), 0)) == "no route"
    await net.stop()
