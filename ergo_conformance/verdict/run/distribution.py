"""Runs that pytest-xdist distributes: its workers run the cases, its controller gathers their outcomes for one report.

A worker attaches the events of its run to the reports of pytest, which xdist hands to the controller.
"""

from __future__ import annotations

import base64
import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest

from ...errors import UsageError
from .collected_case import CollectedCase
from .events import CaseFinished, RunListener, RunStarted
from .execution import PlannedCase
from .options import SessionOptions
from .outcome import Outcome
from .session import Session
from .summary import RunSummary

ATTRIBUTE: Final = "ergo_events"
"""Attribute of a pytest report: events of a worker, pickled, in base64 since reports are written as JSON."""
Events = list[RunStarted | CaseFinished]


def session_class(config: pytest.Config) -> type[Session]:
    """The class of the session of this process, which may be a worker or the controller of pytest-xdist."""
    if hasattr(config, "workerinput"):
        return WorkerSession
    return Session if getattr(config.option, "dist", "no") == "no" else ControllerSession


class _Unsent(RunListener):
    """Keeps the events until they are attached to a report."""

    def __init__(self) -> None:
        self.events: Events = []

    def run_started(self, event: RunStarted) -> None:
        self.events.append(event)

    def case_finished(self, event: CaseFinished) -> None:
        self.events.append(event)


class WorkerSession(Session):
    """Session of a worker. It runs each case when pytest requests it, since it does not know its share of the cases."""

    @classmethod
    def from_options(cls, options: SessionOptions) -> Session:
        """The session without reports, which the controller writes."""
        session = super().from_options(replace(options, report=(), terminal=False))
        assert session.target is not None
        if session.target.live and not session.target.restarts:
            raise UsageError(
                f"pytest -n: several processes can't test the running target {session.target.text} at once"
            )
        session.listeners = (_Unsent(),)
        return session

    def planned(self, case: CollectedCase) -> PlannedCase:
        return replace(super().planned(case), on_request=True)

    def note_report(self, case: CollectedCase, when: str | None, report: pytest.TestReport) -> None:
        super().note_report(case, when, report)
        (unsent,) = self.listeners
        assert isinstance(unsent, _Unsent)
        events, unsent.events = unsent.events, []
        if events:
            expected = self.summary().outcomes if isinstance(events[0], RunStarted) else []
            setattr(report, ATTRIBUTE, base64.b64encode(pickle.dumps((expected, events))).decode("ascii"))


class ControllerSession(Session):
    """Session of the controller: the events of all workers as those of one run."""

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type]
        self._gathered: dict[str, Outcome] = {}
        """Outcomes by the id of the case, in the order of collection."""

    @classmethod
    def from_options(cls, options: SessionOptions) -> Session:
        """The session. UsageError for a running target: cases of several processes would disturb each other there."""
        session = super().from_options(options)
        assert session.target is not None
        if session.target.live and not session.target.restarts:
            raise UsageError(
                f"pytest -n: several processes can't test the running target {session.target.text} at once"
            )
        return session

    def gather(self, report: pytest.TestReport) -> None:
        """Publishes the events that a worker attached to a report."""
        text: str | None = report.__dict__.pop(ATTRIBUTE, None)
        if text is None:
            return
        expected: Sequence[Outcome]
        expected, events = pickle.loads(base64.b64decode(text))  # noqa: S301  a worker of this run wrote it
        for outcome in expected:
            self._gathered.setdefault(outcome.id, outcome)
        for event in events:
            if isinstance(event, CaseFinished):
                self._gathered[event.outcome.id] = event.outcome
                self._publish(event)
            elif self._header is None:
                self._header = event.header
                self._publish(event)

    def summary(self, *, interrupted: bool = False) -> RunSummary:
        """Returns the outcomes of all workers. A case that no worker finished is an ERROR."""
        outcomes = list(self._gathered.values())
        return replace(super().summary(interrupted=interrupted), outcomes=outcomes)


class Gathering:
    """Hooks of the controller."""

    def __init__(self, session: ControllerSession) -> None:
        self.session = session

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.session.gather(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        text = str(report.longrepr)
        if report.failed and text not in self.session.errors:  # each worker collects
            self.session.note_collection_error(text)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        self.session.finish(session, exitstatus)


def plugin_of(session: Session) -> Gathering | None:
    """The hooks of the controller; None in a process that runs cases."""
    return Gathering(session) if isinstance(session, ControllerSession) else None
