"""Clusters over loopback sockets: nodes whose dials are counted and pass through relays, which can cut sockets."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

from ergo_conformance.model.ergo import agent_types, error_values
from ergo_conformance.model.values import PID, Atom, Error, Event, ProcessID
from ergo_conformance.peers.sockets import LINGER_NOT
from ergo_conformance.reference_node.api import Connection
from ergo_conformance.reference_node.api.messages import MessageOptions, ProcessOptions
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.connection import tcp
from ergo_conformance.reference_node.connection.tcp import SocketAddress
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from tests.support.settings import LONG_DEADLINES, make_node
from tests.support.sockets import HOST, socket_count


class RelaySocket(asyncio.Protocol):
    """Relay's socket with the dialer or with the acceptor; `other`: its counterpart."""

    def __init__(self, relay: "Relay", other: "RelaySocket | None" = None) -> None:
        self.relay, self.other = relay, other
        self.transport: asyncio.Transport | None = None
        self.buffered: list[bytes] = []
        self.bytes_left: int | None = None
        """Bytes that still pass before the socket is cut; -1: all further bytes are dropped."""
        self.task: asyncio.Task[Any] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self.other is None:
            self.relay.sockets.append(self)
            self.relay.accepted += 1
            self.task = asyncio.get_running_loop().create_task(self._connect())
        else:
            self.other.other = self
            for data in self.other.buffered:
                self.transport.write(data)

    async def _connect(self) -> None:
        host, port = self.relay.target
        try:
            await asyncio.get_running_loop().create_connection(lambda: RelaySocket(self.relay, self), host, port)
        except OSError:
            self.reset()

    def data_received(self, data: bytes) -> None:
        if self.bytes_left is not None:
            data = data[: max(self.bytes_left, 0)]
            self.bytes_left -= len(data)
        if self.other is None or self.other.transport is None:
            self.buffered.append(data)
        elif self.bytes_left == 0:
            self.other.transport.write(data)
            self.bytes_left = -1  # further bytes are dropped
            asyncio.get_running_loop().call_later(0.01, self.cut)  # the receiver reads the bytes first
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
    def is_intact(self) -> bool:
        """Whether it is connected with the acceptor and no cut is pending."""
        other = self.other
        return other is not None and other.transport is not None and self.bytes_left is other.bytes_left is None

    @property
    def dialer_address(self) -> Any:
        """The dialer's address."""
        return self.transport.get_extra_info("peername") if self.transport else None

    @property
    def address_at_acceptor(self) -> Any:
        """The dialer's address as seen by the acceptor: that of the relay."""
        return self.other.transport.get_extra_info("sockname") if self.other and self.other.transport else None

    def reset(self) -> None:
        """Closes this socket with RST."""
        if self.transport is not None:
            found = self.transport.get_extra_info("socket")
            if found is not None and not self.transport.is_closing():
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
            self.transport.abort()

    def cut(self, *, after: int = 0) -> None:
        """Closes both sockets with RST; with `after` only when so many more bytes have been received from this one."""
        if after:
            self.bytes_left = after
            return
        self.reset()
        if self.other is not None:
            self.other.reset()


class Relay:
    """TCP relay between dialers and one acceptor."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.sockets: list[RelaySocket] = []
        """Open sockets with dialers, oldest first."""
        self.accepted = 0
        self.port = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(lambda: RelaySocket(self), HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut_all(self) -> None:
        for dialer_socket in list(self.sockets):
            dialer_socket.cut()

    async def close(self) -> None:
        """Closes the listening socket and cuts all open sockets."""
        if self._server is not None:
            self._server.close()
        self.cut_all()
        await asyncio.sleep(0)


class Cluster:
    """Nodes with routes to each other. `dials`: (name of the dialer, port) of each attempt to open a socket."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.relays: dict[int, Relay] = {}
        self.dials: list[tuple[str, int]] = []

    async def node(self, name: str, **options: Any) -> Node:
        """Adds a node that listens, with routes to and from all other nodes."""

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
        """Makes all later sockets to this node pass through a relay."""
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


def pool_is_full(one: Node, other: Node, size: int = 3) -> bool:
    """Tells whether both nodes have `size` sockets in their pool."""
    return socket_count(one, other) == socket_count(other, one) == size


def disconnected(one: Node, other: Node) -> bool:
    """Tells whether neither node has a connection with the other."""
    return other.name not in one.network.connections and one.name not in other.network.connections


async def wait_until(holds: Callable[[], object], limit: float = 90.0) -> None:
    """Waits until the condition holds; AssertionError after `limit` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit
    pause = 0.001
    while not holds():
        assert loop.time() < deadline, f"the condition did not hold within {limit} s"
        await asyncio.sleep(pause)
        pause = min(1.2 * pause, 0.02)  # a long wait costs little time of the processor


class NoticeRecorder(Actor):
    """Actor that traps exits and records exit and down notices."""

    options = ProcessOptions(trap_exit=True)

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.messages: list[object] = []

    async def handle_message(self, sender: PID, message: object) -> None:
        self.messages.append(message)

    async def handle_exit(self, source: RelationTarget, reason: Error) -> None:
        self.notices.append(notice(RelationKind.LINK, source, reason.text))

    async def handle_down(self, source: RelationTarget, reason: Error) -> None:
        self.notices.append(notice(RelationKind.MONITOR, source, reason.text))


Notice = tuple[RelationKind, str, RelationTarget, str]
"""Kind of relation, class of the target, target, reason."""


def notice(kind: RelationKind, source: RelationTarget, reason: str = "no connection") -> Notice:
    """Returns a notice as recorded. A name and an event may be equal: the class of the target distinguishes them."""
    return kind, type(source).__name__, source, reason


async def read_all(node: Node, recorders: Sequence[NoticeRecorder]) -> None:
    """Returns when the recorders, processes of this node, have handled all that is in their mailboxes."""
    last = object()
    for recorder in recorders:
        node.core.route_send(node.core.pid, recorder.process.pid, MessageOptions(), last)
    await wait_until(lambda: all(last in recorder.messages for recorder in recorders))


async def idle(process: Process) -> None:
    """Receives messages and ignores them."""
    while True:
        await process.receive()


async def own_event_and_alias(process: Process) -> None:
    """Registers an event and an alias, and ignores messages."""
    process.register_event("event")
    process.create_alias()
    await idle(process)


async def link_and_monitor_all(one: Node, other: Node) -> tuple[NoticeRecorder, Counter[Notice]]:
    """Links and monitors a target of each kind; returns the recorder and the expected notices."""
    target = other.spawn(own_event_and_alias, name="target")
    await wait_until(lambda: target.aliases)
    targets: list[RelationTarget] = [
        target.pid, ProcessID(other.name, Atom("target")), next(iter(target.aliases)),
        Event(other.name, Atom("event")), other.name,
    ]  # fmt: skip
    recorder = NoticeRecorder()
    process = one.spawn(recorder)
    for kind in RelationKind:
        for each in targets:
            await one.core.monitoring.request(kind, process, each)
    return recorder, Counter(notice(kind, each) for kind in RelationKind for each in targets)


async def run_to_end(node: Node, *bodies: Callable[[Process], Awaitable[None]]) -> None:
    """Runs processes of a node until they end. AssertionError if one does not end normally."""
    processes = [node.spawn(cast("Any", body)) for body in bodies]
    await asyncio.gather(*(process.join() for process in processes))
    assert {process.reason for process in processes} <= {error_values.NORMAL}
