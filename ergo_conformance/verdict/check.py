"""Checks vector files and captures: the file name extension decides between the two."""

from pathlib import Path
from typing import Final

from .captures.check import check_capture
from .vectors.check import CHECKS, check_vectors
from .vectors.files import FileResult

PROTOCOLS: Final = tuple(CHECKS)
"""Protocols that a check can be restricted to."""


def check_file(path: Path, only: str | None) -> FileResult:
    """Checks a capture (`.jsonl`) or a vector file, for one protocol or for all in the file. UsageError for other files."""
    return (check_capture if path.suffix == ".jsonl" else check_vectors)(path, only)
