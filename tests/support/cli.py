"""Runs the command line: in the process of the test, or as a process of its own."""

import io
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ergo_conformance.cli import main
from ergo_conformance.cli import run as cli_run
from ergo_conformance.cli.pytest_process import PLUGIN, exit_code_of
from ergo_conformance.verdict.run.pytest_arguments import clean_environment, environment_of_process, suite_arguments

COMMAND = (sys.executable, "-P", "-m", "ergo_conformance")  # -P: ignores a checkout in the current directory
REMOVED_VARIABLES = ("PYTEST_", "ERGO_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "CI", "TTY_", "TERM")
"""Prefixes of variables that would change output or tests."""
SUPPORT = Path(__file__).parent
MUTANT_PROCESS = (sys.executable, "-P", str(SUPPORT / "mutant_process.py"))
"""Command of a mutant as a process target; the name of the mutant or `none` follows."""

LIMIT = 550.0
"""Seconds for a process: less than pytest's own limit, so that its output is shown."""

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


def cli(*arguments: str | Path, env: Mapping[str, str] | None = None) -> CommandResult:
    """Runs the command line to its end in this process, with the pytest session of `run`.

    AssertionError if it prints a traceback. `cli_process` is for what only a process can show.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        environment_of_process(environment(env)),
        mock.patch.object(sys, "argv", ["ergo-conformance", *map(str, arguments)]),
        mock.patch.object(cli_run, "pytest_child", pytest_in_this_process),
        warnings.catch_warnings(),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        warnings.resetwarnings()
        with pytest.raises(SystemExit) as exited:
            main()
    assert isinstance(exited.value.code, int)
    ended = CommandResult(exited.value.code, out.getvalue(), err.getvalue())
    assert_no_traceback(ended)
    return ended


def pytest_in_this_process(
    names: Sequence[str], options: Sequence[str], variables: Mapping[str, str], reports: Sequence[str] = ()
) -> int:
    """Stands in for `pytest_child`; `reports` are written by the session itself."""
    arguments = [*PLUGIN, *options, *suite_arguments(names)]
    with environment_of_process({**clean_environment(), **variables}):
        return exit_code_of(pytest.main(arguments))


def cli_process(*arguments: str | Path, env: Mapping[str, str] | None = None) -> CommandResult:
    """Runs the command line to its end as a process, like a user. AssertionError if it prints a traceback."""
    process = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment(env),
        cwd=tempfile.gettempdir(),
        capture_output=True,
        encoding="utf-8",
        timeout=LIMIT,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    ended = CommandResult(process.returncode, process.stdout, process.stderr)
    assert_no_traceback(ended)
    return ended


def assert_no_traceback(ended: CommandResult) -> None:
    for sign in ("Traceback (most recent", "INTERNALERROR", "Exception ignored", "Task was destroyed"):
        assert sign not in ended.text, ended.text


def cases_of(report: Path) -> dict[str, Json]:
    """Returns the cases of a JSON report by id."""
    return {row["id"]: row for row in json.loads(report.read_text(encoding="utf-8"))["cases"]}


def failed_cases(report: Path) -> set[str]:
    return {id_ for id_, row in cases_of(report).items() if row["verdict"] == "FAIL"}


def case_options(*cases: str) -> list[str]:
    """Returns the options that select these cases."""
    return [word for id_ in cases for word in ("--case", id_)]
