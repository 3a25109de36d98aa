"""Where and how a node may be reached: static routes, static proxy routes, the registrar, in this order (NAPI-CON-3)."""

import contextlib
import logging
import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ...model.ergo.ehs import Version
from ...model.ergo.esrd import Route
from ...model.ergo.saturn import ProxyRoute
from ...model.values import Atom
from ..api import NetworkHandshake, NetworkProto, RegistrarError
from ..api.errors import ErgoError
from ..connection.link import Address
from ..connection.tls import client_context, verifying_context
from ..options import NetworkOptions
from .dialer import Stack
from .static_routes import NetworkRoute, StaticRoutes

log = logging.getLogger("ergo_conformance.node")

Spoken = TypeVar("Spoken", NetworkHandshake, NetworkProto)


class Ways:
    """What one node knows of others. UsageError for a CA file that can't be read.

    `stack`: what is spoken, and said of ourselves, with some things not as usual.
    """

    def __init__(self, name: Atom, options: NetworkOptions, stack: Callable[..., Stack]) -> None:
        self.name, self.options, self._stack = name, options, stack
        self.routes: StaticRoutes[NetworkRoute] = StaticRoutes()
        self.proxy_routes: StaticRoutes[ProxyRoute] = StaticRoutes()
        self._contexts: dict[bool, ssl.SSLContext] = {}
        acceptors = options.acceptors
        self.handshakes = [options.handshake, *(o.handshake for o in acceptors if o.handshake is not None)]
        """All that we speak, the node's own first: a custom one of the same name counts for dialing, too (NAPI-OPT-7)."""
        self.protos = [options.proto, *(o.proto for o in acceptors if o.proto is not None)]
        if options.ca is not None:
            self.context(skip_verify=False)  # a file that can't be read is a wrong setting: now is the time to say so

    async def of(self, name: Atom) -> list[tuple[Address, Stack]]:
        """Where and how a node may be reached, best first: what a static route matches is looked up nowhere else."""
        if name == self.name:
            return []
        with contextlib.suppress(ErgoError):
            return [way for route in self.routes.of(name) for way in await self.expand(name, route)]
        with contextlib.suppress(ErgoError):
            for proxy in self.proxy_routes.of(name):
                log.info("%r is not reached through %r: there are no proxy connections", name, proxy.Proxy)
            return []
        if self.options.registrar is None:
            return []
        return await self.expand(name, NetworkRoute(resolver=self.options.registrar.resolver()))

    async def expand(self, name: Atom, route: NetworkRoute) -> list[tuple[Address, Stack]]:
        """The ways that a route stands for: those that it finds, if it has a resolver."""
        if route.resolver is None:
            ways = [self._way(name, route)]
        else:
            try:
                found = await route.resolver.resolve(name)
            except RegistrarError as error:
                log.info("%r is not resolved: %s", name, error)
                return []
            ways = [self._way(name, resolved(route, each)) for each in found if is_spelled(each)]
        return [way for way in ways if way is not None]

    def _way(self, name: Atom, route: NetworkRoute) -> tuple[Address, Stack] | None:
        """None if it leads nowhere, or speaks what we don't."""
        handshake = self._spoken(self.handshakes, route.handshake_version)
        proto = self._spoken(self.protos, route.proto_version)
        host = route.host or name.partition("@")[2]
        if handshake is None or proto is None or not route.port or not host:
            return None
        context = self.context(skip_verify=route.insecure_skip_verify) if route.tls else None
        stack = self._stack(handshake, proto, cookie=route.cookie, flags=route.flags, atom_mapping=route.atom_mapping)
        return Address(host, route.port, context), stack

    @staticmethod
    def _spoken(known: "list[Spoken]", version: Version) -> "Spoken | None":
        """What a route names, by name and release; without a name the node's own."""
        return next((each for each in known if not version.Name or each.version()[:2] == version[:2]), None)

    def context(self, *, skip_verify: bool | None = None) -> ssl.SSLContext:
        """TLS for dialing; None stands for the node's own setting."""
        skip = self.options.insecure_skip_verify if skip_verify is None else skip_verify
        if skip not in self._contexts:
            self._contexts[skip] = client_context() if skip else verifying_context(self.options.ca)
        return self._contexts[skip]


def resolved(route: NetworkRoute, found: Route) -> NetworkRoute:
    """A route with what its resolver has found."""
    return replace(
        route, resolver=None, host=found.Host, port=found.Port, tls=found.TLS,
        handshake_version=found.HandshakeVersion, proto_version=found.ProtoVersion,
    )  # fmt: skip


def is_spelled(found: Route) -> bool:
    """Whether it names what is spoken there: only in our own routes an empty name stands for the usual (ESRD-PL-3)."""
    return bool(found.HandshakeVersion.Name and found.ProtoVersion.Name)
