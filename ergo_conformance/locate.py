"""Locations: the directory of the suites; the environment variables of the cookie and the token."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .errors import UsageError, suggestion

COOKIE_VARIABLE: Final = "ERGO_CONFORMANCE_COOKIE"
"""Environment variable with the cookie of the node under test, so that it does not appear on a command line."""
TOKEN_VARIABLE: Final = "ERGO_CONFORMANCE_TOKEN"  # noqa: S105  the name of a variable, not a token
"""Environment variable with the token of a Saturn server."""
PACKAGE: Final = Path(__file__).resolve().parent


def suites() -> Path:
    """Returns the directory of the suites: in a wheel beside this file, in a checkout one level up. UsageError if missing."""
    for candidate in (PACKAGE / "_suites", PACKAGE.parent / "suites"):
        if candidate.is_dir():
            return candidate
    raise UsageError(f"the suites are not installed: no directory {PACKAGE / '_suites'}")


def suite_names() -> list[str]:
    """Returns the names of all suites, sorted."""
    return sorted(path.name for path in suites().iterdir() if any(path.glob("test_*.py")))


def suite_paths(names: Sequence[str]) -> list[Path]:
    """Returns the directories of the named suites; of all suites if none is named. UsageError for an unknown suite."""
    known = suite_names()
    for name in names:
        if name not in known:
            raise UsageError(f"unknown suite {name!r}{suggestion(name, known)}")
    return [suites() / name for name in names or known]
