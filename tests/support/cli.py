"""Runs the command line as a process, like a user."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-P", "-m", "ergo_conformance")  # -P: ignores a checkout in the current directory
REMOVED_VARIABLES = ("PYTEST_", "ERGO_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "CI", "TTY_", "TERM")
"""Prefixes of variables that would change output or tests."""
SUPPORT = Path(__file__).parent
MUTANT_PROCESS = (sys.executable, "-P", str(SUPPORT / "mutant_process.py"))
"""Command of a mutant as a process target; the name of the mutant or `none` follows."""

Json = Any


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the variables of this process without those that would change a result."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(REMOVED_VARIABLES)}
    return {**kept, **(extra or {})}


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def contains_once(self, text: str) -> bool:
        return self.text.count(text) == 1


def cli(
    *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = 550
) -> CommandResult:
    """Runs the command line to its end. AssertionError if it prints a traceback."""
    process = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment(env),
        cwd=cwd or tempfile.gettempdir(),
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    ended = CommandResult(process.returncode, process.stdout, process.stderr)
    assert_no_traceback(ended)
    return ended


def assert_no_traceback(ended: CommandResult) -> None:
    for sign in ("Traceback (most recent", "INTERNALERROR", "Exception ignored", "Task was destroyed"):
        assert sign not in ended.text, ended.text


def run_concurrently(commands: Mapping[str, tuple[str | Path, ...]]) -> dict[str, CommandResult]:
    """Runs several command lines concurrently: most of their time is waiting."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return dict(zip(commands, pool.map(lambda arguments: cli(*arguments), commands.values()), strict=True))


def cases_of(report: Path) -> dict[str, Json]:
    """Returns the cases of a JSON report by id."""
    return {row["id"]: row for row in json.loads(report.read_text(encoding="utf-8"))["cases"]}


def failed_cases(report: Path) -> set[str]:
    return {id_ for id_, row in cases_of(report).items() if row["verdict"] == "FAIL"}


def case_options(*cases: str) -> list[str]:
    """Returns the options that select these cases."""
    return [word for id_ in cases for word in ("--case", id_)]
