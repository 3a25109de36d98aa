"""Faults in what stays and what ends: processes, names, aliases, events and relations, on both sides of a connection."""

from collections import deque
from typing import Any

from ..model.ergo import error_values
from ..model.ergo.gen import MessageEvent
from ..model.values import PID, Alias, Atom, Error, Event, Ref, Typed
from ..reference_node.api import Socket
from ..reference_node.api.messages import MessageOptions
from ..reference_node.api.relations import RelationKind, RelationTarget
from ..reference_node.core import monitoring, relation_table
from ..reference_node.core.core import NodeCore
from ..reference_node.core.events import Events
from ..reference_node.core.monitoring import Monitoring
from ..reference_node.core.process import Process
from ..reference_node.core.relation_table import RelationTable
from ..reference_node.core.spawner import Spawner
from ..reference_node.ergo.enp.connection import EnpConnection
from ..reference_node.ergo.enp.control import ControlMessages
from .faults import NameFault
from .mutant import Area

ENDS = Area("ends")
LINKS, EVENTS, WATCHING, STAYS = "node.links", "node.events", "node.watching", "node.what_stays"
BUFFERS, TWICE, NOTIFICATION, MALFORMED = "node.buffers", "node.watching_twice", "node.notification", "proto.malformed"

# --- what stays in the tables -----------------------------------------------------------------------------------------


@ENDS.fault("ENP-LINK-1", found_by=(f"{STAYS}.ended_process",), subtle=True)
class EndedProcessKept(Spawner):
    """Keeps an ended process in its table."""

    def ended(self, process: Process, reason: Error) -> None:
        known = process.pid.id in self._tables.processes
        super().ended(process, reason)
        if known:
            self._tables.processes[process.pid.id] = process


@ENDS.fault("ENP-SPAWN-1", found_by=("node.spawn.registered",), subtle=True)
class NameOfEndedProcessKept(Spawner):
    """Keeps the name of an ended process that another node has spawned."""

    def ended(self, process: Process, reason: Error) -> None:
        super().ended(process, reason)
        if process.name is not None and process.parent.node != self._tables.name:
            self._tables.names.setdefault(process.name, process)


@ENDS.fault("ENP-T-104", "ENP-DLV-1", "ENP-TERM-2", found_by=(f"{STAYS}.alias_of_an_ended_process",), subtle=True)
class AliasOfEndedProcessKept(Spawner):
    """Keeps the aliases of an ended process."""

    def ended(self, process: Process, reason: Error) -> None:
        super().ended(process, reason)
        self._tables.aliases.update({alias.id: process for alias in process.aliases})


@ENDS.fault("ENP-DLV-1", "ENP-ANY-1", found_by=(f"{LINKS}.alias_is_gone",))
class DeletedAliasKept(Monitoring):
    """Keeps an alias that its owner has deleted."""

    def delete_alias(self, process: Process, alias: Alias) -> None:
        super().delete_alias(process, alias)
        self._tables.aliases[alias.id] = process


@ENDS.fault("ENP-EVT-3", "ENP-LINK-1", found_by=(f"{EVENTS}.owner_ends[*]", f"{STAYS}.event_of_an_ended_owner"))
class EventOfEndedOwnerKept(Events):
    """Keeps the events of a process that has ended."""

    def owned_by(self, process: Process) -> Any:
        return iter(())


@ENDS.fault("ENP-EVT-3", "ENP-EVT-5", "ENP-EVT-1", found_by=(f"{EVENTS}.gone", f"{EVENTS}.second_life"))
class UnregisteredEventKept(Events):
    """Keeps an event that its owner has unregistered."""

    def remove(self, process: Process, name: Atom) -> Event:
        registered = self._events[name]
        try:
            return super().remove(process, name)
        finally:
            self._events[name] = registered


@ENDS.fault("ENP-TERM-4", "ENP-EVT-5", found_by=(f"{LINKS}.second_life", f"{EVENTS}.second_life"), subtle=True)
class RelationsKeptAfterTheEnd(RelationTable):
    """Keeps the relations to a target that has ended."""

    def take(self, target: RelationTarget) -> Any:
        return self.of(target)


# --- which relations end ----------------------------------------------------------------------------------------------


@ENDS.fault("ENP-TERM-2", "ENP-T-184", found_by=(f"{STAYS}.each_alias",), subtle=True)
class FirstAliasAlone(Monitoring):
    """Reports the end of only the first alias of an ended process."""

    def process_ended(self, process: Process, reason: Error) -> None:
        for alias in list(process.aliases)[1:]:
            del process.aliases[alias]
        super().process_ended(process, reason)


def target_without_kind(target: RelationTarget) -> Any:
    """Returns a key that a name and an event with equal parts share."""
    return object, target


ENDS.add(
    "name_and_event_alike",
    "Keeps the relations to a name and to an event that are spelled alike under one key.",
    NameFault((relation_table, monitoring), "key_of", target_without_kind),
    "ENP-TERM-4",
    "ENP-TERM-6",
    found_by=(f"{STAYS}.name_and_event_alike[*]", f"{TWICE}.name_and_event_alike[*]"),
    subtle=True,
)


@ENDS.fault("ENP-TERM-2", "ENP-TERM-3", found_by=(f"{STAYS}.second_relation[*]",), subtle=True)
class EndReportedOnceForEver(EnpConnection):
    """Forgets a target after the first report of its end, and reports no second one."""

    def send_terminate(self, target: RelationTarget, reason: Error, owner: PID) -> None:
        told = vars(self).setdefault("told", set())
        if target not in told:
            told.add(target)
            super().send_terminate(target, reason, owner)


@ENDS.fault("ENP-TERM-3", found_by=(f"{LINKS}.each_node",), subtle=True)
class EndReportedToFirstNode(EnpConnection):
    """Reports the end of a target only to the first of several nodes."""

    def send_terminate(self, target: RelationTarget, reason: Error, owner: PID) -> None:
        told: set[Any] = vars(self.core).setdefault("told", set())
        if (target, reason) not in told:
            told.add((target, reason))
            super().send_terminate(target, reason, owner)


@ENDS.fault("ENP-TERM-3", "ENP-TERM-2", found_by=(f"{STAYS}.many_ends",), subtle=True)
class FiftyEndsAtMost(EnpConnection):
    """Reports at most fifty ends to a peer."""

    def send_terminate(self, target: RelationTarget, reason: Error, owner: PID) -> None:
        sent = vars(self)["sent"] = vars(self).get("sent", 0) + 1
        if sent <= 50:
            super().send_terminate(target, reason, owner)


@ENDS.fault(
    "ENP-TERM-2", found_by=(f"{LINKS}.regular_end", f"{LINKS}.reason[normal]", f"{STAYS}.longest_name[254_bytes]")
)
class RegularEndUnreported(EnpConnection):
    """Does not report an end with the reason "normal"."""

    def send_terminate(self, target: RelationTarget, reason: Error, owner: PID) -> None:
        if reason != error_values.NORMAL:
            super().send_terminate(target, reason, owner)


@ENDS.fault(
    "ENP-TERM-2",
    "ENP-DOWN-2",
    found_by=(f"{LINKS}.link_lost_meanwhile", f"{WATCHING}.not_before_the_last_link"),
    subtle=True,
)
class RelationsEndWithOneSocket(EnpConnection):
    """Ends the relations with a node when one of the sockets of its pool closes."""

    def leave(self, socket: Socket) -> None:
        super().leave(socket)
        if self.sockets:
            self.core.node_down(self.name)  # type: ignore[attr-defined]  # of NodeCore


@ENDS.fault(
    "ENP-TERM-2",
    "ENP-EVT-2",
    "ENP-TERM-6",
    "ENP-SPAWN-5",
    found_by=(
        f"{STAYS}.other_node_lost",
        f"{BUFFERS}.other_node_lost",
        f"{TWICE}.two_nodes",
        "node.spawn.other_connection_is_lost",
    ),
    subtle=True,
)
class RelationsOfAllNodesEnd(NodeCore):
    """Ends the relations with all nodes when one node is lost."""

    def node_down(self, node: Atom) -> None:
        for other in {node, *self.peers.connections}:
            super().node_down(other)


@ENDS.fault("ENP-TERM-3", "ENP-TERM-2", found_by=(f"{STAYS}.end_of_another_process",))
class EveryEndEndsEcho(Monitoring):
    """Reports the end of `echo` when another process ends."""

    def process_ended(self, process: Process, reason: Error) -> None:
        super().process_ended(process, reason)
        echo = self._tables.names.get(Atom("echo"))
        if echo is not None:
            self.target_ended(echo.pid, reason, echo)


@ENDS.fault(
    "ENP-TERM-4",
    "ENP-EVT-5",
    "ENP-LINK-2",
    found_by=(f"{STAYS}.requested_twice_removed_once[*]", f"{BUFFERS}.requested_twice_removed_once[*]"),
    subtle=True,
)
class RelationsCounted(RelationTable):
    """Counts repeated requests for a relation, and removes it with as many requests."""

    def __init__(self) -> None:
        super().__init__()
        self._repeated: dict[Any, int] = {}

    def add(self, kind: RelationKind, target: RelationTarget, consumer: PID) -> bool:
        added = super().add(kind, target, consumer)
        if not added:
            self._repeated[kind, target, consumer] = self._repeated.get((kind, target, consumer), 0) + 1
        return added

    def remove(self, kind: RelationKind, target: RelationTarget, consumer: PID) -> bool:
        if self._repeated.pop((kind, target, consumer), 0):
            return True
        return super().remove(kind, target, consumer)


@ENDS.fault("ENP-EVT-2", "ENP-EVT-5", found_by=(f"{BUFFERS}.subscribed_again",), subtle=True)
class RemovedRelationNotAddedAgain(RelationTable):
    """Answers a request for a relation that was removed before, and does not add it."""

    def __init__(self) -> None:
        super().__init__()
        self._removed: set[Any] = set()

    def add(self, kind: RelationKind, target: RelationTarget, consumer: PID) -> bool:
        return (kind, target, consumer) in self._removed or super().add(kind, target, consumer)

    def remove(self, kind: RelationKind, target: RelationTarget, consumer: PID) -> bool:
        self._removed.add((kind, target, consumer))
        return super().remove(kind, target, consumer)


# --- events -----------------------------------------------------------------------------------------------------------


@ENDS.fault(
    "ENP-EVT-1",
    found_by=(f"{EVENTS}.buffer[*]", f"{EVENTS}.without_a_buffer", f"{EVENTS}.buffer_of_one", f"{EVENTS}.counter"),
)
class ResultWithoutMessages(ControlMessages):
    """Answers a request for an event without the last messages."""

    def _answer(self, ref: Ref, error: Error | None, result: Any, requester_id: int, owner_id: int) -> None:
        super()._answer(ref, error, None if isinstance(result, Typed) else result, requester_id, owner_id)


@ENDS.fault("ENP-EVT-1", found_by=(f"{BUFFERS}.second_process", f"{BUFFERS}.limit[*]"), subtle=True)
class BufferForTheFirstAlone(Events):
    """Sends the last messages only to the first subscriber."""

    def subscribed(self, name: Atom, *, first: bool) -> list[MessageEvent]:
        last = super().subscribed(name, first=first)
        return last if first else []


@ENDS.fault("ENP-EVT-1", found_by=(f"{BUFFERS}.second_subscription", f"{BUFFERS}.two_events"), subtle=True)
class BufferFilledForSubscribersAlone(Events):
    """Keeps no message while nobody subscribes."""

    def publish(self, process: Process, name: Atom, message: Any, options: MessageOptions) -> None:
        super().publish(process, name, message, options)
        if not self._relations.of(Event(self._tables.name, name)):
            self._events[name].last.clear()


@ENDS.fault("ENP-EVT-1", "ENP-EVT-5", found_by=(f"{BUFFERS}.two_events",), subtle=True)
class BufferOfAllEvents(Events):
    """Keeps the last messages of all events in one buffer."""

    def register(self, process: Process, name: Atom, *, buffer: int, notify: bool) -> Ref:
        token = super().register(process, name, buffer=buffer, notify=notify)
        self._events[name].last = vars(self).setdefault("shared", deque(maxlen=3))
        return token


@ENDS.fault("ENP-EVT-2", found_by=(f"{EVENTS}.each_node",), subtle=True)
class PublishedToFirstNode(EnpConnection):
    """Sends a message of an event only to the first of several nodes."""

    def send_event(self, sender: PID, options: MessageOptions, message: MessageEvent) -> None:
        sent: list[MessageEvent] = vars(self.core).setdefault("sent", [])
        if not any(each is message for each in sent):
            sent.append(message)
            super().send_event(sender, options, message)


@ENDS.fault(
    "ENP-EVT-2",
    "ENP-ORD-4",
    found_by=(f"{EVENTS}.order", f"{EVENTS}.published[*]", f"{EVENTS}.other_process_still_watches"),
)
class EventHeldBack(EnpConnection):
    """Sends a message of an event with the next one."""

    _held: Any = None

    def send_event(self, sender: PID, options: MessageOptions, message: MessageEvent) -> None:
        held, self._held = self._held, message
        if held is not None:
            super().send_event(sender, options, held)


@ENDS.fault("ENP-EVT-4", found_by=(f"{NOTIFICATION}.no_notification",))
class OwnerAlwaysNotified(Events):
    """Notifies the owner of every event of its subscribers."""

    def register(self, process: Process, name: Atom, *, buffer: int, notify: bool) -> Ref:
        return super().register(process, name, buffer=buffer, notify=True)
