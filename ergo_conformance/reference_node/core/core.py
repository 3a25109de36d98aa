"""The heart of a node: its processes, their names and aliases, and the way of a message to one of them.

Connections deliver here what comes from other nodes, and take from here what goes there.  No sockets and no clock: ids
count up from a number that is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...model.ergo import enp, error_values, gen
from ...model.ergo.enp import Priority, Words
from ...model.ergo.gen import MessageEvent
from ...model.values import PID, Alias, Atom, Error, ProcessID, Ref
from ..api.errors import ErgoError
from .applications import Applications
from .monitoring import Watching
from .pending import Waiters
from .process import (  # fmt: skip
    TURNS,
    Actor,
    Body,
    Call,
    Message,
    MessageOptions,
    Process,
    ProcessOptions,
    Target,
    run_to_the_end,
)
from .relations import Kind, Watched
from .remote_spawn import Remote
from .tables import Routing

if TYPE_CHECKING:
    from ...model.ergo.gen import ApplicationOptionsExtra, ProcessOptionsExtra
    from ...model.registry import Registry
    from ..api import Connection

CORE_ID: Final = 1
"""Number of the node's own PID."""
FIRST_ID: Final = 1001
_ALIAS_SHIFT: Final = 46
"""The second word of an alias is the counter shifted by this, as upstream has it (ENP-ORD-5)."""


class Reach(NamedTuple):
    """Other nodes: the open connections by name, what gets one that is not open or raises ErgoError, and what ends one."""

    connections: Mapping[Atom, Connection]
    connect: Callable[[Atom], Awaitable[Connection]]
    disconnect: Callable[[Connection], None]


class Core(Routing):
    """The processes of one node (interfaces.Core).

    `unique`: where references and aliases start to count.  `now`: Unix nanoseconds, for the timestamps of events.
    `registry`: the types that the node knows.
    `env` is the environment of the node; with `expose_env` remote spawn and application start take it along.
    """

    def __init__(
        self,
        name: Atom,
        creation: int,
        unique: int,
        reach: Reach,
        now: Callable[[], int],
        registry: Registry,
        *,
        env: Mapping[str, Any] | None = None,
        expose_env: bool = False,
    ) -> None:
        super().__init__(name, creation)
        self.pid: Final = PID(name, CORE_ID, creation)
        self.stopped = False
        """No process is started any more."""
        self._connections, self._connect, self._disconnect = reach
        self.registry = registry
        self._unique = unique
        self._last_id = FIRST_ID - 1
        self.now = now
        self.env: dict[str, Any] = dict(env or {})
        self.watching = Watching(self)
        self.remote = Remote(self, expose_env=expose_env)
        self.applications = Applications(self)
        self._tasks: set[asyncio.Future[None]] = set()

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

        A child of the node itself has the node's environment, and its own on top.

        `number`: of its PID, one that was never used; the next free one if none is given.

        ErgoError "resource is taken" if the name is in use, "node terminated" after the end.
        """
        if self.stopped:
            raise ErgoError(error_values.NODE_TERMINATED)
        atom = None if name is None else Atom(name)
        if atom is not None and atom in self.names:
            raise ErgoError(error_values.TAKEN)
        if isinstance(body, Actor):
            options = options or body.options
            body = body.run
        options = options or ProcessOptions()
        if parent is None and self.env:
            options = replace(options, env={**self.env, **options.env})
        if number is None:
            number = self._last_id + 1
            number += not number % enp.ORDER_MODULUS  # such a one would have no link of its own (ENP-ORD-5)
        self._last_id = max(self._last_id, number)
        pid = PID(self.name, number, self.creation)
        process = Process(self, pid, atom, options, parent or self.pid)
        self.processes[process.pid.id] = process
        if process.options.link_parent:
            self.watching.relations.add(Kind.LINK, process.parent, process.pid)
        if atom is not None:
            self.names[atom] = process
        process.task = asyncio.get_running_loop().create_task(run_to_the_end(process, body, args))
        process.task.add_done_callback(
            lambda _: self.ended(process, process.reason or error_values.KILL)
        )  # never began
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

    def run(self, work: Awaitable[None]) -> None:
        """Does some work beside everything else, until the node ends."""
        task = asyncio.ensure_future(work)
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
            self.end(process, error_values.SHUTDOWN)
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
            raise ErgoError(error_values.ALIAS_UNKNOWN)
        if owner is not process:
            raise ErgoError(error_values.ALIAS_OWNER)
        del self.aliases[alias.id]
        process.aliases.remove(alias)
        self.watching.ended(alias, error_values.UNREGISTERED, process)

    def _next_unique(self) -> int:
        self._unique += 1
        return self._unique

    def make_ref(self) -> Ref:
        """A reference that was not used before: the whole counter counts (upstream throws bits away, ENP-REQ-2)."""
        return Ref(self.name, self.creation, (self._next_unique(), 0, 0))

    # --- what other nodes want ----------------------------------------------------------------------------------------

    def route_send_event(self, event: MessageEvent, priority: Priority) -> None:
        """A message of an event of another node."""
        self.watching.distribute(event, priority)

    def route_link(self, kind: Kind, consumer: PID, target: Watched) -> list[MessageEvent]:
        """A process of another node links or monitors something of ours. ErgoError says why not."""
        return self.watching.add(kind, target, consumer)

    def route_unlink(self, kind: Kind, consumer: PID, target: Watched) -> None:
        """The reverse. ErgoError if there is no such target; no such relation is nothing.

        "target is already exist" and "unknown target" (ENP-LINK-1) come from the asker's own node; one that is told so from
        elsewhere never lets go (upstream 3.0 and 3.1).
        """
        self.watching.check(target)
        self.watching.remove(kind, target, consumer)

    def route_terminate(self, target: Watched, reason: Error) -> None:
        """Something of another node is no more."""
        self.watching.ended_elsewhere(target, reason)

    def relation_taken(self, kind: Kind, consumer: PID, target: Watched) -> bool:
        """Another node has agreed to a link or monitor of a process of ours. False if it is there already."""
        return consumer.id not in self.processes or self.watching.relations.add(kind, target, consumer)

    def relation_given_back(self, kind: Kind, consumer: PID, target: Watched) -> bool:
        """Another node has let go of a link or monitor of a process of ours. False if it is gone already."""
        return self.watching.remove(kind, target, consumer)

    def owner_of(self, target: Watched) -> Process | None:
        """The process of ours that a target is of, or is; None if there is no such target."""
        return self.watching.owner(target)

    async def route_spawn(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
        """A node asks for a process: that, once it is ready. Raises ErgoError."""
        return await self.remote.spawn_asked(node, name, options)

    async def route_application_start(
        self, node: Atom, name: Atom, mode: int, options: ApplicationOptionsExtra
    ) -> None:
        """A node asks for an application. Raises ErgoError."""
        await self.remote.start_asked(node, name, mode, options)

    def route_node_down(self, node: Atom) -> None:
        """A connection is over: nobody answers any more, and what was watched there is gone."""
        found = self._waiters.pop(node, None)
        if found is not None:
            found.fail_all(error_values.NO_CONNECTION)
        self.watching.node_down(node)

    # --- out: what a process of this node sends -----------------------------------------------------------------------

    async def send(self, process: Process, to: Target, message: Any, options: MessageOptions) -> None:
        """As Process.send."""
        process.sends += 1
        if not process.sends % TURNS:  # a process that sends and sends lets others run, and links be flushed
            await asyncio.sleep(0)
        target = self._target(to)
        if target.node == self.name:
            error = self.to_local(target, Message(process.pid, message), options.priority)
            if error is not None:
                raise ErgoError(error)
            return
        connection = await self.connection(target.node)
        if not options.important:
            if _send(connection, process.pid, target, options, message):
                await connection.relieved(process.pid)
            return
        mid = self._next_unique()
        waiters, words = self.waiters(target.node), (mid, 0, 0)
        future = waiters.add(words, process.pid.id)
        await self._wait(waiters, words, future, enp.REQUEST_TIMEOUT, lambda: _send(
            connection, process.pid, target, options._replace(mid=mid), message))  # fmt: skip

    async def call(self, process: Process, to: Target, request: Any, timeout: float, options: MessageOptions) -> Any:
        """As Process.call."""
        target = self._target(to)
        ref = self.make_ref()
        if target.node == self.name:
            waiters, call = self.waiters(self.name), Call(process.pid, ref, request, options.important)
            future = waiters.add(ref.id, process.pid.id)
            return await self._wait(waiters, ref.id, future, timeout, lambda: self._call_local(target, call, options))
        connection = await self.connection(target.node)
        waiters = self.waiters(target.node)
        future = waiters.add(ref.id, process.pid.id)
        return await self._wait(
            waiters, ref.id, future, timeout, lambda: _call(connection, ref, process.pid, target, options, request)
        )

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
            raise ErgoError(error_values.TIMEOUT) from None
        finally:
            waiters.forget(words)

    def _call_local(self, target: PID | ProcessID | Alias, call: Call, options: MessageOptions) -> None:
        error = self.to_local(target, call, options.priority)
        if error is not None:
            raise ErgoError(error)

    def respond(self, process: Process, call: Call, value: Any) -> None:
        """Answers a call. An answer that can't go out over the wire is dropped: the caller runs into its time-out."""
        if call.sender.node == self.name:
            self.waiters(self.name).answer(call.ref.id, call.sender.id, value)
            return
        connection = self._connections.get(call.sender.node)
        if connection is None or connection.peer.creation != call.sender.creation:
            return  # whoever asked is gone
        connection.send_response(process.pid, call.sender, call.ref, process.answer_options, value)

    def respond_error(self, process: Process, call: Call, error: Error) -> None:
        """Answers that a call failed."""
        if call.sender.node == self.name:
            self.waiters(self.name).fail(call.ref.id, call.sender.id, error)
            return
        connection = self._connections.get(call.sender.node)
        if connection is not None and connection.peer.creation == call.sender.creation:
            connection.send_response_error(process.pid, call.sender, call.ref, process.answer_options, error)

    async def send_exit(self, process: Process, to: PID, reason: Error) -> None:
        """As Process.exit."""
        if to.node == self.name:
            if to.creation == self.creation:
                self.route_send_exit(process.pid, to.id, reason)
            return
        connection = await self.connection(to.node)
        connection.send_exit(process.pid, to, reason)

    @property
    def connected(self) -> list[Atom]:
        """The names of the nodes that are connected."""
        return list(self._connections)

    def disconnect(self, node: Atom) -> None:
        """Ends the connection with a node: there is no goodbye. ErgoError "no connection" if there is none."""
        connection = self._connections.get(node)
        if connection is None:
            raise ErgoError(error_values.NO_CONNECTION)
        self._disconnect(connection)

    def open_connection(self, node: Atom) -> Connection | None:
        """The connection with a node, if there is one."""
        return self._connections.get(node)

    async def connection(self, node: Atom) -> Connection:
        """The connection with a node, dialed if there is none. Raises ErgoError."""
        return self._connections.get(node) or await self._connect(node)

    # --- helpers ------------------------------------------------------------------------------------------------------

    async def remote_spawn(
        self, node: Atom, name: Atom, args: list[Any] | None, options: gen.ProcessOptions | None, register: str
    ) -> PID:
        """A process on another node, with this node itself as its parent. Raises ErgoError and CannotEncode."""
        return await self.remote.spawn(None, node, name, args, options, register)

    async def remote_application_start(
        self, node: Atom, name: Atom, mode: int, options: gen.ApplicationOptions | None
    ) -> None:
        """An application on another node. Raises ErgoError and CannotEncode."""
        await self.remote.start_application(node, name, mode, options)

    def _target(self, to: Target) -> PID | ProcessID | Alias:
        return ProcessID(self.name, Atom(to)) if isinstance(to, str) else to


def _send(
    connection: Connection, sender: PID, to: PID | ProcessID | Alias, options: MessageOptions, message: Any
) -> bool:
    match to:
        case PID():
            return connection.send_pid(sender, to, options, message)
        case ProcessID():
            return connection.send_process_id(sender, to, options, message)
        case Alias():
            return connection.send_alias(sender, to, options, message)


def _call(
    connection: Connection, ref: Ref, sender: PID, to: PID | ProcessID | Alias, options: MessageOptions, message: Any
) -> bool:
    match to:
        case PID():
            return connection.call_pid(ref, sender, to, options, message)
        case ProcessID():
            return connection.call_process_id(ref, sender, to, options, message)
        case Alias():
            return connection.call_alias(ref, sender, to, options, message)
