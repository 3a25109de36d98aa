"""Handshakes and protos: the two protocols that a route names."""

import logging
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from ...model.ergo.ehs import Flags, Version
from .connection import Connection, OpenSocket
from .core import Core
from .handshake import ConnectionRef, LocalIdentity, Output, PeerInfo, SocketInfo


class Deadlines(NamedTuple):
    """Deadlines of a handshake in seconds. `read`: between two reads, also to flush a closing socket; `handshake`: in all."""

    connect: float
    read: float
    handshake: float


class FlowLimits(NamedTuple):
    """Limits for a peer that does not read. `max_queued`: bytes per socket; `stall_timeout`: seconds without progress."""

    max_queued: int
    stall_timeout: float


class HandshakeSession(Protocol):
    """One handshake over one socket, sans-io."""

    def start(self) -> bytes:
        """Returns the first bytes to send; empty if the other side begins. Raises HandshakeError."""

    def receive(self, data: bytes) -> Iterator[Output]:
        """Takes received bytes. The iterator has to be exhausted; it raises HandshakeError."""


class NetworkHandshake(Protocol):
    """A handshake protocol. One object serves all sockets of a node or of an acceptor."""

    @property
    def network_flags(self) -> Flags:
        """The flags that are announced if none are configured."""

    @property
    def deadlines(self) -> Deadlines:
        """Deadlines of each handshake."""

    @property
    def version(self) -> Version:
        """Name and release, as routes have them."""

    def start(self, local: LocalIdentity, socket: SocketInfo) -> HandshakeSession:
        """Begins a full handshake as the dialer. Its last output is PeerInfo."""

    def join(self, local: LocalIdentity, socket: SocketInfo, connection: ConnectionRef) -> HandshakeSession:
        """Begins the handshake of a further socket as the dialer. Its last output is JoinedSocket."""

    def accept(self, local: LocalIdentity, socket: SocketInfo) -> HandshakeSession:
        """Begins a handshake as the acceptor.

        It gives Introduced as soon as the peer has proved the cookie; its last output is PeerInfo or JoinedSocket.
        """


class NetworkProto(Protocol):
    """A protocol that connections speak after the handshake."""

    @property
    def flow_limits(self) -> FlowLimits:
        """Limits for peers that do not read."""

    @property
    def version(self) -> Version:
        """Name and release, as routes have them."""

    def new_connection(self, core: Core, peer: PeerInfo, log: logging.Logger) -> Connection:
        """Makes a connection; its first socket joins next."""

    async def serve(self, connection: Connection, open_socket: OpenSocket | None) -> None:
        """Maintains a registered connection, for example its pool. Cancelled when the connection ends.

        `open_socket`: opens more sockets; None if the peer dialed.
        """
