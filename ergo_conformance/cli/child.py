"""The runner is pytest, in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..locate import suite_names, suites
from ..targets.kinds import suggestion

PYTEST_USAGE, PYTEST_INTERRUPTED, PYTEST_INTERNAL = 4, 2, 3


def paths_of(names: Sequence[str]) -> list[str]:
    """The directories of the named suites, of all if none is named. UsageError for a suite there is not."""
    known = suite_names()
    for name in names:
        if name not in known:
            raise UsageError(f"no suite {name!r}{suggestion(name, known)}")
    return [str(suites() / name) for name in names or known]


def pytest_child(names: Sequence[str], options: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Runs pytest over suites. Its exit code, as this program's: 0, 1, 2 or 5."""
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
            continue  # the child got it, too: it ends with what it has
    if code == PYTEST_USAGE:
        return 2
    return 1 if code in (PYTEST_INTERRUPTED, PYTEST_INTERNAL) or code < 0 else code


def clean_environment() -> dict[str, str]:
    """The environment without what is meant for other pytest runs: a run depends on nothing but its options."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def collect(names: Sequence[str] = (), options: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The cases, as the plugin describes them."""
    with tempfile.TemporaryDirectory(prefix="ergo-conformance-") as folder:
        found = Path(folder) / "cases.json"
        command = ["--ergo-collect", str(found), "--ergo-terminal", "--collect-only", "-q", *options]
        code = pytest_child(names, command)
        if not found.exists():
            raise SystemExit(code or 1)
        cases: list[dict[str, Any]] = json.loads(found.read_text(encoding="utf-8"))
        return cases
