"""The errors of this package, from refused bytes to wrong options of the command line."""

from collections.abc import Sequence
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

FEW: Final = 12
"""Largest number of words that a message lists."""


class ErgoConformanceError(Exception):
    """Base class of every error that this package raises intentionally."""


class UsageError(ErgoConformanceError):
    """A wrong setting, id or file that the user has to correct; the message is one sentence, the exit code 2."""


def suggestion(word: str, known: Sequence[str]) -> str:
    """End of a message about an unknown word: `; did you mean …?`, else ` (supported: …)` if `known` is short."""
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f" (supported: {', '.join(known)})" if len(known) <= FEW else ""


class Reason(StrEnum):
    """Reasons to refuse bytes; both readers give the same reason for the same bytes. Vector files use these texts."""

    END_OF_DATA = "end of data"
    LEFTOVER = "bytes left over"
    UNKNOWN_TAG = "unknown tag"
    UNKNOWN_TYPE = "unknown registered type"
    UNKNOWN_ID = "unknown cache id"
    MARKER = "wrong marker"
    COUNT = "more items declared than bytes are left"
    FOLDED = "malformed folded type"
    DEPTH = "nested too deep"
    EMPTY_ITEMS = "too many items without a byte"
    UNHASHABLE_KEY = "map key that can't be a key"
    PAYLOAD = "payload refused by its type"
    TIME = "malformed time"
    MAGIC = "wrong magic or version"
    LENGTH = "length out of range"
    UNEXPECTED = "not the expected message"
    UNKNOWN_FRAME = "unknown frame type"
    COMPRESSION = "malformed compressed data"


class Rejected(ErgoConformanceError):  # noqa: N818  `spec.parse` returns it as a verdict
    """Refusal of malformed bytes. `offset` counts bytes from the start of the input; `path` names the part of the value."""

    def __init__(self, reason: Reason, path: str, offset: int, detail: str = "") -> None:
        super().__init__(reason, path, offset, detail)
        self.reason = reason
        self.path = path
        self.offset = offset
        self.detail = detail

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        where = f" at {self.path}" if self.path else ""
        return f"{self.reason}{detail}{where}, offset {self.offset}"


class CannotEncode(ErgoConformanceError):  # noqa: N818  named like Rejected
    """A value that its EDF type cannot hold. `path` names the part of the value."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path

    def __str__(self) -> str:
        return f"{self.reason} at {self.path}" if self.path else self.reason
