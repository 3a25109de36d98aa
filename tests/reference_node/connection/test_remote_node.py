"""RemoteNode (NAPI-RN): the 13 methods of gen.RemoteNode, over sockets on the loopback."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ergo_conformance.model.ergo import ehs, enp, error_values, gen
from ergo_conformance.model.ergo.ehs import Flags, Version
from ergo_conformance.model.ergo.gen import ApplicationOptions
from ergo_conformance.model.values import PID, Atom
from ergo_conformance.reference_node.api import RemoteNode
from ergo_conformance.reference_node.api.applications import ApplicationMode, ApplicationState
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import Call
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.applications import ApplicationMember, ApplicationSpec
from ergo_conformance.reference_node.ergo.enp.proto import ENP
from ergo_conformance.reference_node.ergo.handshake import EHS
from ergo_conformance.reference_node.node import Node
from tests.support.consumers import error_text
from tests.support.loopback_nodes import Echo, dial, node_starter, process_id, raised_error_text, spawn_echo
from tests.support.nodes import run_as_process
from tests.support.settings import LONG_DEADLINES
from tests.support.sockets import HOST, eventually, port, socket_count

pytestmark = pytest.mark.real_loop


class Clock:
    """Clock with a time in Unix seconds that the test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class ReportingActor(Actor):
    """Answers a call with its arguments, environment, parent, leader and name."""

    async def init(self, *args: Any) -> None:
        self.args = args

    async def handle_call(self, call: Call) -> Any:
        del call
        process = self.process
        env = [f"{key}={value}" for key, value in sorted(process.options.env.items())]
        return [list(self.args), env, process.parent, process.leader, process.name or ""]


class FailingActor(Actor):
    """Raises its argument in `init`."""

    async def init(self, *args: Any) -> None:
        raise ErgoError(args[0])


@pytest.mark.covers("NAPI-RN-1: A remote node: Name", "NAPI-RN-1: A remote node: Uptime")
async def test_properties_have_the_facts_of_the_introduction() -> None:
    """NAPI-RN-1: Name, Version, Creation, Uptime, ConnectionUptime (seconds)."""
    async with node_starter() as start:
        version = Version("app", "2.1", "commit", "MIT")
        b = await start("b", version=version, clock=Clock(1_000_000.9))
        clock = Clock(1_000_100.2)
        a = await start("a", clock=clock)
        remote = await dial(a, b)
        assert (remote.name, remote.version, remote.creation) == (b.name, version, 1_000_000)
        assert (remote.uptime, remote.connection_uptime) == (100, 0)
        clock.now += 50
        assert (remote.uptime, remote.connection_uptime) == (150, 50)
        await eventually(lambda: a.name in b.network.connections)
        back = b.network.node(a.name)
        assert (back.name, back.creation) == (a.name, 1_000_100)


@pytest.mark.covers("NAPI-RN-2")
async def test_info_has_all_fields_at_dialer_and_acceptor() -> None:
    """NAPI-RN-2: all fields, at the dialer and at the acceptor."""
    async with node_starter() as start:
        flags = Flags.ENABLE | Flags.REMOTE_SPAWN
        b = await start("b", max_message_size=9999, flags=flags, handshake=replace(LONG_DEADLINES, pool_size=2))
        a = await start("a")
        remote = await dial(a, b)
        await eventually(lambda: socket_count(b, a) == 2)
        info = remote.info
        assert (info.node, info.version, info.uptime) == (b.name, b.options.version, remote.uptime)
        assert (info.handshake_version, info.proto_version) == (EHS, ENP)
        assert (info.flags, info.max_message_size) == (flags, 9999)
        assert (info.pool_size, info.pool_dsn) == (2, (f"{HOST}:{port(b)}",))
        back = b.network.node(a.name).info
        assert (back.node, back.flags, back.max_message_size) == (a.name, ehs.DEFAULT_FLAGS, 0)
        assert (back.pool_size, back.pool_dsn) == (2, ())


@pytest.mark.covers("NAPI-RN-2")
async def test_messages_and_bytes_are_counted() -> None:
    """NAPI-RN-2: MessagesIn/Out and BytesIn/Out after the handshake; Transit… are 0."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        spawn_echo(b)
        remote = await dial(a, b)
        await eventually(lambda: socket_count(b, a) == 3)
        await run_as_process(a, lambda it: it.call(process_id(b), "x" * 100))
        await run_as_process(a, lambda it: it.send(process_id(b), "last"))
        await eventually(lambda: b.network.node(a.name).info.messages_in == 2)
        info, back = remote.info, b.network.node(a.name).info
        assert (info.messages_in, info.messages_out) == (back.messages_out, back.messages_in) == (1, 2)
        assert (info.bytes_in, info.bytes_out) == (back.bytes_out, back.bytes_in)
        assert info.bytes_out > info.bytes_in > 100
        assert (info.transit_bytes_in, info.transit_bytes_out) == (0, 0)


# --- spawn ------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("NAPI-RN-3")
async def test_spawn_passes_arguments_and_environment() -> None:
    """NAPI-RN-3: parent and leader are our node."""
    async with node_starter() as start:
        a, b = await start("a", env={"A": "a"}, expose_env=True), await start("b")
        b.network.enable_spawn("told", ReportingActor)
        remote = await dial(a, b)
        pid = await remote.spawn("told", gen.RemoteProcessOptions(Env={"B": "b"}), 1, "two")
        assert pid.node == b.name
        report = await run_as_process(a, lambda it: it.call(pid, 0))
        assert report == [[1, "two"], ["A=a", "B=b"], a.core.pid, a.core.pid, ""]
        assert await run_as_process(a, lambda it: it.call(pid, 0)) == report


@pytest.mark.covers("NAPI-RN-5")
async def test_spawn_register_gives_the_process_a_name() -> None:
    """NAPI-RN-5: a name in use is "resource is taken"."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        b.network.enable_spawn("told", ReportingActor)
        remote = await dial(a, b)
        pid = await remote.spawn_register("worker", "told", None, 5)
        assert b.core.tables.names[Atom("worker")].pid == pid
        report = await run_as_process(a, lambda it: it.call(process_id(b, "worker"), 0))
        assert (report[0], report[4]) == ([5], "worker")
        assert await error_text(remote.spawn_register("worker", "told")) == "resource is taken"
        assert len(b.core.tables.processes) == 1


@pytest.mark.covers("NAPI-RN-3")
async def test_spawn_raises_the_error_of_the_peer() -> None:
    """NAPI-RN-3: no process is left."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        b.network.enable_spawn("fails", FailingActor)
        b.network.enable_spawn("closed", Echo, "c@localhost")
        remote = await dial(a, b)
        assert await error_text(remote.spawn("fails", None, error_values.UNSUPPORTED)) == "not supported"
        assert await error_text(remote.spawn("nothing")) == "unknown name"
        assert await error_text(remote.spawn("closed")) == "not allowed"
        assert not b.core.tables.processes


async def remote_spawn(remote: RemoteNode) -> Any:
    await remote.spawn("echo")


async def remote_start(remote: RemoteNode) -> Any:
    await remote.application_start("app")


@pytest.mark.covers("NAPI-RN-3", "NAPI-RN-6")
@pytest.mark.parametrize(
    ("ask", "flag"), [(remote_spawn, Flags.REMOTE_SPAWN), (remote_start, Flags.REMOTE_APPLICATION_START)]
)
async def test_no_request_is_sent_without_the_flag_of_the_peer(ask: Callable[[RemoteNode], Any], flag: Flags) -> None:
    """NAPI-RN-3: "not allowed"; NAPI-RN-6: our own flags do not limit our requests."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b", flags=ehs.DEFAULT_FLAGS & ~flag)
        for node in (a, b):
            permit_all(node)
        remote = await dial(a, b)
        assert await error_text(ask(remote)) == "not allowed"
        assert remote.info.messages_out == 0
        await ask(b.network.node(a.name))


@pytest.mark.covers("NAPI-RN-4")
@pytest.mark.parametrize(
    ("ask", "flag"), [(remote_spawn, Flags.REMOTE_SPAWN), (remote_start, Flags.REMOTE_APPLICATION_START)]
)
async def test_a_request_despite_our_missing_flag_gets_not_allowed(
    ask: Callable[[RemoteNode], Any], flag: Flags
) -> None:
    """NAPI-RN-4: upstream does not answer for 5 s; the connection stays."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b", flags=ehs.DEFAULT_FLAGS & ~flag)
        permit_all(b)
        spawn_echo(b, "living")
        remote = await dial(a, b)
        object.__setattr__(a.network.connections[b.name].peer, "flags", ehs.DEFAULT_FLAGS)
        assert await error_text(ask(remote)) == "not allowed"
        assert remote.info.messages_in == 1
        assert await run_as_process(a, lambda it: it.call(process_id(b, "living"), 1)) == 1


class SleepingActor(Actor):
    """Never finishes `init`."""

    async def init(self, *_: Any) -> None:
        await asyncio.Event().wait()


@pytest.mark.covers("NAPI-RN-3")
async def test_spawn_times_out_after_the_request_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """NAPI-RN-3: "timed out"."""
    assert enp.REQUEST_TIMEOUT == 5.0
    monkeypatch.setattr(enp, "REQUEST_TIMEOUT", 0.2)
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        b.network.enable_spawn("sleeps", SleepingActor)
        remote = await dial(a, b)
        assert await error_text(remote.spawn("sleeps")) == "timed out"


@pytest.mark.covers("NAPI-RN-9")
async def test_answers_within_microseconds_are_not_lost() -> None:
    """NAPI-RN-9: upstream may drop an answer that arrives before the caller waits."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        b.network.enable_spawn("echo", Echo)
        remote = await dial(a, b)
        pids = await asyncio.gather(*(remote.spawn("echo") for _ in range(500)))
        assert len(set(pids)) == 500


# --- applications -----------------------------------------------------------------------------------------------------


def permit_all(node: Node, mode: ApplicationMode = ApplicationMode.PERMANENT) -> None:
    """Permits all nodes to spawn `echo` and to start the application `app`."""
    node.network.enable_spawn("echo", Echo)
    node.core.applications.load(
        ApplicationSpec("app", (ApplicationMember(ReportingActor, "app_worker"),), mode=mode, env={"S": "s"})
    )
    node.network.enable_application_start("app")


MODES = {
    "application_start": ApplicationMode.PERMANENT,
    "application_start_temporary": ApplicationMode.TEMPORARY,
    "application_start_transient": ApplicationMode.TRANSIENT,
    "application_start_permanent": ApplicationMode.PERMANENT,
}


@pytest.mark.covers("NAPI-RN-7", "NAPI-RN-8")
@pytest.mark.parametrize("method", list(MODES))
async def test_each_application_start_method_has_its_mode(method: str) -> None:
    """NAPI-RN-7: 0, 1, 2, 3 on the wire; NAPI-RN-8: 0 is the application's own (upstream makes it temporary)."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        own = ApplicationMode.PERMANENT if method == "application_start" else ApplicationMode.TEMPORARY
        permit_all(b, own)
        modes: list[int] = []
        begin = b.core.applications.start

        async def record_mode(name: str, mode: int = 0, options: Any = None) -> None:
            modes.append(mode)
            await begin(name, mode, options)

        b.core.applications.start = record_mode  # type: ignore[method-assign]
        remote = await dial(a, b)
        await getattr(remote, method)("app", ApplicationOptions(Env={"O": "o"}))
        application = b.core.applications.get("app")
        assert (application.state, application.mode) == (ApplicationState.RUNNING, MODES[method])
        assert modes == [list(MODES).index(method)]
        report = await run_as_process(a, lambda it: it.call(process_id(b, "app_worker"), 0))
        assert report[1:] == [["O=o", "S=s"], a.core.pid, a.core.pid, "app_worker"]


@pytest.mark.covers("NAPI-RN-8", "NAPI-PL-7")
async def test_application_start_raises_the_error_of_the_peer() -> None:
    """NAPI-PL-1, -2, -7."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        permit_all(b)
        b.network.enable_application_start("not_loaded")
        b.network.enable_application_start("closed", "c@localhost")
        remote = await dial(a, b)
        assert await error_text(remote.application_start("nothing")) == "unknown name"
        assert await error_text(remote.application_start("closed")) == "not allowed"
        assert await error_text(remote.application_start("not_loaded")) == "unknown application"
        await remote.application_start("app")
        assert await error_text(remote.application_start("app")) == "application is still running"
        b.core.applications.get("app").state = ApplicationState.STOPPING
        assert await error_text(remote.application_start("app")) == "application is in running/stopping state"


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_properties_stay_after_the_disconnect_and_requests_fail() -> None:
    """Disconnect; a new connection is another RemoteNode."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        permit_all(b)
        remote = await dial(a, b)
        remote.disconnect()
        assert a.network.nodes == []
        assert (remote.name, remote.info.node, remote.creation) == (b.name, b.name, b.creation)
        await eventually(lambda: not b.network.connections)
        again = await dial(a, b)
        for gone in (
            remote.spawn("echo"),
            remote.spawn_register("x", "echo"),
            *(getattr(remote, method)("app") for method in MODES),
        ):
            assert await error_text(gone) == "no connection"
        assert raised_error_text(remote.disconnect) == "no connection"
        assert isinstance(await again.spawn("echo"), PID)


@pytest.mark.covers("NAPI-CON-10: A remote node: Disconnect")
async def test_a_pending_spawn_fails_when_the_connection_ends() -> None:
    """NAPI-CON-10: "no connection"."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        b.network.enable_spawn("sleeps", SleepingActor)
        remote = await dial(a, b)
        pending = asyncio.ensure_future(error_text(remote.spawn("sleeps")))
        await eventually(lambda: b.core.tables.processes)
        b.network.node(a.name).disconnect()
        assert await pending == "no connection"
