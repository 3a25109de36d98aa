"""The network of a node, as programs see it (gen.Network): what they can be tested with a stand-in for."""

from typing import TYPE_CHECKING, Any, Protocol

from ...model.ergo.saturn import ProxyRoute
from ...model.values import Atom
from .connection import RemoteNode
from .registrars import Registrar
from .stack import NetworkHandshake, NetworkProto

if TYPE_CHECKING:
    from ..network.static_routes import NetworkRoute
    from .info import NetworkInfo


class Network(Protocol):
    """Which nodes there are, and how they are reached. Errors are ErgoError; "network stack is stopped" may come from all."""

    cookie: str
    """The secret of new links."""

    def nodes(self) -> list[Atom]:
        """The names of the nodes that are connected."""

    def node(self, name: str) -> RemoteNode:
        """A connected node; never dials. "no connection" if it is not."""

    async def get_node(self, name: str) -> RemoteNode:
        """A node, connected if it is not yet. "no route" if there is no way that works."""

    async def get_node_with_route(self, name: str, route: "NetworkRoute") -> RemoteNode:
        """A node, connected by this route if it is not yet. Fails with the cause."""

    def add_route(self, match: str, route: "NetworkRoute", weight: int = 0) -> None:
        """A static route for all names in which this regular expression is found. "resource is taken"."""

    def remove_route(self, match: str) -> None:
        """The reverse. "unknown"."""

    def route(self, name: str) -> "list[NetworkRoute]":
        """The static routes for a name, in the order in which they are tried. "no route" if there are none."""

    def add_proxy_route(self, match: str, route: ProxyRoute, weight: int = 0) -> None:
        """As `add_route`."""

    def remove_proxy_route(self, match: str) -> None:
        """The reverse. "unknown"."""

    def proxy_route(self, name: str) -> list[ProxyRoute]:
        """The static proxy routes for a name. "no route" if there are none."""

    def enable_spawn(self, name: str, factory: Any, *nodes: str) -> None:
        """Lets these nodes, or without nodes all, spawn with a factory."""

    def disable_spawn(self, name: str, *nodes: str) -> None:
        """The reverse. "unknown"."""

    def enable_application_start(self, name: str, *nodes: str) -> None:
        """Lets these nodes, or without nodes all, start an application."""

    def disable_application_start(self, name: str, *nodes: str) -> None:
        """The reverse. "unknown"."""

    def register_handshake(self, handshake: NetworkHandshake) -> None:
        """One more that routes may name."""

    def register_proto(self, proto: NetworkProto) -> None:
        """One more that routes may name."""

    def registrar(self) -> Registrar:
        """The node's registrar."""

    def info(self) -> "NetworkInfo":
        """All of it."""
