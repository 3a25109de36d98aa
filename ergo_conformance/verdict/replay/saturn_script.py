"""A Saturn capture as a script: the connections of its clients, and what happened on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ...errors import Rejected
from ...model.ergo import saturn
from ...model.ergo.saturn import Message
from ...spec.ergo import saturn as spec
from ..captures import Capture
from ..captures.saturn import CLIENT, SERVER


@dataclass
class Recorded:
    """A connection of the file: what its client wrote, and whether the server took it."""

    name: str
    said: list[Message]
    begins_before: bool
    refused: bool
    ended_by: str = ""
    """The direction of who closed it first; empty if nobody did."""

    @property
    def registration(self) -> saturn.Register | None:
        """The client's, if it came so far."""
        return next((message for message in self.said if isinstance(message, saturn.Register)), None)

    @property
    def salt(self) -> str:
        """What the client proved its token with."""
        return next((message.Salt for message in self.said if isinstance(message, saturn.Handshake)), "")


class Event(NamedTuple):
    """A line of the file that concerns a client. `data`: a chunk; without it the connection opened or ended."""

    time: float
    conn: str
    direction: str
    data: bytes
    event: str


def connections(capture: Capture) -> dict[str, Recorded]:
    """The connections of real clients, in the order of their first lines."""
    found: dict[str, Recorded] = {}
    for line in capture.lines:
        name, direction = str(line.get("conn", line.get("link", ""))), str(line["dir"])
        if direction not in (CLIENT, SERVER) or capture.is_scripted(name, CLIENT):
            continue
        if name not in found:
            before = capture.is_cut(name, CLIENT, "start")
            found[name] = Recorded(name, list(messages(capture.stream(name, CLIENT))), before, refused=False)
        event = str(line.get("event") or "")
        found[name].refused |= event == "refused"
        if event == "close" and not found[name].ended_by:
            found[name].ended_by = direction
    return found


def events(capture: Capture, known: dict[str, Recorded]) -> Iterator[Event]:
    """What happens on them."""
    for line in capture.lines:
        name = str(line.get("conn", line.get("link", "")))
        if name in known and line["dir"] in (CLIENT, SERVER):
            data = bytes.fromhex(line.get("hex") or "")
            yield Event(float(line["t"]), name, str(line["dir"]), data, str(line.get("event") or ""))


def messages(data: bytes) -> Iterator[Message]:
    """The messages in some bytes, up to the first that is none."""
    offset = 0
    while offset < len(data):
        parsed = spec.read_packet(data, offset=offset, prefix=True)
        if isinstance(parsed, Rejected):
            return  # `vectors check` tells about it
        yield parsed.value
        offset = parsed.end
