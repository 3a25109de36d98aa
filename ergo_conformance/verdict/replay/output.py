"""Output of the reference node: read from its sockets and compared with the capture."""

from collections import Counter, deque
from dataclasses import dataclass, field

from ...errors import Reason, Rejected
from ...model.ergo import ehs, enp
from ...model.ergo.ehs import Message
from ...peers.sockets import PeerSocket
from ...spec.ergo.edf import EdfContext
from ...spec.ergo.ehs import read_frame
from ...spec.ergo.stream import ReadFrame, caches_of, read_one, updated
from ..vectors.difference import Difference
from .matching import FrameMatcher
from .setup import RecordedNode
from .timeline import RecordedEvent, SocketClosed, Timeline

SHOWN = 32
"""Bytes shown of unreadable output."""


@dataclass
class NodeSocket:
    """One socket of the node, seen from the peer's end."""

    name: str
    peer_end: PeerSocket
    expected: deque[Message]
    """Handshake messages that the node still has to write."""
    buffer: bytes = b""
    in_frames: bool = False
    """True if the handshake is complete."""
    closed_by_peer: bool = False

    @property
    def is_closed(self) -> bool:
        """True if either end has closed it."""
        return self.closed_by_peer or self.peer_end.eof


@dataclass
class NodeOutput:
    """The sockets of the node, and the comparison of its output with the capture."""

    timeline: Timeline
    recorded: RecordedNode
    matcher: FrameMatcher
    sockets: dict[str, NodeSocket] = field(default_factory=dict)
    """Sockets by their names in the capture, in the order in which they were opened."""
    messages: int = 0
    """Handshake messages that were as recorded."""
    differences: list[Difference] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._context = EdfContext(self.recorded.registry, self.recorded.caches)
        self._closed = {event.socket for event in self.timeline.events if isinstance(event, SocketClosed)}
        self._remaining = Counter(event.socket for event in self.timeline.events)

    def open(self, name: str, peer_end: PeerSocket) -> None:
        """Adds a socket, with the output that the capture has for it."""
        side = self.timeline.side(name, self.recorded.direction)
        self.sockets[name] = NodeSocket(name, peer_end, deque(side.read.messages))

    def pass_event(self, event: RecordedEvent) -> None:
        """Notes that an event of the capture was replayed."""
        self._remaining[event.socket] -= 1

    def read(self) -> None:
        """Reads and compares everything that the node has written."""
        for socket in self.sockets.values():
            socket.buffer += socket.peer_end.read_now()
            while self._read_one(socket):
                pass

    def unwritten(self) -> list[tuple[str, Message]]:
        """Returns the handshake messages that the real node wrote and the node did not, each after its socket."""
        return [(socket.name, message) for socket in self.sockets.values() for message in socket.expected]

    def fail(self, socket: str, text: str) -> None:
        """Adds a difference."""
        self.differences.append(Difference(f"socket {socket} {self.recorded.direction}", text))

    def _read_one(self, socket: NodeSocket) -> bool:
        """Reads one message or frame; False if none is complete."""
        socket.in_frames = socket.in_frames or socket.buffer[:1] == bytes([enp.MAGIC])
        read = read_one(socket.buffer, 0, self._context) if socket.in_frames else read_frame(socket.buffer, prefix=True)
        if isinstance(read, Rejected):
            if socket.buffer and read.reason is not Reason.END_OF_DATA:
                self.fail(socket.name, f"wrote unreadable bytes: {read}; {socket.buffer[:SHOWN].hex()}")
                socket.buffer = b""
            return False
        socket.buffer = socket.buffer[read.end :]
        if isinstance(read, ReadFrame):
            self._frame(socket, read)
        else:
            self._message(socket, read.value)
        return True

    def _message(self, socket: NodeSocket, message: Message) -> None:
        """Compares a handshake message with the recorded one."""
        recorded = socket.expected.popleft() if socket.expected else None
        if recorded is None and self._is_beyond(socket.name):
            return
        if recorded != message:
            self.fail(socket.name, f"wrote {message!r:.300}, recorded {recorded!r:.300}")
        else:
            self.messages += 1
        if isinstance(message, ehs.Introduce):
            self._context = EdfContext(self.recorded.registry, caches_of(message))

    def _frame(self, socket: NodeSocket, read: ReadFrame) -> None:
        self.matcher.match(read, socket.name, is_beyond=self._is_beyond(socket.name))
        if isinstance(read.value, enp.Control) and isinstance(read.value.message, enp.UpdateCache):
            self._context = EdfContext(self.recorded.registry, updated(self._context.caches, read.value.message))

    def _is_beyond(self, socket: str) -> bool:
        """Returns whether the recording of a socket has ended although the socket was not closed."""
        cut = any(self.timeline.capture.is_cut(socket, self.recorded.direction, at) for at in ("recording", "end"))
        return cut and not self._remaining[socket] and socket not in self._closed
