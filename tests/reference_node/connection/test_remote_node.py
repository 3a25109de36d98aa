"""A connected node as programs see it (NAPI-RN): the 13 methods of gen.RemoteNode, over sockets of the loopback."""

import asyncio
from collections.abc import Callable
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
from ergo_conformance.reference_node.ergo.handshake import EHS, EhsHandshake
from ergo_conformance.reference_node.node import Node
from tests.support.network import Echo, at, dial, echo, failure, lan, refusal
from tests.support.nodes import run_as_process
from tests.support.sockets import HOST, eventually, port, socket_count

pytestmark = pytest.mark.real_loop


class Clock:
    """Unix seconds, as a test says."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Told(Actor):
    """Tells how it was started."""

    async def init(self, *args: Any) -> None:
        self.args = args

    async def handle_call(self, call: Call) -> Any:
        del call
        process = self.process
        env = [f"{key}={value}" for key, value in sorted(process.options.env.items())]
        return [list(self.args), env, process.parent, process.leader, process.name or ""]


class Fails(Actor):
    """Can't be started."""

    async def init(self, *args: Any) -> None:
        raise ErgoError(args[0])


@pytest.mark.covers("NAPI-RN-1: A remote node: Name", "NAPI-RN-1: A remote node: Uptime")
async def test_what_is_known_of_a_node() -> None:
    """NAPI-RN-1: Name, Version, Creation, Uptime, ConnectionUptime (seconds)."""
    async with lan() as start:
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
async def test_the_info_of_a_node() -> None:
    """NAPI-RN-2: all fields, at the dialer and at the acceptor."""
    async with lan() as start:
        flags = Flags.ENABLE | Flags.REMOTE_SPAWN
        b = await start("b", max_message_size=9999, flags=flags, handshake=EhsHandshake(pool_size=2))
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
    """NAPI-RN-2: MessagesIn/Out and BytesIn/Out after the handshake; nothing passes through: Transit… are 0."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        echo(b)
        remote = await dial(a, b)
        await eventually(lambda: socket_count(b, a) == 3)
        await run_as_process(a, lambda it: it.call(at(b), "x" * 100))
        await run_as_process(a, lambda it: it.send(at(b), "last"))
        await eventually(lambda: b.network.node(a.name).info.messages_in == 2)
        info, back = remote.info, b.network.node(a.name).info
        assert (info.messages_in, info.messages_out) == (back.messages_out, back.messages_in) == (1, 2)
        assert (info.bytes_in, info.bytes_out) == (back.bytes_out, back.bytes_in)
        assert info.bytes_out > info.bytes_in > 100
        assert (info.transit_bytes_in, info.transit_bytes_out) == (0, 0)


# --- spawn ------------------------------------------------------------------------------------------------------------


@pytest.mark.covers("NAPI-RN-3")
async def test_a_process_is_started_there() -> None:
    """NAPI-RN-3: with its arguments and environment; its parent and leader are our node."""
    async with lan() as start:
        a, b = await start("a", env={"A": "a"}, expose_env=True), await start("b")
        b.network.enable_spawn("told", Told)
        remote = await dial(a, b)
        pid = await remote.spawn("told", gen.RemoteProcessOptions(Env={"B": "b"}), 1, "two")
        assert pid.node == b.name
        told = await run_as_process(a, lambda it: it.call(pid, 0))
        assert told == [[1, "two"], ["A=a", "B=b"], a.core.pid, a.core.pid, ""]
        assert await run_as_process(a, lambda it: it.call(pid, 0)) == told


@pytest.mark.covers("NAPI-RN-5")
async def test_a_process_is_started_there_under_a_name() -> None:
    """NAPI-RN-5: a name in use is "resource is taken"."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        b.network.enable_spawn("told", Told)
        remote = await dial(a, b)
        pid = await remote.spawn_register("worker", "told", None, 5)
        assert b.core.tables.names[Atom("worker")].pid == pid
        told = await run_as_process(a, lambda it: it.call(at(b, "worker"), 0))
        assert (told[0], told[4]) == ([5], "worker")
        assert await failure(remote.spawn_register("worker", "told")) == "resource is taken"
        assert len(b.core.tables.processes) == 1


@pytest.mark.covers("NAPI-RN-3")
async def test_why_a_process_is_not_started() -> None:
    """NAPI-RN-3: the errors of the other side; no process is left."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        b.network.enable_spawn("fails", Fails)
        b.network.enable_spawn("closed", Echo, "c@localhost")
        remote = await dial(a, b)
        assert await failure(remote.spawn("fails", None, error_values.UNSUPPORTED)) == "not supported"
        assert await failure(remote.spawn("nothing")) == "unknown name"
        assert await failure(remote.spawn("closed")) == "not allowed"
        assert not b.core.tables.processes


async def spawns(remote: RemoteNode) -> Any:
    await remote.spawn("echo")


async def starts(remote: RemoteNode) -> Any:
    await remote.application_start("app")


@pytest.mark.covers("NAPI-RN-3", "NAPI-RN-6")
@pytest.mark.parametrize(("ask", "flag"), [(spawns, Flags.REMOTE_SPAWN), (starts, Flags.REMOTE_APPLICATION_START)])
async def test_without_the_peers_flag_nothing_is_asked(ask: Callable[[RemoteNode], Any], flag: Flags) -> None:
    """NAPI-RN-3: "not allowed", here already; NAPI-RN-6: our own flags do not limit what we ask."""
    async with lan() as start:
        a, b = await start("a"), await start("b", flags=ehs.DEFAULT_FLAGS & ~flag)
        for node in (a, b):
            open_up(node)
        remote = await dial(a, b)
        assert await failure(ask(remote)) == "not allowed"
        assert remote.info.messages_out == 0
        await ask(b.network.node(a.name))


@pytest.mark.covers("NAPI-RN-4")
@pytest.mark.parametrize(("ask", "flag"), [(spawns, Flags.REMOTE_SPAWN), (starts, Flags.REMOTE_APPLICATION_START)])
async def test_who_asks_although_the_flag_is_off_is_answered(ask: Callable[[RemoteNode], Any], flag: Flags) -> None:
    """NAPI-RN-4: with "not allowed", where upstream is silent for 5 s; the link stays."""
    async with lan() as start:
        a, b = await start("a"), await start("b", flags=ehs.DEFAULT_FLAGS & ~flag)
        open_up(b)
        echo(b, "living")
        remote = await dial(a, b)
        object.__setattr__(a.network.connections[b.name].peer, "flags", ehs.DEFAULT_FLAGS)
        assert await failure(ask(remote)) == "not allowed"
        assert remote.info.messages_in == 1
        assert await run_as_process(a, lambda it: it.call(at(b, "living"), 1)) == 1


class Sleeps(Actor):
    """Takes its time to start."""

    async def init(self, *_: Any) -> None:
        await asyncio.Event().wait()


@pytest.mark.covers("NAPI-RN-3")
async def test_an_answer_is_waited_for_for_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """NAPI-RN-3: "timed out"."""
    assert enp.REQUEST_TIMEOUT == 5.0
    monkeypatch.setattr(enp, "REQUEST_TIMEOUT", 0.2)
    async with lan() as start:
        a, b = await start("a"), await start("b")
        b.network.enable_spawn("sleeps", Sleeps)
        remote = await dial(a, b)
        assert await failure(remote.spawn("sleeps")) == "timed out"


@pytest.mark.covers("NAPI-RN-9")
async def test_answers_within_microseconds_are_not_lost() -> None:
    """NAPI-RN-9: upstream may drop one that comes before the caller waits."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        b.network.enable_spawn("echo", Echo)
        remote = await dial(a, b)
        pids = await asyncio.gather(*(remote.spawn("echo") for _ in range(500)))
        assert len(set(pids)) == 500


# --- applications -----------------------------------------------------------------------------------------------------


def open_up(node: Node, mode: ApplicationMode = ApplicationMode.PERMANENT) -> None:
    """A factory `echo` and an application `app` for all."""
    node.network.enable_spawn("echo", Echo)
    node.core.applications.load(
        ApplicationSpec("app", (ApplicationMember(Told, "app_worker"),), mode=mode, env={"S": "s"})
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
async def test_an_application_is_started_there_in_a_mode(method: str) -> None:
    """NAPI-RN-7: 0, 1, 2, 3 on the wire; NAPI-RN-8: 0 is the application's own (upstream makes it temporary)."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        own = ApplicationMode.PERMANENT if method == "application_start" else ApplicationMode.TEMPORARY
        open_up(b, own)
        asked: list[int] = []
        begin = b.core.applications.start

        async def noted(name: str, mode: int = 0, options: Any = None) -> None:
            asked.append(mode)
            await begin(name, mode, options)

        b.core.applications.start = noted  # type: ignore[method-assign]
        remote = await dial(a, b)
        await getattr(remote, method)("app", ApplicationOptions(Env={"O": "o"}))
        application = b.core.applications.get("app")
        assert (application.state, application.mode) == (ApplicationState.RUNNING, MODES[method])
        assert asked == [list(MODES).index(method)]
        told = await run_as_process(a, lambda it: it.call(at(b, "app_worker"), 0))
        assert told[1:] == [["O=o", "S=s"], a.core.pid, a.core.pid, "app_worker"]


@pytest.mark.covers("NAPI-RN-8", "NAPI-PL-7")
async def test_why_an_application_is_not_started() -> None:
    """NAPI-PL-1, -2, -7."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        open_up(b)
        b.network.enable_application_start("not_loaded")
        b.network.enable_application_start("closed", "c@localhost")
        remote = await dial(a, b)
        assert await failure(remote.application_start("nothing")) == "unknown name"
        assert await failure(remote.application_start("closed")) == "not allowed"
        assert await failure(remote.application_start("not_loaded")) == "unknown application"
        await remote.application_start("app")
        assert await failure(remote.application_start("app")) == "application is still running"
        b.core.applications.get("app").state = ApplicationState.STOPPING
        assert await failure(remote.application_start("app")) == "application is in running/stopping state"


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_what_is_known_stays_known_and_what_is_asked_fails() -> None:
    """Disconnect; a new connection is another RemoteNode."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        open_up(b)
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
            assert await failure(gone) == "no connection"
        assert refusal(remote.disconnect) == "no connection"
        assert isinstance(await again.spawn("echo"), PID)


@pytest.mark.covers("NAPI-CON-10: A remote node: Disconnect")
async def test_who_waits_for_an_answer_when_the_connection_ends_is_told() -> None:
    """NAPI-CON-10: "no connection"."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        b.network.enable_spawn("sleeps", Sleeps)
        remote = await dial(a, b)
        waits = asyncio.ensure_future(failure(remote.spawn("sleeps")))
        await eventually(lambda: b.core.tables.processes)
        b.network.node(a.name).disconnect()
        assert await waits == "no connection"
