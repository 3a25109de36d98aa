"""The central registrar on sockets: a server alone, and what a node uses.

Where upstream dies when it is asked while the link is down (SAT-RC-3), forgets applications when it registers again
(SAT-RC-2), or waits for answers that never come, this is done right.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from ...errors import CannotEncode
from ...model.ergo import error_values, saturn
from ...model.ergo.ehs import Version
from ...model.ergo.esrd import Route
from ...model.ergo.saturn import AnnouncedRoutes, ApplicationRoute, Message, ProxyRoute, SessionState
from ...model.values import Atom
from ..api import NodeFacts, RegistrarError
from ..api.info import RegistrarInfo
from ..api.validation import MAX_PORT, within
from ..connection.tls import KeyPair, client_context, self_signed, server_context
from ..ergo.saturn import (
    NOTIFICATIONS,
    ClusterView,
    SaturnClientSession,
    SaturnDirectory,
    SaturnServerSession,
    raise_if_error,
    write,
)
from .esrd import keep_alive, spelled

log = logging.getLogger("ergo_conformance.node")

T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]
SATURN: Final = Version(saturn.PROTOCOL, saturn.RELEASE, "", "MIT")

MAX_WAITING: Final = 1 << 20
"""Bytes that may wait for a client that does not read; one with more is dropped."""
CHUNK: Final = 1 << 16
Listener = Callable[[Message], None]
"""Told of NodeJoined, NodeLeft, applications and configuration, in the order in which they come."""


# --- the server -------------------------------------------------------------------------------------------------------


class ServerLink(asyncio.Protocol):
    """A connection at the server; it is made when TCP has accepted one, before TLS says anything."""

    def __init__(self, directory: SaturnDirectory, links: "set[ServerLink]") -> None:
        self.deadline = asyncio.get_running_loop().time() + saturn.REGISTER_WITHIN
        self.session = SaturnServerSession(directory, self._transmit)
        self.links = links
        self.transport: asyncio.Transport | None = None
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        keep_alive(transport.get_extra_info("socket"), saturn.KEEP_ALIVE)
        self.links.add(self)
        self.timer = asyncio.get_running_loop().call_at(self.deadline, self._late)

    def data_received(self, data: bytes) -> None:
        self.session.receive(data)
        if self.session.state is SessionState.CLOSED and self.transport is not None:
            self.transport.close()

    def _transmit(self, data: bytes) -> None:
        assert self.transport is not None
        if self.transport.get_write_buffer_size() > MAX_WAITING:
            log.info("%r does not read what it is told", self.session.name)
            self.transport.abort()
        else:
            self.transport.write(data)

    def _late(self) -> None:
        if self.session.state is not SessionState.REGISTERED:
            self.close()

    def close(self) -> None:
        """The end of the registration, if there is one."""
        self.session.end()
        if self.transport is not None:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  FIN and RST are alike
        self.session.end()
        self.links.discard(self)
        if self.timer is not None:
            self.timer.cancel()


class SaturnServer:
    """A Saturn. `host`: empty is all addresses; `keys`: its certificate, one of its own making without; `config`: values by
    item names.
    """

    def __init__(
        self,
        token: str,
        *,
        host: str = "localhost",
        port: int = saturn.PORT,
        keys: KeyPair | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.directory = SaturnDirectory(token, config)
        self.host, self.port = host, port
        self.keys = keys or self_signed([host] if host else ["localhost"])
        self._server: asyncio.Server | None = None
        self._links: set[ServerLink] = set()

    async def start(self) -> None:
        """Listens. Raises OSError or UnicodeError."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ServerLink(self.directory, self._links),
            self.host or None,
            self.port,
            family=socket.AF_INET6 if ":" in self.host else socket.AF_INET,  # with port 0 it has to stay one port
            ssl=server_context(self.keys),
            ssl_handshake_timeout=saturn.REGISTER_WITHIN,
            ssl_shutdown_timeout=1.0,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Ends all registrations."""
        if self._server is not None:
            self._server.close()
            for link in list(self._links):
                link.close()
            await self._server.wait_closed()
            self._server = None


# --- what a node uses -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SaturnOptions:
    """Which Saturn, and how. Without `skip_verify` its certificate has to be signed by `ca` (PEM; None: the system's)."""

    token: str
    host: str = "localhost"
    port: int = saturn.PORT
    cluster: str = ""
    skip_verify: bool = False
    ca: str | None = None

    def __post_init__(self) -> None:
        within("registrar port", self.port, 1, MAX_PORT)


class SaturnRegistrar:
    """The registration of one node with a Saturn (interfaces.Registrar). UsageError for a CA file that can't be read."""

    def __init__(self, options: SaturnOptions, *, connect: Connect | None = None) -> None:
        """`connect` opens a link to the Saturn, in place of TLS: StreamReader, StreamWriter. Raises OSError."""
        self.options = options
        self._open = connect or self._open_tls
        self.name, self.hidden = Atom(""), False
        self.view = ClusterView(options.cluster, self.name)
        self.own: dict[Atom, ApplicationRoute] = {}
        """The applications that we have announced: all of them again whenever we register (upstream: those of the start)."""
        self.listeners: list[Listener] = []
        self._salt: Callable[[int], str] = no_entropy
        self._routes: list[Route] = []
        self._context = _context(options)
        self._writer: asyncio.StreamWriter | None = None
        self._last_id = 0
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._watch: asyncio.Task[None] | None = None

    @property
    def registered(self) -> bool:
        """Whether the name is ours now."""
        return self._writer is not None

    def resolver(self) -> "SaturnRegistrar":
        """Itself."""
        return self

    def version(self) -> Version:
        """Saturn R1."""
        return SATURN

    def info(self) -> RegistrarInfo:
        """Upstream says of proxies that it can register them, and can't (NAPI §7)."""
        server = f"{self.options.host}:{self.options.port}" if self.registered else ""
        return RegistrarInfo(
            server=server, embedded=False, version=SATURN, register_application=True, config=True, event=True
        )

    async def register(self, node: NodeFacts, routes: Sequence[Route]) -> None:
        """Registers; a hidden node announces nothing. There is no second try, but a lost link comes back by itself.

        Raises RegistrarError; "resource is taken" also if this object registers a node already.
        """
        if self._watch is not None:
            raise RegistrarError(error_values.TAKEN.text)
        self.name, self.hidden, self._salt = node.name, node.hidden, node.token
        self.view = ClusterView(self.options.cluster, node.name)
        self._routes = list(routes)
        reader, client = await self._connect()
        self._watch = asyncio.get_running_loop().create_task(self._stay(reader, client))

    async def terminate(self) -> None:
        """Gives the name back."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        await self._drop()

    async def resolve(self, name: Atom) -> list[Route]:
        """Where a node of the cluster listens. Raises RegistrarError: "not allowed" for our own name (SAT-RS-5)."""
        answer = await self._ask(name, saturn.Resolve)
        assert isinstance(answer, saturn.ResolveResult)
        raise_if_error(answer.Error)
        return list(answer.Routes or ())

    async def resolve_proxy(self, name: Atom) -> list[ProxyRoute]:
        """Through whom a node is reached. Raises RegistrarError."""
        answer = await self._ask(name, saturn.ResolveProxy)
        assert isinstance(answer, saturn.ResolveProxyResult)
        raise_if_error(answer.Error)
        return list(answer.Routes or ())

    async def resolve_application(self, name: Atom) -> list[ApplicationRoute]:
        """Who has an application; nothing is asked for. RegistrarError "no route" if nobody has."""
        found = [route for (known, _), route in self.view.applications.items() if known == name]
        if not found:
            raise RegistrarError(error_values.NO_ROUTE.text)
        return found

    def nodes(self) -> list[Atom]:
        """The other nodes of the cluster."""
        return sorted(self.view.nodes)

    def config_item(self, name: str) -> Any:
        """What is configured for this node. RegistrarError "unknown" if nothing is (SAT-CF-5)."""
        try:
            return self.view.item(name)
        except KeyError:
            raise RegistrarError(error_values.UNKNOWN.text) from None

    def register_application_route(self, route: ApplicationRoute) -> None:
        """Announces a state of an application of ours, now or as soon as there is a link again."""
        self._tell(saturn.RegisterApplicationRoute(route))
        self.own[route.Name] = route

    def unregister_application_route(self, name: Atom) -> None:
        """It is no more."""
        if self.own.pop(name, None) is not None:
            self._tell(saturn.UnregisterApplicationRoute(name, self.name))

    # --- the link -----------------------------------------------------------------------------------------------------

    async def _connect(self) -> tuple[asyncio.StreamReader, SaturnClientSession]:
        """A registered connection. Raises RegistrarError, and nothing is open then."""
        with spelled(), tls_spelled():
            async with asyncio.timeout(saturn.DIAL_TIMEOUT):
                reader, writer = await self._open()
            try:
                client = SaturnClientSession(self.view, self.options.token, hidden=self.hidden)
                keep_alive(writer.get_extra_info("socket"), saturn.KEEP_ALIVE)
                writer.write(client.start(self._salt(saturn.SALT_LENGTH)))
                await self._until(reader, client, saturn.HandshakeResult)
                writer.write(client.register(self._announced()))
                await self._until(reader, client, saturn.RegisterResult)
            except BaseException:
                writer.close()
                raise
        self._writer = writer
        if not self.hidden:
            for route in self.own.values():
                self._tell(saturn.RegisterApplicationRoute(route))
        return reader, client

    async def _open_tls(self) -> Streams:
        return await asyncio.open_connection(
            self.options.host, self.options.port, ssl=self._context, ssl_shutdown_timeout=1.0
        )

    def _announced(self) -> AnnouncedRoutes:
        """Without applications: upstream's server passes on those that come alone, not those of a registration."""
        return AnnouncedRoutes() if self.hidden else AnnouncedRoutes(self._routes, [], None)

    async def _until(self, reader: asyncio.StreamReader, client: SaturnClientSession, wanted: type) -> None:
        """Reads on until such an answer has come. Raises EOFError, TimeoutError, RegistrarError."""
        async with asyncio.timeout(saturn.ANSWER_TIMEOUT):
            while True:
                data = await reader.read(CHUNK)
                if not data:
                    raise EOFError
                messages = list(client.receive(data))
                self._spread(messages)
                if any(isinstance(message, wanted) for message in messages):
                    return

    async def _stay(self, reader: asyncio.StreamReader, client: SaturnClientSession) -> None:
        """Listens, and when the link is lost registers again."""
        while True:
            try:
                await self._listen(reader, client)
            except (OSError, RegistrarError) as error:
                log.info("%r: the link to Saturn is given up: %s", self.name, error)
            await self._drop()
            reader, client = await self._reconnect()

    async def _listen(self, reader: asyncio.StreamReader, client: SaturnClientSession) -> None:
        while data := await reader.read(CHUNK):
            self._spread(list(client.receive(data)))

    async def _reconnect(self) -> tuple[asyncio.StreamReader, SaturnClientSession]:
        for pause in _pauses():
            await asyncio.sleep(pause)
            with contextlib.suppress(RegistrarError):
                return await self._connect()
        raise AssertionError  # there is always a next try

    async def _drop(self) -> None:
        """The link is gone: whoever waits for an answer waits in vain."""
        writer, self._writer = self._writer, None
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(RegistrarError(error_values.NO_CONNECTION.text))
        self._waiting.clear()
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await writer.wait_closed()

    def _spread(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, saturn.ResolveResult | saturn.ResolveProxyResult):
                future = self._waiting.pop(message.ID, None)
                if future is not None and not future.done():
                    future.set_result(message)
            elif type(message) in NOTIFICATIONS:
                for listener in self.listeners:
                    listener(message)

    async def _ask(self, name: Atom, kind: type[saturn.Resolve] | type[saturn.ResolveProxy]) -> Message:
        if name == self.name:
            raise RegistrarError(error_values.NOT_ALLOWED.text)
        self._last_id += 1
        number = self._last_id
        if not self._tell(kind(number, name)):
            raise RegistrarError(error_values.NO_CONNECTION.text)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        return await _within(future, saturn.RESOLVE_TIMEOUT, lambda: self._waiting.pop(number, None))

    def _tell(self, message: Message) -> bool:
        """Whether there is a link to tell it over. Raises RegistrarError for what can't be written."""
        try:
            data = write(message)
        except CannotEncode:
            raise RegistrarError(error_values.INCORRECT.text) from None
        if self._writer is None or self._writer.is_closing():
            return False
        self._writer.write(data)
        return True


async def _within(future: "asyncio.Future[T]", seconds: float, forget: Callable[[], object]) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await future
    except TimeoutError:
        raise RegistrarError(error_values.TIMEOUT.text) from None
    finally:
        forget()


def no_entropy(_: int) -> str:
    """Before a node registers there is none."""
    raise RegistrarError(error_values.UNREGISTERED.text)


def _pauses() -> Iterator[float]:
    yield from saturn.REDIAL
    while True:
        yield saturn.REDIAL[-1]


def _context(options: SaturnOptions) -> ssl.SSLContext:
    if options.skip_verify:
        return client_context()
    return ssl.create_default_context(cafile=options.ca)


@contextlib.contextmanager
def tls_spelled() -> Iterator[None]:
    """Makes a RegistrarError of what is wrong with a certificate or a TLS handshake."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise RegistrarError(f"x509: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise RegistrarError(f"tls: {error.reason or error}".lower()) from None
