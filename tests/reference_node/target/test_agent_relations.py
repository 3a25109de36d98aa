"""The agent that does what it is told links and monitors, and collects what it hears (protocol notes: agents, section 4)."""

from collections.abc import Callable
from typing import Any

import pytest

from ergo_conformance.model import types as t
from ergo_conformance.model.ergo.error_values import SHUTDOWN
from ergo_conformance.model.types import Slice
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID, Typed
from ergo_conformance.reference_node.target.go_format import go_format
from tests.support.acting import Scene, acting, address, places
from tests.support.nodes import settle
from tests.support.watchers import idle

TAKES = {"link": "Exit", "monitor": "Down"}
GIVES = {"unlink": "link", "demonitor": "monitor"}
WORDS = {"pid": "PID", "name": "ProcessID", "alias": "Alias", "event": "Event"}


@places
@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("op", TAKES)
async def test_it_watches_and_collects_the_end(op: str, kind: str, remote: bool) -> None:
    async with acting(remote=remote) as s:
        process = s.a.spawn(idle, name="me")
        target = address(process, kind)
        assert await s.do(op, target) == ("[]" if kind == "event" else True)
        assert await s.do(op, target) == "<target is already exist>"
        process.stop(Error("bye"))
        (entry,) = await s.received()
        word, rest = entry.split(" ", 1)
        assert word == f"gen.Message{TAKES[op]}{WORDS[kind]}"
        assert rest.startswith("{")
        assert rest.endswith(" bye}")
        unknown = {"alias": "alias", "event": "event"}.get(kind, "process")
        assert await s.do(op, target) == f"<unknown {unknown}>"


@places
@pytest.mark.parametrize("kind", WORDS)
@pytest.mark.parametrize("op", GIVES)
async def test_it_watches_no_more(op: str, kind: str, remote: bool) -> None:
    async with acting(remote=remote) as s:
        process = s.a.spawn(idle, name="me")
        target = address(process, kind)
        assert await s.do(op, target) == "<unknown target>"
        await s.do(GIVES[op], target)
        assert await s.do(op, target) is True
        assert await s.do(op, target) == "<unknown target>"
        process.stop(Error("bye"))
        assert await s.received() == []


@places
@pytest.mark.parametrize("op", TAKES)
@pytest.mark.parametrize("name", ["crasher", Atom("crasher")], ids=repr)
async def test_it_watches_a_name_of_its_own_node(op: str, name: str, remote: bool) -> None:
    async with acting(remote=remote) as s:
        give_back = next(back for back, take in GIVES.items() if take == op)
        assert [await s.do(each, name) for each in (op, give_back, op)] == [True] * 3
        await s.send("crasher", "custom")
        (entry,) = await s.received()
        assert entry.startswith(f"gen.Message{TAKES[op]}ProcessID {{<")
        assert entry.endswith(".'crasher'> custom registered error}")


@places
@pytest.mark.parametrize("op", TAKES)
async def test_it_hears_events(op: str, remote: bool) -> None:
    """The answer is the list of the last ones, as a text."""
    async with acting(remote=remote) as s:
        event = Event(s.a.name, Atom("mine"))
        s.it.process.register_event("mine", buffer=2)
        s.it.process.publish("mine", "first")
        s.it.process.publish("mine", 2)
        text = await s.do(op, event)
        assert [text[:9], text.count("Event#<"), text.count("'mine'")] == ["[{Event#<", 2, 2]
        assert text.index(" first} {") < text.index(" 2}]")
        s.it.process.publish("mine", ["third"])
        (entry,) = await s.received()
        assert entry.startswith("gen.MessageEvent {Event#<")
        assert entry.endswith(" [third]}")


async def ended(how: Callable[[Scene], Any], told: list[str]) -> None:
    async with acting() as s:
        assert await s.do("link_node", s.a.name) is True
        assert await s.do("monitor_node", str(s.a.name)) is True
        assert await s.do("monitor_node", s.a.name) == "<target is already exist>"
        how(s)
        await settle()
        assert sorted(await s.received()) == told


async def test_it_watches_a_node() -> None:
    await ended(
        lambda s: s.a.core.disconnect(s.b.name),
        ["gen.MessageDownNode {'a@localhost'}", "gen.MessageExitNode {'a@localhost'}"],
    )


@places
@pytest.mark.parametrize("op", ["link_node", "monitor_node", "connect"])
@pytest.mark.parametrize(
    "node", ["nowhere@localhost", Atom("nowhere@localhost"), "", 5, None, ["a@localhost"]], ids=repr
)
async def test_a_node_that_is_not_there(op: str, node: Any, remote: bool) -> None:
    """What is neither an atom nor a text counts as empty."""
    async with acting(remote=remote) as s:
        assert await s.do(op, node) == await s.do(op, *[] if node is None else [node]) == "<no route>"


async def test_an_entry_as_a_real_node_printed_it() -> None:
    """Of the recorded handshake_reverse: b's agent monitors a's crasher."""
    async with acting() as s:
        assert s.a.name == "a@localhost"
        process = s.a.spawn(idle, name="crasher")
        await s.do("monitor", ProcessID(s.a.name, Atom("crasher")))
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
def test_how_values_are_printed(value: Any, text: str) -> None:
    assert go_format(value) == text


@pytest.mark.parametrize(
    ("message", "entry"),
    [(Typed(t.INT64, 5), "int64 5"), (Typed(Slice(t.STRING), ["a", "b"]), "[]string [a b]")],
    ids=repr,
)
async def test_values_that_bring_their_type(message: Any, entry: str) -> None:
    async with acting() as s:
        await s.send("agent", message)
        assert await s.received() == [entry]
