"""The agent `agent`: spawn, applications, its settings and connections (protocol notes: agents, section 4)."""

from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import agent_types
from ergo_conformance.model.ergo.enp import Algorithm, CompressionLevel, Priority
from ergo_conformance.model.ergo.gen import NO_PID
from ergo_conformance.model.types import Slice
from ergo_conformance.model.values import PID, Atom, Error, Typed
from ergo_conformance.reference_node.api.applications import ApplicationMode
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.target.agent_operations import permit_remote_starts
from ergo_conformance.reference_node.target.agents import Echo
from tests.support.agent_scenario import agent_scenario, local_and_remote
from tests.support.consumers import Termination
from tests.support.nodes import settle

NUMBERS: list[tuple[Any, int]] = [
    (0, 0), (1, 1), (2, 2), (Typed(t.INT64, 1), 1), (Typed(t.UINT8, 2), 2),
    (Typed(t.INT32, 2), 0), (Typed(t.UINT64, 1), 0), (True, 0), (1.0, 0), ("1", 0), (Atom("1"), 0), (None, 0), ([1], 0),
]  # fmt: skip
"""Arguments for an INT, and the number they count as."""
BOOLS: list[tuple[Any, bool]] = [
    (True, True), (False, False), (1, False), ("true", False), (Atom("true"), False), (None, False), ([True], False),
]  # fmt: skip
EMPTY = [5, None, True, ["test_app"], Error("test_app"), b"test_app"]
"""Arguments that count as an empty name."""
numbers = pytest.mark.parametrize(("given", "number"), NUMBERS, ids=repr)
bools = pytest.mark.parametrize(("given", "on"), BOOLS, ids=repr)


# --- processes and applications ---------------------------------------------------------------------------------------


class RecordingActor(Actor):
    """Records its arguments."""

    args: tuple[Any, ...] = ()

    async def init(self, *args: Any) -> None:
        RecordingActor.args = args


@pytest.mark.parametrize("args", [[], [1, "a", None]], ids=repr)
@pytest.mark.parametrize("as_", [Atom, str])
async def test_spawn_ops_return_the_pid(args: list[Any], as_: type) -> None:
    async with agent_scenario() as s:
        s.a.core.remote.enable_spawn("keeps", RecordingActor)
        node = as_(s.a.name)
        plain = await s.run_op("spawn", node, as_("keeps"), *args)
        assert RecordingActor.args == tuple(args)
        named = await s.run_op("spawn_register", node, as_("keeps"), as_("it"), *args)
        assert RecordingActor.args == tuple(args)
        assert isinstance(plain, PID)
        assert named == s.a.core.tables.names[Atom("it")].pid != plain
        assert s.a.core.tables.processes[plain.id].parent == s.pid("agent")
        assert await s.run_op("spawn_register", node, "keeps", "it") == "<resource is taken>"


@pytest.mark.parametrize("op", ["spawn", "spawn_register"])
async def test_spawn_ops_return_the_error(op: str) -> None:
    async with agent_scenario() as s:
        s.a.core.remote.enable_spawn("closed", RecordingActor, "allowed@localhost")
        name = ["it"][: op == "spawn_register"]
        assert await s.run_op(op, s.a.name, "unknown", *name) == "<unknown name>"
        assert await s.run_op(op, s.a.name, "closed", *name) == "<not allowed>"
        assert await s.run_op(op, "nowhere@localhost", "closed", *name) == "<no route>"
        assert await s.run_op(op, s.b.name, "echo_factory", *name) == "<not allowed>"
        for empty in EMPTY:
            assert await s.run_op(op, empty, "closed", *name) == "<no route>"
            assert await s.run_op(op, s.a.name, empty, *name) == "<unknown name>"


@pytest.mark.parametrize(
    "request_",
    [["spawn"], ["spawn", "a@localhost"], ["spawn_register"], ["spawn_register", "a@localhost", "echo_factory"]],
    ids=repr,
)
async def test_a_spawn_op_without_enough_arguments_ends_the_agent(
    request_: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with agent_scenario() as s:
        pid = s.pid("agent")
        await s.requester.monitor(pid)
        await s.send("agent", request_)
        assert s.requester.received == [Termination("down", pid, "panic")]
        assert await s.run_op("pid") != pid


@pytest.mark.parametrize(
    ("given", "mode"), [*NUMBERS, (3, 3), (9, 0), (-1, 0), (Typed(t.UINT8, 3), 3)], ids=repr
)  # fmt: skip
@pytest.mark.parametrize("as_", [Atom, str])
async def test_app_start_starts_in_the_mode(given: Any, mode: int, as_: type) -> None:
    """1 temporary, 2 transient, 3 permanent, everything else the default."""
    async with agent_scenario() as s:
        permit_remote_starts(s.a.core, "allowed@localhost")
        assert await s.run_op("app_start", as_(s.a.name), as_("test_app"), given) is True
        assert s.a.core.applications.get("test_app").mode == (mode or ApplicationMode.TRANSIENT)
        assert await s.run_op("app_start", s.a.name, "test_app") == "<application is still running>"
        assert await s.run_op("app_start", s.a.name, "test_app1") is True
        assert await s.run_op("app_start", s.a.name, "restricted_app") == "<not allowed>"
        assert (
            await s.run_op("app_start", s.a.name, "unknown")
            == await s.run_op("app_start", s.a.name)
            == "<unknown name>"
        )
        assert (
            await s.run_op("app_start", "nowhere@localhost", "test_app2") == await s.run_op("app_start") == "<no route>"
        )


@pytest.mark.parametrize("mode", [1, 2, 3])
@pytest.mark.parametrize("as_", [Atom, str])
async def test_app_info_and_app_stop_report_the_state(mode: int, as_: type) -> None:
    async with agent_scenario() as s:
        name, word = as_("test_app"), ApplicationMode(mode).name.lower()
        assert await s.run_op("app_info", name) == "loaded transient"
        await s.a.core.remote.start_application(s.b.name, Atom("test_app"), mode)
        assert await s.run_op("app_info", name) == f"running {word}"
        assert await s.run_op("app_stop", name) is True
        assert await s.run_op("app_info", name) == f"loaded {word}"
        assert "test_app_worker" not in s.b.core.tables.names
        assert await s.run_op("app_stop", name) is True
        for op in ("app_info", "app_stop"):
            assert await s.run_op(op) == await s.run_op(op, "unknown") == "<unknown application>"
            for empty in EMPTY:
                assert await s.run_op(op, empty) == "<unknown application>"


# --- its own settings -------------------------------------------------------------------------------------------------


@numbers
async def test_priority_sets_the_process_priority(given: Any, number: int) -> None:
    async with agent_scenario() as s:
        assert await s.run_op("priority", 2) is True
        assert await s.run_op("priority", given) is True
        assert s.b.core.tables.names[Atom("agent")].options.priority is Priority(number)
        for wrong in (3, -1, Typed(t.INT64, 256)):
            assert await s.run_op("priority", wrong) == "<incorrect value or argument>"
        assert s.b.core.tables.names[Atom("agent")].options.priority is Priority(number)


@bools
async def test_keep_order_sets_the_process_option(given: Any, on: bool) -> None:
    async with agent_scenario() as s:
        assert s.b.core.tables.names[Atom("agent")].options.keep_order
        for first in (True, False):
            assert [await s.run_op("keep_order", x) for x in (first, given)] == [True, True]
            assert s.b.core.tables.names[Atom("agent")].options.keep_order is on


@bools
async def test_trap_exit_sets_the_process_option(given: Any, on: bool) -> None:
    """It traps exits by default."""
    async with agent_scenario() as s:
        pid = s.pid("agent")
        await s.requester.process.exit(pid, Error("first"))
        assert [entry.split(" ")[::2] for entry in await s.received()] == [["gen.MessageExitPID", "first}"]]
        assert await s.run_op("trap_exit", given) is True
        await s.requester.process.exit(pid, Error("second"))
        await settle()
        assert (s.pid("agent") == pid) is on


GZIP, ZLIB, LZW = Algorithm.GZIP, Algorithm.ZLIB, Algorithm.LZW
FAST, SMALL, PLAIN = CompressionLevel.BEST_SPEED, CompressionLevel.BEST_SIZE, CompressionLevel.DEFAULT
COMPRESSION: list[tuple[list[list[Any]], Any]] = [
    ([], None),
    ([["gzip"]], (GZIP, PLAIN, 1024)),
    ([["zlib", 2000]], (ZLIB, PLAIN, 2000)),
    ([["lzw", 2000, 1]], (LZW, FAST, 2000)),
    ([[Atom("gzip"), Typed(t.INT64, 3000), Typed(t.UINT8, 2)]], (GZIP, SMALL, 3000)),
    ([["gzip", 0, 2]], (GZIP, SMALL, 1024)),
    ([["gzip", -5]], (GZIP, PLAIN, 1024)),
    ([["gzip", 500]], (GZIP, PLAIN, 1024)),
    ([["gzip", "2000", "1"]], (GZIP, PLAIN, 1024)),
    ([["gzip"], [""]], None),
    ([["gzip"], [5]], None),
    ([["gzip"], []], None),
    ([["gzip", 2000, 2], ["lzw"]], (LZW, SMALL, 2000)),
    ([["gzip", 2000, 2], ["lzw", 0]], (LZW, SMALL, 2000)),
    ([["gzip", 2000, 2], ["lzw", 0, 0]], (LZW, PLAIN, 2000)),
    ([["gzip", 2000, 2], [""], ["zlib"]], (ZLIB, SMALL, 2000)),
]


@pytest.mark.parametrize(("steps", "wanted"), COMPRESSION, ids=repr)
async def test_compression_sets_the_process_option(steps: list[list[Any]], wanted: Any) -> None:
    async with agent_scenario() as s:
        for step in steps:
            assert await s.run_op("compression", *step) is True
        for wrong in (["gz"], ["GZIP", 2000], ["gzip", 1024, 3], ["lzw", 0, -1]):
            assert await s.run_op("compression", *wrong) == "<incorrect value or argument>"
        compression = s.b.core.tables.names[Atom("agent")].options.compression
        assert (compression and (compression.algorithm, compression.level, compression.threshold)) == wanted


# --- connections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_", [Atom, str])
async def test_connect_disconnect_and_nodes(as_: type) -> None:
    async with agent_scenario() as s:

        async def nodes() -> list[str]:
            answer = await s.run_op("nodes")
            assert answer.type is Slice(t.STRING)
            return sorted(answer.value)

        c = s.net.node("c@localhost")
        await c.network.connection(s.b.name)
        assert await s.run_op("connect", as_(c.name)) is True
        assert await nodes() == [s.a.name, c.name]
        assert await s.run_op("disconnect", as_(c.name)) is True
        assert await nodes() == [s.a.name]
        assert await s.run_op("disconnect") == "<no connection>"
        for given in (as_(c.name), "nowhere@localhost", *EMPTY):
            assert await s.run_op("disconnect", given) == "<no connection>"
        assert await s.run_op("connect", as_(c.name)) == "<no route>"


@local_and_remote
async def test_sample_returns_the_sample_value(remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        assert await s.run_op("sample") == agent_types.sample(s.pid("agent"))
        assert await s.run_op("sample") != agent_types.sample(NO_PID)


async def test_a_spawned_echo_has_no_environment() -> None:
    async with agent_scenario(env={"K": "v"}) as s:
        s.a.core.remote.enable_spawn("echo", Echo)
        pid = await s.run_op("spawn", s.a.name, "echo")
        assert await s.run_op("call", pid, "!env") == Typed(Slice(t.STRING), [])
