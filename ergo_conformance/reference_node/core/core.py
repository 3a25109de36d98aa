"""The core of a node: its processes, and the delivery of messages, requests and signals to them.

Connections call its methods for received frames (api.Core).  No sockets and no clock: the time is a function argument, and
ids count up from a given number.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ...model.ergo import error_values, gen
from ...model.ergo.enp import Priority, Words
from ...model.ergo.gen import ApplicationOptionsExtra, MessageEvent, ProcessOptionsExtra
from ...model.registry import Registry
from ...model.values import PID, Atom, Error, Ref
from ..api import Connection
from ..api.messages import Call, Message, MessageOptions, ProcessAddress
from ..api.relations import RelationKind, RelationTarget
from ..turns import Turns
from .applications import ApplicationListener, Applications
from .events import Events
from .monitoring import Monitoring
from .outgoing import Outgoing
from .peer_connections import Peers
from .pending import PendingRequests
from .process import Process
from .process_table import ProcessTable
from .relation_table import RelationTable
from .remote_spawn import RemoteSpawn
from .spawner import Spawner


class NodeCore:
    """The processes of one node (api.Core, process.ProcessHost).

    `tables`: identity and processes of the node.  `now`: Unix nanoseconds.  `registry`: the types that the node knows.
    `turns`: of the event loop.  `env`: the environment of the node; with `expose_env` remote spawn and application start carry
    it.
    """

    def __init__(
        self,
        tables: ProcessTable,
        peers: Peers,
        now: Callable[[], int],
        registry: Registry,
        turns: Turns,
        *,
        env: Mapping[str, Any] | None = None,
        expose_env: bool = False,
        application_listener: ApplicationListener | None = None,
    ) -> None:
        self.tables, self.peers, self.now, self.registry, self.turns = tables, peers, now, registry, turns
        self.name, self.creation, self.pid = tables.name, tables.creation, tables.pid
        self.env: dict[str, Any] = dict(env or {})
        relations = RelationTable()
        self.pending = PendingRequests()
        self.outgoing = Outgoing(tables, peers, self.pending)
        self.events = Events(tables, relations, peers, now)
        self.monitoring = Monitoring(tables, relations, self.events, peers)
        self.spawner = Spawner(tables, relations, self, self.env, self._process_ended)
        self.applications = Applications(tables, self.spawner, self.outgoing, self.env, application_listener)
        self.remote = RemoteSpawn(tables, self.spawner, self.applications, peers, self.env, expose_env=expose_env)
        self._tasks: set[asyncio.Future[None]] = set()

    def _process_ended(self, process: Process, reason: Error) -> None:
        self.monitoring.process_ended(process, reason)
        self.applications.process_ended(process, reason)

    def run(self, work: Awaitable[None]) -> None:
        """Runs work in the background until the node stops."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Cancels background work, then ends all processes and waits for them."""
        self.spawner.stopped = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.spawner.stop()

    def node_down(self, node: Atom) -> None:
        """A connection has ended: pending requests to the node fail, and relations with it end."""
        self.pending.fail_all(node, error_values.NO_CONNECTION)
        self.monitoring.node_down(node)

    # --- api.Core -----------------------------------------------------------------------------------------------------

    def make_ref(self) -> Ref:
        """Returns an unused reference."""
        return self.tables.make_ref()

    def open_connection(self, node: Atom) -> Connection | None:
        """Returns the open connection with a node; never dials."""
        return self.peers.connections.get(node)

    def disconnect(self, node: Atom) -> None:
        """Ends the connection with a node. ErgoError "no connection" if there is none."""
        self.peers.disconnect(node)

    def route_send(self, sender: PID, to: ProcessAddress, options: MessageOptions, message: Any) -> Error | None:
        """Delivers a message to a process of this node. Returns the error, or None."""
        return self.tables.deliver_to(to, Message(sender, message), options.priority)

    def route_call(
        self, ref: Ref, sender: PID, to: ProcessAddress, options: MessageOptions, message: Any
    ) -> Error | None:
        """Delivers a request to a process of this node. Returns the error, or None."""
        return self.tables.deliver_to(to, Call(sender, ref, message, options.important), options.priority)

    def route_send_response(self, node: Atom, to_id: int, words: Words, response: Any) -> bool:
        """Completes a pending request of process `to_id` to `node`; with None an important message has arrived."""
        return self.pending.answer(node, to_id, words, response)

    def route_send_response_error(self, node: Atom, to_id: int, words: Words, error: Error) -> bool:
        """Fails a pending request or important message of process `to_id` to `node`."""
        return self.pending.fail(node, to_id, words, error)

    def route_send_event(self, event: MessageEvent, priority: Priority) -> None:
        """Delivers a message of an event of another node to its subscribers here."""
        self.events.distribute(event, priority)

    def route_send_exit(self, sender: PID, to_id: int, reason: Error) -> None:
        """Delivers an exit signal; no effect if the process does not exist."""
        self.outgoing.signal_exit(sender, to_id, reason)

    def route_link(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        """Adds a relation of a process of another node to a target here. Raises ErgoError."""
        return self.monitoring.add(kind, target, consumer)

    def route_unlink(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> None:
        """Removes such a relation; a relation that does not exist is a no-op. ErgoError if the target does not exist.

        "target is already exist" and "unknown target" (ENP-LINK-1) come from the consumer's own node; a consumer that gets them
        from another node never removes its relation (upstream 3.0 and 3.1).
        """
        self.monitoring.check_exists(target)
        self.monitoring.remove(kind, target, consumer)

    def route_terminate(self, target: RelationTarget, reason: Error) -> None:
        """A target of another node has ended: notifies its consumers here."""
        self.monitoring.remote_target_ended(target, reason)

    def add_relation(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> bool:
        """Records a relation that another node agreed to. False if it exists already."""
        return consumer.id not in self.tables.processes or self.monitoring.relations.add(kind, target, consumer)

    def remove_relation(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> bool:
        """Removes a relation after another node has removed it. False if it does not exist."""
        return self.monitoring.remove(kind, target, consumer)

    def owner_of(self, target: RelationTarget) -> Process | None:
        """Returns the local process that is or owns a target; None if the target does not exist."""
        return self.monitoring.owner(target)

    async def route_spawn(self, node: Atom, name: Atom, options: ProcessOptionsExtra) -> Process:
        """Spawns a process requested by `node`; returns it once it has initialised. Raises ErgoError."""
        return await self.remote.spawn_requested(node, name, options)

    async def route_application_start(
        self, node: Atom, name: Atom, mode: int, options: ApplicationOptionsExtra
    ) -> None:
        """Starts an application requested by `node`. Raises ErgoError."""
        await self.remote.start_requested(node, name, mode, options)

    async def remote_spawn(
        self, node: Atom, name: Atom, args: list[Any] | None, options: gen.RemoteProcessOptions | None, register: str
    ) -> PID:
        """Spawns a process on another node; its parent is this node itself. Raises ErgoError and CannotEncode."""
        return await self.remote.spawn(None, node, name, args, options, register)

    async def remote_application_start(
        self, node: Atom, name: Atom, mode: int, options: gen.ApplicationOptions | None
    ) -> None:
        """Starts an application on another node. Raises ErgoError and CannotEncode."""
        await self.remote.start_application(node, name, mode, options)
