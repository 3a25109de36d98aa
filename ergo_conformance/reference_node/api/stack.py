"""Handshakes and protos: what a route names."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from ...model.ergo.ehs import Flags, Version
from .connection import Connection, NetworkDial
from .handshake import Handshaken, LinkFacts, Local, Membership, Output

if TYPE_CHECKING:
    from .core import Core


class Handshake(Protocol):
    """One handshake over one link, sans-io."""

    def start(self) -> bytes:
        """What is sent first; empty if the other side begins. Raises HandshakeError."""

    def receive(self, data: bytes) -> Iterator[Output]:
        """Takes bytes off the wire. The iterator has to be used up; it raises HandshakeError."""


class NetworkHandshake(Protocol):
    """How two nodes get to know each other. One object serves all links of a node or of an acceptor."""

    def network_flags(self) -> Flags:
        """What is announced where no flags are set."""

    def start(self, local: Local, link: LinkFacts) -> Handshake:
        """We dial: a full handshake. It ends with Handshaken."""

    def join(self, local: Local, link: LinkFacts, membership: Membership) -> Handshake:
        """We dial: a further link of a connection. It ends with Joined."""

    def accept(self, local: Local, link: LinkFacts) -> Handshake:
        """We are dialed. It gives Introduced as soon as the peer has proved itself, and ends with Handshaken or Joined."""

    def version(self) -> Version:
        """What routes call it by."""


class NetworkProto(Protocol):
    """What is spoken over links when the handshake is through."""

    def new_connection(self, core: "Core", result: Handshaken, log: logging.Logger) -> Connection:
        """A connection of the peer; its first link joins it next."""

    async def serve(self, connection: Connection, dial: NetworkDial | None) -> None:
        """Keeps a connection that is registered now: its pool, for instance. Cancelled when the connection ends.

        `dial`: opens more links; None where the peer has dialed.
        """

    def version(self) -> Version:
        """What routes call it by."""
