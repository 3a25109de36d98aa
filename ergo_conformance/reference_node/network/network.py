"""The network of a node: acceptors, routes and connections (gen.Network).

Errors are ErgoError with the framework's values and texts.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary

from ...errors import UsageError
from ...model.ergo import error_values
from ...model.ergo.caches import Caches
from ...model.ergo.ehs import Flags, Role
from ...model.ergo.saturn import ProxyRoute
from ...model.values import Atom, Error
from ..api import (
    Connection,
    HandshakeSession,
    NetworkHandshake,
    NetworkProto,
    NodeRegistration,
    OpenSocket,
    Registrar,
    RemoteNode,
)
from ..api.errors import ErgoError, HandshakeError, RefusedError, RegistrarError
from ..api.handshake import ConnectionRef, PeerInfo, RandomHex, SocketInfo
from ..api.info import NetworkInfo, ProxyRouteInfo, RouteInfo
from ..api.routes import NetworkRoute
from ..connection.backoff import MIN_LIFETIME
from ..connection.dial_errors import cause_of
from ..connection.socket_protocol import SocketProtocol, SocketSetup
from ..connection.socket_registry import SocketRegistry
from ..connection.table import ConnectionTable, MakeConnection
from ..connection.tcp import Dial, SocketAddress
from ..connection.tls import manager_of
from ..core.core import NodeCore
from ..core.peer_connections import Peers
from ..core.remote_spawn import Factory
from ..options import AcceptorOptions, NetworkMode, NetworkOptions, NodeOptions
from ..turns import Turns
from .acceptor import NodeAcceptor
from .dialer import NodeDialer
from .route_resolution import RouteResolver
from .stack import StackFactory

log = logging.getLogger("ergo_conformance.node")


class NodeNetwork:
    """The network of one node."""

    def __init__(
        self,
        name: Atom,
        creation: int,
        options: NetworkOptions,
        node: NodeOptions,
        *,
        caches: Caches,
        random_hex: RandomHex,
        dial: Dial,
        make_core: Callable[[Peers, Turns], NodeCore],
    ) -> None:
        """`caches`: the ids in the bytes that we write; `dial`: opens sockets; `make_core`: makes the node's core."""
        turns = Turns()
        self.name, self.options = name, options
        self.mode = options.mode
        self.stopped = options.mode is NetworkMode.DISABLED
        self._stacks = StackFactory(name, creation, node.version, options, caches, random_hex)
        self._random_hex = random_hex
        self._certificates = manager_of(node.tls)
        self._sockets = SocketRegistry(turns, closed=self.stopped)
        self._acceptors: list[NodeAcceptor] = []
        self._registrars: list[Registrar] = []
        self._protos: WeakKeyDictionary[Connection, NetworkProto] = WeakKeyDictionary()
        self._serving: dict[Connection, tuple[asyncio.Task[None], float]] = {}
        self.table: ConnectionTable[Connection] = ConnectionTable(name, self)
        self.resolver = RouteResolver(name, options, self._stacks)
        self._dialer = NodeDialer(self.table, self._sockets, dial, random_hex, self._connection_maker)
        self.core = make_core(Peers(self.table.connections, self.connection, self.drop), turns)

    # --- settings of new sockets --------------------------------------------------------------------------------------

    @property
    def cookie(self) -> str:
        """The cookie of new sockets, unless an acceptor or route has its own. An empty one admits no other node."""
        return self._stacks.cookie

    @cookie.setter
    def cookie(self, cookie: str) -> None:
        self._stacks.cookie = cookie

    @property
    def flags(self) -> Flags:
        """The flags announced over new sockets, unless an acceptor or route has others; without ENABLE the handshake's own."""
        return self._stacks.flags

    @flags.setter
    def flags(self, flags: Flags) -> None:
        self._stacks.flags = flags

    @property
    def max_message_size(self) -> int:
        """Maximum bytes of a frame over new sockets, unless an acceptor or route has another limit; 0: no limit."""
        return self._stacks.max_message_size

    @max_message_size.setter
    def max_message_size(self, size: int) -> None:
        self._stacks.max_message_size = size

    # --- start and stop -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Opens the acceptors and registers; may be called again after `stop`. UsageError, and nothing stays open."""
        if self.mode is NetworkMode.DISABLED:
            return
        if self._acceptors or self._registrars:
            raise UsageError("network stack is already running")
        self.stopped = self._sockets.closed = False
        try:
            if self.mode is NetworkMode.ENABLED:
                for options in self.options.acceptors or (AcceptorOptions(),):
                    await self.listen(options)
            await self._register()
        except BaseException:
            await self.stop()
            raise

    async def listen(self, options: AcceptorOptions) -> NodeAcceptor:
        """Opens one more acceptor; after the start it is not registered. UsageError; ErgoError "network stack is stopped"."""
        self._check_running()
        acceptor = NodeAcceptor.of(options, self.options, self.name.partition("@")[2], self._certificates)
        await acceptor.listen(self.acceptor_protocol, self._sockets)
        self._acceptors.append(acceptor)
        return acceptor

    async def _register(self) -> None:
        """Registers each acceptor with its own registrar or that of the node."""
        node = NodeRegistration(self.name, self._random_hex, hidden=self.mode is NetworkMode.HIDDEN)
        registrations = [(a.options.registrar, [a.route]) for a in self._acceptors if a.options.registrar is not None]
        common = [acceptor.route for acceptor in self._acceptors if acceptor.options.registrar is None]
        if self.options.registrar is not None:
            registrations.insert(0, (self.options.registrar, common))
        for registrar, routes in registrations:
            try:
                await registrar.register(node, routes)
            except RegistrarError as error:
                raise UsageError(f"unable to register node: {error}") from None
            self._registrars.append(registrar)

    async def stop_accepting(self) -> None:
        """Stops accepting and dialing, and unregisters; open connections continue."""
        self.stopped = self._sockets.closed = True
        for acceptor in self._acceptors:
            if acceptor.server is not None:
                acceptor.server.close()
        await self._dialer.stop()
        while self._registrars:
            await self._registrars.pop().terminate()

    async def stop(self) -> None:
        """Closes everything; all sockets are closed soon after socket_registry.STOP_TIMEOUT."""
        await self.stop_accepting()
        for connection in list(self.table.connections.values()):
            self.drop(connection)
        await self._sockets.close_all()
        for acceptor in self._acceptors:
            if acceptor.server is not None:
                await acceptor.server.wait_closed()
        self._acceptors.clear()

    def _check_running(self) -> None:
        """ErgoError "network stack is stopped" (NAPI-OPT-2, -3: upstream panics in some places)."""
        if self.stopped:
            raise ErgoError(error_values.NETWORK_STOPPED)

    # --- connections --------------------------------------------------------------------------------------------------

    @property
    def connections(self) -> Mapping[Atom, Connection]:
        """The open connections by the peers' names."""
        return self.table.connections

    @property
    def nodes(self) -> list[Atom]:
        """The names of the connected nodes."""
        return list(self.connections)

    def node(self, name: str) -> RemoteNode:
        """Returns a connected node; never dials. ErgoError "no connection" (NAPI-CON-1)."""
        connection = self.connections.get(Atom(name))
        if connection is None:
            raise ErgoError(error_values.NO_CONNECTION)
        return connection.node

    async def get_node(self, name: str) -> RemoteNode:
        """Returns a node, dialing it if needed: by static routes, else by the registrar's routes.

        ErgoError "no route" if no route works; "network stack is stopped".
        """
        return (await self.connection(Atom(name))).node

    async def get_node_with_route(self, name: str, route: NetworkRoute) -> RemoteNode:
        """Returns a node, dialing it by this route if needed.

        ErgoError with the cause: "EOF" (closed in the handshake), "connection refused", "x509: …", "no route" (port 0), …
        """
        self._check_running()
        wanted = Atom(name)
        if wanted in self.connections:
            return self.connections[wanted].node
        cause = ErgoError(error_values.NO_ROUTE)
        for endpoint, stack in await self.resolver.expand(wanted, route):
            try:
                return (await self._dialer.connect(endpoint, wanted, stack)).node
            except (OSError, HandshakeError, RefusedError) as error:
                self._check_running()
                cause = ErgoError(Error(cause_of(error)))
        raise cause

    async def connection(self, name: Atom) -> Connection:
        """Returns the connection with a node, dialing it if needed. Raises as `get_node`."""
        found = self.connections.get(name)
        if found is not None:
            return found
        self._check_running()
        for endpoint, stack in await self.resolver.resolve(name):
            try:
                return await self._dialer.connect(endpoint, name, stack)
            except (OSError, HandshakeError, RefusedError) as error:
                self._check_running()
                log.info("%r at %s:%d: %s", name, endpoint.host, endpoint.port, cause_of(error))
        raise ErgoError(error_values.NO_ROUTE)

    async def connect(
        self, host: str, port: int, *, tls: ssl.SSLContext | bool = False, name: str | None = None
    ) -> Connection:
        """Returns the connection with the node at this address, dialing it if needed. `name`: the expected name.

        Raises OSError (no socket), HandshakeError (closed or wrong answer), RefusedError (another name), ErgoError.
        """
        self._check_running()
        context = self.resolver.tls_context() if tls is True else (tls or None)
        wanted = None if name is None else Atom(name)
        return await self._dialer.connect(SocketAddress(host, port, context), wanted, self._stacks.make())

    def drop(self, connection: Connection) -> None:
        """Ends a connection: both sides forget each other at once (NAPI-CON-10)."""
        self.table.drop(connection)
        self._dialer.backoff.succeeded(connection.name)

    def _connection_maker(self, proto: NetworkProto) -> MakeConnection[Connection]:
        def make(peer: PeerInfo) -> Connection:
            connection = proto.new_connection(self.core, peer, log)
            self._protos[connection] = proto
            return connection

        return make

    def connection_opened(self, connection: Connection, open_socket: OpenSocket | None) -> None:
        """Starts to serve a new connection (ConnectionListener)."""
        work = self._protos[connection].serve(connection, open_socket)
        self._serving[connection] = self._dialer.spawn(work), asyncio.get_running_loop().time()

    def connection_closed(self, connection: Connection) -> None:
        """Ends the service of a connection, and notifies the core (ConnectionListener)."""
        task, since = self._serving.pop(connection)
        task.cancel()
        now = asyncio.get_running_loop().time()
        unused = connection.peer.role is Role.DIALER and not connection.node.info.messages_in
        if unused and now - since < MIN_LIFETIME:
            self._dialer.backoff.failed(connection.name, now)
        else:
            self._dialer.backoff.succeeded(connection.name)
        self.core.node_down(connection.name)

    # --- static routes ------------------------------------------------------------------------------------------------

    def add_route(self, match: str, route: NetworkRoute, weight: int = 0) -> None:
        """Adds a static route for names that contain a match of this regular expression.

        All matching routes are tried, the greatest weight first (NAPI-RT-2).  ErgoError "resource is taken", or the parser's
        text.
        """
        self.resolver.routes.add(match, route, weight)

    def remove_route(self, match: str) -> None:
        """Removes a static route. ErgoError "unknown"."""
        self.resolver.routes.remove(match)

    def route(self, name: str) -> list[NetworkRoute]:
        """Returns the static routes of a name in the order in which they are tried. ErgoError "no route"."""
        return self.resolver.routes.of(Atom(name))

    def add_proxy_route(self, match: str, route: ProxyRoute, weight: int = 0) -> None:
        """Adds a static proxy route. It is kept and listed, but not used, as in upstream (NAPI-RT-5)."""
        self.resolver.proxy_routes.add(match, route, weight)

    def remove_proxy_route(self, match: str) -> None:
        """Removes a static proxy route. ErgoError "unknown"."""
        self.resolver.proxy_routes.remove(match)

    def proxy_route(self, name: str) -> list[ProxyRoute]:
        """Returns the static proxy routes of a name. ErgoError "no route"."""
        return self.resolver.proxy_routes.of(Atom(name))

    # --- permissions and protocols ------------------------------------------------------------------------------------

    def enable_spawn(self, name: str, factory: Factory, *nodes: str) -> None:
        """Allows these nodes, or without nodes every node, to spawn with a factory. ErgoError if the name has another one."""
        self.core.remote.enable_spawn(name, factory, *nodes)

    def disable_spawn(self, name: str, *nodes: str) -> None:
        """Forbids these nodes to spawn with a factory; without nodes removes the factory. ErgoError "unknown"."""
        self.core.remote.disable_spawn(name, *nodes)

    def enable_application_start(self, name: str, *nodes: str) -> None:
        """Allows these nodes, or without nodes every node, to start an application."""
        self.core.remote.enable_application_start(name, *nodes)

    def disable_application_start(self, name: str, *nodes: str) -> None:
        """Forbids these nodes to start an application; without nodes removes the permission. ErgoError "unknown"."""
        self.core.remote.disable_application_start(name, *nodes)

    def register_handshake(self, handshake: NetworkHandshake) -> None:
        """Adds a handshake that routes may name. The first one of a name is used."""
        self.resolver.handshakes.append(handshake)

    def register_proto(self, proto: NetworkProto) -> None:
        """Adds a proto that routes may name. The first one of a name is used."""
        self.resolver.protos.append(proto)

    # --- snapshots ----------------------------------------------------------------------------------------------------

    @property
    def acceptors(self) -> list[NodeAcceptor]:
        """The listening acceptors. ErgoError "network stack is stopped"."""
        self._check_running()
        return list(self._acceptors)

    @property
    def registrar(self) -> Registrar:
        """The node's registrar. ErgoError "network stack is stopped", or "no route" if the node has none."""
        self._check_running()
        if self.options.registrar is None:
            raise ErgoError(error_values.NO_ROUTE)
        return self.options.registrar

    @property
    def info(self) -> NetworkInfo:
        """Snapshot of the network. ErgoError "network stack is stopped"."""
        self._check_running()
        options, resolver = self.options, self.resolver
        return NetworkInfo(
            mode=self.mode.value,
            registrar=options.registrar.info if options.registrar else None,
            acceptors=tuple(acceptor.info(acceptor.stack(self._stacks)) for acceptor in self._acceptors),
            max_message_size=max(self.max_message_size, 0),
            handshake_version=options.handshake.version,
            proto_version=options.proto.version,
            nodes=tuple(self.nodes),
            routes=tuple(RouteInfo(match=m, weight=w, route=r) for m, w, r in resolver.routes.rows()),
            proxy_routes=tuple(ProxyRouteInfo(match=m, weight=w, route=r) for m, w, r in resolver.proxy_routes.rows()),
            flags=self._stacks.flags_for(options.handshake),
            enabled_spawn=self.core.remote.enabled_factories(),
            enabled_application_start=self.core.remote.enabled_applications(),
        )

    # --- sockets ------------------------------------------------------------------------------------------------------

    def acceptor_protocol(
        self, acceptor: NodeAcceptor | None = None, fingerprint: bytes | None = None
    ) -> SocketProtocol:
        """Makes our end of a socket that a peer opens. `fingerprint` replaces that of TLS where there is no acceptor."""
        stack = self._stacks.make() if acceptor is None else acceptor.stack(self._stacks)

        def make_handshake(address: str, seen: bytes | None) -> HandshakeSession:
            return stack.handshake.accept(stack.local, SocketInfo(self._random_hex, address, seen))

        return SocketProtocol(self.table, self._sockets, SocketSetup(
            role=Role.ACCEPTOR, make_handshake=make_handshake, make_connection=self._connection_maker(stack.proto),
            deadlines=stack.handshake.deadlines, flow_limits=stack.proto.flow_limits,
            fingerprint=acceptor.fingerprint if acceptor else fingerprint,
        ))  # fmt: skip

    def dialer_protocol(
        self, name: Atom | None = None, *, fingerprint: bytes | None = None, joining: ConnectionRef | None = None
    ) -> SocketProtocol:
        """Makes our end of a socket that this node opens; its result is `outcome`. `fingerprint` replaces that of TLS."""
        return self._dialer.protocol(self._stacks.make(), name, fingerprint=fingerprint, joining=joining)
