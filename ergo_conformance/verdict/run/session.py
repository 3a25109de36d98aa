"""Session of a run: selects the cases, starts the target, judges each case, and publishes the events of the run."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from ...errors import UsageError, suggestion
from ...targets.base import Codec, RunningTarget, Target
from ...targets.create import target_of
from ...targets.options import options_of
from ..reports import report_of
from ..reports.terminal_report import TerminalReport
from .collected_case import CollectedCase
from .collection import matches, select
from .events import CaseFinished, RunFinished, RunListener, RunStarted, publish
from .execution import CaseResult, MemoryRunner, PlannedCase, Runner
from .interruption import Interruption
from .journal import JOURNAL, Journal
from .judgement import failure_text, outcome_of
from .live import LiveRunner
from .options import SessionOptions
from .outcome import DID_NOT_RUN, Outcome, Verdict
from .summary import RunHeader, RunSummary

MAX_SEED: Final = 1_000_000_000


class Session:
    """State that the hooks of the pytest plugin share. `listeners` receive the events of the run."""

    def __init__(self, target: Target | None, options: SessionOptions, listeners: Sequence[RunListener] = ()) -> None:
        self.target = target
        self.options = options
        self.listeners = listeners
        self.cases: dict[str, CollectedCase] = {}
        """Selected cases by pytest's node id."""
        self.outcomes: dict[str, Outcome] = {}
        """Outcomes by pytest's node id."""
        self.errors: list[str] = []
        """Errors of the run itself, see RunSummary."""
        self.started = time.monotonic()
        self._terminal: list[RunListener] = []
        if options.terminal:
            self._terminal.append(TerminalReport(verbose=options.verbose, rerun=options.rerun))
        self._interruption = Interruption()
        self._runner: Runner | None = None
        self._header: RunHeader | None = None
        self._results: dict[str, CaseResult] = {}
        """Results whose event is not published yet, by pytest's node id."""

    @classmethod
    def from_config(cls, config: pytest.Config) -> Session:
        """The session for these options. UsageError for an option that is not valid."""
        given: dict[str, Any] = {}
        for row in options_of(SessionOptions):
            value = config.getoption(row.pytest_flag)
            if row.environment:
                value = value or os.environ.get(row.environment)
            given[row.name] = tuple(value) if row.type is list else value
        # pytest itself leaves out the cases that -k does not match
        options = SessionOptions(**given, verbose=config.get_verbosity() > 0, keyword=config.option.keyword)
        return cls.from_options(options)

    @classmethod
    def from_options(cls, options: SessionOptions) -> Session:
        """The session with the target and the reports that the options name. UsageError for an option that is not valid."""
        options.check()
        listeners = [report_of(text) for text in options.report]
        if JOURNAL in os.environ:
            listeners.append(Journal(Path(os.environ[JOURNAL])))
        return cls(target_of(options), options, listeners)

    # --- selection ----------------------------------------------------------------------------------------------------

    def select(self, cases: Sequence[CollectedCase]) -> list[CollectedCase]:
        """Selects the cases that the options name, in the order of the run. UsageError for an unknown case."""
        ids = [case.id for case in cases]
        patterns = self.options.case
        for pattern in patterns:
            if ids and not self.options.keyword and not any(matches(id_, pattern) for id_ in ids):
                raise UsageError(f"unknown case {pattern!r}{suggestion(pattern, ids)}")
        named = [case for case in cases if not patterns or any(matches(case.id, pattern) for pattern in patterns)]
        selected = select(named, self.options)
        self.cases = {case.item.nodeid: case for case in selected}
        return selected

    # --- execution ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the target and publishes RunStarted. From then on a signal interrupts the run. Raises TargetError."""
        assert self.target is not None
        self._interruption.install()
        options = self.options
        seed = seed_of(options.seed, self.target)
        running: RunningTarget | None = None
        if self.target.live:
            live = LiveRunner(self.target, seed, options.timeout, options.jobs)
            self._runner = live
            running = live.start()
        else:
            self._runner = MemoryRunner(self.target, seed, options.timeout)
        self._header = RunHeader.of(self.target, running, profile=options.profile, seed=seed, cases=len(self.cases))
        self._publish(RunStarted(self._header, tuple(map(_not_run, self.cases.values()))))
        self._runner.plan([self.planned(case) for case in self.cases.values() if case.is_coroutine])

    def planned(self, case: CollectedCase) -> PlannedCase:
        """Returns a coroutine case as the runner executes it."""
        return case.planned()

    def _publish(self, event: RunStarted | CaseFinished) -> None:
        self.errors += publish(event, (*self.listeners, *self._terminal))

    @property
    def codec(self) -> Codec | None:
        """EDF codec of the target, for golden cases."""
        return self.target.codec if self.target is not None else None

    def judge_coroutine(self, case: CollectedCase) -> None:
        """Waits for a coroutine case and judges it; raises the exception that pytest reports."""
        assert self._runner is not None
        self.judge(case, self._runner.result(self.planned(case)))

    def judge(self, case: CollectedCase, result: CaseResult) -> None:
        """Keeps the outcome of a case; raises the exception that pytest reports."""
        key = case.item.nodeid
        outcome = self.outcomes[key] = outcome_of(case, result)
        self._results[key] = result
        match outcome.verdict:
            case Verdict.SKIP:
                pytest.skip(outcome.reason)
            case Verdict.FAIL:
                pytest.fail(failure_text(outcome), pytrace=False)
            case Verdict.ERROR | Verdict.INCONCLUSIVE:
                assert result.error is not None
                raise result.error

    def note_report(self, case: CollectedCase, when: str | None, report: pytest.TestReport) -> None:
        """Notes the end of a phase of a test.

        A case that failed or was skipped in its setup gets its outcome here; the end of the teardown publishes CaseFinished.
        """
        key = case.item.nodeid
        if report.failed and when == "teardown" and key in self.outcomes:
            self.outcomes[key].verdict, self.outcomes[key].reason = Verdict.ERROR, f"teardown: {report.longrepr}"
        if when != "teardown" and report.outcome != "passed" and key not in self.outcomes:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            outcome = self.outcomes[key] = outcome_of(case, CaseResult())
            outcome.verdict = Verdict.SKIP if report.skipped else Verdict.ERROR
            outcome.reason = reason.removeprefix("Skipped: ")
        if when == "call":
            report.user_properties += [("verdict", self.outcomes[key].verdict.value)]
        if when == "teardown" and key in self.outcomes:
            result = self._results.pop(key, CaseResult())
            self._publish(CaseFinished(self.outcomes[key], result.transcripts))
            result.transcripts = ()  # the runner keeps its results until the end of the run

    def note_collection_error(self, text: str) -> None:
        """Notes a suite file that could not be loaded."""
        self.errors.append(text)

    # --- end ----------------------------------------------------------------------------------------------------------

    def finish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judges the run as a whole, publishes RunFinished, and sets the exit code of pytest."""
        nothing = self._header is None and not self.errors
        if nothing and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            print("no case was selected: nothing was tested")  # noqa: T201  no listener prints it
        interrupted = exitstatus == pytest.ExitCode.INTERRUPTED
        if self._header is None:
            if interrupted:
                print("interrupted before the first case: nothing was tested")  # noqa: T201  as above
            return
        if self._runner is not None:
            self.errors += self._runner.errors()
        self.errors += publish(RunFinished(self.summary(interrupted=interrupted)), self.listeners)
        summary = self.summary(interrupted=interrupted)  # with the reports that could not be written
        publish(RunFinished(summary), self._terminal)
        if exitstatus != pytest.ExitCode.INTERNAL_ERROR:
            session.exitstatus = summary.exit_code

    def summary(self, *, interrupted: bool = False) -> RunSummary:
        """Returns all outcomes. A selected case that did not run is an ERROR, so that a run can't pass without it."""
        assert self._header is not None
        outcomes = []
        for key, case in self.cases.items():
            outcome = self.outcomes.get(key)
            outcomes.append(outcome or _not_run(case, ": interrupted" if interrupted else ""))
        return RunSummary(self._header, outcomes, time.monotonic() - self.started, tuple(self.errors), interrupted)

    def close(self) -> None:
        """Stops the target."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None
        self._interruption.restore()


def seed_of(given: int | None, target: Target) -> int:
    """Seed of a run: the given one, or 0. A running target may remember the names of earlier runs: there a new one."""
    if given is not None:
        return given
    return 0 if target.restarts else secrets.randbelow(MAX_SEED)


def _not_run(case: CollectedCase, why: str = "") -> Outcome:
    """The outcome of a selected case that did not run."""
    outcome = outcome_of(case, CaseResult())
    outcome.verdict, outcome.reason = Verdict.ERROR, DID_NOT_RUN + why
    return outcome
