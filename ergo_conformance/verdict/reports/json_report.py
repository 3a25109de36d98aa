"""JSON report: all data of a run, for programs. The format is `ergo-report/2` (docs/reports.md)."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from ...model.text import escape
from ..run.events import RunListener
from ..run.outcome import Outcome, Verdict
from ..run.summary import RunSummary
from .causes import causes
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
        "causes": [
            {"verdict": cause.verdict.value, "text": cause.text, "cases": [outcome.id for outcome in cause.outcomes]}
            for cause in causes(summary.outcomes)
        ],
        "cases": [_case(outcome) for outcome in summary.outcomes],
    }
    return json.dumps(_escaped(report), indent=1, ensure_ascii=True) + "\n"


def _escaped(value: Any) -> Any:
    """A value of the report without control codes and lone surrogates, which not every reader of JSON takes."""
    match value:
        case str():
            return escape(value, keep="\n\t")
        case dict():
            return {key: _escaped(each) for key, each in value.items()}
        case list() | tuple():
            return [_escaped(each) for each in value]
    return value


def _case(outcome: Outcome) -> dict[str, Any]:
    return {field.name: getattr(outcome, field.name) for field in fields(outcome)} | {
        "verdict": outcome.verdict.value,
        "level": outcome.level.value,
        "transcripts": [
            {
                "socket": label,
                "lines": [line.stamp + line.text for line in lines],
                "hex": [line.data.hex() for line in lines],
            }
            for label, lines in outcome.transcripts
        ],
        "earlier": [asdict(attempt) for attempt in outcome.earlier],
    }


class JsonReport(FileReport):
    """File with the JSON report."""

    def render(self, summary: RunSummary) -> str:
        return to_json(summary)


def create(path: Path) -> RunListener:
    """The report that writes to this file."""
    return JsonReport(path)
