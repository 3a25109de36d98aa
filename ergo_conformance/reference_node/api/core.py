"""The core of a node, as connections see it (gen.Core)."""

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from ...model.ergo.enp import Priority, Words
from ...model.ergo.gen import (
    ApplicationOptions,
    ApplicationOptionsExtra,
    MessageEvent,
    ProcessOptionsExtra,
    RemoteProcessOptions,
)
from ...model.registry import Registry
from ...model.values import PID, Atom, Error, Ref
from .connection import Connection
from .messages import Envelope, MessageOptions, ProcessAddress
from .relations import RelationKind, RelationTarget


class LocalProcess(Protocol):
    """A process of this node, as connections see it."""

    @property
    def pid(self) -> PID:
        """The PID of the process."""

    @property
    def reason(self) -> Error | None:
        """The reason of the end of the process; None while it runs."""


class ProcessTables(Protocol):
    """The processes of this node by their addresses: the direct path from a frame to a mailbox."""

    @property
    def processes(self) -> Mapping[int, LocalProcess]:
        """Processes by the numbers of their PIDs."""

    @property
    def names(self) -> Mapping[Atom, LocalProcess]:
        """Processes by their registered names."""

    @property
    def aliases(self) -> Mapping[Words, LocalProcess]:
        """Processes by their aliases."""

    def deliver(self, process: Any, envelope: Envelope, priority: Priority) -> Error | None:
        """Puts an envelope into the mailbox of a process found in these tables, or None. Returns the error, or None."""


class Core(Protocol):
    """Delivers the messages, requests and signals that connections receive.

    `sender` and `consumer` are processes of the peer.  Methods that return an error or None never raise; None is success.
    """

    @property
    def name(self) -> Atom:
        """Our name."""

    @property
    def creation(self) -> int:
        """Our start time, Unix seconds."""

    @property
    def pid(self) -> PID:
        """PID of the node itself."""

    @property
    def registry(self) -> Registry:
        """The registered types of this node."""

    @property
    def tables(self) -> ProcessTables:
        """Our processes."""

    def make_ref(self) -> Ref:
        """Returns an unused reference."""

    def now(self) -> int:
        """Returns the time in Unix nanoseconds."""

    def open_connection(self, node: Atom) -> Connection | None:
        """Returns the open connection with a node; never dials."""

    def disconnect(self, node: Atom) -> None:
        """Ends the connection with a node. ErgoError "no connection" if there is none."""

    def run(self, work: Awaitable[None]) -> None:
        """Runs work in the background until the node stops."""

    def route_send(self, sender: PID, to: ProcessAddress, options: MessageOptions, message: Any) -> Error | None:
        """Delivers a message."""

    def route_call(
        self, ref: Ref, sender: PID, to: ProcessAddress, options: MessageOptions, message: Any
    ) -> Error | None:
        """Delivers a request; the reply goes to Connection.send_response or …_error."""

    def route_send_response(self, node: Atom, to_id: int, words: Words, response: Any) -> bool:
        """Delivers a reply, or with None the acknowledgement of an important message. False if no request is pending."""

    def route_send_response_error(self, node: Atom, to_id: int, words: Words, error: Error) -> bool:
        """Fails a request or an important message. False if no request is pending."""

    def route_send_event(self, event: MessageEvent, priority: Priority) -> None:
        """Delivers a message of an event of the peer."""

    def route_send_exit(self, sender: PID, to_id: int, reason: Error) -> None:
        """Delivers an exit signal."""

    def route_link(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        """Adds a relation of a process of the peer to a target of ours. Returns the last messages of an event. ErgoError."""

    def route_unlink(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> None:
        """Removes such a relation; a relation that does not exist is a no-op. ErgoError if the target does not exist."""

    def route_terminate(self, target: RelationTarget, reason: Error) -> None:
        """Notifies our consumers that a target of the peer has ended."""

    def add_relation(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> bool:
        """Records a relation that the peer agreed to. False if it exists already: "target is already exist"."""

    def remove_relation(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> bool:
        """Removes a relation after the peer has removed it. False if it does not exist: "unknown target"."""

    def owner_of(self, target: RelationTarget) -> LocalProcess | None:
        """Returns the local process that is or owns a target: reports about the target follow that process's messages."""

    async def route_spawn(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> LocalProcess:
        """Spawns a process requested by `node`; returns it once it has initialised. ErgoError."""

    async def route_application_start(
        self, node: Atom, name: Atom, mode: int, options: ApplicationOptionsExtra
    ) -> None:
        """Starts an application requested by `node`. ErgoError."""

    async def remote_spawn(
        self, node: Atom, name: Atom, args: list[Any] | None, options: RemoteProcessOptions | None, register: str
    ) -> PID:
        """Spawns a process on another node; its parent is our node itself. Raises ErgoError and CannotEncode."""

    async def remote_application_start(
        self, node: Atom, name: Atom, mode: int, options: ApplicationOptions | None
    ) -> None:
        """Starts an application on another node. Raises ErgoError and CannotEncode."""
