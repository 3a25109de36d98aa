"""The network of a node, as programs see it (gen.Network). Programs can be tested with a substitute."""

from typing import Any, Protocol

from ...model.ergo.saturn import ProxyRoute
from ...model.values import Atom
from .connection import RemoteNode
from .info import NetworkInfo
from .registrar import Registrar
from .routes import NetworkRoute
from .stack import NetworkHandshake, NetworkProto


class Network(Protocol):
    """The connections and routes of a node. Errors are ErgoError; all members may raise "network stack is stopped"."""

    cookie: str
    """The cookie of new connections."""

    @property
    def nodes(self) -> list[Atom]:
        """The names of the connected nodes."""

    @property
    def registrar(self) -> Registrar:
        """The node's registrar."""

    @property
    def info(self) -> NetworkInfo:
        """Snapshot of the network."""

    def node(self, name: str) -> RemoteNode:
        """Returns a connected node; never dials. "no connection" if it is not connected."""

    async def get_node(self, name: str) -> RemoteNode:
        """Returns a node, dialing it if needed. "no route" if no route works."""

    async def get_node_with_route(self, name: str, route: NetworkRoute) -> RemoteNode:
        """Returns a node, dialing it by this route if needed. Fails with the cause."""

    def add_route(self, match: str, route: NetworkRoute, weight: int = 0) -> None:
        """Adds a static route for names that contain a match of this regular expression. "resource is taken"."""

    def remove_route(self, match: str) -> None:
        """Removes a static route. "unknown" if it does not exist."""

    def route(self, name: str) -> list[NetworkRoute]:
        """Returns the static routes of a name in the order in which they are tried. "no route" if there are none."""

    def add_proxy_route(self, match: str, route: ProxyRoute, weight: int = 0) -> None:
        """Adds a static proxy route. "resource is taken"."""

    def remove_proxy_route(self, match: str) -> None:
        """Removes a static proxy route. "unknown" if it does not exist."""

    def proxy_route(self, name: str) -> list[ProxyRoute]:
        """Returns the static proxy routes of a name. "no route" if there are none."""

    def enable_spawn(self, name: str, factory: Any, *nodes: str) -> None:
        """Allows these nodes, or without nodes every node, to spawn with a factory."""

    def disable_spawn(self, name: str, *nodes: str) -> None:
        """Forbids these nodes to spawn with a factory; without nodes removes the factory. "unknown"."""

    def enable_application_start(self, name: str, *nodes: str) -> None:
        """Allows these nodes, or without nodes every node, to start an application."""

    def disable_application_start(self, name: str, *nodes: str) -> None:
        """Forbids these nodes to start an application; without nodes removes the permission. "unknown"."""

    def register_handshake(self, handshake: NetworkHandshake) -> None:
        """Adds a handshake that routes may name."""

    def register_proto(self, proto: NetworkProto) -> None:
        """Adds a proto that routes may name."""
