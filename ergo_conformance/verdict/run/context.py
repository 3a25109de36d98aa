"""What a case has in hand while it runs: links to the target, good dialers, and a seeded source of randomness."""

import asyncio
import random
from collections.abc import Mapping
from typing import Any

from ...model.ergo.caches import NO_CACHES, Caches
from ...model.ergo.ehs import Accept, Flags, HandshakeState
from ...model.ergo.saturn import NodeJoined
from ...model.values import Atom, Error
from ...peers.ergo.connection import Peer
from ...peers.ergo.esrd_client import Datagrams, Registrant
from ...peers.ergo.handshake import Dialer, Facts
from ...peers.ergo.saturn_client import Subscriber
from ...peers.link import Link
from ...peers.transcript import Transcript
from ...peers.violation import UnreachableError, ViolationError
from ...targets.base import RunningTarget

SERVED_WITHIN = 5.0
"""Seconds in which a good peer has to be served after a hostile case."""


class SkippedError(Exception):
    """This target can't show what the case is about; the text says why."""


class Context:
    """One case against one target."""

    def __init__(self, running: RunningTarget, rng: random.Random) -> None:
        self.target = running
        self.rng = rng
        self.links: list[Link] = []
        self.datagrams: list[Datagrams] = []
        self.cluster = f"cluster-{rng.randrange(16**8):08x}"
        """Cases don't meet in it."""

    @property
    def facts(self) -> Facts:
        return self.target.facts

    @property
    def config(self) -> Mapping[str, Any]:
        return self.target.config

    async def link(self, label: str = "") -> Link:
        """A connection on which nothing was said yet."""
        try:
            link = await self.target.link(label or f"link {len(self.links) + 1}")
        except UnreachableError as error:
            raise ViolationError(str(error), ("a connection",)) from None
        self.links.append(link)
        return link

    async def dial(self, name: str | None = None, state: HandshakeState = HandshakeState.AWAIT_HELLO) -> Dialer:
        """A dialer on a new link, its handshake played well until the acceptor is in `state`."""
        dialer = Dialer(await self.link(), self.facts, self.rng, name)
        await dialer.reach(state)
        return dialer

    async def connected(self, name: str | None = None) -> tuple[Dialer, Accept]:
        """A dialer whose handshake is done."""
        dialer = await self.dial(name)
        return dialer, await dialer.handshake()

    async def join(self, first: Dialer, connection_id: str) -> Dialer:
        """A further link of a connection: Join sent, nothing read yet."""
        dialer = await self.dial(first.name)
        dialer.send(dialer.join(connection_id))
        return dialer

    async def peer(
        self,
        name: str | None = None,
        *,
        links: int = 1,
        caches: Caches = NO_CACHES,
        creation: int | None = None,
        **lies: Any,
    ) -> Peer:
        """A peer with so many links that announces these caches; `lies` replace other fields of its Introduce.

        0 links: as many as the target's pool has. `creation`: when it was started, Unix seconds, if that matters.
        """
        errors = {id_: Error(text) for id_, text in caches.errors.items()}
        tables = {"AtomCache": dict(caches.atoms), "RegCache": dict(caches.types), "ErrCache": errors}
        dialer = await self.dial(name)
        dialer.creation = creation or dialer.creation
        accept = await dialer.handshake(**{key: table for key, table in tables.items() if table}, **lies)
        peer = Peer(dialer, caches)
        for _ in range(1, links or max(accept.PoolSize, 1)):
            await self.add_link(peer, accept.ID)
        return peer

    async def contemporary(self, name: str | None = None, *, links: int = 1) -> Peer:
        """A peer that says it was started in the same second as the target.

        To others upstream does not tell the end of a PID or an alias (ENP-TERM-7), which few cases are about.
        """
        dialer = await self.dial(state=HandshakeState.AWAIT_ACCEPT)
        assert dialer.target_introduce is not None
        dialer.link.abort()
        return await self.peer(name, links=links, creation=dialer.target_introduce.Creation)

    async def add_link(self, peer: Peer, connection_id: str) -> None:
        """One more link of a peer's pool."""
        joined = await self.join(peer.lines[0].dialer, connection_id)
        joined.check_joined(await joined.expect(Accept))
        peer.add(joined)

    async def registrant(self, name: str | None = None) -> Registrant:
        """A link to the target's registrar on which nothing was said yet."""
        try:
            link = await self.target.registrar_link(f"registration {len(self.links) + 1}")
        except UnreachableError as error:
            raise ViolationError(str(error), ("a connection to the registrar",)) from None
        self.links.append(link)
        return Registrant(link, self.rng, name)

    async def subscriber(self, name: str | None = None, cluster: str = "") -> Subscriber:
        """A connection to the target's Saturn on which nothing was said yet. An empty cluster is one of the run's own."""
        try:
            link = await self.target.saturn_link(f"saturn {len(self.links) + 1}")
        except UnreachableError as error:
            raise ViolationError(str(error), ("a TLS connection to the Saturn",)) from None
        self.links.append(link)
        return Subscriber(link, self.rng, self.target.token, name, cluster or self.cluster)

    async def subscribers(self) -> tuple[Subscriber, Subscriber]:
        """Two registered nodes of one cluster at the Saturn; the first has heard of the second."""
        first, second = await self.subscriber(), await self.subscriber()
        await first.register()
        await second.register()
        await first.expect(NodeJoined)
        return first, second

    async def resolver(self, host: str | None = None) -> Datagrams:
        """A socket to resolve with."""
        found = await self.target.registrar_datagrams(f"resolver {len(self.datagrams) + 1}", host)
        self.datagrams.append(found)
        return found

    async def target_name(self) -> Atom:
        """The target's name: as given, else as it introduces itself."""
        if self.facts.name:
            return Atom(self.facts.name)
        dialer = await self.dial(state=HandshakeState.AWAIT_ACCEPT)
        assert dialer.target_introduce is not None
        return dialer.target_introduce.Node

    async def still_serves(self) -> None:
        """A good peer completes a handshake, whatever went before (ROB-EHS-3)."""
        try:
            async with asyncio.timeout(SERVED_WITHIN):
                dialer, _ = await self.connected()
                await dialer.expect_open(0.05)
        except TimeoutError:
            raise ViolationError(
                "not served in time", (f"a good peer served within {SERVED_WITHIN:g} s afterwards",)
            ) from None
        except ViolationError as violation:
            came = f"{violation.came}, when a good peer came afterwards (ROB-EHS-3)"
            raise ViolationError(came, violation.legal, violation.sent) from None
        dialer.link.close()

    def needs_flag(self, peer: Peer, flag: Flags) -> None:
        """Skips the case if the target does not announce this flag."""
        if flag not in Flags(int.from_bytes(peer.introduce.Flags, "big")):
            self.skip(f"the target does not announce {flag.name}")

    def skip(self, reason: str) -> None:
        raise SkippedError(reason)

    @property
    def transcripts(self) -> list[Transcript]:
        """Of all that was opened."""
        return [link.transcript for link in self.links] + [each.transcript for each in self.datagrams]

    async def end(self) -> None:
        """Closes, and ends what the case has started."""
        self.close()

    def close(self) -> None:
        for link in self.links:
            link.abort()
        for socket in self.datagrams:
            socket.close()
