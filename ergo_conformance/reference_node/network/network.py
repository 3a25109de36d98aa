"""The network of a node: acceptors, routes, connections (gen.Network).

Errors are ErgoError with the framework's values and texts.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final
from weakref import WeakKeyDictionary

from ...errors import UsageError
from ...model.ergo import error_values
from ...model.ergo.caches import Caches
from ...model.ergo.ehs import Flags, Role
from ...model.ergo.saturn import ProxyRoute
from ...model.values import Atom, Error
from ..api import (  # fmt: skip
    Connection,
    Handshake,
    NetworkDial,
    NetworkHandshake,
    NetworkProto,
    NodeFacts,
    Registrar,
    RegistrarError,
    RemoteNode,
)
from ..api.errors import ErgoError
from ..api.handshake import HandshakeError, Handshaken, LinkFacts, Local, Membership, Token
from ..api.info import Enabled, NetworkInfo, ProxyRouteInfo, RouteInfo
from ..connection import link as transport
from ..connection.backoff import AT_ONCE
from ..connection.link import Address, Dial, LinkProtocol, Links
from ..connection.table import Connections, RefusedError
from ..connection.tls import manager_of
from ..core.core import Core
from ..core.remote_spawn import Factory
from ..options import AcceptorOptions, Mode, NetworkOptions, NodeOptions, enabled_flags
from .acceptor import Acceptor, listen, new_acceptor
from .dialer import Dialing, Stack, cause_of
from .route_resolution import Ways
from .static_routes import NetworkRoute

log = logging.getLogger("ergo_conformance.node")

COOKIE_LENGTH: Final = 16
"""Characters of the cookie that a node without one gets: nobody can connect."""
NO_MAPPING: Final[Mapping[str, str]] = MappingProxyType({})


class Network:
    """The network of one node. Made by Node, which gives it its Core."""

    core: Core

    def __init__(
        self,
        name: Atom,
        creation: int,
        options: NetworkOptions,
        node: NodeOptions,
        *,
        caches: Caches,
        token: Token,
        dial: Dial = transport.dial,
    ) -> None:
        """`caches`: the ids in what we write; `token`: entropy; `dial`: opens links."""
        self.name, self.creation, self.options = name, creation, options
        self.cookie: str = options.cookie or token(COOKIE_LENGTH)
        """The secret of new links, but for acceptors with one of their own. An empty one keeps everybody out."""
        self.flags = options.announced_flags
        """What is announced over new links, with the same exception; without ENABLE what the handshake supports."""
        self.max_message_size = options.max_message_size
        """Bytes of a frame over new links, with the same exception; 0: no limit."""
        self.mode = options.mode
        self.stopped = options.mode is Mode.DISABLED
        self.table: Connections[Connection] = Connections(name, self._maker(options.proto))
        self.caches, self._version, self._token = caches, node.version, token
        self._certificates = manager_of(node.tls)
        self._links = Links()
        self._links.closed = self.stopped
        self._acceptors: list[Acceptor] = []
        self._registrars: list[Registrar] = []
        self.ways = Ways(name, options, self._stack)
        self._protos: WeakKeyDictionary[Connection, NetworkProto] = WeakKeyDictionary()
        self._serving: dict[Connection, tuple[asyncio.Task[None], float]] = {}
        self.table.opened, self.table.closed = self._opened, self._closed
        self._dialing = Dialing(self.table, self._links, dial, token, self._maker)

    # --- start and end ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Opens the acceptors and registers; may be called again after `stop`. UsageError, and nothing stays open."""
        if self.mode is Mode.DISABLED:
            return
        if self._acceptors or self._registrars:
            raise UsageError("network stack is already running")
        self.stopped = self._links.closed = False
        try:
            if self.mode is Mode.ENABLED:
                for options in self.options.acceptors or (AcceptorOptions(),):
                    await self.listen(options)
            await self._register()
        except BaseException:
            await self.stop()
            raise

    async def listen(self, options: AcceptorOptions) -> Acceptor:
        """One more acceptor; those that open later are not registered. UsageError if it can't be; ErgoError as `info`."""
        self._check()
        host = self.name.partition("@")[2]
        acceptor = new_acceptor(options, host, self.options.handshake, self.options.proto, self._certificates)
        await listen(acceptor, self.acceptor_protocol)
        self._acceptors.append(acceptor)
        return acceptor

    async def _register(self) -> None:
        """Makes the acceptors known, each to its own registrar or to that of the node."""
        facts = NodeFacts(self.name, self._token, hidden=self.mode is Mode.HIDDEN)
        own = [(a.options.registrar, [a.route]) for a in self._acceptors if a.options.registrar is not None]
        common = [acceptor.route for acceptor in self._acceptors if acceptor.options.registrar is None]
        if self.options.registrar is not None:
            own.insert(0, (self.options.registrar, common))
        for registrar, routes in own:
            try:
                await registrar.register(facts, routes)
            except RegistrarError as error:
                raise UsageError(f"unable to register node: {error}") from None
            self._registrars.append(registrar)

    async def shut(self) -> None:
        """Takes no more links and opens none; those that are open go on."""
        self.stopped = self._links.closed = True
        for acceptor in self._acceptors:
            if acceptor.server is not None:
                acceptor.server.close()
        await self._dialing.stop()
        while self._registrars:
            await self._registrars.pop().terminate()

    async def stop(self) -> None:
        """Closes everything; within STOP_TIMEOUT and a moment all links are gone. Nothing can be reached then."""
        await self.shut()
        for connection in list(self.table.connections.values()):
            self.drop(connection)
        await self._links.end()
        for acceptor in self._acceptors:
            if acceptor.server is not None:
                await acceptor.server.wait_closed()
        self._acceptors.clear()

    def _check(self) -> None:
        """NAPI-OPT-2, -3: upstream panics here and there."""
        if self.stopped:
            raise ErgoError(error_values.NETWORK_STOPPED)

    # --- connections --------------------------------------------------------------------------------------------------

    @property
    def connections(self) -> Mapping[Atom, Connection]:
        """The open connections by the peers' names."""
        return self.table.connections

    def nodes(self) -> list[Atom]:
        """The names of the nodes that are connected."""
        return list(self.connections)

    def node(self, name: str) -> RemoteNode:
        """A connected node; never dials. ErgoError "no connection" if it is not (NAPI-CON-1)."""
        connection = self.connections.get(Atom(name))
        if connection is None:
            raise ErgoError(error_values.NO_CONNECTION)
        return connection.node()

    async def get_node(self, name: str) -> RemoteNode:
        """A node, connected if it is not yet: by static routes, else by what the registrar knows.

        ErgoError "no route" if there is no way, or none that works; "network stack is stopped".
        """
        return (await self.connection(Atom(name))).node()

    async def get_node_with_route(self, name: str, route: NetworkRoute) -> RemoteNode:
        """A node, connected by this route if it is not yet.

        ErgoError with the cause: "EOF" (closed in the handshake), "connection refused", "x509: …", "no route" (port 0), …
        """
        self._check()
        wanted = Atom(name)
        if wanted in self.connections:
            return self.connections[wanted].node()
        cause = ErgoError(error_values.NO_ROUTE)
        for address, stack in await self.ways.expand(wanted, route):
            try:
                return (await self._dialing.connect(address, wanted, stack)).node()
            except (OSError, UnicodeError, HandshakeError, RefusedError) as error:
                self._check()
                cause = ErgoError(Error(cause_of(error)))
        raise cause

    async def connection(self, name: Atom) -> Connection:
        """As `get_node`: what the node itself works with."""
        found = self.connections.get(name)
        if found is not None:
            return found
        self._check()
        for address, stack in await self.ways.of(name):
            try:
                return await self._dialing.connect(address, name, stack)
            except (OSError, UnicodeError, HandshakeError, RefusedError) as error:
                self._check()
                log.info("%r at %s:%d: %s", name, address.host, address.port, cause_of(error))
        raise ErgoError(error_values.NO_ROUTE)

    async def connect(
        self, host: str, port: int, *, tls: ssl.SSLContext | bool = False, name: str | None = None
    ) -> Connection:
        """The connection with whoever is at this address, dialed if there is none. `name`: who is expected.

        Raises OSError (no link), HandshakeError (closed or wrong answer), RefusedError (not who it should be), ErgoError.
        """
        self._check()
        context = self.ways.context() if tls is True else (tls or None)
        wanted = None if name is None else Atom(name)
        return await self._dialing.connect(Address(host, port, context), wanted, self._stack())

    def drop(self, connection: Connection) -> None:
        """Ends a connection: both sides forget each other at once (NAPI-CON-10)."""
        self.table.drop(connection)
        self._dialing.pauses.of_use(connection.name)

    def _maker(self, proto: NetworkProto) -> Callable[[Handshaken], Connection]:
        def make(peer: Handshaken) -> Connection:
            connection = proto.new_connection(self.core, peer, log)
            self._protos[connection] = proto
            return connection

        return make

    def _opened(self, connection: Connection, dial: NetworkDial | None) -> None:
        work = self._protos[connection].serve(connection, dial)
        self._serving[connection] = self._dialing.spawn(work), asyncio.get_running_loop().time()

    def _closed(self, connection: Connection) -> None:
        task, since = self._serving.pop(connection)
        task.cancel()
        now = asyncio.get_running_loop().time()
        mute = connection.peer.role is Role.DIALER and not connection.node().info().messages_in
        if mute and now - since < AT_ONCE:
            self._dialing.pauses.in_vain(connection.name, now)
        else:
            self._dialing.pauses.of_use(connection.name)
        self.core.route_node_down(connection.name)

    # --- static routes ------------------------------------------------------------------------------------------------

    def add_route(self, match: str, route: NetworkRoute, weight: int = 0) -> None:
        """A static route for all names in which this regular expression is found.

        All that match are tried, the greatest weight first (NAPI-RT-2).  ErgoError "resource is taken", or the parser's text.
        """
        self.ways.routes.add(match, route, weight)

    def remove_route(self, match: str) -> None:
        """ErgoError "unknown" if there is none."""
        self.ways.routes.remove(match)

    def route(self, name: str) -> list[NetworkRoute]:
        """The static routes for a name, in the order in which they are tried. ErgoError "no route" if there are none."""
        return self.ways.routes.of(Atom(name))

    def add_proxy_route(self, match: str, route: ProxyRoute, weight: int = 0) -> None:
        """As `add_route`. It is kept and listed, but leads nowhere yet, as upstream's (NAPI-RT-5)."""
        self.ways.proxy_routes.add(match, route, weight)

    def remove_proxy_route(self, match: str) -> None:
        """ErgoError "unknown" if there is none."""
        self.ways.proxy_routes.remove(match)

    def proxy_route(self, name: str) -> list[ProxyRoute]:
        """The static proxy routes for a name. ErgoError "no route" if there are none."""
        return self.ways.proxy_routes.of(Atom(name))

    # --- what others may start here, and what we speak ----------------------------------------------------------------

    def enable_spawn(self, name: str, factory: Factory, *nodes: str) -> None:
        """Lets these nodes, or without nodes all, spawn with a factory. ErgoError if the name stands for another one."""
        self.core.remote.enable_spawn(name, factory, *nodes)

    def disable_spawn(self, name: str, *nodes: str) -> None:
        """Takes these nodes off; without nodes the factory. ErgoError "unknown" if there is none."""
        self.core.remote.disable_spawn(name, *nodes)

    def enable_application_start(self, name: str, *nodes: str) -> None:
        """Lets these nodes, or without nodes all, start an application."""
        self.core.remote.enable_application_start(name, *nodes)

    def disable_application_start(self, name: str, *nodes: str) -> None:
        """Takes these nodes off; without nodes the application. ErgoError "unknown" if there is none."""
        self.core.remote.disable_application_start(name, *nodes)

    def register_handshake(self, handshake: NetworkHandshake) -> None:
        """One more that routes may name. The first one of a name counts."""
        self.ways.handshakes.append(handshake)

    def register_proto(self, proto: NetworkProto) -> None:
        """One more that routes may name. The first one of a name counts."""
        self.ways.protos.append(proto)

    # --- what is told -------------------------------------------------------------------------------------------------

    @property
    def acceptors(self) -> list[Acceptor]:
        """Those that listen. ErgoError "network stack is stopped"."""
        self._check()
        return list(self._acceptors)

    def registrar(self) -> Registrar:
        """The node's registrar. ErgoError "network stack is stopped", or "no route" if the node has none."""
        self._check()
        if self.options.registrar is None:
            raise ErgoError(error_values.NO_ROUTE)
        return self.options.registrar

    def info(self) -> NetworkInfo:
        """All of it. ErgoError "network stack is stopped"."""
        self._check()
        options, remote = self.options, self.core.remote
        return NetworkInfo(
            mode=self.mode.value,
            registrar=options.registrar.info() if options.registrar else None,
            acceptors=tuple(acceptor.info(self._stack_of(acceptor)) for acceptor in self._acceptors),
            max_message_size=max(self.max_message_size, 0),
            handshake_version=options.handshake.version(),
            proto_version=options.proto.version(),
            nodes=tuple(self.nodes()),
            routes=tuple(RouteInfo(match=m, weight=w, route=r) for m, w, r in self.ways.routes.rows()),
            proxy_routes=tuple(ProxyRouteInfo(match=m, weight=w, route=r) for m, w, r in self.ways.proxy_routes.rows()),
            flags=self._flags(options.handshake),
            enabled_spawn=tuple(
                Enabled.of(n, f.permission, f.factory.__qualname__) for n, f in remote.factories.items()
            ),
            enabled_application_start=tuple(Enabled.of(n, permission) for n, permission in remote.startable.items()),
        )

    # --- links --------------------------------------------------------------------------------------------------------

    def acceptor_protocol(self, acceptor: Acceptor | None = None, fingerprint: bytes | None = None) -> LinkProtocol:
        """The end of a link that reaches this node. `fingerprint` stands in for TLS where there is no acceptor."""
        stack = self._stack_of(acceptor)

        def handshake(address: str, seen: bytes | None) -> Handshake:
            return stack.handshake.accept(stack.local, LinkFacts(self._token, address, seen))

        return LinkProtocol(
            self.table, self._links, Role.ACCEPTOR, handshake,
            fingerprint=acceptor.fingerprint if acceptor else fingerprint, make=self._maker(stack.proto),
        )  # fmt: skip

    def dialer_protocol(
        self, name: Atom | None = None, *, fingerprint: bytes | None = None, joining: Membership | None = None
    ) -> LinkProtocol:
        """The end of a link that this node opens, its result in `outcome`. `fingerprint` stands in for TLS."""
        return self._dialing.protocol(self._stack(), name, fingerprint=fingerprint, joining=joining)

    def _flags(self, handshake: NetworkHandshake) -> Flags:
        return enabled_flags(self.flags) or handshake.network_flags()

    def _stack_of(self, acceptor: Acceptor | None) -> Stack:
        if acceptor is None:
            return self._stack()
        return self._stack(
            acceptor.handshake, acceptor.proto, cookie=acceptor.cookie, flags=acceptor.flags,
            max_message_size=acceptor.max_message_size, atom_mapping=acceptor.options.atom_mapping,
        )  # fmt: skip

    def _stack(
        self,
        handshake: NetworkHandshake | None = None,
        proto: NetworkProto | None = None,
        *,
        cookie: str | None = None,
        flags: Flags | None = None,
        max_message_size: int | None = None,
        atom_mapping: Mapping[str, str] = NO_MAPPING,
    ) -> Stack:
        """What we speak, and say of ourselves; the node's own settings where None is given."""
        options = self.options
        handshake, proto = handshake or options.handshake, proto or options.proto
        caches = self.caches
        if atom_mapping:
            mapping = {**caches.atom_mapping, **{Atom(ours): Atom(theirs) for ours, theirs in atom_mapping.items()}}
            caches = replace(caches, atom_mapping=mapping)
        return Stack(handshake, proto, Local(
            name=self.name,
            cookie=cookie or self.cookie or self._token(COOKIE_LENGTH),
            creation=self.creation,
            version=self._version,
            flags=enabled_flags(flags) or self._flags(handshake),
            max_message_size=max(self.max_message_size if max_message_size is None else max_message_size, 0),
            caches=caches,
            handshake_version=handshake.version(),
            proto_version=proto.version(),
        ))  # fmt: skip
