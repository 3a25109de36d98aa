"""Links, monitors and events: taken, given back, and told about when a target ends or its node is gone.

Each relation is told about once.  What ends on this node is told to its consumers here and, one frame per node, to those
elsewhere; what ends elsewhere comes as such a frame, or with the end of the connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ...model.ergo import error_values, gen
from ...model.ergo.enp import Priority
from ...model.ergo.gen import MessageEvent
from ...model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from ..api import RELATION_METHODS, Connection
from ..api.errors import ErgoError
from .process import Down, ExitSignal, Message, MessageOptions, Process, Published
from .relations import Kind, Relation, Relations, Watched, key_of, node_of

if TYPE_CHECKING:
    from .core import Core

Take = Callable[[PID, Watched], Awaitable[list[MessageEvent]]]
GiveBack = Callable[[PID, Watched], Awaitable[None]]
_UNKNOWN: Final[Mapping[type, Error]] = {
    PID: error_values.PROCESS_UNKNOWN,
    ProcessID: error_values.PROCESS_UNKNOWN,
    Alias: error_values.ALIAS_UNKNOWN,
    Event: error_values.EVENT_UNKNOWN,
}


@dataclass(slots=True)
class EventOwner:
    """A registered event. `last`: what a new subscriber gets; `notify`: the owner hears of the first and the last one."""

    process: Process
    token: Ref
    notify: bool
    last: deque[MessageEvent] = field(default_factory=deque)


class Watching:
    """The relations and events of one node."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.relations = Relations()
        self.events: dict[Atom, EventOwner] = {}

    # --- what a process of this node asks for -------------------------------------------------------------------------

    async def watch(self, kind: Kind, process: Process, target: Watched) -> list[MessageEvent]:
        """Links or monitors; of an event the last messages are returned. Raises ErgoError."""
        if target == process.pid:
            raise ErgoError(error_values.NOT_ALLOWED)
        if self.relations.has(kind, target, process.pid):
            raise ErgoError(error_values.TARGET_EXIST)
        if node_of(target) == self.core.name:
            return self.add(kind, target, process.pid)
        connection = await self.core.connection(node_of(target))
        if isinstance(target, Atom):  # nothing is sent: the end of the connection tells
            if self.core.open_connection(target) is not connection:  # it was there, and is gone already
                raise ErgoError(error_values.NO_CONNECTION)
            if not self.relations.add(kind, target, process.pid):
                raise ErgoError(error_values.TARGET_EXIST)
            return []
        take: Take = getattr(connection, RELATION_METHODS[kind, type(target)][0])
        return await take(process.pid, target)

    async def unwatch(self, kind: Kind, process: Process, target: Watched) -> None:
        """Takes a relation back. Raises ErgoError."""
        if not self.relations.has(kind, target, process.pid):
            raise ErgoError(error_values.TARGET_UNKNOWN)
        if node_of(target) != self.core.name and not isinstance(target, Atom):
            connection = await self.core.connection(node_of(target))
            give_back: GiveBack = getattr(connection, RELATION_METHODS[kind, type(target)][1])
            await give_back(process.pid, target)
        else:
            self.remove(kind, target, process.pid)

    # --- the table, for consumers of any node -------------------------------------------------------------------------

    def add(self, kind: Kind, target: Watched, consumer: PID) -> list[MessageEvent]:
        """A relation to a target of this node; one that is there already is nothing. ErgoError if there is no such target."""
        self.check(target)
        first = not self.relations.of(target)
        self.relations.add(kind, target, consumer)
        if not isinstance(target, Event):
            return []
        owner = self.events[target.name]
        if owner.notify and first:
            self._notify(owner, gen.MessageEventStart(target.name))
        return list(owner.last)

    def check(self, target: Watched) -> None:
        """ErgoError if there is no such target on this node."""
        if self.owner(target) is None:
            raise ErgoError(_UNKNOWN.get(type(target), error_values.TARGET_UNKNOWN))

    def remove(self, kind: Kind, target: Watched, consumer: PID) -> bool:
        """Takes a relation out; False if there is none."""
        there = self.relations.remove(kind, target, consumer)
        if there:
            self._left(target)
        return there

    def owner(self, target: Watched) -> Process | None:
        """The process of this node that a target is of, or is; None if there is no such target."""
        core = self.core
        match target:
            case PID():
                return core.processes.get(target.id) if target.creation == core.creation else None
            case ProcessID():
                return core.names.get(target.name)
            case Alias():
                return core.aliases.get(target.id) if target.creation == core.creation else None
            case Event():
                event = self.events.get(target.name)
                return event.process if event is not None else None
        return None

    def _left(self, target: Watched) -> None:
        """A consumer has left a target: an event may have lost its last one."""
        owner = self.events.get(target.name) if isinstance(target, Event) and target.node == self.core.name else None
        if owner is not None and owner.notify and not self.relations.of(target):
            self._notify(owner, gen.MessageEventStop(target.name))  # type: ignore[union-attr]  # an event, as it has an owner

    def _all_left(self, targets: Iterable[Watched]) -> None:
        """Several relations are gone at once: each target lost its last consumer once at most."""
        for target in {key_of(target): target for target in targets}.values():
            self._left(target)

    def _notify(self, owner: EventOwner, message: Any) -> None:
        owner.process.mailbox.put_signal(Message(self.core.pid, message), Priority.HIGH)

    # --- ends ---------------------------------------------------------------------------------------------------------

    def process_ended(self, process: Process, reason: Error) -> None:
        """A process is over: its PID, name, aliases and events end, and what it watched is forgotten."""
        core = self.core
        self.ended(process.pid, reason, process)
        if process.name is not None:
            self.ended(ProcessID(core.name, process.name), reason, process)
        for alias in process.aliases:
            self.ended(alias, reason, process)
        for name in [name for name, owner in self.events.items() if owner.process is process]:
            del self.events[name]
            self.ended(Event(core.name, name), reason, process)
        self._all_left(self.relations.forget(process.pid))

    def ended(self, target: Watched, reason: Error, process: Process) -> None:
        """A target of this node, which belonged to `process`, is no more."""
        nodes: dict[Atom, None] = {}
        for relation in self.relations.take(target):
            if relation.consumer.node == self.core.name:
                self._tell(relation, target, reason)
            else:
                nodes[relation.consumer.node] = None
        for node in nodes:
            connection = self.core.open_connection(node)
            if connection is not None:
                tell_peer(connection, target, reason, process.pid)

    def ended_elsewhere(self, target: Watched, reason: Error) -> None:
        """A target of another node is no more."""
        for relation in self.relations.take(target):
            self._tell(relation, target, reason)

    def node_down(self, node: Atom) -> None:
        """A connection has ended: so has all that was watched there; its own consumers are forgotten silently."""
        for target in list(self.relations.targets_on(node)):
            self.ended_elsewhere(target, error_values.NO_CONNECTION)
        self._all_left(self.relations.forget_node(node))

    def _tell(self, relation: Relation, target: Watched, reason: Error) -> None:
        process = self.core.processes.get(relation.consumer.id)
        if process is None:
            return
        if relation.kind is Kind.LINK:
            process.mailbox.put_signal(ExitSignal(target, reason), Priority.MAX)
        else:
            process.mailbox.put_signal(Down(target, reason), Priority.HIGH)

    # --- events -------------------------------------------------------------------------------------------------------

    def register_event(self, process: Process, name: Atom, *, buffer: int, notify: bool) -> Ref:
        """An event of this node. `buffer`: messages kept for new subscribers. ErgoError if the name is taken."""
        if name in self.events:
            raise ErgoError(error_values.TAKEN)
        owner = EventOwner(process, self.core.make_ref(), notify, deque(maxlen=buffer))
        self.events[name] = owner
        return owner.token

    def unregister_event(self, process: Process, name: Atom) -> None:
        """The event ends: "unregistered". Raises ErgoError."""
        self._owned(process, name)
        del self.events[name]
        self.ended(Event(self.core.name, name), error_values.UNREGISTERED, process)

    def publish(self, process: Process, name: Atom, message: Any, options: MessageOptions) -> None:
        """To all subscribers: one frame per node, a message per process. Raises ErgoError and CannotEncode."""
        owner = self._owned(process, name)
        event = MessageEvent(Event(self.core.name, name), self.core.now(), message)
        owner.last.append(event)
        self.distribute(event, options.priority)
        nodes = dict.fromkeys(relation.consumer.node for relation in self.relations.of(event.Event))
        for node in nodes:
            connection = self.core.open_connection(node) if node != self.core.name else None
            if connection is not None:
                connection.send_event(process.pid, options, event)

    def distribute(self, event: MessageEvent, priority: Priority) -> None:
        """To the subscribers on this node, once each."""
        published = Published(*event)
        for consumer in dict.fromkeys(relation.consumer for relation in self.relations.of(event.Event)):
            if consumer.node == self.core.name:
                self.core.deliver(self.core.processes.get(consumer.id), published, priority)

    def _owned(self, process: Process, name: Atom) -> EventOwner:
        owner = self.events.get(name)
        if owner is None:
            raise ErgoError(error_values.EVENT_UNKNOWN)
        if owner.process is not process:
            raise ErgoError(error_values.EVENT_OWNER)
        return owner


def tell_peer(connection: Connection, target: Watched, reason: Error, owner: PID) -> None:
    """Tells a node that something of ours, which it watches, is no more."""
    match target:
        case PID():
            connection.send_terminate_pid(target, reason, owner)
        case ProcessID():
            connection.send_terminate_process_id(target, reason, owner)
        case Alias():
            connection.send_terminate_alias(target, reason, owner)
        case Event():
            connection.send_terminate_event(target, reason, owner)
