"""The asyncio skin of a link: sockets, TLS, deadlines, and how many handshakes run at once.

All time is the running loop's (`loop.time`, `loop.call_at`), so that a test may put in-memory transports and a virtual
clock underneath.  Handshakes run side by side: a silent peer costs itself its link and nobody else anything.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, cast

from ...errors import ErgoConformanceError, Rejected
from ...model.ergo import ehs, enp
from ...model.ergo.ehs import Role
from ...model.values import Atom
from ..api import Handshake, NetworkDial, Pooled
from ..api.handshake import ClosedError, HandshakeError, Handshaken, Introduced, Joined, Joining, Output, SilentError
from ..api.validation import MAX_PORT
from .table import Connections, MakeConnection, RefusedError
from .tls import fingerprint_of_der

log = logging.getLogger("ergo_conformance.node")

KEEP_ALIVE: Final = 15
"""Seconds between TCP keep-alive probes (EHS-TIME-4)."""
MAX_HANDSHAKES: Final = 512
"""Unfinished handshakes of those who dial us; one more, and the oldest goes. A real one takes milliseconds, so the
oldest is the one to suspect. Half of the file descriptors that a process usually has: connections need some, too."""
REFUSED_WITHIN: Final = 0.1
"""Seconds. A joined link that is closed this soon after its Accept, without a byte, is a refusal: the peer's Accept and FIN
leave together (EHS-DUP-3, ENP-RED-4). One that is reset was cut: the connection lives on without it."""

STOP_TIMEOUT: Final = 1.0
"""Seconds until links that don't close are cut."""
HIGH_WATER: Final = 1 << 20
"""Bytes that wait for the peer before senders are asked to slow down."""

MakeHandshake = Callable[[str, bytes | None], Handshake]
"""A handshake for a link with this own address ("host:port") and this fingerprint."""


class Address(NamedTuple):
    """Where to dial. `tls`: None is plain TCP."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, dsn: str, tls: ssl.SSLContext | None) -> "Address | None":
        """An address as peers announce it, "host:port" or "[v6]:port"; None if it is none."""
        host, _, port = dsn.rpartition(":")
        if not host or not port.isascii() or not port.isdigit() or len(port) > len(str(MAX_PORT)):
            return None
        if not 0 < int(port) <= MAX_PORT:
            return None
        return cls(host.strip("[]"), int(port), tls)


class Links:
    """Every live link of a node, and those among them whose handshake is not finished."""

    def __init__(self) -> None:
        self.live: set[LinkProtocol] = set()
        self.closed = False
        """The node has stopped: links that open late (TLS takes its time) are closed again."""
        self._accepting: dict[LinkProtocol, None] = {}  # oldest first
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def accepting(self) -> int:
        """Unfinished handshakes of those who dial us."""
        return len(self._accepting)

    def add(self, link: "LinkProtocol") -> None:
        """A link is open and its handshake begins."""
        self.live.add(link)
        if link.role is Role.ACCEPTOR:
            if len(self._accepting) >= MAX_HANDSHAKES:
                next(iter(self._accepting)).refuse(HandshakeError("too many handshakes at once"))
            self._accepting[link] = None

    def finish(self, link: "LinkProtocol") -> None:
        """The handshake of this link is over, one way or the other."""
        self._accepting.pop(link, None)
        _wake(self._waiting)

    def remove(self, link: "LinkProtocol") -> None:
        """A link is gone."""
        self.live.discard(link)
        self.finish(link)

    async def end(self) -> None:
        """Closes all links; after STOP_TIMEOUT those that are left are cut."""
        for link in list(self.live):
            link.refuse(HandshakeError("the node stops"))
            link.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._all_gone()
        except TimeoutError:
            for link in list(self.live):
                link.abort()
            await self._all_gone()

    async def _all_gone(self) -> None:
        while self.live:
            await self.change()

    async def change(self) -> None:
        """Wait until a handshake or a link has ended."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future


class LinkProtocol(asyncio.Protocol):
    """One link: a handshake first, then its bytes go to the connection.

    `outcome`, of a dialer: the connection; HandshakeError, RefusedError or DuplicateError if there is none.
    """

    def __init__(
        self,
        network: Connections[Any],
        links: Links,
        role: Role,
        handshake: MakeHandshake,
        *,
        fingerprint: bytes | None = None,
        wanted: Atom | None = None,
        make: MakeConnection[Any] | None = None,
        dialer: Callable[[Any], NetworkDial] | None = None,
    ) -> None:
        """`fingerprint`: SHA-1 of the acceptor's certificate. An acceptor is given its own; a dialer takes it from its
        TLS link, and a given one stands in where there is no TLS.  `wanted`: the name that is dialed.  `make`: makes the
        connection, if this link brings a proto of its own; `dialer` makes what opens more links for it.
        """
        self.role = role
        self.outcome: asyncio.Future[Pooled] | None = None
        self._network = network
        self._links = links
        self._make_handshake = handshake
        self.fingerprint = fingerprint
        self._wanted, self._make, self._dialer = wanted, make, dialer
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._peer = "in memory"
        self._handshake: Handshake | None = None
        self._connection: Pooled | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._latest = 0.0
        self._quiet_since: float | None = None  # of a joined link on which nothing has come yet
        self._outbox: list[bytes] = []
        self._paused = False
        self._queued = self._written = self._taken = 0
        """Bytes: in the outbox, written, and those of them that the peer had taken when we last looked."""
        self._longest = 0
        """Bytes of the longest frame that waits, if it is a long one: it has been let in, and takes its time."""
        self._relief: list[asyncio.Future[None]] = []
        if role is Role.DIALER:
            self.outcome = self._loop.create_future()
            self.outcome.add_done_callback(lambda future: future.cancelled() or future.exception())

    # --- asyncio's side -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The link is open: begin the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        _tune(transport.get_extra_info("socket"))
        self._peer = _spell(transport.get_extra_info("peername")) or self._peer  # a closed link has forgotten it
        self._links.add(self)
        fingerprint = self.fingerprint or _certificate_seen(transport.get_extra_info("ssl_object"))
        self._handshake = self._make_handshake(_spell(transport.get_extra_info("sockname")), fingerprint)
        self._latest = self._loop.time() + ehs.HANDSHAKE_TIMEOUT
        self._expect_bytes()
        try:
            if self._links.closed:
                raise HandshakeError("the node has stopped")
            self.write(self._handshake.start())
        except HandshakeError as error:
            self.refuse(error)

    def data_received(self, data: bytes) -> None:
        """Bytes for the handshake, or after it for the connection; behind a refusal for nobody."""
        if self._connection is not None:
            self._quiet_since = None
            try:
                self._connection.receive(self, data)
            except Rejected as refusal:
                self.fail(str(refusal))
        elif self._handshake is not None:
            self._expect_bytes()
            try:
                for output in self._handshake.receive(data):
                    self._act(output)
            except (HandshakeError, RefusedError) as error:
                self.refuse(error)

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write."""
        self._paused = True
        self._watch()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._paused = False
        _wake(self._relief)

    def connection_lost(self, exc: Exception | None) -> None:
        """The link is gone, whoever closed it."""
        if self._timer is not None:
            self._timer.cancel()
        self.resume_writing()
        if self._handshake is not None:
            why = f": {exc}" if exc else ""
            self.refuse(ClosedError(f"the peer closed the link during the handshake{why}"))
        connection, self._connection = self._connection, None
        if connection is not None and exc is None and self._is_quiet() and self in connection.links:
            log.info("%r does not know our connection any more: dropped", connection.name)
            self._network.drop(connection)
        self._network.lose(self)
        self._links.remove(self)

    def _is_quiet(self) -> bool:
        return self._quiet_since is not None and self._loop.time() - self._quiet_since < REFUSED_WITHIN

    # --- the connection's side ----------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send; what is written in one turn of the loop goes out together. Nothing happens on a link that is closed."""
        if not self._outbox:
            self._loop.call_soon(self._flush)
        self._outbox.append(data)
        self._queued += len(data)

    def _flush(self) -> None:
        frames, self._outbox, self._queued = self._outbox, [], 0
        data, transport = b"".join(frames), self._transport
        if transport is None or not data or transport.is_closing():
            return
        waiting = transport.get_write_buffer_size()
        if not waiting:
            self._longest = 0
        if waiting > enp.MAX_QUEUED + self._longest:
            self.fail(f"the peer does not read: {waiting:,} bytes wait for it")
            return
        self._written += len(data)
        if len(data) > HIGH_WATER:
            self._longest = max(self._longest, *map(len, frames))
            transport.write(memoryview(data))  # asyncio slices what the socket does not take at once
        else:
            transport.write(data)

    @property
    def is_congested(self) -> bool:
        """Whether the peer reads more slowly than we write, or nothing was flushed for too long."""
        return self._paused or self._queued > HIGH_WATER

    async def relieved(self) -> None:
        """Wait until it has caught up, or the link is gone."""
        if self._queued > HIGH_WATER:
            await asyncio.sleep(0)
        if self._paused:
            future = self._loop.create_future()
            self._relief.append(future)
            await future

    def _watch(self) -> None:
        """Looks after a while whether a peer that we wait for has taken anything."""
        self._taken = self._sent()
        self._set_timer(self._loop.time() + enp.STALL_TIMEOUT, self._check_progress)

    def _sent(self) -> int:
        return self._written - (self._transport.get_write_buffer_size() if self._transport else 0)

    def _check_progress(self) -> None:
        if not self._paused:
            return
        if self._sent() == self._taken:
            self.fail(f"the peer has read nothing for {enp.STALL_TIMEOUT:g} s")
        else:
            self._watch()

    def fail(self, why: str) -> None:
        """End the link for something the peer did, at once and without a word."""
        log.info("closed %s: %s", self, _printable(why))
        self.abort()

    def close(self) -> None:
        """Flush and close. What can't be flushed within the read deadline is thrown away."""
        self._connection = None
        self._flush()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._set_timer(self._loop.time() + ehs.READ_TIMEOUT, self.abort)

    def abort(self) -> None:
        """Close at once."""
        self._connection = None
        if self._transport is not None:
            self._transport.abort()

    # --- the handshake ------------------------------------------------------------------------------------------------

    def _act(self, output: Output) -> None:
        match output:
            case bytes():
                self.write(output)
            case Introduced(peer):
                self._network.introduce(self, peer, self._make)
            case Handshaken():
                connection = self._network.admit(self, output, self._wanted, self._make, self._dialer)
                self._finish(connection, output.tail)
            case Joining(link):
                self._network.joined_by(link)
            case Joined():
                connection = self._network.join(self, output)
                if self.role is Role.DIALER:
                    self._quiet_since = self._loop.time()
                self._finish(connection, output.tail)

    def _finish(self, connection: Pooled, tail: bytes) -> None:
        """The link belongs to a connection and may be silent from now on."""
        self._end_handshake()
        self._connection = connection
        log.debug("%s %r over %s", "dialed" if self.outcome else "accepted", connection.name, self)
        if self.outcome is not None and not self.outcome.done():
            self.outcome.set_result(connection)
        if tail:
            self.data_received(tail)

    def refuse(self, error: ErgoConformanceError) -> None:
        """End the handshake without a result: close, say nothing."""
        if self._handshake is None:
            return
        log.info("refused %s: %s", self, _printable(str(error)))
        self._end_handshake()
        self._network.abandon(self)
        self.close()
        if self.outcome is not None and not self.outcome.done():
            self.outcome.set_exception(error)

    def _end_handshake(self) -> None:
        self._handshake = None
        if self._timer is not None:
            self._timer.cancel()
        self._links.finish(self)

    def _expect_bytes(self) -> None:
        """A fresh deadline for the next bytes, but the whole handshake has one, too."""
        self._set_timer(min(self._loop.time() + ehs.READ_TIMEOUT, self._latest), self._late)

    def _late(self) -> None:
        self.refuse(SilentError("the peer is silent or too slow"))

    def _set_timer(self, when: float, then: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, then)

    def __str__(self) -> str:
        return f"{self.role.other.value} {self._peer}"


def _wake(waiting: list[asyncio.Future[None]]) -> None:
    """Ends all these waits; the list is empty then."""
    for future in waiting:
        if not future.done():
            future.set_result(None)
    waiting.clear()


def _printable(text: str) -> str:
    """A line of log, whatever a peer put into it."""
    return "".join(c if c.isprintable() else "?" for c in text[:300])


def _spell(name: Any) -> str:
    """A socket's address as text; empty if it has none that can be dialed."""
    if not isinstance(name, tuple):
        return ""
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _certificate_seen(tls: ssl.SSLObject | None) -> bytes | None:
    """The fingerprint of the peer's leaf certificate; None without TLS, and at acceptors: dialers show none."""
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    return fingerprint_of_der(der) if der else None


def _tune(sock: socket.socket | None) -> None:
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPINTVL"):
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), KEEP_ALIVE)


async def listen(
    protocol: Callable[[], asyncio.Protocol], host: str, port: int, tls: ssl.SSLContext | None
) -> asyncio.Server:
    """Accept links. Raises OSError. A name is looked up as IPv4: with port 0 one acceptor has to stay one port."""
    return await asyncio.get_running_loop().create_server(
        protocol,
        host,
        port,
        family=socket.AF_INET6 if ":" in host else socket.AF_INET,
        backlog=MAX_HANDSHAKES,
        ssl=tls,
        ssl_handshake_timeout=None if tls is None else ehs.READ_TIMEOUT,
        ssl_shutdown_timeout=None if tls is None else ehs.READ_TIMEOUT,
    )


async def dial(protocol: Callable[[], asyncio.Protocol], address: Address) -> None:
    """Open a link. Raises OSError, TimeoutError and ssl.SSLError included."""
    async with asyncio.timeout(ehs.CONNECT_TIMEOUT):
        await asyncio.get_running_loop().create_connection(
            protocol,
            address.host,
            address.port,
            ssl=address.tls,
            ssl_shutdown_timeout=None if address.tls is None else ehs.READ_TIMEOUT,
        )


Dial = Callable[[Callable[[], asyncio.Protocol], Address], Awaitable[None]]
"""Opens a link to an address and gives it to a new protocol. Raises OSError."""
