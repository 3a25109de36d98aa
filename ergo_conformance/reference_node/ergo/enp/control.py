"""Control messages of a connection: what we ask the peer for, and what it asks of us.

Every request gets exactly one Result (ENP-ANY-1).  A Result is acted on where it is read, before the next frame: what the
peer says behind it may be about the relation that it confirms.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ....errors import CannotEncode
from ....model.ergo import enp, error_values, gen
from ....model.ergo.ehs import Flags
from ....model.ergo.enp import Control, Result, Verb
from ....model.ergo.gen import MessageEvent
from ....model.values import PID, Alias, Error, Event, Ref, Typed
from ...api.errors import ErgoError
from ...core.process import Process
from ...core.relations import Kind, Watched

if TYPE_CHECKING:
    from .connection import EnpConnection

log = logging.getLogger("ergo_conformance.node")

_TAKE: Final = {Kind.LINK: Verb.LINK, Kind.MONITOR: Verb.MONITOR}
_GIVE_BACK: Final = {Kind.LINK: Verb.UNLINK, Kind.MONITOR: Verb.DEMONITOR}
_KINDS: Final = {verb: kind for verbs in (_TAKE, _GIVE_BACK) for kind, verb in verbs.items()}
_WORDS: Final = {cls: word for word, (cls, _) in enp.TARGETS.items()}
_RELATIONS: Final = {row.value_class: verb for (verb, _), row in enp.RELATIONS.items()}


class ControlMessages:
    """Both directions of one connection."""

    def __init__(self, connection: EnpConnection) -> None:
        self.connection = connection
        self.core = connection.core
        self._waiting: dict[Ref, tuple[asyncio.Future[Any], Callable[[Any], Any]]] = {}
        """What a Result becomes is decided where it is read; an ErgoError is for who asked."""

    # --- what we ask for ----------------------------------------------------------------------------------------------

    async def watch(self, kind: Kind, consumer: PID, target: Watched) -> list[MessageEvent]:
        """Links or monitors something of the peer. Raises ErgoError."""

        def taken(result: Any) -> list[MessageEvent]:
            events = _events(result) if isinstance(target, Event) else []
            if not self.core.relation_taken(kind, consumer, target):  # it was asked for twice at once
                raise ErgoError(error_values.TARGET_EXIST)
            return events

        events: list[MessageEvent] = await self._relation(_TAKE[kind], consumer, target, taken)
        return events

    async def unwatch(self, kind: Kind, consumer: PID, target: Watched) -> None:
        """The reverse."""

        def given_back(_: Any) -> None:
            if not self.core.relation_given_back(kind, consumer, target):
                raise ErgoError(error_values.TARGET_UNKNOWN)

        await self._relation(_GIVE_BACK[kind], consumer, target, given_back)

    async def _relation(self, verb: Verb, consumer: PID, target: Watched, then: Callable[[Any], Any]) -> Any:
        if isinstance(target, PID | Alias):
            self.connection.check(target.creation)
        ref = self.core.make_ref()
        message = enp.RELATIONS[verb, _WORDS[type(target)]].value_class(consumer, target, ref)  # type: ignore[call-arg]
        order = 0 if isinstance(target, PID) and verb in (Verb.MONITOR, Verb.DEMONITOR) else _order_of(target)
        return await self._ask(message, ref, order, consumer.id, then)

    async def spawn(self, message: enp.Spawn) -> PID:
        """Starts a process at the peer. Raises ErgoError."""
        self._check_flag(Flags.REMOTE_SPAWN)

        def spawned(result: Any) -> PID:
            if not isinstance(result, PID):
                raise ErgoError(error_values.MALFORMED)
            self._link_family(message.Options, result)
            return result

        pid: PID = await self._ask(message, message.Ref, 0, 0, spawned)
        return pid

    def _link_family(self, options: gen.ProcessOptionsExtra, child: PID) -> None:
        """Parent and child on two nodes are linked on both: who ends is known to its own node alone."""
        parent = options.ParentPID
        if parent.id not in self.core.processes:  # the node itself, or one that has ended meanwhile
            return
        if options.ProcessOptions.LinkChild:
            self.core.relation_taken(Kind.LINK, parent, child)
        if options.ProcessOptions.LinkParent:
            self.core.route_link(Kind.LINK, child, parent)

    async def start_application(self, message: enp.ApplicationStart) -> None:
        """Starts an application at the peer. Raises ErgoError."""
        self._check_flag(Flags.REMOTE_APPLICATION_START)
        await self._ask(message, message.Ref, 0, 0, _nothing)

    def _check_flag(self, flag: Flags) -> None:
        """What the peer's flags exclude is not asked for (ENP-SPAWN-3); without ENABLE they exclude nothing."""
        flags = self.connection.peer.flags
        if Flags.ENABLE in flags and flag not in flags:
            raise ErgoError(error_values.NOT_ALLOWED)

    async def _ask(self, message: Any, ref: Ref, order: int, sender_id: int, then: Callable[[Any], Any]) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[ref] = future, then
        try:
            self.connection.transmit(Control(order, message), sender_id)
            async with asyncio.timeout(enp.REQUEST_TIMEOUT):
                return await future
        except TimeoutError:
            raise ErgoError(error_values.TIMEOUT) from None
        finally:
            self._waiting.pop(ref, None)

    def fail_all(self, error: Error) -> None:
        """No Result will come any more."""
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(ErgoError(error))

    # --- what comes ---------------------------------------------------------------------------------------------------

    def handle(self, frame: Control) -> None:
        """A control message of the peer."""
        message = frame.message
        match message:
            case Result():
                self._result(message)
            case enp.RelationRequest():
                self._relation_asked(message)
            case enp.Spawn():
                self._later(self._spawn_asked(message))
            case enp.ApplicationStart():
                self._later(self._application_asked(message))
            case enp.UpdateCache():
                self.connection.update_caches(message)
                self._answer(message.Ref, None, None, 0, 0)

    def _result(self, message: Result) -> None:
        future, then = self._waiting.pop(message.Ref, (None, _nothing))
        if future is None or future.done():
            return  # nobody waits any more, or nobody ever did
        if message.Error is not None:
            future.set_exception(ErgoError(message.Error))
            return
        try:
            future.set_result(then(message.Result))
        except ErgoError as error:
            future.set_exception(error)

    def _relation_asked(self, message: enp.RelationRequest) -> None:
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
        lane = 0 if owner is None else owner.pid.id
        try:
            self._answer(message.Ref, error, result, message.Source.id, lane)
        except CannotEncode as unsayable:  # one of the last messages of an event
            self.core.route_unlink(_KINDS[verb], message.Source, message.Target)
            self._answer(message.Ref, Error(str(unsayable)), Typed(gen.EVENTS, None), message.Source.id, lane)

    def _relate(self, kind: Kind, message: enp.RelationRequest, *, taking: bool) -> list[MessageEvent]:
        """Upstream checks neither whose process it is nor whose target (ENP-LINK-3)."""
        if message.Source.node != self.connection.name:
            raise ErgoError(error_values.NOT_ALLOWED)
        if message.Target.node != self.core.name:
            raise ErgoError(error_values.NO_ROUTE)
        if taking:
            return self.core.route_link(kind, message.Source, message.Target)
        self.core.route_unlink(kind, message.Source, message.Target)
        return []

    async def _spawn_asked(self, message: enp.Spawn) -> None:
        """A refusal is answered with its error, where upstream stays silent if its flag is off (ENP-SPAWN-3)."""
        error, process = None, None
        if not self.connection.links:
            return  # nobody would learn of it, and its parent's node has gone already
        try:
            self._check_own(Flags.REMOTE_SPAWN)
            process = await self.core.route_spawn(self.connection.name, message.Name, message.Options)
        except ErgoError as refusal:
            error = refusal.error
        pid = gen.NO_PID if process is None else process.pid
        parent = message.Options.ParentPID
        self._answer(message.Ref, error, pid, parent.id, pid.id)
        linked = message.Options.ProcessOptions.LinkChild and parent.node == self.connection.name
        if process is not None and linked and self.connection.links:
            self._link_child(process, parent)

    def _link_child(self, child: Process, parent: PID) -> None:
        """From the Result on the parent wants to know of the end, which may have been before."""
        try:
            self.core.route_link(Kind.LINK, parent, child.pid)
        except ErgoError:
            self.connection.send_terminate_pid(child.pid, child.reason or error_values.KILL, child.pid)

    async def _application_asked(self, message: enp.ApplicationStart) -> None:
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

    def _answer(self, ref: Ref, error: Error | None, result: Any, asker_id: int, lane: int) -> None:
        """The order byte is the asker's (ENP §8). `lane`: of the target's owner, whose news must not overtake the Result."""
        try:
            self.connection.transmit(Control(asker_id % enp.ORDER_MODULUS, Result(error, result, ref)), lane)
        except ErgoError as lost:
            log.info("a Result for %r is lost: %s", self.connection.name, lost)

    def _later(self, work: Any) -> None:
        self.core.run(work)


def _nothing(_: Any) -> None:
    """Nothing more to do."""


def _events(result: Any) -> list[MessageEvent]:
    """The last messages of an event, out of a Result. Raises ErgoError "malformed value"."""
    match result:
        case None | Typed(gen.EVENTS, None):
            return []
        case Typed(gen.EVENTS, list(events)):
            return events
    raise ErgoError(error_values.MALFORMED)


def _order_of(target: Watched) -> int:
    """The order byte of a relation request (ENP §8)."""
    match target:
        case PID():
            return target.id % enp.ORDER_MODULUS
        case Alias():
            return target.id[1] % enp.ORDER_MODULUS
    return 0
