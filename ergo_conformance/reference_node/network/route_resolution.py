"""Route resolution: static routes, static proxy routes, the registrar, in this order (NAPI-CON-3)."""

import contextlib
import logging
import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from ...model.ergo.ehs import Version
from ...model.ergo.esrd import Route
from ...model.ergo.saturn import ProxyRoute
from ...model.values import Atom
from ..api import NetworkHandshake, NetworkProto
from ..api.errors import ErgoError, RegistrarError
from ..api.routes import NetworkRoute
from ..connection.tcp import SocketAddress
from ..connection.tls import client_context, verifying_context
from ..options import NetworkOptions
from .stack import Stack, StackFactory
from .static_routes import StaticRoutes

log = logging.getLogger("ergo_conformance.node")

StackPart = TypeVar("StackPart", NetworkHandshake, NetworkProto)


class RouteResolver:
    """Finds address and stack for the names of other nodes. UsageError for a CA file that can't be read."""

    def __init__(self, name: Atom, options: NetworkOptions, stacks: StackFactory) -> None:
        self._name, self._options, self._stacks = name, options, stacks
        self.routes: StaticRoutes[NetworkRoute] = StaticRoutes()
        self.proxy_routes: StaticRoutes[ProxyRoute] = StaticRoutes()
        self._contexts: dict[bool, ssl.SSLContext] = {}
        acceptors = options.acceptors
        self.handshakes = [options.handshake, *(o.handshake for o in acceptors if o.handshake is not None)]
        """The known handshakes, the node's own first: a custom one named EHS R1 is used for dialing, too (NAPI-OPT-7)."""
        self.protos = [options.proto, *(o.proto for o in acceptors if o.proto is not None)]
        """The known protos, the node's own first."""
        if options.ca is not None:
            self.tls_context(skip_verify=False)  # report an unreadable file at the start

    async def resolve(self, name: Atom) -> list[tuple[SocketAddress, Stack]]:
        """Returns addresses and stacks for a node, best first. A name that matches a static route is resolved nowhere else."""
        if name == self._name:
            return []
        with contextlib.suppress(ErgoError):
            return [found for route in self.routes.of(name) for found in await self.expand(name, route)]
        with contextlib.suppress(ErgoError):
            for proxy in self.proxy_routes.of(name):
                log.info("%r is not reached through %r: proxy connections are not supported", name, proxy.Proxy)
            return []
        if self._options.registrar is None:
            return []
        return await self.expand(name, NetworkRoute(resolver=self._options.registrar.resolver))

    async def expand(self, name: Atom, route: NetworkRoute) -> list[tuple[SocketAddress, Stack]]:
        """Returns addresses and stacks of one route; those that its resolver finds, if it has one."""
        if route.resolver is None:
            candidates = [self._address(name, route)]
        else:
            try:
                found = await route.resolver.resolve(name)
            except RegistrarError as error:
                log.info("%r is not resolved: %s", name, error)
                return []
            candidates = [self._address(name, resolved(route, each)) for each in found if names_protocols(each)]
        return [candidate for candidate in candidates if candidate is not None]

    def _address(self, name: Atom, route: NetworkRoute) -> tuple[SocketAddress, Stack] | None:
        """Returns address and stack of a route; None if it has no address, or names an unknown handshake or proto."""
        handshake = self._find(self.handshakes, route.handshake_version)
        proto = self._find(self.protos, route.proto_version)
        host = route.host or name.partition("@")[2]
        if handshake is None or proto is None or not route.port or not host:
            return None
        context = self.tls_context(skip_verify=route.insecure_skip_verify) if route.tls else None
        stack = self._stacks.make(
            handshake, proto, cookie=route.cookie, flags=route.flags, atom_mapping=route.atom_mapping
        )
        return SocketAddress(host, route.port, context), stack

    @staticmethod
    def _find(known: Sequence[StackPart], version: Version) -> StackPart | None:
        """Returns the protocol of this name and release; without a name the node's own."""
        return next((each for each in known if not version.Name or each.version[:2] == version[:2]), None)

    def tls_context(self, *, skip_verify: bool | None = None) -> ssl.SSLContext:
        """Returns the TLS context for dialing; None stands for the node's setting."""
        skip = self._options.insecure_skip_verify if skip_verify is None else skip_verify
        if skip not in self._contexts:
            self._contexts[skip] = client_context() if skip else verifying_context(self._options.ca)
        return self._contexts[skip]


def resolved(route: NetworkRoute, found: Route) -> NetworkRoute:
    """Returns a route completed by the result of its resolver."""
    return replace(
        route, resolver=None, host=found.Host, port=found.Port, tls=found.TLS,
        handshake_version=found.HandshakeVersion, proto_version=found.ProtoVersion,
    )  # fmt: skip


def names_protocols(found: Route) -> bool:
    """Tells whether a registrar's route names handshake and proto: only our own routes may leave them empty (ESRD-PL-3)."""
    return bool(found.HandshakeVersion.Name and found.ProtoVersion.Name)
