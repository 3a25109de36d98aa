"""The embedded registrar on sockets: a server alone, and what a node uses: the server if it can be, else a client.

Where upstream answers a resolve from another address than was asked (ESRD-TR-6), takes a wrong reply for a good one
(ESRD-CL-5, -10) or leaves sockets open (ESRD-BUG-6), this is done right.
"""

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any, Final, cast

from ..errors import Rejected
from ..model import esrd, reasons
from ..model.esrd import Message, RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes, Route
from ..model.terms import Atom
from .ergo.esrd import LinkState, Registration, Table, check_header, read, write
from .interfaces import RegistrarError

log = logging.getLogger("ergo_conformance.node")

PORT_TRIES: Final = 50
"""To find a port that is free for TCP and UDP alike."""
_PKTINFO: Final = struct.Struct("=I4s4s")  # interface, local address, destination
_IP_PKTINFO: Final = getattr(socket, "IP_PKTINFO", 8)


class _ServerLink(asyncio.Protocol):
    """A registration link at the server."""

    def __init__(self, table: Table, links: "set[_ServerLink]") -> None:
        self.registration = Registration(table)
        self.links = links
        self.transport: asyncio.Transport | None = None
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.links.add(self)
        self.timer = asyncio.get_running_loop().call_later(esrd.REGISTER_TIMEOUT, self.close)

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        answer = self.registration.receive(data)
        if answer:
            self.transport.write(answer)
        if self.registration.state is LinkState.REGISTERED and self.timer is not None:
            self.timer.cancel()
        if self.registration.state is LinkState.CLOSED:
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
        self.table = Table()
        self.host, self.port = host, port
        self._server: asyncio.Server | None = None
        self._datagrams: socket.socket | None = None
        self._links: set[_ServerLink] = set()

    async def start(self) -> None:
        """Opens both sockets, TCP first. Raises OSError, and nothing is open then (ESRD-TR-2)."""
        for left in range(PORT_TRIES if not self.port else 1, 0, -1):
            try:
                await self._start(self.port)
            except OSError:
                if left == 1:
                    raise
            else:
                return

    async def _start(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _ServerLink(self.table, self._links), self.host, port, family=socket.AF_INET
        )
        bound = server.sockets[0].getsockname()[1]
        try:
            self._datagrams = _udp_socket(bound)
        except OSError:
            server.close()
            await server.wait_closed()
            raise
        self._server, self.port = server, bound
        loop.add_reader(self._datagrams, self._resolve)

    def _resolve(self) -> None:
        """Answers a datagram from the address that it was sent to."""
        assert self._datagrams is not None
        with contextlib.suppress(OSError):
            data, ancillary, _, client = self._datagrams.recvmsg(esrd.MAX_RESOLVE, socket.CMSG_SPACE(_PKTINFO.size))
            answer = self.table.answer(data)
            if answer is not None:
                self._datagrams.sendmsg([answer], _from_there(ancillary), 0, client)

    async def stop(self) -> None:
        """Ends all leases and closes the sockets."""
        if self._datagrams is not None:
            asyncio.get_running_loop().remove_reader(self._datagrams)
            self._datagrams.close()
            self._datagrams = None
        if self._server is not None:
            self._server.close()
            for link in list(self._links):
                link.close()
            await self._server.wait_closed()
            self._server = None


def _udp_socket(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind(("", port))
    except OSError:
        sock.close()
        raise
    return sock


def _from_there(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """What makes a reply leave from the address that the request came to; the interface is the kernel's choice."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _, local, _ = _PKTINFO.unpack(data[: _PKTINFO.size])
            return [(level, kind, _PKTINFO.pack(0, local, bytes(4)))]
    return []


# --- what a node uses -------------------------------------------------------------------------------------------------


class EsrdRegistrar:
    """The embedded registrar of one node. `hidden`: it registers nowhere and serves nobody, it only resolves."""

    def __init__(
        self,
        *,
        name: Atom,
        host: str = "localhost",
        port: int = esrd.PORT,
        disable_server: bool = False,
        hidden: bool = False,
    ) -> None:
        self.name, self.host, self.port = name, host, port
        self.disable_server, self.hidden = disable_server, hidden
        self.server: EsrdServer | None = None
        self._routes: list[Route] = []
        self._lease: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def serving(self) -> bool:
        """Whether this node is the registrar of its host."""
        return self.server is not None

    @property
    def registered(self) -> bool:
        """Whether the name is ours now."""
        return self.serving or self._lease is not None

    async def start(self, routes: Sequence[Route]) -> None:
        """Becomes the server, or registers with it. Raises RegistrarError; there is no second try (ESRD-CL-2)."""
        self._routes = list(routes)
        if self.hidden:
            return
        await self._become_known()
        if not self.serving:
            self._watch = asyncio.get_running_loop().create_task(self._stay_known())

    async def _become_known(self) -> None:
        if not self.disable_server and await self._serve():
            return
        await self._register()

    async def _serve(self) -> bool:
        server = EsrdServer(self.host, self.port)
        try:
            await server.start()
        except OSError:
            return False
        reply = server.table.register(self.name, self._routes)
        if reply.Error is not None:
            await server.stop()
            raise RegistrarError(reply.Error.text)
        self.server, self.port = server, server.port
        return True

    async def _register(self) -> None:
        try:
            reader, writer = await asyncio.open_connection(self.host, self.port, family=socket.AF_INET)
        except OSError as error:
            raise RegistrarError(_spelled(error)) from None
        try:
            _keep_alive(writer.get_extra_info("socket"))
            writer.write(write(RegisterRoutes(self.name, self._routes)))
            async with asyncio.timeout(esrd.REGISTER_TIMEOUT):
                reply = await _packet(reader)
        except TimeoutError:
            writer.close()
            raise RegistrarError("i/o timeout") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            writer.close()
            raise RegistrarError("EOF" if isinstance(error, asyncio.IncompleteReadError) else _spelled(error)) from None
        except RegistrarError:
            writer.close()
            raise
        if not isinstance(reply, RegisterReply):  # upstream starts unregistered (ESRD-CL-5)
            writer.close()
            raise RegistrarError(reasons.MALFORMED.text)
        if reply.Error is not None:
            writer.close()
            raise RegistrarError(reply.Error.text)
        self._lease = reader, writer

    async def _stay_known(self) -> None:
        """As long as we are a client: when the link ends, serve or register again, at once and then every second."""
        while not self.serving:
            if self._lease is not None:
                await self._until_lost(*self._lease)
                self._lease = None
            try:
                await self._become_known()
            except RegistrarError as error:
                log.info("%r is not registered: %s", self.name, error)
                await asyncio.sleep(esrd.RETRY)

    @staticmethod
    async def _until_lost(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What comes on a registered link means nothing (ESRD-REG-9)."""
        with contextlib.suppress(OSError):
            while await reader.read(esrd.MAX_REGISTER_REPLY):
                pass
        writer.close()

    async def stop(self) -> None:
        """Gives the name back; as the server: lets the others find a new one."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None
        if self._lease is not None:
            self._lease[1].close()
            self._lease = None
        if self.server is not None:
            await self.server.stop()
            self.server = None

    # --- resolving ----------------------------------------------------------------------------------------------------

    async def resolve(self, name: Atom) -> list[Route]:
        """Where a node listens: from our own table if it is on our host and we serve, else asked there (ESRD-CL-7).

        Raises RegistrarError.
        """
        node, _, host = name.partition("@")
        if not node or not host or "@" in host:
            raise RegistrarError(reasons.INCORRECT.text)
        if self.server is not None and host == self.name.partition("@")[2]:
            return _routes_of(self.server.table.resolve(name))
        return _routes_of(await ask(host, self.port, name))


def _routes_of(reply: ResolveReply) -> list[Route]:
    if reply.Error is not None:
        raise RegistrarError(reply.Error.text)
    return list(reply.Routes or ())


async def ask(host: str, port: int, name: Atom) -> ResolveReply:
    """One resolve request, one reply, no second try. Raises RegistrarError."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    try:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Asker(answer), remote_addr=(host, port), family=socket.AF_INET
        )
    except OSError as error:
        raise RegistrarError(_spelled(error)) from None
    try:
        transport.sendto(write(ResolveRoutes(name)))
        async with asyncio.timeout(esrd.RESOLVE_TIMEOUT):
            reply = _message(await answer)
    except TimeoutError:
        raise RegistrarError("i/o timeout") from None
    except OSError as error:
        raise RegistrarError(_spelled(error)) from None
    finally:
        transport.close()
    if not isinstance(reply, ResolveReply):  # upstream takes it for no routes (ESRD-CL-10)
        raise RegistrarError(reasons.MALFORMED.text)
    return reply


class _Asker(asyncio.DatagramProtocol):
    """Only the first datagram counts (ESRD-CL-9)."""

    def __init__(self, answer: "asyncio.Future[bytes]") -> None:
        self.answer = answer

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002  the socket is connected
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _packet(reader: asyncio.StreamReader) -> Message:
    """The next packet of a stream. Raises IncompleteReadError at its end, RegistrarError for what is no reply."""
    head = await reader.readexactly(esrd.HEADER_LENGTH)
    try:
        size = check_header(head) or 0
    except Rejected:
        raise RegistrarError(reasons.MALFORMED.text) from None
    if size > esrd.MAX_REGISTER_REPLY:
        raise RegistrarError(reasons.MALFORMED.text)
    return _message(head + await reader.readexactly(size - esrd.HEADER_LENGTH))


def _message(data: bytes) -> Message:
    try:
        return read(data)
    except Rejected as refusal:
        log.info("a registrar's reply is refused: %s", refusal)
        raise RegistrarError(reasons.MALFORMED.text) from None


def _spelled(error: OSError) -> str:
    """As the framework spells what went wrong."""
    return (os.strerror(error.errno) if error.errno else str(error)).lower()


def _keep_alive(sock: socket.socket | None) -> None:
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), esrd.CLIENT_KEEP_ALIVE)
