"""Values that the node gives to a handshake and gets from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from ...model.ergo import ehs
from ...model.ergo.caches import NO_CACHES, Caches
from ...model.ergo.ehs import Flags, Role, Version
from ...model.values import Atom

NO_VERSION: Final = Version()
RandomHex = Callable[[int], str]
"""Returns the given number of lower-case hexadecimal characters from a secure random source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalIdentity:
    """Our side of a handshake. Creation in Unix seconds, message size in bytes (0: no limit).

    `caches`: the ids in the bytes that we write, and the atom mapping of this connection; `pool_size`: the number of sockets
    announced to a dialer; the versions are those of the stack in use.
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


class SocketInfo(NamedTuple):
    """Facts about the socket of a handshake.

    `random_hex`: source of salts and ids.  `address`: "host:port" of our end, empty if it can't be dialed.  `fingerprint`:
    SHA-1 of the acceptor's certificate, 20 bytes, our own or the one that the dialer saw; None without TLS.
    """

    random_hex: RandomHex
    address: str = ""
    fingerprint: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerInfo:
    """Result of a full handshake: the facts about the peer.

    `role` and `local` are ours.  `flags` has the known bits, none without ENABLE; `raw_flags` is the field as received.
    `caches`: the ids in the bytes that the peer writes.  `pool_size` is the acceptor's; only a dialer gets `pool_dsns`.
    `tail`: bytes received after the last handshake message; they belong to the proto.
    """

    role: Role
    local: LocalIdentity
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
    """An acceptor has read the dialer's Introduce and has not answered yet. The peer has proved the cookie."""

    peer: PeerInfo


class JoinedSocket(NamedTuple):
    """Result of a Join: the peer's name, the connection that the socket joins, the bytes received after the handshake."""

    role: Role
    node: Atom
    connection_id: str
    tail: bytes = b""


class JoinRequest(NamedTuple):
    """A peer that has proved the cookie asks to join a socket. A node can refuse it only here, before it sends its proof."""

    socket: JoinedSocket


class ConnectionRef(NamedTuple):
    """The connection that a dialer joins a socket to."""

    node: Atom
    connection_id: str


Output = bytes | Introduced | PeerInfo | JoinRequest | JoinedSocket
"""Output of a handshake, in order: bytes to send, and results. PeerInfo or JoinedSocket is the last output."""
