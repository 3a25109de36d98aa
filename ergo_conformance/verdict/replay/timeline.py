"""A capture as a timeline: decoded events of its sockets in the order of time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...model.ergo.ehs import Join, Message, Role
from ...spec.ergo.stream import ReadFrame
from ..captures import Capture, CaptureReader
from ..captures.load import NOTE, socket_of
from ..captures.sides import Side


class SocketOpened(NamedTuple):
    """A socket was opened by the writer of direction `by`."""

    time: float
    socket: str
    by: str


class SocketClosed(NamedTuple):
    """A socket was closed by the writer of direction `by`."""

    time: float
    socket: str
    by: str


class ChunkWritten(NamedTuple):
    """A chunk of bytes was written; `contents`: messages and frames that it completes, `raw`: all their bytes."""

    time: float
    socket: str
    by: str
    contents: tuple[Message | ReadFrame, ...]
    raw: bytes


RecordedEvent = SocketOpened | SocketClosed | ChunkWritten


@dataclass(frozen=True, slots=True)
class Timeline:
    """The decoded sides of all sockets of a capture, and its events."""

    capture: Capture
    sides: dict[tuple[str, Role], Side]
    """Sides by socket and role."""
    events: tuple[RecordedEvent, ...]

    def side(self, socket: str, direction: str) -> Side:
        """Returns the side that writes in one direction of a socket."""
        return next(side for (name, _), side in self.sides.items() if name == socket and side.direction == direction)

    def dialer(self, socket: str) -> str:
        """Returns the direction of the node that opened a socket."""
        return self.sides[socket, Role.DIALER].direction

    def joins(self, socket: str) -> bool:
        """Returns whether a socket joins an existing connection."""
        messages = self.sides[socket, Role.DIALER].read.messages
        return bool(messages) and isinstance(messages[0], Join)

    def is_closed_by(self, direction: str, socket: str) -> bool:
        """Returns whether the writer of a direction closed a socket."""
        return any(
            isinstance(event, SocketClosed) and event.socket == socket and event.by == direction
            for event in self.events
        )

    def frames(self, direction: str) -> Iterator[tuple[str, ReadFrame]]:
        """Yields the frames written in a direction, each after its socket."""
        for event in self.events:
            if isinstance(event, ChunkWritten) and event.by == direction:
                yield from ((event.socket, item) for item in event.contents if isinstance(item, ReadFrame))


def timeline_of(capture: Capture) -> Timeline:
    """Reads the sockets of a capture that begin with a handshake."""
    reader = CaptureReader(capture)
    sides = {(socket, role): side for socket in reader.sockets() for role, side in reader.read(socket).items()}
    return Timeline(capture, sides, tuple(_events(capture, sides)))


def _events(capture: Capture, sides: dict[tuple[str, Role], Side]) -> Iterator[RecordedEvent]:
    contents = {(socket, side.direction): _Contents(side) for (socket, _), side in sides.items()}
    opened: set[str] = set()
    for line in capture.lines:
        socket, direction = socket_of(line), str(line["dir"])
        if direction == NOTE or (socket, direction) not in contents:
            continue
        time = float(line["t"])
        if socket not in opened:
            opened.add(socket)
            yield SocketOpened(time, socket, sides[socket, Role.DIALER].direction)
        if line.get("hex"):
            completed, raw = contents[socket, direction].take(len(line["hex"]) // 2)
            if completed:
                yield ChunkWritten(time, socket, direction, completed, raw)
        elif _is_close(str(line.get("event") or "")):
            yield SocketClosed(time, socket, direction)


def _is_close(event: str) -> bool:
    """Returns whether the writer of a direction closed its socket; "use of closed" only notes that it was closed."""
    return event == "close" or (event.startswith("error") and "use of closed" not in event)


class _Contents:
    """The messages and frames of one side, taken as its chunks complete them."""

    def __init__(self, side: Side) -> None:
        handshake = side.read.handshake
        messages = ((parsed.end, parsed.value) for parsed in handshake.frames)
        self.remaining = [*messages, *((frame.end, frame) for frame in side.read.frames)]
        self.data = side.data
        self.received = self.taken = 0
        """Bytes."""

    def take(self, n: int) -> tuple[tuple[Any, ...], bytes]:
        """Returns what the next `n` bytes complete, and the bytes of all that."""
        self.received += n
        completed = []
        start = self.taken
        while self.remaining and self.remaining[0][0] <= self.received:
            self.taken, item = self.remaining.pop(0)
            completed.append(item)
        return tuple(completed), self.data[start : self.taken]
