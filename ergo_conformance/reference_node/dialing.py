"""Dialing: one connection per peer, the links of its pool, and new links in place of lost ones."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Protocol, TypeVar, cast
from weakref import WeakKeyDictionary

from ..model import ehs
from ..model.terms import Atom
from .ergo.ehs import HandshakeError, Membership
from .ergo.enp.connection import EnpConnection
from .network import DuplicateError, Network, RefusedError
from .transport import Address, Dial, LinkProtocol, Links, log

T = TypeVar("T")

FIRST_REDIAL: Final = 0.05
"""Seconds until the second try to replace a lost link; each pause is twice as long as the one before …"""
LAST_REDIAL: Final = 5.0
"""… up to this."""
SETTLED: Final = 1.0
"""Seconds that a pool has to be full before a further loss counts as the first."""


class MakeProtocol(Protocol):
    """Makes our end of a link that we open."""

    def __call__(self, name: Atom | None = None, *, joining: Membership | None = None) -> LinkProtocol:
        """`name`: who is expected; `joining`: which connection the link is for."""


class Dialing:
    """The dials of one node."""

    def __init__(self, network: Network[EnpConnection], links: Links, dial: Dial, protocol: MakeProtocol) -> None:
        self.network = network
        self._links = links
        self._dial = dial
        self._protocol = protocol
        self._tasks: set[asyncio.Task[Any]] = set()
        self._dials: dict[Atom, asyncio.Task[EnpConnection]] = {}
        self._dialed: WeakKeyDictionary[EnpConnection, Address] = WeakKeyDictionary()
        self._refilling: set[EnpConnection] = set()
        network.link_lost = self._refill

    async def connect(self, address: Address, wanted: Atom | None) -> EnpConnection:
        """As Node.connect."""
        if wanted is None:
            return await self._spawn(self._connect(address, None))
        while self.network.is_accepting(wanted):
            await self._links.change()
        if wanted in self.network.connections:
            return self.network.connections[wanted]
        dial = self._dials.get(wanted)
        if dial is None:
            self._dials[wanted] = dial = self._spawn(self._connect(address, wanted))
            dial.add_done_callback(lambda _: self._dials.pop(wanted, None))
        return await asyncio.shield(dial)

    async def _connect(self, address: Address, wanted: Atom | None) -> EnpConnection:
        with self.network.dialing(wanted):
            try:
                connection = await self._open(partial(self._protocol, wanted), address)
            except DuplicateError as error:
                return self.network.connections[error.connection.name]
            except (OSError, HandshakeError, RefusedError):
                other = await self._connected_meanwhile(wanted)
                if other is None:
                    raise
                return other
        self._dialed[connection] = address
        await asyncio.gather(*(self._join(connection, i, address) for i in range(1, connection.peer.pool_size)))
        return connection

    async def _open(self, protocol: Callable[[], LinkProtocol], address: Address) -> EnpConnection:
        """Open one link and wait for its handshake."""
        links: list[LinkProtocol] = []

        def make() -> LinkProtocol:
            links.append(protocol())
            return links[-1]

        try:
            await self._dial(make, address)
            outcome = links[-1].outcome
            assert outcome is not None
            return cast("EnpConnection", await outcome)  # the network makes no others
        except asyncio.CancelledError:
            for link in links:
                link.abort()
            raise

    async def _connected_meanwhile(self, name: Atom | None) -> EnpConnection | None:
        """Our dial failed: the peer may be dialing us, and its dial is the one that counts."""
        if name is None:
            return None
        try:
            async with asyncio.timeout(ehs.READ_TIMEOUT):
                while name not in self.network.connections and self._links.accepting:
                    await self._links.change()
        except TimeoutError:
            pass
        return self.network.connections.get(name)

    async def _join(self, connection: EnpConnection, number: int, dialed: Address) -> None:
        """Open link `number` of the pool (0: the first) where the peer announced it, else where that one went."""
        peer = connection.peer
        dsns = peer.pool_dsns
        announced = Address.parse(dsns[number % len(dsns)], dialed.tls) if dsns else None
        protocol = partial(self._protocol, joining=Membership(peer.node, peer.connection_id))
        for address in dict.fromkeys((announced or dialed, dialed)):
            try:
                await self._open(protocol, address)
            except (HandshakeError, RefusedError):
                return  # logged where it was refused
            except (OSError, UnicodeError) as error:
                log.info("link %d to %r: %s:%d: %s", number, peer.node, address.host, address.port, why(error))
            else:
                return

    # --- keeping the pool ---------------------------------------------------------------------------------------------

    def _refill(self, connection: EnpConnection) -> None:
        """A link of a pool is gone: who dialed it replaces it."""
        if connection in self._dialed and connection not in self._refilling and not self._links.closed:
            self._refilling.add(connection)
            self._spawn(self._keep_full(connection))

    async def _keep_full(self, connection: EnpConnection) -> None:
        """Joins until the pool is full and has stayed so for a while, with growing pauses (ENP-RED-4)."""
        pause, settled, size = FIRST_REDIAL, 0.0, connection.peer.pool_size
        while self.network.connections.get(connection.name) is connection and (
            settled < SETTLED or len(connection.links) < size
        ):
            if len(connection.links) < size:
                settled = 0.0
                await self._join(connection, len(connection.links), self._dialed[connection])
            else:
                settled += pause
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_REDIAL)
        self._refilling.discard(connection)  # a loss from now on is a new one

    # --- the end ------------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Gives up all dials that are going on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # whoever asked may be gone
        return task


def why(error: Exception) -> str:
    """What went wrong, in a few words."""
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
