"""Result of a kill matrix: which cases find which mutants, and what is missing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ...mutants.mutant import Mutant
from ...mutants.registry import MUTANTS
from ...spec.requirements import RequirementLevel
from ...targets.self_node import OFFERS
from ..run.collected_case import CollectedCase
from ..run.collection import matches
from ..run.outcome import Verdict
from .plan import CONTROLS, PRISTINE, PlannedRun, Selection, declared_cases, unmatched_patterns
from .processes import CaseJudged, RunEnded

FINDS: Final = frozenset({Verdict.FAIL, Verdict.WARN, Verdict.INFO})
"""Verdicts of a case that has found a violation: a case of a MUST has FAIL."""
EXIT_GOOD, EXIT_BAD, EXIT_NOTHING = 0, 1, 5


class Status(StrEnum):
    """Result of one mutant. MISDECLARED: cases find it, but not as its declaration says."""

    KILLED = "KILLED"
    SURVIVED = "SURVIVED"
    MISDECLARED = "MISDECLARED"
    ERROR = "ERROR"
    NOT_RUN = "NOT RUN"


@dataclass(slots=True)
class RunResult:
    """What the runs of one mutant, or of the node without a fault, report."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    """Verdicts by the ids of the cases that ran."""
    reasons: dict[str, str] = field(default_factory=dict)
    """What was received, or why there is no verdict, by the ids of the cases."""
    errors: list[str] = field(default_factory=list)
    """Sentences about runs that did not end normally."""
    ended: bool = False
    """True if the run has ended, not by an interruption."""

    def add(self, event: CaseJudged | RunEnded) -> None:
        """Adds what a run reports."""
        if isinstance(event, RunEnded):
            self.errors += [event.error] * bool(event.error)
            self.ended = True
            return
        outcome = event.outcome
        self.verdicts[outcome.id] = outcome.verdict
        self.reasons[outcome.id] = outcome.reason or outcome.received

    @property
    def kills(self) -> list[str]:
        """Ids of the cases that find the mutant."""
        return [id_ for id_, verdict in self.verdicts.items() if verdict in FINDS]

    def described(self, id_: str) -> str:
        """Verdict of a case with its reason."""
        return str(self.verdicts[id_]) + (f": {self.reasons[id_]}" if self.reasons[id_] else "")


@dataclass(frozen=True, slots=True)
class MutantResult:
    """The result of one mutant."""

    mutant: Mutant
    status: Status
    kills: tuple[str, ...]
    """Ids of the cases that find it."""
    problems: tuple[str, ...]
    """One sentence for everything that contradicts its declaration."""
    verdicts: Mapping[str, Verdict]
    """Verdicts of all cases that ran."""


@dataclass(frozen=True, slots=True)
class MissingMutant:
    """A MUST case that finds no mutant. `reason`: why it may, as far as a row of the table says so."""

    case: CollectedCase
    reason: str


class Matrix:
    """The results of a selection, as they come in.

    `cases`: all cases; `excused`: reasons by patterns of case ids; `declared`: all mutants, also those that do not run.
    """

    def __init__(
        self,
        selection: Selection,
        cases: Mapping[str, CollectedCase],
        runs: Iterable[PlannedRun],
        excused: Mapping[str, str],
        declared: Iterable[Mutant] = MUTANTS.values(),
    ) -> None:
        self.selection, self.cases, self.excused, self._declared = selection, cases, excused, tuple(declared)
        self._mutants: dict[str, Mutant] = {}
        self._results: dict[str, RunResult] = {}
        for run in runs:
            self._results[run.name] = RunResult()
            if run.mutant is not None:
                self._mutants[run.name] = run.mutant
        self.interrupted = False
        self.seconds = 0.0
        self.errors: list[str] = []
        """Errors of the command itself, such as a report that can't be written."""

    def add(self, event: CaseJudged | RunEnded) -> None:
        """Adds what a run reports."""
        self._results[event.run.name].add(event)

    # --- mutants ------------------------------------------------------------------------------------------------------

    @property
    def mutants(self) -> list[MutantResult]:
        """Results of all mutants that were to run."""
        return [self.mutant(name) for name in self._mutants]

    def mutant(self, name: str) -> MutantResult:
        """Result of the mutant with this id."""
        mutant, result = self._mutants[name], self._results[name]
        problems = self._problems(mutant, result) if result.ended else []
        return MutantResult(
            mutant, self._status(result, problems), tuple(result.kills), tuple(problems), dict(result.verdicts)
        )

    def _status(self, result: RunResult, problems: list[str]) -> Status:
        if not result.ended:
            return Status.NOT_RUN
        if result.errors or not self._works(result):
            return Status.ERROR
        if not result.kills:
            return Status.SURVIVED
        return Status.MISDECLARED if problems else Status.KILLED

    @staticmethod
    def _works(result: RunResult) -> bool:
        """Tells whether the mutant passes a control case; True if none ran."""
        ran = [result.verdicts[id_] for id_ in CONTROLS if id_ in result.verdicts]
        return not ran or Verdict.PASS in ran

    def _problems(self, mutant: Mutant, result: RunResult) -> list[str]:
        found = list(result.errors)
        if not self._works(result):
            found.append(f"it fails all control cases: {', '.join(id_ for id_ in CONTROLS if id_ in result.verdicts)}")
        found += [f"found_by: no case matches {pattern!r}" for pattern in unmatched_patterns(mutant, self.cases)]
        for case in declared_cases(mutant, self.cases):
            if case.id in result.verdicts and result.verdicts[case.id] not in FINDS:
                found.append(f"found_by: {case.id} does not find it: {result.described(case.id)}")
        kills = [self.cases[id_] for id_ in result.kills]
        if not kills:
            found.append("no case finds it")
        elif not self.selection.narrowed and not any(
            set(case.case.requirements) & set(mutant.requirements) for case in kills
        ):
            found.append(f"no case that finds it cites {' or '.join(mutant.requirements)}")
        return found

    # --- the node without a fault -------------------------------------------------------------------------------------

    @property
    def pristine_cases(self) -> int:
        """Number of cases that the node without a fault ran."""
        return len(self._results[PRISTINE].verdicts) if PRISTINE in self._results else 0

    @property
    def pristine_problems(self) -> list[str]:
        """One sentence for each case that the node without a fault does not pass.

        With `all_cases` no declaration chose the cases: one may be skipped, or observe another behaviour than upstream's.
        """
        result = self._results.get(PRISTINE, RunResult())
        allowed = {Verdict.PASS, Verdict.SKIP, Verdict.INFO} if self.selection.all_cases else {Verdict.PASS}
        bad = [id_ for id_, verdict in result.verdicts.items() if verdict not in allowed]
        return [*result.errors, *(f"{id_}: {result.described(id_)}" for id_ in bad)]

    # --- cases --------------------------------------------------------------------------------------------------------

    @property
    def must_cases(self) -> list[CollectedCase]:
        """The selected MUST cases that the embedded node can run."""
        return [
            case for case in self.selection.chosen if case.level is RequirementLevel.MUST and case.case.offers <= OFFERS
        ]

    @property
    def missing(self) -> list[MissingMutant]:
        """MUST cases that find no mutant. For mutants that were not to run, their declarations count."""
        killing = {id_ for result in self.mutants for id_ in result.kills}
        others = [mutant for mutant in self._declared if mutant.id not in self._mutants]
        killing |= {case.id for mutant in others for case in declared_cases(mutant, self.cases)}
        return [MissingMutant(case, self._reason(case.id)) for case in self.must_cases if case.id not in killing]

    def _reason(self, id_: str) -> str:
        return next((reason for pattern, reason in self.excused.items() if matches(id_, pattern)), "")

    # --- the whole ----------------------------------------------------------------------------------------------------

    @property
    def exit_code(self) -> int:
        """0: all as declared; 1: not; 5: nothing was selected."""
        if not self._results:
            return EXIT_NOTHING
        whole = not self.selection.narrowed and len(self._mutants) == len(self._declared)
        bad = (
            self.interrupted,
            self.errors,
            self.pristine_problems,
            any(result.status is not Status.KILLED for result in self.mutants),
            whole and any(not missing.reason for missing in self.missing),
        )
        return EXIT_BAD if any(bad) else EXIT_GOOD


def percent(part: int, whole: int) -> float:
    """Share in percent with one decimal, rounded down: only all of them are 100."""
    return 1000 * part // whole / 10 if whole else 100.0
