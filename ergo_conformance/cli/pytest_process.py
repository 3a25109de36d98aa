"""Runs pytest over the suites in a child process, and ends what it leaves behind if it dies."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ..verdict.run.pytest_arguments import clean_environment, suite_arguments

PLUGIN: Final = ("-p", "ergo_conformance.pytest_plugin")
PYTEST_USAGE, PYTEST_INTERRUPTED, PYTEST_INTERNAL, PYTEST_NOTHING = 4, 2, 3, 5


def pytest_child(
    names: Sequence[str], options: Sequence[str], environment: Mapping[str, str], reports: Sequence[str] = ()
) -> int:
    """Runs pytest over suites; returns the exit code for this program: 0, 1, 2 or 5. UsageError for an unknown suite.

    `reports`: values of `--report`; they are written here if the child dies before it has written them.
    """
    from ..targets.process_group import NOTES, kill_noted_groups
    from ..verdict.run.interruption import PARENT
    from ..verdict.run.journal import JOURNAL

    started = time.monotonic()
    command = [sys.executable, "-P", "-m", "pytest", *PLUGIN, *options, *suite_arguments(names)]
    with tempfile.TemporaryDirectory(prefix="ergo-conformance-") as directory:
        groups, journal = Path(directory, "targets"), Path(directory, "journal")
        groups.mkdir()
        ours, held = os.pipe()
        variables = {NOTES: str(groups), JOURNAL: str(journal), PARENT: str(ours)}
        child = {**clean_environment(), **environment, **variables}
        try:
            with subprocess.Popen(command, env=child, pass_fds=(ours,)) as process, forwarded_signals(process):
                os.close(ours)
                code = process.wait()
        finally:
            os.close(held)
            kill_noted_groups(groups)
        if code < 0 or code > PYTEST_NOTHING:
            report_death(journal, code, reports, started)
    return exit_code_of(code)


@contextmanager
def forwarded_signals(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Forwards the signals that end a run to the child, which writes its reports before it ends."""
    from ..verdict.run.interruption import SIGNALS

    def forward(number: int, _: Any) -> None:
        process.send_signal(number)

    before = {
        number: signal.signal(number, forward) for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def report_death(journal: Path, code: int, reports: Sequence[str], started: float) -> None:
    """Writes the reports of what a child had done that died."""
    from ..verdict.reports import report_of
    from ..verdict.reports.terminal_report import TerminalReport
    from ..verdict.run.events import RunFinished, publish
    from ..verdict.run.journal import unfinished_summary

    how = f"ended with code {code}" if code >= 0 else f"was ended by {_signal_name(-code)}"
    text = f"the process that runs the cases {how}"
    summary = unfinished_summary(journal, text, started)
    if summary is None:
        print(f"error: {text}, before its first case or after its last one", file=sys.stderr)
        return
    errors = publish(RunFinished(summary), [report_of(each) for each in reports])
    publish(RunFinished(summary.with_errors(errors)), [TerminalReport()])


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def exit_code_of(code: int) -> int:
    """Exit code of this program for an exit code of pytest, or for the negative number of the signal that killed it."""
    if code == PYTEST_USAGE:
        return 2
    return 1 if code in (PYTEST_INTERRUPTED, PYTEST_INTERNAL) or code < 0 or code > PYTEST_NOTHING else code
