"""Several readers and writers of one protocol, by name, and the differences between their results and a row."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...errors import CannotEncode, Reason, Rejected
from ...spec.parse import Parsed

Reader = Callable[[bytes], Any]
"""Reads bytes to a value; raises Rejected."""
Writer = Callable[[Any], bytes]
"""Writes a value; raises CannotEncode."""


def raising(read: Callable[[bytes], Parsed | Rejected]) -> Reader:
    """Returns a reader for a function of `spec`, which returns refusals."""

    def reader(data: bytes) -> Any:
        parsed = read(data)
        if isinstance(parsed, Rejected):
            raise parsed
        return parsed.value

    return reader


def read_differences(readers: Mapping[str, Reader], data: bytes, is_expected: Callable[[Any], bool]) -> Iterator[str]:
    """Yields a text for each reader that refuses the bytes or reads another value."""
    for name, read in readers.items():
        try:
            if not is_expected(read(data)):
                yield f"{name}: read as another value"
        except Rejected as refusal:
            yield f"{name}: refused: {refusal}"


def write_differences(
    writers: Mapping[str, Writer], value: Any, describe: Callable[[bytes], str | None]
) -> Iterator[str]:
    """Yields a text for each writer that cannot write the value or writes other bytes.

    `describe` returns the difference between the expected bytes and the given ones, None if there is none.
    """
    for name, write in writers.items():
        try:
            text = describe(write(value))
        except CannotEncode as error:
            yield f"{name}: cannot write the value: {error}"
            continue
        if text is not None:
            yield f"{name}: written differently: {text}"


def refusal_differences(readers: Mapping[str, Reader], data: bytes, reason: Reason | None) -> Iterator[str]:
    """Yields a text for each reader that reads malformed bytes or refuses them for another reason; None: any reason."""
    for name, read in readers.items():
        try:
            value = read(data)
        except Rejected as refusal:
            if reason is not None and refusal.reason is not reason:
                yield f"{name}: refused for {refusal.reason.value!r}, expected {reason.value!r}"
            continue
        yield f"{name}: read as {type(value).__name__}, expected a refusal"
