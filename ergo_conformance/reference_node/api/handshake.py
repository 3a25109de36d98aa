"""What a handshake is given, and what it tells: the words that the node shares with every handshake."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from ...errors import ErgoConformanceError
from ...model.ergo import ehs
from ...model.ergo.caches import NO_CACHES, Caches
from ...model.ergo.ehs import Flags, Role, Version
from ...model.values import Atom

NO_VERSION: Final = Version()
Token = Callable[[int], str]
"""Gives so many lower-case hexadecimal characters that nobody can guess."""


class HandshakeError(ErgoConformanceError):
    """The handshake is over without a result. The link is closed and nothing is sent."""

    @property
    def reason(self) -> str:
        """Why, in a few words."""
        return str(self)


class ClosedError(HandshakeError):
    """The peer has closed the link: it may know another cookie."""


class SilentError(HandshakeError):
    """The peer has said nothing for too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What this side brings into a handshake. Creation in Unix seconds, message size in bytes (0 = no limit).

    `caches` are the ids in what we write, and the mapping of atoms for this connection; `pool_size` the links announced to
    who dials; the versions are those of the stack that is spoken.
    """

    name: Atom
    cookie: str
    creation: int
    version: Version
    flags: Flags = ehs.DEFAULT_FLAGS
    max_message_size: int = 0
    caches: Caches = NO_CACHES
    pool_size: int = ehs.POOL_SIZE
    handshake_version: Version = NO_VERSION
    proto_version: Version = NO_VERSION


class LinkFacts(NamedTuple):
    """What a handshake may want to know of its link.

    `token`: its entropy.  `address`: "host:port" of our end, empty if it can't be dialed.  `fingerprint`: SHA-1 of the
    acceptor's certificate, 20 bytes, our own or as the dialer saw it; None without TLS.
    """

    token: Token
    address: str = ""
    fingerprint: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshaken:
    """What a full handshake told about the peer: the first link of a connection.

    `role` and `local` are ours.  `flags` has the known bits, none without ENABLE; `raw_flags` is what came.  `caches`
    are the ids in what the peer writes.  `pool_size` is the acceptor's; `pool_dsns` only the dialer gets.  `tail` came
    behind the last message and belongs to the protocol above.
    """

    role: Role
    local: Local
    node: Atom
    version: Version
    flags: Flags
    raw_flags: bytes
    creation: int
    max_message_size: int
    caches: Caches
    connection_id: str
    pool_size: int
    pool_dsns: tuple[str, ...] = ()
    tail: bytes = b""


class Introduced(NamedTuple):
    """An acceptor knows who dials, before it answers with its own name. The peer has proved the cookie."""

    peer: Handshaken


class Joined(NamedTuple):
    """A further link: who joins (at the dialer: who was joined), which connection, the bytes behind the handshake."""

    role: Role
    node: Atom
    connection_id: str
    tail: bytes = b""


class Joining(NamedTuple):
    """A peer that has proved the cookie wants to add a link. Who does not take it says so now: before our proof."""

    link: Joined


class Membership(NamedTuple):
    """The connection that a dialer adds a link to."""

    node: Atom
    connection_id: str


Output = bytes | Introduced | Handshaken | Joining | Joined
"""In the order of happening: bytes to send, and what has become known. Handshaken or Joined is the last one."""
