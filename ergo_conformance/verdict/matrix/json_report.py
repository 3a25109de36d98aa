"""JSON report of a kill matrix. The format is `ergo-mutants/1` (docs/mutants.md)."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from ...errors import UsageError
from .result import Matrix, MutantResult, Status, percent

FORMAT: Final = "ergo-mutants/1"
SCHEMA: Final = Path(__file__).parents[1] / "reports" / "schemas" / "ergo-mutants-1.schema.json"
"""JSON Schema of the format."""


def report_files(texts: Sequence[str]) -> list[Path]:
    """The files that `--report json=FILE` names. UsageError for another kind, or a directory that does not exist."""
    files = []
    for text in texts:
        kind, _, name = text.partition("=")
        path = Path(name)
        if kind != "json" or not name or not path.parent.is_dir():
            raise UsageError(f"--report {text}: expected json=FILE in an existing directory")
        files.append(path)
    return files


def to_json(matrix: Matrix) -> str:
    """The report as ASCII text."""
    mutants = matrix.mutants
    missing = matrix.missing
    must = len(matrix.must_cases)
    killed = sum(result.status is Status.KILLED for result in mutants)
    report = {
        "format": FORMAT,
        "run": {
            "version": version("ergo-conformance"),
            "seconds": round(matrix.seconds, 3),
            "interrupted": matrix.interrupted,
            "all_cases": matrix.selection.all_cases,
            "narrowed": matrix.selection.narrowed,
        },
        "score": {
            "must_cases": must,
            "must_cases_with_mutant": must - len(missing),
            "must_percent": percent(must - len(missing), must),
            "mutants": len(mutants),
            "mutants_killed": killed,
            "mutants_percent": percent(killed, len(mutants)),
            "mutants_subtle": sum(result.mutant.subtle for result in mutants),
        },
        "exit_code": matrix.exit_code,
        "errors": matrix.errors,
        "mutants": [_mutant(result) for result in mutants],
        "no_fault": {"cases": matrix.pristine_cases, "problems": matrix.pristine_problems},
        "cases_without_mutant": [
            {"id": each.case.id, "requirements": list(each.case.case.requirements), "reason": each.reason}
            for each in missing
        ],
    }
    return json.dumps(report, indent=1, ensure_ascii=True) + "\n"


def _mutant(result: MutantResult) -> dict[str, Any]:
    mutant = result.mutant
    return {
        "id": mutant.id,
        "area": mutant.area,
        "breaks": mutant.breaks,
        "requirements": list(mutant.requirements),
        "found_by": list(mutant.found_by),
        "subtle": mutant.subtle,
        "over": "tcp" if mutant.needs_tcp else "memory",
        "status": result.status.value,
        "problems": list(result.problems),
        "killed_by": list(result.kills),
        "verdicts": {id_: verdict.value for id_, verdict in result.verdicts.items()},
    }
