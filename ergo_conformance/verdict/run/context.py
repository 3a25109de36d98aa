"""Context of a case: sockets to the target, scripted peers, and a seeded random source."""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from ...model.ergo.caches import NO_CACHES, Caches
from ...model.ergo.ehs import Accept, Flags, HandshakeState
from ...model.ergo.saturn import NodeJoined
from ...model.values import Atom, Error
from ...peers.ergo.connection import REGISTRY, Peer
from ...peers.ergo.dialer import Dialer
from ...peers.ergo.esrd_client import ScriptedEsrdClient, ScriptedResolver
from ...peers.ergo.handshake import HandshakePeer, TargetInfo
from ...peers.ergo.saturn_client import ScriptedSaturnClient
from ...peers.sockets import PeerSocket
from ...peers.transcript import Transcript
from ...peers.violation import TimingViolationError, UnreachableError, ViolationError
from ...spec.ergo.edf import EdfContext
from ...targets.base import RunningTarget
from ...targets.usage import Usage

AT_ONCE = 0.7
"""Seconds in which a socket is closed at once: less than the time limit of a read."""
SILENCE = (0.75, 1.5)
"""Seconds after which a silent socket is closed, at least and at most; the tester's clock starts a little late."""
TRIES = 4
"""Attempts of a target to be in time: on a busy machine it may be late, but not each time."""
SERVED_WITHIN = 5.0
"""Seconds in which a correct peer must be served after a hostile case."""


class UnreachableViolationError(TimingViolationError):
    """The target does not accept a connection."""


class SkippedError(Exception):
    """The case can't test this target; the text is the reason."""


class Context:
    """Context of one case."""

    def __init__(self, running: RunningTarget, rng: random.Random) -> None:
        self.target = running
        self.rng = rng
        self.sockets: list[PeerSocket] = []
        self.resolvers: list[ScriptedResolver] = []
        self.cluster = f"cluster-{rng.randrange(16**8):08x}"
        """Cluster of this case at a Saturn; no other case uses it."""

    @property
    def target_info(self) -> TargetInfo:
        return self.target.target_info

    @property
    def config(self) -> Mapping[str, Any]:
        return self.target.config

    async def socket(self, label: str = "") -> PeerSocket:
        """A socket to the target on which nothing was sent yet."""
        try:
            socket = await self.target.socket(label or f"socket {len(self.sockets) + 1}")
        except UnreachableError as error:
            raise UnreachableViolationError(str(error), ("the target accepts a socket",)) from None
        self.sockets.append(socket)
        return socket

    async def dial(
        self,
        name: str | None = None,
        state: HandshakeState = HandshakeState.AWAIT_HELLO,
        creation: int | None = None,
    ) -> Dialer:
        """A dialer on a new socket that has done a correct handshake until the acceptor is in `state`."""
        dialer = Dialer(await self.socket(), self.target_info, self.rng, name, creation=creation)
        await dialer.reach(state)
        return dialer

    async def connected(self, name: str | None = None) -> tuple[Dialer, Accept]:
        """A dialer whose handshake is complete, and the Accept that it received."""
        dialer = await self.dial(name)
        return dialer, await dialer.handshake()

    async def join(self, first: HandshakePeer, connection_id: str) -> Dialer:
        """A further socket of a connection: Join sent, nothing read yet."""
        dialer = await self.dial(first.name)
        dialer.send(dialer.join(connection_id))
        return dialer

    async def peer(
        self,
        name: str | None = None,
        *,
        sockets: int = 1,
        caches: Caches = NO_CACHES,
        creation: int | None = None,
        **overrides: Any,
    ) -> Peer:
        """A peer with so many sockets that announces these caches; `overrides` replace other fields of its Introduce.

        0 sockets: as many as the target's pool has. `creation`: the peer's start in Unix seconds.
        """
        errors = {id_: Error(text) for id_, text in caches.errors.items()}
        tables = {"AtomCache": dict(caches.atoms), "RegCache": dict(caches.types), "ErrCache": errors}
        dialer = await self.dial(name, creation=creation)
        accept = await dialer.handshake(**{key: table for key, table in tables.items() if table}, **overrides)
        assert dialer.target_introduce is not None
        peer = Peer([dialer], dialer.target_introduce, EdfContext(REGISTRY, caches))
        for _ in range(1, sockets or max(accept.PoolSize, 1)):
            await self.add_socket(peer, accept.ID)
        return peer

    async def peer_with_target_creation(self, name: str | None = None, *, sockets: int = 1) -> Peer:
        """A peer with the target's creation: its start in the same second.

        Upstream reports the end of a PID or an alias only to such peers (ENP-TERM-7); few cases test that.
        """
        dialer = await self.dial(state=HandshakeState.AWAIT_ACCEPT)
        assert dialer.target_introduce is not None
        dialer.socket.close()
        return await self.peer(name, sockets=sockets, creation=dialer.target_introduce.Creation)

    async def add_socket(self, peer: Peer, connection_id: str) -> None:
        """Adds a socket to a peer's pool."""
        joined = await self.join(peer.endpoints[0], connection_id)
        joined.check_joined(await joined.expect(Accept))
        peer.add(joined)

    async def esrd_client(self, name: str | None = None) -> ScriptedEsrdClient:
        """A client of the target's registrar on a socket on which nothing was sent yet."""
        try:
            socket = await self.target.registrar_socket(f"registration {len(self.sockets) + 1}")
        except UnreachableError as error:
            raise UnreachableViolationError(str(error), ("the registrar accepts a socket",)) from None
        self.sockets.append(socket)
        return ScriptedEsrdClient(socket, self.rng, name)

    async def saturn_client(self, name: str | None = None, cluster: str = "") -> ScriptedSaturnClient:
        """A client of the target's Saturn on a socket on which nothing was sent yet. An empty cluster is that of this case."""
        try:
            socket = await self.target.saturn_socket(f"saturn {len(self.sockets) + 1}")
        except UnreachableError as error:
            raise UnreachableViolationError(str(error), ("the Saturn accepts a TLS socket",)) from None
        self.sockets.append(socket)
        return ScriptedSaturnClient(socket, self.rng, self.target.token, name, cluster or self.cluster)

    async def saturn_clients(self) -> tuple[ScriptedSaturnClient, ScriptedSaturnClient]:
        """Two registered nodes of one cluster at the Saturn; the first was notified of the second."""
        first, second = await self.saturn_client(), await self.saturn_client()
        await first.register()
        await second.register()
        await first.expect(NodeJoined)
        return first, second

    async def resolver(self, host: str | None = None) -> ScriptedResolver:
        """A resolver for the target's registrar; `host`: another address of the same machine."""
        found = await self.target.resolver(f"resolver {len(self.resolvers) + 1}", host)
        self.resolvers.append(found)
        return found

    async def expect_refusal(
        self,
        send: Callable[[Dialer], object],
        state: HandshakeState = HandshakeState.AWAIT_HELLO,
        name: str | None = None,
    ) -> None:
        """The target closes the socket of a dialer at once and without a byte after `send` in this state."""
        for left in reversed(range(TRIES)):
            dialer = await self.dial(name, state)
            send(dialer)
            if dialer.is_in_time(await dialer.expect_close(), AT_ONCE, left):
                return

    async def expect_time_limit(
        self,
        state: HandshakeState = HandshakeState.AWAIT_HELLO,
        send: Callable[[Dialer], object] = lambda _: None,
    ) -> None:
        """The target closes the socket without a byte after one second of silence, in this state and after `send`."""
        for left in reversed(range(TRIES)):
            dialer = await self.dial(state=state)
            send(dialer)
            if dialer.is_in_time(await dialer.expect_close(at_least=SILENCE[0]), SILENCE[1], left):
                return

    async def target_name(self) -> Atom:
        """Name of the target: as given, otherwise as it introduces itself."""
        if self.target_info.name:
            return Atom(self.target_info.name)
        dialer = await self.dial(state=HandshakeState.AWAIT_ACCEPT)
        assert dialer.target_introduce is not None
        return dialer.target_introduce.Node

    async def still_serves(self) -> None:
        """Checks that a correct peer completes a handshake (ROB-EHS-3)."""
        try:
            async with asyncio.timeout(SERVED_WITHIN):
                dialer, _ = await self.connected()
                await dialer.expect_open(0.05)
        except TimeoutError:
            raise TimingViolationError(
                "the target does not serve a correct peer in time",
                (f"a correct peer served within {SERVED_WITHIN:g} s afterwards",),
            ) from None
        except ViolationError as violation:
            violation.actual += ", for a correct peer afterwards (ROB-EHS-3)"
            raise
        dialer.socket.close()

    def usage(self) -> Usage:
        """What the processes of the target use. Skips the case if that can't be measured."""
        found = self.target.usage()
        if found is None:
            self.skip("needs a target that the toolkit starts as a process: what others use can't be measured")
        return found

    def needs_flag(self, peer: Peer, flag: Flags) -> None:
        """Skips the case if the target does not announce this flag."""
        if flag not in Flags(int.from_bytes(peer.introduce.Flags, "big")):
            self.skip(f"the target does not announce {flag.name}")

    def skip(self, reason: str) -> NoReturn:
        """Ends the case as SKIP with this reason."""
        raise SkippedError(reason)

    @property
    def transcripts(self) -> list[Transcript]:
        """Transcripts of all sockets of the case."""
        return [socket.transcript for socket in self.sockets] + [each.transcript for each in self.resolvers]

    async def end(self) -> None:
        """Closes all sockets."""
        self.close()

    def close(self) -> None:
        """Closes all sockets."""
        for socket in self.sockets:
            socket.finish()
        for resolver in self.resolvers:
            resolver.close()
