"""What went over a link, with times, and its decoded form for reports."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..errors import Rejected
from ..model.ergo import ehs, enp, esrd, saturn
from ..spec.ergo import enp as enp_frames
from ..spec.ergo import saturn as saturn_packets
from ..spec.ergo.edf import EdfContext
from ..spec.ergo.ehs import frame_size, read_frame
from ..spec.ergo.esrd import packet_size, read_packet
from ..spec.ergo.stream import read_one

Direction = Literal["sent", "received"]
Kind = Literal["frames", "packets", "datagrams"]
"""What goes over a link: frames of two nodes, or a registrar's packets in a stream or one by one."""
MAX_KEPT = 200_000
"""Bytes that a transcript keeps, both directions together."""
MAX_TEXT = 16
"""Characters of a text that a report shows."""
MAX_SHOWN = 32
"""Bytes of a chunk that a report shows in hex."""
MAX_VALUE = 60
"""Characters of a value in a frame that a report shows."""


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
    kind: Kind = "frames"
    entries: list[Entry] = field(default_factory=list)
    kept: int = 0
    lost: int = 0
    contexts: dict[Direction, EdfContext] = field(default_factory=dict)
    """What the frames behind the handshake are written with, once that is known."""

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
            if self.kind == "datagrams":
                yield stamp + _packet(entry.data)
                continue
            data = pending[entry.direction] + entry.data
            while data:
                size, longest = _packet_size(data) if self.kind == "packets" else _size(data)
                if size is not None and size > longest:
                    yield stamp + _raw(data)
                    data = b""
                elif size is None or len(data) < size:
                    break
                else:
                    yield stamp + self._frame(entry.direction, data[:size])
                    data = data[size:]
            pending[entry.direction] = data
        for direction, data in pending.items():
            if data:
                yield f"{'':8}   {'>' if direction == 'sent' else '<'} {_raw(data)} (incomplete)"

    def _frame(self, direction: Direction, data: bytes) -> str:
        if self.kind == "packets":
            return _packet(data)
        if data[0] == ehs.MAGIC:
            return _handshake_frame(data)
        context = self.contexts.get(direction)
        if context is None:
            return _raw(data)
        read = read_one(data, 0, context)
        if isinstance(read, Rejected):
            return f"{_raw(data)}  refused: {read}"
        return describe_frame(read.value) if read.inner is None else f"Compressed {describe_frame(read.inner.value)}"


def _size(data: bytes) -> tuple[int | None, int]:
    """Bytes of the frame that begins here (None: not known yet), and how long it may be."""
    if data[0] == ehs.MAGIC:
        return frame_size(data), ehs.HEADER_LENGTH + ehs.MAX_PAYLOAD
    if data[0] == enp.MAGIC:
        size = enp_frames.frame_size(data)
        return (None if size is None else max(size, enp.HEADER_LENGTH)), MAX_KEPT
    return 1, 0


def _packet_size(data: bytes) -> tuple[int | None, int]:
    """The same of a packet of a registrar; the first byte tells of which."""
    if data[0] == saturn.MAGIC:
        return saturn_packets.packet_size(data), MAX_KEPT
    return (packet_size(data), MAX_KEPT) if data[0] == esrd.VERSION else (1, 0)


def _packet(data: bytes) -> str:
    parsed = saturn_packets.read_packet(data) if data[:1] == bytes([saturn.MAGIC]) else read_packet(data)
    if isinstance(parsed, Rejected):
        return f"{_raw(data)}  refused: {parsed}"
    return describe_frame(parsed.value)


def _raw(data: bytes) -> str:
    more = f" … {len(data):,} bytes" if len(data) > MAX_SHOWN else ""
    return data[:MAX_SHOWN].hex(" ", 4) + more


def _handshake_frame(data: bytes) -> str:
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


def describe_frame(frame: Any) -> str:
    """A frame on one line, long parts cut."""
    parts = []
    for name, value in frame._asdict().items():
        text = _repr(value[: MAX_VALUE + 1] if isinstance(value, bytes | str) else value)
        parts.append(f"{name}={text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + '…'}")
    return f"{type(frame).__name__}({', '.join(parts)})"


def _repr(value: Any) -> str:
    try:
        return value.hex() if isinstance(value, bytes) else repr(value)
    except RecursionError:
        return f"a {type(value).__name__} nested deeply"
