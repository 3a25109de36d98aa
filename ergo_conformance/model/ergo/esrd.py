"""ESRD R1, the embedded registrar: packets, limits, deadlines.

The first node of a host serves: others register over TCP, one link each, which is their lease; anybody resolves over UDP,
one datagram each way.  Nothing is authenticated.

Sources: net/registrar/{types,server,client}.go, release 3.1.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Annotated, Final, NamedTuple

from .. import types as t
from ..registry import Struct, struct_of
from ..types import Reg, Slice
from ..values import Atom, Error
from .edf import FRAMEWORK
from .ehs import VERSION_ROW, Version

PORT: Final = 4499
"""Of TCP and UDP alike."""
VERSION: Final = 1
HEADER_LENGTH: Final = 4  # version, type, u16 length of the value alone
PROTOCOL: Final = "ESRD"
RELEASE: Final = "R1"

# --- seconds ----------------------------------------------------------------------------------------------------------
REGISTER_TIMEOUT: Final = 1.0
"""The server waits so long for a request, the client for its reply."""
RETRY: Final = 1.0
"""Between two tries to register again."""
RESOLVE_TIMEOUT: Final = 3.0
"""One try."""
CLIENT_KEEP_ALIVE: Final = 3
SERVER_KEEP_ALIVE: Final = 15
"""Of a registration link, at either end (ESRD-TR-7)."""

# --- bytes: longer packets are refused ----------------------------------------------------------------------------
MAX_REGISTER: Final = 4096
MAX_REGISTER_REPLY: Final = 1024
MAX_RESOLVE: Final = 1024
MAX_RESOLVE_REPLY: Final = 4096


class Transport(Enum):
    """Where a packet may stand."""

    TCP = "tcp"
    UDP = "udp"


class PacketType(IntEnum):
    """Second byte of the header."""

    REGISTER = 44
    REGISTER_REPLY = 45
    RESOLVE = 46
    RESOLVE_REPLY = 47


class Route(NamedTuple):
    """Where a node listens, and what it speaks there. An empty host is the host part of the node's name."""

    Host: Annotated[str, t.STRING]
    Port: Annotated[int, t.UINT16]
    TLS: Annotated[bool, t.BOOL]
    HandshakeVersion: Annotated[Version, Reg(VERSION_ROW.name)]
    ProtoVersion: Annotated[Version, Reg(VERSION_ROW.name)]


ROUTE: Final = struct_of(Route, FRAMEWORK + "gen/Route")
_REGISTRAR: Final = FRAMEWORK + "net/registrar/"


class RegisterRoutes(NamedTuple):
    """A node asks for its name."""

    Node: Annotated[Atom, t.ATOM]
    Routes: Annotated[list[Route] | None, Slice(Reg(ROUTE.name))]


class RegisterReply(NamedTuple):
    """It has it, or an error says why not."""

    Error: Annotated[Error | None, t.ERROR]


class ResolveRoutes(NamedTuple):
    """Where is this node?"""

    Node: Annotated[Atom, t.ATOM]


class ResolveReply(NamedTuple):
    """There, or an error."""

    Routes: Annotated[list[Route] | None, Slice(Reg(ROUTE.name))]
    Error: Annotated[Error | None, t.ERROR]


REGISTER_ROUTES: Final = struct_of(RegisterRoutes, _REGISTRAR + "MessageRegisterRoutes")
REGISTER_REPLY: Final = struct_of(RegisterReply, _REGISTRAR + "MessageRegisterReply")
RESOLVE_ROUTES: Final = struct_of(ResolveRoutes, _REGISTRAR + "MessageResolveRoutes")
RESOLVE_REPLY: Final = struct_of(ResolveReply, _REGISTRAR + "MessageResolveReply")

Message = RegisterRoutes | RegisterReply | ResolveRoutes | ResolveReply
MESSAGES: Final[tuple[Struct, ...]] = (REGISTER_ROUTES, REGISTER_REPLY, RESOLVE_ROUTES, RESOLVE_REPLY)
"""In the order of registration."""
CLASSES: Final[Mapping[PacketType, type]] = {
    PacketType.REGISTER: RegisterRoutes,
    PacketType.REGISTER_REPLY: RegisterReply,
    PacketType.RESOLVE: ResolveRoutes,
    PacketType.RESOLVE_REPLY: ResolveReply,
}
TYPES: Final[Mapping[type, PacketType]] = {cls: type_ for type_, cls in CLASSES.items()}
TRANSPORTS: Final[Mapping[PacketType, Transport]] = {
    PacketType.REGISTER: Transport.TCP,
    PacketType.REGISTER_REPLY: Transport.TCP,
    PacketType.RESOLVE: Transport.UDP,
    PacketType.RESOLVE_REPLY: Transport.UDP,
}
LONGEST: Final[Mapping[PacketType, int]] = {
    PacketType.REGISTER: MAX_REGISTER,
    PacketType.REGISTER_REPLY: MAX_REGISTER_REPLY,
    PacketType.RESOLVE: MAX_RESOLVE,
    PacketType.RESOLVE_REPLY: MAX_RESOLVE_REPLY,
}
"""Bytes of a whole packet that its reader takes in one read."""
