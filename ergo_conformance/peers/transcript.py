"""Transcripts: the bytes and events of one socket with their times, raw and decoded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal

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
"""Content of a socket: frames of two nodes, packets of a registrar in a stream, or packets in datagrams."""
MAX_KEPT: Final = 200_000
"""Bytes that a transcript keeps, both directions together."""
MAX_ENTRIES: Final = 10_000
"""Entries with bytes that a transcript keeps."""
MAX_EVENTS: Final = 1_000
"""Events that a transcript keeps beyond that."""
MAX_TEXT: Final = 16
"""Characters of a text in a decoded handshake message."""
MAX_SHOWN: Final = 32
"""Bytes of an undecoded chunk in hex."""
MAX_VALUE: Final = 60
"""Characters of a value in a decoded frame."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A chunk of bytes or, with `event`, an event of the socket. `at`: seconds since it was opened.

    `description`: the script's name for bytes that it sent.
    """

    at: float
    direction: Direction
    data: bytes = b""
    event: str = ""
    description: str = ""


@dataclass(slots=True)
class Transcript:
    """The raw entries of one socket in order, with a bound on memory."""

    label: str = ""
    kind: Kind = "frames"
    entries: list[Entry] = field(default_factory=list)
    kept: int = 0
    """Bytes in the entries."""
    lost: int = 0
    """Bytes beyond MAX_KEPT or MAX_ENTRIES."""
    contexts: dict[Direction, EdfContext] = field(default_factory=dict)
    """Contexts that decode the frames after the handshake, by direction, once they are known."""

    def add(self, entry: Entry) -> None:
        """Appends an entry; counts bytes beyond the bounds instead of keeping them."""
        room = MAX_KEPT - self.kept if len(self.entries) < MAX_ENTRIES else 0
        if len(entry.data) > room:
            self.lost += len(entry.data) - max(room, 0)
            entry = replace(entry, data=entry.data[: max(room, 0)])
        self.kept += len(entry.data)
        if entry.data or (entry.event and len(self.entries) < MAX_ENTRIES + MAX_EVENTS):
            self.entries.append(entry)

    def bytes_of(self, direction: Direction) -> bytes:
        """Returns the kept bytes of one direction."""
        return b"".join(entry.data for entry in self.entries if entry.direction == direction)

    def lines(self, last: int = 12) -> Iterator[str]:
        """The last entries as text, frames decoded, a line each."""
        parts = list(self._parts())
        if len(parts) > last:
            yield f"… {len(parts) - last} earlier lines"
        yield from (stamp + text() for stamp, text in parts[-last:])
        if self.lost:
            yield f"and {self.lost:,} bytes more"

    def _parts(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Time and text of each packet and event; a text is made only if it is shown."""
        pending: dict[Direction, bytearray] = {"sent": bytearray(), "received": bytearray()}
        for entry in self.entries:
            stamp = f"{entry.at:8.3f} s {_ARROWS[entry.direction]} "
            held = pending[entry.direction]
            if entry.event:
                if held:
                    yield stamp, partial(_raw, bytes(held))
                    held.clear()
                yield stamp, partial(str, entry.event)
            elif self.kind == "datagrams":
                yield stamp, partial(_packet, entry.data)
            else:
                held += entry.data
                for text in self._packets(entry.direction, held):
                    yield stamp, text
        for direction, held in pending.items():
            if held:
                yield f"{'':8}   {_ARROWS[direction]} ", partial(_raw, bytes(held), " (incomplete)")

    def _packets(self, direction: Direction, held: bytearray) -> Iterator[Callable[[], str]]:
        """Removes the whole packets at the start of `held`; yields a function that makes the text of each."""
        while held:
            header = bytes(held[: enp.HEADER_LENGTH])
            size, longest = _packet_size(header) if self.kind == "packets" else _size(header)
            if size is not None and size > longest:
                yield partial(_raw, bytes(held))
                held.clear()
            elif size is None or len(held) < size:
                return
            else:
                data = bytes(held[:size])
                del held[:size]
                yield partial(self._frame, direction, data)

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


_ARROWS: Final[dict[Direction, str]] = {"sent": ">", "received": "<"}


def _size(data: bytes) -> tuple[int | None, int]:
    """Bytes of the frame with this header (None: the header is not whole), and the longest that is allowed."""
    if data[0] == ehs.MAGIC:
        return frame_size(data), ehs.HEADER_LENGTH + ehs.MAX_PAYLOAD
    if data[0] == enp.MAGIC:
        size = enp_frames.frame_size(data)
        return (None if size is None else max(size, enp.HEADER_LENGTH)), MAX_KEPT
    return 1, 0


def _packet_size(data: bytes) -> tuple[int | None, int]:
    """Bytes and limit of a packet of a registrar; its first byte determines which registrar."""
    if data[0] == saturn.MAGIC:
        return saturn_packets.packet_size(data), MAX_KEPT
    return (packet_size(data), MAX_KEPT) if data[0] == esrd.VERSION else (1, 0)


def _packet(data: bytes) -> str:
    parsed = saturn_packets.read_packet(data) if data[:1] == bytes([saturn.MAGIC]) else read_packet(data)
    if isinstance(parsed, Rejected):
        return f"{_raw(data)}  refused: {parsed}"
    return describe_frame(parsed.value)


def _raw(data: bytes, note: str = "") -> str:
    more = f" … {len(data):,} bytes" if len(data) > MAX_SHOWN else ""
    return data[:MAX_SHOWN].hex(" ", 4) + more + note


def _handshake_frame(data: bytes) -> str:
    parsed = read_frame(data)
    if isinstance(parsed, Rejected):
        return f"{_raw(data)}  refused: {parsed}"
    return describe(parsed.value)


def describe(message: ehs.Message) -> str:
    """A handshake message as one line; of tables the size."""
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
    """A frame as one line; long values are cut."""
    parts = []
    for name, value in frame._asdict().items():
        text = _repr(value[: MAX_VALUE + 1] if isinstance(value, bytes | str) else value)
        parts.append(f"{name}={text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + '…'}")
    return f"{type(frame).__name__}({', '.join(parts)})"


def _repr(value: Any) -> str:
    try:
        return value.hex() if isinstance(value, bytes) else repr(value)
    except RecursionError:
        return f"a deeply nested {type(value).__name__}"
