"""A connection that speaks ENP: frames off its links go to the node's core, messages from there become frames.

Sans-io: links are handed in, what is sent is written to one of them.  A frame that can't be understood is logged and
dropped, and the connection lives on; bytes that are no frames end their link (ENP-HDR-2, -6, -7).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from ....errors import CannotEncode, Rejected
from ....model.ergo import enp, error_values
from ....model.ergo.caches import Caches
from ....model.ergo.ehs import Flags
from ....model.ergo.enp import Code, Frame, Words
from ....model.ergo.gen import ApplicationOptionsExtra, MessageEvent, ProcessOptionsExtra
from ....model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from ...api import Core, Link
from ...api.errors import ErgoError
from ...api.handshake import Handshaken
from ...connection.remote_node import ConnectedNode
from ...connection.table import LinkedConnection
from ...core.process import Call, Message, MessageOptions
from ...core.relations import Kind, Watched
from .codec import FrameDecoder, FrameEncoder
from .compression import Compression, compress, uncompress
from .control import ControlMessages
from .framer import Framer

log = logging.getLogger("ergo_conformance.node")

MAX_KEPT: Final = 4096
"""PIDs of the peer's senders that are remembered."""
_PRIORITIES: Final = enp.PRIORITIES
_new: Final = tuple.__new__
_CODES: Final = {error.text: code for code, error in enp.CODE_ERRORS.items()}


class EnpConnection(LinkedConnection):
    """One peer (interfaces.Connection)."""

    def __init__(self, peer: Handshaken, core: Core) -> None:
        super().__init__(peer)
        self.core = core
        self.control = ControlMessages(self)
        self.changed = asyncio.Event()
        """Set when a link is gone, for who keeps the pool."""
        self._node = ConnectedNode(core, self)
        self._registry, self._caches = core.registry, peer.caches
        registry = core.registry
        self._decoder = FrameDecoder(registry, self._caches)
        self._encoder = FrameEncoder(registry, peer.local.caches)
        self._limit = peer.local.max_message_size or enp.MAX_UNLIMITED
        self._acks = Flags.IMPORTANT_DELIVERY in peer.local.flags
        self._framers: dict[Link, Framer] = {}
        self._lanes: dict[int, Link] = {}
        self._turn = 0
        self._pids: dict[int, PID] = {}
        self._processes = core.processes
        self._handlers: dict[type, Callable[[Any], None]] = {
            enp.MessagePID: self._message_pid,
            enp.MessageName: self._message_name,
            enp.MessageNameCache: self._message_name,
            enp.MessageAlias: self._message_alias,
            enp.RequestPID: self._request_pid,
            enp.RequestName: self._request_name,
            enp.RequestNameCache: self._request_name,
            enp.RequestAlias: self._request_alias,
            enp.Response: self._response,
            enp.ResponseError: self._response_error,
            enp.EventFrame: self._event,
            enp.EventCacheFrame: self._event,
            enp.Exit: self._exit,
            enp.TerminatePID: self._terminate_pid,
            enp.TerminateName: self._terminate_name,
            enp.TerminateNameCache: self._terminate_name,
            enp.TerminateAlias: self._terminate_alias,
            enp.TerminateEvent: self._terminate_event,
            enp.TerminateEventCache: self._terminate_event,
            enp.Control: self.control.handle,
            enp.Compressed: self._compressed,
        }

    # --- links --------------------------------------------------------------------------------------------------------

    def leave(self, link: Link) -> None:
        """A link is gone: its senders go to others."""
        super().leave(link)
        self._framers.pop(link, None)
        self._lanes = {lane: kept for lane, kept in self._lanes.items() if kept is not link}
        self.changed.set()

    def terminate(self, reason: Error) -> None:
        """The connection is over: whoever has asked the peer for something hears that."""
        self.control.fail_all(reason)
        self.changed.set()

    def node(self) -> ConnectedNode:
        """The peer, as programs see it."""
        return self._node

    def link_of(self, sender_id: int, *, ordered: bool = True) -> Link:
        """The link that carries what this sender sends (ENP-ORD-1). Raises ErgoError if there is none.

        A sender stays on its link when others join: a message on a new link could overtake one on the old.
        """
        if not self.links:
            raise ErgoError(error_values.NO_CONNECTION)
        lane = sender_id % enp.ORDER_MODULUS if ordered else 0
        if not lane:
            self._turn += 1
            return self.links[self._turn % len(self.links)]
        link = self._lanes.get(lane)
        if link is None:
            self._lanes[lane] = link = self.links[lane % len(self.links)]
        return link

    # --- in -----------------------------------------------------------------------------------------------------------

    def receive(self, link: Link, data: bytes) -> None:
        """Bytes that came over a link. Raises Rejected if no more frames can be cut out of it."""
        self.bytes_in += len(data)
        framer = self._framers.get(link)
        if framer is None:
            self._framers[link] = framer = Framer(self._limit)
        handlers = self._handlers
        for data_of_frame in framer.feed(data):
            self.frames_in += 1
            try:
                frame = self._decoder.read_framed(data_of_frame)
                handle = handlers.get(type(frame))
                if handle is not None:
                    handle(frame)
            except Rejected as refusal:
                log.info("a frame of %r is dropped: %s", self.name, refusal)
            except (ErgoError, CannotEncode) as error:
                log.info("a frame of %r can't be answered: %s", self.name, error)

    def _compressed(self, frame: enp.Compressed) -> None:
        inner = self._decoder.read_framed(uncompress(frame, self._limit))
        handle = self._handlers.get(type(inner))
        if handle is not None:
            handle(inner)

    def _from(self, id_: int) -> PID:
        pid = self._pids.get(id_)
        if pid is None:
            pid = PID(self.peer.node, id_, self.peer.creation)
            if len(self._pids) < MAX_KEPT:
                self._pids[id_] = pid
        return pid

    def _message_pid(self, frame: enp.MessagePID) -> None:
        _, from_id, priority, _, to_id, payload = frame
        message = _new(Message, (self._pids.get(from_id) or self._from(from_id), payload))
        error = self.core.deliver(self._processes.get(to_id), message, _PRIORITIES[priority])
        if priority & enp.IMPORTANT:
            self._acknowledge(frame, to_id, error)

    def _message_name(self, frame: enp.MessageName) -> None:
        _, from_id, priority, _, name, payload = frame
        message = _new(Message, (self._pids.get(from_id) or self._from(from_id), payload))
        error = self.core.deliver(self.core.names.get(name), message, _PRIORITIES[priority])
        if priority & enp.IMPORTANT:
            self._acknowledge(frame, 0, error)

    def _message_alias(self, frame: enp.MessageAlias) -> None:
        message = Message(self._from(frame.from_id), frame.payload)
        error = self.core.deliver(self.core.aliases.get(frame.to_alias), message, _PRIORITIES[frame.priority])
        if frame.priority & enp.IMPORTANT:
            self._acknowledge(frame, 0, error)

    def _acknowledge(
        self, frame: enp.MessagePID | enp.MessageName | enp.MessageAlias, id_: int, error: Error | None
    ) -> None:
        """Tells the sender of an important message what became of it (ENP-IMP-2, -6)."""
        if self._acks:
            self._answer_error(id_, frame.from_id, (frame.mid, 0, 0), frame.priority & enp.PRIORITY_MASK, 0, error)

    def _request_pid(self, frame: enp.RequestPID) -> None:
        error = self.core.deliver(self._processes.get(frame.to_id), self._call(frame), _PRIORITIES[frame.priority])
        self._fail(frame, frame.to_id, error)

    def _request_name(self, frame: enp.RequestName) -> None:
        error = self.core.deliver(self.core.names.get(frame.to_name), self._call(frame), _PRIORITIES[frame.priority])
        self._fail(frame, 0, error)

    def _request_alias(self, frame: enp.RequestAlias) -> None:
        error = self.core.deliver(self.core.aliases.get(frame.to_alias), self._call(frame), _PRIORITIES[frame.priority])
        self._fail(frame, 0, error)

    def _call(self, frame: enp.RequestPID | enp.RequestName | enp.RequestAlias) -> Call:
        ref = Ref(self.peer.node, self.peer.creation, frame.ref)
        return Call(self._from(frame.from_id), ref, frame.payload, bool(frame.priority & enp.IMPORTANT))

    def _fail(self, frame: enp.RequestPID | enp.RequestName | enp.RequestAlias, id_: int, error: Error | None) -> None:
        """An undeliverable request is answered only if it is important (ENP-IMP-4)."""
        if error is not None and frame.priority & enp.IMPORTANT and self._acks:
            self._answer_error(id_, frame.from_id, frame.ref, frame.priority & enp.PRIORITY_MASK, 0, error)

    def _response(self, frame: enp.Response) -> None:
        self.core.route_send_response(self.name, frame.to_id, frame.ref, frame.payload)

    def _response_error(self, frame: enp.ResponseError) -> None:
        if frame.code == Code.DELIVERED:
            self.core.route_send_response(self.name, frame.to_id, frame.ref, None)
            return
        error = frame.error or enp.CODE_ERRORS[Code(frame.code)]
        self.core.route_send_response_error(self.name, frame.to_id, frame.ref, error)

    def _exit(self, frame: enp.Exit) -> None:
        self.core.route_send_exit(self._from(frame.from_id), frame.to_id, frame.reason)

    def _event(self, frame: enp.EventFrame) -> None:
        event = MessageEvent(Event(self.name, frame.name), frame.timestamp, frame.payload)
        self.core.route_send_event(event, _PRIORITIES[frame.priority])

    def _terminate_pid(self, frame: enp.TerminatePID) -> None:
        self.core.route_terminate(self._from(frame.id), frame.reason)

    def _terminate_name(self, frame: enp.TerminateName) -> None:
        self.core.route_terminate(ProcessID(self.name, frame.name), frame.reason)

    def _terminate_alias(self, frame: enp.TerminateAlias) -> None:
        self.core.route_terminate(Alias(self.name, self.peer.creation, frame.alias), frame.reason)

    def _terminate_event(self, frame: enp.TerminateEvent) -> None:
        self.core.route_terminate(Event(self.name, frame.name), frame.reason)

    def update_caches(self, update: enp.UpdateCache) -> None:
        """Further ids in what the peer writes; those that are there win (ENP-CACHE-1)."""
        old = self._caches
        errors = {id_: error.text for id_, error in (update.ErrCache or {}).items() if error is not None}
        theirs = {ours: mapped for mapped, ours in (update.AtomMapping or {}).items()}
        self._caches = Caches(
            {**(update.AtomCache or {}), **old.atoms},
            {**(update.RegCache or {}), **old.types},
            {**errors, **old.errors},
            {**theirs, **old.atom_mapping},
        )
        self._decoder = FrameDecoder(self._registry, self._caches)

    # --- out ----------------------------------------------------------------------------------------------------------

    def send(self, sender: PID, to: PID | ProcessID | Alias, options: MessageOptions, message: Any) -> bool:
        """A message. True if the peer reads more slowly than we write. Raises ErgoError and CannotEncode."""
        priority = self._priority(options)
        frame: Frame
        match to:
            case PID():
                self.check(to.creation)
                frame = enp.MessagePID(self._order(to.id, options), sender.id, priority, options.mid, to.id, message)
            case ProcessID():
                cls = enp.MessageNameCache if to.name in self._encoder.ids else enp.MessageName
                frame = cls(self._order(sender.id, options), sender.id, priority, options.mid, to.name, message)
            case Alias():
                self.check(to.creation)
                order = self._order(to.id[1], options)
                frame = enp.MessageAlias(order, sender.id, priority, options.mid, to.id, message)
        return self.transmit(frame, sender.id, options).is_congested

    send_pid = send_process_id = send_alias = send

    def call(self, ref: Ref, sender: PID, to: PID | ProcessID | Alias, options: MessageOptions, message: Any) -> bool:
        """A request. True if the peer reads more slowly than we write. Raises ErgoError and CannotEncode."""
        priority = self._priority(options)
        frame: Frame
        match to:
            case PID():
                self.check(to.creation)
                frame = enp.RequestPID(self._order(to.id, options), sender.id, priority, ref.id, to.id, message)
            case ProcessID():
                cls = enp.RequestNameCache if to.name in self._encoder.ids else enp.RequestName
                frame = cls(self._order(sender.id, options), sender.id, priority, ref.id, to.name, message)
            case Alias():
                self.check(to.creation)
                frame = enp.RequestAlias(self._order(to.id[1], options), sender.id, priority, ref.id, to.id, message)
        return self.transmit(frame, sender.id, options).is_congested

    call_pid = call_process_id = call_alias = call

    def send_response(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, response: Any) -> None:
        """The answer to a request."""
        frame = enp.Response(self._order(to.id, options), sender.id, options.priority, to.id, ref.id, response)
        self.transmit(frame, sender.id, options)

    def send_response_error(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, error: Error) -> None:
        """The answer to a request that failed."""
        self._answer_error(sender.id, to.id, ref.id, options.priority, self._order(to.id, options), error)

    def send_exit(self, sender: PID, to: PID, reason: Error) -> None:
        """An exit signal."""
        self.check(to.creation)
        order = to.id % enp.ORDER_MODULUS
        self.transmit(enp.Exit(order, sender.id, enp.Priority.MAX, to.id, reason), sender.id)

    def send_terminate_pid(self, target: PID, reason: Error, owner: PID) -> None:
        """A process of ours has ended. Like its fellows it goes the way of what the owner sent before."""
        self._try(enp.TerminatePID(0, enp.Priority.HIGH, target.id, reason), owner.id)

    def send_terminate_process_id(self, target: ProcessID, reason: Error, owner: PID) -> None:
        """A name of ours is free again."""
        cls = enp.TerminateNameCache if target.name in self._encoder.ids else enp.TerminateName
        self._try(cls(0, enp.Priority.HIGH, target.name, reason), owner.id)

    def send_terminate_alias(self, target: Alias, reason: Error, owner: PID) -> None:
        """An alias of ours is no more."""
        self._try(enp.TerminateAlias(0, enp.Priority.HIGH, target.id, reason), owner.id)

    def send_terminate_event(self, target: Event, reason: Error, owner: PID) -> None:
        """An event of ours is no more."""
        cls = enp.TerminateEventCache if target.name in self._encoder.ids else enp.TerminateEvent
        self._try(cls(0, enp.Priority.HIGH, target.name, reason), owner.id)

    def send_event(self, sender: PID, options: MessageOptions, message: MessageEvent) -> None:
        """A message of an event of ours, once for all subscribers at the peer."""
        name = message.Event.name
        cls = enp.EventCacheFrame if name in self._encoder.ids else enp.EventFrame
        order = self._order(sender.id, options)
        self._try(cls(order, sender.id, options.priority, message.Timestamp, name, message.Message), sender.id, options)

    async def link(self, pid: PID, target: Watched) -> list[MessageEvent]:
        """Links something of the peer; of an event the last messages. Raises ErgoError."""
        return await self.control.watch(Kind.LINK, pid, target)

    async def unlink(self, pid: PID, target: Watched) -> None:
        """The reverse."""
        await self.control.unwatch(Kind.LINK, pid, target)

    async def monitor(self, pid: PID, target: Watched) -> list[MessageEvent]:
        """As `link`."""
        return await self.control.watch(Kind.MONITOR, pid, target)

    async def demonitor(self, pid: PID, target: Watched) -> None:
        """The reverse."""
        await self.control.unwatch(Kind.MONITOR, pid, target)

    link_pid = link_process_id = link_alias = link_event = link
    unlink_pid = unlink_process_id = unlink_alias = unlink_event = unlink
    monitor_pid = monitor_process_id = monitor_alias = monitor_event = monitor
    demonitor_pid = demonitor_process_id = demonitor_alias = demonitor_event = demonitor

    async def remote_spawn(self, name: Atom, options: ProcessOptionsExtra) -> PID:
        """A process of a factory of the peer's. Raises ErgoError and CannotEncode."""
        return await self.control.spawn(enp.Spawn(name, options, self.core.make_ref()))

    async def remote_application_start(self, name: Atom, mode: int, options: ApplicationOptionsExtra) -> None:
        """An application of the peer's. Raises ErgoError and CannotEncode."""
        await self.control.start_application(enp.ApplicationStart(name, mode, options, self.core.make_ref()))

    async def relieved(self, sender: PID) -> None:
        """Waits until the peer has caught up with what this process sends, or the link is gone."""
        link = self._lanes.get(sender.id % enp.ORDER_MODULUS) or next(iter(self.links), None)
        if link is not None and link.is_congested:
            await link.relieved()

    def _try(self, frame: Frame, sender_id: int, options: MessageOptions = MessageOptions()) -> None:  # noqa: B008  immutable
        """Writes a frame that nobody waits for; what can't be sent is logged."""
        try:
            self.transmit(frame, sender_id, options)
        except (ErgoError, CannotEncode) as error:
            log.info("%s for %r is lost: %s", type(frame).__name__, self.name, error)

    def _answer_error(
        self, sender_id: int, to_id: int, ref: Words, priority: int, order: int, error: Error | None
    ) -> None:
        code = Code.DELIVERED if error is None else _CODES.get(error.text, Code.OTHER)
        said = error if code is Code.OTHER else None
        self.transmit(enp.ResponseError(order, sender_id, priority, to_id, ref, code, said), sender_id)

    def _priority(self, options: MessageOptions) -> int:
        if not options.important:
            return options.priority
        if Flags.IMPORTANT_DELIVERY not in self.peer.flags:  # ENP-IMP-1
            raise ErgoError(error_values.UNSUPPORTED)
        return options.priority | enp.IMPORTANT

    def check(self, creation: int) -> None:
        """The wire has no creation: an address of an earlier incarnation is refused here (ENP §12)."""
        if creation != self.peer.creation:
            raise ErgoError(error_values.PROCESS_INCARNATION)

    @staticmethod
    def _order(id_: int, options: MessageOptions) -> int:
        """The order byte is for the receiver's queues (ENP-ORD-2)."""
        return id_ % enp.ORDER_MODULUS if options.keep_order else 0

    def transmit(self, frame: Frame, sender_id: int, options: MessageOptions = MessageOptions()) -> Link:  # noqa: B008  immutable
        """Writes a frame to its link, and returns it. ErgoError "too large" if the peer would not take it (ENP-SIZE-1).

        The frame counts as it is before compression: a peer may refuse to unpack more than it would read.
        """
        data = self._encoder.write(frame)
        limit = self.peer.max_message_size
        if limit and len(data) > limit:
            raise ErgoError(error_values.TOO_LARGE)
        how = options.compression
        if how is not None and len(data) > how.threshold and enp.TYPES[type(frame)] in enp.COMPRESSIBLE:
            data = smaller(data, how)
        self.frames_out += 1
        self.bytes_out += len(data)
        link = self.link_of(sender_id, ordered=options.keep_order)
        link.write(data)
        return link


def smaller(frame: bytes, how: Compression) -> bytes:
    """A frame compressed, or as it is if that does not help."""
    packed = compress(frame, how)
    return packed if len(packed) < len(frame) else frame
