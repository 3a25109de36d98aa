"""Events of a run: order, content, and listeners that fail."""

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from ergo_conformance.spec.requirements import RequirementLevel
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.verdict.reports import report_of
from ergo_conformance.verdict.run.case import Case
from ergo_conformance.verdict.run.collected_case import CollectedCase
from ergo_conformance.verdict.run.context import Context
from ergo_conformance.verdict.run.events import CaseFinished, RunEvent, RunFinished, RunListener, RunStarted
from ergo_conformance.verdict.run.options import SessionOptions
from ergo_conformance.verdict.run.outcome import Verdict
from ergo_conformance.verdict.run.session import Session


class Log(RunListener):
    """Keeps all events."""

    def __init__(self) -> None:
        self.events: list[RunEvent] = []

    def run_started(self, event: RunStarted) -> None:
        self.events.append(event)

    def case_finished(self, event: CaseFinished) -> None:
        self.events.append(event)

    def run_finished(self, event: RunFinished) -> None:
        self.events.append(event)


async def passes(ergo_context: Context) -> None:
    await ergo_context.connected()


async def skips(ergo_context: Context) -> None:
    ergo_context.skip("not today")


def run(listeners: list[RunListener], *functions: object) -> int:
    """Runs cases as the plugin does; returns the exit code."""
    session = Session(SelfTarget(), SessionOptions(), listeners)
    cases = []
    for function in functions:
        arguments = SimpleNamespace(argnames=("ergo_context",))
        item = cast("pytest.Function", SimpleNamespace(nodeid=str(function), obj=function, _fixtureinfo=arguments))
        cases.append(CollectedCase(item, "suite.area.x", "suite", "", Case(("EHS-DIG-1",)), RequirementLevel.MUST))
    session.select(cases)
    session.start()
    for case in cases:
        with contextlib.suppress(pytest.skip.Exception):
            session.judge_coroutine(case)
        session.note_report(
            case, "teardown", cast("pytest.TestReport", SimpleNamespace(outcome="passed", failed=False))
        )
    pytest_session = SimpleNamespace(exitstatus=0)
    session.finish(cast("pytest.Session", pytest_session), 0)
    session.close()
    return int(pytest_session.exitstatus)


def test_a_run_publishes_its_start_each_case_and_its_end() -> None:
    log = Log()
    assert run([log], passes, skips) == 0
    started, passed, skipped, finished = log.events
    assert isinstance(started, RunStarted)
    assert isinstance(passed, CaseFinished)
    assert isinstance(skipped, CaseFinished)
    assert isinstance(finished, RunFinished)
    assert started.header.cases == 2
    assert [passed.outcome.verdict, skipped.outcome.verdict] == [Verdict.PASS, Verdict.SKIP]
    assert finished.summary.outcomes == [passed.outcome, skipped.outcome]


def test_a_passed_case_has_raw_transcripts_in_its_event_and_none_in_its_outcome() -> None:
    log = Log()
    run([log], passes)
    event = log.events[1]
    assert isinstance(event, CaseFinished)
    (transcript,) = event.transcripts
    assert transcript.bytes_of("sent")
    assert transcript.bytes_of("received")
    assert event.outcome.transcripts == []


def test_a_report_that_can_not_be_written_is_an_error_of_the_run(tmp_path: Path) -> None:
    good, bad = f"json={tmp_path / 'good.json'}", "json=/dev/full"
    assert run([report_of(bad), report_of(good)], passes) == 1
    assert (tmp_path / "good.json").exists()
