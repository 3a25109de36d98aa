"""Runs pytest over the suites in a child process."""

import fnmatch
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError, suggestion
from ..locate import suite_names, suites

PYTEST_USAGE, PYTEST_INTERRUPTED, PYTEST_INTERNAL = 4, 2, 3


def paths_of(names: Sequence[str]) -> list[str]:
    """Directories of the named suites; of all suites if none is named. UsageError for an unknown suite."""
    known = suite_names()
    for name in names:
        if name not in known:
            raise UsageError(f"unknown suite {name!r}{suggestion(name, known)}")
    return [str(suites() / name) for name in names or known]


def suites_of(cases: Sequence[str]) -> list[str]:
    """Names of the suites whose cases can match these ids; none if any suite can. An id begins with its suite's name."""
    known = suite_names()
    found = [{name for name in known if fnmatch.fnmatch(name, case.partition(".")[0])} for case in cases]
    return sorted(set().union(*found)) if found and all(found) else []


def pytest_child(names: Sequence[str], options: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Runs pytest over suites; returns the exit code for this program: 0, 1, 2 or 5."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-p",
        "ergo_conformance.pytest_plugin",
        "-c",
        str(suites() / "pytest.ini"),
        "--rootdir",
        str(suites()),
    ]
    process = subprocess.Popen(
        [*command, *options, *paths_of(names)], env={**clean_environment(), **(environment or {})}
    )
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            continue  # the child gets SIGINT, too, and writes its reports before it ends
    if code == PYTEST_USAGE:
        return 2
    return 1 if code in (PYTEST_INTERRUPTED, PYTEST_INTERNAL) or code < 0 else code


def clean_environment() -> dict[str, str]:
    """The environment without pytest's own variables, so that a run depends on its options alone."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def collect(names: Sequence[str] = (), options: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Collects the cases; returns the rows that the plugin writes for `--ergo-collect`."""
    with tempfile.TemporaryDirectory(prefix="ergo-conformance-") as folder:
        found = Path(folder) / "cases.json"
        command = ["--ergo-collect", str(found), "--ergo-terminal", "--collect-only", "-q", *options]
        code = pytest_child(names, command)
        if not found.exists():
            raise SystemExit(code or 1)
        cases: list[dict[str, Any]] = json.loads(found.read_text(encoding="utf-8"))
        return cases
