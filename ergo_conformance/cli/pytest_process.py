"""Runs pytest over the suites in a child process."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from ..verdict.run.pytest_arguments import clean_environment, suite_arguments

PLUGIN: Final = ("-p", "ergo_conformance.pytest_plugin")
PYTEST_USAGE, PYTEST_INTERRUPTED, PYTEST_INTERNAL = 4, 2, 3


def pytest_child(names: Sequence[str], options: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs pytest over suites; returns the exit code for this program: 0, 1, 2 or 5. UsageError for an unknown suite."""
    command = [sys.executable, "-P", "-m", "pytest", *PLUGIN, *options, *suite_arguments(names)]
    process = subprocess.Popen(command, env={**clean_environment(), **environment})
    while True:
        try:
            return exit_code_of(process.wait())
        except KeyboardInterrupt:
            continue  # the child gets SIGINT, too, and writes its reports before it ends


def exit_code_of(code: int) -> int:
    """Exit code of this program for an exit code of pytest, or for the negative number of the signal that killed it."""
    if code == PYTEST_USAGE:
        return 2
    return 1 if code in (PYTEST_INTERRUPTED, PYTEST_INTERNAL) or code < 0 else code
