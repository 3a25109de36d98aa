"""The agents pub and crasher, the factories and the applications (protocol notes: agents, sections 3, 5, 6 and 8)."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo import agent_types, error_values
from ergo_conformance.model.ergo.gen import RemoteProcessOptions
from ergo_conformance.model.types import Slice
from ergo_conformance.model.values import Alias, Atom, Error, Event, ProcessID, Ref, Typed
from ergo_conformance.reference_node.api.applications import ApplicationMode, ApplicationState
from tests.support.agent_scenario import AgentScenario, agent_scenario, local_and_remote
from tests.support.consumers import EventMessage, Termination, error_text
from tests.support.nodes import run_as_process, settle

NOT_STRINGS = [Atom("publish"), 1, ["publish"], b"publish", Typed(Slice(t.STRING), ["publish"]), True, {"publish": 1}]
UNSUPPORTED = "<not supported>"


# --- pub --------------------------------------------------------------------------------------------------------------


@local_and_remote
@pytest.mark.parametrize("name", ["ev", "ev_nobuf", "ev_notify", "ev_cached"])
async def test_pub_publishes_a_counter_or_a_text(name: str, remote: bool) -> None:
    """A counter, shared by all events, or the given text, also with colons."""
    async with agent_scenario(remote=remote) as s:
        event = Event(s.b.name, Atom(name))
        await s.requester.link(event)
        assert await s.ask("pub", f"publish:{name}") == 1
        assert await s.ask("pub", f"publish:{name}:a text: with colons") == 2
        assert await s.ask("pub", f"publish:{name}:") == 3
        await settle()
        assert s.requester.received == [
            EventMessage(event, 1),
            EventMessage(event, "a text: with colons"),
            EventMessage(event, ""),
        ]


@local_and_remote
async def test_pub_publishes_on_ev_by_default(remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        event = Event(s.b.name, Atom("ev"))
        await s.requester.link(event)
        assert [await s.ask("pub", text) for text in ("publish", "publish:", "publish::x")] == [1, 2, 3]
        await s.send("pub", "publish")
        assert s.requester.received == [
            EventMessage(event, 1),
            EventMessage(event, 2),
            EventMessage(event, "x"),
            EventMessage(event, 4),
        ]
        assert await s.ask("pub", "publish:nothing") == "<unknown event>"
        assert await s.ask("pub", "publish") == 6


@local_and_remote
@pytest.mark.parametrize(("name", "buffer"), [("ev", 3), ("ev_nobuf", 0), ("ev_notify", 2), ("ev_cached", 1)])
async def test_the_events_of_pub_have_their_buffer(name: str, buffer: int, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        for _ in range(5):
            await s.ask("pub", f"publish:{name}")
        last = await s.requester.monitor(Event(s.b.name, Atom(name)))
        assert [event.Message for event in last] == [1, 2, 3, 4, 5][5 - buffer :]


@local_and_remote
@pytest.mark.parametrize("name", ["ev", "ev_nobuf", "ev_notify", "ev_cached"])
async def test_pub_counts_notifications_of_ev_notify(name: str, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        for i in range(1, 3):
            await s.requester.link(Event(s.b.name, Atom(name)))
            await s.requester.process.unlink(Event(s.b.name, Atom(name)))
            wanted = i if name == "ev_notify" else 0
            assert [await s.ask("pub", word) for word in ("starts", "stops")] == [wanted, wanted]


@local_and_remote
async def test_pub_creates_and_deletes_aliases(remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        assert await s.ask("pub", "delete_alias") == "<unknown alias>"
        alias = await s.ask("pub", "alias")
        assert isinstance(alias, Alias)
        assert await s.ask("pub", "alias") == alias
        others = [await s.ask("pub", "create_alias") for _ in range(2)]
        assert len({alias, *others}) == 3
        for each in (alias, *others):
            assert await s.requester.process.call(each, "starts") == 0
        await s.requester.monitor(alias)
        assert await s.ask("pub", "delete_alias") == alias
        await settle()
        assert s.requester.received == [Termination("down", alias, "unregistered")]
        assert await s.ask("pub", "delete_alias") == "<unknown alias>"
        assert await s.ask("pub", "alias") not in (alias, *others)


@local_and_remote
async def test_pub_registers_and_unregisters_events(remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        event = Event(s.b.name, Atom("more"))
        assert await s.ask("pub", "event") == Event(s.b.name, Atom("ev"))
        assert await s.ask("pub", "unregister_event:more") == "<unknown event>"
        assert isinstance(await s.ask("pub", "register_event:more"), Ref)
        assert await s.ask("pub", "register_event:more") == "<resource is taken>"
        for _ in range(5):
            await s.ask("pub", "publish:more")
        assert [event.Message for event in await s.requester.link(event)] == [3, 4, 5]
        assert await s.ask("pub", "unregister_event:more") is True
        await settle()
        assert s.requester.received == [Termination("exit", event, "unregistered")]


@pytest.mark.parametrize("word", ["register_event", "unregister_event"])
async def test_pub_is_restarted_after_a_request_without_a_name(word: str, caplog: pytest.LogCaptureFixture) -> None:
    async with agent_scenario() as s:
        await s.requester.monitor(s.pid("pub"))
        pid = s.pid("pub")
        await s.send("pub", word)
        assert s.requester.received == [Termination("down", pid, "panic")]
        assert await s.ask("pub", "publish") == 1


@local_and_remote
@pytest.mark.parametrize("request_", ["", "Publish", "unknown:word", ":", *NOT_STRINGS], ids=repr)
async def test_pub_answers_other_requests_with_unsupported(request_: Any, remote: bool) -> None:
    """An atom is not a string."""
    async with agent_scenario(remote=remote) as s:
        await s.requester.link(Event(s.b.name, Atom("ev")))
        assert await s.ask("pub", request_) == UNSUPPORTED
        await s.send("pub", request_)
        assert await s.ask("pub", "publish") == 1


# --- crasher ----------------------------------------------------------------------------------------------------------

TEXTS = {
    "normal": "normal", "shutdown": "shutdown", "kill": "kill", "panic": "panic", "unknown": "unknown process",
    "mailbox": "process mailbox is full", "terminated": "process terminated", "timeout": "timed out",
    "custom": "custom registered error", "anything else": "anything else", "": "", "Normal": "Normal",
}  # fmt: skip
SENT: list[tuple[Any, str]] = [
    *TEXTS.items(),
    ("gopanic", "panic"),
    (Atom("gopanic"), "'gopanic'"),
    (Atom("unknown"), "'unknown'"),
    (Error("an error"), "an error"),
    (agent_types.CUSTOM_ERROR, "custom registered error"),
    (error_values.KILL, "kill"),
    (5, "5"),
    (True, "true"),
    (["a", 1], "[a 1]"),
    ("pid", "pid"),
]


async def crash(s: AgentScenario, message: Any, *, call: bool) -> list[Any]:
    """Ends crasher; returns the notifications of monitors by PID and by name; crasher is restarted then."""
    pid, name = s.pid("crasher"), ProcessID(s.b.name, Atom("crasher"))
    await s.requester.monitor(pid)
    await s.requester.monitor(name)
    if call:
        assert await error_text(s.requester.process.call(name, message, timeout=1)) == "timed out"
    else:
        await s.send("crasher", message)
    assert s.pid("crasher") != pid
    assert {repr(told.source) for told in s.requester.received} == {repr(pid), repr(name)}
    return [(told.signal, told.reason) for told in s.requester.take_received()]


@local_and_remote
@pytest.mark.parametrize(("message", "text"), SENT, ids=repr)
async def test_crasher_ends_with_the_reason_in_a_message(message: Any, text: str, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        for _ in range(2):
            assert await crash(s, message, call=False) == [("down", text)] * 2


@local_and_remote
@pytest.mark.parametrize(
    ("message", "text"),
    [row for row in SENT if row[0] not in ("gopanic", "pid")] + [("gopanic", "gopanic"), (Atom("pid"), "'pid'")],
    ids=repr,
)
async def test_crasher_ends_with_the_reason_in_a_call_without_an_answer(message: Any, text: str, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        assert await crash(s, message, call=True) == [("down", text)] * 2


@local_and_remote
async def test_crasher_answers_pid_alias_and_event(remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        event = Event(s.b.name, Atom("crasher_ev"))
        pid = None
        for _ in range(2):
            pid, alias = await s.ask("crasher", "pid"), await s.ask("crasher", "alias")
            assert pid == s.pid("crasher")
            assert await s.ask("crasher", "alias") == alias
            assert await s.requester.process.call(alias, "pid") == pid
            assert await s.ask("crasher", "event") == await s.ask("crasher", "event") == event
            for target in (alias, event):
                await s.requester.link(target)
            await s.send("crasher", "custom")
            told = sorted(s.requester.take_received(), key=repr)
            assert told == sorted((Termination("exit", x, "custom registered error") for x in (alias, event)), key=repr)
        assert await s.ask("crasher", "pid") != pid


async def test_crasher_is_restarted_within_20_ms() -> None:
    async with agent_scenario() as s:
        for _ in range(20):
            pid = await s.ask("crasher", "pid")
            await s.requester.process.send(pid, "kill")
            await asyncio.sleep(0.02)
            assert await s.ask("crasher", "pid") != pid


# --- factories and applications ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["echo_factory", "crasher_factory", "restricted_factory"])
@pytest.mark.parametrize("node", ["a@localhost", "allowed@localhost"])
async def test_the_factories_spawn_by_permission(name: str, node: str) -> None:
    async with agent_scenario() as s:
        other = s.a if node == s.a.name else s.net.node(node)
        spawn = other.core.remote.spawn(
            None, s.b.name, Atom(name), ["unknown", 1], RemoteProcessOptions(Env={"K": "v"})
        )
        if (name, node) == ("restricted_factory", "a@localhost"):
            assert await error_text(spawn) == "not allowed"
            return
        pid = await spawn
        if name == "crasher_factory":
            assert await run_as_process(other, lambda it: it.call(pid, "pid")) == pid
            assert (
                await error_text(run_as_process(other, lambda it: it.call(pid, "shutdown", timeout=1))) == "timed out"
            )
            assert pid.id not in s.b.core.tables.processes
            assert s.pid("crasher") != pid
        else:
            assert await run_as_process(other, lambda it: it.call(pid, "!env")) == Typed(Slice(t.STRING), ["K=v"])
            assert await run_as_process(other, lambda it: it.call(pid, ["x"])) == ["x"]


APPS = {"test_app": 2, "test_app1": 1, "test_app2": 1, "test_app3": 1, "restricted_app": 1}


@pytest.mark.parametrize(("name", "own"), APPS.items())
@pytest.mark.parametrize("mode", list(ApplicationMode), ids=lambda mode: mode.name)
@pytest.mark.parametrize("node", ["a@localhost", "allowed@localhost"])
async def test_the_applications_start_by_permission_and_mode(
    name: str, own: int, mode: ApplicationMode, node: str
) -> None:
    async with agent_scenario() as s:
        other = s.a if node == s.a.name else s.net.node(node)
        application = s.b.core.applications.get(name)
        assert (application.state, application.mode) == (ApplicationState.LOADED, own)
        start = other.core.remote.start_application(s.b.name, Atom(name), mode)
        if (name, node) == ("restricted_app", "a@localhost"):
            assert await error_text(start) == "not allowed"
            return
        await start
        assert (application.state, application.mode) == (ApplicationState.RUNNING, mode or own)
        assert await s.ask(f"{name}_worker", "hi") == "hi"
        assert await s.ask(f"{name}_worker", "!terminate") == "bye"
        await settle()
        assert application.state is ApplicationState.LOADED
