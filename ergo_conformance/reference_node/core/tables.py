"""What reaches the processes of a node: its tables of processes, names and aliases, and who waits for an answer.

No sockets, no clock, no connections: those deliver here (interfaces.Core).
"""

from __future__ import annotations

from typing import Any

from ...model.ergo import error_values
from ...model.ergo.enp import Priority, Words
from ...model.values import PID, Alias, Atom, Error, ProcessID, Ref
from .pending import Waiters
from .process import Call, Envelope, ExitSignal, Message, MessageOptions, Process


class Routing:
    """The tables of one node."""

    def __init__(self, name: Atom, creation: int) -> None:
        self.name = name
        self.creation = creation
        self.processes: dict[int, Process] = {}
        self.names: dict[Atom, Process] = {}
        self.aliases: dict[Words, Process] = {}
        self._waiters: dict[Atom, Waiters] = {}

    @staticmethod
    def deliver(process: Process | None, envelope: Envelope, priority: Priority) -> Error | None:
        """Into the mailbox of a process, if there is one. The error says why not."""
        if process is None:
            return error_values.PROCESS_UNKNOWN
        if process.reason is not None:
            return error_values.PROCESS_TERMINATED
        return None if process.mailbox.put(envelope, priority) else error_values.MAILBOX_FULL

    def route_send(
        self, sender: PID, to: PID | ProcessID | Alias, options: MessageOptions, message: Any
    ) -> Error | None:
        """A message for a process of this node. The error says why not."""
        return self.to_local(to, Message(sender, message), options.priority)

    def route_call(
        self, ref: Ref, sender: PID, to: PID | ProcessID | Alias, options: MessageOptions, message: Any
    ) -> Error | None:
        """A request for a process of this node. The error says why not."""
        return self.to_local(to, Call(sender, ref, message, options.important), options.priority)

    def waiters(self, node: Atom) -> Waiters:
        """Who waits for answers from a node, our own one included."""
        found = self._waiters.get(node)
        if found is None:
            self._waiters[node] = found = Waiters()
        return found

    def route_send_response(self, node: Atom, to_id: int, words: Words, response: Any) -> bool:
        """An answer of a node, or None: an important message has arrived. False if nobody waits for it."""
        found = self._waiters.get(node)
        return found is not None and found.answer(words, to_id, response)

    def route_send_response_error(self, node: Atom, to_id: int, words: Words, error: Error) -> bool:
        """A request, or an important message, has failed. False if nobody waits for it."""
        found = self._waiters.get(node)
        return found is not None and found.fail(words, to_id, error)

    def route_send_exit(self, sender: PID, to_id: int, reason: Error) -> None:
        """An exit signal for a process; nothing happens if it is not there."""
        process = self.processes.get(to_id)
        if process is not None:
            process.mailbox.put_signal(ExitSignal(sender, reason), Priority.MAX)

    def to_local(self, target: PID | ProcessID | Alias, envelope: Envelope, priority: Priority) -> Error | None:
        """Into the mailbox of whom this stands for. The error says why not."""
        if isinstance(target, ProcessID):
            return self.deliver(self.names.get(target.name), envelope, priority)
        if target.creation != self.creation:
            return error_values.PROCESS_INCARNATION
        if isinstance(target, PID):
            return self.deliver(self.processes.get(target.id), envelope, priority)
        return self.deliver(self.aliases.get(target.id), envelope, priority)
