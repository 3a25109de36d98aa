"""Registrars: where nodes register, and where they find other nodes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ...model.ergo.ehs import Version
from ...model.ergo.esrd import Route
from ...model.ergo.saturn import ApplicationRoute, ProxyRoute
from ...model.values import Atom
from .handshake import RandomHex


class NodeRegistration(NamedTuple):
    """The node that registers (gen.NodeRegistrar). `hidden`: it can't be dialed."""

    name: Atom
    random_hex: RandomHex
    hidden: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrarInfo:
    """gen.RegistrarInfo. `server`: "host:port", empty if the node is not registered; `embedded`: our node is that server."""

    server: str
    embedded: bool
    version: Version
    register_proxy: bool = False
    register_application: bool = False
    config: bool = False
    event: bool = False


class Resolver(Protocol):
    """Finds nodes. All methods raise RegistrarError."""

    async def resolve(self, name: Atom) -> list[Route]:
        """Returns the routes of a node, best first."""

    async def resolve_proxy(self, name: Atom) -> list[ProxyRoute]:
        """Returns the proxy routes of a node; RegistrarError "not supported" if the registrar has no proxies."""

    async def resolve_application(self, name: Atom) -> list[ApplicationRoute]:
        """Returns the routes of an application; RegistrarError "not supported" if the registrar has no applications."""


class ApplicationRegistrar(Protocol):
    """Further methods of a registrar whose info has `register_application`."""

    def register_application_route(self, route: ApplicationRoute) -> None:
        """Announces the state of an application of our node, now or as soon as the registrar is reached."""

    def unregister_application_route(self, name: Atom) -> None:
        """Announces that an application was unloaded."""


class Registrar(Protocol):
    """A registrar as one node uses it. One object serves one node."""

    @property
    def resolver(self) -> Resolver:
        """Finds nodes; works without a registration."""

    async def register(self, node: NodeRegistration, routes: Sequence[Route]) -> None:
        """Registers our node with these routes and keeps it registered. Raises RegistrarError and leaves nothing open."""

    async def terminate(self) -> None:
        """Unregisters. May be called twice, or without `register`."""

    @property
    def info(self) -> RegistrarInfo:
        """Address and capabilities."""

    @property
    def version(self) -> Version:
        """Name and release of its protocol."""
