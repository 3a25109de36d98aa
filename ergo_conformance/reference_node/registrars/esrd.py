"""The embedded registrar on sockets: a server alone, and what a node uses: the server if it can be, else a client.

Where upstream answers a resolve from another address than was asked (ESRD-TR-6), takes a wrong reply for a good one
(ESRD-CL-5, -10), reads once (ESRD-FR-3) or leaves sockets open (ESRD-BUG-6), this is done right.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from ...errors import CannotEncode, Rejected
from ...model.ergo import error_values, esrd
from ...model.ergo.ehs import Version
from ...model.ergo.esrd import Message, RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes, Route
from ...model.ergo.saturn import ApplicationRoute, ProxyRoute
from ...model.values import Atom
from ..api import NodeFacts, RegistrarError
from ..api.info import RegistrarInfo
from ..api.validation import MAX_PORT, within
from ..ergo.esrd import EsrdNameTable, EsrdServerSession, EsrdSessionState, check_header, read, write
from .udp import Wildcard

log = logging.getLogger("ergo_conformance.node")

ESRD: Final = Version(esrd.PROTOCOL, esrd.RELEASE, "", "MIT")
PORT_TRIES: Final = 50
"""To find a port that is free for TCP and UDP alike."""
BACKLOG: Final = 128
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ServerLink(asyncio.Protocol):
    """A registration link at the server."""

    def __init__(self, table: EsrdNameTable, links: "set[ServerLink]") -> None:
        self.registration = EsrdServerSession(table)
        self.links = links
        self.transport: asyncio.Transport | None = None
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        keep_alive(transport.get_extra_info("socket"), esrd.SERVER_KEEP_ALIVE)
        self.links.add(self)
        self.timer = asyncio.get_running_loop().call_later(esrd.REGISTER_TIMEOUT, self.close)

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        answer = self.registration.receive(data)
        if answer:
            self.transport.write(answer)
        if self.registration.state is EsrdSessionState.REGISTERED and self.timer is not None:
            self.timer.cancel()
        if self.registration.state is EsrdSessionState.CLOSED:
            self.close()

    def close(self) -> None:
        """The end of the lease, if there is one."""
        self.registration.end()
        if self.transport is not None:
            self.transport.close()

    def eof_received(self) -> bool:
        self.registration.end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  FIN and RST are alike (ESRD-REG-6)
        self.registration.end()
        self.links.discard(self)
        if self.timer is not None:
            self.timer.cancel()


class EsrdServer:
    """Serves registrations on `host` and resolves on all addresses."""

    def __init__(self, host: str = "localhost", port: int = esrd.PORT) -> None:
        """`port` 0 is any that is free for both."""
        self.table = EsrdNameTable()
        self.host, self.port = host, port
        self._server: asyncio.Server | None = None
        self._datagrams: Wildcard | None = None
        self._links: set[ServerLink] = set()

    async def start(self) -> None:
        """Opens both sockets, TCP first. Raises OSError or UnicodeError, and nothing is open then (ESRD-TR-2)."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, 0, family=socket.AF_INET, type=socket.SOCK_STREAM)
        listener, self._datagrams = _both_sockets(str(found[0][4][0]), self.port)
        self.port = listener.getsockname()[1]
        loop.add_reader(self._datagrams.socket, self._resolve)
        try:
            self._server = await loop.create_server(
                lambda: ServerLink(self.table, self._links), sock=listener, backlog=BACKLOG, start_serving=False
            )
            await self._server.start_serving()
        except BaseException:  # who starts us may be told to stop
            if self._server is None:
                listener.close()
            await self.stop()
            raise

    def _resolve(self) -> None:
        """Answers a datagram from the address that it was sent to."""
        assert self._datagrams is not None
        with contextlib.suppress(OSError):
            data, origin = self._datagrams.receive(esrd.MAX_RESOLVE)
            answer = self.table.answer(data)
            if answer is not None:
                self._datagrams.answer(answer, origin)

    async def stop(self) -> None:
        """Ends all leases and closes the sockets."""
        if self._datagrams is not None:
            asyncio.get_running_loop().remove_reader(self._datagrams.socket)
            self._datagrams.close()
            self._datagrams = None
        if self._server is not None:
            self._server.close()
            for link in list(self._links):
                link.close()
            await self._server.wait_closed()
            self._server = None


def _both_sockets(address: str, port: int) -> tuple[socket.socket, Wildcard]:
    """A listening socket and one for datagrams, on one port number. Raises OSError."""
    for left in range(1 if port else PORT_TRIES, 0, -1):
        listener = socket.create_server((address, port), backlog=BACKLOG)
        listener.setblocking(False)
        try:
            return listener, Wildcard(listener.getsockname()[1])
        except OSError as error:
            listener.close()
            if left == 1 or error.errno != errno.EADDRINUSE:
                raise
    raise AssertionError  # the last try returns or raises


# --- what a node uses -------------------------------------------------------------------------------------------------


class EsrdRegistrar:
    """The embedded registrar of one node (interfaces.Registrar).

    `host` and `port`: where the registrar of our host is; port 0 is any free one.  Without `serve` the node is always a client
    of another one.  UsageError for a wrong port.
    """

    def __init__(self, *, host: str = "localhost", port: int = esrd.PORT, serve: bool = True) -> None:
        within("registrar port", port, 0, MAX_PORT)
        self.host, self.port, self.may_serve = host, port, serve
        self.name = Atom("")
        self.server: EsrdServer | None = None
        self._routes: list[Route] = []
        self._lease: Streams | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def serving(self) -> bool:
        """Whether this node is the registrar of its host."""
        return self.server is not None

    @property
    def registered(self) -> bool:
        """Whether the name is ours now."""
        return self.serving or self._lease is not None

    def resolver(self) -> "EsrdRegistrar":
        """Itself."""
        return self

    def version(self) -> Version:
        """ESRD R1."""
        return ESRD

    def info(self) -> RegistrarInfo:
        """It can nothing but find nodes. No server is named before there is one (a hidden node has none)."""
        server = f"{self.host}:{self.port}" if self.registered else ""
        return RegistrarInfo(server=server, embedded=self.serving, version=ESRD)

    async def register(self, node: NodeFacts, routes: Sequence[Route]) -> None:
        """Becomes the server, or registers with it; a hidden node does neither. There is no second try (ESRD-CL-2).

        Raises RegistrarError; "resource is taken" also if this object registers a node already.
        """
        if self.registered or self._watch is not None:
            raise RegistrarError(error_values.TAKEN.text)
        self.name, self._routes = node.name, list(routes)
        if node.hidden:
            return
        await self._become_known()
        if not self.serving:
            self._watch = asyncio.get_running_loop().create_task(self._stay_known())

    async def _become_known(self) -> None:
        if not self.may_serve or not await self._serve():
            with spelled():
                request = write(RegisterRoutes(self.name, self._routes))
                self._lease = await register(self.host, self.port, request)

    async def _serve(self) -> bool:
        """Takes over, if both ports are free (ESRD-FO-5)."""
        server = EsrdServer(self.host, self.port)
        try:
            await server.start()
        except (OSError, UnicodeError):  # taken, or no host of ours
            return False
        reply = server.table.register(self.name, self._routes)
        if reply.Error is not None:
            await server.stop()
            raise RegistrarError(reply.Error.text)
        self.server, self.port = server, server.port
        return True

    async def _stay_known(self) -> None:
        """As long as we are a client: when the link ends, serve or register again, at once and then every second."""
        while not self.serving:
            if self._lease is not None:
                await until_lost(*self._lease)
                self._lease = None
                log.info("%r: the registrar is lost", self.name)
            try:
                await self._become_known()
            except RegistrarError as error:
                log.info("%r is not registered: %s", self.name, error)
                await asyncio.sleep(esrd.RETRY)

    async def terminate(self) -> None:
        """Gives the name back; as the server: lets the others find a new one."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        if self._lease is not None:
            await close(self._lease[1])
            self._lease = None
        if self.server is not None:
            await self.server.stop()
            self.server = None

    async def resolve(self, name: Atom) -> list[Route]:
        """Where a node listens: from our own table if it is on our host and we serve, else asked there (ESRD-CL-7).

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

    async def resolve_proxy(self, name: Atom) -> list[ProxyRoute]:  # noqa: ARG002  ESRD has none
        """RegistrarError "not supported"."""
        raise RegistrarError(error_values.UNSUPPORTED.text)

    async def resolve_application(self, name: Atom) -> list[ApplicationRoute]:  # noqa: ARG002
        """RegistrarError "not supported"."""
        raise RegistrarError(error_values.UNSUPPORTED.text)


# --- one request each -------------------------------------------------------------------------------------------------


async def register(host: str, port: int, request: bytes) -> Streams:
    """A link on which the request was granted: the lease. Otherwise it is closed (ESRD-BUG-6), and raises as `spelled`."""
    async with asyncio.timeout(esrd.REGISTER_TIMEOUT):
        reader, writer = await asyncio.open_connection(host, port, family=socket.AF_INET)
        try:
            keep_alive(writer.get_extra_info("socket"), esrd.CLIENT_KEEP_ALIVE)
            writer.write(request)
            reply = await _packet(reader)
            if not isinstance(reply, RegisterReply):  # upstream starts unregistered (ESRD-CL-5)
                raise RegistrarError(error_values.MALFORMED.text)
            if reply.Error is not None:
                raise RegistrarError(reply.Error.text)
        except BaseException:
            writer.close()
            raise
    return reader, writer


async def ask(host: str, port: int, name: Atom) -> ResolveReply:
    """One resolve request, one reply, no second try (ESRD-CL-8). Raises RegistrarError."""
    with spelled():
        request = write(ResolveRoutes(name))
        async with asyncio.timeout(esrd.RESOLVE_TIMEOUT):
            reply = await _exchange(host, port, request)
    if len(reply) > esrd.MAX_RESOLVE_REPLY:
        raise RegistrarError(error_values.MALFORMED.text)
    message = _message(reply)
    if not isinstance(message, ResolveReply):  # upstream takes it for no routes (ESRD-CL-10)
        raise RegistrarError(error_values.MALFORMED.text)
    return message


async def _exchange(host: str, port: int, request: bytes) -> bytes:
    """Sends a datagram from a socket of its own: the first one that comes back there (ESRD-CL-9)."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)  # every server has IPv4
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Asker(answer), remote_addr=(str(found[0][4][0]), port), family=found[0][0]
    )
    try:
        transport.sendto(request)
        return await answer
    finally:
        transport.close()


class _Asker(asyncio.DatagramProtocol):
    """Waits for one datagram."""

    def __init__(self, answer: "asyncio.Future[bytes]") -> None:
        self.answer = answer

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002  the socket is connected
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _packet(reader: asyncio.StreamReader) -> Message:
    """The packet a stream begins with, in however many pieces. Raises EOFError if there is nothing, RegistrarError."""
    data = b""
    while (size := _size(data)) is None or len(data) < size:
        chunk = await reader.read(esrd.MAX_REGISTER_REPLY)
        if not chunk:
            raise RegistrarError(error_values.MALFORMED.text) if data else EOFError
        data += chunk
    return _message(data[:size])  # what comes behind it means nothing (ESRD-REG-9)


def _size(data: bytes) -> int | None:
    """Bytes of the reply that begins here, once that is known. Raises RegistrarError for what can't become one."""
    try:
        size = check_header(data)
    except Rejected:
        raise RegistrarError(error_values.MALFORMED.text) from None
    if size is not None and size > esrd.MAX_REGISTER_REPLY:
        raise RegistrarError(error_values.MALFORMED.text)
    return size


async def until_lost(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Waits for the end of a lease. What comes on it means nothing (ESRD-REG-9)."""
    with contextlib.suppress(OSError):
        while await reader.read(esrd.MAX_REGISTER_REPLY):
            pass
    await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    """Closes a link, however it ended."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _message(data: bytes) -> Message:
    try:
        return read(data)
    except Rejected as refusal:
        log.info("a registrar's reply is refused: %s", refusal)
        raise RegistrarError(error_values.MALFORMED.text) from None


@contextlib.contextmanager
def spelled() -> Iterator[None]:
    """Makes a RegistrarError of what goes wrong, in the framework's words (ESRD-CL-2)."""
    try:
        yield
    except TimeoutError:
        raise RegistrarError("i/o timeout") from None
    except EOFError:
        raise RegistrarError("EOF") from None
    except socket.gaierror:
        raise RegistrarError("no such host") from None
    except OSError as error:
        raise RegistrarError((os.strerror(error.errno) if error.errno else str(error)).lower()) from None
    except (CannotEncode, UnicodeError):  # a name that no packet or no host can have
        raise RegistrarError(error_values.INCORRECT.text) from None


def keep_alive(sock: socket.socket | None, seconds: int) -> None:
    """Notices the loss of the other machine (ESRD-TR-7)."""
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
