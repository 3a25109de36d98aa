"""A node: its name and start time, its acceptors, its connections.

Clock and entropy come in here, at the start, and are handed down.  Without a socket: `Node(options)` inside a running
loop, then `acceptor_protocol()` for each link that is to reach it.
"""

import asyncio
import contextlib
import secrets
import ssl
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self, TypeVar, cast
from weakref import WeakKeyDictionary

from ..errors import UsageError
from ..model import edf, ehs, reasons, records
from ..model.caches import Caches
from ..model.ehs import Role
from ..model.registry import Registry
from ..model.terms import Atom
from . import transport
from .certificates import client_context, fingerprint_sha1, server_context
from .core import Core
from .ergo.ehs import Ehs, HandshakeError, Handshaken, Local, Membership, Token
from .ergo.enp.connection import EnpConnection
from .failures import ErgoError
from .network import DuplicateError, Network, RefusedError
from .options import AcceptorOptions, HandshakeOptions, Mode, NetworkOptions
from .processes import Actor, Body, Process, ProcessOptions
from .transport import Address, Dial, LinkProtocol, Links, MakeHandshake, log

T = TypeVar("T")

COOKIE_LENGTH: Final = 16
"""Characters of the cookie that a node without one gets: nobody can connect."""
FIRST_REDIAL: Final = 0.05
"""Seconds until the second try to replace a lost link; each pause is twice as long as the one before …"""
LAST_REDIAL: Final = 5.0
"""… up to this."""
SETTLED: Final = 1.0
"""Seconds that a pool has to be full before a further loss counts as the first."""
STOP_TIMEOUT: Final = 1.0
"""Seconds until links that don't close are cut."""
_NODES_OWN: Final = AcceptorOptions()
"""An acceptor with no settings of its own."""


def random_hex(length: int) -> str:
    """So many lower-case hexadecimal characters that nobody can guess."""
    return secrets.token_hex((length + 1) // 2)[:length]


@dataclass(frozen=True, slots=True)
class Acceptor:
    """A listening socket. `fingerprint`: SHA-1 of its certificate, None without TLS."""

    host: str
    port: int
    fingerprint: bytes | None
    options: AcceptorOptions


class Node:
    """An Ergo node."""

    def __init__(
        self,
        options: NetworkOptions,
        *,
        clock: Callable[[], float] = time.time,
        token: Token = random_hex,
        dial: Dial = transport.dial,
    ) -> None:
        """A node without sockets. `clock`: Unix seconds, asked once; `token`: as ehs.Token; `dial`: opens links."""
        self.options = options
        self.name: Final = Atom(options.name)
        self.creation: Final = int(clock())
        self.cookie: Final = options.cookie or token(COOKIE_LENGTH)
        self.network: Network[EnpConnection] = Network(self.name, self._new_connection)
        self.core: Final = Core(
            self.name,
            self.creation,
            int(clock() * 1e9),
            self.network.connections,
            self.get_node,
            lambda: int(clock() * 1e9),
            env=options.env,
            expose_env=options.expose_env,
        )
        self.acceptors: list[Acceptor] = []
        self._token = token
        self._dial = dial
        self._registry = registry_of(options)
        self._caches = announce(options)
        self._links = Links()
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._dials: dict[Atom, asyncio.Task[EnpConnection]] = {}
        self._dialed: WeakKeyDictionary[EnpConnection, Address] = WeakKeyDictionary()
        self._refilling: set[EnpConnection] = set()
        self.network.link_lost = self._refill

    @classmethod
    async def start(
        cls,
        options: NetworkOptions,
        *,
        clock: Callable[[], float] = time.time,
        token: Token = random_hex,
        dial: Dial = transport.dial,
    ) -> Self:
        """A node that listens. UsageError if it can't."""
        node = cls(options, clock=clock, token=token, dial=dial)
        if options.mode is not Mode.HIDDEN:
            try:
                for acceptor in options.acceptors:
                    await node.listen(acceptor)
            except BaseException:
                await node.stop()
                raise
        return node

    @property
    def connections(self) -> Mapping[Atom, EnpConnection]:
        """The open connections by the peers' names."""
        return self.network.connections

    # --- being dialed -------------------------------------------------------------------------------------------------

    async def listen(self, options: AcceptorOptions) -> Acceptor:
        """Open one more acceptor. UsageError if it can't be."""
        host = options.host or self.options.host
        context = fingerprint = None
        if options.tls is not None:
            context, fingerprint = server_context(options.tls), fingerprint_sha1(options.tls.certificate)
        protocol = partial(self.acceptor_protocol, fingerprint, options)
        try:
            server = await transport.listen(protocol, host, options.port, context)
        except (OSError, UnicodeError) as error:
            raise UsageError(f"cannot listen on {host}:{options.port}: {_why(error)}") from None
        self._servers.append(server)
        acceptor = Acceptor(host, server.sockets[0].getsockname()[1], fingerprint, options)
        self.acceptors.append(acceptor)
        return acceptor

    def acceptor_protocol(
        self, fingerprint: bytes | None = None, options: AcceptorOptions = _NODES_OWN
    ) -> LinkProtocol:
        """The end of a link that reaches this node. `fingerprint`: SHA-1 of our certificate, iff the link is TLS."""
        handshake = self._handshake(Role.ACCEPTOR, self._local(options), options.handshake)
        return LinkProtocol(self.network, self._links, Role.ACCEPTOR, handshake, fingerprint=fingerprint)

    # --- processes ----------------------------------------------------------------------------------------------------

    def spawn(
        self, body: Actor | Body, *args: Any, name: str | None = None, options: ProcessOptions | None = None
    ) -> Process:
        """Starts a process. ErgoError "resource is taken" if the name is in use."""
        return self.core.spawn(body, *args, name=name, options=options)

    def _new_connection(self, peer: Handshaken) -> EnpConnection:
        return EnpConnection(peer, self.core, self._registry, self.network.drop)

    # --- dialing ------------------------------------------------------------------------------------------------------

    async def get_node(self, name: str) -> EnpConnection:
        """The connection with a node: the open one, or dialed by its static route, or by what the registrar knows.

        Raises ErgoError "no route" if there is none, or none that works.
        """
        wanted = Atom(name)
        open_ = self.connections.get(wanted)
        if open_ is not None:
            return open_
        for address in await self._addresses(wanted):
            with contextlib.suppress(OSError, UnicodeError, HandshakeError, RefusedError):
                return await self.connect(address.host, address.port, tls=address.tls or False, name=wanted)
        raise ErgoError(reasons.NO_ROUTE)

    async def _addresses(self, name: Atom) -> list[Address]:
        """Where a node may be, best first."""
        if name == self.name:
            return []
        host = name.partition("@")[2]
        route = self.options.routes.get(name)
        if route is not None:
            return [Address(route.host or host, route.port, client_context() if route.tls else None)]
        return []

    def dialer_protocol(
        self, name: Atom | None = None, *, fingerprint: bytes | None = None, joining: Membership | None = None
    ) -> LinkProtocol:
        """The end of a link that this node opens, its result in `outcome`. `fingerprint` stands in for TLS."""
        handshake = self._handshake(Role.DIALER, self._local(), joining=joining)
        return LinkProtocol(self.network, self._links, Role.DIALER, handshake, fingerprint=fingerprint, wanted=name)

    async def connect(
        self, host: str, port: int, *, tls: ssl.SSLContext | bool = False, name: str | None = None
    ) -> EnpConnection:
        """The connection with the peer at this address, dialed if there is none, with all links that can be had.

        `name`: who is expected there; an open connection, a dial and an accept in progress with that name are used.
        Raises OSError (no link), HandshakeError (closed or wrong answer), RefusedError (not who it should be).
        """
        context = client_context() if tls is True else (tls or None)
        address = Address(host, port, context)
        if name is None:
            return await self._spawn(self._connect(address, None))
        wanted = Atom(name)
        while self.network.is_accepting(wanted):
            await self._links.change()
        if wanted in self.connections:
            return self.connections[wanted]
        dial = self._dials.get(wanted)
        if dial is None:
            self._dials[wanted] = dial = self._spawn(self._connect(address, wanted))
            dial.add_done_callback(lambda _: self._dials.pop(wanted, None))
        return await asyncio.shield(dial)

    async def _connect(self, address: Address, wanted: Atom | None) -> EnpConnection:
        with self.network.dialing(wanted):
            try:
                connection = await self._open(partial(self.dialer_protocol, wanted), address)
            except DuplicateError as error:
                return self.connections[error.connection.name]
            except (OSError, HandshakeError, RefusedError):
                other = await self._connected_meanwhile(wanted)
                if other is None:
                    raise
                return other
        self._dialed[connection] = address
        await asyncio.gather(*(self._join(connection, i, address) for i in range(1, connection.peer.pool_size)))
        return connection

    async def _open(self, protocol: Callable[[], LinkProtocol], address: Address) -> EnpConnection:
        """Open one link and wait for its handshake."""
        links: list[LinkProtocol] = []

        def make() -> LinkProtocol:
            links.append(protocol())
            return links[-1]

        try:
            await self._dial(make, address)
            outcome = links[-1].outcome
            assert outcome is not None
            return cast("EnpConnection", await outcome)  # the network makes no others
        except asyncio.CancelledError:
            for link in links:
                link.abort()
            raise

    async def _connected_meanwhile(self, name: Atom | None) -> EnpConnection | None:
        """Our dial failed: the peer may be dialing us, and its dial is the one that counts."""
        if name is None:
            return None
        try:
            async with asyncio.timeout(ehs.READ_TIMEOUT):
                while name not in self.connections and self._links.accepting:
                    await self._links.change()
        except TimeoutError:
            pass
        return self.connections.get(name)

    async def _join(self, connection: EnpConnection, number: int, dialed: Address) -> None:
        """Open link `number` of the pool (0: the first) where the peer announced it, else where that one went."""
        peer = connection.peer
        dsns = peer.pool_dsns
        announced = Address.parse(dsns[number % len(dsns)], dialed.tls) if dsns else None
        protocol = partial(self.dialer_protocol, joining=Membership(peer.node, peer.connection_id))
        for address in dict.fromkeys((announced or dialed, dialed)):
            try:
                await self._open(protocol, address)
            except (HandshakeError, RefusedError):
                return  # logged where it was refused
            except (OSError, UnicodeError) as error:
                log.info("link %d to %r: %s:%d: %s", number, peer.node, address.host, address.port, _why(error))
            else:
                return

    # --- keeping the pool ---------------------------------------------------------------------------------------------

    def _refill(self, connection: EnpConnection) -> None:
        """A link of a pool is gone: who dialed it replaces it."""
        if connection in self._dialed and connection not in self._refilling and not self._links.closed:
            self._refilling.add(connection)
            self._spawn(self._keep_full(connection)).add_done_callback(lambda _: self._refilling.discard(connection))

    async def _keep_full(self, connection: EnpConnection) -> None:
        """Joins until the pool is full and has stayed so for a while, with growing pauses (ENP-RED-4)."""
        pause, settled = FIRST_REDIAL, 0.0
        while self.connections.get(connection.name) is connection and settled < SETTLED:
            if len(connection.links) < connection.peer.pool_size:
                settled = 0.0
                await self._join(connection, len(connection.links), self._dialed[connection])
            else:
                settled += pause
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_REDIAL)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Close acceptors and links; within STOP_TIMEOUT and a moment all are gone."""
        self._links.closed = True
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.core.stop()
        for connection in list(self.connections.values()):
            self.network.drop(connection)
        for link in list(self._links.live):
            link.refuse(HandshakeError("the node stops"))
            link.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._all_gone()
        except TimeoutError:
            for link in list(self._links.live):
                link.abort()
            await self._all_gone()
        self._servers.clear()
        self.acceptors.clear()

    async def _all_gone(self) -> None:
        while self._links.live:
            await self._links.change()
        for server in self._servers:
            await server.wait_closed()

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # whoever asked may be gone
        return task

    def _local(self, acceptor: AcceptorOptions = _NODES_OWN) -> Local:
        """What we say of ourselves at this acceptor; the node's own settings where it has none."""
        options = self.options
        handshake = acceptor.handshake or options.handshake
        size = acceptor.max_message_size
        return Local(
            name=self.name,
            cookie=self.cookie if acceptor.cookie is None else acceptor.cookie,
            creation=self.creation,
            version=options.version,
            flags=options.flags if acceptor.flags is None else acceptor.flags,
            max_message_size=options.max_message_size if size is None else size,
            caches=self._caches,
            pool_size=handshake.pool_size,
        )

    def _handshake(
        self,
        role: Role,
        local: Local,
        options: HandshakeOptions | None = None,
        joining: Membership | None = None,
    ) -> MakeHandshake:
        chosen = options or self.options.handshake

        def make(address: str, fingerprint: bytes | None) -> Ehs:
            if role is Role.DIALER and chosen.disable_tls_fingerprint:
                fingerprint = None
            return chosen.factory(role, local, self._token, fingerprint=fingerprint, address=address, joining=joining)

        return make


def registry_of(options: NetworkOptions) -> Registry:
    """The types a node knows: the framework's and its own."""
    registry = records.framework()
    for row in options.types:
        registry.add(row)
    return registry


def announce(options: NetworkOptions) -> Caches:
    """The ids of a node, handed out in order of registration."""
    atoms = dict.fromkeys((Atom(options.name), *map(Atom, options.atoms)))
    types = (*records.ROWS, *options.types)
    errors = (*records.ERRORS, *(error.text for error in options.errors))
    return Caches(
        atoms={edf.FIRST_ATOM_ID + i: atom for i, atom in enumerate(atoms)},
        types={edf.FIRST_TYPE_ID + i: row.name for i, row in enumerate(types)},
        errors={edf.FIRST_ERROR_ID + i: text for i, text in enumerate(errors)},
    )


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
