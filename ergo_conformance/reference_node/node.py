"""A node: its name and start time, its acceptors, its connections.

Clock and entropy come in here, at the start, and are handed down.  Without a socket: `Node(options)` inside a running
loop, then `acceptor_protocol()` for each link that is to reach it.
"""

import asyncio
import contextlib
import secrets
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self

from ..errors import UsageError
from ..model import reasons
from ..model.caches import Caches
from ..model.ehs import Role
from ..model.esrd import Route
from ..model.registry import Registry
from ..model.terms import Atom
from . import transport
from .announcing import EHS, ENP, announce, is_spoken, registry_of
from .certificates import client_context, fingerprint_sha1, server_context
from .core import Core
from .dialing import Dialing, why
from .ergo.ehs import Ehs, HandshakeError, Handshaken, Local, Membership, Token
from .ergo.enp.connection import EnpConnection
from .failures import ErgoError
from .interfaces import RegistrarError
from .network import Network, RefusedError
from .options import AcceptorOptions, HandshakeOptions, Mode, NetworkOptions
from .processes import Actor, Body, Process, ProcessOptions
from .registrar import EsrdRegistrar
from .transport import Address, Dial, LinkProtocol, Links, MakeHandshake, log

COOKIE_LENGTH: Final = 16
"""Characters of the cookie that a node without one gets: nobody can connect."""
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
        caches: Caches | None = None,
        registry: Registry | None = None,
    ) -> None:
        """A node without sockets. `clock`: Unix seconds; `token`: as ehs.Token; `dial`: opens links.

        `caches` and `registry` stand in for the ids that it would announce and the types that it would know.
        """
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
        self._registry = registry or registry_of(options)
        self._caches = caches or announce(options)
        self._links = Links()
        self._servers: list[asyncio.Server] = []
        self._dialing = Dialing(self.network, self._links, dial, self.dialer_protocol)
        self.registrar: EsrdRegistrar | None = None

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
        try:
            if options.mode is not Mode.HIDDEN:
                for acceptor in options.acceptors:
                    await node.listen(acceptor)
            await node.register()
        except BaseException:
            await node.stop()
            raise
        return node

    async def register(self) -> None:
        """Makes the acceptors known to the registrar, if the node has one. UsageError if it refuses."""
        options = self.options.registrar
        if options is None:
            return
        hidden = self.options.mode is Mode.HIDDEN
        self.registrar = EsrdRegistrar(
            name=self.name, host=options.host, port=options.port, disable_server=not options.serve, hidden=hidden
        )
        routes = [Route("", acceptor.port, acceptor.fingerprint is not None, EHS, ENP) for acceptor in self.acceptors]
        try:
            await self.registrar.start(routes)
        except RegistrarError as error:
            raise UsageError(f"unable to register node: {error}") from None

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
            raise UsageError(f"cannot listen on {host}:{options.port}: {why(error)}") from None
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
        if self.registrar is None:
            return []
        try:
            found = await self.registrar.resolve(name)
        except RegistrarError as error:
            log.info("%r is not resolved: %s", name, error)
            return []
        return [Address(r.Host or host, r.Port, client_context() if r.TLS else None) for r in found if is_spoken(r)]

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
        return await self._dialing.connect(Address(host, port, context), None if name is None else Atom(name))

    # --- the end ------------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Close acceptors and links; within STOP_TIMEOUT and a moment all are gone."""
        self._links.closed = True
        for server in self._servers:
            server.close()
        await self._dialing.stop()
        if self.registrar is not None:
            await self.registrar.stop()
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
