"""Which connections a node has: one per peer, of one or more links. Sans-io: links are handed in, refusals are raised.

Rules, beside EHS-AST-6, EHS-DST-7 and -8, EHS-JOIN-1 to -9:

- A connection a peer opens is known by its id from its Introduce on, by its name from its last message on.  Between the
  two further links may join already: on a bad line the last message of link 1 may come behind the first of link 2.
- Only who dialed the first link adds others, and no more than the announced pool and SPARE_LINKS.
- Both sides dial each other at once: the dial of the smaller name (in byte order) wins.  A node that is dialing refuses
  to be dialed by that peer if its own name is the smaller one; the other node lets it in.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from ...errors import ErgoConformanceError
from ...model.ergo import error_values
from ...model.ergo.ehs import Role
from ...model.text import text_to_bytes
from ...model.values import Atom, Error
from ..api import Link, NetworkDial, Pooled
from ..api.handshake import Handshaken, Joined

SPARE_LINKS: Final = 1
"""Links above the pool: a dialer that replaces a link may know of its end before we do. (Upstream spares two.)"""


class RefusedError(ErgoConformanceError):
    """A link that passed the handshake and is closed nevertheless."""


class DuplicateError(RefusedError):
    """There is a connection with this peer already."""

    def __init__(self, connection: Pooled) -> None:
        super().__init__(f"{connection.name!r} is connected already")
        self.connection = connection


class LinkedConnection:
    """One peer, one or more links: what a connection has to do with the table. What is spoken is a subclass's business."""

    def __init__(self, peer: Handshaken) -> None:
        self.peer = peer
        self.links: list[Link] = []
        self.bytes_in = self.bytes_out = 0
        self.frames_in = self.frames_out = 0

    @property
    def name(self) -> Atom:
        """The peer's name, as it introduced itself."""
        return self.peer.node

    @property
    def key(self) -> tuple[Role, Atom, str]:
        """What a further link has to agree with: who may add links is who opened the connection."""
        return self.peer.role, self.peer.node, self.peer.connection_id

    def join(self, link: Link, connection_id: str, dial: NetworkDial | None, tail: bytes) -> None:  # noqa: ARG002
        """A link is there."""
        self.links.append(link)
        if tail:
            self.receive(link, tail)

    def receive(self, link: Link, data: bytes) -> None:  # noqa: ARG002  a protocol above answers on it
        """Bytes that came over a link after its handshake. Raises Rejected if the link can't be read any further."""
        self.bytes_in += len(data)

    def leave(self, link: Link) -> None:
        """A link is gone."""
        self.links.remove(link)

    def terminate(self, reason: Error) -> None:
        """A connection that was open is over; called once, behind the last link."""


C = TypeVar("C", bound=Pooled)
MakeConnection = Callable[[Handshaken], C]


class Connections(Generic[C]):
    """The connections of one node."""

    def __init__(self, name: Atom, connection: MakeConnection[C]) -> None:
        """`connection` makes a connection of a peer, where a link brings nothing else for that."""
        self.name = name
        self._make = connection
        self._open: dict[Atom, C] = {}
        self._accepted: dict[str, C] = {}
        self._by_link: dict[Link, C] = {}
        self._dialing: Counter[Atom] = Counter()
        self.opened: Callable[[C, NetworkDial | None], None] = lambda _, __: None
        """Told of a new connection, and of what opens more links for it if we have dialed."""
        self.closed: Callable[[C], None] = lambda _: None
        """Told of a connection that was open and is over."""

    @property
    def connections(self) -> Mapping[Atom, C]:
        """The open connections by the peers' names."""
        return MappingProxyType(self._open)

    def connection_of(self, link: Link) -> C | None:
        """The connection that a link belongs to."""
        return self._by_link.get(link)

    def is_accepting(self, name: Atom) -> bool:
        """Whether a peer of this name has proved the cookie and is about to be connected."""
        return any(c.name == name and self._open.get(name) is not c for c in self._accepted.values())

    @contextmanager
    def dialing(self, name: Atom | None) -> Iterator[None]:
        """We are dialing this name as long as the block runs."""
        if name is None:
            yield
            return
        self._dialing[name] += 1
        try:
            yield
        finally:
            self._dialing[name] -= 1
            self._dialing += Counter()  # forget names at zero

    # --- links come ---------------------------------------------------------------------------------------------------

    def introduce(self, link: Link, peer: Handshaken, make: MakeConnection[C] | None = None) -> None:
        """A dialer said who it is, we have not answered yet. `make`: makes the connection of a link with a proto of its own."""
        if self._dialing[peer.node] and text_to_bytes(self.name) < text_to_bytes(peer.node):
            raise RefusedError(f"we are dialing {peer.node!r} ourselves")
        self._accepted[peer.connection_id] = connection = (make or self._make)(peer)
        self._add(connection, link)

    def admit(
        self,
        link: Link,
        peer: Handshaken,
        wanted: Atom | None = None,
        make: MakeConnection[C] | None = None,
        dialer: "Callable[[C], NetworkDial] | None" = None,
    ) -> C:
        """A full handshake is through. `wanted`: the name that was dialed; `dialer` makes what opens more links.

        Raises RefusedError; DuplicateError for a second connection with one peer, the first one stays untouched.
        """
        connection = self._by_link.get(link) or (make or self._make)(peer)
        if wanted is not None and peer.node != wanted:  # NAPI-CON-5
            raise RefusedError(f"remote node '{wanted}' introduced itself as '{peer.node}'")
        if not peer.node:
            raise RefusedError("the peer has no name")
        if peer.creation == 0:
            raise RefusedError(f"{peer.node!r} has creation 0")
        if peer.node in self._open:
            raise DuplicateError(self._open[peer.node])
        self._open[peer.node] = connection
        dial = dialer(connection) if dialer is not None else None
        self._add(connection, link, dial)
        self.opened(connection, dial)
        return connection

    def join(self, link: Link, joined: Joined) -> C:
        """A further link: somebody's to a connection it opened, or ours to one that we opened. Raises RefusedError."""
        connection = self.joined_by(joined)
        self._add(connection, link)
        return connection

    def joined_by(self, joined: Joined) -> C:
        """The connection that a further link is for. Raises RefusedError if there is none, or it has links enough."""
        connection = self._accepted.get(joined.connection_id) or self._open.get(joined.node)
        if connection is None or connection.key != (joined.role, joined.node, joined.connection_id):
            raise RefusedError(f"{joined.node!r} joins a connection that does not exist")
        if len(connection.links) >= connection.peer.pool_size + SPARE_LINKS:
            raise RefusedError(f"{joined.node!r} has {len(connection.links)} links already")
        return connection

    def _add(self, connection: C, link: Link, dial: NetworkDial | None = None) -> None:
        if link not in self._by_link:
            self._by_link[link] = connection
            connection.join(link, connection.peer.connection_id, dial, b"")  # the link delivers what came behind

    # --- links go -----------------------------------------------------------------------------------------------------

    def lose(self, link: Link) -> C | None:
        """A link is gone. The connection, if that was its last one."""
        connection = self._by_link.pop(link, None)
        if connection is None:
            return None
        connection.leave(link)
        if connection.links:
            return None
        if self._forget(connection):
            self._end(connection)
        return connection

    def abandon(self, link: Link) -> None:
        """The first link of a connection ended before the handshake did: those that joined it go, too."""
        connection = self._by_link.get(link)
        if connection is not None:
            self.drop(connection)

    def drop(self, connection: C) -> None:
        """End a connection: it is forgotten at once and its links are closed."""
        was_open = self._forget(connection)
        for link in list(connection.links):
            del self._by_link[link]
            connection.leave(link)
            link.close()
        if was_open:
            self._end(connection)

    def _end(self, connection: C) -> None:
        connection.terminate(error_values.NO_CONNECTION)
        self.closed(connection)

    def _forget(self, connection: C) -> bool:
        """Whether it was an open one, and not just about to be."""
        was_open = self._open.get(connection.name) is connection
        if was_open:
            del self._open[connection.name]
        id_ = connection.peer.connection_id
        if self._accepted.get(id_) is connection:
            del self._accepted[id_]
        return was_open
