"""Processes: a PID, a mailbox, and a coroutine that reads it.

A process is written as an Actor (actor.py) or as a coroutine function that takes its Process and calls `receive`.  It ends by
returning or by raising Stop with a reason.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from ...model.ergo import enp, error_values, gen
from ...model.ergo.enp import Priority
from ...model.ergo.gen import MessageEvent
from ...model.values import PID, Alias, Atom, Error, Ref
from ..api.errors import ErgoError, Stop
from ..api.messages import Call, Envelope, ExitSignal, MessageOptions, ProcessOptions, Recipient
from ..api.relations import RelationKind, RelationTarget
from ..turns import Share, Turns
from .mailbox import Mailbox

log = logging.getLogger("ergo_conformance.node")

Body = Callable[..., Coroutine[Any, Any, None]]
"""A coroutine function that takes a Process and the arguments of its spawn."""


class ProcessHost(Protocol):
    """The node as a process sees it. Its methods have the effects of the methods of Process with the same names."""

    @property
    def turns(self) -> Turns:
        """The turns of the event loop that the processes share."""

    @property
    def outgoing(self) -> "OutgoingService":
        """Messages, requests, replies, exit signals."""

    @property
    def monitoring(self) -> "MonitoringService":
        """Links, monitors, and the ends of targets."""

    @property
    def events(self) -> "EventService":
        """Registered events."""

    @property
    def remote(self) -> "RemoteService":
        """Processes on other nodes."""

    @property
    def spawner(self) -> "SpawnerService":
        """Processes and aliases of this node."""


class OutgoingService(Protocol):
    """Messages, requests, replies, exit signals."""

    async def send(self, process: "Process", to: Recipient, message: Any, options: MessageOptions) -> None: ...
    async def call(
        self, process: "Process", to: Recipient, request: Any, timeout: float, options: MessageOptions
    ) -> Any: ...
    async def exit(self, process: "Process", to: PID, reason: Error) -> None: ...
    def reply(self, process: "Process", call: Call, value: Any) -> None: ...
    def reply_error(self, process: "Process", call: Call, error: Error) -> None: ...


class MonitoringService(Protocol):
    """Links, monitors, and the ends of targets."""

    async def request(self, kind: RelationKind, process: "Process", target: RelationTarget) -> list[MessageEvent]: ...
    async def withdraw(self, kind: RelationKind, process: "Process", target: RelationTarget) -> None: ...
    def unregister_event(self, process: "Process", name: Atom) -> None: ...
    def delete_alias(self, process: "Process", alias: Alias) -> None: ...


class EventService(Protocol):
    """Registered events."""

    def register(self, process: "Process", name: Atom, *, buffer: int, notify: bool) -> Ref: ...
    def publish(self, process: "Process", name: Atom, message: Any, options: MessageOptions) -> None: ...


class RemoteService(Protocol):
    """Processes on other nodes."""

    async def spawn(
        self,
        process: "Process | None",
        node: Atom,
        name: Atom,
        args: list[Any] | None,
        options: gen.RemoteProcessOptions | None,
        register: str,
    ) -> PID: ...


class SpawnerService(Protocol):
    """Processes and aliases of this node."""

    def end(self, process: "Process", reason: Error) -> None: ...
    def ended(self, process: "Process", reason: Error) -> None: ...
    def create_alias(self, process: "Process") -> Alias: ...


class Process:
    """A process of this node. Created by `Spawner.spawn`."""

    __slots__ = (
        "_options", "_task", "aliases", "application", "host", "leader", "mailbox", "name", "parent", "pid", "reason",
        "reply_options", "share", "started",
    )  # fmt: skip

    def __init__(
        self,
        host: ProcessHost,
        pid: PID,
        name: Atom | None,
        options: ProcessOptions,
        parent: PID,
        body: Body,
        args: tuple[Any, ...],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.host = host
        self.pid = pid
        self.name = name
        self.parent = self.leader = parent
        self.application: Atom | None = None
        self.options = options
        self.mailbox = Mailbox(options.mailbox_size)
        self.aliases: dict[Alias, None] = {}
        """Its aliases, oldest first."""
        self.share = Share(host.turns)
        """Its part of each turn of the event loop."""
        self.reason: Error | None = None
        """The reason of its end; None while it runs."""
        self.started: asyncio.Future[None] = loop.create_future()
        """Done when the process is ready for its first message; ErgoError if it ended before."""
        self.started.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._task = loop.create_task(_run(self, body, args))
        # a task that is cancelled before its first step never runs `_run`
        self._task.add_done_callback(lambda _: host.spawner.ended(self, self.reason or error_values.KILL))

    @property
    def options(self) -> ProcessOptions:
        """Options of the process; may be replaced at any time, except for the size of the mailbox."""
        return self._options

    @options.setter
    def options(self, options: ProcessOptions) -> None:
        self._options = options
        self.reply_options = MessageOptions(options.priority, False, options.keep_order, options.compression)
        """Options of replies: a reply is never important (3.1)."""

    async def join(self) -> Error:
        """Waits for the end of the process; returns its reason."""
        await asyncio.wait([self._task])
        assert self.reason is not None
        return self.reason

    def cancel(self) -> None:
        """Cancels the process's coroutine."""
        self._task.cancel()

    async def receive(self) -> Envelope:
        """Returns the next envelope; waits for one. Raises Stop for an exit signal that is not trapped."""
        self.set_ready()
        if self.share.is_over():
            await self.share.wait(len(self.mailbox))
        envelope = await self.mailbox.get()
        if type(envelope) is ExitSignal:
            self.check_exit(envelope)
        return envelope

    def set_ready(self) -> None:
        """Completes `started`: the process is ready for its first message."""
        if not self.started.done():
            self.started.set_result(None)

    def check_exit(self, signal: ExitSignal) -> None:
        """Ends the process unless it traps exits; the exit of its parent can't be trapped."""
        if not self._options.trap_exit or signal.source == self.parent:
            raise Stop(signal.reason)

    async def send(
        self, to: Recipient, message: Any, *, priority: Priority | None = None, important: bool | None = None
    ) -> None:
        """Sends a message; connects to a remote node first if needed.

        Waits until an important message has arrived, at most 5 s.  Raises ErgoError (unknown process, no route, too large,
        timed out, …) and CannotEncode.
        """
        await self.host.outgoing.send(self, to, message, self.message_options(priority, important=important))

    async def call(
        self,
        to: Recipient,
        request: Any,
        *,
        timeout: float = enp.REQUEST_TIMEOUT,
        priority: Priority | None = None,
        important: bool | None = None,
    ) -> Any:
        """Sends a request and returns the reply; waits at most `timeout` seconds. Raises ErgoError and CannotEncode.

        An error value may be a regular reply: it is returned, not raised.
        """
        options = self.message_options(priority, important=important)
        return await self.host.outgoing.call(self, to, request, timeout, options)

    def message_options(self, priority: Priority | None, *, important: bool | None) -> MessageOptions:
        """Returns the options of a message; None stands for the process's own setting."""
        own = self._options
        important = own.important if important is None else important
        if priority is None and not important:
            return self.reply_options
        return MessageOptions(
            own.priority if priority is None else priority, important, own.keep_order, own.compression
        )

    def reply(self, call: Call, value: Any) -> None:
        """Replies to a request. Raises ErgoError if the reply can't be sent (too large, no connection)."""
        self.host.outgoing.reply(self, call, value)

    def reply_error(self, call: Call, error: Error) -> None:
        """Replies that a request failed."""
        self.host.outgoing.reply_error(self, call, error)

    async def link(self, target: RelationTarget) -> list[MessageEvent]:
        """Links a target: the process ends with it, or gets a message if it traps exits. An Atom is a node. Raises ErgoError.

        Linking an event subscribes to it; returns its last messages.
        """
        return await self.host.monitoring.request(RelationKind.LINK, self, target)

    async def unlink(self, target: RelationTarget) -> None:
        """Removes a link. Raises ErgoError."""
        await self.host.monitoring.withdraw(RelationKind.LINK, self, target)

    async def monitor(self, target: RelationTarget) -> list[MessageEvent]:
        """Monitors a target: the process gets a message at its end. Events as for `link`. Raises ErgoError."""
        return await self.host.monitoring.request(RelationKind.MONITOR, self, target)

    async def demonitor(self, target: RelationTarget) -> None:
        """Removes a monitor. Raises ErgoError."""
        await self.host.monitoring.withdraw(RelationKind.MONITOR, self, target)

    async def exit(self, pid: PID, reason: Error) -> None:
        """Sends an exit signal. Raises ErgoError if the process's node can't be reached."""
        await self.host.outgoing.exit(self, pid, reason)

    async def remote_spawn(
        self, node: str, name: str, *args: Any, options: gen.RemoteProcessOptions | None = None, register: str = ""
    ) -> PID:
        """Spawns a process with a factory of another node; this process is its parent. `register`: its registered name.

        Raises ErgoError ("unknown name", "not allowed", "resource is taken", "timed out", …) and CannotEncode.
        """
        return await self.host.remote.spawn(self, Atom(node), Atom(name), list(args) or None, options, register)

    def register_event(self, name: str, *, buffer: int = 0, notify: bool = False) -> Ref:
        """Registers an event that this process owns. Raises ErgoError.

        `buffer`: the number of last messages for a new subscriber; `notify`: the process gets a gen.MessageEventStart for the
        first subscriber and a gen.MessageEventStop after the last.
        """
        return self.host.events.register(self, Atom(name), buffer=buffer, notify=notify)

    def unregister_event(self, name: str) -> None:
        """Removes an event; its subscribers are notified. Raises ErgoError."""
        self.host.monitoring.unregister_event(self, Atom(name))

    def publish(self, name: str, message: Any) -> None:
        """Sends a message to all subscribers of an event of this process. Raises ErgoError and CannotEncode."""
        self.host.events.publish(self, Atom(name), message, self.reply_options)

    def create_alias(self) -> Alias:
        """Creates a further address of this process."""
        return self.host.spawner.create_alias(self)

    def delete_alias(self, alias: Alias) -> None:
        """Deletes an alias; its consumers are notified. ErgoError if it does not exist or belongs to another process."""
        self.host.monitoring.delete_alias(self, alias)

    def stop(self, reason: Error = error_values.SHUTDOWN) -> None:
        """Ends the process from outside, also while it handles a message."""
        self.host.spawner.end(self, reason)


async def _run(process: Process, body: Body, args: tuple[Any, ...]) -> None:
    """Runs a process until it returns or raises; it ends with a reason in every case."""
    reason = error_values.NORMAL
    try:
        await body(process, *args)
    except Stop as stop:
        reason = stop.reason
    except ErgoError as error:
        log.info("process %s ended: %s", process.name or process.pid.id, error)
        reason = error.error
    except asyncio.CancelledError:
        reason = process.reason or error_values.KILL
    except Exception:
        log.exception("process %s ended by an exception", process.name or process.pid.id)
        reason = error_values.PANIC
    process.host.spawner.ended(process, reason)
