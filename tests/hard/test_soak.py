"""The soak program: eight seconds hold all invariants, and each broken invariant is reported."""

import asyncio
import importlib
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.model.ergo import error_values
from ergo_conformance.model.values import PID, Atom, Event
from ergo_conformance.reference_node.api.errors import ErgoError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NODE = None
"""These tests call the handlers of agents directly: no agent uses its node."""
SENDER = PID(Atom("n1@localhost"), 1001, 5)


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("soak_agents")


@pytest.fixture
def soak(agents: Any) -> Any:
    return importlib.import_module("soak")


@pytest.mark.timeout(600)
def test_eight_seconds_of_soak_hold_all_invariants() -> None:
    command = [sys.executable, str(BENCHMARKS / "soak.py"), "--minutes", str(8 / 60), "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=550)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert done.stdout.endswith("all invariants hold\n")
    counts = {
        what.strip(): int(n.replace(",", ""))
        for what, n in re.findall(r"^([a-z ]+?)  +([\d,]+)$", done.stdout, re.MULTILINE)
    }
    for what in ("acknowledged", "calls", "cut sockets", "events", "received", "relations", "reported", "spawned"):
        assert counts[what] > 5, what


# --- broken invariants ------------------------------------------------------------------------------------------------


def notes_of_inbox(agents: Any, *messages: list[int]) -> Any:
    """Returns the notes of an inbox that received these messages."""
    notes = agents.Notes("n0@localhost")

    async def receive_all() -> None:
        inbox = agents.Inbox(notes)
        for message in messages:
            await inbox.handle_message(SENDER, message)

    asyncio.run(receive_all())
    return notes


def broken_later(notes: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the broken invariants 10 s later."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 10)
    notes.judge()
    broken: list[str] = notes.broken
    return broken


def test_wrong_order_is_reported_unless_a_socket_was_lost(agents: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken_later(notes_of_inbox(agents, [1, 0], [2, 1], [5, 0]), monkeypatch) == []
    assert len(broken_later(notes_of_inbox(agents, [1, 0], [3, 1], [2, 0]), monkeypatch)) == 1
    monkeypatch.undo()
    cut = notes_of_inbox(agents, [1, 0], [3, 1], [2, 0])
    cut.socket_lost(SENDER.node)
    assert broken_later(cut, monkeypatch) == []
    assert cut.counts["reordered at a cut"] == 1


def test_a_repeated_message_is_reported(agents: Any) -> None:
    assert "twice" in notes_of_inbox(agents, [1, 0], [1, 0]).broken[0]


def test_a_missing_acknowledged_message_is_reported(soak: Any, agents: Any) -> None:
    notes = agents.Notes("n0@localhost")

    class InboxStub:
        async def call(self, to: Any, request: str) -> list[int]:
            return [5, 2, 6]

    holder = type("Holder", (), {"notes": notes})()
    compare = soak.soak_node.Soak._compare
    asyncio.run(compare(holder, InboxStub(), "inbox", 5, {2, 6}))
    asyncio.run(compare(holder, InboxStub(), "inbox", 4, {2, 4, 6}))  # another incarnation: unknown
    assert notes.broken == []
    asyncio.run(compare(holder, InboxStub(), "inbox", 5, {2, 4, 6}))
    assert "acknowledged, but not received by inbox: [4]" in notes.broken[0]


def test_a_repeated_notice_is_reported(agents: Any) -> None:
    notes = agents.Notes("n0@localhost")
    relater = agents.Relater(notes, NODE, Atom("n1@localhost"), random.Random(1))
    relater.open["monitor", SENDER] += 1
    asyncio.run(relater.handle_down(SENDER, error_values.NO_CONNECTION))
    assert notes.broken == []
    assert not relater.open
    asyncio.run(relater.handle_down(SENDER, error_values.NO_CONNECTION))
    assert "reported a second time" in notes.broken[0]


def test_an_event_out_of_order_is_reported(agents: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = agents.Notes("n0@localhost")
    subscriber = agents.Subscriber(notes, NODE, SENDER.node)
    event = Event(SENDER.node, Atom("tick"))
    for number in (1, 3, 2):
        asyncio.run(subscriber.handle_event(event, 0, number))
    assert len(broken_later(notes, monkeypatch)) == 1


def test_an_unexpected_error_is_reported(agents: Any) -> None:
    notes = agents.Notes("n0@localhost")
    for error in (error_values.TIMEOUT, error_values.UNSUPPORTED):
        with notes.tolerant():
            raise ErgoError(error)
    assert notes.broken == ["n0@localhost: unexpected error: 'not supported'"]


def test_growing_memory_exceeds_the_limit(soak: Any) -> None:
    conductor = soak.Conductor.__new__(soak.Conductor)
    conductor.memory = [(when, 100 + when // 10) for when in range(0, 601, 10)]
    third, final = conductor.growth()
    assert (round(third), round(final)) == (114, 157)
    assert final > soak.GROWTH * third


def test_a_broken_invariant_ends_the_program_with_1(
    soak: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class FailingConductor:
        def __init__(self, seed: int) -> None:
            self.total: dict[str, int] = {}
            self.broken: list[str] = []
            self.memory: list[Any] = []
            self.most_files = 0

        def run(self, minutes: float) -> None:
            raise RuntimeError("n1@localhost does not answer")

        def kill(self) -> None:
            pass

    monkeypatch.setattr(sys, "argv", ["soak.py", "--minutes", "1"])
    monkeypatch.setattr(soak, "Conductor", FailingConductor)
    assert soak.main() == 1
    assert "BROKEN: n1@localhost does not answer" in capsys.readouterr().out
