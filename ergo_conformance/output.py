"""Output streams of this process: characters that their encoding does not have are replaced, so that printing never fails."""

import codecs
import io
import os
import sys
from collections.abc import Mapping
from typing import Final

HANDLER: Final = "ergo-conformance"
"""Name of the error handler."""
SIMILAR: Final[Mapping[str, str]] = {
    "…": "...",
    "×": "x",
    "–": "-",
    "—": "-",
    "“": '"',
    "”": '"',
    "•": "*",
    "━": "-",
    "─": "-",
}
"""Characters of our own texts, in ASCII."""
MIN_COLUMNS: Final = 20
"""Smallest width of a line that libraries are told."""


def _replaced(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    bad = error.object[error.start : error.end]
    text = "".join(SIMILAR.get(c) or c.encode("ascii", "backslashreplace").decode("ascii") for c in bad)
    return text, error.end


def replace_characters() -> None:
    """Makes stdout and stderr write similar characters or escapes for those that their encoding does not have."""
    codecs.register_error(HANDLER, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != HANDLER:
            stream.reconfigure(errors=HANDLER)


def check_columns() -> None:
    """Removes a COLUMNS that is no width of a line from the environment, so that no library fails because of it."""
    columns = os.environ.get("COLUMNS", "")
    if columns and not (columns.isdecimal() and int(columns) >= MIN_COLUMNS):
        del os.environ["COLUMNS"]
