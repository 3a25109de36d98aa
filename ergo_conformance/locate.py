"""Where things are: the suites (in the wheel beside this file, in a checkout one level up), the cookie."""

from pathlib import Path
from typing import Final

from .errors import UsageError

COOKIE_VARIABLE: Final = "ERGO_CONFORMANCE_COOKIE"
"""Environment variable: the cookie of the node under test, kept out of command lines."""
TOKEN_VARIABLE: Final = "ERGO_CONFORMANCE_TOKEN"  # noqa: S105  a name
"""The same for the token of a Saturn."""
PACKAGE: Final = Path(__file__).resolve().parent


def suites() -> Path:
    """The directory that holds the suites."""
    for candidate in (PACKAGE / "_suites", PACKAGE.parent / "suites"):
        if candidate.is_dir():
            return candidate
    raise UsageError("the suites are not installed")


def suite_names() -> list[str]:
    """The suites there are, in the order of their names."""
    return sorted(path.name for path in suites().iterdir() if any(path.glob("test_*.py")))
