"""Dialing: opens one connection per peer, and more sockets for connections that exist."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, TypeVar, cast

from ...model.ergo.ehs import Role
from ...model.values import Atom
from ..api import Connection, HandshakeSession, NetworkProto, OpenSocket
from ..api.errors import HandshakeError, RefusedError
from ..api.handshake import ConnectionRef, RandomHex, SocketInfo
from ..connection.backoff import ReconnectBackoff
from ..connection.dial_errors import describe
from ..connection.socket_protocol import SocketProtocol, SocketSetup
from ..connection.socket_registry import SocketRegistry
from ..connection.table import ConnectionTable, DuplicateError, MakeConnection
from ..connection.tcp import Dial, SocketAddress
from .stack import Stack

log = logging.getLogger("ergo_conformance.node")

T = TypeVar("T")


class NodeDialer:
    """The dials of one node.

    `dial`: opens sockets.  `random_hex`: source of salts.  `connection_maker`: returns the function that makes connections of a
    proto.
    """

    def __init__(
        self,
        table: ConnectionTable[Connection],
        sockets: SocketRegistry,
        dial: Dial,
        random_hex: RandomHex,
        connection_maker: Callable[[NetworkProto], MakeConnection[Connection]],
    ) -> None:
        self._table = table
        self._sockets = sockets
        self._dial = dial
        self._random_hex = random_hex
        self._connection_maker = connection_maker
        self._tasks: set[asyncio.Task[Any]] = set()
        self._dials: dict[Atom, asyncio.Task[Connection]] = {}
        self.backoff: Final = ReconnectBackoff()

    def protocol(
        self,
        stack: Stack,
        wanted: Atom | None = None,
        *,
        fingerprint: bytes | None = None,
        joining: ConnectionRef | None = None,
        make_opener: Callable[[Connection], OpenSocket] | None = None,
    ) -> SocketProtocol:
        """Makes our end of a socket that we open. `fingerprint` replaces that of TLS; `make_opener`: see SocketSetup."""

        def make_handshake(address: str, seen: bytes | None) -> HandshakeSession:
            info = SocketInfo(self._random_hex, address, seen)
            if joining is None:
                return stack.handshake.start(stack.local, info)
            return stack.handshake.join(stack.local, info, joining)

        return SocketProtocol(self._table, self._sockets, SocketSetup(
            role=Role.DIALER, make_handshake=make_handshake, make_connection=self._connection_maker(stack.proto),
            deadlines=stack.handshake.deadlines, flow_limits=stack.proto.flow_limits,
            fingerprint=fingerprint, wanted=wanted, make_opener=make_opener,
        ))  # fmt: skip

    async def connect(self, endpoint: SocketAddress, wanted: Atom | None, stack: Stack) -> Connection:
        """Returns the connection with the peer at this address, dialing it if needed, with as many sockets as possible.

        `wanted`: the expected name; an open connection, a dial and an accept in progress with that name are used.  Raises
        OSError (no socket), HandshakeError (closed or wrong answer), RefusedError (another name).
        """
        if wanted is None:
            return await self._shared(self.spawn(self._connect(endpoint, None, stack)))
        while self._table.is_accepting(wanted):
            await self._sockets.wait_for_change()
        if wanted in self._table.connections:
            return self._table.connections[wanted]
        dial = self._dials.get(wanted)
        if dial is None:
            self._dials[wanted] = dial = self.spawn(self._connect(endpoint, wanted, stack))
            dial.add_done_callback(lambda _: self._dials.pop(wanted, None))
        return await self._shared(dial)

    @staticmethod
    async def _shared(dial: "asyncio.Task[Connection]") -> Connection:
        """Returns the result of a dial that several callers wait for; HandshakeError if `stop` has cancelled it."""
        await asyncio.wait([dial])
        if dial.cancelled():
            raise HandshakeError("the node has stopped")
        return dial.result()

    async def _connect(self, endpoint: SocketAddress, wanted: Atom | None, stack: Stack) -> Connection:
        if wanted is not None and (delay := self.backoff.remaining(wanted, asyncio.get_running_loop().time())):
            await asyncio.sleep(delay)  # a peer that accepts and disconnects at once is dialed with delays (ENP-RED-4)
            if wanted in self._table.connections:
                return self._table.connections[wanted]
        openers: list[_SocketOpener] = []

        def make_opener(connection: Connection) -> OpenSocket:
            openers.append(_SocketOpener(self, connection, endpoint, stack))
            return openers[-1]

        with self._table.dialing(wanted):
            try:
                protocol = partial(self.protocol, stack, wanted, make_opener=make_opener)
                connection = await self.open(protocol, endpoint, stack.handshake.deadlines.connect)
            except DuplicateError as error:
                return self._table.connections[error.connection.name]
            except (OSError, HandshakeError, RefusedError):
                other = await self._accepted_meanwhile(wanted, stack.handshake.deadlines.read)
                if other is None:
                    raise
                return other
        for opener in openers:
            await opener.idle()
        if self._table.connections.get(connection.name) is not connection:
            raise RefusedError(f"{connection.name!r} has ended the connection again")
        return connection

    async def open(self, protocol: Callable[[], SocketProtocol], endpoint: SocketAddress, timeout: float) -> Connection:
        """Opens one socket within `timeout` seconds, and waits for its handshake. Raises as `connect`, and DuplicateError."""
        made: list[SocketProtocol] = []

        def make() -> SocketProtocol:
            made.append(protocol())
            return made[-1]

        try:
            async with asyncio.timeout(timeout):
                await self._dial(make, endpoint)
            outcome = made[-1].outcome
            assert outcome is not None
            return cast("Connection", await outcome)  # the table has no other connections
        except asyncio.CancelledError:
            for socket in made:
                socket.abort()
            raise

    async def _accepted_meanwhile(self, name: Atom | None, timeout: float) -> Connection | None:
        """After a failed dial: waits for the connection of a dial of the peer, which may have won."""
        if name is None:
            return None
        try:
            async with asyncio.timeout(timeout):
                while name not in self._table.connections and self._sockets.accepting:
                    await self._sockets.wait_for_change()
        except TimeoutError:
            pass
        return self._table.connections.get(name)

    async def stop(self) -> None:
        """Cancels all dials in progress."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Runs work that ends with the node."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # The caller may have been cancelled: an exception that nobody retrieves would be logged.
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return task


class _SocketOpener:
    """Opens further sockets of one connection (api.OpenSocket)."""

    def __init__(self, dialer: NodeDialer, connection: Connection, first: SocketAddress, stack: Stack) -> None:
        self._dialer, self._first, self._stack = dialer, first, stack
        self._peer = connection.peer
        self._running: set[asyncio.Task[bool]] = set()

    def __call__(self, address: str) -> "asyncio.Task[bool]":
        task = self._dialer.spawn(self._open(address))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _open(self, announced: str) -> bool:
        """Opens a socket to the announced address, else to the address of the first socket."""
        peer, first = self._peer, self._first
        joining = ConnectionRef(peer.node, peer.connection_id)
        protocol = partial(self._dialer.protocol, self._stack, joining=joining)
        for endpoint in dict.fromkeys((SocketAddress.parse(announced, first.tls) or first, first)):
            try:
                await self._dialer.open(protocol, endpoint, self._stack.handshake.deadlines.connect)
            except (HandshakeError, RefusedError):
                return False  # logged by the socket
            except OSError as error:
                log.info("a socket to %r: %s:%d: %s", peer.node, endpoint.host, endpoint.port, describe(error))
            else:
                return True
        return False

    async def idle(self) -> None:
        """Waits until the sockets requested so far have joined or failed."""
        if self._running:
            await asyncio.wait(self._running)
