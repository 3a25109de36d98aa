"""Events of a run, and the base class of their listeners. Every report is a listener.

The order is: RunStarted, CaseFinished for each case that was judged, RunFinished. A run that ends before its first case (no
target, no case selected) has no events.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ...peers.transcript import Transcript
from .outcome import Outcome
from .summary import RunHeader, RunSummary


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The target runs and the cases are selected."""

    header: RunHeader
    planned: tuple[Outcome, ...] = ()
    """What the report shows of each selected case that does not run, in the order of the run."""


@dataclass(frozen=True, slots=True)
class CaseFinished:
    """A case has a verdict."""

    outcome: Outcome
    transcripts: tuple[Transcript, ...]
    """Raw entries (direction, time, bytes, event) of each socket of the case, whatever its verdict.

    The run does not keep them: a listener that needs them later must keep them. Empty for a case without sockets.
    """


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The end of a run: its cases have ended, or it was interrupted."""

    summary: RunSummary


RunEvent = RunStarted | CaseFinished | RunFinished


class RunListener:
    """Receives the events of a run. Every method does nothing by default; an OSError is reported as an error of the run."""

    def run_started(self, event: RunStarted) -> None:
        """Called once, before the first case."""

    def case_finished(self, event: CaseFinished) -> None:
        """Called for each judged case, in the order of collection."""

    def run_finished(self, event: RunFinished) -> None:
        """Called once, at the end."""


def publish(event: RunEvent, listeners: Iterable[RunListener]) -> list[str]:
    """Hands an event to each listener; returns one sentence for each that failed with an OSError."""
    errors = []
    for listener in listeners:
        try:
            match event:
                case RunStarted():
                    listener.run_started(event)
                case CaseFinished():
                    listener.case_finished(event)
                case RunFinished():
                    listener.run_finished(event)
        except OSError as error:
            errors.append(f"{listener}: {error.strerror}")
    return errors
