"""Saturn R1, the central registrar: messages, states, deadlines, names of configuration items.

The registration of a node is one TLS connection.  Both sides prove that they know the token; names are unique within a
cluster; the server tells the nodes of a cluster which nodes join and leave, their applications, and the configuration.

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
"""Limit from the start of a connection to its registration; then the server closes it (SAT-HS-5)."""
ANSWER_TIMEOUT: Final = 1.0
"""Time that the client waits for each answer before it is registered."""
RESOLVE_TIMEOUT: Final = 3.0
"""Time that the client waits for routes (SAT-RS-3)."""
DIAL_TIMEOUT: Final = 3.0
KEEP_ALIVE: Final = 3
REDIAL: Final = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0)
"""Delays before the attempts to reconnect; the last one is repeated (SAT-RC-1)."""

# --- records of package gen -------------------------------------------------------------------------------------------
_GEN: Final = FRAMEWORK + "gen/"


class ApplicationRoute(NamedTuple):
    """An application of a node. `State`: 1 loaded, 2 running, 3 stopping."""

    Node: Annotated[Atom, t.ATOM]
    Name: Annotated[Atom, t.ATOM]
    Weight: Annotated[int, t.INT]
    Mode: Annotated[int, Reg(_GEN + "ApplicationMode")]
    State: Annotated[int, Reg(_GEN + "ApplicationState")]


class ProxyRoute(NamedTuple):
    """The proxy through which a node is reached."""

    To: Annotated[Atom, t.ATOM]
    Proxy: Annotated[Atom, t.ATOM]


APPLICATION_ROUTE: Final = struct_of(ApplicationRoute, _GEN + "ApplicationRoute")
PROXY_ROUTE: Final = struct_of(ProxyRoute, _GEN + "ProxyRoute")


class AnnouncedRoutes(NamedTuple):
    """gen.RegisterRoutes: the routes that a node announces."""

    Routes: Annotated[list[Route] | None, Slice(Reg(ROUTE.name))] = None
    ApplicationRoutes: Annotated[list[ApplicationRoute] | None, Slice(Reg(APPLICATION_ROUTE.name))] = None
    ProxyRoutes: Annotated[list[ProxyRoute] | None, Slice(Reg(PROXY_ROUTE.name))] = None


ANNOUNCED_ROUTES: Final = struct_of(AnnouncedRoutes, _GEN + "RegisterRoutes")

_Error = Error  # a field below has the same name as its type

# --- messages ---------------------------------------------------------------------------------------------------------
_SATURN: Final = "#ergo.services/registrar/saturn/"


class Handshake(NamedTuple):
    """Proof of the token by the client: hex SHA-256 of salt:token."""

    Salt: Annotated[str, t.STRING]
    Digest: Annotated[str, t.STRING]


class HandshakeResult(NamedTuple):
    """Proof of the token by the server: hex SHA-256 of the client's digest:token."""

    Digest: Annotated[str, t.STRING]


class Register(NamedTuple):
    """Asks to register a node in a cluster under its name. `Hidden`: other nodes do not find it."""

    Cluster: Annotated[str, t.STRING]
    Hidden: Annotated[bool, t.BOOL]
    Node: Annotated[Atom, t.ATOM]
    RegisterRoutes: Annotated[Any, Reg(ANNOUNCED_ROUTES.name)]


class RegisterResult(NamedTuple):
    """Answer to Register: the state of the cluster, or the error that gives the reason for a refusal."""

    Error: Annotated[_Error | None, t.ERROR] = None
    Config: Annotated[dict[str, Any] | None, Map(t.STRING, ANY)] = None
    Nodes: Annotated[list[Atom] | None, Slice(t.ATOM)] = None
    Applications: Annotated[list[ApplicationRoute] | None, Slice(Reg(APPLICATION_ROUTE.name))] = None


class Resolve(NamedTuple):
    """Asks for the routes of a node."""

    ID: Annotated[int, t.UINT32]
    Name: Annotated[Atom, t.ATOM]


class ResolveProxy(NamedTuple):
    """Asks for the proxies through which a node is reached."""

    ID: Annotated[int, t.UINT32]
    Name: Annotated[Atom, t.ATOM]


class ResolveResult(NamedTuple):
    """Answer to Resolve: the routes, or an error."""

    ID: Annotated[int, t.UINT32]
    Error: Annotated[Error | None, t.ERROR]
    Routes: Annotated[list[Route] | None, Slice(Reg(ROUTE.name))]


class ResolveProxyResult(NamedTuple):
    """Answer to ResolveProxy: the proxies, or an error."""

    ID: Annotated[int, t.UINT32]
    Error: Annotated[Error | None, t.ERROR]
    Routes: Annotated[list[ProxyRoute] | None, Slice(Reg(PROXY_ROUTE.name))]


class NodeJoined(NamedTuple):
    """A node was registered in the cluster."""

    Node: Annotated[Atom, t.ATOM]


class NodeLeft(NamedTuple):
    """The registration of a node has ended."""

    Node: Annotated[Atom, t.ATOM]


class RegisterApplicationRoute(NamedTuple):
    """An application of a node was loaded, has started, is stopping or has stopped."""

    Route: Annotated[ApplicationRoute, Reg(APPLICATION_ROUTE.name)]


class UnregisterApplicationRoute(NamedTuple):
    """An application was unloaded. Upstream leaves `Node` empty (SAT-EV-3)."""

    Name: Annotated[Atom, t.ATOM]
    Node: Annotated[Atom, t.ATOM]


class ConfigUpdate(NamedTuple):
    """A configuration item has a new value."""

    Item: Annotated[str, t.STRING]
    Value: Annotated[Any, ANY]


class RegisterProxy(NamedTuple):
    """Announces a proxy. Declared, but not registered by any release up to 3.1: a server cannot read it."""

    Route: Annotated[ProxyRoute, Reg(PROXY_ROUTE.name)]


class UnregisterProxy(NamedTuple):
    """Withdraws a proxy. Not registered by any release, like RegisterProxy."""

    Route: Annotated[ProxyRoute, Reg(PROXY_ROUTE.name)]


_CLASSES: Final[tuple[type[Any], ...]] = (
    Handshake, HandshakeResult, Register, RegisterResult, Resolve, ResolveProxy, ResolveResult, ResolveProxyResult,
    NodeJoined, NodeLeft, RegisterApplicationRoute, UnregisterApplicationRoute, ConfigUpdate,
)  # fmt: skip
MESSAGES: Final[tuple[Struct, ...]] = tuple(struct_of(cls, f"{_SATURN}Message{cls.__name__}") for cls in _CLASSES)
"""In the order of the documents; the order has no effect, as no caches are used."""
UNREGISTERED: Final[tuple[Struct, ...]] = tuple(
    struct_of(cls, f"{_SATURN}Message{cls.__name__}") for cls in (RegisterProxy, UnregisterProxy)
)
Message = (
    Handshake | HandshakeResult | Register | RegisterResult | Resolve | ResolveProxy | ResolveResult | ResolveProxyResult
    | NodeJoined | NodeLeft | RegisterApplicationRoute | UnregisterApplicationRoute | ConfigUpdate
)  # fmt: skip


class SessionState(Enum):
    """State of a connection at the server."""

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
"""Effect of each message of a client in each state. Any other closes the connection (SAT-HS-6)."""
OF_THE_SERVER: Final = frozenset({
    HandshakeResult, RegisterResult, ResolveResult, ResolveProxyResult, NodeJoined, NodeLeft, ConfigUpdate,
})  # fmt: skip
"""Messages of a server; the server ignores them if a client sends one (SAT-EV-5)."""
NOTIFICATIONS: Final = (NodeJoined, NodeLeft, RegisterApplicationRoute, UnregisterApplicationRoute, ConfigUpdate)
"""Messages that the server sends without a request, even before the result of the registration (SAT-EV-1)."""
FORWARDED: Final = frozenset({RegisterApplicationRoute, UnregisterApplicationRoute})
"""Messages of a client that the server forwards to the other nodes (SAT-EV-2)."""


def writers(message: type[Any]) -> tuple[str, ...]:
    """Returns the writers of a message: client, server, both, or none if the class is not a message."""
    client = any(message in row for row in STEPS.values())
    return ("client",) * client + ("server",) * (message in OF_THE_SERVER or message in FORWARDED)


# --- configuration ----------------------------------------------------------------------------------------------------
ALL: Final = "*"


def item_names(item: str, cluster: str, node: str) -> tuple[str, ...]:
    """Returns the names of an item that apply to a node, in order of precedence (SAT-CF-1)."""
    return (f"{cluster}:{node}:{item}", f"{cluster}:{ALL}:{item}", f"{node}:{item}", f"{ALL}:{item}")


def concerns(name: str, cluster: str, node: str) -> bool:
    """Tells whether an item of this name applies to the node. The parts of nested items are joined by colons, too."""
    return any(
        name.startswith(prefix) and len(name) > len(prefix) for prefix in item_names("", cluster, node)
    )  # fmt: skip
