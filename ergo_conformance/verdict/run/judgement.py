"""Judgement of a case: the outcome that follows from its result."""

from typing import Final

from ...peers.violation import ShortageError, ViolationError
from ...spec.requirements import catalogue
from .collected_case import CollectedCase
from .context import SkippedError
from .execution import CaseResult, EarlierAttempt, InconclusiveError, TargetLostError
from .outcome import Attempt, Outcome, Verdict, printable, verdict_of_violation

SHOWN_LINES: Final = 12
"""Number of lines of a socket's transcript that an outcome keeps: the last ones."""


def outcome_of(case: CollectedCase, result: CaseResult) -> Outcome:
    """Judges the result of a case."""
    outcome = Outcome(case.id, case.title, case.suite, case.case.requirements, case.level, Verdict.PASS, result.seconds)
    outcome.earlier = [_described(attempt) for attempt in result.earlier]
    match result.error:
        case None:
            return outcome
        case ViolationError() as violation:
            lost = isinstance(violation, TargetLostError)
            outcome.verdict = Verdict.FAIL if lost else verdict_of_violation(case.level)
            outcome.sent, outcome.expected, outcome.received = violation.sent, violation.expected, violation.actual
        case SkippedError() as skipped:
            outcome.verdict, outcome.reason = Verdict.SKIP, str(skipped)
        case InconclusiveError() | ShortageError() as inconclusive:
            outcome.verdict, outcome.reason = Verdict.INCONCLUSIVE, str(inconclusive)
        case error:
            outcome.verdict, outcome.reason = Verdict.ERROR, f"{type(error).__name__}: {error}"
    outcome.transcripts = [(each.label, list(each.lines(SHOWN_LINES))) for each in result.transcripts]
    outcome.stderr = list(result.stderr)
    return outcome


def _described(attempt: EarlierAttempt) -> Attempt:
    """The evidence of an attempt that does not count."""
    error = attempt.result.error
    if isinstance(error, ViolationError):
        return Attempt(attempt.reason, error.sent, error.expected, error.actual)
    return Attempt(attempt.reason, received=str(error or ""))


def failure_text(outcome: Outcome) -> str:
    """Text of a failure in pytest's own output."""
    lines = [outcome.title]
    lines += [f"{id_}: {catalogue()[id_].text}" for id_ in outcome.requirements]
    if outcome.sent:
        lines.append(f"sent: {outcome.sent}")
    lines += [f"expected: {text}" for text in outcome.expected]
    lines.append(f"received: {outcome.received}")
    return printable("\n".join(lines))
