"""Links and connections, and a connected node as programs see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ...model.ergo.ehs import Role, Version
from ...model.ergo.gen import (
    ApplicationOptions,
    ApplicationOptionsExtra,
    MessageEvent,
    ProcessOptions,
    ProcessOptionsExtra,
)
from ...model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from ..core.relations import Kind
from .handshake import Handshaken

if TYPE_CHECKING:
    from ..core.process import MessageOptions
    from .info import RemoteNodeInfo


class Link(Protocol):
    """One TCP connection, as connections see it."""

    def write(self, data: bytes) -> None:
        """Send."""

    def close(self) -> None:
        """Flush and close; no more bytes are delivered."""

    @property
    def is_congested(self) -> bool:
        """Whether the peer reads more slowly than we write."""

    async def relieved(self) -> None:
        """Wait until it has caught up, or the link is gone."""


NetworkDial = Callable[[str], Awaitable[bool]]
"""Opens one more link of a connection to an address ("host:port"; empty: where the first one went) and joins it.

It begins at once and never fails; the answer is whether the link stands.
"""


class Pooled(Protocol):
    """What the table of a node's connections has to know of one."""

    @property
    def name(self) -> Atom:
        """The peer's name."""

    @property
    def peer(self) -> Handshaken:
        """What the handshake told of it."""

    @property
    def links(self) -> Sequence[Link]:
        """The open links."""

    @property
    def key(self) -> tuple[Role, Atom, str]:
        """What a further link has to agree with: who opened the connection, the peer's name, the connection's id."""

    def join(self, link: Link, connection_id: str, dial: NetworkDial | None, tail: bytes) -> None:
        """A link joins, the first one included. `dial`: opens more, None where the peer dials; `tail`: came with it."""

    def leave(self, link: Link) -> None:
        """A link is gone."""

    def receive(self, link: Link, data: bytes) -> None:
        """Bytes that came over a link after its handshake. Raises Rejected if the link can't be read any further."""

    def terminate(self, reason: Error) -> None:
        """The connection is over, its links are gone: whoever waits for the peer waits in vain."""


class Connection(Pooled, Protocol):
    """What a node has of a peer: the 33 methods of gen.Connection (two of them in Pooled), and what asyncio needs besides.

    `sender`, `pid`: a process of ours.  What is sent raises ErgoError ("no connection", "too large", "not supported", …) and
    CannotEncode; where it returns a bool, true means that the peer reads more slowly than we write: wait with `relieved`.
    `options.mid` numbers an important message; its acknowledgement goes to Core.route_send_response or …_error.
    """

    def node(self) -> RemoteNode:
        """The peer, as programs see it."""

    # messages

    def send_pid(self, sender: PID, to: PID, options: MessageOptions, message: Any) -> bool:
        """A message."""

    def send_process_id(self, sender: PID, to: ProcessID, options: MessageOptions, message: Any) -> bool:
        """A message."""

    def send_alias(self, sender: PID, to: Alias, options: MessageOptions, message: Any) -> bool:
        """A message."""

    def send_event(self, sender: PID, options: MessageOptions, message: MessageEvent) -> None:
        """A message of an event of ours, once for all subscribers at the peer. What can't be sent is logged."""

    def send_exit(self, sender: PID, to: PID, reason: Error) -> None:
        """An exit signal."""

    def send_response(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, response: Any) -> None:
        """The answer to a request of the peer."""

    # what peers watch is no more; `owner` is whose it was: the notice does not overtake what that process sent before

    def send_terminate_pid(self, target: PID, reason: Error, owner: PID) -> None:
        """A process has ended."""

    def send_terminate_process_id(self, target: ProcessID, reason: Error, owner: PID) -> None:
        """A name is free again."""

    def send_terminate_alias(self, target: Alias, reason: Error, owner: PID) -> None:
        """An alias is no more."""

    def send_terminate_event(self, target: Event, reason: Error, owner: PID) -> None:
        """An event is no more."""

    # requests

    def call_pid(self, ref: Ref, sender: PID, to: PID, options: MessageOptions, message: Any) -> bool:
        """A request; the answer goes to Core.route_send_response or …_error."""

    def call_process_id(self, ref: Ref, sender: PID, to: ProcessID, options: MessageOptions, message: Any) -> bool:
        """A request."""

    def call_alias(self, ref: Ref, sender: PID, to: Alias, options: MessageOptions, message: Any) -> bool:
        """A request."""

    # links and monitors; when the peer agrees, Core.relation_taken or relation_given_back has to be called before anything
    # else that it sent is handled.  The events returned are the last ones published, oldest first; none for what is no event

    async def link_pid(self, pid: PID, target: PID) -> list[MessageEvent]:
        """Link."""

    async def unlink_pid(self, pid: PID, target: PID) -> None:
        """The reverse."""

    async def link_process_id(self, pid: PID, target: ProcessID) -> list[MessageEvent]:
        """Link."""

    async def unlink_process_id(self, pid: PID, target: ProcessID) -> None:
        """The reverse."""

    async def link_alias(self, pid: PID, target: Alias) -> list[MessageEvent]:
        """Link."""

    async def unlink_alias(self, pid: PID, target: Alias) -> None:
        """The reverse."""

    async def link_event(self, pid: PID, target: Event) -> list[MessageEvent]:
        """Link."""

    async def unlink_event(self, pid: PID, target: Event) -> None:
        """The reverse."""

    async def monitor_pid(self, pid: PID, target: PID) -> list[MessageEvent]:
        """Monitor."""

    async def demonitor_pid(self, pid: PID, target: PID) -> None:
        """The reverse."""

    async def monitor_process_id(self, pid: PID, target: ProcessID) -> list[MessageEvent]:
        """Monitor."""

    async def demonitor_process_id(self, pid: PID, target: ProcessID) -> None:
        """The reverse."""

    async def monitor_alias(self, pid: PID, target: Alias) -> list[MessageEvent]:
        """Monitor."""

    async def demonitor_alias(self, pid: PID, target: Alias) -> None:
        """The reverse."""

    async def monitor_event(self, pid: PID, target: Event) -> list[MessageEvent]:
        """Monitor."""

    async def demonitor_event(self, pid: PID, target: Event) -> None:
        """The reverse."""

    # the rest

    async def remote_spawn(self, name: Atom, options: ProcessOptionsExtra) -> PID:
        """A process of a factory of the peer's."""

    # beyond gen.Connection

    def send_response_error(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, error: Error) -> None:
        """The answer to a request that failed."""

    async def remote_application_start(self, name: Atom, mode: int, options: ApplicationOptionsExtra) -> None:
        """An application of the peer's. `mode`: as applications.Mode."""

    async def relieved(self, sender: PID) -> None:
        """Waits until the peer has caught up with what this process sends."""


RELATION_METHODS = {
    (kind, target): (f"{take}_{word}", f"{give_back}_{word}")
    for kind, take, give_back in ((Kind.LINK, "link", "unlink"), (Kind.MONITOR, "monitor", "demonitor"))
    for target, word in ((PID, "pid"), (ProcessID, "process_id"), (Alias, "alias"), (Event, "event"))
}
"""Kind of relation and of target → the names of the two methods of Connection."""


class RemoteNode(Protocol):
    """A connected node, as programs see it: the 13 methods of gen.RemoteNode."""

    def name(self) -> Atom:
        """As it introduced itself."""

    def uptime(self) -> int:
        """Seconds since it was started."""

    def connection_uptime(self) -> int:
        """Seconds since it was connected."""

    def version(self) -> Version:
        """Of its application, as it introduced itself."""

    def info(self) -> RemoteNodeInfo:
        """All that is known of it, and what went over the connection."""

    async def spawn(self, name: str, options: ProcessOptions | None = None, *args: Any) -> PID:
        """A process of one of its factories. ErgoError: "not allowed", "unknown name", "timed out", …"""

    async def spawn_register(self, register: str, name: str, options: ProcessOptions | None = None, *args: Any) -> PID:
        """The same under a name. ErgoError "resource is taken" besides."""

    async def application_start(self, name: str, options: ApplicationOptions | None = None) -> None:
        """One of its applications, in the mode of its specification. ErgoError."""

    async def application_start_temporary(self, name: str, options: ApplicationOptions | None = None) -> None:
        """The same in this mode."""

    async def application_start_transient(self, name: str, options: ApplicationOptions | None = None) -> None:
        """The same in this mode."""

    async def application_start_permanent(self, name: str, options: ApplicationOptions | None = None) -> None:
        """The same in this mode."""

    def creation(self) -> int:
        """When it was started, Unix seconds."""

    def disconnect(self) -> None:
        """Ends the connection: all links are closed, both sides forget each other at once."""
