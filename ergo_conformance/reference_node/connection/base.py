"""Base class of connections: the members that the connection table uses."""

from ...model.ergo.ehs import Role
from ...model.values import Atom, Error
from ..api.connection import OpenSocket, Socket
from ..api.handshake import PeerInfo


class BaseConnection:
    """A peer, the sockets of its pool, and traffic counters. Subclasses speak a protocol."""

    def __init__(self, peer: PeerInfo) -> None:
        self.peer = peer
        self.sockets: list[Socket] = []
        self.bytes_in = self.bytes_out = 0
        self.frames_in = self.frames_out = 0

    @property
    def name(self) -> Atom:
        """The peer's name, from its introduction."""
        return self.peer.node

    @property
    def key(self) -> tuple[Role, Atom, str]:
        """Fields that a Join has to repeat: only the side that opened the connection adds sockets."""
        return self.peer.role, self.peer.node, self.peer.connection_id

    def join(self, socket: Socket, connection_id: str, open_socket: OpenSocket | None, tail: bytes) -> None:  # noqa: ARG002
        """Adds a socket."""
        self.sockets.append(socket)
        if tail:
            self.receive(socket, tail)

    def receive(self, socket: Socket, data: bytes) -> None:  # noqa: ARG002  subclasses reply on it
        """Counts received bytes. Subclasses raise Rejected if the socket has to be closed."""
        self.bytes_in += len(data)

    def leave(self, socket: Socket) -> None:
        """Removes a closed socket."""
        self.sockets.remove(socket)

    def terminate(self, reason: Error) -> None:
        """Called once, after the last socket of an open connection has left."""
