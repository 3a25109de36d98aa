"""ESRD R1, the embedded registrar: packets, limits, deadlines.

The first node of a host is the server: other nodes register over TCP, on one socket each, whose lifetime is the lease;
any node resolves over UDP, one datagram each way.  Nothing is authenticated.

Sources: net/registrar/{types,server,client}.go, release 3.1.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Annotated, Any, Final, NamedTuple, Self

from .. import types as t
from ..registry import Struct, struct_of
from ..types import Reg, Slice
from ..values import Atom, Error
from .edf import FRAMEWORK
from .ehs import VERSION_ROW, Version

PORT: Final = 4499
"""Port of the registrar, for TCP and for UDP."""
VERSION: Final = 1
HEADER_LENGTH: Final = 4  # version, type, u16 length of the value alone
MAX_PAYLOAD: Final = 0xFFFF
PROTOCOL: Final = "ESRD"
RELEASE: Final = "R1"

# --- seconds ----------------------------------------------------------------------------------------------------------
REGISTER_TIMEOUT: Final = 1.0
"""The server waits this long for a request, the client for its reply."""
RETRY: Final = 1.0
"""Time between two attempts to register again."""
RESOLVE_TIMEOUT: Final = 3.0
"""Time for one attempt."""
CLIENT_KEEP_ALIVE: Final = 3
SERVER_KEEP_ALIVE: Final = 15
"""TCP keep-alive of a registration socket, at either end (ESRD-TR-7)."""

# --- bytes: longer packets are refused ----------------------------------------------------------------------------
MAX_REGISTER: Final = 4096
MAX_REGISTER_REPLY: Final = 1024
MAX_RESOLVE: Final = 1024
MAX_RESOLVE_REPLY: Final = 4096


class Transport(Enum):
    """Transport that carries a packet."""

    TCP = "tcp"
    UDP = "udp"


class Route(NamedTuple):
    """Address at which a node listens, and the protocols it speaks there. An empty host: the host part of the node's name."""

    Host: Annotated[str, t.STRING]
    Port: Annotated[int, t.UINT16]
    TLS: Annotated[bool, t.BOOL]
    HandshakeVersion: Annotated[Version, Reg(VERSION_ROW.name)]
    ProtoVersion: Annotated[Version, Reg(VERSION_ROW.name)]


ROUTE: Final = struct_of(Route, FRAMEWORK + "gen/Route")
_REGISTRAR: Final = FRAMEWORK + "net/registrar/"


class RegisterRoutes(NamedTuple):
    """Asks to register a node under its name."""

    Node: Annotated[Atom, t.ATOM]
    Routes: Annotated[list[Route] | None, Slice(Reg(ROUTE.name))]


class RegisterReply(NamedTuple):
    """Answer to RegisterRoutes: registered, or the error that gives the reason."""

    Error: Annotated[Error | None, t.ERROR]


class ResolveRoutes(NamedTuple):
    """Asks for the routes of a node."""

    Node: Annotated[Atom, t.ATOM]


class ResolveReply(NamedTuple):
    """Answer to ResolveRoutes: the routes, or an error."""

    Routes: Annotated[list[Route] | None, Slice(Reg(ROUTE.name))]
    Error: Annotated[Error | None, t.ERROR]


REGISTER_ROUTES: Final = struct_of(RegisterRoutes, _REGISTRAR + "MessageRegisterRoutes")
REGISTER_REPLY: Final = struct_of(RegisterReply, _REGISTRAR + "MessageRegisterReply")
RESOLVE_ROUTES: Final = struct_of(ResolveRoutes, _REGISTRAR + "MessageResolveRoutes")
RESOLVE_REPLY: Final = struct_of(ResolveReply, _REGISTRAR + "MessageResolveReply")

Message = RegisterRoutes | RegisterReply | ResolveRoutes | ResolveReply
MESSAGES: Final[tuple[Struct, ...]] = (REGISTER_ROUTES, REGISTER_REPLY, RESOLVE_ROUTES, RESOLVE_REPLY)
"""In the order of registration."""


class PacketType(IntEnum):
    """Second byte of the header. A row has the number, the class of the message, the transport, and the longest packet."""

    message_class: type[Any]
    transport: Transport
    max_size: int
    """Bytes of a whole packet that its reader accepts; it takes them in one read."""

    REGISTER = 44, RegisterRoutes, Transport.TCP, MAX_REGISTER
    REGISTER_REPLY = 45, RegisterReply, Transport.TCP, MAX_REGISTER_REPLY
    RESOLVE = 46, ResolveRoutes, Transport.UDP, MAX_RESOLVE
    RESOLVE_REPLY = 47, ResolveReply, Transport.UDP, MAX_RESOLVE_REPLY

    def __new__(
        cls, number: int, message_class: type[Any] = tuple, transport: Transport = Transport.TCP, max_size: int = 0
    ) -> Self:
        # The defaults are never used: with them, type checkers accept the lookup `PacketType(44)`.
        row = int.__new__(cls, number)
        row._value_ = number
        row.message_class, row.transport, row.max_size = message_class, transport, max_size
        return row


CLASSES: Final[Mapping[PacketType, type]] = {type_: type_.message_class for type_ in PacketType}
TYPES: Final[Mapping[type, PacketType]] = {cls: type_ for type_, cls in CLASSES.items()}
