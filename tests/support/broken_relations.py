# mypy: ignore-errors
"""Faults of a reference node in what its processes do: links, events, spawning, applications, and what the agent sends."""

from typing import Any

from ergo_conformance.model.ergo import enp, error_values, gen
from ergo_conformance.model.ergo.enp import Priority
from ergo_conformance.model.ergo.gen import MessageEvent, ProcessOptionsExtra
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event
from ergo_conformance.reference_node.api import Connection, Socket
from ergo_conformance.reference_node.api.applications import ApplicationState
from ergo_conformance.reference_node.api.messages import Compression, MessageOptions, ProcessOptions, Published
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget, node_of
from ergo_conformance.reference_node.core import monitoring as watching
from ergo_conformance.reference_node.core import remote_spawn as remote
from ergo_conformance.reference_node.core.applications import Applications
from ergo_conformance.reference_node.core.core import Core
from ergo_conformance.reference_node.core.monitoring import Monitoring, tell_peer
from ergo_conformance.reference_node.core.pending import PendingRequests
from ergo_conformance.reference_node.core.permissions import Permission
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.core.remote_spawn import RemoteSpawn
from ergo_conformance.reference_node.ergo.enp import connection as module
from ergo_conformance.reference_node.ergo.enp.compression import compress
from ergo_conformance.reference_node.ergo.enp.connection import EnpConnection
from ergo_conformance.reference_node.ergo.enp.control import ControlMessages

PLAIN = MessageOptions()
good_transmit = EnpConnection.transmit
good_priority = EnpConnection._priority
good_add = Monitoring.add
good_ended = Monitoring.ended
good_publish = Monitoring.publish
good_register = Monitoring.register_event
good_options = remote.options_of
good_spawn_asked = RemoteSpawn.spawn_asked
good_start = Applications.start
good_result = ControlMessages._result

# --- notices ----------------------------------------------------------------------------------------------------------


def notice_twice(connection: Connection, target: RelationTarget, reason: Error, owner: PID) -> None:
    for _ in range(2):
        tell_peer(connection, target, reason, owner)


def notice_lost(connection: Connection, target: RelationTarget, reason: Error, owner: PID) -> None:
    """Tells nobody of the end of a name."""
    if isinstance(target, PID | Alias | Event):
        tell_peer(connection, target, reason, owner)


def wrong_reason(connection: Connection, target: RelationTarget, reason: Error, owner: PID) -> None:
    """Whatever a process has ended for was a shutdown."""
    tell_peer(connection, target, error_values.SHUTDOWN, owner)


def notice_per_process(self: Monitoring, target: RelationTarget, reason: Error, process: Process) -> None:
    for _ in range(len(self.relations.of(target)) - 1):
        for node in {relation.consumer.node for relation in self.relations.of(target)}:
            connection = self.core.open_connection(node)
            if connection is not None:
                tell_peer(connection, target, reason, process.pid)
    good_ended(self, target, reason, process)


def notice_to_everybody(self: Monitoring, target: RelationTarget, reason: Error, process: Process) -> None:
    """Whoever is connected is told."""
    told = {relation.consumer.node for relation in self.relations.of(target)}
    good_ended(self, target, reason, process)
    for node in self.core.peers.connections:
        connection = self.core.open_connection(node)
        if node not in told and connection is not None:
            tell_peer(connection, target, reason, process.pid)


def taking_back_ignored(self: Monitoring, kind: RelationKind, target: RelationTarget, consumer: PID) -> bool:
    """Says yes and does nothing."""
    return True


def takes_all_back(self: Monitoring, kind: RelationKind, target: RelationTarget, consumer: PID) -> bool:
    """One relation less is none any more."""
    return bool(self.relations.take(target))


def consumers_survive(self: Monitoring, node: Atom) -> None:
    """Those of a lost node are still told, should it come back."""
    for target in list(self.relations.targets_on(node)):
        self.ended_elsewhere(target, error_values.NO_CONNECTION)


def node_down_untold(self: Monitoring, node: Atom) -> None:
    """Those who watch what was there wait for ever."""
    for target in self.relations.forget_node(node):
        self._left(target)


def told_again(self: Monitoring, target: RelationTarget, reason: Error) -> None:
    """Each frame counts, not only the first."""
    for relation in self.relations.of(target):
        self._tell(relation, target, reason)


# --- events -----------------------------------------------------------------------------------------------------------


def buffer_too_large(self: Monitoring, process: Process, name: Atom, *, buffer: int, notify: bool) -> Any:
    return good_register(self, process, name, buffer=buffer + 1, notify=notify)


def newest_first(self: Monitoring, kind: RelationKind, target: RelationTarget, consumer: PID) -> list[MessageEvent]:
    return good_add(self, kind, target, consumer)[::-1]


def published_to_everybody(
    self: Monitoring, process: Process, name: Atom, message: Any, options: MessageOptions
) -> None:
    good_publish(self, process, name, message, options)
    event = MessageEvent(Event(self.core.name, name), self.core.now(), message)
    subscribed = {relation.consumer.node for relation in self.relations.of(event.Event)}
    for node in set(self.core.peers.connections) - subscribed:
        connection = self.core.open_connection(node)
        if connection is not None:
            connection.send_event(process.pid, options, event)


def frame_per_subscriber(self: Monitoring, process: Process, name: Atom, message: Any, options: MessageOptions) -> None:
    for _ in self.relations.of(Event(self.core.name, name)) or (None,):
        good_publish(self, process, name, message, options)


def got_twice(self: Monitoring, event: MessageEvent, priority: Priority) -> None:
    for relation in self.relations.of(event.Event) * 2:
        self.core.tables.deliver(self.core.tables.processes.get(relation.consumer.id), Published(*event), priority)


def stop_untold(self: Monitoring, target: RelationTarget) -> None:
    """The owner of an event hears of its first subscriber alone."""


def start_told_each_time(
    self: Monitoring, kind: RelationKind, target: RelationTarget, consumer: PID
) -> list[MessageEvent]:
    last = good_add(self, kind, target, consumer)
    if isinstance(target, Event) and self.events[target.name].notify and len(self.relations.of(target)) > 1:
        self._notify(self.events[target.name], gen.MessageEventStart(target.name))
    return last


# --- control messages -------------------------------------------------------------------------------------------------


def relation_unanswered(self: ControlMessages, message: enp.RelationRequest) -> None:
    """Requests about relations stay without a Result."""


def any_result_is_taken(self: ControlMessages, message: enp.Result) -> None:
    """Whatever comes first is the answer."""
    ref = next(iter(self._waiting), message.Ref)
    good_result(self, message._replace(Ref=ref))


def asks_anybody(self: ControlMessages, flag: Any) -> None:
    """Does not look at the peer's flags."""


# --- spawning and applications ----------------------------------------------------------------------------------------


def everybody_may(self: Permission, node: Atom) -> bool:
    return True


async def not_registered(self: RemoteSpawn, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
    """The name of the process is lost."""
    return await good_spawn_asked(self, node, name, options._replace(Register=Atom("")))


def _changed(extra: ProcessOptionsExtra, **options: Any) -> ProcessOptionsExtra:
    return extra._replace(ProcessOptions=extra.ProcessOptions._replace(**options))


def environment_lost(extra: ProcessOptionsExtra) -> ProcessOptions:
    return good_options(_changed(extra, Env=None))


def parents_environment_wins(extra: ProcessOptionsExtra) -> ProcessOptions:
    return good_options(_changed(extra, Env={**(extra.ProcessOptions.Env or {}), **(extra.ParentEnv or {})}))


def parent_not_linked(extra: ProcessOptionsExtra) -> ProcessOptions:
    return good_options(_changed(extra, LinkParent=False))


async def mode_ignored(self: Applications, name: str, mode: int = 0, options: Any = None) -> None:
    await good_start(self, name, 1, options)


async def started_again(self: Applications, name: str, mode: int = 0, options: Any = None) -> None:
    """An application that runs is started a second time, as far as that goes."""
    self.get(name).state = ApplicationState.LOADED
    await good_start(self, name, mode, options)


# --- what the agent sends ---------------------------------------------------------------------------------------------


def compression_ignored(
    self: EnpConnection, frame: enp.Frame, sender_id: int, options: MessageOptions = PLAIN
) -> Socket:
    return good_transmit(self, frame, sender_id, options._replace(compression=None))


def packed_without_order(frame: bytes, how: Compression) -> bytes:
    """A compressed frame goes to any queue of the receiver."""
    packed = compress(frame, how)
    return packed[:6] + b"\0" + packed[7:]


def length_of_the_payload(frame: bytes, how: Compression) -> bytes:
    """Announces the unpacked length without the header."""
    packed = compress(frame, how)
    return packed[:9] + (len(frame) - enp.HEADER_LENGTH).to_bytes(4, "big") + packed[13:]


def important_to_anybody(self: EnpConnection, options: MessageOptions) -> int:
    return options.priority | (enp.IMPORTANT if options.important else 0)


def never_important(self: EnpConnection, options: MessageOptions) -> int:
    return good_priority(self, options) & enp.PRIORITY_MASK


def priority_lost(self: EnpConnection, options: MessageOptions) -> int:
    return good_priority(self, options) & enp.IMPORTANT


def old_creation_reached(self: EnpConnection, creation: int) -> None:
    """Sends to whoever has the number now."""


def answer_for_anybody(self: PendingRequests, words: enp.Words, process_id: int, finish: Any) -> bool:
    """Does not look whom an answer is for."""
    _, future = self._waiting.pop(words, (0, None))
    if future is not None and not future.done():
        finish(future)
    return future is not None


def disconnect_ignored(self: Core, node: Atom) -> None:
    """Says yes and keeps the links."""


async def exit_without_reason(self: Core, process: Process, to: PID, reason: Error) -> None:
    connection = await self.connection(node_of(to))
    connection.send_exit(process.pid, to, error_values.SHUTDOWN)


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "notice_twice": (watching, "tell_peer", notice_twice),
    "notice_lost": (watching, "tell_peer", notice_lost),
    "wrong_reason": (watching, "tell_peer", wrong_reason),
    "notice_per_process": (Monitoring, "ended", notice_per_process),
    "notice_to_everybody": (Monitoring, "ended", notice_to_everybody),
    "taking_back_ignored": (Monitoring, "remove", taking_back_ignored),
    "takes_all_back": (Monitoring, "remove", takes_all_back),
    "consumers_survive": (Monitoring, "node_down", consumers_survive),
    "node_down_untold": (Monitoring, "node_down", node_down_untold),
    "told_again": (Monitoring, "ended_elsewhere", told_again),
    "buffer_too_large": (Monitoring, "register_event", buffer_too_large),
    "newest_first": (Monitoring, "add", newest_first),
    "published_to_everybody": (Monitoring, "publish", published_to_everybody),
    "frame_per_subscriber": (Monitoring, "publish", frame_per_subscriber),
    "got_twice": (Monitoring, "distribute", got_twice),
    "stop_untold": (Monitoring, "_left", stop_untold),
    "start_told_each_time": (Monitoring, "add", start_told_each_time),
    "relation_unanswered": (ControlMessages, "_relation_asked", relation_unanswered),
    "any_result_is_taken": (ControlMessages, "_result", any_result_is_taken),
    "asks_anybody": (ControlMessages, "_check_flag", asks_anybody),
    "waits_too_long": (enp, "REQUEST_TIMEOUT", 3 * enp.REQUEST_TIMEOUT),
    "everybody_may": (Permission, "allows", everybody_may),
    "not_registered": (RemoteSpawn, "spawn_asked", not_registered),
    "environment_lost": (remote, "options_of", environment_lost),
    "parents_environment_wins": (remote, "options_of", parents_environment_wins),
    "parent_not_linked": (remote, "options_of", parent_not_linked),
    "mode_ignored": (Applications, "start", mode_ignored),
    "started_again": (Applications, "start", started_again),
    "compression_ignored": (EnpConnection, "transmit", compression_ignored),
    "packed_without_order": (module, "smaller", packed_without_order),
    "length_of_the_payload": (module, "smaller", length_of_the_payload),
    "important_to_anybody": (EnpConnection, "_priority", important_to_anybody),
    "never_important": (EnpConnection, "_priority", never_important),
    "priority_lost": (EnpConnection, "_priority", priority_lost),
    "old_creation_reached": (EnpConnection, "check", old_creation_reached),
    "answer_for_anybody": (PendingRequests, "_end", answer_for_anybody),
    "disconnect_ignored": (Core, "disconnect", disconnect_ignored),
    "exit_without_reason": (Core, "send_exit", exit_without_reason),
}
"""What is replaced by what."""
