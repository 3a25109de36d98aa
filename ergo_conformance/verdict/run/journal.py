"""Journal of a run: its events in a file, from which the reports are written if the process that runs the cases dies.

The command line starts that process and reads the journal. Both are the same program, so the events are pickled.
"""

import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from .events import CaseFinished, RunFinished, RunListener, RunStarted
from .outcome import DID_NOT_RUN, Outcome
from .summary import RunSummary

JOURNAL: Final = "ERGO_CONFORMANCE_JOURNAL"
"""Environment variable: the file of the journal. Without it there is none."""


class Journal(RunListener):
    """Listener that writes the events of a run to a file; a case's transcripts are left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def __str__(self) -> str:
        return f"journal {self.path}"

    def run_started(self, event: RunStarted) -> None:
        self._file = self.path.open("ab")
        self._write(event)

    def case_finished(self, event: CaseFinished) -> None:
        self._write(event.outcome)

    def run_finished(self, event: RunFinished) -> None:
        self._write(event)
        if self._file is not None:
            self._file.close()

    def _write(self, entry: RunStarted | Outcome | RunFinished) -> None:
        if self._file is not None:
            pickle.dump(entry, self._file)
            self._file.flush()


def unfinished_summary(path: Path, error: str, started: float) -> RunSummary | None:
    """Returns the summary of a run whose process died: a case without an outcome did not run.

    `error`: why the run ended; `started`: time.monotonic at its start. None if it had not begun, or had ended before.
    """
    header, planned, judged = None, {}, {}
    for entry in _entries(path):
        match entry:
            case RunStarted():
                header, planned = entry.header, {outcome.id: outcome for outcome in entry.planned}
            case Outcome():
                judged[entry.id] = entry
            case RunFinished():
                return None
    if header is None:
        return None
    outcomes = []
    for id_, outcome in planned.items():
        outcome.reason = f"{DID_NOT_RUN}: {error}"
        outcomes.append(judged.get(id_, outcome))
    return RunSummary(header, outcomes, time.monotonic() - started, (error,), interrupted=True)


def _entries(path: Path) -> Iterator[Any]:
    """Yields the entries of a journal; its last one may be cut off."""
    try:
        with path.open("rb") as file:
            while True:
                yield pickle.load(file)  # noqa: S301  written by this program
    except (OSError, EOFError, pickle.UnpicklingError):
        return
