"""Sockets, connections and connected nodes, as the parts of a node see them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from ...model.ergo.ehs import Role, Version
from ...model.ergo.gen import (
    ApplicationOptions,
    ApplicationOptionsExtra,
    MessageEvent,
    ProcessOptionsExtra,
    RemoteProcessOptions,
)
from ...model.values import PID, Atom, Error, Ref
from .handshake import PeerInfo
from .info import RemoteNodeInfo
from .messages import MessageOptions, ProcessAddress
from .relations import RelationTarget


class Socket(Protocol):
    """One TCP, TLS or in-memory byte stream of a connection's pool."""

    def write(self, data: bytes) -> None:
        """Sends bytes."""

    def close(self) -> None:
        """Flushes and closes; delivers no more bytes."""

    @property
    def is_congested(self) -> bool:
        """True if the peer reads more slowly than we write."""

    async def drain(self) -> None:
        """Waits until the socket is not congested, or closed."""


OpenSocket = Callable[[str], Awaitable[bool]]
"""Opens one more socket of a connection to an address ("host:port"; empty: the address of the first socket) and joins it.

It starts at once and never raises; the result is whether the socket joined.
"""


class PooledConnection(Protocol):
    """A connection as the connection table sees it."""

    @property
    def name(self) -> Atom:
        """The peer's name."""

    @property
    def peer(self) -> PeerInfo:
        """Result of the handshake of the first socket."""

    @property
    def sockets(self) -> Sequence[Socket]:
        """The open sockets of the pool."""

    @property
    def key(self) -> tuple[Role, Atom, str]:
        """Role of the side that opened the connection, the peer's name, the connection id: a Join has to repeat them."""

    def join(self, socket: Socket, connection_id: str, open_socket: OpenSocket | None, tail: bytes) -> None:
        """Adds a socket, the first one included. `open_socket`: None if the peer dialed; `tail`: bytes already received."""

    def leave(self, socket: Socket) -> None:
        """Removes a closed socket."""

    def receive(self, socket: Socket, data: bytes) -> None:
        """Takes bytes that a socket received. Raises Rejected if the socket has to be closed."""

    def terminate(self, reason: Error) -> None:
        """Ends the connection after its last socket: pending requests fail with `reason`."""


class Connection(PooledConnection, Protocol):
    """A connection with a peer, as the core uses it.

    The framework cuts gen.Connection into 33 methods by kind of address; `connection.framework` maps them to this class.
    `sender`, `consumer`: a local process.  Methods that send raise ErgoError ("no connection", "too large",
    "not supported", …) and CannotEncode; where they return a bool, true means that the socket is congested: wait with `drain`.
    `options.mid` numbers an important message; its acknowledgement goes to Core.route_send_response or …_error.
    """

    @property
    def node(self) -> "RemoteNode":
        """The peer, as programs see it."""

    def send(self, sender: PID, to: ProcessAddress, options: MessageOptions, message: Any) -> bool:
        """Sends a message."""

    def call(self, ref: Ref, sender: PID, to: ProcessAddress, options: MessageOptions, message: Any) -> bool:
        """Sends a request; the reply goes to Core.route_send_response or …_error."""

    def send_response(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, response: Any) -> None:
        """Replies to a request of the peer."""

    def send_response_error(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, error: Error) -> None:
        """Replies to a request of the peer that it failed."""

    def send_event(self, sender: PID, options: MessageOptions, message: MessageEvent) -> None:
        """Sends a message of a local event, once for all consumers at the peer. Logs a message that can't be sent."""

    def send_exit(self, sender: PID, to: PID, reason: Error) -> None:
        """Sends an exit signal."""

    def send_terminate(self, target: RelationTarget, reason: Error, owner: PID) -> None:
        """Reports the end of a local target to the peer; the report follows the earlier messages of `owner`."""

    async def link(self, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        """Links a target at the peer.

        Calls Core.add_relation before anything that the peer sent after its agreement is handled.  Returns the last messages
        of an event, oldest first; an empty list for other targets.
        """

    async def unlink(self, consumer: PID, target: RelationTarget) -> None:
        """Removes a link; calls Core.remove_relation."""

    async def monitor(self, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        """Monitors a target at the peer. Otherwise as `link`."""

    async def demonitor(self, consumer: PID, target: RelationTarget) -> None:
        """Removes a monitor; calls Core.remove_relation."""

    async def remote_spawn(self, name: Atom, options: ProcessOptionsExtra) -> PID:
        """Spawns a process with a factory of the peer."""

    async def remote_application_start(self, name: Atom, mode: int, options: ApplicationOptionsExtra) -> None:
        """Starts an application of the peer. `mode`: a value of ApplicationMode."""

    async def drain(self, sender: PID) -> None:
        """Waits until the socket that carries this process's messages is not congested, or closed."""


class RemoteNode(Protocol):
    """A connected node, as programs see it (gen.RemoteNode)."""

    @property
    def name(self) -> Atom:
        """The name of the node, from its introduction."""

    @property
    def creation(self) -> int:
        """The start time of the node, Unix seconds."""

    @property
    def uptime(self) -> int:
        """Seconds since its start."""

    @property
    def connection_uptime(self) -> int:
        """Seconds since the connection was opened."""

    @property
    def version(self) -> Version:
        """Version of its application, from its introduction."""

    @property
    def info(self) -> RemoteNodeInfo:
        """Snapshot of the peer and of the traffic of the connection."""

    async def spawn(self, name: str, options: RemoteProcessOptions | None = None, *args: Any) -> PID:
        """Spawns a process with one of its factories. ErgoError: "not allowed", "unknown name", "timed out", …"""

    async def spawn_register(
        self, register: str, name: str, options: RemoteProcessOptions | None = None, *args: Any
    ) -> PID:
        """Spawns a process and registers its name. ErgoError "resource is taken" in addition."""

    async def application_start(self, name: str, options: ApplicationOptions | None = None) -> None:
        """Starts one of its applications in the mode of its specification. ErgoError."""

    async def application_start_temporary(self, name: str, options: ApplicationOptions | None = None) -> None:
        """Starts one of its applications in temporary mode. ErgoError."""

    async def application_start_transient(self, name: str, options: ApplicationOptions | None = None) -> None:
        """Starts one of its applications in transient mode. ErgoError."""

    async def application_start_permanent(self, name: str, options: ApplicationOptions | None = None) -> None:
        """Starts one of its applications in permanent mode. ErgoError."""

    def disconnect(self) -> None:
        """Ends the connection: closes all sockets; both sides forget each other at once."""
