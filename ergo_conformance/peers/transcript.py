"""What went over a link, with times, and its decoded form for reports."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from ..errors import Rejected
from ..model import ehs
from ..spec.ehs import frame_size, read_frame

Direction = Literal["sent", "received"]
MAX_KEPT = 200_000
"""Bytes that a transcript keeps, both directions together."""
MAX_TEXT = 16
"""Characters of a text that a report shows."""
MAX_SHOWN = 32
"""Bytes of a chunk that a report shows in hex."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A chunk, or (with `event`) something that happened to the link. `at` counts seconds from its opening."""

    at: float
    direction: Direction
    data: bytes = b""
    event: str = ""


@dataclass(slots=True)
class Transcript:
    """All that happened on one link, in order."""

    label: str = ""
    entries: list[Entry] = field(default_factory=list)
    kept: int = 0
    lost: int = 0

    def add(self, entry: Entry) -> None:
        """Keeps an entry; of a flood only its size."""
        room = MAX_KEPT - self.kept
        if len(entry.data) > room:
            self.lost += len(entry.data) - max(room, 0)
            entry = replace(entry, data=entry.data[: max(room, 0)])
        self.kept += len(entry.data)
        if entry.data or entry.event:
            self.entries.append(entry)

    def bytes_of(self, direction: Direction) -> bytes:
        return b"".join(entry.data for entry in self.entries if entry.direction == direction)

    def lines(self, last: int = 12) -> Iterator[str]:
        """The last entries, frames decoded, a line each."""
        decoded = list(self._decoded())
        if len(decoded) > last:
            yield f"… {len(decoded) - last} earlier lines"
        yield from decoded[-last:]
        if self.lost:
            yield f"and {self.lost:,} bytes more"

    def _decoded(self) -> Iterator[str]:
        pending: dict[Direction, bytes] = {"sent": b"", "received": b""}
        for entry in self.entries:
            arrow = ">" if entry.direction == "sent" else "<"
            stamp = f"{entry.at:8.3f} s {arrow} "
            if entry.event:
                if pending[entry.direction]:
                    yield f"{stamp}{_raw(pending[entry.direction])}"
                    pending[entry.direction] = b""
                yield stamp + entry.event
                continue
            data = pending[entry.direction] + entry.data
            while data:
                size = frame_size(data)
                if data[0] != ehs.MAGIC or (size is not None and size > ehs.HEADER_LENGTH + ehs.MAX_PAYLOAD):
                    yield stamp + _raw(data)
                    data = b""
                elif size is None or len(data) < size:
                    break
                else:
                    yield stamp + _frame(data[:size])
                    data = data[size:]
            pending[entry.direction] = data
        for direction, data in pending.items():
            if data:
                yield f"{'':8}   {'>' if direction == 'sent' else '<'} {_raw(data)} (incomplete)"


def _raw(data: bytes) -> str:
    more = f" … {len(data):,} bytes" if len(data) > MAX_SHOWN else ""
    return data[:MAX_SHOWN].hex(" ", 4) + more


def _frame(data: bytes) -> str:
    parsed = read_frame(data)
    if isinstance(parsed, Rejected):
        return f"{_raw(data)}  refused: {parsed}"
    return describe(parsed.value)


def describe(message: ehs.Message) -> str:
    """A handshake message on one line, tables by their size."""
    parts = []
    for name, value in message._asdict().items():
        text = f"{len(value)} entries" if isinstance(value, dict) else repr(value)
        if isinstance(value, ehs.Version):
            text = " ".join(part for part in value if part) or "''"
        elif isinstance(value, bytes):
            text = value.hex()
        elif isinstance(value, str):
            text = repr(str(value) if len(value) <= MAX_TEXT else f"{value[: MAX_TEXT - 4]}…")
        parts.append(f"{name}={text}")
    return f"{type(message).__name__}({', '.join(parts)})"
