"""Saturn R1, the central registrar: messages, states, deadlines, names of configuration items.

One TLS connection per node is its registration.  Both sides prove a token; names are unique within a cluster; the server
tells the nodes of a cluster who joins and leaves, which applications they have, and what is configured.

Sources: tools/saturn/registrar/, registrar/saturn/{client,types}.go.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Annotated, Any, Final, NamedTuple

from .. import types as t
from ..registry import Struct, struct_of
from ..types import ANY, Map, Reg, Slice
from ..values import Atom, Error
from .edf import FRAMEWORK
from .esrd import ROUTE, Route

PORT: Final = 4499
MAGIC: Final = 99
VERSION: Final = 1
HEADER_LENGTH: Final = 4  # magic, version, u16 length of the value
MAX_PAYLOAD: Final = 0xFFFF
PROTOCOL: Final = "Saturn"
RELEASE: Final = "R1"
SALT_LENGTH: Final = 64

# --- seconds ----------------------------------------------------------------------------------------------------------
REGISTER_WITHIN: Final = 3.0
"""From the start of a connection to its registration; the server closes then (SAT-HS-5)."""
ANSWER_TIMEOUT: Final = 1.0
"""The client waits so long for each answer until it is registered …"""
RESOLVE_TIMEOUT: Final = 3.0
"""… and so long for routes (SAT-RS-3)."""
DIAL_TIMEOUT: Final = 3.0
KEEP_ALIVE: Final = 3
REDIAL: Final = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
"""Pauses before the tries to reconnect; the last one is repeated (SAT-RC-1)."""

# --- records of package gen -------------------------------------------------------------------------------------------
_GEN: Final = FRAMEWORK + "gen/"


class ApplicationRoute(NamedTuple):
    """An application of a node. `SessionState`: 1 loaded, 2 running, 3 stopping."""

    Node: Annotated[Atom, t.ATOM]
    Name: Annotated[Atom, t.ATOM]
    Weight: Annotated[int, t.INT]
    Mode: Annotated[int, Reg(_GEN + "ApplicationMode")]
    State: Annotated[int, Reg(_GEN + "ApplicationState")]


class ProxyRoute(NamedTuple):
    """A node that is reached through another one."""

    To: Annotated[Atom, t.ATOM]
    Proxy: Annotated[Atom, t.ATOM]


APPLICATION_ROUTE: Final = struct_of(ApplicationRoute, _GEN + "ApplicationRoute")
PROXY_ROUTE: Final = struct_of(ProxyRoute, _GEN + "ProxyRoute")


class AnnouncedRoutes(NamedTuple):
    """What a node announces of itself."""

    Routes: Annotated[list[Route] | None, Slice(Reg(ROUTE.name))] = None
    ApplicationRoutes: Annotated[list[ApplicationRoute] | None, Slice(Reg(APPLICATION_ROUTE.name))] = None
    ProxyRoutes: Annotated[list[ProxyRoute] | None, Slice(Reg(PROXY_ROUTE.name))] = None


ANNOUNCED_ROUTES: Final = struct_of(AnnouncedRoutes, _GEN + "RegisterRoutes")

_Error = Error  # a field below has the name of its type

# --- messages ---------------------------------------------------------------------------------------------------------
_SATURN: Final = "#ergo.services/registrar/saturn/"


class Handshake(NamedTuple):
    """The client proves the token: hex SHA-256 of salt:token."""

    Salt: Annotated[str, t.STRING]
    Digest: Annotated[str, t.STRING]


class HandshakeResult(NamedTuple):
    """The server does: hex SHA-256 of the client's digest:token."""

    Digest: Annotated[str, t.STRING]


class Register(NamedTuple):
    """A node asks for its name in a cluster. `Hidden`: it is not to be found."""

    Cluster: Annotated[str, t.STRING]
    Hidden: Annotated[bool, t.BOOL]
    Node: Annotated[Atom, t.ATOM]
    RegisterRoutes: Annotated[Any, Reg(ANNOUNCED_ROUTES.name)]


class RegisterResult(NamedTuple):
    """It has it, and this is the cluster; or an error says why not."""

    Error: Annotated[_Error | None, t.ERROR] = None
    Config: Annotated[dict[str, Any] | None, Map(t.STRING, ANY)] = None
    Nodes: Annotated[list[Atom] | None, Slice(t.ATOM)] = None
    Applications: Annotated[list[ApplicationRoute] | None, Slice(Reg(APPLICATION_ROUTE.name))] = None


class Resolve(NamedTuple):
    """Where is this node?"""

    ID: Annotated[int, t.UINT32]
    Name: Annotated[Atom, t.ATOM]


class ResolveProxy(NamedTuple):
    """Through whom is this node reached?"""

    ID: Annotated[int, t.UINT32]
    Name: Annotated[Atom, t.ATOM]


class ResolveResult(NamedTuple):
    """There, or an error."""

    ID: Annotated[int, t.UINT32]
    Error: Annotated[Error | None, t.ERROR]
    Routes: Annotated[list[Route] | None, Slice(Reg(ROUTE.name))]


class ResolveProxyResult(NamedTuple):
    """Through them, or an error."""

    ID: Annotated[int, t.UINT32]
    Error: Annotated[Error | None, t.ERROR]
    Routes: Annotated[list[ProxyRoute] | None, Slice(Reg(PROXY_ROUTE.name))]


class NodeJoined(NamedTuple):
    """A node was registered in the cluster."""

    Node: Annotated[Atom, t.ATOM]


class NodeLeft(NamedTuple):
    """A registration has ended."""

    Node: Annotated[Atom, t.ATOM]


class RegisterApplicationRoute(NamedTuple):
    """An application was loaded, has started, is stopping, has stopped."""

    Route: Annotated[ApplicationRoute, Reg(APPLICATION_ROUTE.name)]


class UnregisterApplicationRoute(NamedTuple):
    """An application was unloaded. Upstream leaves `Node` empty (SAT-EV-3)."""

    Name: Annotated[Atom, t.ATOM]
    Node: Annotated[Atom, t.ATOM]


class ConfigUpdate(NamedTuple):
    """An item has another value now."""

    Item: Annotated[str, t.STRING]
    Value: Annotated[Any, ANY]


class RegisterProxy(NamedTuple):
    """Declared, and registered by no release up to 3.1: a server can't read it."""

    Route: Annotated[ProxyRoute, Reg(PROXY_ROUTE.name)]


class UnregisterProxy(NamedTuple):
    """The same."""

    Route: Annotated[ProxyRoute, Reg(PROXY_ROUTE.name)]


_CLASSES: Final[tuple[type[Any], ...]] = (
    Handshake, HandshakeResult, Register, RegisterResult, Resolve, ResolveProxy, ResolveResult, ResolveProxyResult,
    NodeJoined, NodeLeft, RegisterApplicationRoute, UnregisterApplicationRoute, ConfigUpdate,
)  # fmt: skip
MESSAGES: Final[tuple[Struct, ...]] = tuple(struct_of(cls, f"{_SATURN}Message{cls.__name__}") for cls in _CLASSES)
"""In the order in which the documents list them; nothing follows from it: no caches are used."""
UNREGISTERED: Final[tuple[Struct, ...]] = tuple(
    struct_of(cls, f"{_SATURN}Message{cls.__name__}") for cls in (RegisterProxy, UnregisterProxy)
)
Message = (
    Handshake | HandshakeResult | Register | RegisterResult | Resolve | ResolveProxy | ResolveResult | ResolveProxyResult
    | NodeJoined | NodeLeft | RegisterApplicationRoute | UnregisterApplicationRoute | ConfigUpdate
)  # fmt: skip


class SessionState(Enum):
    """Of a connection, as the server sees it."""

    AWAIT_HANDSHAKE = auto()
    AWAIT_REGISTER = auto()
    REGISTERED = auto()
    CLOSED = auto()


STEPS: Final[Mapping[SessionState, Mapping[type[Any], str]]] = {
    SessionState.AWAIT_HANDSHAKE: {Handshake: "prove"},
    SessionState.AWAIT_REGISTER: {Register: "register"},
    SessionState.REGISTERED: {
        Resolve: "resolve",
        ResolveProxy: "resolve_proxy",
        RegisterApplicationRoute: "register_application",
        UnregisterApplicationRoute: "unregister_application",
    },
}
"""What a message does in a state. Another message of a client closes the connection (SAT-HS-6)."""
OF_THE_SERVER: Final = frozenset({
    HandshakeResult, RegisterResult, ResolveResult, ResolveProxyResult, NodeJoined, NodeLeft, ConfigUpdate,
})  # fmt: skip
"""Messages that a client does not send; ignored if one does (SAT-EV-5)."""
FORWARDED: Final = frozenset({RegisterApplicationRoute, UnregisterApplicationRoute})
"""Messages of a client that the server sends on to the other nodes (SAT-EV-2)."""


def writers(message: type[Any]) -> tuple[str, ...]:
    """Who writes a message: client, server or both; nobody for a class that is none."""
    client = any(message in row for row in STEPS.values())
    return ("client",) * client + ("server",) * (message in OF_THE_SERVER or message in FORWARDED)


# --- configuration ----------------------------------------------------------------------------------------------------
ALL: Final = "*"


def item_names(item: str, cluster: str, node: str) -> tuple[str, ...]:
    """The names under which an item of a node may stand, the one that counts first (SAT-CF-1)."""
    return (f"{cluster}:{node}:{item}", f"{cluster}:{ALL}:{item}", f"{node}:{item}", f"{ALL}:{item}")


def concerns(name: str, cluster: str, node: str) -> bool:
    """Whether an item of this name is for that node. The parts of nested items are joined by colons, too."""
    return any(
        name.startswith(prefix) and len(name) > len(prefix) for prefix in item_names("", cluster, node)
    )  # fmt: skip
