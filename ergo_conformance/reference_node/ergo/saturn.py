"""Saturn R1, sans-io: messages, what the server knows, and one connection as either side sees it.

Where upstream handles one message per chunk (SAT-FR-3), loses refusals (SAT-RG-3), announces who was refused (SAT-RG-4), never
resolves (SAT-RS-1, -2), keeps a row per change (SAT-EV-4), leaves names out (SAT-EV-3), tells strangers the configuration
(SAT-CF-4) or keeps bytes of an old link (SAT-RC-4), this is done right.
"""

import hmac
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from struct import Struct
from typing import Any, Final, cast

from ...errors import CannotEncode, Reason, Rejected
from ...model.ergo import error_values, records, saturn
from ...model.ergo.esrd import Route
from ...model.ergo.saturn import ApplicationRoute, Message, SessionState
from ...model.registry import Registry
from ...model.values import Atom, Error
from ..api import RegistrarError
from .edf import Decoder, Encoder

log = logging.getLogger("ergo_conformance.node")

_TYPES: Final = Registry([*records.framework(), *saturn.MESSAGES])
_CLASSES: Final = frozenset(row.value_class for row in saturn.MESSAGES)
_ENCODER: Final = Encoder(_TYPES)
_HEADER: Final = Struct(">BBH")
NO_ROUTE: Final = error_values.NO_ROUTE._replace(registered=False)
TAKEN: Final = error_values.TAKEN._replace(registered=False)


def write(message: Message) -> bytes:
    """A message as it goes over the wire. Raises CannotEncode."""
    payload = _ENCODER.encode(message)
    if len(payload) > saturn.MAX_PAYLOAD:
        raise CannotEncode(f"a message of {len(payload)} bytes, at most {saturn.MAX_PAYLOAD} are possible")
    return _HEADER.pack(saturn.MAGIC, saturn.VERSION, len(payload)) + payload


def check_header(data: bytes) -> int | None:
    """Bytes of the packet that begins here; None until that is known. Raises Rejected for what can't become one."""
    if data and data[0] != saturn.MAGIC:
        raise Rejected(Reason.MAGIC, "magic", 0, f"{data[0]} where {saturn.MAGIC} belongs")
    if len(data) > 1 and data[1] != saturn.VERSION:
        raise Rejected(Reason.MAGIC, "version", 1, f"{data[1]} where {saturn.VERSION} belongs")
    if len(data) < saturn.HEADER_LENGTH:
        return None
    return saturn.HEADER_LENGTH + int(_HEADER.unpack_from(data)[2])


def read(data: bytes) -> Message:
    """The one message that these bytes are. Raises Rejected."""
    size = check_header(data)
    if size is None or len(data) < size:
        at = saturn.HEADER_LENGTH if size else min(len(data), 2)
        raise Rejected(Reason.END_OF_DATA, "", at, "the packet is not whole")
    try:
        value, end = Decoder(_TYPES).decode_prefix(data[:size], saturn.HEADER_LENGTH)
    except Rejected as refusal:
        path = f"message.{refusal.path}".rstrip(".")
        raise Rejected(refusal.reason, path, refusal.offset, refusal.detail) from None
    if type(value) not in _CLASSES:
        detail = f"{type(value).__name__} is no message of Saturn"
        raise Rejected(Reason.UNEXPECTED, "message", saturn.HEADER_LENGTH, detail)
    if end != len(data):
        raise Rejected(Reason.LEFTOVER, "", end, f"{len(data) - end} bytes")
    return cast("Message", value)


class Inbox:
    """Cuts a stream into messages, however it was split or joined."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole now. Raises Rejected."""
        self._buffer += data
        while (size := check_header(self._buffer)) is not None and len(self._buffer) >= size:
            packet, self._buffer = self._buffer[:size], self._buffer[size:]
            yield read(packet)


def proof(first: str, token: str) -> str:
    """What proves the token: lower-case hex (SAT-HS-1, -2)."""
    return sha256(f"{first}:{token}".encode("utf-8", "surrogateescape")).hexdigest()


def is_proof(given: str, first: str, token: str) -> bool:
    """Compared as text, in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), proof(first, token).encode())


# --- the server -------------------------------------------------------------------------------------------------------


class Hub:
    """What a server knows: who is registered in which cluster, and what is configured. `config`: values by item names."""

    def __init__(self, token: str, config: Mapping[str, Any] | None = None) -> None:
        self.token = token
        self.config: dict[str, Any] = dict(config or {})
        self.clusters: dict[str, dict[Atom, Session]] = {}

    def others(self, session: "Session") -> list["Session"]:
        """The other registered nodes of a cluster."""
        return [other for other in self.clusters.get(session.cluster, {}).values() if other is not session]

    def find(self, cluster: str, name: Atom) -> "Session | None":
        """A node that may be found."""
        found = self.clusters.get(cluster, {}).get(name)
        return None if found is None or found.hidden else found

    def configure(self, config: Mapping[str, Any]) -> None:
        """Other values: what has changed is told to the registered nodes that it concerns, and to nobody else."""
        changed = {
            name: value for name, value in config.items() if name not in self.config or self.config[name] != value
        }
        self.config = dict(config)
        for session in [session for cluster in self.clusters.values() for session in cluster.values()]:
            for name, value in changed.items():
                if saturn.concerns(name, session.cluster, session.name):
                    session.send(saturn.ConfigUpdate(name, value))


class Session:
    """One connection at the server. `transmit` takes bytes; once `state` is CLOSED the connection is to be closed."""

    def __init__(self, hub: Hub, transmit: Callable[[bytes], None]) -> None:
        self.hub = hub
        self.state = SessionState.AWAIT_HANDSHAKE
        self.cluster, self.name, self.hidden = "", Atom(""), False
        self.routes: list[Route] = []
        self.proxies: list[saturn.ProxyRoute] = []
        self.applications: dict[Atom, ApplicationRoute] = {}
        self._transmit = transmit
        self._inbox = Inbox()

    def send(self, message: Message) -> bool:
        """To this node; what is too long for the protocol is logged and lost: False."""
        try:
            self._transmit(write(message))
        except CannotEncode as error:
            log.info("%s for %r is lost: %s", type(message).__name__, self.name, error)
            return False
        return True

    def receive(self, data: bytes) -> None:
        """Bytes of the client."""
        try:
            for message in self._inbox.feed(data):
                self._step(message)
                if self.state is SessionState.CLOSED:
                    return
        except Rejected as refusal:
            self._close(str(refusal))

    def _step(self, message: Message) -> None:
        """Look the message up and do what it says; in a wrong state it ends the connection (SAT-HS-6)."""
        if type(message) in saturn.OF_THE_SERVER and self.state is SessionState.REGISTERED:
            log.info("a %s of %r is ignored", type(message).__name__, self.name)
            return
        effect = saturn.STEPS[self.state].get(type(message))
        if effect is None:
            self._close(f"{type(message).__name__} in state {self.state.name}")
            return
        getattr(self, effect)(message)

    def _close(self, why: str) -> None:
        log.info("closed a connection of %r: %s", self.name, why)
        self.end()

    # --- effects ------------------------------------------------------------------------------------------------------

    def prove(self, message: saturn.Handshake) -> None:
        """The client knows the token: so do we."""
        if not is_proof(message.Digest, message.Salt, self.hub.token):
            self._close("wrong digest: another token")
            return
        self.state = SessionState.AWAIT_REGISTER
        self.send(saturn.HandshakeResult(proof(message.Digest, self.hub.token)))

    def register(self, message: saturn.Register) -> None:
        """Gives the name, unless it is taken: then the refusal goes out and nobody else hears of it (SAT-RG-3, -4)."""
        cluster = self.hub.clusters.setdefault(message.Cluster, {})
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
            self._close("the result is too long: a registration without one would hold the name for nobody")
            return
        cluster[self.name] = self
        self.state = SessionState.REGISTERED
        self._broadcast(saturn.NodeJoined(self.name))
        for route in self.applications.values():
            self._broadcast(saturn.RegisterApplicationRoute(route))

    def _welcome(self) -> saturn.RegisterResult:
        """The configuration and the cluster as they are now; upstream leaves the configuration out (SAT-RG-2, SAT-CF-5)."""
        others = [other for other in self.hub.others(self) if not other.hidden]
        config = {n: v for n, v in self.hub.config.items() if saturn.concerns(n, self.cluster, self.name)}
        nodes = [other.name for other in others]
        applications = [route for other in others for route in other.applications.values()]
        return saturn.RegisterResult(None, config, nodes or None, applications or None)

    def resolve(self, message: saturn.Resolve) -> None:
        """Where a node of the cluster is."""
        found = self.hub.find(self.cluster, message.Name)
        routes = found.routes if found else []
        self.send(saturn.ResolveResult(message.ID, None if routes else NO_ROUTE, list(routes) or None))

    def resolve_proxy(self, message: saturn.ResolveProxy) -> None:
        """Through whom it is reached, as its peers announce it."""
        known = (other for other in self.hub.others(self) if not other.hidden)
        routes = [route for other in known for route in other.proxies if route.To == message.Name]
        self.send(saturn.ResolveProxyResult(message.ID, None if routes else NO_ROUTE, routes or None))

    def register_application(self, message: saturn.RegisterApplicationRoute) -> None:
        """An application of this node; another one's is ignored (SAT-EV-5)."""
        if message.Route.Node == self.name:
            self.applications[message.Route.Name] = message.Route
            self._broadcast(message)

    def unregister_application(self, message: saturn.UnregisterApplicationRoute) -> None:
        """An application of this node is gone; upstream's clients leave the node out (SAT-EV-3)."""
        if message.Node in ("", self.name) and self.applications.pop(message.Name, None) is not None:
            self._broadcast(saturn.UnregisterApplicationRoute(message.Name, self.name))

    def _broadcast(self, message: Message) -> None:
        """To the others of the cluster; of a hidden node nobody hears."""
        for other in self.hub.others(self) if not self.hidden else ():
            other.send(message)

    def end(self) -> None:
        """The connection is over: so is the registration (SAT-RG-7)."""
        was, self.state = self.state, SessionState.CLOSED
        if was is SessionState.REGISTERED:
            del self.hub.clusters[self.cluster][self.name]
            self._broadcast(saturn.NodeLeft(self.name))
        if not self.hub.clusters.get(self.cluster, True):
            del self.hub.clusters[self.cluster]


# --- the client -------------------------------------------------------------------------------------------------------


@dataclass
class View:
    """What a client knows of its cluster."""

    cluster: str
    name: Atom
    nodes: set[Atom] = field(default_factory=set)
    applications: dict[tuple[Atom, Atom], ApplicationRoute] = field(default_factory=dict)
    """By name and node."""
    config: dict[str, Any] = field(default_factory=dict)

    def item(self, name: str) -> Any:
        """The value of a configuration item; the most special name counts. KeyError if there is none."""
        for full in saturn.item_names(name, self.cluster, self.name):
            if full in self.config:
                return self.config[full]
        raise KeyError(name)

    def take(self, message: Message) -> None:
        """What the server tells."""
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

    def begin(self, result: saturn.RegisterResult) -> None:
        """What it is told with its registration."""
        self.nodes = set(result.Nodes or ())
        self.applications = {(route.Name, route.Node): route for route in result.Applications or ()}
        self.config = dict(result.Config or {})


class ClientState:
    """Of a connection, as the client sees it."""

    AWAIT_PROOF, AWAIT_RESULT, REGISTERED = range(3)


class Client:
    """One connection of a node. It gives bytes to send; answers and news come out as messages."""

    def __init__(self, view: View, token: str, *, hidden: bool = False) -> None:
        self.view, self.token, self.hidden = view, token, hidden
        self.state = ClientState.AWAIT_PROOF
        self._digest = ""
        self._inbox = Inbox()

    def start(self, salt: str) -> bytes:
        """The first message."""
        self._digest = proof(salt, self.token)
        return write(saturn.Handshake(salt, self._digest))

    def register(self, routes: saturn.AnnouncedRoutes) -> bytes:
        """The second one. Raises CannotEncode."""
        return write(saturn.Register(self.view.cluster, self.hidden, self.view.name, routes))

    def receive(self, data: bytes) -> Iterator[Message]:
        """What came, and has been taken note of. Raises RegistrarError if it can't go on."""
        try:
            for message in self._inbox.feed(data):
                if self._take(message):
                    yield message
        except Rejected as refusal:
            log.info("Saturn writes what can't be read: %s", refusal)
            raise RegistrarError(error_values.MALFORMED.text) from None

    def _take(self, message: Message) -> bool:
        """Whether the message is for those who use us."""
        match self.state, message:
            case ClientState.AWAIT_PROOF, saturn.ConfigUpdate():
                return False  # from somebody who has proved nothing (SAT-CF-4)
            case ClientState.AWAIT_PROOF, saturn.HandshakeResult(digest):
                if not is_proof(digest, self._digest, self.token):
                    raise RegistrarError(error_values.MALFORMED.text)
                self.state = ClientState.AWAIT_RESULT
            case ClientState.AWAIT_RESULT, saturn.RegisterResult():
                if message.Error is not None:
                    raise RegistrarError(message.Error.text)
                self.state = ClientState.REGISTERED
                self.view.begin(message)
            case ClientState.AWAIT_RESULT | ClientState.REGISTERED, _ if type(message) in NEWS:
                self.view.take(message)
            case ClientState.REGISTERED, saturn.ResolveResult() | saturn.ResolveProxyResult():
                pass
            case _:
                raise RegistrarError(error_values.MALFORMED.text)
        return True


NEWS: Final = frozenset({
    saturn.NodeJoined, saturn.NodeLeft, saturn.RegisterApplicationRoute, saturn.UnregisterApplicationRoute,
    saturn.ConfigUpdate,
})  # fmt: skip
"""What comes unasked. It may come before the result of the registration (SAT-EV-1)."""


def failure(error: Error | None) -> None:
    """Raises the error of an answer."""
    if error is not None:
        raise RegistrarError(error.text)
