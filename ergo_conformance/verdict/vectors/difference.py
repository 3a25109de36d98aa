"""Differences between the expected result of a file and the result of a codec or node, and their descriptions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...errors import Rejected
from ...model.ergo.records import ROWS
from ...model.registry import Registry
from ...peers.violation import ViolationError
from ...spec.ergo import edf
from ...spec.parse import Parsed

SHOWN: Final = 24
"""Bytes shown from a differing byte on."""
SHOWN_BEFORE: Final = 4
"""Bytes shown before a differing byte."""
MAX_LISTED: Final = 5
"""Differences that a violation lists."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: the id of a row or the place in a capture, and a description."""

    id: str
    text: str

    def __str__(self) -> str:
        return f"{self.id}: {self.text}"


def violation(differences: Sequence[Difference], expected: str) -> ViolationError:
    """Returns the error by which a case reports differences."""
    lines = [str(difference) for difference in differences[:MAX_LISTED]]
    if len(differences) > MAX_LISTED:
        lines.append(f"and {len(differences) - MAX_LISTED} more")
    return ViolationError("\n".join(lines), (expected,))


def first_difference(expected: bytes, actual: bytes, ignored: range = range(0)) -> int:
    """Returns the first offset, outside `ignored`, at which two byte strings differ; at most the shorter length."""
    pairs = enumerate(zip(expected, actual, strict=False))
    differing = (i for i, (x, y) in pairs if x != y and i not in ignored)
    return next(differing, min(len(expected), len(actual)))


def byte_difference(expected: bytes, actual: bytes) -> str:
    """Describes the first difference between two encodings of an EDF value."""
    at = first_difference(expected, actual)
    parsed = edf.decode(expected, edf.EdfContext(Registry(ROWS)), prefix=True)
    return (
        f"first difference at offset {at}, path {path_at(parsed, at, '(value)')}: expected {excerpt(expected, at)}"
        f" ({len(expected)} bytes), got {excerpt(actual, at)} ({len(actual)} bytes)"
    )


def written_difference(recorded: bytes, written: bytes, at: int, path: str) -> str:
    """Describes a difference between recorded bytes and the same message written again."""
    return f"offset {at}, {path}: {excerpt(recorded, at)} on the wire, {excerpt(written, at)} written"


def path_at(parsed: Parsed | Rejected, offset: int, unnamed: str) -> str:
    """Returns the path of the part that holds a byte; `unnamed` if that part has no path, `?` if nothing was parsed."""
    if isinstance(parsed, Rejected):
        return "?"
    try:
        return parsed.at(offset).path or unnamed
    except KeyError:
        return "(end)"


def excerpt(data: bytes, offset: int) -> str:
    """Returns the bytes around an offset as hex."""
    return f"…{data[max(0, offset - SHOWN_BEFORE) : offset + SHOWN].hex()}…"
