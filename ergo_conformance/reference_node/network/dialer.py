"""Dialing: one connection per peer, and more links for those that exist."""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, NamedTuple, TypeVar, cast

from ...model.ergo import ehs
from ...model.ergo.ehs import Role
from ...model.values import Atom
from ..api import Connection, Handshake, NetworkDial, NetworkHandshake, NetworkProto
from ..api.handshake import ClosedError, HandshakeError, LinkFacts, Local, Membership, SilentError, Token
from ..connection.backoff import Pauses
from ..connection.link import Address, Dial, LinkProtocol, Links, log
from ..connection.table import Connections, DuplicateError, RefusedError

T = TypeVar("T")


class Stack(NamedTuple):
    """What is spoken over a link, and what we bring into it."""

    handshake: NetworkHandshake
    proto: NetworkProto
    local: Local


class Dialing:
    """The dials of one node. `make`: a connection of a stack's proto; `token`: entropy of handshakes."""

    def __init__(
        self,
        connections: Connections[Connection],
        links: Links,
        dial: Dial,
        token: Token,
        make: Callable[[NetworkProto], Callable[..., Connection]],
    ) -> None:
        self.connections = connections
        self._links = links
        self.open_link = dial
        self._token = token
        self._make = make
        self._tasks: set[asyncio.Task[Any]] = set()
        self._dials: dict[Atom, asyncio.Task[Connection]] = {}
        self.pauses: Final = Pauses()

    def protocol(
        self,
        stack: Stack,
        wanted: Atom | None = None,
        *,
        fingerprint: bytes | None = None,
        joining: Membership | None = None,
        dialer: Callable[[Connection], NetworkDial] | None = None,
    ) -> LinkProtocol:
        """Our end of a link that we open. `fingerprint` stands in for TLS; `dialer` makes what opens more links."""

        def handshake(address: str, seen: bytes | None) -> Handshake:
            facts = LinkFacts(self._token, address, seen)
            if joining is None:
                return stack.handshake.start(stack.local, facts)
            return stack.handshake.join(stack.local, facts, joining)

        return LinkProtocol(
            self.connections, self._links, Role.DIALER, handshake,
            fingerprint=fingerprint, wanted=wanted, make=self._make(stack.proto), dialer=dialer,
        )  # fmt: skip

    async def connect(self, address: Address, wanted: Atom | None, stack: Stack) -> Connection:
        """The connection with the peer at this address, dialed if there is none, with all links that can be had.

        `wanted`: who is expected there; an open connection, a dial and an accept in progress with that name are used.
        Raises OSError (no link), HandshakeError (closed or wrong answer), RefusedError (not who it should be).
        """
        if wanted is None:
            return await self._shared(self.spawn(self._connect(address, None, stack)))
        while self.connections.is_accepting(wanted):
            await self._links.change()
        if wanted in self.connections.connections:
            return self.connections.connections[wanted]
        dial = self._dials.get(wanted)
        if dial is None:
            self._dials[wanted] = dial = self.spawn(self._connect(address, wanted, stack))
            dial.add_done_callback(lambda _: self._dials.pop(wanted, None))
        return await self._shared(dial)

    @staticmethod
    async def _shared(dial: "asyncio.Task[Connection]") -> Connection:
        """What a dial gives to those who wait for it. If it is given up (`stop`), they are not cancelled: they hear of it."""
        await asyncio.wait([dial])
        if dial.cancelled():
            raise HandshakeError("the node has stopped")
        return dial.result()

    async def _connect(self, address: Address, wanted: Atom | None, stack: Stack) -> Connection:
        if wanted is not None and (left := self.pauses.left(wanted, asyncio.get_running_loop().time())):
            await asyncio.sleep(left)  # a peer that takes us and lets go is not stormed, however it is used (ENP-RED-4)
            if wanted in self.connections.connections:
                return self.connections.connections[wanted]
        more: list[_MoreLinks] = []

        def dialer(connection: Connection) -> NetworkDial:
            more.append(_MoreLinks(self, connection, address, stack))
            return more[-1]

        with self.connections.dialing(wanted):
            try:
                connection = await self.open(partial(self.protocol, stack, wanted, dialer=dialer), address)
            except DuplicateError as error:
                return self.connections.connections[error.connection.name]
            except (OSError, HandshakeError, RefusedError):
                other = await self._connected_meanwhile(wanted)
                if other is None:
                    raise
                return other
        for dial in more:
            await dial.idle()
        if self.connections.connections.get(connection.name) is not connection:
            raise RefusedError(f"{connection.name!r} has ended the connection again")
        return connection

    async def open(self, protocol: Callable[[], LinkProtocol], address: Address) -> Connection:
        """Opens one link and waits for its handshake. Raises as `connect`, and DuplicateError."""
        links: list[LinkProtocol] = []

        def make() -> LinkProtocol:
            links.append(protocol())
            return links[-1]

        try:
            await self.open_link(make, address)
            outcome = links[-1].outcome
            assert outcome is not None
            return cast("Connection", await outcome)  # the table makes no others
        except asyncio.CancelledError:
            for link in links:
                link.abort()
            raise

    async def _connected_meanwhile(self, name: Atom | None) -> Connection | None:
        """Our dial failed: the peer may be dialing us, and its dial is the one that counts."""
        if name is None:
            return None
        try:
            async with asyncio.timeout(ehs.READ_TIMEOUT):
                while name not in self.connections.connections and self._links.accepting:
                    await self._links.change()
        except TimeoutError:
            pass
        return self.connections.connections.get(name)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Gives up all dials that are going on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Does some work that ends with the node."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # whoever asked may be gone
        return task


class _MoreLinks:
    """Opens further links of one connection (interfaces.NetworkDial)."""

    def __init__(self, dialing: Dialing, connection: Connection, address: Address, stack: Stack) -> None:
        self._dialing, self._address, self._stack = dialing, address, stack
        self._peer = connection.peer
        self._going_on: set[asyncio.Task[bool]] = set()

    def __call__(self, address: str) -> "asyncio.Task[bool]":
        task = self._dialing.spawn(self._open(address))
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        return task

    async def _open(self, announced: str) -> bool:
        """Opens a link where the peer announced it, else where the first one went."""
        peer, first = self._peer, self._address
        address = Address.parse(announced, first.tls) or first
        membership = Membership(peer.node, peer.connection_id)
        protocol = partial(self._dialing.protocol, self._stack, joining=membership)
        for where in dict.fromkeys((address, first)):
            try:
                await self._dialing.open(protocol, where)
            except (HandshakeError, RefusedError):
                return False  # logged where it was refused
            except (OSError, UnicodeError) as error:
                log.info("a link to %r: %s:%d: %s", peer.node, where.host, where.port, why(error))
            else:
                return True
        return False

    async def idle(self) -> None:
        """Waits until the links that were asked for at the beginning are there, or have failed."""
        if self._going_on:
            await asyncio.wait(self._going_on)


def cause_of(error: Exception) -> str:
    """What went wrong with a dial, as the framework says it (NAPI-CON-4)."""
    match error:
        case ClosedError():
            return "EOF"
        case ssl.SSLCertVerificationError():
            return f"x509: {error.verify_message}"
        case ssl.SSLError():  # its errno is one of OpenSSL's
            return f"tls: {error.reason or error}".lower()
        case TimeoutError() | SilentError():
            return "i/o timeout"
        case socket.gaierror() | UnicodeError():  # no name of a host has more than 63 characters between its dots
            return "no such host"
        case ConnectionResetError(errno=None):  # in the middle of a TLS handshake
            return "EOF"
        case OSError():
            number = error.errno or _last_number(str(error))
            return (os.strerror(number) if number else why(error)).lower()
    return str(error)


def _last_number(text: str) -> int | None:
    """Of the last one of several failures: asyncio tries all addresses of a host, and tells all in one text."""
    found = re.findall(r"\[Errno (\d+)\]", text)
    return int(found[-1]) if found else None


def why(error: Exception) -> str:
    """What went wrong, in a few words."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
