"""What connections see of the node."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ...model.ergo.enp import Priority, Words
from ...model.ergo.gen import (
    ApplicationOptions,
    ApplicationOptionsExtra,
    MessageEvent,
    ProcessOptions,
    ProcessOptionsExtra,
)
from ...model.registry import Registry
from ...model.values import PID, Alias, Atom, Error, ProcessID, Ref

if TYPE_CHECKING:
    from ..core.process import Envelope, MessageOptions, Process
    from ..core.relations import Kind, Watched
    from .connection import Connection


class Core(Protocol):
    """Where connections deliver what comes from their peers.

    `sender` is a process of the peer's.  Methods that return an error or None never raise: None is success.
    """

    @property
    def name(self) -> Atom:
        """Our name."""

    @property
    def creation(self) -> int:
        """When we were started, Unix seconds."""

    @property
    def pid(self) -> PID:
        """Of the node itself."""

    @property
    def registry(self) -> Registry:
        """The types that we know."""

    @property
    def processes(self) -> Mapping[int, Process]:
        """By the numbers of their PIDs. With `names`, `aliases` and `deliver` the short way to a mailbox."""

    @property
    def names(self) -> Mapping[Atom, Process]:
        """By their names."""

    @property
    def aliases(self) -> Mapping[Words, Process]:
        """By their aliases."""

    def deliver(self, process: Process | None, envelope: Envelope, priority: Priority) -> Error | None:
        """Into a mailbox. The error says why not."""

    def make_ref(self) -> Ref:
        """A reference that was not used before."""

    def now(self) -> int:
        """Unix nanoseconds."""

    def open_connection(self, node: Atom) -> Connection | None:
        """The connection with a node, if there is one."""

    def run(self, work: Awaitable[None]) -> None:
        """Does some work beside everything else, until the node ends."""

    def route_send(
        self, sender: PID, to: PID | ProcessID | Alias, options: MessageOptions, message: Any
    ) -> Error | None:
        """A message."""

    def route_call(
        self, ref: Ref, sender: PID, to: PID | ProcessID | Alias, options: MessageOptions, message: Any
    ) -> Error | None:
        """A request; the answer goes to Connection.send_response or …_error."""

    def route_send_response(self, node: Atom, to_id: int, words: Words, response: Any) -> bool:
        """An answer from a node, or None: an important message has arrived. False if nobody waits for it."""

    def route_send_response_error(self, node: Atom, to_id: int, words: Words, error: Error) -> bool:
        """A request, or an important message, has failed. False if nobody waits for it."""

    def route_send_event(self, event: MessageEvent, priority: Priority) -> None:
        """A message of an event of the peer's."""

    def route_send_exit(self, sender: PID, to_id: int, reason: Error) -> None:
        """An exit signal."""

    def route_link(self, kind: Kind, consumer: PID, target: Watched) -> list[MessageEvent]:
        """A process of the peer's links or monitors something of ours. ErgoError says why not."""

    def route_unlink(self, kind: Kind, consumer: PID, target: Watched) -> None:
        """The reverse; no such relation is nothing. ErgoError if there is no such target."""

    def route_terminate(self, target: Watched, reason: Error) -> None:
        """Something of the peer's that we watch is no more."""

    def relation_taken(self, kind: Kind, consumer: PID, target: Watched) -> bool:
        """The peer has agreed to a link or monitor of ours. False if it is there already: "target is already exist"."""

    def relation_given_back(self, kind: Kind, consumer: PID, target: Watched) -> bool:
        """The peer has let go of one. False if it is gone already: "unknown target"."""

    def owner_of(self, target: Watched) -> Process | None:
        """The process of ours that a target is of, or is: what is said about a target goes the way of what that one sends."""

    async def route_spawn(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
        """A node asks for a process: that, once it is ready. ErgoError says why not."""

    async def route_application_start(
        self, node: Atom, name: Atom, mode: int, options: ApplicationOptionsExtra
    ) -> None:
        """A node asks for an application. ErgoError says why not."""

    async def remote_spawn(
        self, node: Atom, name: Atom, args: list[Any] | None, options: ProcessOptions | None, register: str
    ) -> PID:
        """A process on another node; its parent is our node itself. Raises ErgoError and CannotEncode."""

    async def remote_application_start(
        self, node: Atom, name: Atom, mode: int, options: ApplicationOptions | None
    ) -> None:
        """An application on another node. Raises ErgoError and CannotEncode."""

    def disconnect(self, node: Atom) -> None:
        """Ends the connection with a node. ErgoError "no connection" if there is none."""
