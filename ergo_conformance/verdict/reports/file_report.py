"""Base class and helpers of the reports that are written to a file."""

from abc import ABC, abstractmethod
from pathlib import Path

from ...spec.requirements import catalogue
from ..run.events import RunFinished, RunListener
from ..run.outcome import Outcome
from ..run.summary import RunSummary


class FileReport(RunListener, ABC):
    """Report that is written at the end of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return f"--report {self.path}"

    def run_finished(self, event: RunFinished) -> None:
        self.path.write_text(self.render(event.summary), encoding="utf-8")

    @abstractmethod
    def render(self, summary: RunSummary) -> str:
        """Returns the content of the file."""


def evidence(outcome: Outcome) -> list[str]:
    """Lines that explain a verdict other than PASS; the bytes of each packet are below it in hex."""
    lines = []
    if outcome.violated:
        requirement = catalogue()[outcome.violated]
        lines.append(f"{requirement.id} ({requirement.level}): {requirement.text}")
    lines += [f"before    {text}" for text in outcome.before]
    if outcome.sent:
        lines.append(f"sent      {outcome.sent}")
    lines += [f"{'expected' if i == 0 else '      or'}  {text}" for i, text in enumerate(outcome.expected)]
    if outcome.received:
        lines.append(f"received  {outcome.received}")
    if outcome.difference:
        lines.append(f"differs   {outcome.difference}")
    for label, shown in outcome.transcripts:
        lines.append(f"{label}:")
        for line in shown:
            lines.append(f"  {line.stamp}{line.text}")
            if line.data:
                lines.append(f"    {line.data.hex()}")
    if outcome.stderr:
        lines += ["stderr of the target:", *(f"  {text}" for text in outcome.stderr)]
    lines += [f"earlier   {each.received} (ran again: {each.reason})" for each in outcome.earlier]
    return lines
