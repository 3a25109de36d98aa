"""A capture of Saturn: the sockets of its clients, and their events in the order of time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ....errors import Rejected
from ....model.ergo import saturn
from ....model.ergo.saturn import Message
from ....spec.ergo import saturn as spec
from ...captures import Capture
from ...captures.load import socket_of
from ...captures.saturn import CLIENT, SERVER


@dataclass
class RecordedSocket:
    """A socket of a real client: the messages of the client, and whether the server accepted the socket."""

    name: str
    messages: list[Message]
    begins_before: bool
    """True if it was opened before the recording began."""
    is_refused: bool
    closed_by: str = ""
    """The direction of the side that closed it first; empty if neither did."""

    @property
    def registration(self) -> saturn.Register | None:
        """The client's registration, if it wrote one."""
        return next((message for message in self.messages if isinstance(message, saturn.Register)), None)

    @property
    def salt(self) -> str:
        """The salt of the client's handshake."""
        return next((message.Salt for message in self.messages if isinstance(message, saturn.Handshake)), "")


class SocketEvent(NamedTuple):
    """An event of a socket: a chunk of `data`; without data the socket was opened or closed, as `event` says."""

    time: float
    socket: str
    direction: str
    data: bytes
    event: str


def connections(capture: Capture) -> dict[str, RecordedSocket]:
    """Returns the sockets of real clients by name, in the order of their first lines."""
    found: dict[str, RecordedSocket] = {}
    for line in capture.lines:
        name, direction = socket_of(line), str(line["dir"])
        if direction not in (CLIENT, SERVER) or capture.is_scripted(name, CLIENT):
            continue
        if name not in found:
            begins_before = capture.is_cut(name, CLIENT, "start")
            written = list(messages(capture.stream(name, CLIENT)))
            found[name] = RecordedSocket(name, written, begins_before, is_refused=False)
        event = str(line.get("event") or "")
        found[name].is_refused |= event == "refused"
        if event == "close" and not found[name].closed_by:
            found[name].closed_by = direction
    return found


def events(capture: Capture, sockets: dict[str, RecordedSocket]) -> Iterator[SocketEvent]:
    """Yields the events of these sockets."""
    for line in capture.lines:
        name = socket_of(line)
        if name in sockets and line["dir"] in (CLIENT, SERVER):
            data = bytes.fromhex(line.get("hex") or "")
            yield SocketEvent(float(line["t"]), name, str(line["dir"]), data, str(line.get("event") or ""))


def messages(data: bytes) -> Iterator[Message]:
    """Yields the messages in a byte string, up to the first malformed one, which `vectors check` reports."""
    offset = 0
    while offset < len(data):
        parsed = spec.read_packet(data, offset=offset, prefix=True)
        if isinstance(parsed, Rejected):
            return
        yield parsed.value
        offset = parsed.end
