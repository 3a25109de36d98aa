"""A listening socket: accepts a few connections per turn, survives a lack of descriptors, and bounds what TLS costs.

asyncio's TLS reserves 256 KiB for a connection as soon as TCP has accepted it, and leaves them in a cycle of references when
the connection ends.  Here TLS begins with the first byte of the client: one that stays silent costs its descriptor, counts as
an unfinished handshake, and has the deadline of one.  The cycles are collected regularly.
"""

import asyncio
import contextlib
import errno
import gc
import logging
import os
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from ...errors import ErgoConformanceError
from ...model.ergo.ehs import Role
from .socket_registry import SocketRegistry
from .tcp import TLS_SHUTDOWN_TIMEOUT

log = logging.getLogger("ergo_conformance.node")

BACKLOG: Final = 512
ACCEPTED_PER_TURN: Final = 32
MAX_TLS: Final = 128
"""TLS handshakes at once. When exceeded, the oldest is dropped: a genuine one takes milliseconds."""
COLLECT_AFTER: Final = 128
"""TLS handshakes after which the garbage of ended ones is collected: the interpreter counts objects, not their size."""
PAUSE: Final = 0.1
"""Seconds until connections are accepted again after a lack of descriptors or memory."""

SHORTAGES: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""Errors of accept that leave the connection in the queue: the socket stays readable."""

MakeProtocol = Callable[[], asyncio.Protocol]


class ListeningSocket(Protocol):
    """What a node needs of a listening socket."""

    @property
    def port(self) -> int:
        """The port."""

    def close(self) -> None:
        """Stops listening. Accepted connections continue."""

    async def wait_closed(self) -> None:
        """Waits until the connections that were accepted before `close` are open or have failed."""


class Listen(Protocol):
    """Opens a listening socket; `listen` is the one of the machine's network."""

    async def __call__(
        self,
        host: str,
        port: int,
        registry: SocketRegistry,
        protocol: MakeProtocol,
        tls: ssl.SSLContext | None = None,
        tls_timeout: float = 0.0,
    ) -> ListeningSocket:
        """Listens on one address. Raises OSError and UnicodeError."""


async def listen(
    host: str,
    port: int,
    registry: SocketRegistry,
    protocol: MakeProtocol,
    tls: ssl.SSLContext | None = None,
    tls_timeout: float = 0.0,
) -> "TcpListener":
    """Listens on one address. Raises OSError and UnicodeError. The arguments are those of TcpListener.

    A name is resolved to IPv4 only: with port 0 there must not be two different ports.  An empty host is all addresses.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sock = socket.create_server((str(found[0][4][0]), port), family=family, backlog=BACKLOG)
    return TcpListener(sock, registry, protocol, tls, tls_timeout)


class TcpListener:
    """A listening socket. `protocol`: called for each accepted connection; `tls_timeout`: seconds for a TLS handshake."""

    def __init__(
        self,
        sock: socket.socket,
        registry: SocketRegistry,
        protocol: MakeProtocol,
        tls: ssl.SSLContext | None = None,
        tls_timeout: float = 0.0,
    ) -> None:
        self.socket, self.registry, self.protocol = sock, registry, protocol
        self.tls, self.tls_timeout = tls, tls_timeout
        self.shaking: dict[TlsAccept, None] = {}
        """TLS handshakes, oldest first."""
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._lacking = False
        self._begun = 0
        sock.setblocking(False)
        self._loop.add_reader(sock, self._accept)

    @property
    def port(self) -> int:
        """The port."""
        port: int = self.socket.getsockname()[1]
        return port

    def _accept(self) -> None:
        for _ in range(ACCEPTED_PER_TURN):
            try:
                accepted, _ = self.socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in SHORTAGES:  # the connection has ended already
                    continue
                self._lack(error)
                return
            self._lacking = False
            accepted.setblocking(False)
            self._take(accepted)

    def _take(self, accepted: socket.socket) -> None:
        if self.tls is None:
            protocol = self.protocol()
            self.run(self._open(accepted, protocol))
        elif self.registry.closed:
            accepted.close()
        else:
            TlsAccept(self, accepted, self.protocol())

    async def _open(self, accepted: socket.socket, protocol: asyncio.Protocol) -> None:
        with contextlib.suppress(OSError):
            await self._loop.connect_accepted_socket(lambda: protocol, accepted)

    def _lack(self, error: OSError) -> None:
        """Pauses; drops the oldest unfinished handshake, whose descriptor may be the missing one."""
        if not self._lacking:
            log.warning("connections are not accepted: %s", os.strerror(error.errno or 0))
        self._lacking = True
        self.registry.drop_oldest()
        self._loop.remove_reader(self.socket)
        self._timer = self._loop.call_later(PAUSE, self._loop.add_reader, self.socket, self._accept)

    def count(self) -> None:
        """Counts a TLS handshake that begins."""
        self._begun += 1
        if not self._begun % COLLECT_AFTER:
            gc.collect()

    def run(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Runs work that `wait_closed` waits for."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def close(self) -> None:
        """Stops listening. Accepted connections continue."""
        if self._timer is not None:
            self._timer.cancel()
        if self.socket.fileno() >= 0:
            self._loop.remove_reader(self.socket)
            self.socket.close()

    async def wait_closed(self) -> None:
        """Waits until the connections that were accepted before `close` are open or have failed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)


class TlsAccept:
    """A connection before and during its TLS handshake. `protocol` is told when TLS is established.

    In the registry it is an unfinished handshake; it ends within the listener's `tls_timeout`.
    """

    role = Role.ACCEPTOR

    def __init__(self, listener: TcpListener, accepted: socket.socket, protocol: asyncio.Protocol) -> None:
        self._listener, self._socket, self._protocol = listener, accepted, protocol
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._established = False
        self._timer = self._loop.call_later(listener.tls_timeout, self.abort)
        self._loop.add_reader(accepted, self._shake)
        listener.registry.add(self)

    def _shake(self) -> None:
        """The client has sent its first byte, or has closed."""
        self._loop.remove_reader(self._socket)
        shaking = self._listener.shaking
        if len(shaking) >= MAX_TLS:
            next(iter(shaking)).abort()
        shaking[self] = None
        self._listener.count()
        self._task = self._listener.run(self._establish())
        self._task.add_done_callback(
            lambda _: self._end()
        )  # a task that is cancelled before its first step runs nothing

    async def _establish(self) -> None:
        listener = self._listener
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol, self._socket, ssl=listener.tls,
                ssl_handshake_timeout=listener.tls_timeout, ssl_shutdown_timeout=TLS_SHUTDOWN_TIMEOUT,
            )  # fmt: skip
            self._established = True
        except OSError as error:  # also of TLS, and a client that has become silent
            log.debug("a TLS handshake failed: %s", error)

    def _end(self) -> None:
        self._timer.cancel()
        if not self._established:
            self._socket.close()
        self._listener.shaking.pop(self, None)
        self._listener.registry.remove(self)

    def refuse(self, error: ErgoConformanceError) -> None:
        """Closes the connection."""
        log.info("refused a connection before TLS: %s", error)
        self.abort()

    def abort(self) -> None:
        """Closes the connection at once."""
        if self._task is not None:
            self._listener.shaking.pop(self, None)
            self._task.cancel()
            return
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._end()

    close = abort
