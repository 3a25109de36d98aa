"""Restarts within a second: no creation is used twice, and no number of an earlier process is given again."""

import time

import pytest

from ergo_conformance.model.values import PID, Atom
from ergo_conformance.reference_node import incarnation
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.incarnation import FIRST_ID, MICROSECONDS, Incarnations
from ergo_conformance.reference_node.node import Node
from tests.support.nodes import MemoryNetwork, run_as_process, settle

A, B = Atom("a@localhost"), Atom("b@localhost")


def test_a_creation_is_never_used_twice_by_one_name() -> None:
    made = Incarnations()
    creations = [made.begin(A, now).creation for now in (100.0, 100.9, 100.95, 101.0, 200.5, 50.0)]
    assert creations == [100, 101, 102, 103, 200, 201]
    assert made.begin(B, 100.9).creation == 100


def test_numbers_of_processes_begin_with_the_microsecond_of_the_start() -> None:
    """Two processes of the operating system know nothing of each other: the later one begins behind the earlier one."""
    first, second = Incarnations().begin(A, 100.25), Incarnations().begin(A, 100.75)
    assert first.creation == second.creation
    assert second.first_id - first.first_id == MICROSECONDS // 2
    assert Incarnations().begin(A, 100.0).first_id == FIRST_ID


async def test_nodes_on_the_systems_clock_have_different_creations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000.5)
    monkeypatch.setattr(incarnation.OF_THIS_PROCESS, "_last", {})
    assert [Node("a@localhost").creation for _ in range(3)] == [1_000, 1_001, 1_002]


async def test_a_given_clock_sets_the_creation() -> None:
    assert [Node("a@localhost", clock=lambda: 7.9).creation for _ in range(2)] == [7, 7]


async def wait_forever(process: Process) -> None:
    await process.receive()


@pytest.mark.parametrize("same_process", [True, False], ids=["same_os_process", "other_os_process"])
async def test_an_important_message_to_a_process_before_the_restart_is_not_acknowledged(
    same_process: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node restarts within the second, and its new process was started in the same order as the old one."""
    network, known = MemoryNetwork(), Incarnations()
    monkeypatch.setattr(time, "time", lambda: 1_000.25)
    old = known.begin(B, time.time())
    new = (known if same_process else Incarnations()).begin(B, 1_000.5)
    b = network.node("b@localhost")
    b.core.tables._last_id = new.first_id - 1
    a = network.node("a@localhost")
    process = b.spawn(wait_forever)
    assert process.pid.id == new.first_id
    await a.network.connection(b.name)
    await settle()
    shift = old.creation - new.creation
    before = PID(B, old.first_id, b.creation + shift)

    async def send(sender: Process) -> None:
        await sender.send(before, "hello", important=True)

    expected = "process ID belongs to the previous incarnation" if same_process else "unknown process"
    with pytest.raises(ErgoError, match=expected):
        await run_as_process(a, send)
    await network.stop()
