"""The asyncio protocol of one socket: runs its handshake, then delivers its bytes to the connection.

All time is the running loop's (`loop.time`, `loop.call_at`), so that a test may use in-memory transports and a virtual
clock.  Handshakes run concurrently: a silent peer occupies only its own socket.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from ...errors import ErgoConformanceError, Rejected
from ...model.ergo.ehs import Role
from ...model.text import escape
from ...model.values import Atom
from ..api.connection import OpenSocket, PooledConnection
from ..api.errors import ClosedError, HandshakeError, RefusedError, SilentError
from ..api.handshake import Introduced, JoinedSocket, JoinRequest, Output, PeerInfo
from ..api.stack import Deadlines, FlowLimits, HandshakeSession
from .outbox import Outbox
from .reading import Inbox
from .socket_registry import SocketRegistry
from .table import ConnectionTable, MakeConnection
from .tcp import format_address, tune
from .tls import fingerprint_of_der

log = logging.getLogger("ergo_conformance.node")

MAX_LOGGED: Final = 300
"""Characters of a cause that are logged: a peer chooses parts of it."""

REFUSED_WITHIN: Final = 0.1
"""Seconds. A joined socket that the peer closes this soon after its Accept, without a byte, was refused: the peer's Accept and
FIN leave together (EHS-DUP-3, ENP-RED-4). After a reset the connection continues without the socket."""

MakeHandshake = Callable[[str, bytes | None], HandshakeSession]
"""Makes the handshake of a socket from its own address ("host:port") and the certificate's fingerprint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketSetup:
    """Settings of one socket.

    `fingerprint`: SHA-1 of the acceptor's certificate. An acceptor is given its own; a dialer takes it from its TLS socket,
    and a given one replaces it without TLS.  `wanted`: the dialed name.  `make_opener`: makes the function that opens
    more sockets of a new connection.
    """

    role: Role
    make_handshake: MakeHandshake
    make_connection: MakeConnection[Any]
    deadlines: Deadlines
    flow_limits: FlowLimits
    fingerprint: bytes | None = None
    wanted: Atom | None = None
    make_opener: Callable[[Any], OpenSocket] | None = None


class SocketProtocol(asyncio.Protocol):
    """One socket of a node.

    `outcome`, of a dialer: the connection; HandshakeError, RefusedError or DuplicateError if there is none.
    """

    def __init__(self, table: ConnectionTable[Any], registry: SocketRegistry, setup: SocketSetup) -> None:
        self.role = setup.role
        self.setup = setup
        self.outcome: asyncio.Future[PooledConnection] | None = None
        self._table, self._registry = table, registry
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._outbox = Outbox(setup.flow_limits, self.fail)
        self.write, self.drain = self._outbox.write, self._outbox.drain
        self._inbox = Inbox(registry.reading, self._deliver)
        self._peer = "in memory"
        self._handshake: HandshakeSession | None = None
        self._connection: PooledConnection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._latest = 0.0  # end of the handshake at the latest
        self._joined_at: float | None = None  # of a joined socket that has received nothing yet
        if self.role is Role.DIALER:
            self.outcome = self._loop.create_future()
            self.outcome.add_done_callback(lambda future: future.cancelled() or future.exception())

    # --- called by asyncio --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open: starts the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._outbox.open(self._transport)
        self._inbox.open(self._transport)
        tune(transport.get_extra_info("socket"))
        self._peer = (
            format_address(transport.get_extra_info("peername")) or self._peer
        )  # a closed socket has no peername
        self._registry.add(self)
        fingerprint = self.setup.fingerprint or _peer_fingerprint(transport.get_extra_info("ssl_object"))
        own_address = format_address(transport.get_extra_info("sockname"))
        self._handshake = self.setup.make_handshake(own_address, fingerprint)
        self._latest = self._loop.time() + self.setup.deadlines.handshake
        self._restart_deadline()
        try:
            if self._registry.closed:
                raise HandshakeError("the node has stopped")
            self.write(self._handshake.start())
        except HandshakeError as error:
            self.refuse(error)

    def data_received(self, data: bytes) -> None:
        """Passes bytes to the handshake, later to the connection; drops them after a refusal."""
        if self._connection is not None:
            self._joined_at = None
            self._inbox.receive(data)
        elif self._handshake is not None:
            self._restart_deadline()
            try:
                for output in self._handshake.receive(data):
                    self._process(output)
            except (HandshakeError, RefusedError) as error:
                self.refuse(error)

    def _deliver(self, data: bytes) -> None:
        if self._connection is not None and data:
            try:
                self._connection.receive(self, data)
            except Rejected as refusal:
                self.fail(str(refusal))

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._outbox.pause()

    def resume_writing(self) -> None:
        """The transport's buffer has room again."""
        self._outbox.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, by either side."""
        if self._timer is not None:
            self._timer.cancel()
        self._outbox.resume()
        self._inbox.finish()
        if self._handshake is not None:
            why = f": {exc}" if exc else ""
            self.refuse(ClosedError(f"the peer closed the socket during the handshake{why}"))
        connection, self._connection = self._connection, None
        if connection is not None and exc is None and self._was_refused() and self in connection.sockets:
            log.info("%r does not know our connection any more: dropped", connection.name)
            self._table.drop(connection)
        self._table.lose(self)
        self._registry.remove(self)

    def _was_refused(self) -> bool:
        return self._joined_at is not None and self._loop.time() - self._joined_at < REFUSED_WITHIN

    # --- called by the connection (api.Socket); `write` and `drain` are the outbox's ----------------------------------

    @property
    def is_congested(self) -> bool:
        """True if the peer reads more slowly than we write."""
        return self._outbox.is_congested

    def close(self) -> None:
        """Flushes and closes. Bytes that can't be flushed within the read deadline are discarded."""
        self._connection = None
        self._inbox.drop()
        self._outbox.flush()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._set_timer(self._loop.time() + self.setup.deadlines.read, self.abort)

    def abort(self) -> None:
        """Closes at once."""
        self._connection = None
        self._inbox.drop()
        if self._transport is not None:
            self._transport.abort()

    def fail(self, cause: str) -> None:
        """Closes the socket at once because of a violation by the peer; sends nothing."""
        log.info("closed %s: %s", self, escape(cause[:MAX_LOGGED]))
        self.abort()

    # --- the handshake ------------------------------------------------------------------------------------------------

    def _process(self, output: Output) -> None:
        setup = self.setup
        match output:
            case bytes():
                self.write(output)
            case Introduced(peer):
                self._table.introduce(self, peer, setup.make_connection)
            case PeerInfo():
                connection = self._table.admit(self, output, setup.make_connection, setup.wanted, setup.make_opener)
                self._finish(connection, output.tail)
            case JoinRequest(joined):
                self._table.find_joined(joined)
            case JoinedSocket():
                connection = self._table.join(self, output)
                if self.role is Role.DIALER:
                    self._joined_at = self._loop.time()
                self._finish(connection, output.tail)

    def _finish(self, connection: PooledConnection, tail: bytes) -> None:
        """The socket belongs to a connection and has no read deadline any more."""
        self._end_handshake()
        self._connection = connection
        log.debug("%s %r over %s", "dialed" if self.outcome else "accepted", connection.name, self)
        if self.outcome is not None and not self.outcome.done():
            self.outcome.set_result(connection)
        if tail:
            self.data_received(tail)

    def refuse(self, error: ErgoConformanceError) -> None:
        """Ends the handshake without a result: closes the socket and sends nothing."""
        if self._handshake is None:
            return
        log.info("refused %s: %s", self, escape(str(error)[:MAX_LOGGED]))
        self._end_handshake()
        self._table.abandon(self)
        self.close()
        if self.outcome is not None and not self.outcome.done():
            self.outcome.set_exception(error)

    def _end_handshake(self) -> None:
        self._handshake = None
        if self._timer is not None:
            self._timer.cancel()
        self._registry.finish(self)

    def _restart_deadline(self) -> None:
        """Sets a new deadline for the next bytes, at most the deadline of the whole handshake."""
        when = min(self._loop.time() + self.setup.deadlines.read, self._latest)
        self._set_timer(when, lambda: self.refuse(SilentError("the peer is silent or too slow")))

    def _set_timer(self, when: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, then)

    def __str__(self) -> str:
        return f"{self.role.other.value} {self._peer}"


def _peer_fingerprint(tls: ssl.SSLObject | None) -> bytes | None:
    """Returns the fingerprint of the peer's leaf certificate; None without TLS, and for dialers, which send no certificate."""
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    return fingerprint_of_der(der) if der else None
