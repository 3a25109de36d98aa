"""The heart of a node: its processes, their names and aliases, and the way of a message to one of them.

Connections deliver here what comes from other nodes, and take from here what goes there.  No sockets and no clock: ids
count up from a number that is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

from ..model import enp, reasons
from ..model.enp import Priority, Words
from ..model.terms import PID, Alias, Atom, Error, ProcessID, Ref
from .applications import Applications
from .failures import ErgoError
from .processes import (
    TURNS,
    Actor,
    Body,
    Call,
    Envelope,
    ExitSignal,
    Message,
    MessageOptions,
    Process,
    ProcessOptions,
    Target,
    run_to_the_end,
)  # fmt: skip
from .relations import Kind
from .remote import Remote
from .watching import Watching

if TYPE_CHECKING:
    from .ergo.enp.connection import EnpConnection

CORE_ID: Final = 1
"""Number of the node's own PID."""
FIRST_ID: Final = 1001
_ALIAS_SHIFT: Final = 46
"""The second word of an alias is the counter shifted by this, as upstream has it (ENP-ORD-5)."""


class Waiters:
    """Who waits for an answer, by the words of the reference. Answers that nobody waits for are dropped."""

    def __init__(self) -> None:
        self._waiting: dict[Words, tuple[int, asyncio.Future[Any]]] = {}

    def add(self, words: Words, process_id: int) -> asyncio.Future[Any]:
        """A future for the answer to this process."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[words] = process_id, future
        return future

    def forget(self, words: Words) -> None:
        """Nobody waits any more."""
        self._waiting.pop(words, None)

    def answer(self, words: Words, process_id: int, value: Any) -> bool:
        """Hands an answer over; False if this process does not wait for it."""
        return self._end(words, process_id, lambda future: future.set_result(value))

    def fail(self, words: Words, process_id: int, error: Error) -> bool:
        """Hands an error over."""
        return self._end(words, process_id, lambda future: future.set_exception(ErgoError(error)))

    def _end(self, words: Words, process_id: int, finish: Callable[[asyncio.Future[Any]], None]) -> bool:
        waiting = self._waiting.get(words)
        if waiting is None or waiting[0] != process_id:
            return False
        del self._waiting[words]
        if not waiting[1].done():
            finish(waiting[1])
        return True

    def fail_all(self, error: Error) -> None:
        """Nothing will come any more."""
        waiting, self._waiting = self._waiting, {}
        for _, future in waiting.values():
            if not future.done():
                future.set_exception(ErgoError(error))

    def __len__(self) -> int:
        return len(self._waiting)


class Core:
    """The processes of one node.

    `unique`: where references and aliases start to count.  `connections`: the open ones by the peers' names.  `connect`:
    gets a connection that is not open, or raises ErgoError.  `now`: Unix nanoseconds, for the timestamps of events.
    `env` is the environment of the node; with `expose_env` remote spawn and application start take it along.
    """

    def __init__(
        self,
        name: Atom,
        creation: int,
        unique: int,
        connections: Mapping[Atom, EnpConnection],
        connect: Callable[[Atom], Awaitable[EnpConnection]],
        now: Callable[[], int],
        *,
        env: Mapping[str, Any] | None = None,
        expose_env: bool = False,
    ) -> None:
        self.name = name
        self.creation = creation
        self.pid: Final = PID(name, CORE_ID, creation)
        self.processes: dict[int, Process] = {}
        self.names: dict[Atom, Process] = {}
        self.aliases: dict[Words, Process] = {}
        self.stopped = False
        """No process is started any more."""
        self._connections = connections
        self._connect = connect
        self._unique = unique
        self._last_id = FIRST_ID - 1
        self._waiters = Waiters()
        self.now = now
        self.env: dict[str, Any] = dict(env or {})
        self.watching = Watching(self)
        self.remote = Remote(self, expose_env=expose_env)
        self.applications = Applications(self)
        self._tasks: set[asyncio.Task[None]] = set()

    # --- processes ----------------------------------------------------------------------------------------------------

    def spawn(
        self,
        body: Actor | Body,
        *args: Any,
        name: str | None = None,
        options: ProcessOptions | None = None,
        parent: PID | None = None,
        number: int | None = None,
    ) -> Process:
        """Starts a process. `parent`: the node itself, unless another one is given; it need not be on this node.

        `number`: of its PID, one that was never used; the next free one if none is given.

        ErgoError "resource is taken" if the name is in use, "node terminated" after the end.
        """
        if self.stopped:
            raise ErgoError(reasons.NODE_TERMINATED)
        atom = None if name is None else Atom(name)
        if atom is not None and atom in self.names:
            raise ErgoError(reasons.TAKEN)
        if isinstance(body, Actor):
            options = options or body.options
            body = body.run
        number = self._last_id + 1 if number is None else number
        self._last_id = max(self._last_id, number)
        pid = PID(self.name, number, self.creation)
        process = Process(self, pid, atom, options or ProcessOptions(), parent or self.pid)
        self.processes[process.pid.id] = process
        if process.options.link_parent:
            self.watching.relations.add(Kind.LINK, process.parent, process.pid)
        if atom is not None:
            self.names[atom] = process
        process.task = asyncio.get_running_loop().create_task(run_to_the_end(process, body, args))
        process.task.add_done_callback(lambda _: self.ended(process, process.reason or reasons.KILL))  # never began
        return process

    def end(self, process: Process, reason: Error) -> None:
        """Ends a process from outside."""
        if process.reason is None and process.task is not None:
            process.reason = reason
            process.task.cancel()

    def ended(self, process: Process, reason: Error) -> None:
        """A process is over: nothing reaches it any more, and those who watch it are told."""
        process.reason = reason
        if self.processes.pop(process.pid.id, None) is None:
            return
        if not process.started.done():
            process.started.set_exception(ErgoError(reason))
        if process.name is not None and self.names.get(process.name) is process:
            del self.names[process.name]
        for alias in process.aliases:
            self.aliases.pop(alias.id, None)
        self.watching.process_ended(process, reason)
        self.applications.process_ended(process, reason)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Does some work beside everything else, until the node ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Ends all processes and waits for them."""
        self.stopped = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        living = list(self.processes.values())
        for process in living:
            self.end(process, reasons.SHUTDOWN)
        await asyncio.gather(*(process.task for process in living if process.task), return_exceptions=True)

    def create_alias(self, process: Process) -> Alias:
        """A further address of a process."""
        n = self._next_unique()
        alias = Alias(self.name, self.creation, (n, n >> _ALIAS_SHIFT, 0))
        self.aliases[alias.id] = process
        process.aliases.append(alias)
        return alias

    def delete_alias(self, process: Process, alias: Alias) -> None:
        """Takes an address away. ErgoError if it is nobody's, or another one's."""
        owner = self.aliases.get(alias.id)
        if owner is None:
            raise ErgoError(reasons.ALIAS_UNKNOWN)
        if owner is not process:
            raise ErgoError(reasons.ALIAS_OWNER)
        del self.aliases[alias.id]
        process.aliases.remove(alias)
        self.watching.ended(alias, reasons.UNREGISTERED, process)

    def _next_unique(self) -> int:
        self._unique += 1
        return self._unique

    def make_ref(self) -> Ref:
        """A reference that was not used before: the whole counter counts (upstream throws bits away, ENP-REQ-2)."""
        return Ref(self.name, self.creation, (self._next_unique(), 0, 0))

    # --- in: what reaches a process of this node ----------------------------------------------------------------------

    @staticmethod
    def deliver(process: Process | None, envelope: Envelope, priority: Priority) -> Error | None:
        """Into the mailbox of a process, if there is one. The error says why not."""
        if process is None:
            return reasons.PROCESS_UNKNOWN
        if process.reason is not None:
            return reasons.PROCESS_TERMINATED
        return None if process.mailbox.put(envelope, priority) else reasons.MAILBOX_FULL

    def exit(self, id_: int, sender: PID, reason: Error) -> None:
        """An exit signal for a process; nothing happens if it is not there."""
        process = self.processes.get(id_)
        if process is not None:
            process.mailbox.put_signal(ExitSignal(sender, reason), Priority.MAX)

    # --- out: what a process of this node sends -----------------------------------------------------------------------

    async def send(self, process: Process, to: Target, message: Any, options: MessageOptions) -> None:
        """As Process.send."""
        process.sends += 1
        if not process.sends % TURNS:  # a process that sends and sends lets others run, and links be flushed
            await asyncio.sleep(0)
        target = self._target(to)
        if target.node == self.name:
            error = self._to_local(target, Message(process.pid, message), options.priority)
            if error is not None:
                raise ErgoError(error)
            return
        connection = await self.connection(target.node)
        if not options.important:
            link = connection.send(process.pid, target, options, message)
            if link.is_congested:
                await link.relieved()
            return
        words = (self._next_unique(), 0, 0)
        future = connection.waiters.add(words, process.pid.id)
        await self._wait(connection.waiters, words, future, enp.REQUEST_TIMEOUT, lambda: connection.send(
            process.pid, target, options, message, words[0]))  # fmt: skip

    async def call(self, process: Process, to: Target, request: Any, timeout: float, options: MessageOptions) -> Any:
        """As Process.call."""
        target = self._target(to)
        ref = self.make_ref()
        if target.node == self.name:
            future = self._waiters.add(ref.id, process.pid.id)
            call = Call(process.pid, ref, request, options.important)
            return await self._wait(
                self._waiters, ref.id, future, timeout, lambda: self._call_local(target, call, options)
            )
        connection = await self.connection(target.node)
        future = connection.waiters.add(ref.id, process.pid.id)
        return await self._wait(
            connection.waiters, ref.id, future, timeout,
            lambda: connection.call(process.pid, target, options, request, ref),
        )  # fmt: skip

    @staticmethod
    async def _wait(
        waiters: Waiters, words: Words, future: asyncio.Future[Any], timeout: float, begin: Callable[[], object]
    ) -> Any:
        """Begins a request and waits for its answer."""
        try:
            begin()
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise ErgoError(reasons.TIMEOUT) from None
        finally:
            waiters.forget(words)

    def _call_local(self, target: PID | ProcessID | Alias, call: Call, options: MessageOptions) -> None:
        error = self._to_local(target, call, options.priority)
        if error is not None:
            raise ErgoError(error)

    def respond(self, process: Process, call: Call, value: Any) -> None:
        """Answers a call. An answer that can't go out over the wire is dropped: the caller runs into its time-out."""
        if call.sender.node == self.name:
            self._waiters.answer(call.ref.id, call.sender.id, value)
            return
        connection = self._connections.get(call.sender.node)
        if connection is None or connection.peer.creation != call.sender.creation:
            return  # whoever asked is gone
        connection.respond(process.pid, call.sender, call.ref, process.answer_options, value)

    def respond_error(self, process: Process, call: Call, error: Error) -> None:
        """Answers that a call failed."""
        if call.sender.node == self.name:
            self._waiters.fail(call.ref.id, call.sender.id, error)
            return
        connection = self._connections.get(call.sender.node)
        if connection is not None and connection.peer.creation == call.sender.creation:
            connection.respond_error(process.pid, call.sender, call.ref, process.answer_options, error)

    async def send_exit(self, process: Process, to: PID, reason: Error) -> None:
        """As Process.exit."""
        if to.node == self.name:
            if to.creation == self.creation:
                self.exit(to.id, process.pid, reason)
            return
        connection = await self.connection(to.node)
        connection.exit(process.pid, to, reason)

    @property
    def connected(self) -> list[Atom]:
        """The names of the nodes that are connected."""
        return list(self._connections)

    def disconnect(self, node: Atom) -> None:
        """Ends the connection with a node: there is no goodbye. ErgoError "no connection" if there is none."""
        connection = self._connections.get(node)
        if connection is None:
            raise ErgoError(reasons.NO_CONNECTION)
        connection.disconnect()

    def open_connection(self, node: Atom) -> EnpConnection | None:
        """The connection with a node, if there is one."""
        return self._connections.get(node)

    async def connection(self, node: Atom) -> EnpConnection:
        """The connection with a node, dialed if there is none. Raises ErgoError."""
        return self._connections.get(node) or await self._connect(node)

    # --- helpers ------------------------------------------------------------------------------------------------------

    def _target(self, to: Target) -> PID | ProcessID | Alias:
        return ProcessID(self.name, Atom(to)) if isinstance(to, str) else to

    def _to_local(self, target: PID | ProcessID | Alias, envelope: Envelope, priority: Priority) -> Error | None:
        if isinstance(target, ProcessID):
            return self.deliver(self.names.get(target.name), envelope, priority)
        if target.creation != self.creation:
            return reasons.PROCESS_INCARNATION
        if isinstance(target, PID):
            return self.deliver(self.processes.get(target.id), envelope, priority)
        return self.deliver(self.aliases.get(target.id), envelope, priority)
