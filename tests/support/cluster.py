"""Clusters over real sockets: nodes whose dials are counted and lead through relays, and relays that cut links."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from ergo_conformance.model.ergo import agent_types, error_values
from ergo_conformance.model.values import Atom, Error, Event, ProcessID
from ergo_conformance.peers.sockets import LINGER_NOT
from ergo_conformance.reference_node.api import Connection
from ergo_conformance.reference_node.api.messages import ProcessOptions
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.connection import tcp
from ergo_conformance.reference_node.connection.tcp import SocketAddress
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from tests.support.settings import LONG_DEADLINES, make_node
from tests.support.sockets import HOST


class End(asyncio.Protocol):
    """One of the two ends of a relayed link."""

    def __init__(self, relay: "Relay", other: "End | None" = None) -> None:
        self.relay, self.other = relay, other
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []
        self.left: int | None = None
        """Bytes that still pass before the link is cut."""
        self.task: asyncio.Task[Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.other is None:
            self.relay.sockets.append(self)
            self.relay.accepted += 1
            self.task = asyncio.get_running_loop().create_task(self._reach())
        else:
            self.other.other = self
            for data in self.other.early:
                self.transport.write(data)

    async def _reach(self) -> None:
        host, port = self.relay.target
        try:
            await asyncio.get_running_loop().create_connection(lambda: End(self.relay, self), host, port)
        except OSError:
            self.reset()

    def data_received(self, data: bytes) -> None:
        if self.left is not None:
            data = data[: max(self.left, 0)]
            self.left -= len(data)
        if self.other is None or self.other.transport is None:
            self.early.append(data)
        elif self.left == 0:
            self.other.transport.write(data)
            self.left = -1  # what comes now is dropped
            asyncio.get_running_loop().call_later(0.01, self.cut)  # the other side is to read the beginning
        elif data:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.relay.sockets:
            self.relay.sockets.remove(self)
        if self.other is not None and self.other.transport is not None:
            if exc is None:
                self.other.transport.close()
            else:
                self.other.reset()

    @property
    def is_whole(self) -> bool:
        """Whether it reaches the acceptor and is not to be cut."""
        other = self.other
        return other is not None and other.transport is not None and self.left is other.left is None

    @property
    def near(self) -> Any:
        """The dialer's address."""
        return self.transport.get_extra_info("peername") if self.transport else None

    @property
    def far(self) -> Any:
        """Where the acceptor sees the link come from."""
        return self.other.transport.get_extra_info("sockname") if self.other and self.other.transport else None

    def reset(self) -> None:
        """Ends this side with RST."""
        if self.transport is not None:
            found = self.transport.get_extra_info("socket")
            if found is not None and not self.transport.is_closing():
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            self.transport.abort()

    def cut(self, *, after: int = 0) -> None:
        """Ends both sides with RST; `after` so many more bytes towards the acceptor."""
        if after:
            self.left = after
            return
        self.reset()
        if self.other is not None:
            self.other.reset()


class Relay:
    """Stands between the dialers and one acceptor."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.sockets: list[End] = []
        """The dialers' ends of the open links, oldest first."""
        self.accepted = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(lambda: End(self), HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut_all(self) -> None:
        for link in list(self.sockets):
            link.cut()

    async def close(self) -> None:
        """Takes no more links and cuts those that are open."""
        if self._server is not None:
            self._server.close()
        self.cut_all()
        await asyncio.sleep(0)


class Cluster:
    """Nodes that know each other. `dials`: (who, port) of each link that was tried."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.relays: dict[int, Relay] = {}
        self.dials: list[tuple[str, int]] = []

    async def node(self, name: str, **options: Any) -> Node:
        """One more node that listens, and that all others may dial by its name."""

        async def dial(protocol: Callable[[], asyncio.Protocol], address: SocketAddress) -> None:
            self.dials.append((name, address.port))
            relay = self.relays.get(address.port)
            await tcp.dial(protocol, address._replace(port=relay.port) if relay else address)

        defaults: dict[str, Any] = {
            "cookie": "secret", "types": agent_types.ROWS, "acceptors": (AcceptorOptions(host=HOST, port=0),), "dial": dial,
            "handshake": LONG_DEADLINES,
        }  # fmt: skip
        made = make_node(f"{name}@localhost", **(defaults | options))
        await made.network.start()
        for other in self.nodes:
            for one, two in ((made, other), (other, made)):
                if str(two.name) not in {row[0] for row in one.network.resolver.routes.rows()}:
                    one.network.add_route(str(two.name), NetworkRoute(host=HOST, port=port_of(two)))
        self.nodes.append(made)
        return made

    async def relay(self, node: Node) -> Relay:
        """From now on all links to this node lead through a relay."""
        port = port_of(node)
        self.relays[port] = made = Relay((HOST, port))
        await made.open()
        return made

    async def stop(self) -> None:
        for relay in self.relays.values():
            await relay.close()
        for made in self.nodes:
            await made.stop()


@asynccontextmanager
async def cluster(*names: str, **options: Any) -> AsyncIterator[tuple[Cluster, list[Node]]]:
    made = Cluster()
    try:
        yield made, [await made.node(name, **options) for name in names]
    finally:
        await made.stop()


def port_of(node: Node) -> int:
    return node.network.acceptors[0].port


def connection(one: Node, other: Node) -> Connection:
    return one.network.connections[other.name]


def links(one: Node, other: Node) -> int:
    found = one.network.connections.get(other.name)
    return len(found.sockets) if found else 0


def full(one: Node, other: Node, size: int = 3) -> bool:
    return links(one, other) == links(other, one) == size


def apart(one: Node, other: Node) -> bool:
    return other.name not in one.network.connections and one.name not in other.network.connections


async def until(holds: Callable[[], object], limit: float = 90.0) -> None:
    """Waits until it holds; AssertionError after `limit` seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while not holds():
        assert loop.time() < end, "it never held"
        await asyncio.sleep(0.001)


class Watcher(Actor):
    """Traps exits, and notes what it is told about what it watches."""

    options = ProcessOptions(trap_exit=True)

    def __init__(self) -> None:
        self.told: list[Told] = []

    async def handle_exit(self, source: RelationTarget, reason: Error) -> None:
        self.told.append(told(RelationKind.LINK, source, reason.text))

    async def handle_down(self, source: RelationTarget, reason: Error) -> None:
        self.told.append(told(RelationKind.MONITOR, source, reason.text))


Told = tuple[RelationKind, str, RelationTarget, str]
"""How it was watched, what kind of target, which one, the reason."""


def told(kind: RelationKind, source: RelationTarget, reason: str = "no connection") -> Told:
    """What a Watcher notes. A name and an event may be equal: the kind of target keeps them apart."""
    return kind, type(source).__name__, source, reason


async def idle(process: Process) -> None:
    """A process that waits for nothing."""
    while True:
        await process.receive()


async def owner(process: Process) -> None:
    """Has an event and an alias, and waits."""
    process.register_event("event")
    process.create_alias()
    await idle(process)


async def watch_all(one: Node, other: Node) -> tuple[Watcher, Counter[Told]]:
    """A process that links and monitors one of each kind, and what it is to be told at the end."""
    target = other.spawn(owner, name="target")
    await until(lambda: target.aliases)
    targets: list[RelationTarget] = [
        target.pid, ProcessID(other.name, Atom("target")), target.aliases[0], Event(other.name, Atom("event")), other.name,
    ]  # fmt: skip
    watcher = Watcher()
    process = one.spawn(watcher)
    for kind in RelationKind:
        for each in targets:
            await one.core.monitoring.request(kind, process, each)
    return watcher, Counter(told(kind, each) for kind in RelationKind for each in targets)


async def all_done(node: Node, *bodies: Callable[[Process], Awaitable[None]]) -> None:
    """Runs these as processes of a node to their ends. AssertionError if one does not end normally."""
    processes = [node.spawn(cast("Any", body)) for body in bodies]
    await asyncio.gather(*(process.join() for process in processes))
    assert {process.reason for process in processes} <= {error_values.NORMAL}
