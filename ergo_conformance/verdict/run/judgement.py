"""Judgement of a case: the outcome that follows from its result."""

from collections.abc import Iterable
from typing import Final

from ...model.text import escape
from ...peers.transcript import MAX_SHOWN, Line, Transcript
from ...peers.violation import SetUpError, ShortageError, ViolationError
from ...spec.requirements import STRICTNESS, catalogue, strictest
from .case_function import CaseRaisedError
from .collected_case import CollectedCase
from .context import SkippedError
from .execution import CaseResult, EarlierAttempt, InconclusiveError, TargetLostError
from .outcome import Attempt, Outcome, Verdict, verdict_of_violation

SHOWN_LINES: Final = 12
"""Number of lines of a socket's transcript that an outcome keeps: the last ones."""
MAX_EVIDENCE: Final = 1_000_000
"""Characters of text and hex in the transcripts of one outcome; further lines are kept in short form."""


def outcome_of(case: CollectedCase, result: CaseResult) -> Outcome:
    """Judges the result of a case."""
    outcome = Outcome(case.id, case.title, case.suite, case.case.requirements, case.level, Verdict.PASS, result.seconds)
    outcome.earlier = [_described(attempt) for attempt in result.earlier]
    match result.error:
        case None:
            return outcome
        case ViolationError() as violation:
            _judge(outcome, case, first_violation(violation))
        case SkippedError() as skipped:
            outcome.verdict, outcome.reason = Verdict.SKIP, escape(str(skipped))
        case InconclusiveError() | ShortageError() | SetUpError() as inconclusive:
            outcome.verdict, outcome.reason = Verdict.INCONCLUSIVE, escape(str(inconclusive))
        case CaseRaisedError() as raised:
            outcome.verdict, outcome.reason = Verdict.ERROR, escape(str(raised))
        case error:
            outcome.verdict, outcome.reason = Verdict.ERROR, escape(f"{type(error).__name__}: {error}", keep="\n")
    outcome.transcripts = evidence_of(result.transcripts)
    outcome.stderr = [escape(line) for line in result.stderr]
    return outcome


def _described(attempt: EarlierAttempt) -> Attempt:
    """The evidence of an attempt that does not count."""
    error, reason = attempt.result.error, escape(attempt.reason)
    if isinstance(error, ViolationError):
        return Attempt(reason, error.sent, error.expected, error.actual)
    return Attempt(reason, received=escape(str(error or "")))


def first_violation(violation: ViolationError) -> ViolationError:
    """Returns the violation that came first: cleaning up after it may have violated, too."""
    while isinstance(violation.__context__, ViolationError) and not violation.__suppress_context__:
        violation = violation.__context__
    return violation


def _judge(outcome: Outcome, case: CollectedCase, violation: ViolationError) -> None:
    if violated := _of_the_step(case, violation):
        outcome.requirements, outcome.level = violated, strictest(violated)
    lost = isinstance(violation, TargetLostError)  # whatever the level of the case: the target has to go on
    outcome.verdict = Verdict.FAIL if lost else verdict_of_violation(outcome.level)
    outcome.violated = violation.requirement or outcome.requirements[0]
    outcome.before, outcome.sent = violation.before, violation.sent
    outcome.expected, outcome.received = violation.expected, violation.actual
    outcome.difference = violation.difference


def _of_the_step(case: CollectedCase, violation: ViolationError) -> tuple[str, ...]:
    """Ids of the requirements of the step that failed, if they are not those of the case."""
    level = strictest(violation.requirements) if violation.requirements else case.level
    stricter = STRICTNESS.index(strictest(violation.general)) < STRICTNESS.index(level)
    return violation.general if stricter else violation.requirements


def evidence_of(transcripts: Iterable[Transcript], room: int = MAX_EVIDENCE) -> list[tuple[str, list[Line]]]:
    """Returns label and last lines of each socket, with at most `room` characters of whole texts and hex."""
    shown = []
    for transcript in transcripts:
        lines = []
        for line in transcript.lines(SHOWN_LINES):
            room -= len(line.text) + 2 * len(line.data)
            lines.append(line if room >= 0 else Line(line.stamp, line.short, line.short, line.data[:MAX_SHOWN]))
        shown.append((escape(transcript.label), lines))
    return shown


def failure_text(outcome: Outcome) -> str:
    """Text of a failure in pytest's own output."""
    lines = [outcome.title, f"{outcome.violated}: {catalogue()[outcome.violated].text}"]
    lines += [f"before: {text}" for text in outcome.before]
    if outcome.sent:
        lines.append(f"sent: {outcome.sent}")
    lines += [f"expected: {text}" for text in outcome.expected]
    lines.append(f"received: {outcome.received}")
    if outcome.difference:
        lines.append(f"difference: {outcome.difference}")
    return "\n".join(lines)
