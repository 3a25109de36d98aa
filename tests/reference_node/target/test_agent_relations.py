"""The agent `agent`: links, monitors and collected notifications (protocol notes: agents, section 4)."""

from collections.abc import Callable
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo.error_values import SHUTDOWN
from ergo_conformance.model.types import Slice
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID, Typed
from ergo_conformance.reference_node.target.go_format import go_format
from tests.support.agent_scenario import AgentScenario, agent_scenario, local_and_remote, target_of
from tests.support.consumers import idle
from tests.support.nodes import settle

NOTIFICATIONS = {"link": "Exit", "monitor": "Down"}
REMOVALS = {"unlink": "link", "demonitor": "monitor"}
MESSAGE_KINDS = {"pid": "PID", "name": "ProcessID", "alias": "Alias", "event": "Event"}


@local_and_remote
@pytest.mark.parametrize("kind", MESSAGE_KINDS)
@pytest.mark.parametrize("op", NOTIFICATIONS)
async def test_link_and_monitor_collect_the_end_of_the_target(op: str, kind: str, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        process = s.a.spawn(idle, name="me")
        target = target_of(process, kind)
        assert await s.run_op(op, target) == ("[]" if kind == "event" else True)
        assert await s.run_op(op, target) == "<target is already exist>"
        process.stop(Error("bye"))
        (entry,) = await s.received()
        word, rest = entry.split(" ", 1)
        assert word == f"gen.Message{NOTIFICATIONS[op]}{MESSAGE_KINDS[kind]}"
        assert rest.startswith("{")
        assert rest.endswith(" bye}")
        unknown = {"alias": "alias", "event": "event"}.get(kind, "process")
        assert await s.run_op(op, target) == f"<unknown {unknown}>"


@local_and_remote
@pytest.mark.parametrize("kind", MESSAGE_KINDS)
@pytest.mark.parametrize("op", REMOVALS)
async def test_unlink_and_demonitor_remove_the_relation(op: str, kind: str, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        process = s.a.spawn(idle, name="me")
        target = target_of(process, kind)
        assert await s.run_op(op, target) == "<unknown target>"
        await s.run_op(REMOVALS[op], target)
        assert await s.run_op(op, target) is True
        assert await s.run_op(op, target) == "<unknown target>"
        process.stop(Error("bye"))
        assert await s.received() == []


@local_and_remote
@pytest.mark.parametrize("op", NOTIFICATIONS)
@pytest.mark.parametrize("name", ["crasher", Atom("crasher")], ids=repr)
async def test_a_string_or_atom_target_is_a_name_of_its_own_node(op: str, name: str, remote: bool) -> None:
    async with agent_scenario(remote=remote) as s:
        removal = next(back for back, take in REMOVALS.items() if take == op)
        assert [await s.run_op(each, name) for each in (op, removal, op)] == [True] * 3
        await s.send("crasher", "custom")
        (entry,) = await s.received()
        assert entry.startswith(f"gen.Message{NOTIFICATIONS[op]}ProcessID {{<")
        assert entry.endswith(".'crasher'> custom registered error}")


@local_and_remote
@pytest.mark.parametrize("op", NOTIFICATIONS)
async def test_event_messages_are_collected(op: str, remote: bool) -> None:
    """The answer is the list of buffered messages, as a text."""
    async with agent_scenario(remote=remote) as s:
        event = Event(s.a.name, Atom("mine"))
        s.requester.process.register_event("mine", buffer=2)
        s.requester.process.publish("mine", "first")
        s.requester.process.publish("mine", 2)
        text = await s.run_op(op, event)
        assert [text[:9], text.count("Event#<"), text.count("'mine'")] == ["[{Event#<", 2, 2]
        assert text.index(" first} {") < text.index(" 2}]")
        s.requester.process.publish("mine", ["third"])
        (entry,) = await s.received()
        assert entry.startswith("gen.MessageEvent {Event#<")
        assert entry.endswith(" [third]}")


async def check_node_notifications(disconnect: Callable[[AgentScenario], Any], notifications: list[str]) -> None:
    async with agent_scenario() as s:
        assert await s.run_op("link_node", s.a.name) is True
        assert await s.run_op("monitor_node", str(s.a.name)) is True
        assert await s.run_op("monitor_node", s.a.name) == "<target is already exist>"
        disconnect(s)
        await settle()
        assert sorted(await s.received()) == notifications


async def test_link_node_and_monitor_node_collect_the_loss_of_a_node() -> None:
    await check_node_notifications(
        lambda s: s.a.core.disconnect(s.b.name),
        ["gen.MessageDownNode {'a@localhost'}", "gen.MessageExitNode {'a@localhost'}"],
    )


@local_and_remote
@pytest.mark.parametrize("op", ["link_node", "monitor_node", "connect"])
@pytest.mark.parametrize(
    "node", ["nowhere@localhost", Atom("nowhere@localhost"), "", 5, None, ["a@localhost"]], ids=repr
)
async def test_an_unreachable_node_is_no_route(op: str, node: Any, remote: bool) -> None:
    """A name that is neither an atom nor a string counts as empty."""
    async with agent_scenario(remote=remote) as s:
        assert await s.run_op(op, node) == await s.run_op(op, *[] if node is None else [node]) == "<no route>"


async def test_an_entry_equals_that_of_a_recorded_node() -> None:
    """From the capture handshake_reverse: the agent of b monitors the crasher of a."""
    async with agent_scenario() as s:
        assert s.a.name == "a@localhost"
        process = s.a.spawn(idle, name="crasher")
        await s.run_op("monitor", ProcessID(s.a.name, Atom("crasher")))
        process.stop(SHUTDOWN)
        assert await s.received() == ["gen.MessageDownProcessID {<2887105A.'crasher'> shutdown}"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (PID(Atom("a@localhost"), (2 << 32) + 1004, 7), "<2887105A.2.1004>"),
        (PID(Atom(""), 0, 0), "<.0.0>"),
        (ProcessID(Atom("a@localhost"), Atom("echo")), "<2887105A.'echo'>"),
        (Alias(Atom("a@localhost"), 7, (1, 2, 3)), "Alias#<2887105A.1.2.3>"),
        (Event(Atom("a@localhost"), Atom("ev")), "Event#<2887105A:'ev'>"),
        (Atom("a@localhost"), "'a@localhost'"),
        (Error("an error"), "an error"),
        (Typed(t.INT64, 5), "5"),
        (["a", None, [True, 1]], "[a <nil> [true 1]]"),
    ],
    ids=repr,
)
def test_values_have_the_text_of_go(value: Any, text: str) -> None:
    assert go_format(value) == text


@pytest.mark.parametrize(
    ("message", "entry"),
    [(Typed(t.INT64, 5), "int64 5"), (Typed(Slice(t.STRING), ["a", "b"]), "[]string [a b]")],
    ids=repr,
)
async def test_typed_values_are_collected_with_their_type(message: Any, entry: str) -> None:
    async with agent_scenario() as s:
        await s.send("agent", message)
        assert await s.received() == [entry]
