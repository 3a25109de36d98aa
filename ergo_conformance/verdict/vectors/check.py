"""Checks vector files: the format of a file and its protocol choose the check."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from ...errors import UsageError
from . import edf, frames, handshake, packets
from .files import FORMAT, FileResult, Json, read_json
from .validation import validate

CHECKS: Final[Mapping[str, Callable[[Json], FileResult]]] = {
    "edf": edf.check,
    "ehs": handshake.check,
    "enp": frames.check,
    "esrd": lambda content: packets.check(content, packets.ESRD),
    "saturn": lambda content: packets.check(content, packets.SATURN),
}
"""Checks of vector files, by protocol in lower case."""
DEFAULT_PROTOCOL: Final = "EDF"
"""The protocol of a vector file without the key `protocol`."""
UNCHECKED: Final[Mapping[str, str]] = {"ergo-types/1": "a table of types"}
"""Formats without rows, and their names in messages."""


def check_vectors(path: Path, only: str | None) -> FileResult:
    """Checks a vector file; with `only`, if it is of that protocol. Raises UsageError for other files."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise UsageError(f"{path}: neither {FORMAT} nor ergo-captures/1")
    if unchecked := _unchecked(content):
        return FileResult(unchecked, 0, [])
    if not {"vectors", "cases"} & content.keys():
        raise UsageError(f"{path}: neither {FORMAT} nor ergo-captures/1")
    if content.get("format", FORMAT) != FORMAT:
        raise UsageError(f"{path}: unknown format {content['format']!r} (supported: {FORMAT})")
    protocol = content.get("protocol", DEFAULT_PROTOCOL)
    check = CHECKS.get(protocol.lower()) if isinstance(protocol, str) else None
    if check is None:
        raise UsageError(f"{path}: unknown protocol {protocol!r} (supported: {', '.join(CHECKS)})")
    if only not in (None, protocol.lower()):
        return FileResult(f"{protocol} vectors", 0, [])
    try:
        validate(content, protocol.lower())
        return check(content)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _unchecked(content: Json) -> str | None:
    """Returns the kind of a file without rows; None for any other file."""
    if {"vectors", "cases"} & content.keys():
        return None
    if content.get("format") in UNCHECKED:
        return UNCHECKED[content["format"]]
    return "a JSON Schema" if "$schema" in content else None
