"""Transcripts: the bytes and events of one socket with their times, raw and decoded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Literal, NamedTuple

from ..errors import Rejected
from ..model.ergo import ehs, enp, esrd, saturn
from ..model.show import MAX_TEXT, cut, show
from ..model.text import escape
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
MAX_SHOWN: Final = 32
"""Bytes of an undecoded chunk in the short form of a line."""
SHORT: Final = 12
"""Characters of texts and bytes inside a value in the short form."""
SHORT_ITEMS: Final = 6
"""Items of a list or a map in the short form."""
MAX_SHORT: Final = 400
"""Characters of the short form of a line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A chunk of bytes or, with `event`, an event of the socket. `at`: seconds since it was opened.

    `description`: a sentence of the script about bytes that it sent, or the message that they hold.
    """

    at: float
    direction: Direction
    data: bytes = b""
    event: str = ""
    description: object = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a transcript: time and direction, the packet or event as whole text and in short form, and its bytes."""

    stamp: str
    text: str
    short: str
    data: bytes = b""


Text = Callable[[bool], str]
"""Returns the text of a packet or an event, in short form if the argument is true."""


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

    def lines(self, last: int = 12) -> list[Line]:
        """The last packets and events, decoded, a line each; a line without a stamp tells what is left out."""
        parts = list(self._parts())
        left_out = len(parts) - last
        lines = [_note(f"… {left_out} earlier lines")] if left_out > 0 else []
        for stamp, data, text in parts[-last:]:
            lines.append(Line(stamp, text(False), text(True), data))
        return lines + ([_note(f"and {self.lost:,} bytes more")] if self.lost else [])

    def _parts(self) -> Iterator[tuple[str, bytes, Text]]:
        """Time, bytes and text of each packet and event; a text is made only if it is shown."""
        pending: dict[Direction, bytearray] = {"sent": bytearray(), "received": bytearray()}
        for entry in self.entries:
            stamp = f"{entry.at:8.3f} s {_ARROWS[entry.direction]} "
            held = pending[entry.direction]
            if entry.event:
                if held:
                    yield stamp, bytes(held), partial(self._incomplete, bytes(held))
                    held.clear()
                yield stamp, b"", partial(_event, entry.event)
            elif self.kind == "datagrams":
                yield stamp, entry.data, partial(self._packet, entry.direction, entry.data, entry.description)
            else:
                start = not held
                held += entry.data
                for i, data in enumerate(self._packets(held)):
                    described = entry.description if start and not i else ""
                    yield stamp, data, partial(self._packet, entry.direction, data, described)
        for direction, held in pending.items():
            if held:
                yield f"{'':8}   {_ARROWS[direction]} ", bytes(held), partial(self._incomplete, bytes(held))

    def _packets(self, held: bytearray) -> Iterator[bytes]:
        """Removes the whole packets at the start of `held` and yields them; bytes that are no packet are one."""
        while held:
            size, longest = self._size(bytes(held[: enp.HEADER_LENGTH]))
            if size is not None and size > longest:
                size = len(held)
            if size is None or len(held) < size:
                return
            data = bytes(held[:size])
            del held[:size]
            yield data

    def _size(self, header: bytes) -> tuple[int | None, int]:
        return _packet_size(header) if self.kind == "packets" else _size(header)

    def _incomplete(self, data: bytes, short: bool) -> str:  # noqa: FBT001  like Text
        """The text of bytes that end in the middle of a packet."""
        size, longest = self._size(data[: enp.HEADER_LENGTH])
        if size is None or not len(data) < size <= longest:
            return f"{_raw(data, short)} (incomplete)"
        return f"{_raw(data, short)} (incomplete: the header announces {size:,} bytes, these are {len(data):,})"

    def _packet(self, direction: Direction, data: bytes, description: object, short: bool) -> str:  # noqa: FBT001
        """The text of a packet. If it is not valid: its bytes, with the script's description or the reason."""
        read = self._read(direction, data)
        if not isinstance(read, Rejected | None):
            return _shown(read, short)
        if description:
            words = escape(description) if type(description) is str else _shown(description, short)
            return f"{words}: {_raw(data, short)}"
        if read is None:
            return _raw(data, short)
        return f"{_raw(data, short)}  {'refused' if direction == 'received' else 'not valid'}: {read}"

    def _read(self, direction: Direction, data: bytes) -> object:
        """The value of a packet; Rejected if it is refused, None if there is no context for it."""
        if self.kind != "frames":
            parsed = saturn_packets.read_packet(data) if data[:1] == bytes([saturn.MAGIC]) else read_packet(data)
            return parsed if isinstance(parsed, Rejected) else parsed.value
        if data[0] == ehs.MAGIC:
            message = read_frame(data)
            return message if isinstance(message, Rejected) else message.value
        context = self.contexts.get(direction)
        if context is None:
            return None
        read = read_one(data, 0, context)
        if isinstance(read, Rejected):
            return read
        return read.value if read.inner is None else Unpacked(read.value.algorithm, read.inner.value)


class Unpacked(NamedTuple):
    """A compressed frame: its algorithm, and the frame inside."""

    algorithm: int
    frame: object


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


def _raw(data: bytes, short: bool = False) -> str:  # noqa: FBT001, FBT002  like Text
    kept = MAX_SHOWN if short else MAX_TEXT // 3
    more = f" … {len(data):,} bytes" if len(data) > kept else ""
    return data[:kept].hex(" ", -4) + more


def _shown(value: object, short: bool) -> str:  # noqa: FBT001  like Text
    return show(value, MAX_SHORT, SHORT, SHORT_ITEMS) if short else show(value)


def _event(event: str, short: bool) -> str:  # noqa: FBT001  like Text
    return cut(escape(event), MAX_SHORT if short else MAX_TEXT)


def _note(text: str) -> Line:
    return Line("", text, text)
