"""Faults of a node whose processes link and monitor targets of other nodes, and in exit signals."""

from typing import Any

from ..model.ergo import enp, error_values
from ..model.ergo.gen import MessageEvent
from ..model.values import PID, Alias, Atom, Error, Event, ProcessID
from ..reference_node.api.errors import ErgoError, Stop
from ..reference_node.api.messages import ExitSignal
from ..reference_node.api.relations import RelationKind, RelationTarget, node_of
from ..reference_node.core.core import NodeCore
from ..reference_node.core.events import Events
from ..reference_node.core.monitoring import Monitoring
from ..reference_node.core.process import Process
from ..reference_node.core.relation_table import RelationTable
from ..reference_node.ergo.enp import control
from ..reference_node.ergo.enp.control import ControlMessages
from .crash import crash
from .mutant import Area

events_of = control._events
"""The function of the node, which a mutant replaces."""
CONSUMERS = Area("consumers")
WATCHING, TWICE, MALFORMED = "node.watching", "node.watching_twice", "proto.malformed"

# --- the consumer's side ----------------------------------------------------------------------------------------------


@CONSUMERS.fault("ENP-T-199", "ENP-C-LinkPID", found_by=(f"{WATCHING}.requests[*]",))
class LinkAndMonitorSwapped(ControlMessages):
    """Requests a monitor for a link, and a link for a monitor."""

    async def request(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        other = RelationKind.MONITOR if kind is RelationKind.LINK else RelationKind.LINK
        return await super().request(other, consumer, target)


@CONSUMERS.fault("ENP-EVT-1", found_by=(f"{WATCHING}.last_messages[*]",))
class LastMessagesReversed(Monitoring):
    """Gives a subscriber the last messages of another node's event in reverse order."""

    async def request(self, kind: RelationKind, process: Process, target: RelationTarget) -> list[MessageEvent]:
        return (await super().request(kind, process, target))[::-1]


@CONSUMERS.fault("ENP-TERM-6", found_by=(f"{TWICE}.again[*]",), subtle=True)
class SecondEndNotDelivered(NodeCore):
    """Notifies the consumers of a target on another node of its first end alone."""

    def route_terminate(self, target: RelationTarget, reason: Error) -> None:
        told: set[Any] = vars(self).setdefault("ended", set())
        if target not in told:
            told.add(target)
            super().route_terminate(target, reason)


@CONSUMERS.fault(
    "ENP-TERM-6",
    "ENP-TERM-1",
    found_by=(f"{TWICE}.equal_target_of_another_node[processid]", f"{TWICE}.equal_target_of_another_node[event]"),
    subtle=True,
)
class EndOfEqualNames(NodeCore):
    """Ends the relations to a name or an event on all nodes when one node reports its end."""

    def route_terminate(self, target: RelationTarget, reason: Error) -> None:
        super().route_terminate(target, reason)
        if isinstance(target, ProcessID | Event):
            for node in self.peers.connections:
                super().route_terminate(target._replace(node=node), reason)


@CONSUMERS.fault(
    "ENP-TERM-6",
    "ENP-TERM-1",
    found_by=(f"{TWICE}.equal_target_of_another_node[pid]", f"{TWICE}.equal_target_of_another_node[alias]"),
    subtle=True,
)
class EndOfEqualNumbers(Monitoring):
    """Ends the relations to a PID or an alias by its number alone, whatever its node is."""

    def remote_target_ended(self, target: RelationTarget, reason: Error) -> None:
        if isinstance(target, PID | Alias):
            for _, other in list(self.relations._by_target):
                if type(other) is type(target) and other.id == target.id:
                    super().remote_target_ended(other, reason)
        super().remote_target_ended(target, reason)


@CONSUMERS.fault(
    "ENP-EVT-6",
    "ENP-EVT-5",
    found_by=(f"{TWICE}.equal_event_of_another_node", f"{TWICE}.equal_event_of_the_target"),
    subtle=True,
)
class EventByNameAlone(Events):
    """Delivers a message of an event to the subscribers of all events with its name."""

    def distribute(self, event: MessageEvent, priority: Any) -> None:
        for node in {event.Event.node, self._tables.name, *self._peers.connections}:
            super().distribute(event._replace(Event=event.Event._replace(node=node)), priority)


@CONSUMERS.fault("ENP-TERM-6", "ENP-TERM-1", found_by=(f"{WATCHING}.not_told_any_more[*]",))
class LocalRemovalIgnored(NodeCore):
    """Keeps a relation to a target of another node that the process has removed."""

    def remove_relation(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> bool:
        return True


@CONSUMERS.fault("ENP-DOWN-2", "ENP-TERM-6", found_by=(f"{TWICE}.lost_after_an_end",), subtle=True)
class OtherTargetsForgotten(NodeCore):
    """Forgets all relations with a node when one of its targets ends."""

    def route_terminate(self, target: RelationTarget, reason: Error) -> None:
        super().route_terminate(target, reason)
        for other in list(self.monitoring.relations.targets_on(node_of(target))):
            self.monitoring.relations.take(other)


@CONSUMERS.fault("ENP-DOWN-5", found_by=(f"{WATCHING}.node_itself[*]",))
class LostNodeUnreported(RelationTable):
    """Does not notify the processes that link or monitor a node of its loss."""

    def targets_on(self, node: Atom) -> Any:
        return (target for target in super().targets_on(node) if target != node)


@CONSUMERS.fault("ENP-EXIT-2", found_by=("node.answers.trapped_exit[kill]",), subtle=True)
class KillCannotBeTrapped(Process):
    """Ends a process that traps exits on an exit signal with the reason "kill"."""

    __slots__ = ()

    def check_exit(self, signal: ExitSignal) -> None:
        if signal.reason.text == error_values.KILL.text:
            raise Stop(signal.reason)
        super().check_exit(signal)


@CONSUMERS.fault("ENP-EXIT-2", found_by=("node.answers.trapped_exit[*]", "node.sending.trapped_exit"))
class ExitCannotBeTrapped(Process):
    """Ends a process on every exit signal, also if it traps exits."""

    __slots__ = ()

    def check_exit(self, signal: ExitSignal) -> None:
        raise Stop(signal.reason)


# --- frames about nothing ---------------------------------------------------------------------------------------------


@CONSUMERS.fault("ENP-TERM-1", "ENP-DLV-1", found_by=(f"{MALFORMED}.about_nothing[*]",))
class DiesOfFramesAboutNothing(NodeCore):
    """Ends on a report or a signal about a target that it does not have."""

    def route_terminate(self, target: RelationTarget, reason: Error) -> None:
        if not self.monitoring.relations.of(target):
            crash()
        super().route_terminate(target, reason)

    def route_send_event(self, event: MessageEvent, priority: Any) -> None:
        if not self.monitoring.relations.of(event.Event):
            crash()
        super().route_send_event(event, priority)

    def route_send_exit(self, sender: PID, to_id: int, reason: Error) -> None:
        if to_id not in self.tables.processes:
            crash()
        super().route_send_exit(sender, to_id, reason)


@CONSUMERS.fault("ENP-REQ-3", "ENP-T-129", found_by=("proto.calls.unasked[*]", "proto.calls.unasked_to_an_agent"))
class DiesOfUnaskedAnswers(NodeCore):
    """Ends on an answer that no caller waits for."""

    def route_send_response(self, node: Atom, to_id: int, words: Any, response: Any) -> bool:
        return super().route_send_response(node, to_id, words, response) or bool(crash())  # type: ignore[func-returns-value]

    def route_send_response_error(self, node: Atom, to_id: int, words: Any, error: Error) -> bool:
        return super().route_send_response_error(node, to_id, words, error) or bool(crash())  # type: ignore[func-returns-value]


@CONSUMERS.fault("ENP-ANY-3", found_by=(f"{WATCHING}.second_result",), subtle=True)
class ErrorEndsAllRelations(ControlMessages):
    """Ends the relations with a node on a Result with an error, also on a second one."""

    def handle(self, frame: enp.Control) -> None:
        super().handle(frame)
        if isinstance(frame.message, enp.Result) and frame.message.Error is not None:
            relations = self.core.monitoring.relations  # type: ignore[attr-defined]  # of NodeCore
            for target in list(relations.targets_on(self.connection.name)):
                relations.take(target)


@CONSUMERS.function(control, "_events", "ENP-EVT-1", found_by=(f"{WATCHING}.no_last_messages[*]",), subtle=True)
def no_messages_refused(result: Any) -> list[MessageEvent]:
    """Refuses a Result for an event that has no messages."""
    events = events_of(result)
    if not events:
        raise ErgoError(error_values.MALFORMED)
    return events
