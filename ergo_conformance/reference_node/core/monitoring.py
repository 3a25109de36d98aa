"""Links and monitors: requests, removals, and notifications when a target ends or its node is disconnected.

Each consumer is notified once.  The end of a target on this node is reported to its consumers here and, with one frame per
node, to those on other nodes; the end of a target on another node arrives as that frame, or with the end of the connection.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from ...model.ergo import error_values
from ...model.ergo.enp import Priority
from ...model.ergo.gen import MessageEvent
from ...model.values import PID, Alias, Atom, Error, Event, ProcessID
from ..api.errors import ErgoError
from ..api.messages import Down, ExitSignal
from ..api.relations import RelationKind, RelationTarget, node_of
from .events import Events
from .peer_connections import Peers
from .process import Process
from .process_table import ProcessTable
from .relation_table import Relation, RelationTable, key_of

_UNKNOWN: Final[Mapping[type, Error]] = {
    PID: error_values.PROCESS_UNKNOWN,
    ProcessID: error_values.PROCESS_UNKNOWN,
    Alias: error_values.ALIAS_UNKNOWN,
    Event: error_values.EVENT_UNKNOWN,
}


class Monitoring:
    """The links and monitors of one node."""

    def __init__(self, tables: ProcessTable, relations: RelationTable, events: Events, peers: Peers) -> None:
        self._tables, self.relations, self._events, self._peers = tables, relations, events, peers

    # --- requests of local processes ----------------------------------------------------------------------------------

    async def request(self, kind: RelationKind, process: Process, target: RelationTarget) -> list[MessageEvent]:
        """Links or monitors a target on any node; returns the last messages of an event. Raises ErgoError."""
        if target == process.pid:
            raise ErgoError(error_values.NOT_ALLOWED)
        if self.relations.has(kind, target, process.pid):
            raise ErgoError(error_values.TARGET_EXIST)
        if node_of(target) == self._tables.name:
            return self.add(kind, target, process.pid)
        connection = await self._peers.connection(node_of(target))
        if isinstance(target, Atom):  # nothing is sent: the end of the connection is the notice
            if self._peers.connections.get(target) is not connection:  # the connection has ended meanwhile
                raise ErgoError(error_values.NO_CONNECTION)
            if not self.relations.add(kind, target, process.pid):
                raise ErgoError(error_values.TARGET_EXIST)
            return []
        ask = connection.link if kind is RelationKind.LINK else connection.monitor
        return await ask(process.pid, target)

    async def withdraw(self, kind: RelationKind, process: Process, target: RelationTarget) -> None:
        """Removes a link or monitor of a local process. Raises ErgoError."""
        if not self.relations.has(kind, target, process.pid):
            raise ErgoError(error_values.TARGET_UNKNOWN)
        if node_of(target) == self._tables.name or isinstance(target, Atom):
            self.remove(kind, target, process.pid)
            return
        connection = await self._peers.connection(node_of(target))
        ask = connection.unlink if kind is RelationKind.LINK else connection.demonitor
        await ask(process.pid, target)

    # --- the table, for consumers of any node -------------------------------------------------------------------------

    def add(self, kind: RelationKind, target: RelationTarget, consumer: PID) -> list[MessageEvent]:
        """Adds a relation to a target of this node; an existing one is a no-op. ErgoError if the target does not exist."""
        self.check_exists(target)
        first = not self.relations.has_consumers(target)
        self.relations.add(kind, target, consumer)
        return self._events.subscribed(target.name, first=first) if isinstance(target, Event) else []

    def remove(self, kind: RelationKind, target: RelationTarget, consumer: PID) -> bool:
        """Removes a relation. False if it does not exist."""
        removed = self.relations.remove(kind, target, consumer)
        if removed:
            self._consumer_left(target)
        return removed

    def check_exists(self, target: RelationTarget) -> None:
        """ErgoError if the target does not exist on this node."""
        if self.owner(target) is None:
            raise ErgoError(_UNKNOWN.get(type(target), error_values.TARGET_UNKNOWN))

    def owner(self, target: RelationTarget) -> Process | None:
        """Returns the local process that is or owns a target; None if the target does not exist."""
        tables = self._tables
        match target:
            case PID():
                return tables.processes.get(target.id) if target.creation == tables.creation else None
            case ProcessID():
                return tables.names.get(target.name)
            case Alias():
                return tables.aliases.get(target.id) if target.creation == tables.creation else None
            case Event():
                event = self._events.get(target.name)
                return event.owner if event is not None else None
        return None

    def _consumer_left(self, target: RelationTarget) -> None:
        if not isinstance(target, Event) or target.node != self._tables.name:
            return
        if not self.relations.has_consumers(target):
            self._events.unsubscribed(target.name)

    def _consumers_left(self, targets: Iterable[RelationTarget]) -> None:
        """Handles the removal of several relations: each target loses its last consumer at most once."""
        for target in {key_of(target): target for target in targets}.values():
            self._consumer_left(target)

    # --- ends of targets ----------------------------------------------------------------------------------------------

    def process_ended(self, process: Process, reason: Error) -> None:
        """Handles the end of a process: of its PID, name, aliases and events; removes the relations it requested."""
        self.target_ended(process.pid, reason, process)
        if process.name is not None:
            self.target_ended(ProcessID(self._tables.name, process.name), reason, process)
        for alias in process.aliases:
            self.target_ended(alias, reason, process)
        for name in self._events.owned_by(process):
            self.target_ended(self._events.remove(process, name), reason, process)
        self._consumers_left(self.relations.forget(process.pid))

    def unregister_event(self, process: Process, name: Atom) -> None:
        """See Process.unregister_event."""
        self.target_ended(self._events.remove(process, name), error_values.UNREGISTERED, process)

    def delete_alias(self, process: Process, alias: Alias) -> None:
        """See Process.delete_alias."""
        owner = self._tables.aliases.get(alias.id)
        if owner is None:
            raise ErgoError(error_values.ALIAS_UNKNOWN)
        if owner is not process:
            raise ErgoError(error_values.ALIAS_OWNER)
        del self._tables.aliases[alias.id]
        del process.aliases[alias]
        self.target_ended(alias, error_values.UNREGISTERED, process)

    def target_ended(self, target: RelationTarget, reason: Error, owner: Process) -> None:
        """Handles the end of a target of this node: notifies its consumers on all nodes."""
        nodes: dict[Atom, None] = {}
        for relation in self.relations.take(target):
            if relation.consumer.node == self._tables.name:
                self._notify(relation, target, reason)
            else:
                nodes[relation.consumer.node] = None
        for node in nodes:
            connection = self._peers.connections.get(node)
            if connection is not None:
                connection.send_terminate(target, reason, owner.pid)

    def remote_target_ended(self, target: RelationTarget, reason: Error) -> None:
        """Handles the end of a target of another node: notifies its consumers on this node."""
        for relation in self.relations.take(target):
            self._notify(relation, target, reason)

    def node_down(self, node: Atom) -> None:
        """Handles the end of a connection: notifies consumers of targets on that node, removes relations of its consumers."""
        for target in list(self.relations.targets_on(node)):
            self.remote_target_ended(target, error_values.NO_CONNECTION)
        self._consumers_left(self.relations.forget_node(node))

    def _notify(self, relation: Relation, target: RelationTarget, reason: Error) -> None:
        process = self._tables.processes.get(relation.consumer.id)
        if process is None:
            return
        if relation.kind is RelationKind.LINK:
            process.mailbox.put_signal(ExitSignal(target, reason), Priority.MAX)
        else:
            process.mailbox.put_signal(Down(target, reason), Priority.HIGH)
