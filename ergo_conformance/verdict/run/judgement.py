"""Judgement of a case: the outcome that follows from its result."""

from typing import Final

from ...peers.violation import SetUpError, ViolationError
from ...spec.requirements import STRICTNESS, catalogue, strictest
from .collected_case import CollectedCase
from .context import SkippedError
from .execution import CaseResult, InconclusiveError
from .outcome import Outcome, Verdict, printable, verdict_of_violation

SHOWN_LINES: Final = 12
"""Number of lines of a socket's transcript that an outcome keeps: the last ones."""


def outcome_of(case: CollectedCase, result: CaseResult) -> Outcome:
    """Judges the result of a case."""
    outcome = Outcome(case.id, case.title, case.suite, case.case.requirements, case.level, Verdict.PASS, result.seconds)
    match result.error:
        case None:
            return outcome
        case ViolationError() as violation:
            if violated := _of_the_step(case, violation):
                outcome.requirements, outcome.level = violated, strictest(violated)
            outcome.verdict = verdict_of_violation(outcome.level)
            outcome.sent, outcome.expected, outcome.received = violation.sent, violation.expected, violation.actual
        case SkippedError() as skipped:
            outcome.verdict, outcome.reason = Verdict.SKIP, str(skipped)
        case InconclusiveError() | SetUpError() as inconclusive:
            outcome.verdict, outcome.reason = Verdict.INCONCLUSIVE, str(inconclusive)
        case error:
            outcome.verdict, outcome.reason = Verdict.ERROR, f"{type(error).__name__}: {error}"
    outcome.transcripts = [(each.label, list(each.lines(SHOWN_LINES))) for each in result.transcripts]
    return outcome


def _of_the_step(case: CollectedCase, violation: ViolationError) -> tuple[str, ...]:
    """Ids of the requirements of the step that failed, if they are not those of the case."""
    level = strictest(violation.requirements) if violation.requirements else case.level
    stricter = STRICTNESS.index(strictest(violation.general)) < STRICTNESS.index(level)
    return violation.general if stricter else violation.requirements


def failure_text(outcome: Outcome) -> str:
    """Text of a failure in pytest's own output."""
    lines = [outcome.title]
    lines += [f"{id_}: {catalogue()[id_].text}" for id_ in outcome.requirements]
    if outcome.sent:
        lines.append(f"sent: {outcome.sent}")
    lines += [f"expected: {text}" for text in outcome.expected]
    lines.append(f"received: {outcome.received}")
    return printable("\n".join(lines))
