"""The cases about resources: a started node without a fault passes them, one that keeps something fails."""

import sys
from typing import Any

import pytest

from ergo_conformance.targets.process import ProcessTarget
from ergo_conformance.verdict.run.collected_case import CollectedCase
from ergo_conformance.verdict.run.collection import collect_cases
from ergo_conformance.verdict.run.mutant_run import conclusive_outcomes, run_cases
from ergo_conformance.verdict.run.outcome import Outcome, Verdict

NODE = """
import sys
from ergo_conformance.reference_node.connection import outbox
from ergo_conformance.reference_node.connection.socket_registry import SocketRegistry
from ergo_conformance.reference_node.core.mailbox import Mailbox
from ergo_conformance.cli import main
kept = []
{fault}
sys.argv = ["ergo-conformance", "node"]
main()
"""
KEEPS = """
def {name}(self, *arguments, before={owner}.{name}):
    kept.append({what})
    return before(self, *arguments)
{owner}.{name} = {name}
"""
MEMORY = KEEPS.format(owner="SocketRegistry", name="add", what="bytearray(200_000)")
DESCRIPTORS = KEEPS.format(owner="SocketRegistry", name="add", what="open('/dev/null')")
THREADS = "import threading" + KEEPS.format(
    owner="SocketRegistry",
    name="add",
    what="threading.Thread(target=threading.Event().wait, daemon=True).start()",
)
CALLS = KEEPS.format(owner="Mailbox", name="put", what="bytearray(20_000)")
FAULTS = [
    ("refused_handshakes", MEMORY, "memory after each round of "),
    ("silent_sockets", DESCRIPTORS, "open file descriptors after each round of "),
    ("ended_connections", THREADS, "threads after each round of "),
    ("answered_calls", CALLS, "memory after each round of "),
]


def outcome_of_case(name: str, fault: str) -> Outcome:
    """Runs one case with a small load against a node in its own process."""
    case: CollectedCase = collect_cases(["node"])[f"node.resources.{name}"]
    load: dict[str, Any] = case.function.__globals__
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(load, "ROUNDS", 3)
        patch.setitem(load, "COUNT", 10)
        patch.setitem(load, "FRAMES", 50)
        patch.setitem(load, "SETTLE_SECONDS", 3.0 if fault else 60.0)
        target = ProcessTarget([sys.executable, "-c", NODE.format(fault=fault)])
        (outcome,) = conclusive_outcomes(target, [case])
    return outcome


@pytest.mark.parametrize(("name", "fault", "received"), FAULTS, ids=[row[0] for row in FAULTS])
def test_node_that_keeps_something_fails(name: str, fault: str, received: str) -> None:
    outcome = outcome_of_case(name, fault)
    assert (outcome.verdict, outcome.reason) == (Verdict.FAIL, "")
    assert outcome.received.startswith(received)


@pytest.mark.parametrize("name", ["ended_connections", "answered_calls"])
def test_node_without_a_fault_passes(name: str) -> None:
    outcome = outcome_of_case(name, "")
    assert outcome.verdict is Verdict.PASS, outcome.received


def test_target_in_the_same_process_is_skipped() -> None:
    from ergo_conformance.targets.self_node import SelfTarget

    cases = [case for id_, case in collect_cases(["node"]).items() if id_.startswith("node.resources.")]
    outcomes = run_cases(SelfTarget(), cases).values()
    assert {outcome.verdict for outcome in outcomes} == {Verdict.SKIP}
    assert {outcome.reason for outcome in outcomes} == {
        "needs a target that the toolkit starts as a process: what others use can't be measured"
    }
