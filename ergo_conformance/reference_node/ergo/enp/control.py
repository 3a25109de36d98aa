"""Control messages of a connection: our requests to the peer, and the peer's requests.

Every request gets exactly one Result (ENP-ANY-1).  A Result takes effect when it is read, before the next frame: later frames
of the peer may concern the relation that it confirms.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Protocol

from ....errors import CannotEncode
from ....model.ergo import enp, error_values, gen
from ....model.ergo.ehs import Flags
from ....model.ergo.enp import Control, Result, Verb
from ....model.ergo.gen import MessageEvent
from ....model.values import PID, Alias, Atom, Error, Event, Ref, Typed
from ...api import Core, LocalProcess, Socket
from ...api.errors import ErgoError
from ...api.handshake import PeerInfo
from ...api.relations import RelationKind, RelationTarget

log = logging.getLogger("ergo_conformance.node")

_REQUEST: Final = {RelationKind.LINK: Verb.LINK, RelationKind.MONITOR: Verb.MONITOR}
_WITHDRAW: Final = {RelationKind.LINK: Verb.UNLINK, RelationKind.MONITOR: Verb.DEMONITOR}
_KINDS: Final = {verb: kind for verbs in (_REQUEST, _WITHDRAW) for kind, verb in verbs.items()}
_WORDS: Final = {cls: word for word, (cls, _) in enp.TARGETS.items()}
_RELATIONS: Final = {row.value_class: verb for (verb, _), row in enp.RELATIONS.items()}


class FrameConnection(Protocol):
    """The members of a connection that its control messages use."""

    core: Core
    peer: PeerInfo
    sockets: list[Socket]

    @property
    def name(self) -> Atom:
        """The peer's name."""

    def transmit(self, frame: Control, sender_id: int) -> Socket:
        """Writes a frame to the socket of a sender. Raises ErgoError and CannotEncode."""

    def check(self, creation: int) -> None:
        """ErgoError for an address of an earlier incarnation of the peer."""

    def send_terminate(self, target: RelationTarget, reason: Error, owner: PID) -> None:
        """Reports the end of a target to the peer."""

    def update_caches(self, update: enp.UpdateCache) -> None:
        """Adds ids to the caches of the peer."""


class ControlMessages:
    """The control messages of one connection, in both directions."""

    def __init__(self, connection: FrameConnection) -> None:
        self.connection = connection
        self.core = connection.core
        self._pending: dict[Ref, tuple[asyncio.Future[Any], Callable[[Any], Any]]] = {}
        """Future of each request, and the function applied to its Result; an ErgoError of the function fails the request."""

    # --- our requests -------------------------------------------------------------------------------------------------

    async def request(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        """Links or monitors a target at the peer. Raises ErgoError."""

        def taken(result: Any) -> list[MessageEvent]:
            events = _events(result) if isinstance(target, Event) else []
            if not self.core.add_relation(kind, consumer, target):  # requested twice at once
                raise ErgoError(error_values.TARGET_EXIST)
            return events

        events: list[MessageEvent] = await self._relation(_REQUEST[kind], consumer, target, taken)
        return events

    async def withdraw(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> None:
        """Removes a link or monitor at the peer. Raises ErgoError."""

        def given_back(_: Any) -> None:
            if not self.core.remove_relation(kind, consumer, target):
                raise ErgoError(error_values.TARGET_UNKNOWN)

        await self._relation(_WITHDRAW[kind], consumer, target, given_back)

    async def _relation(self, verb: Verb, consumer: PID, target: RelationTarget, then: Callable[[Any], Any]) -> Any:
        if isinstance(target, PID | Alias):
            self.connection.check(target.creation)
        ref = self.core.make_ref()
        message = enp.RELATIONS[verb, _WORDS[type(target)]].value_class(consumer, target, ref)  # type: ignore[call-arg]
        order = 0 if isinstance(target, PID) and verb in (Verb.MONITOR, Verb.DEMONITOR) else _order_of(target)
        return await self._ask(message, ref, order, consumer.id, then)

    async def spawn(self, message: enp.Spawn) -> PID:
        """Spawns a process at the peer. Raises ErgoError."""
        self._check_flag(Flags.REMOTE_SPAWN)

        def spawned(result: Any) -> PID:
            if not isinstance(result, PID):
                raise ErgoError(error_values.MALFORMED)
            self._link_family(message.Options, result)
            return result

        pid: PID = await self._ask(message, message.Ref, 0, 0, spawned)
        return pid

    def _link_family(self, options: gen.ProcessOptionsExtra, child: PID) -> None:
        """Records the links of parent and child here: each node knows only the end of its own process."""
        parent = options.ParentPID
        if parent.id not in self.core.tables.processes:  # the node itself, or a process that has ended
            return
        if options.ProcessOptions.LinkChild:
            self.core.add_relation(RelationKind.LINK, parent, child)
        if options.ProcessOptions.LinkParent:
            self.core.route_link(RelationKind.LINK, child, parent)

    async def start_application(self, message: enp.ApplicationStart) -> None:
        """Starts an application at the peer. Raises ErgoError."""
        self._check_flag(Flags.REMOTE_APPLICATION_START)
        await self._ask(message, message.Ref, 0, 0, _nothing)

    def _check_flag(self, flag: Flags) -> None:
        """Refuses a request that the peer's flags exclude (ENP-SPAWN-3); without ENABLE they exclude nothing."""
        flags = self.connection.peer.flags
        if Flags.ENABLE in flags and flag not in flags:
            raise ErgoError(error_values.NOT_ALLOWED)

    async def _ask(self, message: Any, ref: Ref, order: int, sender_id: int, then: Callable[[Any], Any]) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[ref] = future, then
        try:
            self.connection.transmit(Control(order, message), sender_id)
            async with asyncio.timeout(enp.REQUEST_TIMEOUT):
                return await future
        except TimeoutError:
            raise ErgoError(error_values.TIMEOUT) from None
        finally:
            self._pending.pop(ref, None)

    def fail_all(self, error: Error) -> None:
        """Fails all pending requests."""
        pending, self._pending = self._pending, {}
        for future, _ in pending.values():
            if not future.done():
                future.set_exception(ErgoError(error))

    # --- the peer's messages ------------------------------------------------------------------------------------------

    def handle(self, frame: Control) -> None:
        """Handles a control message of the peer."""
        message = frame.message
        match message:
            case Result():
                self._result(message)
            case enp.RelationRequest():
                self._relation_requested(message)
            case enp.Spawn():
                self.core.run(self._spawn_requested(message))
            case enp.ApplicationStart():
                self.core.run(self._application_requested(message))
            case enp.UpdateCache():
                self.connection.update_caches(message)
                self._answer(message.Ref, None, None, 0, 0)

    def _result(self, message: Result) -> None:
        future, then = self._pending.pop(message.Ref, (None, _nothing))
        if future is None or future.done():
            return  # timed out, or never requested
        if message.Error is not None:
            future.set_exception(ErgoError(message.Error))
            return
        try:
            future.set_result(then(message.Result))
        except ErgoError as error:
            future.set_exception(error)

    def _relation_requested(self, message: enp.RelationRequest) -> None:
        verb = _RELATIONS[type(message)]
        taking = verb in (Verb.LINK, Verb.MONITOR)
        error, result = None, None
        try:
            events = self._relate(_KINDS[verb], message, taking=taking)
        except ErgoError as refusal:
            error, events = refusal.error, []
        if taking and isinstance(message.Target, Event):
            result = Typed(gen.EVENTS, events or None)
        owner = self.core.owner_of(message.Target)
        owner_id = 0 if owner is None else owner.pid.id
        try:
            self._answer(message.Ref, error, result, message.Source.id, owner_id)
        except CannotEncode as unencodable:  # one of the last messages of an event
            self.core.route_unlink(_KINDS[verb], message.Source, message.Target)
            self._answer(message.Ref, Error(str(unencodable)), Typed(gen.EVENTS, None), message.Source.id, owner_id)

    def _relate(self, kind: RelationKind, message: enp.RelationRequest, *, taking: bool) -> list[MessageEvent]:
        """Adds or removes a relation. Upstream checks the nodes of neither consumer nor target (ENP-LINK-3)."""
        if message.Source.node != self.connection.name:
            raise ErgoError(error_values.NOT_ALLOWED)
        if message.Target.node != self.core.name:
            raise ErgoError(error_values.NO_ROUTE)
        if taking:
            return self.core.route_link(kind, message.Source, message.Target)
        self.core.route_unlink(kind, message.Source, message.Target)
        return []

    async def _spawn_requested(self, message: enp.Spawn) -> None:
        """Spawns and replies. Replies to a refusal, too; upstream does not if its flag is off (ENP-SPAWN-3)."""
        error, process = None, None
        if not self.connection.sockets:
            return  # the connection has ended: the peer would not be informed of the process
        try:
            self._check_own(Flags.REMOTE_SPAWN)
            process = await self.core.route_spawn(self.connection.name, message.Name, message.Options)
        except ErgoError as refusal:
            error = refusal.error
        pid = gen.NO_PID if process is None else process.pid
        parent = message.Options.ParentPID
        self._answer(message.Ref, error, pid, parent.id, pid.id)
        linked = message.Options.ProcessOptions.LinkChild and parent.node == self.connection.name
        if process is not None and linked and self.connection.sockets:
            self._link_child(process, parent)

    def _link_child(self, child: LocalProcess, parent: PID) -> None:
        """Links the child to its parent on the peer; the child may have ended already."""
        try:
            self.core.route_link(RelationKind.LINK, parent, child.pid)
        except ErgoError:
            self.connection.send_terminate(child.pid, child.reason or error_values.KILL, child.pid)

    async def _application_requested(self, message: enp.ApplicationStart) -> None:
        error = None
        try:
            self._check_own(Flags.REMOTE_APPLICATION_START)
            await self.core.route_application_start(self.connection.name, message.Name, message.Mode, message.Options)
        except ErgoError as refusal:
            error = refusal.error
        self._answer(message.Ref, error, None, 0, 0)

    def _check_own(self, flag: Flags) -> None:
        flags = self.connection.peer.local.flags
        if Flags.ENABLE in flags and flag not in flags:
            raise ErgoError(error_values.NOT_ALLOWED)

    def _answer(self, ref: Ref, error: Error | None, result: Any, requester_id: int, owner_id: int) -> None:
        """Sends a Result with the order byte of the requester (ENP §8).

        It takes the socket of the target's owner: later reports about the target must not overtake it.
        """
        try:
            self.connection.transmit(Control(requester_id % enp.ORDER_MODULUS, Result(error, result, ref)), owner_id)
        except ErgoError as lost:
            log.info("a Result for %r is lost: %s", self.connection.name, lost)


def _nothing(_: Any) -> None:
    """Ignores the value of a Result."""


def _events(result: Any) -> list[MessageEvent]:
    """Returns the last messages of an event from a Result. ErgoError "malformed value"."""
    match result:
        case None | Typed(gen.EVENTS, None):
            return []
        case Typed(gen.EVENTS, list(events)):
            return events
    raise ErgoError(error_values.MALFORMED)


def _order_of(target: RelationTarget) -> int:
    """Returns the order byte of a relation request (ENP §8)."""
    match target:
        case PID():
            return target.id % enp.ORDER_MODULUS
        case Alias():
            return target.id[1] % enp.ORDER_MODULUS
    return 0
