"""Checks captures of real nodes.

The rules hold for any bytes of a real node: the order of handshake messages, digests computed again with the writer's
cookie, and every message written again, from its plain values alone, to the same bytes. The sides of a script may be
wrong on purpose: there each input only has to result in a value or a refusal.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ..vectors.files import FileResult
from .connections import ConnectionChecker
from .load import Capture, load
from .packets import EsrdChecker
from .result import CaptureResult
from .saturn import SaturnChecker

CHECKERS: Final[tuple[tuple[tuple[str, ...], Callable[[Capture, CaptureResult, str | None], Any]], ...]] = (
    (("ehs", "enp"), ConnectionChecker),
    (("esrd",), EsrdChecker),
    (("saturn",), SaturnChecker),
)
"""The checkers, with their protocols as metadata name them; the first of these decides whether a capture has any."""


def check(capture: Capture, only: str | None = None) -> CaptureResult:
    """Checks all protocols of a capture, or only one."""
    result = CaptureResult()
    for protocols, checker in CHECKERS:
        if (only is None or only in protocols) and capture.speaks(protocols[0]):
            checker(capture, result, only).check()
    return result


def check_capture(path: Path, only: str | None) -> FileResult:
    """Checks a capture file. Raises UsageError if it is not a capture."""
    capture = load(path)
    result = check(capture, only)
    summary = str(result.counts) if result.counts.checked else f"a capture of {capture.protocol}"
    return FileResult(summary, result.counts.checked, result.differences)
