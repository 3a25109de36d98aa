"""The embedded registrar as one node uses it: the server if its port is free, else a client of the server.

Unlike upstream a client checks the type of replies (ESRD-CL-5, -10), reads until a reply is complete (ESRD-FR-3) and leaves no
socket open (ESRD-BUG-6).
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Sequence
from typing import Any, Final

from ...errors import Rejected
from ...model.ergo import error_values, esrd
from ...model.ergo.ehs import Version
from ...model.ergo.esrd import Message, RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes, Route
from ...model.ergo.saturn import ApplicationRoute, ProxyRoute
from ...model.values import Atom
from ..api import NodeRegistration, RegistrarInfo
from ..api.errors import RegistrarError
from ..api.validation import MAX_PORT, check_host, check_range
from ..connection.backoff import Pauses
from ..connection.tcp import keep_alive
from ..ergo.esrd import check_header, read, write
from .errors import registrar_errors
from .esrd_server import EsrdServer

log = logging.getLogger("ergo_conformance.node")

LONGEST_PAUSE: Final = 5
"""Pauses of esrd.RETRY before a node registers again with a server that ends each registration at once."""
ESRD: Final = Version(esrd.PROTOCOL, esrd.RELEASE, "", "MIT")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class EsrdRegistrar:
    """The embedded registrar of one node (api.Registrar).

    `host` and `port`: address of the registrar of our host; port 0 is any free port.  Without `serve` the node is always a
    client.  UsageError for a wrong host or port.
    """

    version = ESRD

    def __init__(self, *, host: str = "localhost", port: int = esrd.PORT, serve: bool = True) -> None:
        check_host("registrar host", host)
        check_range("registrar port", port, 0, MAX_PORT)
        self.host, self.port, self.may_serve = host, port, serve
        self.name = Atom("")
        self.server: EsrdServer | None = None
        self._routes: list[Route] = []
        self._registration: Streams | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def serving(self) -> bool:
        """True if this node is the server."""
        return self.server is not None

    @property
    def registered(self) -> bool:
        """True if the node is registered now."""
        return self.serving or self._registration is not None

    @property
    def resolver(self) -> "EsrdRegistrar":
        """Returns this object."""
        return self

    @property
    def info(self) -> RegistrarInfo:
        """Supports resolution only. `server` is empty while the node is not registered (a hidden node never is)."""
        server = f"{self.host}:{self.port}" if self.registered else ""
        return RegistrarInfo(server=server, embedded=self.serving, version=ESRD)

    async def register(self, node: NodeRegistration, routes: Sequence[Route]) -> None:
        """Becomes the server, or registers with it; a hidden node does neither. Tries once (ESRD-CL-2).

        Raises RegistrarError; "resource is taken" also if this object already serves a node.
        """
        if self.registered or self._keeper is not None:
            raise RegistrarError(error_values.TAKEN.text)
        self.name, self._routes = node.name, list(routes)
        if node.hidden:
            return
        await self._serve_or_register()
        if not self.serving:
            self._keeper = asyncio.get_running_loop().create_task(self._keep_registered())

    async def _serve_or_register(self) -> None:
        if not self.may_serve or not await self._serve():
            with registrar_errors():
                request = write(RegisterRoutes(self.name, self._routes))
                self._registration = await register(self.host, self.port, request)

    async def _serve(self) -> bool:
        """Becomes the server if the port is free for TCP and UDP (ESRD-FO-5)."""
        server = EsrdServer(self.host, self.port)
        try:
            await server.start()
        except (OSError, UnicodeError):  # the port is taken, or the host is not this machine
            return False
        reply = server.table.register(self.name, self._routes)
        if reply.Error is not None:
            await server.stop()
            raise RegistrarError(reply.Error.text)
        self.server, self.port = server, server.port
        return True

    async def _keep_registered(self) -> None:
        """Waits for the end of the registration; then becomes the server or registers again, at once and then every second.

        The pauses grow while each registration ends at once.
        """
        loop, pauses = asyncio.get_running_loop(), Pauses([n * esrd.RETRY for n in range(LONGEST_PAUSE + 1)])
        while not self.serving:
            if self._registration is not None:
                since = loop.time()
                await until_lost(*self._registration)
                self._registration = None
                log.info("%r: the connection to the registrar was lost", self.name)
                pauses.registration_ended(loop.time() - since)
                await asyncio.sleep(pauses.next())
            try:
                await self._serve_or_register()
            except RegistrarError as error:
                log.info("%r is not registered: %s", self.name, error)
                await asyncio.sleep(esrd.RETRY)

    async def terminate(self) -> None:
        """Unregisters; a server closes, and another node takes over."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        if self._registration is not None:
            await close(self._registration[1])
            self._registration = None
        if self.server is not None:
            await self.server.stop()
            self.server = None

    async def resolve(self, name: Atom) -> list[Route]:
        """Returns the routes of a node: from our own table if we serve its host, else by asking its host (ESRD-CL-7).

        Raises RegistrarError.
        """
        host = name.partition("@")[2]
        if not host or "@" in host:
            raise RegistrarError(error_values.INCORRECT.text)
        if self.server is not None and host == self.name.partition("@")[2]:
            reply = self.server.table.resolve(name)
        else:
            reply = await ask(host, self.port, name)
        if reply.Error is not None:
            raise RegistrarError(reply.Error.text)
        return list(reply.Routes or ())

    async def resolve_proxy(self, name: Atom) -> list[ProxyRoute]:  # noqa: ARG002  ESRD has no proxies
        """RegistrarError "not supported"."""
        raise RegistrarError(error_values.UNSUPPORTED.text)

    async def resolve_application(self, name: Atom) -> list[ApplicationRoute]:  # noqa: ARG002
        """RegistrarError "not supported"."""
        raise RegistrarError(error_values.UNSUPPORTED.text)


# --- single requests --------------------------------------------------------------------------------------------------


async def register(host: str, port: int, request: bytes) -> Streams:
    """Registers; returns the streams of the registration, which are closed on failure (ESRD-BUG-6).

    Raises OSError, EOFError, RegistrarError.
    """
    async with asyncio.timeout(esrd.REGISTER_TIMEOUT):
        reader, writer = await asyncio.open_connection(host, port, family=socket.AF_INET)
        try:
            keep_alive(writer.get_extra_info("socket"), esrd.CLIENT_KEEP_ALIVE)
            writer.write(request)
            reply = await _packet(reader)
            if not isinstance(reply, RegisterReply):  # upstream would start unregistered (ESRD-CL-5)
                raise RegistrarError(error_values.MALFORMED.text)
            if reply.Error is not None:
                raise RegistrarError(reply.Error.text)
        except BaseException:
            writer.close()
            raise
    return reader, writer


async def ask(host: str, port: int, name: Atom) -> ResolveReply:
    """Sends one resolve request and returns the reply; tries once (ESRD-CL-8). Raises RegistrarError."""
    with registrar_errors():
        request = write(ResolveRoutes(name))
        async with asyncio.timeout(esrd.RESOLVE_TIMEOUT):
            reply = await _exchange(host, port, request)
    if len(reply) > esrd.MAX_RESOLVE_REPLY:
        raise RegistrarError(error_values.MALFORMED.text)
    message = _message(reply)
    if not isinstance(message, ResolveReply):  # upstream would read it as no routes (ESRD-CL-10)
        raise RegistrarError(error_values.MALFORMED.text)
    return message


async def _exchange(host: str, port: int, request: bytes) -> bytes:
    """Sends a datagram from a new socket and returns the first one received on it (ESRD-CL-9)."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)  # every server listens on IPv4
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _ResolveProtocol(answer), remote_addr=(str(found[0][4][0]), port), family=found[0][0]
    )
    try:
        transport.sendto(request)
        return await answer
    finally:
        transport.close()


class _ResolveProtocol(asyncio.DatagramProtocol):
    """Receives one datagram."""

    def __init__(self, answer: "asyncio.Future[bytes]") -> None:
        self.answer = answer

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002  the socket is connected
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _packet(reader: asyncio.StreamReader) -> Message:
    """Reads the first packet of a stream. Raises EOFError if there is none, RegistrarError if it is malformed."""
    data = b""
    while (size := _size(data)) is None or len(data) < size:
        chunk = await reader.read(esrd.MAX_REGISTER_REPLY)
        if not chunk:
            raise RegistrarError(error_values.MALFORMED.text) if data else EOFError
        data += chunk
    return _message(data[:size])  # later bytes are ignored (ESRD-REG-9)


def _size(data: bytes) -> int | None:
    """Returns the size of the reply, None while its header is incomplete. RegistrarError for a malformed header."""
    try:
        size = check_header(data)
    except Rejected:
        raise RegistrarError(error_values.MALFORMED.text) from None
    if size is not None and size > esrd.MAX_REGISTER_REPLY:
        raise RegistrarError(error_values.MALFORMED.text)
    return size


async def until_lost(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Waits for the end of a registration; ignores received bytes (ESRD-REG-9)."""
    with contextlib.suppress(OSError):
        while await reader.read(esrd.MAX_REGISTER_REPLY):
            pass
    await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """Closes a stream; ignores errors. May be called again after a cancelled call: that one must not cancel the future that
    all calls wait for.
    """
    writer.close()
    with contextlib.suppress(OSError):
        await asyncio.shield(writer.wait_closed())


def _message(data: bytes) -> Message:
    try:
        return read(data)
    except Rejected as refusal:
        log.info("a registrar's reply is malformed: %s", refusal)
        raise RegistrarError(error_values.MALFORMED.text) from None
