"""The agent `agent`: form of requests, send, call and exit (protocol notes: agents, section 4)."""

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
from tests.support.agent_scenario import AgentScenario, agent_scenario, local_and_remote, target_of
from tests.support.consumers import Termination, idle
from tests.support.nodes import settle

INCORRECT, UNSUPPORTED = "<incorrect value or argument>", "<not supported>"
RELATION_OPS = ("link", "monitor", "unlink", "demonitor")
SENDS = {"send": 0, "send_high": 1, "send_max": 2, "send_important": 0}
CALLS = {"call": 0, "call_high": 1, "call_max": 2, "call_important": 0}
NO_TARGETS = [None, 1, True, ["sink"], Error("sink"), b"sink"]
addresses = pytest.mark.parametrize("kind", ["pid", "name", "alias"])


def record_deliveries(s: AgentScenario) -> list[tuple[Any, Priority]]:
    """Records messages and calls of the agent to processes of the requester's node, with their priority."""
    seen: list[tuple[Any, Priority]] = []
    deliver = s.a.core.tables.deliver

    def record_delivery(process: Process | None, envelope: Any, priority: Priority) -> Error | None:
        if isinstance(envelope, Message | Call) and envelope.sender == s.pid("agent"):
            seen.append((envelope, priority))
        return deliver(process, envelope, priority)

    s.a.core.tables.deliver = record_delivery  # type: ignore[method-assign]
    return seen


# --- requests ---------------------------------------------------------------------------------------------------------


@local_and_remote
async def test_a_request_is_a_list_or_a_string(remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        assert await s.run_op("pid") == await s.ask("agent", "pid") == await s.run_op("pid", 1, 2) == s.pid("agent")


@local_and_remote
@pytest.mark.parametrize(
    "request_",
    [
        [], 1, True, b"pid", Atom("pid"), [Atom("pid")], [1, "pid"], [["pid"]], {"pid": 1},
        Typed(Slice(t.STRING), ["pid"]), ProcessID(Atom("pid"), Atom("x")), Event(Atom("pid"), Atom("x")),
        agent_types.Small(1, "pid"), Version("pid"),
    ],
    ids=repr,
)  # fmt: skip
async def test_a_request_of_another_type_is_incorrect(request_: Any, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        assert await s.ask("agent", request_) == INCORRECT
        assert await s.received() == []


@pytest.mark.parametrize("op", ["", "Pid", "unknown", "__init__", "do", "pid "])
async def test_an_unknown_op_is_answered_with_its_name(op: str) -> None:
    async with agent_scenario() as s:
        assert await s.run_op(op) == await s.ask("agent", op) == f'<unknown op "{op}">'


@local_and_remote
async def test_an_op_in_a_message_is_executed_and_not_collected(remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        await s.send("agent", ["send", s.requester.process.pid, "hello"])
        await s.send("agent", ["unknown"])
        assert s.requester.received == ["hello"]
        assert await s.received() == []


async def test_an_empty_list_in_a_message_ends_the_agent(caplog: pytest.LogCaptureFixture) -> None:
    async with agent_scenario() as s:
        pid = s.pid("agent")
        await s.requester.monitor(pid)
        await s.send("agent", [])
        assert s.requester.received == [Termination("down", pid, "panic")]
        assert await s.run_op("pid") == s.pid("agent") != pid


@local_and_remote
@pytest.mark.parametrize(
    ("message", "entry"),
    [
        ("hello", "string hello"), (5, "int 5"), (True, "bool true"), (Atom("pid"), "gen.Atom 'pid'"),
        ([Atom("pid"), 1], "[]interface {} ['pid' 1]"), ([1], "[]interface {} [1]"),
    ],
    ids=repr,
)  # fmt: skip
async def test_a_message_that_is_not_an_op_is_collected(message: Any, entry: str, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        await s.send("agent", message)
        assert await s.received() == [entry]
        assert await s.received() == []


# --- send and call ----------------------------------------------------------------------------------------------------


@local_and_remote
@addresses
@pytest.mark.parametrize("op", SENDS)
async def test_send_ops_deliver_with_their_priority(op: str, kind: str, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        seen = record_deliveries(s)
        to = target_of(s.a.spawn(idle, name="me"), kind)
        assert await s.run_op(op, to, ["hi", 1]) is True
        await settle()
        assert seen == [(Message(s.pid("agent"), ["hi", 1]), SENDS[op])]


@local_and_remote
@addresses
@pytest.mark.parametrize("op", CALLS)
async def test_call_ops_return_the_answer(op: str, kind: str, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        seen = record_deliveries(s)
        to = target_of(s.a.spawn(Echo(), name="me"), kind)
        assert await s.run_op(op, to, ["hi", 1]) == ["hi", 1]
        assert await s.run_op(op, to, Error("as a value")) == "<as a value>"
        assert await s.run_op(op, to, "!error:custom") == "<custom registered error>"
        assert [(call.payload, call.important, how) for call, how in seen] == [
            (value, op == "call_important", CALLS[op]) for value in (["hi", 1], Error("as a value"), "!error:custom")
        ]


@pytest.mark.parametrize(("op", "seconds"), [("call", 3), ("call_high", 5), ("call_max", 5), ("call_important", 5)])
async def test_call_ops_have_their_timeout(op: str, seconds: int) -> None:
    async with agent_scenario() as s:
        pid = s.a.spawn(idle).pid
        await s.requester.process.send(s.agent, [op, pid, "anybody?"])
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert await s.requester.process.call(s.agent, "pid", timeout=60) == s.pid("agent")
        assert loop.time() - begun == pytest.approx(seconds)


@local_and_remote
@pytest.mark.parametrize("op", [*SENDS, *CALLS])
async def test_an_unknown_target_is_reported_if_the_delivery_is_local_or_important(op: str, remote: bool) -> None:
    """A remote failure is reported only for important delivery (ENP-IMP-4)."""
    async with agent_scenario(remote=remote) as s:
        answer = await s.run_op(op, ProcessID(s.a.name, Atom("nobody")), "hi") if op[:4] == "send" else None
        if op[:4] == "call":
            task = s.requester.process.call(s.agent, [op, ProcessID(s.a.name, Atom("nobody")), "hi"], timeout=60)
            answer = f"<{(await task).text}>"
        undetected = remote and "important" not in op
        result_without_error = True if op in SENDS else "<timed out>"
        assert answer == (result_without_error if undetected else "<unknown process>")


@local_and_remote
@pytest.mark.parametrize("name", ["sink", Atom("sink")], ids=repr)
async def test_a_string_and_an_atom_are_names_of_its_own_node(name: str, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        for count, op in enumerate(SENDS, start=1):
            assert await s.run_op(op, name, op) is True
            assert [await s.run_op(call, name, "last") for call in CALLS] == [op] * 4
            assert await s.run_op("call", name, "count") == count
        assert await s.run_op("call", name, "from") == s.pid("agent")


@local_and_remote
@pytest.mark.parametrize("op", [*SENDS, *CALLS, *RELATION_OPS])
async def test_other_targets_are_not_supported(op: str, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        pid = s.pid("agent")
        assert [await s.run_op(op, to, "hi") for to in NO_TARGETS] == [UNSUPPORTED] * len(NO_TARGETS)
        assert await s.run_op(op) == UNSUPPORTED
        if op in (*SENDS, *CALLS):
            assert await s.run_op(op, Event(s.a.name, Atom("ev"))) == UNSUPPORTED
        assert await s.run_op("pid") == pid


@pytest.mark.parametrize("op", [*SENDS, *CALLS])
async def test_nil_is_not_sent(op: str) -> None:
    """Nil is also the default of the value (ENP-REQ-5)."""
    async with agent_scenario() as s:
        frames = s.b.network.node(s.a.name).info.messages_out if s.b.network.connections else 0
        pid = s.requester.process.pid
        for request in ([op, pid], [op, pid, None]):
            answer = await s.requester.process.call(s.agent, request)
            assert isinstance(answer, Error)
        assert s.requester.received == []
        assert s.b.network.node(s.a.name).info.messages_out == frames + 2


@local_and_remote
@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("custom", "custom registered error"), ("kill", "kill"), ("normal", "normal"), ("some text", "some text"),
        (Error("an error"), "an error"), (agent_types.CUSTOM_ERROR, "custom registered error"), (None, "shutdown"),
        (5, "shutdown"), (Atom("kill"), "shutdown"), (["kill"], "shutdown"),
    ],
    ids=repr,
)  # fmt: skip
async def test_exit_sends_the_reason(reason: Any, text: str, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        process = s.a.spawn(idle)
        assert await s.run_op("exit", process.pid, reason) is True
        assert await s.run_op("exit", s.requester.process.pid, reason) is True
        await settle()
        assert process.reason is not None
        assert process.reason.text == text
        assert s.requester.received == [Termination("exit", s.pid("agent"), text)]


async def test_exit_without_a_reason_is_shutdown() -> None:
    async with agent_scenario() as s:
        process = s.a.spawn(idle)
        assert await s.run_op("exit", process.pid) is True
        await settle()
        assert process.reason == error_values.SHUTDOWN


@local_and_remote
@pytest.mark.parametrize("what", ["nothing", "text", "atom", "int", "name", "alias"])
async def test_exit_of_a_target_that_is_not_a_pid_ends_the_agent(
    what: str, remote: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with agent_scenario(remote=remote) as s:
        pid, process = s.pid("agent"), s.a.spawn(idle, name="me")
        simple: dict[str, Any] = {"text": "me", "atom": Atom("me"), "int": process.pid.id}
        given = [] if what == "nothing" else [simple.get(what) or target_of(process, what)]
        await s.requester.monitor(pid)
        await s.send("agent", ["exit", *given])
        assert s.requester.received == [Termination("down", pid, "panic")]
        assert process.reason is None
