"""Registered events: their owners, their last messages, and the delivery to subscribers."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...model.ergo import error_values, gen
from ...model.ergo.enp import Priority
from ...model.ergo.gen import MessageEvent
from ...model.values import Atom, Event, Ref
from ..api.errors import ErgoError
from ..api.messages import Message, MessageOptions, Published
from .peer_connections import Peers
from .process import Process
from .process_table import ProcessTable
from .relation_table import RelationTable


@dataclass(slots=True)
class RegisteredEvent:
    """An event of this node. `last`: the messages for a new subscriber; `notify`: the owner is notified of subscribers."""

    owner: Process
    token: Ref
    notify: bool
    last: deque[MessageEvent] = field(default_factory=deque)


class Events:
    """The events of one node. `now`: Unix nanoseconds, for the timestamps of messages."""

    def __init__(self, tables: ProcessTable, relations: RelationTable, peers: Peers, now: Callable[[], int]) -> None:
        self._tables, self._relations, self._peers, self._now = tables, relations, peers, now
        self._events: dict[Atom, RegisteredEvent] = {}
        self._by_owner: dict[Process, dict[Atom, None]] = {}

    def get(self, name: Atom) -> RegisteredEvent | None:
        """Returns a registered event."""
        return self._events.get(name)

    def owned_by(self, process: Process) -> list[Atom]:
        """Returns the names of the events of a process, oldest first."""
        return list(self._by_owner.get(process, ()))

    def register(self, process: Process, name: Atom, *, buffer: int, notify: bool) -> Ref:
        """See Process.register_event. ErgoError "resource is taken"."""
        if name in self._events:
            raise ErgoError(error_values.TAKEN)
        event = RegisteredEvent(process, self._tables.make_ref(), notify, deque(maxlen=buffer))
        self._events[name] = event
        self._by_owner.setdefault(process, {})[name] = None
        return event.token

    def remove(self, process: Process, name: Atom) -> Event:
        """Removes an event of a process; returns its address. Raises ErgoError."""
        self._owned(process, name)
        del self._events[name]
        own = self._by_owner[process]
        del own[name]
        if not own:
            del self._by_owner[process]
        return Event(self._tables.name, name)

    def publish(self, process: Process, name: Atom, message: Any, options: MessageOptions) -> None:
        """See Process.publish: one frame per node, one message per process."""
        registered = self._owned(process, name)
        event = MessageEvent(Event(self._tables.name, name), self._now(), message)
        registered.last.append(event)
        self.distribute(event, options.priority)
        nodes = dict.fromkeys(relation.consumer.node for relation in self._relations.of(event.Event))
        for node in nodes:
            connection = self._peers.connections.get(node) if node != self._tables.name else None
            if connection is not None:
                connection.send_event(process.pid, options, event)

    def distribute(self, event: MessageEvent, priority: Priority) -> None:
        """Delivers a message of an event of any node to its subscribers on this node, once each."""
        published = Published(*event)
        for consumer in dict.fromkeys(relation.consumer for relation in self._relations.of(event.Event)):
            if consumer.node == self._tables.name:
                self._tables.deliver(self._tables.processes.get(consumer.id), published, priority)

    def subscribed(self, name: Atom, *, first: bool) -> list[MessageEvent]:
        """Returns the last messages for a new subscriber. `first`: it is the only one, so the owner may be notified."""
        event = self._events[name]
        if event.notify and first:
            self._notify(event, gen.MessageEventStart(name))
        return list(event.last)

    def unsubscribed(self, name: Atom) -> None:
        """Notifies the owner of an event, if it asked for it, that the last subscriber has left."""
        event = self._events.get(name)
        if event is not None and event.notify:
            self._notify(event, gen.MessageEventStop(name))

    def _notify(self, event: RegisteredEvent, message: Any) -> None:
        event.owner.mailbox.put_signal(Message(self._tables.pid, message), Priority.HIGH)

    def _owned(self, process: Process, name: Atom) -> RegisteredEvent:
        event = self._events.get(name)
        if event is None:
            raise ErgoError(error_values.EVENT_UNKNOWN)
        if event.owner is not process:
            raise ErgoError(error_values.EVENT_OWNER)
        return event
