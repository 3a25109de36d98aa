"""What one case found."""

from dataclasses import dataclass, field
from enum import StrEnum

from ...spec.requirements import RequirementLevel


class Verdict(StrEnum):
    """WARN: a SHOULD is not met. INFO: the target does something else than the upstream node was seen to do.
    INCONCLUSIVE: the tester was too late to judge.
    """

    PASS = "PASS"  # noqa: S105  no password
    FAIL = "FAIL"
    WARN = "WARN"
    INFO = "INFO"
    SKIP = "SKIP"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"


DID_NOT_RUN = "did not run"
"""How the reason begins of a case that was chosen and has no verdict."""
BAD = frozenset({Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE})


def printable(text: str) -> str:
    """Text without control codes, whatever a target put into it."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def of_violation(level: RequirementLevel) -> Verdict:
    """What a violation of a requirement means."""
    return {RequirementLevel.MUST: Verdict.FAIL, RequirementLevel.SHOULD: Verdict.WARN}.get(level, Verdict.INFO)


@dataclass(slots=True)
class Outcome:
    """A verdict and the evidence for it."""

    id: str
    title: str
    suite: str
    requirements: tuple[str, ...]
    level: RequirementLevel
    verdict: Verdict
    seconds: float = 0.0
    reason: str = ""
    """Of a SKIP, or of an ERROR: one sentence."""
    sent: str = ""
    legal: tuple[str, ...] = ()
    came: str = ""
    transcripts: list[tuple[str, list[str]]] = field(default_factory=list)
    """Label and decoded lines of each link."""
