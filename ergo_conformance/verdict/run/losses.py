"""Losses of a live target: it ended, or it accepts no connection any more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...targets.base import RunningTarget
from .context import UnreachableViolationError
from .execution import CaseResult, PlannedCase, TargetLostError

MAX_LOSSES: Final = 20
"""Number of losses after which a target is not started again: it is not tested further."""
NAMED: Final = 5
"""Number of cases that the description of a loss names."""


def loss_of(running: RunningTarget, result: CaseResult) -> str:
    """Returns a sentence if the target was lost when a case had this result, otherwise an empty text."""
    if running.ended:
        return running.ended
    error = result.error
    return f"the target accepts no connection: {error.actual}" if isinstance(error, UnreachableViolationError) else ""


def blamed(result: CaseResult, loss: str) -> CaseResult:
    """Gives a case a violation: the target was lost each time that it ran alone."""
    sent = getattr(result.error, "sent", "")
    result.error = TargetLostError(loss, ("the target keeps running and accepts connections",), sent)
    return result


@dataclass
class Loss:
    """One loss: what happened, and the cases that ran then."""

    description: str
    cases: tuple[str, ...]
    explained: bool = False
    """True if a case has the violation: it causes the loss when it runs alone."""
    cause: str = ""
    """Id of a case that causes it when it runs alone, though it passed before."""


class Losses:
    """All losses of a run."""

    def __init__(self) -> None:
        self._losses: list[Loss] = []

    def __len__(self) -> int:
        return len(self._losses)

    def add(self, description: str, cases: Sequence[PlannedCase]) -> Loss:
        """Notes a loss while these cases ran."""
        loss = Loss(description, tuple(case.id for case in cases))
        self._losses.append(loss)
        return loss

    @property
    def too_many(self) -> bool:
        """True if the target is not started again."""
        return len(self._losses) >= MAX_LOSSES

    def errors(self) -> list[str]:
        """Returns one text for all losses that no single case explains."""
        unexplained = [loss for loss in self._losses if not loss.explained]
        if not unexplained:
            return []
        first, *others = unexplained
        what, _, stderr = first.description.partition("\n")
        more = f" and {len(first.cases) - NAMED} more" if len(first.cases) > NAMED else ""
        when = f"while {', '.join(first.cases[:NAMED])}{more} ran" if first.cases else "while no case ran"
        times = f", and {len(others)} more time{'s' if len(others) > 1 else ''} later" if others else ""
        causes = ", ".join(dict.fromkeys(loss.cause for loss in unexplained if loss.cause))
        cause = f"{causes} causes it when it runs alone" if causes else "no case causes it when it runs alone"
        return [f"{what}, {when}{times}; {cause}" + (f"\n{stderr}" if stderr else "")]
