"""The agent that does what it is told: how it is asked, what it sends and calls (protocol notes: agents, section 4)."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import agent_types, error_values
from ergo_conformance.model.ergo.ehs import Version
from ergo_conformance.model.ergo.enp import Priority
from ergo_conformance.model.types import Slice
from ergo_conformance.model.values import Atom, Error, Event, ProcessID, Typed
from ergo_conformance.reference_node.api.messages import Call, Message
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.target.agents import Echo
from tests.support.acting import Scene, acting, address, places
from tests.support.nodes import settle
from tests.support.watchers import Told, idle

INCORRECT, UNSUPPORTED = "<incorrect value or argument>", "<not supported>"
WATCHING = ("link", "monitor", "unlink", "demonitor")
SENDS = {"send": 0, "send_high": 1, "send_max": 2, "send_important": 0}
CALLS = {"call": 0, "call_high": 1, "call_max": 2, "call_important": 0}
NO_TARGETS = [None, 1, True, ["sink"], Error("sink"), b"sink"]
addresses = pytest.mark.parametrize("kind", ["pid", "name", "alias"])


def spied(s: Scene) -> list[tuple[Any, Priority]]:
    """Messages and calls from the agent that reach processes of the asker's node from now on, and how."""
    seen: list[tuple[Any, Priority]] = []
    deliver = s.a.core.tables.deliver

    def spy(process: Process | None, envelope: Any, priority: Priority) -> Error | None:
        if isinstance(envelope, Message | Call) and envelope.sender == s.pid("agent"):
            seen.append((envelope, priority))
        return deliver(process, envelope, priority)

    s.a.core.tables.deliver = spy  # type: ignore[method-assign]
    return seen


# --- how to ask -------------------------------------------------------------------------------------------------------


@places
async def test_a_call_may_be_a_list_or_a_text(remote: bool) -> None:
    async with acting(remote=remote) as s:
        assert await s.do("pid") == await s.ask("agent", "pid") == await s.do("pid", 1, 2) == s.pid("agent")


@places
@pytest.mark.parametrize(
    "request_",
    [
        [], 1, True, b"pid", Atom("pid"), [Atom("pid")], [1, "pid"], [["pid"]], {"pid": 1},
        Typed(Slice(t.STRING), ["pid"]), ProcessID(Atom("pid"), Atom("x")), Event(Atom("pid"), Atom("x")),
        agent_types.Small(1, "pid"), Version("pid"),
    ],
    ids=repr,
)  # fmt: skip
async def test_a_call_of_anything_else_is_incorrect(request_: Any, remote: bool) -> None:
    async with acting(remote=remote) as s:
        assert await s.ask("agent", request_) == INCORRECT
        assert await s.received() == []


@pytest.mark.parametrize("op", ["", "Pid", "unknown", "__init__", "do", "pid "])
async def test_an_op_that_is_not_in_the_table(op: str) -> None:
    async with acting() as s:
        assert await s.do(op) == await s.ask("agent", op) == f'<unknown op "{op}">'


@places
async def test_an_op_that_is_sent_is_done_and_not_recorded(remote: bool) -> None:
    async with acting(remote=remote) as s:
        await s.send("agent", ["send", s.it.process.pid, "hello"])
        await s.send("agent", ["unknown"])
        assert s.it.told == ["hello"]
        assert await s.received() == []


async def test_an_empty_list_that_is_sent_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    async with acting() as s:
        pid = s.pid("agent")
        await s.it.monitor(pid)
        await s.send("agent", [])
        assert s.it.told == [Told("down", pid, "panic")]
        assert await s.do("pid") == s.pid("agent") != pid


@places
@pytest.mark.parametrize(
    ("message", "entry"),
    [
        ("hello", "string hello"), (5, "int 5"), (True, "bool true"), (Atom("pid"), "gen.Atom 'pid'"),
        ([Atom("pid"), 1], "[]interface {} ['pid' 1]"), ([1], "[]interface {} [1]"),
    ],
    ids=repr,
)  # fmt: skip
async def test_it_collects_what_is_no_op(message: Any, entry: str, remote: bool) -> None:
    async with acting(remote=remote) as s:
        await s.send("agent", message)
        assert await s.received() == [entry]
        assert await s.received() == []


# --- send and call ----------------------------------------------------------------------------------------------------


@places
@addresses
@pytest.mark.parametrize("op", SENDS)
async def test_it_sends(op: str, kind: str, remote: bool) -> None:
    async with acting(remote=remote) as s:
        seen = spied(s)
        to = address(s.a.spawn(idle, name="me"), kind)
        assert await s.do(op, to, ["hi", 1]) is True
        await settle()
        assert seen == [(Message(s.pid("agent"), ["hi", 1]), SENDS[op])]


@places
@addresses
@pytest.mark.parametrize("op", CALLS)
async def test_it_calls(op: str, kind: str, remote: bool) -> None:
    async with acting(remote=remote) as s:
        seen = spied(s)
        to = address(s.a.spawn(Echo(), name="me"), kind)
        assert await s.do(op, to, ["hi", 1]) == ["hi", 1]
        assert await s.do(op, to, Error("as a value")) == "<as a value>"
        assert await s.do(op, to, "!error:custom") == "<custom registered error>"
        assert [(call.payload, call.important, how) for call, how in seen] == [
            (value, op == "call_important", CALLS[op]) for value in (["hi", 1], Error("as a value"), "!error:custom")
        ]


@pytest.mark.parametrize(("op", "seconds"), [("call", 3), ("call_high", 5), ("call_max", 5), ("call_important", 5)])
async def test_so_long_it_waits_for_an_answer(op: str, seconds: int) -> None:
    async with acting() as s:
        pid = s.a.spawn(idle).pid
        await s.it.process.send(s.agent, [op, pid, "anybody?"])
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert await s.it.process.call(s.agent, "pid", timeout=60) == s.pid("agent")
        assert loop.time() - begun == pytest.approx(seconds)


@places
@pytest.mark.parametrize("op", [*SENDS, *CALLS])
async def test_a_target_that_is_not_there(op: str, remote: bool) -> None:
    """Only what is important is heard of from another node (ENP-IMP-4)."""
    async with acting(remote=remote) as s:
        answer = await s.do(op, ProcessID(s.a.name, Atom("nobody")), "hi") if op[:4] == "send" else None
        if op[:4] == "call":
            task = s.it.process.call(s.agent, [op, ProcessID(s.a.name, Atom("nobody")), "hi"], timeout=60)
            answer = f"<{(await task).text}>"
        silent = remote and "important" not in op
        quiet = True if op in SENDS else "<timed out>"
        assert answer == (quiet if silent else "<unknown process>")


@places
@pytest.mark.parametrize("name", ["sink", Atom("sink")], ids=repr)
async def test_a_text_and_an_atom_are_names_of_its_own_node(name: str, remote: bool) -> None:
    async with acting(remote=remote) as s:
        for count, op in enumerate(SENDS, start=1):
            assert await s.do(op, name, op) is True
            assert [await s.do(call, name, "last") for call in CALLS] == [op] * 4
            assert await s.do("call", name, "count") == count
        assert await s.do("call", name, "from") == s.pid("agent")


@places
@pytest.mark.parametrize("op", [*SENDS, *CALLS, *WATCHING])
async def test_other_targets_are_not_supported(op: str, remote: bool) -> None:
    async with acting(remote=remote) as s:
        pid = s.pid("agent")
        assert [await s.do(op, to, "hi") for to in NO_TARGETS] == [UNSUPPORTED] * len(NO_TARGETS)
        assert await s.do(op) == UNSUPPORTED
        if op in (*SENDS, *CALLS):
            assert await s.do(op, Event(s.a.name, Atom("ev"))) == UNSUPPORTED
        assert await s.do("pid") == pid


@pytest.mark.parametrize("op", [*SENDS, *CALLS])
async def test_nil_can_not_be_sent(op: str) -> None:
    """It is the value if none is given (ENP-REQ-5)."""
    async with acting() as s:
        frames = s.b.network.node(s.a.name).info.messages_out if s.b.network.connections else 0
        pid = s.it.process.pid
        for request in ([op, pid], [op, pid, None]):
            answer = await s.it.process.call(s.agent, request)
            assert isinstance(answer, Error)
        assert s.it.told == []
        assert s.b.network.node(s.a.name).info.messages_out == frames + 2


@places
@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("custom", "custom registered error"), ("kill", "kill"), ("normal", "normal"), ("some text", "some text"),
        (Error("an error"), "an error"), (agent_types.CUSTOM_ERROR, "custom registered error"), (None, "shutdown"),
        (5, "shutdown"), (Atom("kill"), "shutdown"), (["kill"], "shutdown"),
    ],
    ids=repr,
)  # fmt: skip
async def test_it_sends_exit_signals(reason: Any, text: str, remote: bool) -> None:
    async with acting(remote=remote) as s:
        process = s.a.spawn(idle)
        assert await s.do("exit", process.pid, reason) is True
        assert await s.do("exit", s.it.process.pid, reason) is True
        await settle()
        assert process.reason is not None
        assert process.reason.text == text
        assert s.it.told == [Told("exit", s.pid("agent"), text)]


async def test_without_a_reason_it_is_shutdown() -> None:
    async with acting() as s:
        process = s.a.spawn(idle)
        assert await s.do("exit", process.pid) is True
        await settle()
        assert process.reason == error_values.SHUTDOWN


@places
@pytest.mark.parametrize("what", ["nothing", "text", "atom", "int", "name", "alias"])
async def test_it_ends_if_it_is_to_exit_what_is_no_pid(
    what: str, remote: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with acting(remote=remote) as s:
        pid, process = s.pid("agent"), s.a.spawn(idle, name="me")
        simple: dict[str, Any] = {"text": "me", "atom": Atom("me"), "int": process.pid.id}
        given = [] if what == "nothing" else [simple.get(what) or address(process, what)]
        await s.it.monitor(pid)
        await s.send("agent", ["exit", *given])
        assert s.it.told == [Told("down", pid, "panic")]
        assert process.reason is None
