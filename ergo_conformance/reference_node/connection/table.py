"""Table of a node's connections: one per peer, each with one or more sockets. Sans-io.

Rules, in addition to EHS-AST-6, EHS-DST-7, EHS-DST-8 and EHS-JOIN-1 to EHS-JOIN-9:

- A connection that a peer opens is known by its id from the peer's Introduce on, and by the peer's name from its last
  handshake message on.  Further sockets may join in between: on a slow line the last message of the first socket can arrive
  after the first message of the second.
- Only the side that dialed the first socket adds others, at most the announced pool and SPARE_SOCKETS.
- When both sides dial each other at once, the dial of the smaller name (in byte order) wins.  A node that is dialing refuses
  to be dialed by that peer if its own name is the smaller one; the other node accepts.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, Generic, Protocol, TypeVar

from ...model.ergo import error_values
from ...model.text import text_to_bytes
from ...model.values import Atom
from ..api.connection import OpenSocket, PooledConnection, Socket
from ..api.errors import RefusedError
from ..api.handshake import JoinedSocket, PeerInfo

SPARE_SOCKETS: Final = 1
"""Sockets above the pool: a dialer that replaces a socket may know of its end before we do. (Upstream spares two.)"""


class DuplicateError(RefusedError):
    """A connection with this peer exists already."""

    def __init__(self, connection: PooledConnection) -> None:
        super().__init__(f"{connection.name!r} is connected already")
        self.connection = connection


C = TypeVar("C", bound=PooledConnection)
C_contra = TypeVar("C_contra", bound=PooledConnection, contravariant=True)
MakeConnection = Callable[[PeerInfo], C]


class ConnectionListener(Protocol[C_contra]):
    """Listener to the connections of a table."""

    def connection_opened(self, connection: C_contra, open_socket: OpenSocket | None) -> None:
        """A connection was opened. `open_socket`: opens more sockets for it if we have dialed."""

    def connection_closed(self, connection: C_contra) -> None:
        """An open connection has ended."""


class ConnectionTable(Generic[C]):
    """The connections of one node."""

    def __init__(self, name: Atom, listener: ConnectionListener[C]) -> None:
        self.name = name
        self._listener = listener
        self._open: dict[Atom, C] = {}
        self._accepted: dict[str, C] = {}
        self._by_socket: dict[Socket, C] = {}
        self._dialing: Counter[Atom] = Counter()

    @property
    def connections(self) -> Mapping[Atom, C]:
        """The open connections by the peers' names."""
        return MappingProxyType(self._open)

    def is_accepting(self, name: Atom) -> bool:
        """Returns whether a peer of this name has proved the cookie and its connection is not open yet."""
        return any(c.name == name and self._open.get(name) is not c for c in self._accepted.values())

    @contextmanager
    def dialing(self, name: Atom | None) -> Iterator[None]:
        """Marks this name as being dialed while the block runs."""
        if name is None:
            yield
            return
        self._dialing[name] += 1
        try:
            yield
        finally:
            self._dialing[name] -= 1
            self._dialing += Counter()  # removes names at zero

    # --- joining sockets -------------------------------------------------------------------------------------------------

    def introduce(self, socket: Socket, peer: PeerInfo, make: MakeConnection[C]) -> None:
        """Adds the connection of a dialer that has introduced itself and was not answered yet. Raises RefusedError."""
        if self._dialing[peer.node] and text_to_bytes(self.name) < text_to_bytes(peer.node):
            raise RefusedError(f"{peer.node!r} is being dialed by this node")
        self._accepted[peer.connection_id] = connection = make(peer)
        self._add(connection, socket)

    def admit(
        self,
        socket: Socket,
        peer: PeerInfo,
        make: MakeConnection[C],
        wanted: Atom | None = None,
        make_opener: Callable[[C], OpenSocket] | None = None,
    ) -> C:
        """Opens the connection of a completed handshake. `wanted`: the dialed name; `make_opener`: see OpenSocket.

        Raises RefusedError; DuplicateError for a second connection with one peer; the first one is not affected.
        """
        connection = self._by_socket.get(socket) or make(peer)
        if wanted is not None and peer.node != wanted:  # NAPI-CON-5
            raise RefusedError(f"remote node '{wanted}' introduced itself as '{peer.node}'")
        if not peer.node:
            raise RefusedError("the peer has no name")
        if peer.creation == 0:
            raise RefusedError(f"{peer.node!r} has creation 0")
        if peer.node in self._open:
            raise DuplicateError(self._open[peer.node])
        self._open[peer.node] = connection
        open_socket = make_opener(connection) if make_opener is not None else None
        self._add(connection, socket, open_socket)
        self._listener.connection_opened(connection, open_socket)
        return connection

    def join(self, socket: Socket, joined: JoinedSocket) -> C:
        """Adds a further socket: a peer's to a connection it opened, or ours to one that we opened. Raises RefusedError."""
        connection = self.find_joined(joined)
        self._add(connection, socket)
        return connection

    def find_joined(self, joined: JoinedSocket) -> C:
        """Returns the connection of a Join. Raises RefusedError if there is none, or if its pool is full."""
        connection = self._accepted.get(joined.connection_id) or self._open.get(joined.node)
        if connection is None or connection.key != (joined.role, joined.node, joined.connection_id):
            raise RefusedError(f"{joined.node!r} joins a connection that does not exist")
        if len(connection.sockets) >= connection.peer.pool_size + SPARE_SOCKETS:
            raise RefusedError(f"the pool of {joined.node!r} is full: {len(connection.sockets)} sockets")
        return connection

    def _add(self, connection: C, socket: Socket, open_socket: OpenSocket | None = None) -> None:
        if socket not in self._by_socket:
            self._by_socket[socket] = connection
            connection.join(
                socket, connection.peer.connection_id, open_socket, b""
            )  # the socket delivers the tail itself

    # --- leaving sockets ------------------------------------------------------------------------------------------------

    def lose(self, socket: Socket) -> None:
        """Removes a closed socket, and with its last socket the connection."""
        connection = self._by_socket.pop(socket, None)
        if connection is None:
            return
        connection.leave(socket)
        if not connection.sockets and self._forget(connection):
            self._end(connection)

    def abandon(self, socket: Socket) -> None:
        """Drops a connection whose first socket ended before its handshake did, with the sockets that joined it."""
        connection = self._by_socket.get(socket)
        if connection is not None:
            self.drop(connection)

    def drop(self, connection: C) -> None:
        """Ends a connection: forgets it at once and closes its sockets."""
        was_open = self._forget(connection)
        for socket in list(connection.sockets):
            del self._by_socket[socket]
            connection.leave(socket)
            socket.close()
        if was_open:
            self._end(connection)

    def _end(self, connection: C) -> None:
        connection.terminate(error_values.NO_CONNECTION)
        self._listener.connection_closed(connection)

    def _forget(self, connection: C) -> bool:
        """Removes a connection; returns whether it was open."""
        was_open = self._open.get(connection.name) is connection
        if was_open:
            del self._open[connection.name]
        id_ = connection.peer.connection_id
        if self._accepted.get(id_) is connection:
            del self._accepted[id_]
        return was_open
