"""Registry of the reports of a run. A kind of report is one module with a function `create`, and one row here.

A report is a listener of the events of a run (verdict/run/events.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...errors import UsageError, suggestion

if TYPE_CHECKING:
    from ..run.events import RunListener

REPORTS: Final[Mapping[str, str]] = {"junit": "junit_report", "json": "json_report"}
"""Module of this package for each kind of report; its `create(path: Path) -> RunListener` makes the report."""


def check_writable(path: Path, text: str) -> None:
    """Checks, before the run, that a file can be written. UsageError if not. Leaves no new file behind.

    What is not a regular file is not tried: a device, or a pipe whose reader has not opened it yet.
    """
    try:
        existed = path.exists()
        if existed and not (path.is_file() or path.is_dir()):
            return
        path.open("ab").close()
    except OSError as error:
        raise UsageError(f"--report {text}: {error.strerror}") from None
    if not existed:
        path.unlink()


def report_of(text: str) -> RunListener:
    """The report that `--report KIND=FILE` names. UsageError for an unknown kind, or a directory that does not exist."""
    kind, _, name = text.partition("=")
    if kind not in REPORTS:
        raise UsageError(f"--report {text}: unknown kind of report{suggestion(kind, tuple(REPORTS))}")
    path = Path(name)
    if not name or not path.parent.is_dir():
        raise UsageError(f"--report {text}: expected KIND=FILE in an existing directory")
    check_writable(path, text)
    listener: RunListener = import_module(f".{REPORTS[kind]}", __package__).create(path)
    return listener
