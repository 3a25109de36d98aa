"""Processes: a PID, a mailbox with three queues, and a coroutine that works through it.

A process is written as an Actor (a class with a handler for each kind of message) or as a coroutine that takes its Process
and calls `receive` itself.  It ends by returning or by raising Stop with a reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...model.ergo import enp, error_values, gen
from ...model.ergo.enp import Priority
from ...model.ergo.gen import MessageEvent
from ...model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from ..api.errors import ErgoError, Stop
from .relations import Kind, Watched

if TYPE_CHECKING:
    from ..ergo.enp.compression import Compression
    from .core import Core

log = logging.getLogger("ergo_conformance.node")

TURNS: Final = 256
"""Messages, received or sent, after which a busy process lets others run; received ones: or half of those that wait, or a
flood would pile up faster than it is read."""


class Message(NamedTuple):
    """What was sent."""

    sender: PID
    payload: Any


class Call(NamedTuple):
    """A request; `Process.reply` answers it. `important`: the caller also wants to know that it can't be answered."""

    sender: PID
    ref: Ref
    payload: Any
    important: bool = False


class ExitSignal(NamedTuple):
    """A linked target has ended, or a process (`source` is its PID) has sent an exit signal.

    Seen only by processes that trap exits; the others end with its reason.
    """

    source: Watched
    reason: Error


class Down(NamedTuple):
    """A monitored target has ended."""

    source: Watched
    reason: Error


class Published(NamedTuple):
    """A message of an event that is linked or monitored; `timestamp` in Unix nanoseconds."""

    event: Event
    timestamp: int
    payload: Any


Envelope = Message | Call | ExitSignal | Down | Published
Target = PID | ProcessID | Alias | str
"""Whom a message is for; a text is a name on the same node."""
Body = Callable[..., Coroutine[Any, Any, None]]
"""A coroutine function of a Process, and of the arguments it is spawned with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """How a process behaves. `mailbox_size`: messages per queue, 0 is no limit.

    `priority`, `important`, `keep_order` and `compression` (None: never) hold for what it sends.  Without `keep_order` a
    message may overtake the one before.  `link_parent`: it ends when its parent does.
    """

    mailbox_size: int = 0
    priority: Priority = Priority.NORMAL
    important: bool = False
    keep_order: bool = True
    compression: Compression | None = None
    trap_exit: bool = False
    link_parent: bool = False
    env: Mapping[str, Any] = field(default_factory=dict)


class MessageOptions(NamedTuple):
    """How a message goes over the wire. `mid`: number of an important one, which its acknowledgement repeats."""

    priority: Priority = Priority.NORMAL
    important: bool = False
    keep_order: bool = True
    compression: Compression | None = None
    mid: int = 0


class Mailbox:
    """Three queues; the urgent one (MAX) is emptied first, then HIGH, then NORMAL."""

    __slots__ = ("_left", "_limit", "_normal", "_urgent", "_waiter")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._normal: deque[Envelope] = deque()
        self._urgent: dict[Priority, deque[Envelope]] | None = None  # most processes never need them
        self._left = TURNS
        self._waiter: asyncio.Future[None] | None = None

    def put(self, envelope: Envelope, priority: Priority) -> bool:
        """False if that queue is full."""
        queue = self._normal if priority is Priority.NORMAL else self._queue(priority)
        if self._limit and len(queue) >= self._limit:
            return False
        queue.append(envelope)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        return True

    def _queue(self, priority: Priority) -> deque[Envelope]:
        if self._urgent is None:
            self._urgent = {Priority.MAX: deque(), Priority.HIGH: deque()}
        return self._urgent[priority]

    def put_signal(self, envelope: Envelope, priority: Priority) -> None:
        """What must not be lost: it counts against no limit."""
        limit, self._limit = self._limit, 0
        self.put(envelope, priority)
        self._limit = limit

    def take(self) -> Envelope | None:
        """The next message; None if there is none."""
        if self._urgent is not None:
            for queue in self._urgent.values():
                if queue:
                    return queue.popleft()
        return self._normal.popleft() if self._normal else None

    async def get(self) -> Envelope:
        """The next message; waits for it, and lets others run between two of many."""
        self._left -= 1
        if not self._left:
            self._left = max(TURNS, len(self) // 2)
            await asyncio.sleep(0)
        while (envelope := self.take()) is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return envelope

    def __len__(self) -> int:
        return len(self._normal) + sum(len(queue) for queue in (self._urgent or {}).values())


class Process:
    """A process of this node. Made by `Core.spawn`."""

    __slots__ = (
        "_options", "aliases", "answer_options", "application", "core", "leader", "mailbox", "name", "parent", "pid",
        "reason", "sends", "started", "task",
    )  # fmt: skip

    def __init__(self, core: Core, pid: PID, name: Atom | None, options: ProcessOptions, parent: PID) -> None:
        self.core = core
        self.pid = pid
        self.name = name
        self.parent = self.leader = parent
        self.application: Atom | None = None
        self.options = options
        self.mailbox = Mailbox(options.mailbox_size)
        self.aliases: list[Alias] = []
        self.sends = 0
        self.reason: Error | None = None
        """Why it ended; None while it lives."""
        self.task: asyncio.Task[None] | None = None
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when it is ready for its first message; ErgoError if it never will be."""
        self.started.add_done_callback(lambda future: future.cancelled() or future.exception())

    @property
    def options(self) -> ProcessOptions:
        """How it behaves; may be set at any time, but the mailbox keeps its size."""
        return self._options

    @options.setter
    def options(self, options: ProcessOptions) -> None:
        self._options = options
        self.answer_options = MessageOptions(options.priority, False, options.keep_order, options.compression)
        """How answers go out: an answer is never important (3.1)."""

    async def receive(self) -> Envelope:
        """The next message for this process. Raises Stop for an exit signal that it does not trap."""
        self.ready()
        envelope = await self.mailbox.get()
        if type(envelope) is ExitSignal:
            self.check_exit(envelope)
        return envelope

    def ready(self) -> None:
        """It waits for its first message: who spawned it may know."""
        if not self.started.done():
            self.started.set_result(None)

    def check_exit(self, signal: ExitSignal) -> None:
        """Ends the process unless it traps exits; its parent's exit it can't trap."""
        if not self._options.trap_exit or signal.source == self.parent:
            raise Stop(signal.reason)

    async def send(
        self, to: Target, message: Any, *, priority: Priority | None = None, important: bool | None = None
    ) -> None:
        """Sends a message; a remote node is connected first if need be.

        An important one is waited for (5 s) until the receiver has it.  Raises ErgoError (unknown process, no route, too
        large, timed out, …) and CannotEncode.
        """
        await self.core.send(self, to, message, self.message_options(priority, important=important))

    async def call(
        self,
        to: Target,
        request: Any,
        *,
        timeout: float = enp.REQUEST_TIMEOUT,
        priority: Priority | None = None,
        important: bool | None = None,
    ) -> Any:
        """Asks and waits for the answer, at most `timeout` seconds. Raises ErgoError and CannotEncode.

        An error value may also be a good answer: it is returned, not raised.
        """
        return await self.core.call(self, to, request, timeout, self.message_options(priority, important=important))

    def message_options(self, priority: Priority | None, *, important: bool | None) -> MessageOptions:
        """The process's own settings where None is given."""
        own = self._options
        important = own.important if important is None else important
        if priority is None and not important:
            return self.answer_options
        return MessageOptions(
            own.priority if priority is None else priority, important, own.keep_order, own.compression
        )

    def reply(self, call: Call, value: Any) -> None:
        """Answers a call. Raises ErgoError if the answer can't go out (too large, no connection)."""
        self.core.respond(self, call, value)

    def reply_error(self, call: Call, error: Error) -> None:
        """Answers that a call failed."""
        self.core.respond_error(self, call, error)

    # --- relations and events -----------------------------------------------------------------------------------------

    async def link(self, target: Watched) -> list[MessageEvent]:
        """Ends with the target, or hears of its end if it traps exits. A text is a node. Raises ErgoError.

        Of an event: the last messages published, and each one to come.
        """
        return await self.core.watching.watch(Kind.LINK, self, target)

    async def unlink(self, target: Watched) -> None:
        """The reverse."""
        await self.core.watching.unwatch(Kind.LINK, self, target)

    async def monitor(self, target: Watched) -> list[MessageEvent]:
        """Hears of the target's end. A text is a node. Of an event as for `link`. Raises ErgoError."""
        return await self.core.watching.watch(Kind.MONITOR, self, target)

    async def demonitor(self, target: Watched) -> None:
        """The reverse."""
        await self.core.watching.unwatch(Kind.MONITOR, self, target)

    async def exit(self, pid: PID, reason: Error) -> None:
        """Sends an exit signal. Raises ErgoError if there is no way to the process's node."""
        await self.core.send_exit(self, pid, reason)

    async def remote_spawn(
        self, node: str, name: str, *args: Any, options: gen.ProcessOptions | None = None, register: str = ""
    ) -> PID:
        """A process of a factory of another node, with this one as its parent; with `register` under that name.

        Raises ErgoError ("unknown name", "not allowed", "resource is taken", "timed out", …) and CannotEncode.
        """
        return await self.core.remote.spawn(self, Atom(node), Atom(name), list(args) or None, options, register)

    def register_event(self, name: str, *, buffer: int = 0, notify: bool = False) -> Ref:
        """Becomes the owner of an event. `buffer`: messages that a new subscriber gets; `notify`: the owner gets a
        gen.MessageEventStart for the first subscriber and a gen.MessageEventStop for the last. Raises ErgoError.
        """
        return self.core.watching.register_event(self, Atom(name), buffer=buffer, notify=notify)

    def unregister_event(self, name: str) -> None:
        """The event ends for all subscribers. Raises ErgoError."""
        self.core.watching.unregister_event(self, Atom(name))

    def publish(self, name: str, message: Any) -> None:
        """To all subscribers of an event of this process. Raises ErgoError and CannotEncode."""
        self.core.watching.publish(self, Atom(name), message, self.answer_options)

    def create_alias(self) -> Alias:
        """A further address of this process."""
        return self.core.create_alias(self)

    def stop(self, reason: Error = error_values.SHUTDOWN) -> None:
        """Ends the process from outside, between two messages or in the middle of one."""
        self.core.end(self, reason)


NO_REPLY: Final = object()
"""Returned by a handler that has answered already, will later, or never."""


class Actor:
    """A process as a class. Handlers run one after the other."""

    options = ProcessOptions()
    """Taken for processes that are spawned without options."""
    process: Process

    async def init(self, *args: Any) -> None:
        """Runs before the first message, with the arguments it was spawned with. An ErgoError raised fails the spawn."""

    async def handle_message(self, sender: PID, message: Any) -> None:
        """A message."""

    async def handle_call(self, call: Call) -> Any:  # noqa: ARG002  for those who override it
        """A request: returns the answer, or NO_REPLY. An ErgoError raised is answered as an error."""
        return NO_REPLY

    async def handle_exit(self, source: Watched, reason: Error) -> None:
        """An exit signal; only if the process traps them."""

    async def handle_down(self, source: Watched, reason: Error) -> None:
        """A monitored target has ended."""

    async def handle_event(self, event: Event, timestamp: int, message: Any) -> None:
        """A message of a linked or monitored event."""

    async def run(self, process: Process, *args: Any) -> None:
        """Works through the mailbox until Stop."""
        self.process = process
        await self.init(*args)
        process.ready()
        mailbox, left = process.mailbox, TURNS
        while True:
            left -= 1
            if not left:
                await asyncio.sleep(0)
                left = max(TURNS, len(mailbox) // 2)
            envelope = mailbox.take() or await mailbox.get()
            if type(envelope) is Message:
                await self.handle_message(*envelope)
            elif type(envelope) is Call:
                await self._answer(envelope)
            else:
                await self._signal(envelope)
            del envelope  # it may be a large one, and the next may be long in coming

    async def _signal(self, envelope: Envelope) -> None:
        match envelope:
            case ExitSignal():
                self.process.check_exit(envelope)
                await self.handle_exit(*envelope)
            case Down():
                await self.handle_down(*envelope)
            case Published():
                await self.handle_event(*envelope)

    async def _answer(self, call: Call) -> None:
        try:
            answer = await self.handle_call(call)
        except ErgoError as error:
            self.process.reply_error(call, error.error)
            return
        if answer is NO_REPLY:
            return
        try:
            self.process.reply(call, answer)
        except ErgoError as error:  # the caller runs into its time-out (ENP-SIZE-2); the process lives on
            log.info("an answer of %s is dropped: %s", self.process.name or self.process.pid.id, error)


async def run_to_the_end(process: Process, body: Body, args: tuple[Any, ...]) -> None:
    """The life of a process; whatever happens in it, it ends with a reason."""
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
    process.core.ended(process, reason)
