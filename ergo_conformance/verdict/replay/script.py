"""A capture as a script: what happened on its links, in the order of time, decoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ...model.ergo.ehs import Join, Message, Role
from ...spec.ergo.stream import ReadFrame
from ..captures import Capture, Checked, Connections
from ..captures.load import NOTE
from ..captures.sides import Side

Json = Any


class Opened(NamedTuple):
    """A connection was opened; `by` is the direction of who did."""

    time: float
    link: str
    by: str


class Closed(NamedTuple):
    """It was closed by who writes in this direction."""

    time: float
    link: str
    by: str


class Spoken(NamedTuple):
    """A chunk: what became whole with it. `raw` are the bytes of all of that, as they were recorded."""

    time: float
    link: str
    by: str
    said: tuple[Message | ReadFrame, ...]
    raw: bytes


Happening = Opened | Closed | Spoken


@dataclass(frozen=True, slots=True)
class Script:
    """A capture, read."""

    capture: Capture
    sides: dict[tuple[str, Role], Side]
    happenings: tuple[Happening, ...]

    def of(self, link: str, direction: str) -> Side:
        """What was written in one direction of a link."""
        return next(side for (name, _), side in self.sides.items() if name == link and side.direction == direction)

    def dialer(self, link: str) -> str:
        """The direction of who opened a link."""
        return self.sides[link, Role.DIALER].direction

    def joins(self, link: str) -> bool:
        """Whether a link was opened for a connection that was there."""
        messages = self.sides[link, Role.DIALER].read.messages
        return bool(messages) and isinstance(messages[0], Join)


def read(capture: Capture) -> Script:
    """Reads the links of a capture that begin with a handshake."""
    connections = Connections(capture, None, Checked())
    links = [link for link in capture.links() if capture.speaks("ehs", link)]
    sides = {(link, role): side for link in links for role, side in connections.read(link).items()}
    return Script(capture, sides, tuple(_happenings(capture, links, sides)))


def _happenings(capture: Capture, links: list[str], sides: dict[tuple[str, Role], Side]) -> Iterator[Happening]:
    reels = {(link, side.direction): _Reel(side) for (link, _), side in sides.items()}
    opened: set[str] = set()
    for line in capture.lines:
        link, direction = str(line.get("link", line.get("conn", ""))), str(line["dir"])
        if direction == NOTE or link not in links or (link, direction) not in reels:
            continue
        time = float(line["t"])
        if link not in opened:
            opened.add(link)
            yield Opened(time, link, sides[link, Role.DIALER].direction)
        if line.get("hex"):
            said, raw = reels[link, direction].turn(len(line["hex"]) // 2)
            if said:
                yield Spoken(time, link, direction, said, raw)
        elif _is_end(str(line.get("event") or "")):
            yield Closed(time, link, direction)


def _is_end(event: str) -> bool:
    """Whether the writer of a direction has ended its link; the other direction only notes that this was done."""
    return event == "close" or (event.startswith("error") and "use of closed" not in event)


class _Reel:
    """The frames of one direction, given out as the chunks that complete them come."""

    def __init__(self, side: Side) -> None:
        handshake = side.read.handshake
        messages = ((parsed.end, parsed.value) for parsed in handshake.frames)
        self.rest = [*messages, *((frame.end, frame) for frame in side.read.frames)]
        self.data = side.data
        self.seen = self.given = 0

    def turn(self, n: int) -> tuple[tuple[Any, ...], bytes]:
        self.seen += n
        said = []
        start = self.given
        while self.rest and self.rest[0][0] <= self.seen:
            self.given, value = self.rest.pop(0)
            said.append(value)
        return tuple(said), self.data[start : self.given]
