"""JSON report: all data of a run, for programs. The format is `ergo-report/2` (docs/reports.md)."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from ..run.events import RunListener
from ..run.outcome import Outcome, Verdict
from ..run.summary import RunSummary
from .file_report import FileReport

FORMAT: Final = "ergo-report/2"
SCHEMA: Final = Path(__file__).parent / "schemas" / "ergo-report-2.schema.json"
"""JSON Schema of the format."""


def to_json(summary: RunSummary) -> str:
    """The report as ASCII text."""
    report = {
        "format": FORMAT,
        "run": asdict(summary.header) | {"seconds": round(summary.seconds, 3), "interrupted": summary.interrupted},
        "counts": {verdict.value: summary.counts[verdict] for verdict in Verdict},
        "exit_code": summary.exit_code,
        "errors": list(summary.errors),
        "cases": [_case(outcome) for outcome in summary.outcomes],
    }
    return json.dumps(report, indent=1, ensure_ascii=True) + "\n"


def _case(outcome: Outcome) -> dict[str, Any]:
    return asdict(outcome) | {
        "verdict": outcome.verdict.value,
        "level": outcome.level.value,
        "transcripts": [{"socket": label, "lines": lines} for label, lines in outcome.transcripts],
    }


class JsonReport(FileReport):
    """File with the JSON report."""

    def render(self, summary: RunSummary) -> str:
        return to_json(summary)


def create(path: Path) -> RunListener:
    """The report that writes to this file."""
    return JsonReport(path)
