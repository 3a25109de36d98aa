"""The central registrar Saturn as one node uses it.

Unlike upstream a client fails requests while it is disconnected (SAT-RC-3: upstream crashes), announces its applications again
when it registers again (SAT-RC-2), and limits the wait for every answer.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ...errors import CannotEncode
from ...model.ergo import error_values, saturn
from ...model.ergo.ehs import Version
from ...model.ergo.esrd import Route
from ...model.ergo.saturn import AnnouncedRoutes, ApplicationRoute, Message, ProxyRoute
from ...model.values import Atom
from ..api import NodeRegistration, RegistrarInfo
from ..api.errors import RegistrarError
from ..api.validation import MAX_PORT, check_host, check_range
from ..connection.backoff import Pauses
from ..connection.tcp import TLS_SHUTDOWN_TIMEOUT, keep_alive
from ..connection.tls import client_context, verifying_context
from ..ergo.saturn import ClusterView, SaturnClientSession, raise_if_error, write
from .errors import registrar_errors

log = logging.getLogger("ergo_conformance.node")

T = TypeVar("T")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]
SATURN: Final = Version(saturn.PROTOCOL, saturn.RELEASE, "", "MIT")

CHUNK: Final = 1 << 16
Listener = Callable[[Message], None]
"""Listener: called with NodeJoined, NodeLeft, application and configuration messages, in the order in which they arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaturnOptions:
    """Settings of a Saturn client. `ca`: PEM file that signs its certificate without `skip_verify`; None: the system's CAs."""

    token: str
    host: str = "localhost"
    port: int = saturn.PORT
    cluster: str = ""
    skip_verify: bool = False
    ca: str | None = None

    def __post_init__(self) -> None:
        check_host("registrar host", self.host)
        check_range("registrar port", self.port, 1, MAX_PORT)


class SaturnRegistrar:
    """The registration of one node with a Saturn (api.Registrar). UsageError for a CA file that can't be read."""

    version = SATURN

    def __init__(self, options: SaturnOptions, *, connect: Connect | None = None) -> None:
        """`connect`: opens the streams to the Saturn, in place of TLS. Raises OSError."""
        self.options = options
        self._open = connect or self._open_tls
        self.name, self.hidden = Atom(""), False
        self.view = ClusterView(options.cluster, self.name)
        self.own: dict[Atom, ApplicationRoute] = {}
        """Our announced applications; announced again with every registration (upstream: only those of the start)."""
        self.listeners: list[Listener] = []
        self._random_hex: Callable[[int], str] = not_registered
        self._routes: list[Route] = []
        self._context = client_context() if options.skip_verify else verifying_context(options.ca)
        self._writer: asyncio.StreamWriter | None = None
        self._last_id = 0
        self._pending: dict[int, asyncio.Future[Message]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._pauses = Pauses(saturn.REDIAL)

    @property
    def registered(self) -> bool:
        """True if the node is registered now."""
        return self._writer is not None

    @property
    def resolver(self) -> "SaturnRegistrar":
        """Returns this object."""
        return self

    @property
    def info(self) -> RegistrarInfo:
        """Without `register_proxy`: upstream reports it, but can't register proxies (NAPI §7)."""
        server = f"{self.options.host}:{self.options.port}" if self.registered else ""
        return RegistrarInfo(
            server=server, embedded=False, version=SATURN, register_application=True, config=True, event=True
        )

    async def register(self, node: NodeRegistration, routes: Sequence[Route]) -> None:
        """Registers; a hidden node announces no routes. Tries once; a lost connection is opened again in the background.

        Raises RegistrarError; "resource is taken" also if this object already serves a node.
        """
        if self._keeper is not None:
            raise RegistrarError(error_values.TAKEN.text)
        self.name, self.hidden, self._random_hex = node.name, node.hidden, node.random_hex
        self.view = ClusterView(self.options.cluster, node.name)
        self._routes = list(routes)
        self._pauses = Pauses(saturn.REDIAL)
        reader, client = await self._connect()
        self._keeper = asyncio.get_running_loop().create_task(self._keep_registered(reader, client))

    async def terminate(self) -> None:
        """Unregisters."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._drop()

    async def resolve(self, name: Atom) -> list[Route]:
        """Returns the routes of a node of the cluster. Raises RegistrarError: "not allowed" for our own name (SAT-RS-5)."""
        answer = await self._ask(name, saturn.Resolve)
        assert isinstance(answer, saturn.ResolveResult)
        raise_if_error(answer.Error)
        return list(answer.Routes or ())

    async def resolve_proxy(self, name: Atom) -> list[ProxyRoute]:
        """Returns the proxy routes of a node. Raises RegistrarError."""
        answer = await self._ask(name, saturn.ResolveProxy)
        assert isinstance(answer, saturn.ResolveProxyResult)
        raise_if_error(answer.Error)
        return list(answer.Routes or ())

    async def resolve_application(self, name: Atom) -> list[ApplicationRoute]:
        """Returns the announced routes of an application; sends nothing. RegistrarError "no route" if there are none."""
        found = [route for (known, _), route in self.view.applications.items() if known == name]
        if not found:
            raise RegistrarError(error_values.NO_ROUTE.text)
        return found

    @property
    def nodes(self) -> list[Atom]:
        """The other nodes of the cluster."""
        return sorted(self.view.nodes)

    def config_item(self, name: str) -> Any:
        """Returns a configuration item for this node. RegistrarError "unknown" if it is not configured (SAT-CF-5)."""
        try:
            return self.view.item(name)
        except KeyError:
            raise RegistrarError(error_values.UNKNOWN.text) from None

    def register_application_route(self, route: ApplicationRoute) -> None:
        """Announces the state of an application of ours, now or with the next registration."""
        self._send(saturn.RegisterApplicationRoute(route))
        self.own[route.Name] = route

    def unregister_application_route(self, name: Atom) -> None:
        """Announces that an application of ours was unloaded."""
        if self.own.pop(name, None) is not None:
            self._send(saturn.UnregisterApplicationRoute(name, self.name))

    # --- the connection -----------------------------------------------------------------------------------------------

    async def _connect(self) -> tuple[asyncio.StreamReader, SaturnClientSession]:
        """Opens a connection and registers. Raises RegistrarError and leaves nothing open."""
        with registrar_errors():
            async with asyncio.timeout(saturn.DIAL_TIMEOUT):
                reader, writer = await self._open()
            try:
                client = SaturnClientSession(self.view, self.options.token, hidden=self.hidden)
                keep_alive(writer.get_extra_info("socket"), saturn.KEEP_ALIVE)
                writer.write(client.start(self._random_hex(saturn.SALT_LENGTH)))
                await self._until(reader, client, saturn.HandshakeResult)
                writer.write(client.register(self._announced()))
                await self._until(reader, client, saturn.RegisterResult)
            except BaseException:
                writer.close()
                raise
        self._writer = writer
        if not self.hidden:
            for route in self.own.values():
                self._send(saturn.RegisterApplicationRoute(route))
        return reader, client

    async def _open_tls(self) -> Streams:
        return await asyncio.open_connection(
            self.options.host, self.options.port, ssl=self._context, ssl_shutdown_timeout=TLS_SHUTDOWN_TIMEOUT
        )

    def _announced(self) -> AnnouncedRoutes:
        """Returns our registration. Without applications: upstream's server forwards only those announced separately."""
        return AnnouncedRoutes() if self.hidden else AnnouncedRoutes(self._routes, [], None)

    async def _until(self, reader: asyncio.StreamReader, client: SaturnClientSession, wanted: type) -> None:
        """Reads until a message of this type has arrived. Raises EOFError, TimeoutError, RegistrarError."""
        async with asyncio.timeout(saturn.ANSWER_TIMEOUT):
            while True:
                data = await reader.read(CHUNK)
                if not data:
                    raise EOFError
                messages = list(client.receive(data))
                self._dispatch(messages)
                if any(isinstance(message, wanted) for message in messages):
                    return

    async def _keep_registered(self, reader: asyncio.StreamReader, client: SaturnClientSession) -> None:
        """Reads messages; registers again after the connection was lost, with pauses that go on if it was lost at once."""
        loop = asyncio.get_running_loop()
        while True:
            since = loop.time()
            try:
                await self._listen(reader, client)
            except (OSError, RegistrarError) as error:
                log.info("%r: the connection to Saturn was lost: %s", self.name, error)
            await self._drop()
            self._pauses.registration_ended(loop.time() - since)
            reader, client = await self._reconnect()

    async def _listen(self, reader: asyncio.StreamReader, client: SaturnClientSession) -> None:
        while data := await reader.read(CHUNK):
            self._dispatch(list(client.receive(data)))

    async def _reconnect(self) -> tuple[asyncio.StreamReader, SaturnClientSession]:
        while True:
            await asyncio.sleep(self._pauses.next())
            with contextlib.suppress(RegistrarError):
                return await self._connect()

    async def _drop(self) -> None:
        """Closes the connection; pending requests fail."""
        writer, self._writer = self._writer, None
        for future in self._pending.values():
            if not future.done():
                future.set_exception(RegistrarError(error_values.NO_CONNECTION.text))
        self._pending.clear()
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                await writer.wait_closed()

    def _dispatch(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, saturn.ResolveResult | saturn.ResolveProxyResult):
                future = self._pending.pop(message.ID, None)
                if future is not None and not future.done():
                    future.set_result(message)
            elif type(message) in saturn.NOTIFICATIONS:
                for listener in self.listeners:
                    listener(message)

    async def _ask(self, name: Atom, kind: type[saturn.Resolve] | type[saturn.ResolveProxy]) -> Message:
        if name == self.name:
            raise RegistrarError(error_values.NOT_ALLOWED.text)
        self._last_id += 1
        number = self._last_id
        if not self._send(kind(number, name)):
            raise RegistrarError(error_values.NO_CONNECTION.text)
        future = self._pending[number] = asyncio.get_running_loop().create_future()
        return await _wait_for(future, saturn.RESOLVE_TIMEOUT, lambda: self._pending.pop(number, None))

    def _send(self, message: Message) -> bool:
        """Sends a message; returns whether there is a connection. RegistrarError for a message that can't be encoded."""
        try:
            data = write(message)
        except CannotEncode:
            raise RegistrarError(error_values.INCORRECT.text) from None
        if self._writer is None or self._writer.is_closing():
            return False
        self._writer.write(data)
        return True


async def _wait_for(future: "asyncio.Future[T]", seconds: float, forget: Callable[[], object]) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await future
    except TimeoutError:
        raise RegistrarError(error_values.TIMEOUT.text) from None
    finally:
        forget()


def not_registered(_: int) -> str:
    """Replaces the random source before a node registers."""
    raise RegistrarError(error_values.UNREGISTERED.text)
