"""Outcome of one case."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ...peers.transcript import Line
from ...spec.requirements import RequirementLevel


class Verdict(StrEnum):
    """Result of a case.

    WARN: a SHOULD is violated. INFO: the target differs from the observed behaviour of the upstream node.
    INCONCLUSIVE: the tester was too late to judge.
    """

    PASS = "PASS"  # noqa: S105  not a password
    FAIL = "FAIL"
    WARN = "WARN"
    INFO = "INFO"
    SKIP = "SKIP"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"


DID_NOT_RUN: Final = "did not run"
"""Start of the reason of a selected case that has no verdict."""
BAD: Final = frozenset({Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE})
"""Verdicts that make a run fail."""


def verdict_of_violation(level: RequirementLevel) -> Verdict:
    """Verdict of a case of this level whose requirement is violated."""
    return {RequirementLevel.MUST: Verdict.FAIL, RequirementLevel.SHOULD: Verdict.WARN}.get(level, Verdict.INFO)


@dataclass(frozen=True, slots=True)
class Attempt:
    """An earlier run of a case that does not count. `reason`: why not; the others as in Outcome."""

    reason: str
    sent: str = ""
    expected: tuple[str, ...] = ()
    received: str = ""


@dataclass(slots=True)
class Outcome:
    """Verdict of a case and the evidence for it. Texts have no control codes and no lone surrogates."""

    id: str
    title: str
    suite: str
    requirements: tuple[str, ...]
    level: RequirementLevel
    verdict: Verdict
    seconds: float = 0.0
    """Duration in real time, also of a case in memory."""
    reason: str = ""
    """Reason of SKIP, ERROR or INCONCLUSIVE: one sentence."""
    violated: str = ""
    """The violated requirement: the one that the failed check names, otherwise the first of the case."""
    before: tuple[str, ...] = ()
    """The messages before the last sent one; each begins with its direction, `>` or `<`."""
    sent: str = ""
    """Description of the last bytes that the case sent."""
    expected: tuple[str, ...] = ()
    """Every answer that the requirements allow."""
    received: str = ""
    """Actual behaviour of the target."""
    difference: str = ""
    """First difference of a received value and the expected one, with its path."""
    transcripts: list[tuple[str, list[Line]]] = field(default_factory=list)
    """Label and last decoded lines of each socket; empty for PASS."""
    stderr: list[str] = field(default_factory=list)
    """Last lines that a started target wrote to stderr while the case ran; empty for PASS."""
    earlier: list[Attempt] = field(default_factory=list)
    """Earlier runs of the case that do not count, because the tester was late or the target was lost."""

    @property
    def did_not_run(self) -> bool:
        """True for a selected case without a verdict."""
        return self.reason.startswith(DID_NOT_RUN)
