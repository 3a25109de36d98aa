"""Saturn R1, sans-io: packets, the server's directory of clusters, and both sides of one connection.

Upstream handles one message per chunk (SAT-FR-3), loses refusals (SAT-RG-3), announces refused nodes (SAT-RG-4), never resolves
(SAT-RS-1, -2), keeps a row per change (SAT-EV-4), omits names (SAT-EV-3), sends the configuration to unauthenticated peers
(SAT-CF-4) and keeps bytes of an old connection (SAT-RC-4); this implementation does not.
"""

import hmac
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from hashlib import sha256
from struct import Struct
from typing import Any, Final, cast

from ...errors import CannotEncode, Reason, Rejected
from ...model.ergo import error_values, records, saturn
from ...model.ergo.esrd import Route
from ...model.ergo.saturn import ApplicationRoute, Message, SessionState
from ...model.registry import Registry
from ...model.values import Atom, Error
from ..api.errors import RegistrarError
from .edf import Decoder, Encoder

log = logging.getLogger("ergo_conformance.node")

_TYPES: Final = Registry([*records.framework(), *saturn.MESSAGES])
_CLASSES: Final = frozenset(row.value_class for row in saturn.MESSAGES)
_ENCODER: Final = Encoder(_TYPES)
_HEADER: Final = Struct(">BBH")
NO_ROUTE: Final = error_values.NO_ROUTE._replace(registered=False)
TAKEN: Final = error_values.TAKEN._replace(registered=False)


def write(message: Message) -> bytes:
    """Returns a message as a packet. Raises CannotEncode."""
    payload = _ENCODER.encode(message)
    if len(payload) > saturn.MAX_PAYLOAD:
        raise CannotEncode(f"message of {len(payload)} bytes, at most {saturn.MAX_PAYLOAD}")
    return _HEADER.pack(saturn.MAGIC, saturn.VERSION, len(payload)) + payload


def check_header(data: bytes) -> int | None:
    """Returns the size of the packet that begins here; None if the header is incomplete. Raises Rejected."""
    if data and data[0] != saturn.MAGIC:
        raise Rejected(Reason.MAGIC, "magic", 0, f"{data[0]}, expected {saturn.MAGIC}")
    if len(data) > 1 and data[1] != saturn.VERSION:
        raise Rejected(Reason.MAGIC, "version", 1, f"{data[1]}, expected {saturn.VERSION}")
    if len(data) < saturn.HEADER_LENGTH:
        return None
    return saturn.HEADER_LENGTH + int(_HEADER.unpack_from(data)[2])


def read(data: bytes) -> Message:
    """Reads exactly one packet. Raises Rejected, also for trailing bytes."""
    size = check_header(data)
    if size is None or len(data) < size:
        at = saturn.HEADER_LENGTH if size else min(len(data), 2)
        raise Rejected(Reason.END_OF_DATA, "", at, "incomplete packet")
    try:
        value, end = Decoder(_TYPES, generated_lines=0).decode_prefix(data[:size], saturn.HEADER_LENGTH)
    except Rejected as refusal:
        path = f"message.{refusal.path}".rstrip(".")
        raise Rejected(refusal.reason, path, refusal.offset, refusal.detail) from None
    if type(value) not in _CLASSES:
        detail = f"{type(value).__name__} is not a message of Saturn"
        raise Rejected(Reason.UNEXPECTED, "message", saturn.HEADER_LENGTH, detail)
    if end != len(data):
        raise Rejected(Reason.LEFTOVER, "", end, f"{len(data) - end} bytes")
    return cast("Message", value)


class SaturnPacketReader:
    """Splits a byte stream into messages, independent of chunk boundaries."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Returns the complete messages. Raises Rejected. Work is linear in the received bytes."""
        self._buffer += data
        while (size := check_header(bytes(self._buffer[: saturn.HEADER_LENGTH]))) and len(self._buffer) >= size:
            packet = bytes(self._buffer[:size])
            del self._buffer[:size]
            yield read(packet)


def proof(first: str, token: str) -> str:
    """Returns the proof of the token, in lower-case hex (SAT-HS-1, -2)."""
    return sha256(f"{first}:{token}".encode("utf-8", "surrogateescape")).hexdigest()


def is_proof(given: str, first: str, token: str) -> bool:
    """Checks a proof. Compares as text, in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), proof(first, token).encode())


# --- the server -------------------------------------------------------------------------------------------------------


class SaturnDirectory:
    """State of a server: the registered nodes of each cluster, and the configuration. `config`: item name → value."""

    def __init__(self, token: str, config: Mapping[str, Any] | None = None) -> None:
        self.token = token
        self.config: dict[str, Any] = dict(config or {})
        self.clusters: dict[str, dict[Atom, SaturnServerSession]] = {}

    def others(self, session: "SaturnServerSession") -> list["SaturnServerSession"]:
        """Returns the sessions of the other registered nodes in the cluster of a session."""
        return [other for other in self.clusters.get(session.cluster, {}).values() if other is not session]

    def find(self, cluster: str, name: Atom) -> "SaturnServerSession | None":
        """Returns the session of a registered node; None if it is unknown or hidden."""
        found = self.clusters.get(cluster, {}).get(name)
        return None if found is None or found.hidden else found

    def configure(self, config: Mapping[str, Any]) -> None:
        """Replaces the configuration. Sends changed items to the registered nodes that they concern, and to no others."""
        changed = {
            name: value for name, value in config.items() if name not in self.config or self.config[name] != value
        }
        self.config = dict(config)
        for session in [session for cluster in self.clusters.values() for session in cluster.values()]:
            for name, value in changed.items():
                if saturn.concerns(name, session.cluster, session.name):
                    session.send(saturn.ConfigUpdate(name, value))


class SaturnServerSession:
    """The server's side of one connection. `transmit` sends bytes; the caller closes once `state` is CLOSED."""

    def __init__(self, directory: SaturnDirectory, transmit: Callable[[bytes], None]) -> None:
        self.directory = directory
        self.state = SessionState.AWAIT_HANDSHAKE
        self.cluster, self.name, self.hidden = "", Atom(""), False
        self.routes: list[Route] = []
        self.proxies: list[saturn.ProxyRoute] = []
        self.applications: dict[Atom, ApplicationRoute] = {}
        self._transmit = transmit
        self._inbox = SaturnPacketReader()

    def send(self, message: Message) -> bool:
        """Sends a message to this node. A message that exceeds the maximum length is logged and dropped: False."""
        try:
            self._transmit(write(message))
        except CannotEncode as error:
            log.info("dropped %s for %r: %s", type(message).__name__, self.name, error)
            return False
        return True

    def receive(self, data: bytes) -> None:
        """Processes bytes of the client."""
        try:
            for message in self._inbox.feed(data):
                self._step(message)
                if self.state is SessionState.CLOSED:
                    return
        except Rejected as refusal:
            self._close(str(refusal))

    def _step(self, message: Message) -> None:
        """Applies the effect of a message. A message that is not allowed in this state ends the connection (SAT-HS-6)."""
        if type(message) in saturn.OF_THE_SERVER and self.state is SessionState.REGISTERED:
            log.info("ignored a %s from %r", type(message).__name__, self.name)
            return
        effect = saturn.STEPS[self.state].get(type(message))
        if effect is None:
            self._close(f"{type(message).__name__} in state {self.state.name}")
            return
        getattr(self, effect)(message)

    def _close(self, why: str) -> None:
        log.info("closed the connection of %r: %s", self.name, why)
        self.end()

    # --- effects ------------------------------------------------------------------------------------------------------

    def prove(self, message: saturn.Handshake) -> None:
        """Verifies the client's proof of the token; sends ours."""
        if not is_proof(message.Digest, message.Salt, self.directory.token):
            self._close("wrong digest: different token")
            return
        self.state = SessionState.AWAIT_REGISTER
        self.send(saturn.HandshakeResult(proof(message.Digest, self.directory.token)))

    def register(self, message: saturn.Register) -> None:
        """Registers the node. If the name is taken, sends a refusal and announces nothing (SAT-RG-3, -4)."""
        cluster = self.directory.clusters.setdefault(message.Cluster, {})
        if message.Node in cluster:
            self.send(saturn.RegisterResult(Error=TAKEN))
            self._close("the name is taken")
            return
        self.cluster, self.name, self.hidden = message.Cluster, message.Node, message.Hidden
        announced = message.RegisterRoutes
        self.routes, self.proxies = list(announced.Routes or ()), list(announced.ProxyRoutes or ())
        self.applications = {
            route.Name: route for route in announced.ApplicationRoutes or () if route.Node == self.name
        }
        if not self.send(self._welcome()):
            self._close("the result is too long to send")
            return
        cluster[self.name] = self
        self.state = SessionState.REGISTERED
        self._broadcast(saturn.NodeJoined(self.name))
        for route in self.applications.values():
            self._broadcast(saturn.RegisterApplicationRoute(route))

    def _welcome(self) -> saturn.RegisterResult:
        """Returns configuration, nodes and applications; upstream omits the configuration (SAT-RG-2, SAT-CF-5)."""
        others = [other for other in self.directory.others(self) if not other.hidden]
        config = {n: v for n, v in self.directory.config.items() if saturn.concerns(n, self.cluster, self.name)}
        nodes = [other.name for other in others]
        applications = [route for other in others for route in other.applications.values()]
        return saturn.RegisterResult(None, config, nodes or None, applications or None)

    def resolve(self, message: saturn.Resolve) -> None:
        """Answers with the routes of a node in the cluster."""
        found = self.directory.find(self.cluster, message.Name)
        routes = found.routes if found else []
        self.send(saturn.ResolveResult(message.ID, None if routes else NO_ROUTE, list(routes) or None))

    def resolve_proxy(self, message: saturn.ResolveProxy) -> None:
        """Answers with the proxy routes to a node that its peers announced."""
        known = (other for other in self.directory.others(self) if not other.hidden)
        routes = [route for other in known for route in other.proxies if route.To == message.Name]
        self.send(saturn.ResolveProxyResult(message.ID, None if routes else NO_ROUTE, routes or None))

    def register_application(self, message: saturn.RegisterApplicationRoute) -> None:
        """Registers an application of this node; ignores applications of other nodes (SAT-EV-5)."""
        if message.Route.Node == self.name:
            self.applications[message.Route.Name] = message.Route
            self._broadcast(message)

    def unregister_application(self, message: saturn.UnregisterApplicationRoute) -> None:
        """Removes an application of this node; clients of upstream omit the node name (SAT-EV-3)."""
        if message.Node in ("", self.name) and self.applications.pop(message.Name, None) is not None:
            self._broadcast(saturn.UnregisterApplicationRoute(message.Name, self.name))

    def _broadcast(self, message: Message) -> None:
        """Sends a message to the other nodes of the cluster, unless this node is hidden."""
        for other in self.directory.others(self) if not self.hidden else ():
            other.send(message)

    def end(self) -> None:
        """The connection is closed: removes the registration (SAT-RG-7)."""
        was, self.state = self.state, SessionState.CLOSED
        if was is SessionState.REGISTERED:
            del self.directory.clusters[self.cluster][self.name]
            self._broadcast(saturn.NodeLeft(self.name))
        if not self.directory.clusters.get(self.cluster, True):
            del self.directory.clusters[self.cluster]


# --- the client -------------------------------------------------------------------------------------------------------


@dataclass
class ClusterView:
    """A client's copy of the state of its cluster: nodes, applications, configuration."""

    cluster: str
    name: Atom
    nodes: set[Atom] = field(default_factory=set)
    applications: dict[tuple[Atom, Atom], ApplicationRoute] = field(default_factory=dict)
    """(application name, node) → route."""
    config: dict[str, Any] = field(default_factory=dict)

    def item(self, name: str) -> Any:
        """Returns the value of a configuration item; the most specific name wins. KeyError if there is none."""
        for full in saturn.item_names(name, self.cluster, self.name):
            if full in self.config:
                return self.config[full]
        raise KeyError(name)

    def apply(self, message: Message) -> None:
        """Applies a notification of the server."""
        match message:
            case saturn.NodeJoined(node):
                self.nodes.add(node)
            case saturn.NodeLeft(node):
                self.nodes.discard(node)
                self.applications = {key: route for key, route in self.applications.items() if key[1] != node}
            case saturn.RegisterApplicationRoute(route):
                self.applications[route.Name, route.Node] = route
            case saturn.UnregisterApplicationRoute(name, node):
                self.applications.pop((name, node), None)
            case saturn.ConfigUpdate(item, value):
                self.config[item] = value

    def reset(self, result: saturn.RegisterResult) -> None:
        """Replaces the state by that in the result of a registration."""
        self.nodes = set(result.Nodes or ())
        self.applications = {(route.Name, route.Node): route for route in result.Applications or ()}
        self.config = dict(result.Config or {})


class SaturnClientState(Enum):
    """State of a connection at the client."""

    AWAIT_PROOF = auto()
    AWAIT_RESULT = auto()
    REGISTERED = auto()


class SaturnClientSession:
    """The client's side of one connection. Returns bytes to send; answers and notifications are returned as messages."""

    def __init__(self, view: ClusterView, token: str, *, hidden: bool = False) -> None:
        self.view, self.token, self.hidden = view, token, hidden
        self.state = SaturnClientState.AWAIT_PROOF
        self._digest = ""
        self._inbox = SaturnPacketReader()

    def start(self, salt: str) -> bytes:
        """Returns the first message, Handshake."""
        self._digest = proof(salt, self.token)
        return write(saturn.Handshake(salt, self._digest))

    def register(self, routes: saturn.AnnouncedRoutes) -> bytes:
        """Returns the second message, Register. Raises CannotEncode."""
        return write(saturn.Register(self.view.cluster, self.hidden, self.view.name, routes))

    def receive(self, data: bytes) -> Iterator[Message]:
        """Returns the received messages, already applied to the view. RegistrarError if the connection must be closed."""
        try:
            for message in self._inbox.feed(data):
                if self._accept(message):
                    yield message
        except Rejected as refusal:
            log.info("invalid data from Saturn: %s", refusal)
            raise RegistrarError(error_values.MALFORMED.text) from None

    def _accept(self, message: Message) -> bool:
        """Processes a message. Returns whether `receive` returns it. Raises RegistrarError."""
        match self.state, message:
            case SaturnClientState.AWAIT_PROOF, saturn.ConfigUpdate():
                return False  # the server has not proved the token yet (SAT-CF-4)
            case SaturnClientState.AWAIT_PROOF, saturn.HandshakeResult(digest):
                if not is_proof(digest, self._digest, self.token):
                    raise RegistrarError(error_values.MALFORMED.text)
                self.state = SaturnClientState.AWAIT_RESULT
            case SaturnClientState.AWAIT_RESULT, saturn.RegisterResult():
                if message.Error is not None:
                    raise RegistrarError(message.Error.text)
                self.state = SaturnClientState.REGISTERED
                self.view.reset(message)
            case SaturnClientState.AWAIT_RESULT | SaturnClientState.REGISTERED, _ if (
                type(message) in saturn.NOTIFICATIONS
            ):
                self.view.apply(message)
            case SaturnClientState.REGISTERED, saturn.ResolveResult() | saturn.ResolveProxyResult():
                pass
            case _:
                raise RegistrarError(error_values.MALFORMED.text)
        return True


def raise_if_error(error: Error | None) -> None:
    """Raises RegistrarError if an answer has an error."""
    if error is not None:
        raise RegistrarError(error.text)
