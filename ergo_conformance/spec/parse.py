"""The entry points `parse` and `build`: bytes to a value with the spans of its parts, or a refusal; a value to bytes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import Reason, Rejected
from .interpreter import Path, Reader, Schema, Writer, path_text, read, write


class Span(NamedTuple):
    """Position of one part of a value: path, offset of the first byte, offset behind the last."""

    path: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """A value, the offset behind it, and the spans of its parts (inner parts before the outer one), of the first MAX_SPANS."""

    value: Any
    end: int
    found: list[tuple[Path, int, int]]

    @property
    def spans(self) -> Iterator[Span]:
        return (Span(path_text(path), start, end) for path, start, end in self.found)

    def span(self, path: str) -> Span:
        """Returns the span of one part, such as `Introduce.AtomCache[3]`. KeyError if the value has no part of that path."""
        for span in reversed(list(self.spans)):
            if span.path == path:
                return span
        raise KeyError(path)

    def at(self, offset: int) -> Span:
        """Returns the innermost part with this byte. KeyError outside the value."""
        around = [(end - start, start, end, path) for path, start, end in self.found if start <= offset < end]
        if not around:
            raise KeyError(offset)
        _, start, end, path = min(around, key=lambda entry: entry[0])
        return Span(path_text(path), start, end)


def parse(
    schema: Schema, data: bytes, context: Any = None, *, prefix: bool = False, offset: int = 0
) -> Parsed | Rejected:
    """Reads one value at `offset`. Bytes behind it are refused unless `prefix` is set. Returns Rejected, raises nothing."""
    reader = Reader(data, context, offset)
    try:
        value = read(schema, reader)
    except Rejected as refusal:
        return refusal
    if not prefix and reader.pos != len(data):
        return Rejected(Reason.LEFTOVER, "", reader.pos, f"{len(data) - reader.pos} bytes")
    return Parsed(value, reader.pos, reader.spans)


def build(schema: Schema, value: Any, context: Any = None) -> bytes:
    """Writes one value. Raises CannotEncode with the path of the part that cannot be written."""
    writer = Writer(context)
    write(schema, value, writer)
    return bytes(writer.out)
