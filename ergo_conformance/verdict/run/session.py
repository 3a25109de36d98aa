"""One run: the cases that were chosen, the target, the outcomes, and the reports at the end."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from ...errors import UsageError
from ...locate import COOKIE_VARIABLE, TOKEN_VARIABLE
from ...model.ergo.records import PROFILES
from ...peers.violation import ViolationError
from ...spec.requirements import STRICTNESS, RequirementLevel, catalogue, strictest
from ...targets.base import Codec, Running, Target
from ...targets.kinds import Settings, suggestion, target_of
from ..reports.reports import WRITERS, Header, Summary
from ..reports.terminal import Terminal
from .case import ATTRIBUTE, Case
from .context import Context, SkippedError
from .outcome import DID_NOT_RUN, Outcome, Verdict, of_violation, printable
from .schedule import LateError, LiveRunner, MemoryRunner, Planned, Ran


@dataclass(slots=True)
class Entry:
    """A collected case."""

    item: pytest.Function
    id: str
    suite: str
    title: str
    case: Case
    level: RequirementLevel

    @classmethod
    def of(cls, item: pytest.Function) -> Entry | None:
        """The case of a pytest function; None if it declares none. UsageError if it cites what is not in the catalogue."""
        case: Case | None = getattr(item.function, ATTRIBUTE, None)
        if case is None:
            return None
        suite, area, name = item.path.parent.name, item.path.stem.removeprefix("test_"), item.name.removeprefix("test_")
        params = item.callspec.params if hasattr(item, "callspec") else {}
        shown = [id_ for value in params.values() for id_ in getattr(value, "requirements", ())]
        case = replace(case, requirements=tuple(dict.fromkeys((*case.requirements, *shown))))
        unknown = [id_ for id_ in case.requirements if id_ not in catalogue()]
        if unknown or not case.requirements:
            raise UsageError(f"{item.nodeid} cites {', '.join(unknown) or 'no requirement'}")
        title = " ".join((inspect.getdoc(item.function) or "").split())
        labels = {key: getattr(value, "label", value) for key, value in params.items()}
        return cls(item, f"{suite}.{area}.{name}", suite, title.format_map(labels), case, strictest(case.requirements))

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "title": self.title,
            "suite": self.suite,
            "requirements": list(self.case.requirements),
            "level": self.level.value,
            "profiles": [p for p in PROFILES if self.holds_for(p)],
            "needs": {
                "offers": sorted(self.case.offers),
                "agents": sorted(self.case.agents),
                "config": dict(self.case.config),
            },
        }

    def holds_for(self, profile: str) -> bool:
        return any(profile in catalogue()[id_].profiles for id_ in self.case.requirements)


class Session:
    """What the plugin's hooks share."""

    def __init__(self, target: Target | None, options: dict[str, Any]) -> None:
        self.target = target
        self.options = options
        self.entries: dict[str, Entry] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.collection_errors: list[str] = []
        self.started = time.monotonic()
        self.terminal: Terminal | None = None
        self._runner: MemoryRunner | LiveRunner | None = None
        self._running: Running | None = None
        self._header: Header | None = None

    @classmethod
    def from_config(cls, config: pytest.Config) -> Session:
        """The session that the options ask for. UsageError for what makes no sense."""
        get = config.getoption
        names = ("profile", "level", "case", "seed", "jobs", "timeout", "report", "terminal", "collect", "rerun")
        options = {name: get(f"--ergo-{name}") for name in names}
        options["verbose"] = config.get_verbosity()
        options["keyword"] = config.option.keyword  # pytest has left out cases by then
        check_options(options)
        if get("--ergo-collect"):
            return cls(None, options)
        settings = Settings(
            spelled=get("--ergo-target"),
            cookie=get("--ergo-cookie") or os.environ.get(COOKIE_VARIABLE),
            node=get("--ergo-node"),
            tls_ca=get("--ergo-tls-ca"),
            offers=get("--ergo-offers"),
            over=get("--ergo-over"),
            tls=get("--ergo-tls"),
            registrar=get("--ergo-registrar"),
            token=get("--ergo-token") or os.environ.get(TOKEN_VARIABLE),
        )
        return cls(target_of(settings), options)

    # --- choosing -----------------------------------------------------------------------------------------------------

    def select(self, entries: Sequence[Entry]) -> list[Entry]:
        """The entries that the options leave, in order of collection. UsageError for a case id that is none."""
        wanted, profile, level = self.options["case"], self.options["profile"], self.options["level"]
        ids = [entry.id for entry in entries]
        for pattern in wanted:
            if ids and not self.options.get("keyword") and not any(_matches(id_, pattern) for id_ in ids):
                raise UsageError(f"no case {pattern!r}{suggestion(pattern, ids)}")
        weakest = STRICTNESS.index(RequirementLevel(level.upper())) if level else len(STRICTNESS)
        chosen = [
            entry
            for entry in entries
            if entry.holds_for(profile)
            and STRICTNESS.index(entry.level) <= weakest
            and (not wanted or any(_matches(entry.id, pattern) for pattern in wanted))
        ]
        chosen.sort(key=lambda entry: inspect.iscoroutinefunction(entry.item.obj))  # live cases want the machine alone
        self.entries = {entry.item.nodeid: entry for entry in chosen}
        return chosen

    # --- running ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Finds the target and sets the live cases going. TargetError if there is none."""
        assert self.target is not None
        seed, limit = self.options["seed"], self.options["timeout"]
        if self.target.live:
            runner = self._runner = LiveRunner(self.target, seed, limit, self.options["jobs"])
            self._running = runner.start()
        else:
            self._runner = MemoryRunner(self.target, seed, limit)
        self._header = Header.of(self.target, self._running, self.options, len(self.entries))
        if self.options["terminal"]:
            self.terminal = Terminal(self._header, verbose=self.options["verbose"] > 0)
        planned = [self._planned(e) for e in self.entries.values() if inspect.iscoroutinefunction(e.item.obj)]
        self._runner.plan(planned)

    def _planned(self, entry: Entry) -> Planned:
        function: Callable[..., Any] = entry.item.obj
        params = dict(entry.item.callspec.params) if hasattr(entry.item, "callspec") else {}

        async def body(context: Context) -> None:
            await function(context, **params)

        return Planned(entry.id, entry.case, body)

    @property
    def codec(self) -> Codec | None:
        """The target's codec, for golden cases."""
        return self.target.codec if self.target is not None else None

    def judge_coroutine(self, entry: Entry) -> None:
        """Waits for a coroutine case and files its outcome; raises what pytest should see."""
        assert self._runner is not None
        ran = self._runner.result(self._planned(entry))
        self._file(entry, ran)

    def judge_error(self, entry: Entry, error: BaseException | None) -> None:
        """The same for a plain function that has returned or raised."""
        self._file(entry, Ran(error))

    def _file(self, entry: Entry, ran: Ran) -> None:
        outcome = self._outcome(entry, ran)
        self.outcomes[entry.item.nodeid] = outcome
        match outcome.verdict:
            case Verdict.SKIP:
                pytest.skip(outcome.reason)
            case Verdict.FAIL:
                pytest.fail(failure_text(outcome), pytrace=False)
            case Verdict.ERROR | Verdict.INCONCLUSIVE:
                assert ran.error is not None
                raise ran.error

    def _outcome(self, entry: Entry, ran: Ran) -> Outcome:
        outcome = Outcome(
            entry.id, entry.title, entry.suite, entry.case.requirements, entry.level, Verdict.PASS, ran.seconds
        )
        outcome.transcripts = ran.transcripts
        match ran.error:
            case None:
                pass
            case ViolationError() as violation:
                outcome.verdict = of_violation(entry.level)
                outcome.sent, outcome.legal, outcome.came = violation.sent, violation.expected, violation.actual
            case SkippedError() as skipped:
                outcome.verdict, outcome.reason = Verdict.SKIP, str(skipped)
            case LateError() as late:
                outcome.verdict, outcome.reason = Verdict.INCONCLUSIVE, str(late)
            case error:
                outcome.verdict, outcome.reason = Verdict.ERROR, f"{type(error).__name__}: {error}"
        return outcome

    def note_report(self, entry: Entry, when: str | None, report: pytest.TestReport) -> None:
        """A phase of a test is over: keeps the outcome of what never reached its call, and tells the terminal."""
        key = entry.item.nodeid
        if when != "teardown" and report.outcome != "passed" and key not in self.outcomes:
            verdict = Verdict.SKIP if report.skipped else Verdict.ERROR
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.outcomes[key] = self._outcome(entry, Ran())
            self.outcomes[key].verdict, self.outcomes[key].reason = verdict, reason.removeprefix("Skipped: ")
        if when == "call":
            report.user_properties += [("verdict", self.outcomes[key].verdict.value)]
        if when == "teardown" and self.terminal is not None and key in self.outcomes:
            self.terminal.case(self.outcomes[key])

    def note_collection_error(self, text: str) -> None:
        self.collection_errors.append(text)

    # --- the end ------------------------------------------------------------------------------------------------------

    def finish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judges the run as a whole, writes the reports, sets the exit code."""
        nothing = self._header is None and not self.options["collect"] and not self.collection_errors
        if nothing and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            print("no case was selected: nothing was tested")  # noqa: T201  there is no report to say it
        if self.options["collect"] or self._header is None:
            if self.collection_errors and self.options["collect"]:
                raise pytest.UsageError("\n".join(self.collection_errors))
            return
        summary = self.summary(interrupted=exitstatus == pytest.ExitCode.INTERRUPTED)
        for spec in self.options["report"]:
            kind, _, path = spec.partition("=")
            try:
                Path(path).write_text(WRITERS[kind](summary), encoding="utf-8")
            except OSError as error:
                self.collection_errors.append(f"--report {spec}: {error.strerror}")
        if self.terminal is not None:
            self.terminal.end(summary, self.options["rerun"])
        if exitstatus != pytest.ExitCode.INTERNAL_ERROR:
            session.exitstatus = summary.exit_code

    def summary(self, *, interrupted: bool = False) -> Summary:
        """The whole run. What was chosen and did not run is an error, so that a green run means that all of it ran."""
        assert self._header is not None
        outcomes = []
        for key, entry in self.entries.items():
            outcome = self.outcomes.get(key)
            if outcome is None:
                outcome = self._outcome(entry, Ran())
                outcome.verdict, outcome.reason = Verdict.ERROR, DID_NOT_RUN + (": interrupted" if interrupted else "")
            outcomes.append(outcome)
        return Summary(
            self._header, outcomes, time.monotonic() - self.started, tuple(self.collection_errors), interrupted
        )

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()
            self._runner = None


def _matches(id_: str, pattern: str) -> bool:
    return id_ == pattern or fnmatchcase(id_, pattern.replace("[", "[[]"))


def check_options(options: dict[str, Any]) -> None:
    """UsageError for an option value that nothing can be done with."""
    if options["profile"] not in PROFILES:
        raise UsageError(f"--profile {options['profile']}: no such profile{suggestion(options['profile'], PROFILES)}")
    levels = [level.value.lower() for level in RequirementLevel]
    if options["level"] and options["level"].lower() not in levels:
        raise UsageError(f"--level {options['level']}: no such level{suggestion(options['level'], levels)}")
    for spec in options["report"]:
        kind, _, path = spec.partition("=")
        if kind not in WRITERS:
            raise UsageError(f"--report {spec}: no such kind{suggestion(kind, list(WRITERS))}")
        if not path or not Path(path).parent.is_dir():
            raise UsageError(f"--report {spec}: written KIND=FILE, in a directory that exists")
    if options["jobs"] < 1:
        raise UsageError(f"--jobs {options['jobs']}: at least 1")
    if not 0 < options["timeout"] < float("inf"):
        raise UsageError(f"--timeout {options['timeout']:g}: more than 0 seconds")


def failure_text(outcome: Outcome) -> str:
    """The failure for pytest's own reports."""
    lines = [outcome.title]
    lines += [f"{id_}: {catalogue()[id_].text}" for id_ in outcome.requirements]
    if outcome.sent:
        lines.append(f"sent: {outcome.sent}")
    lines += [f"expected: {legal}" for legal in outcome.legal]
    lines.append(f"came: {outcome.came}")
    return printable("\n".join(lines))
