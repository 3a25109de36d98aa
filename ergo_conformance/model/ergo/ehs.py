"""EHS R1, the Ergo handshake: messages, digests, limits, and the state table of both roles.

Theory of operation.  The dialer proves that it knows the cookie with a salted digest; the acceptor answers with its own
digest; then both introduce themselves.  To add a socket to an existing connection, a Join replaces the whole exchange.
`STEPS` lists for each state the expected messages, their effects and the next states.  A message that is not in the row of
the state ends the handshake: the socket is closed and nothing is sent.  The reference node looks up its next step in this
table; the suites subtract each row from all messages, which makes every illegal order a case.

Sources: net/handshake/{types,start,accept,join,handshake}.go, gen/network.go, release 3.1.
"""

from dataclasses import dataclass
from enum import Enum, IntFlag, auto
from typing import Annotated, Final, NamedTuple

from ..payloads import BitSet
from ..registry import Marshaler, Struct, struct_of
from ..types import ATOM, ERROR, INT, INT64, STRING, UINT16, Map, Reg, Slice
from ..values import Atom
from .edf import FIRST_ATOM_ID, FIRST_ERROR_ID, FIRST_TYPE_ID, FRAMEWORK, LAST_ERROR_ID, LAST_TYPE_ID

# --- frame ------------------------------------------------------------------------------------------------------------
MAGIC: Final = 87
VERSION: Final = 1
HEADER_LENGTH: Final = 6  # magic, version, u32 length of the payload alone
MAX_PAYLOAD: Final = 65_535

# --- deadlines, seconds -----------------------------------------------------------------------------------------------
READ_TIMEOUT: Final = 1.0
"""A socket whose peer sends nothing for this long is closed and nothing is sent; each read restarts the time."""
CONNECT_TIMEOUT: Final = 3.0
HANDSHAKE_TIMEOUT: Final = 20.0
"""Own rule: limit of the whole handshake. Upstream limits each read only, so a client that sends byte by byte blocks it."""

# --- defaults ---------------------------------------------------------------------------------------------------------
POOL_SIZE: Final = 3
MAX_POOL_SIZE: Final = 64
"""Own rule: a dialer opens at most this many sockets, even if the peer's Accept asks for more."""
SALT_LENGTH: Final = 64  # characters; any length is accepted
CONNECTION_ID_LENGTH: Final = 32
PROTOCOL: Final = "EHS"
RELEASE: Final = "R1"


class Flags(IntFlag):
    """gen.NetworkFlags. Without ENABLE all others are ignored, and eight zero bytes are written."""

    ENABLE = 1
    REMOTE_SPAWN = 2
    REMOTE_APPLICATION_START = 4
    FRAGMENTATION = 8
    PROXY_TRANSIT = 16
    PROXY_ACCEPT = 32
    IMPORTANT_DELIVERY = 64


DEFAULT_FLAGS: Final = (
    Flags.ENABLE | Flags.REMOTE_SPAWN | Flags.REMOTE_APPLICATION_START | Flags.PROXY_ACCEPT | Flags.IMPORTANT_DELIVERY
)
FLAGS_WIDTH: Final = 8  # bytes
NEWEST_FLAGS: Final = 128
"""The lowest bit of release 3.3 (simultaneous connect, keep-alive, tracing, …): a hint at the profile only."""

NETWORK_FLAGS: Final = Marshaler(
    FRAMEWORK + "gen/NetworkFlags",
    BitSet(FLAGS_WIDTH, known=sum(Flags), enable=Flags.ENABLE),
)


class Version(NamedTuple):
    """gen.Version: version of a node, a framework or a protocol."""

    Name: Annotated[str, STRING] = ""
    Release: Annotated[str, STRING] = ""
    Commit: Annotated[str, STRING] = ""
    License: Annotated[str, STRING] = ""


VERSION_ROW: Final = struct_of(Version, FRAMEWORK + "gen/Version")
_HANDSHAKE: Final = FRAMEWORK + "net/handshake/"


class Hello(NamedTuple):
    """The first message of each side."""

    Salt: Annotated[str, STRING]
    Digest: Annotated[str, STRING]
    DigestCert: Annotated[str, STRING] = ""


class Join(NamedTuple):
    """Asks to add a socket to the connection with the id `ConnectionID`."""

    Node: Annotated[Atom, ATOM]
    ConnectionID: Annotated[str, STRING]
    Salt: Annotated[str, STRING]
    Digest: Annotated[str, STRING]


class Introduce(NamedTuple):
    """Identity of a node, and the ids it will use in the bytes it sends. `Version`: of the application, not the framework."""

    Node: Annotated[Atom, ATOM]
    Version: Annotated[Version, Reg(VERSION_ROW.name)]
    Flags: Annotated[bytes, Reg(NETWORK_FLAGS.name)]
    Creation: Annotated[int, INT64]
    MaxMessageSize: Annotated[int, INT]
    AtomCache: Annotated[dict[int, Atom] | None, Map(UINT16, ATOM)]
    RegCache: Annotated[dict[int, str] | None, Map(UINT16, STRING)]
    ErrCache: Annotated[dict[int, object] | None, Map(UINT16, ERROR)]
    Digest: Annotated[str, STRING]


ID_RANGES: Final = {
    "AtomCache": (FIRST_ATOM_ID, 0xFFFF),
    "RegCache": (FIRST_TYPE_ID, LAST_TYPE_ID),
    "ErrCache": (FIRST_ERROR_ID, LAST_ERROR_ID),
}
"""The first and the last id of each table of an Introduce (EHS-CACHE-2)."""


class Accept(NamedTuple):
    """Ends a handshake: the acceptor sends id and pool, the dialer no fields; the answer to a Join has digests only."""

    ID: Annotated[str, STRING] = ""
    PoolSize: Annotated[int, INT] = 0
    PoolDSN: Annotated[list[str] | None, Slice(STRING)] = None
    Digest: Annotated[str, STRING] = ""
    DigestCert: Annotated[str, STRING] = ""


HELLO: Final = struct_of(Hello, _HANDSHAKE + "MessageHello")
JOIN: Final = struct_of(Join, _HANDSHAKE + "MessageJoin")
INTRODUCE: Final = struct_of(Introduce, _HANDSHAKE + "MessageIntroduce")
ACCEPT: Final = struct_of(Accept, _HANDSHAKE + "MessageAccept")

Message = Hello | Join | Introduce | Accept
MESSAGES: Final[tuple[Struct, ...]] = (HELLO, JOIN, INTRODUCE, ACCEPT)


class Digest(Enum):
    """Input of each digest, a lower-case hex SHA-256: the fields named in `parts`, joined by ":", and where `fingerprint` is
    set the 20-byte SHA-1 fingerprint of the certificate directly behind them.
    """

    HELLO_DIALER = ("EHS-DIG-1", ("salt1", "cookie"), False)
    HELLO_ACCEPTOR = ("EHS-DIG-2", ("salt2", "digest1", "cookie"), False)
    HELLO_CERT = ("EHS-DIG-3", ("salt2", "salt1", "cookie"), True)
    INTRODUCE = ("EHS-DIG-4", ("salt2", "cookie"), False)
    JOIN = ("EHS-DIG-6", ("id", "salt", "cookie"), False)
    JOIN_ACCEPT = ("EHS-DIG-7", ("join_digest", "cookie"), False)
    JOIN_CERT = ("EHS-DIG-8", ("join_digest", "join_salt", "cookie"), True)

    def __init__(self, requirement: str, parts: tuple[str, ...], fingerprint: bool) -> None:  # noqa: FBT001  a row
        self.requirement = requirement
        self.parts = parts
        self.fingerprint = fingerprint


class Role(Enum):
    """Role in a handshake: the side that connected, or the side that accepted."""

    DIALER = "dialer"
    ACCEPTOR = "acceptor"

    @property
    def other(self) -> "Role":
        return Role.ACCEPTOR if self is Role.DIALER else Role.DIALER


class HandshakeState(Enum):
    """State of a handshake. A dialer starts in HELLO_SENT, or in JOIN_SENT for a further socket of a connection."""

    HELLO_SENT = auto()
    INTRODUCED = auto()
    ACCEPTED = auto()
    JOIN_SENT = auto()
    AWAIT_HELLO = auto()
    HELLO_ANSWERED = auto()
    AWAIT_ACCEPT = auto()
    DONE = auto()


@dataclass(frozen=True, slots=True)
class Step:
    """One legal step: the effect of the message, and the next state."""

    effect: str
    then: HandshakeState


STEPS: Final[dict[tuple[Role, HandshakeState], dict[type[Message], Step]]] = {
    (Role.DIALER, HandshakeState.HELLO_SENT): {Hello: Step("introduce", HandshakeState.INTRODUCED)},
    (Role.DIALER, HandshakeState.INTRODUCED): {Accept: Step("remember_pool", HandshakeState.ACCEPTED)},
    (Role.DIALER, HandshakeState.ACCEPTED): {Introduce: Step("confirm", HandshakeState.DONE)},
    (Role.DIALER, HandshakeState.JOIN_SENT): {Accept: Step("check_join", HandshakeState.DONE)},
    (Role.ACCEPTOR, HandshakeState.AWAIT_HELLO): {
        Hello: Step("answer_hello", HandshakeState.HELLO_ANSWERED),
        Join: Step("accept_join", HandshakeState.DONE),
    },
    (Role.ACCEPTOR, HandshakeState.HELLO_ANSWERED): {
        Introduce: Step("accept_and_introduce", HandshakeState.AWAIT_ACCEPT)
    },
    (Role.ACCEPTOR, HandshakeState.AWAIT_ACCEPT): {Accept: Step("finish", HandshakeState.DONE)},
    (Role.DIALER, HandshakeState.DONE): {},
    (Role.ACCEPTOR, HandshakeState.DONE): {},
}
FIRST_STATE: Final = {Role.DIALER: HandshakeState.HELLO_SENT, Role.ACCEPTOR: HandshakeState.AWAIT_HELLO}
