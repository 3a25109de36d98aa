"""Applications: how they start and stop, what the end of one process means, and how others start them."""

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
from tests.support.nodes import MemoryNetwork, node, settle
from tests.support.watchers import Told, refused, watcher

BYE = Error("bye")
NAME = "app"
MODES = [ApplicationMode.TEMPORARY, ApplicationMode.TRANSIENT, ApplicationMode.PERMANENT]
modes = pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)


class Worker(Actor):
    """Does what its argument says."""

    options = ProcessOptions(trap_exit=True, env={"WORKER": "own"})

    async def init(self, how: str = "", *_: Any) -> None:
        match how:
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


class Brief(Actor):
    """Has ended before the next one is started."""

    async def run(self, process: Process, *args: Any) -> None:
        process.set_ready()
        if args:
            raise Stop(args[0])


def app(
    *members: ApplicationMember, mode: ApplicationMode = ApplicationMode.TEMPORARY, name: str = NAME, **more: Any
) -> ApplicationSpec:
    """Two workers, one of them with a name, unless others are given."""
    return ApplicationSpec(
        name, members or (ApplicationMember(Worker, "first"), ApplicationMember(Worker)), mode, **more
    )


@asynccontextmanager
async def scenario(specification: ApplicationSpec | None = None) -> AsyncIterator[tuple[Node, Application]]:
    b = node()
    b.core.applications.load(specification or app())
    try:
        yield b, b.core.applications.get(NAME)
    finally:
        await b.stop()


def start(b: Node, mode: int = 0, name: str = NAME) -> Awaitable[None]:
    return b.core.applications.start(name, mode)


def of(application: Application) -> tuple[ApplicationState, ApplicationMode, int]:
    return application.state, application.mode, len(application.processes)


# --- loading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("specification", "text"),
    [
        (app(name=""), "application has no name"),
        (ApplicationSpec("other", ()), "application has no items"),
        (app(), "resource is taken"),
    ],
)
async def test_what_can_not_be_loaded(specification: ApplicationSpec, text: str) -> None:
    async with scenario() as (b, _):
        with pytest.raises(ErgoError) as raised:
            b.core.applications.load(specification)
        assert raised.value.error.text == text
        assert list(b.core.applications.loaded) == [NAME]


async def test_what_is_not_loaded_is_unknown() -> None:
    async with scenario() as (b, _):
        applications = b.core.applications
        assert await refused(start(b, name="other")) == "unknown application"
        assert await refused(applications.stop("other")) == "unknown application"
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
async def test_it_runs_in_the_mode_asked_for_or_in_its_own(mode: int, own: ApplicationMode) -> None:
    async with scenario(app(mode=own)) as (b, application):
        assert of(application) == (ApplicationState.LOADED, own, 0)
        await start(b, mode)
        assert of(application) == (ApplicationState.RUNNING, mode if mode in MODES else own, 2)
        assert await refused(start(b, mode)) == "application is still running"
        assert b.core.tables.names[Atom("first")].application == NAME


@modes
@pytest.mark.parametrize("force", [False, True])
async def test_it_stops(mode: ApplicationMode, force: bool) -> None:
    """No process is left, though they trap exits; it can be started again."""
    async with scenario() as (b, application):
        for _ in range(2):
            await start(b, mode)
            members = list(application.processes)
            await b.core.applications.stop(NAME, force=force)
            assert of(application)[::2] == (ApplicationState.LOADED, 0)
            assert {process.reason for process in members} == {error_values.KILL if force else error_values.SHUTDOWN}
            assert not b.core.tables.processes
        await b.core.applications.stop(NAME, force=force)


async def test_a_stop_that_takes_too_long_can_be_forced() -> None:
    async with scenario() as (b, application):
        applications = b.core.applications
        await start(b)
        busy, idle = sorted(application.processes, key=lambda process: process.pid.id)
        await watcher(b).process.send(busy.pid, 60.0)
        await settle()
        begun = asyncio.get_running_loop().time()
        task = asyncio.ensure_future(refused(applications.stop(NAME)))
        await settle()
        assert of(application)[::2] == (ApplicationState.STOPPING, 1)
        assert idle.reason == error_values.SHUTDOWN
        assert await refused(start(b)) == "application is in running/stopping state"
        assert await refused(applications.stop(NAME)) == "application stopping is in progress"
        assert await task == "application stopping is in progress"
        assert asyncio.get_running_loop().time() - begun == pytest.approx(5)
        await applications.stop(NAME, force=True)
        assert of(application)[::2] == (ApplicationState.LOADED, 0)
        assert busy.reason == error_values.KILL


# --- the end of a process ---------------------------------------------------------------------------------------------

ENDS = [error_values.NORMAL, error_values.SHUTDOWN, error_values.KILL, error_values.PANIC, BYE]


@modes
@pytest.mark.parametrize("reason", ENDS, ids=lambda reason: reason.text)
async def test_the_end_of_one_process(mode: ApplicationMode, reason: Error) -> None:
    """The others go with it in permanent mode always, in transient mode if it was no good end."""
    async with scenario() as (b, application):
        await start(b, mode)
        one, other = sorted(application.processes, key=lambda process: process.pid.id)
        it = watcher(b)
        await it.process.send(one.pid, reason)
        await settle()
        good = reason in (error_values.NORMAL, error_values.SHUTDOWN)
        stops = mode is ApplicationMode.PERMANENT or (mode is ApplicationMode.TRANSIENT and not good)
        assert one.reason == reason
        assert other.reason == (error_values.SHUTDOWN if stops else None)
        assert of(application)[::2] == ((ApplicationState.LOADED, 0) if stops else (ApplicationState.RUNNING, 1))
        if not stops:
            await it.process.send(other.pid, error_values.NORMAL)
            await settle()
            assert of(application)[::2] == (ApplicationState.LOADED, 0)
        await start(b)


async def test_what_is_no_member_does_not_count() -> None:
    async with scenario() as (b, application):
        await start(b, ApplicationMode.PERMANENT)
        stranger = watcher(b)
        stranger.process.application = Atom(NAME)
        stranger.process.stop(BYE)
        await settle()
        assert of(application)[::2] == (ApplicationState.RUNNING, 2)


# --- starts that fail -------------------------------------------------------------------------------------------------


@modes
@pytest.mark.parametrize(("how", "text"), [("fails", "bye"), ("stops", "bye"), ("panics", "panic")])
@pytest.mark.parametrize("position", [0, 1, 2])
async def test_a_member_that_does_not_begin(mode: ApplicationMode, how: str, text: str, position: int) -> None:
    members = [ApplicationMember(Worker, f"worker{i}") for i in range(3)]
    members[position] = ApplicationMember(Worker, f"worker{position}", (how,))
    async with scenario(app(*members)) as (b, application):
        for _ in range(2):
            assert await refused(start(b, mode)) == text
            assert of(application)[::2] == (ApplicationState.LOADED, 0)
            assert not b.core.tables.processes
            assert not b.core.tables.names


async def test_a_member_whose_name_is_taken() -> None:
    async with scenario(app(ApplicationMember(Worker, "first"), ApplicationMember(Worker, "second"))) as (
        b,
        application,
    ):
        other = b.spawn(Worker(), name="second")
        assert await refused(start(b)) == "resource is taken"
        assert list(b.core.tables.processes.values()) == [other]
        other.stop()
        await settle()
        await start(b)
        assert of(application)[::2] == (ApplicationState.RUNNING, 2)


@modes
@pytest.mark.parametrize("reason", [None, BYE], ids=["normal", "bye"])
async def test_a_member_that_ends_before_the_next_is_started(mode: ApplicationMode, reason: Error | None) -> None:
    """It counts like any other end."""
    async with scenario(app(ApplicationMember(Brief, "", (reason,) if reason else ()), ApplicationMember(Worker))) as (
        b,
        application,
    ):
        if mode is ApplicationMode.PERMANENT or (mode is ApplicationMode.TRANSIENT and reason):
            assert await refused(start(b, mode)) == (reason or error_values.NORMAL).text
            assert of(application)[::2] == (ApplicationState.LOADED, 0)
            assert not b.core.tables.processes
        else:
            await start(b, mode)
            assert of(application)[::2] == (ApplicationState.RUNNING, 1)
            assert await refused(start(b)) == "application is still running"
            await b.core.applications.stop(NAME)
        assert of(application)[::2] == (ApplicationState.LOADED, 0)


async def test_all_members_have_ended_before_the_start_is_through() -> None:
    async with scenario(app(ApplicationMember(Brief), ApplicationMember(Brief))) as (b, application):
        await start(b, ApplicationMode.TEMPORARY)
        assert of(application)[::2] == (ApplicationState.LOADED, 0)


@pytest.mark.parametrize("force", [False, True])
async def test_a_stop_in_the_middle_of_a_start(force: bool) -> None:
    async with scenario(
        app(ApplicationMember(Worker), ApplicationMember(Worker, "slow", ("is slow",)), ApplicationMember(Worker))
    ) as (b, application):
        task = asyncio.ensure_future(refused(start(b)))
        await settle()
        assert of(application)[::2] == (ApplicationState.RUNNING, 2)
        assert await refused(start(b)) == "application is still running"
        await b.core.applications.stop(NAME, force=force)
        assert await task == ("kill" if force else "shutdown")
        assert of(application)[::2] == (ApplicationState.LOADED, 0)
        assert not b.core.tables.processes


async def test_members_are_started_one_after_the_other() -> None:
    async with scenario(app(ApplicationMember(Worker, "slow", ("is slow",)), ApplicationMember(Worker, "last"))) as (
        b,
        _,
    ):
        task = asyncio.ensure_future(start(b))
        await settle()
        assert "last" not in b.core.tables.names
        await task
        assert "last" in b.core.tables.names


# --- what its processes have ------------------------------------------------------------------------------------------


class Tells(Actor):
    """Answers its environment."""

    async def handle_call(self, call: Call) -> Any:
        return dict(self.process.options.env)


async def test_options_and_environment_of_members() -> None:
    """What starts it, what it says itself, what who starts it wants, what the member says: the later the stronger."""
    rows = {"CORE": "core", "APP": "core", "ASKED": "core", "MEMBER": "core"}
    member = ApplicationMember(Tells, "it", (), ProcessOptions(mailbox_size=7, env={"MEMBER": "member"}))
    async with scenario() as (b, _):
        own = {"APP": "app", "ASKED": "app", "MEMBER": "app"}
        b.core.applications.load(app(member, ApplicationMember(Worker, "worker"), name="other", env=own))
        parent = PID(Atom("a@localhost"), 1, 9)
        asked = ApplicationOptions(Env={"ASKED": "asked", "MEMBER": "asked"})
        await b.core.applications.start("other", 0, ApplicationOptionsExtra(asked, parent, rows))
        wanted = {"CORE": "core", "APP": "app", "ASKED": "asked", "MEMBER": "member"}
        assert await watcher(b).process.call("it", "?") == wanted
        it, worker = b.core.tables.names[Atom("it")], b.core.tables.names[Atom("worker")]
        assert (it.options.mailbox_size, it.parent, it.application) == (7, parent, "other")
        assert worker.options == ProcessOptions(trap_exit=True, env={**wanted, "MEMBER": "asked", "WORKER": "own"})


# --- from another node ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", list(ApplicationMode), ids=lambda mode: mode.name)
@pytest.mark.parametrize("expose", [False, True])
async def test_it_is_started_by_another_node(mode: ApplicationMode, expose: bool) -> None:
    net = MemoryNetwork()
    a, b, _ = await net.pair(env={"NODE": "a"}, expose_env=expose)
    b.core.env.clear()
    b.core.env["HERE"] = "b"
    b.core.applications.load(app(ApplicationMember(Worker, "first"), mode=ApplicationMode.TRANSIENT))
    b.core.remote.enable_application_start(NAME)
    await a.core.remote.start_application(b.name, Atom(NAME), mode, ApplicationOptions(Env={"ASKED": 1}))
    application, first = b.core.applications.get(NAME), b.core.tables.names[Atom("first")]
    assert of(application) == (ApplicationState.RUNNING, mode or ApplicationMode.TRANSIENT, 1)
    assert first.parent == a.core.pid
    asked = {"NODE": "a"} if expose else {}
    assert first.options.env == {"HERE": "b", "WORKER": "own", "ASKED": 1, **asked}
    text = await refused(a.core.remote.start_application(b.name, Atom(NAME), mode))
    assert text == "application is still running"
    it = watcher(a)
    await it.monitor(first.pid)
    a.core.disconnect(b.name)
    await settle()
    assert of(application)[::2] == (ApplicationState.RUNNING, 1)
    await b.core.applications.stop(NAME)
    assert it.told == [Told("down", first.pid, "no connection")]
    await net.stop()


async def test_a_failing_member_is_told_to_who_starts_it_from_elsewhere() -> None:
    net = MemoryNetwork()
    a, b, _ = await net.pair(errors=(agent_types.CUSTOM_ERROR,))
    b.core.applications.load(app(ApplicationMember(Worker, "", ("fails",))))
    b.core.remote.enable_application_start(NAME)
    for _ in range(2):
        assert await refused(a.core.remote.start_application(b.name, Atom(NAME), 0)) == "bye"
    assert await refused(a.core.remote.start_application(Atom("x@y"), Atom(NAME), 0)) == "no route"
    await net.stop()
