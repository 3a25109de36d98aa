"""Who knows where nodes are."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ...errors import ErgoConformanceError
from ...model.ergo.ehs import Version
from ...model.ergo.esrd import Route
from ...model.ergo.saturn import ApplicationRoute, ProxyRoute
from ...model.values import Atom

if TYPE_CHECKING:
    from .info import RegistrarInfo


class RegistrarError(ErgoConformanceError):
    """A registrar refused, or did not answer; the text is the framework's."""


class NodeFacts(NamedTuple):
    """The node that registers (gen.NodeRegistrar). `token`: its entropy; `hidden`: it can't be dialed."""

    name: Atom
    token: Callable[[int], str]
    hidden: bool = False


class Resolver(Protocol):
    """Finds nodes. Raises RegistrarError."""

    async def resolve(self, name: Atom) -> list[Route]:
        """Where a node listens, best first."""

    async def resolve_proxy(self, name: Atom) -> list[ProxyRoute]:
        """Through whom a node is reached; "not supported" if the registrar knows of no such thing."""

    async def resolve_application(self, name: Atom) -> list[ApplicationRoute]:
        """Who has an application; "not supported" if the registrar knows of no such thing."""


class ApplicationRegistrar(Protocol):
    """What a registrar has besides, if its info says `register_application`."""

    def register_application_route(self, route: ApplicationRoute) -> None:
        """Announces a state of an application of our node, now or as soon as it can."""

    def unregister_application_route(self, name: Atom) -> None:
        """It is no more."""


class Registrar(Protocol):
    """Who knows where nodes are. One object serves one node."""

    def resolver(self) -> Resolver:
        """Finds nodes, also when we are not registered ourselves."""

    async def register(self, node: NodeFacts, routes: Sequence[Route]) -> None:
        """Registers our node with these routes, and keeps it registered. Raises RegistrarError, and nothing stays open."""

    async def terminate(self) -> None:
        """Gives the name back. May be called twice, or without `register`."""

    def info(self) -> "RegistrarInfo":
        """What it is and can do."""

    def version(self) -> Version:
        """Its protocol."""
