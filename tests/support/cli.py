"""Starts the command line as a user does, in a process of its own."""

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

COMMAND = (sys.executable, "-P", "-m", "ergo_conformance")  # -P: never the checkout that we may stand in
NOT_OURS = ("PYTEST_", "ERGO_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "CI", "TTY_", "TERM")
"""Variables that would change what is printed or tested."""
SUPPORT = Path(__file__).parent
MUTANT_PROCESS = (sys.executable, "-P", str(SUPPORT / "mutant_process.py"))
"""Command of a mutant as a target: its name follows, or `none`."""

Json = Any


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's variables without those that would change a result."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
    return {**kept, **(extra or {})}


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def said_once(self, text: str) -> bool:
        return self.text.count(text) == 1


def cli(
    *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = 550
) -> Ended:
    """Runs the command line to its end. Whatever it is asked, a traceback is never the answer."""
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
    ended = Ended(process.returncode, process.stdout, process.stderr)
    assert_no_traceback(ended)
    return ended


def assert_no_traceback(ended: Ended) -> None:
    for sign in ("Traceback (most recent", "INTERNALERROR", "Exception ignored", "Task was destroyed"):
        assert sign not in ended.text, ended.text


def all_at_once(commands: Mapping[str, tuple[str | Path, ...]]) -> dict[str, Ended]:
    """Several command lines side by side: most of their time they wait."""
    with ThreadPoolExecutor(len(commands)) as pool:
        return dict(zip(commands, pool.map(lambda arguments: cli(*arguments), commands.values()), strict=True))


def cases_of(report: Path) -> dict[str, Json]:
    """The cases of a JSON report by id."""
    return {row["id"]: row for row in json.loads(report.read_text(encoding="utf-8"))["cases"]}


def failed(report: Path) -> set[str]:
    return {id_ for id_, row in cases_of(report).items() if row["verdict"] == "FAIL"}


def only(*cases: str) -> list[str]:
    """The options that choose these cases."""
    return [word for id_ in cases for word in ("--case", id_)]
