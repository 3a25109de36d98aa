"""Faults in links, monitors and events."""

from typing import Any

from ..model.ergo import enp, error_values
from ..model.ergo.enp import Priority
from ..model.ergo.gen import MessageEvent
from ..model.values import PID, Alias, Atom, Error, Event, Ref
from ..reference_node.api.messages import MessageOptions, Published
from ..reference_node.api.relations import RelationKind, RelationTarget
from ..reference_node.core.events import Events
from ..reference_node.core.monitoring import Monitoring
from ..reference_node.core.process import Process
from ..reference_node.ergo.enp.connection import EnpConnection
from ..reference_node.ergo.enp.control import ControlMessages
from .mutant import Area

RELATIONS = Area("relations")
LINKS, EVENTS, WATCHING, SPAWN = "node.links", "node.events", "node.watching", "node.spawn"
NOTIFICATION = "node.notification"

# --- reports of the end of a target -----------------------------------------------------------------------------------


@RELATIONS.fault(
    "ENP-TERM-3",
    found_by=(
        f"{LINKS}.end_is_told[*]",
        f"{EVENTS}.unregistered[*]",
        f"{LINKS}.over_a_pool",
        f"{LINKS}.asked_twice[*]",
    ),
)
class EndReportedTwice(EnpConnection):
    """Reports the end of a target twice to a node."""

    def send_terminate(self, target: RelationTarget, reason: Error, owner: PID) -> None:
        for _ in range(2):
            super().send_terminate(target, reason, owner)


@RELATIONS.fault("ENP-TERM-2", found_by=(f"{LINKS}.end_is_told[monitor-processid]", f"{LINKS}.each_address"))
class EndOfNameUnreported(EnpConnection):
    """Does not report the end of a registered name."""

    def send_terminate(self, target: RelationTarget, reason: Error, owner: PID) -> None:
        if isinstance(target, PID | Alias | Event):
            super().send_terminate(target, reason, owner)


@RELATIONS.fault(
    "ENP-TERM-2",
    "ENP-EVT-3",
    found_by=(f"{LINKS}.reason[kill]", f"{LINKS}.error_as_a_reason", f"{EVENTS}.owner_ends[a]"),
)
class WrongReason(EnpConnection):
    """Reports "shutdown" as the reason of every end of a target."""

    def send_terminate(self, target: RelationTarget, reason: Error, owner: PID) -> None:
        super().send_terminate(target, error_values.SHUTDOWN, owner)


@RELATIONS.fault("ENP-TERM-3", found_by=(f"{LINKS}.once_for_all[*]",))
class EndReportedPerProcess(Monitoring):
    """Sends one report per consumer, not one per node."""

    def target_ended(self, target: RelationTarget, reason: Error, owner: Process) -> None:
        relations = self.relations.of(target)
        for _ in range(len(relations) - 1):
            for node in {relation.consumer.node for relation in relations}:
                if node in self._peers.connections:
                    self._peers.connections[node].send_terminate(target, reason, owner.pid)
        super().target_ended(target, reason, owner)


@RELATIONS.fault("ENP-TERM-4", found_by=(f"{LINKS}.not_watched", f"{LINKS}.given_back[link-pid]"))
class EndReportedToAllNodes(Monitoring):
    """Reports the end of a target to all connected nodes."""

    def target_ended(self, target: RelationTarget, reason: Error, owner: Process) -> None:
        consumers = {relation.consumer.node for relation in self.relations.of(target)}
        super().target_ended(target, reason, owner)
        for node, connection in self._peers.connections.items():
            if node not in consumers:
                connection.send_terminate(target, reason, owner.pid)


@RELATIONS.fault(
    "ENP-TERM-4", "ENP-EVT-5", found_by=(f"{LINKS}.relations_end_with_the_connection", f"{EVENTS}.connection_lost")
)
class RelationsKeptAfterDisconnect(Monitoring):
    """Keeps the relations of consumers on a disconnected node."""

    def node_down(self, node: Atom) -> None:
        for target in list(self.relations.targets_on(node)):
            self.remote_target_ended(target, error_values.NO_CONNECTION)


@RELATIONS.fault("ENP-DOWN-2", found_by=(f"{WATCHING}.node_down[*]", f"{SPAWN}.parent_is_lost[linked]"))
class NodeDownUnreported(Monitoring):
    """Does not notify consumers of targets on a disconnected node."""

    def node_down(self, node: Atom) -> None:
        self._consumers_left(self.relations.forget_node(node))


@RELATIONS.fault("ENP-TERM-6", found_by=(f"{WATCHING}.told_of_the_end[*]",))
class ConsumersNotifiedAgain(Monitoring):
    """Notifies consumers again when the same end is reported again."""

    def remote_target_ended(self, target: RelationTarget, reason: Error) -> None:
        for relation in self.relations.of(target):
            self._notify(relation, target, reason)


# --- removing relations -----------------------------------------------------------------------------------------------


@RELATIONS.fault(
    "ENP-TERM-4",
    "ENP-EVT-5",
    found_by=(f"{LINKS}.given_back[*]", f"{EVENTS}.given_back[*]", f"{LINKS}.one_of_two_nodes_gives_back[*]"),
)
class RemovalIgnored(Monitoring):
    """Answers that a relation is removed, and keeps it."""

    def remove(self, kind: RelationKind, target: RelationTarget, consumer: PID) -> bool:
        return True


@RELATIONS.fault("ENP-TERM-2", found_by=(f"{LINKS}.one_of_two_given_back[*]", f"{LINKS}.other_process_still_watches"))
class RemovesAllRelations(Monitoring):
    """Removes all relations to a target when one of them is removed."""

    def remove(self, kind: RelationKind, target: RelationTarget, consumer: PID) -> bool:
        return bool(self.relations.take(target))


# --- events -----------------------------------------------------------------------------------------------------------


@RELATIONS.fault("ENP-EVT-1", found_by=(f"{EVENTS}.buffer[*-5_published]", f"{EVENTS}.buffer_of_one"))
class EventBufferTooLarge(Events):
    """Keeps one message more than the buffer of an event may hold."""

    def register(self, process: Process, name: Atom, *, buffer: int, notify: bool) -> Ref:
        return super().register(process, name, buffer=buffer + 1, notify=notify)


@RELATIONS.fault(
    "ENP-EVT-1",
    found_by=(f"{EVENTS}.buffer[*-3_published]", f"{EVENTS}.buffer[*-5_published]", "node.buffers.limit[*]"),
)
class NewestEventFirst(Events):
    """Sends the last messages of an event in reverse order."""

    def subscribed(self, name: Atom, *, first: bool) -> list[MessageEvent]:
        return super().subscribed(name, first=first)[::-1]


@RELATIONS.fault("ENP-EVT-5", found_by=(f"{EVENTS}.given_back[monitor]", f"{EVENTS}.not_watched"))
class PublishedToAllNodes(Events):
    """Sends the messages of an event to all connected nodes."""

    def publish(self, process: Process, name: Atom, message: Any, options: MessageOptions) -> None:
        super().publish(process, name, message, options)
        event = MessageEvent(Event(self._tables.name, name), self._now(), message)
        subscribed = {relation.consumer.node for relation in self._relations.of(event.Event)}
        for node, connection in self._peers.connections.items():
            if node not in subscribed:
                connection.send_event(process.pid, options, event)


@RELATIONS.fault("ENP-EVT-2", found_by=(f"{EVENTS}.one_frame_per_node",))
class FramePerSubscriber(Events):
    """Sends one frame per subscriber, not one per node."""

    def publish(self, process: Process, name: Atom, message: Any, options: MessageOptions) -> None:
        for _ in self._relations.of(Event(self._tables.name, name)) or (None,):
            super().publish(process, name, message, options)


@RELATIONS.fault("ENP-EVT-6", found_by=(f"{WATCHING}.gets_what_we_publish[*]",))
class EventDeliveredTwice(Events):
    """Delivers each message of an event twice to a subscriber."""

    def distribute(self, event: MessageEvent, priority: Priority) -> None:
        for relation in self._relations.of(event.Event) * 2:
            self._tables.deliver(self._tables.processes.get(relation.consumer.id), Published(*event), priority)


@RELATIONS.fault("ENP-EVT-4", found_by=(f"{NOTIFICATION}.two_nodes",))
class LastUnsubscribeUnreported(Events):
    """Does not notify the owner of an event when its last subscriber leaves."""

    def unsubscribed(self, name: Atom) -> None:
        """Sends nothing."""


@RELATIONS.fault("ENP-EVT-4", found_by=(f"{NOTIFICATION}.first_and_last[*]",))
class EverySubscribeReported(Events):
    """Notifies the owner of an event of every subscriber, not only of the first."""

    def subscribed(self, name: Atom, *, first: bool) -> list[MessageEvent]:
        return super().subscribed(name, first=True)


# --- control messages -------------------------------------------------------------------------------------------------


@RELATIONS.fault("ENP-ANY-1", found_by=(f"{LINKS}.end_is_told[link-pid]",))
class RelationUnanswered(ControlMessages):
    """Does not answer requests about relations."""

    def _relation_requested(self, message: enp.RelationRequest) -> None:
        """Sends nothing."""


@RELATIONS.fault("ENP-ANY-3", found_by=(f"{WATCHING}.wrong_reference",))
class AnyResultAccepted(ControlMessages):
    """Accepts any Result as the answer to its oldest request."""

    def _result(self, message: enp.Result) -> None:
        super()._result(message._replace(Ref=next(iter(self._pending), message.Ref)))
