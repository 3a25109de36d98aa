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

from ..model import enp, reasons
from ..model.enp import Priority
from ..model.terms import PID, Alias, Atom, Error, ProcessID, Ref
from .failures import ErgoError, Stop

if TYPE_CHECKING:
    from .core import Core
    from .ergo.enp.compression import Compression

log = logging.getLogger("ergo_conformance.node")

TURNS: Final = 256
"""Messages after which a busy process lets others run."""


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
    """An exit signal, seen only by processes that trap them; the others end with its reason."""

    sender: PID
    reason: Error


Envelope = Message | Call | ExitSignal
Target = PID | ProcessID | Alias | str
"""Whom a message is for; a text is a name on the same node."""
Body = Callable[["Process"], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """How a process behaves. `mailbox_size`: messages per queue, 0 is no limit.

    `priority`, `important`, `keep_order` and `compression` (None: never) hold for what it sends.  Without `keep_order` a
    message may overtake the one before.
    """

    mailbox_size: int = 0
    priority: Priority = Priority.NORMAL
    important: bool = False
    keep_order: bool = True
    compression: Compression | None = None
    trap_exit: bool = False
    env: Mapping[str, Any] = field(default_factory=dict)


class MessageOptions(NamedTuple):
    """How a message goes over the wire."""

    priority: Priority = Priority.NORMAL
    important: bool = False
    keep_order: bool = True
    compression: Compression | None = None


class Mailbox:
    """Three queues; the urgent one (MAX) is emptied first, then HIGH, then NORMAL."""

    __slots__ = ("_limit", "_normal", "_turns", "_urgent", "_waiter")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._normal: deque[Envelope] = deque()
        self._urgent: dict[Priority, deque[Envelope]] | None = None  # most processes never need them
        self._turns = 0
        self._waiter: asyncio.Future[None] | None = None

    def put(self, envelope: Envelope, priority: Priority) -> bool:
        """False if that queue is full."""
        queue = self._normal if priority is Priority.NORMAL else self._queue(priority)
        if self._limit and len(queue) >= self._limit:
            return False
        queue.append(envelope)
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        return True

    def _queue(self, priority: Priority) -> deque[Envelope]:
        if self._urgent is None:
            self._urgent = {Priority.MAX: deque(), Priority.HIGH: deque()}
        return self._urgent[priority]

    def take(self) -> Envelope | None:
        """The next message; None if there is none."""
        if self._urgent is not None:
            for queue in self._urgent.values():
                if queue:
                    return queue.popleft()
        return self._normal.popleft() if self._normal else None

    async def get(self) -> Envelope:
        """The next message; waits for it, and lets others run between two of many."""
        self._turns += 1
        if self._turns >= TURNS:
            self._turns = 0
            await asyncio.sleep(0)
        while (envelope := self.take()) is None:
            self._turns = 0
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return envelope

    def __len__(self) -> int:
        return len(self._normal) + sum(len(queue) for queue in (self._urgent or {}).values())


class Process:
    """A process of this node. Made by `Core.spawn`."""

    __slots__ = ("_options", "aliases", "answer_options", "core", "mailbox", "name", "pid", "reason", "task")

    def __init__(self, core: Core, pid: PID, name: Atom | None, options: ProcessOptions) -> None:
        self.core = core
        self.pid = pid
        self.name = name
        self.options = options
        self.mailbox = Mailbox(options.mailbox_size)
        self.aliases: list[Alias] = []
        self.reason: Error | None = None
        """Why it ended; None while it lives."""
        self.task: asyncio.Task[None] | None = None

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
        """The next message for this process."""
        return await self.mailbox.get()

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
        if priority is None and not (own.important if important is None else important):
            return self.answer_options
        return MessageOptions(
            own.priority if priority is None else priority,
            own.important if important is None else important,
            own.keep_order,
            own.compression,
        )

    def reply(self, call: Call, value: Any) -> None:
        """Answers a call. Raises ErgoError if the answer can't go out (too large, no connection)."""
        self.core.respond(self, call, value)

    def reply_error(self, call: Call, error: Error) -> None:
        """Answers that a call failed."""
        self.core.respond_error(self, call, error)

    def create_alias(self) -> Alias:
        """A further address of this process."""
        return self.core.create_alias(self)

    def stop(self, reason: Error = reasons.SHUTDOWN) -> None:
        """Ends the process from outside, between two messages or in the middle of one."""
        self.core.end(self, reason)


NO_REPLY: Final = object()
"""Returned by a handler that has answered already, will later, or never."""


class Actor:
    """A process as a class. Handlers run one after the other."""

    options = ProcessOptions()
    """Taken for processes that are spawned without options."""
    process: Process

    async def init(self) -> None:
        """Runs before the first message."""

    async def handle_message(self, sender: PID, message: Any) -> None:
        """A message."""

    async def handle_call(self, call: Call) -> Any:  # noqa: ARG002  for those who override it
        """A request: returns the answer, or NO_REPLY. An ErgoError raised is answered as an error."""
        return NO_REPLY

    async def handle_exit(self, sender: PID, reason: Error) -> None:
        """An exit signal; only if the process traps them."""

    async def run(self, process: Process) -> None:
        """Works through the mailbox until Stop."""
        self.process = process
        await self.init()
        mailbox, left = process.mailbox, TURNS
        while True:
            envelope = mailbox.take() if left else None
            if envelope is None:
                left = TURNS
                envelope = await mailbox.get()
            left -= 1
            if type(envelope) is Message:
                await self.handle_message(*envelope)
            elif type(envelope) is Call:
                await self._answer(envelope)
            else:
                await self.handle_exit(envelope.sender, envelope.reason)  # type: ignore[union-attr]

    async def _answer(self, call: Call) -> None:
        try:
            answer = await self.handle_call(call)
        except ErgoError as error:
            self.process.reply_error(call, error.error)
            return
        if answer is not NO_REPLY:
            self.process.reply(call, answer)


async def run_to_the_end(process: Process, body: Body) -> None:
    """The life of a process; whatever happens in it, it ends with a reason."""
    reason = reasons.NORMAL
    try:
        await body(process)
    except Stop as stop:
        reason = stop.reason
    except asyncio.CancelledError:
        reason = process.reason or reasons.KILL
    except Exception:
        log.exception("process %s ended by an exception", process.name or process.pid.id)
        reason = reasons.PANIC
    process.core.ended(process, reason)
