"""A connection that uses ENP: received frames go to the node's core, and messages of the core become frames.

Sans-io: sockets are handed in, and frames are written to one of them.  A frame that can't be read is logged and dropped, and
the connection continues; bytes that are not frames end their socket (ENP-HDR-2, -6, -7).
"""

import asyncio
import logging
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from ....errors import CannotEncode, Rejected
from ....model.ergo import enp, error_values
from ....model.ergo.caches import Caches
from ....model.ergo.ehs import Flags
from ....model.ergo.enp import Code, Frame, Words
from ....model.ergo.gen import ApplicationOptionsExtra, MessageEvent, ProcessOptionsExtra
from ....model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from ...api import Core, Socket
from ...api.errors import ErgoError
from ...api.handshake import PeerInfo
from ...api.messages import Call, Message, MessageOptions, ProcessAddress
from ...api.relations import RelationKind, RelationTarget
from ...connection.base import BaseConnection
from ...connection.remote_node import ConnectedNode
from .codec import FrameDecoder, FrameEncoder
from .compression import compress_if_shorter, uncompress
from .control import ControlMessages
from .framer import Framer

log = logging.getLogger("ergo_conformance.node")

MAX_CACHED_PIDS: Final = 4096
"""PIDs of the peer's senders that are kept as objects."""
MAX_MAPPED: Final = 4096
"""Atoms that a peer may map with UpdateCache; further ones keep their names."""
_PRIORITIES: Final = enp.PRIORITIES
_new: Final = tuple.__new__
_CODES: Final = {error.text: code for code, error in enp.CODE_ERRORS.items()}


class EnpConnection(BaseConnection):
    """A connection with one peer (api.Connection)."""

    def __init__(self, peer: PeerInfo, core: Core) -> None:
        super().__init__(peer)
        self.core = core
        self.control = ControlMessages(self)
        self.changed = asyncio.Event()
        """Set when a socket has left the pool."""
        self._node = ConnectedNode(core, self)
        self._decoder = FrameDecoder(core.registry, peer.caches)
        self._mapped = 0
        """Number of atoms that the peer has mapped."""
        self._encoder = FrameEncoder(core.registry, peer.local.caches)
        self._limit = peer.local.max_message_size or enp.MAX_UNLIMITED
        self._acks = Flags.IMPORTANT_DELIVERY in peer.local.flags
        self._framers: dict[Socket, Framer] = {}
        self._socket_of_slot: dict[int, Socket] = {}
        self._turn = 0
        self._pids: dict[int, PID] = {}
        self._tables = core.tables
        self._processes, self._deliver = core.tables.processes, core.tables.deliver  # looked up once, not per frame
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

    # --- sockets ------------------------------------------------------------------------------------------------------

    def leave(self, socket: Socket) -> None:
        """Removes a closed socket; its order slots move to other sockets."""
        super().leave(socket)
        self._framers.pop(socket, None)
        self._socket_of_slot = {slot: kept for slot, kept in self._socket_of_slot.items() if kept is not socket}
        self.changed.set()

    def terminate(self, reason: Error) -> None:
        """Ends the connection: pending control requests fail."""
        self.control.fail_all(reason)
        self.changed.set()

    @property
    def node(self) -> ConnectedNode:
        """The peer, as programs see it."""
        return self._node

    def socket_of(self, sender_id: int, *, ordered: bool = True) -> Socket:
        """Returns the socket that carries the messages of a sender (ENP-ORD-1). ErgoError if the pool is empty.

        A sender keeps its socket when others join: a message on a new socket could overtake one on the old.
        """
        if not self.sockets:
            raise ErgoError(error_values.NO_CONNECTION)
        slot = sender_id % enp.ORDER_MODULUS if ordered else 0
        if not slot:
            self._turn += 1
            return self.sockets[self._turn % len(self.sockets)]
        socket = self._socket_of_slot.get(slot)
        if socket is None:
            self._socket_of_slot[slot] = socket = self.sockets[slot % len(self.sockets)]
        return socket

    # --- received frames ----------------------------------------------------------------------------------------------

    def receive(self, socket: Socket, data: bytes) -> None:
        """Reads frames from received bytes. Raises Rejected if the stream can't be cut into frames any more."""
        self.bytes_in += len(data)
        framer = self._framers.get(socket)
        if framer is None:
            self._framers[socket] = framer = Framer(self._limit)
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
        limit = self.peer.local.max_message_size or enp.max_unpacked(len(frame.stream))
        inner = self._decoder.read_framed(uncompress(frame, limit))
        handle = self._handlers.get(type(inner))
        if handle is not None:
            handle(inner)

    def _from(self, id_: int) -> PID:
        pid = self._pids.get(id_)
        if pid is None:
            pid = PID(self.peer.node, id_, self.peer.creation)
            if len(self._pids) < MAX_CACHED_PIDS:
                self._pids[id_] = pid
        return pid

    def _message_pid(self, frame: enp.MessagePID) -> None:
        _, from_id, priority, _, to_id, payload = frame
        message = _new(Message, (self._pids.get(from_id) or self._from(from_id), payload))
        error = self._deliver(self._processes.get(to_id), message, _PRIORITIES[priority])
        if priority & enp.IMPORTANT:
            self._acknowledge(frame, to_id, error)

    def _message_name(self, frame: enp.MessageName) -> None:
        _, from_id, priority, _, name, payload = frame
        message = _new(Message, (self._pids.get(from_id) or self._from(from_id), payload))
        error = self._deliver(self._tables.names.get(name), message, _PRIORITIES[priority])
        if priority & enp.IMPORTANT:
            self._acknowledge(frame, 0, error)

    def _message_alias(self, frame: enp.MessageAlias) -> None:
        message = Message(self._from(frame.from_id), frame.payload)
        error = self._deliver(self._tables.aliases.get(frame.to_alias), message, _PRIORITIES[frame.priority])
        if frame.priority & enp.IMPORTANT:
            self._acknowledge(frame, 0, error)

    def _acknowledge(
        self, frame: enp.MessagePID | enp.MessageName | enp.MessageAlias, id_: int, error: Error | None
    ) -> None:
        """Acknowledges an important message, or sends the reason why it was not delivered (ENP-IMP-2, -6)."""
        if self._acks:
            self._answer_error(id_, frame.from_id, (frame.mid, 0, 0), frame.priority & enp.PRIORITY_MASK, 0, error)

    def _request_pid(self, frame: enp.RequestPID) -> None:
        error = self._deliver(self._processes.get(frame.to_id), self._call(frame), _PRIORITIES[frame.priority])
        self._fail(frame, frame.to_id, error)

    def _request_name(self, frame: enp.RequestName) -> None:
        error = self._deliver(self._tables.names.get(frame.to_name), self._call(frame), _PRIORITIES[frame.priority])
        self._fail(frame, 0, error)

    def _request_alias(self, frame: enp.RequestAlias) -> None:
        error = self._deliver(self._tables.aliases.get(frame.to_alias), self._call(frame), _PRIORITIES[frame.priority])
        self._fail(frame, 0, error)

    def _call(self, frame: enp.RequestPID | enp.RequestName | enp.RequestAlias) -> Call:
        ref = Ref(self.peer.node, self.peer.creation, frame.ref)
        return Call(self._from(frame.from_id), ref, frame.payload, bool(frame.priority & enp.IMPORTANT))

    def _fail(self, frame: enp.RequestPID | enp.RequestName | enp.RequestAlias, id_: int, error: Error | None) -> None:
        """Answers an undeliverable request with an error, only if it is important (ENP-IMP-4)."""
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
        """Adds ids to the caches of the peer; existing ids are kept (ENP-CACHE-1)."""
        errors = {id_: error.text for id_, error in (update.ErrCache or {}).items() if error is not None}
        room = MAX_MAPPED - self._mapped
        mapping = {local: remote for remote, local in islice((update.AtomMapping or {}).items(), room)}
        self._mapped += len(mapping)
        self._decoder.tables.add(Caches(update.AtomCache or {}, update.RegCache or {}, errors, mapping))

    # --- sent frames ----------------------------------------------------------------------------------------------------------

    def send(self, sender: PID, to: ProcessAddress, options: MessageOptions, message: Any) -> bool:
        """Sends a message. True if its socket is congested. Raises ErgoError and CannotEncode."""
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

    def call(self, ref: Ref, sender: PID, to: ProcessAddress, options: MessageOptions, message: Any) -> bool:
        """Sends a request. True if its socket is congested. Raises ErgoError and CannotEncode."""
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

    def send_response(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, response: Any) -> None:
        """Replies to a request."""
        frame = enp.Response(self._order(to.id, options), sender.id, options.priority, to.id, ref.id, response)
        self.transmit(frame, sender.id, options)

    def send_response_error(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, error: Error) -> None:
        """Replies that a request failed."""
        self._answer_error(sender.id, to.id, ref.id, options.priority, self._order(to.id, options), error)

    def send_exit(self, sender: PID, to: PID, reason: Error) -> None:
        """Sends an exit signal."""
        self.check(to.creation)
        order = to.id % enp.ORDER_MODULUS
        self.transmit(enp.Exit(order, sender.id, enp.Priority.MAX, to.id, reason), sender.id)

    def send_terminate(self, target: RelationTarget, reason: Error, owner: PID) -> None:
        """Reports the end of a target to the peer; the frame follows the earlier messages of `owner`."""
        high = enp.Priority.HIGH
        frame: Frame
        match target:
            case PID():
                frame = enp.TerminatePID(0, high, target.id, reason)
            case ProcessID():
                by_name = enp.TerminateNameCache if target.name in self._encoder.ids else enp.TerminateName
                frame = by_name(0, high, target.name, reason)
            case Alias():
                frame = enp.TerminateAlias(0, high, target.id, reason)
            case Event():
                by_event = enp.TerminateEventCache if target.name in self._encoder.ids else enp.TerminateEvent
                frame = by_event(0, high, target.name, reason)
            case _:
                return  # a node has no frame: the end of the connection is the notice
        self._try(frame, owner.id)

    def send_event(self, sender: PID, options: MessageOptions, message: MessageEvent) -> None:
        """Sends a message of a local event, once for all subscribers at the peer."""
        name = message.Event.name
        cls = enp.EventCacheFrame if name in self._encoder.ids else enp.EventFrame
        order = self._order(sender.id, options)
        self._try(cls(order, sender.id, options.priority, message.Timestamp, name, message.Message), sender.id, options)

    async def link(self, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        """Links a target at the peer; returns the last messages of an event. Raises ErgoError."""
        return await self.control.request(RelationKind.LINK, consumer, target)

    async def unlink(self, consumer: PID, target: RelationTarget) -> None:
        """Removes a link. Raises ErgoError."""
        await self.control.withdraw(RelationKind.LINK, consumer, target)

    async def monitor(self, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        """Monitors a target at the peer; returns the last messages of an event. Raises ErgoError."""
        return await self.control.request(RelationKind.MONITOR, consumer, target)

    async def demonitor(self, consumer: PID, target: RelationTarget) -> None:
        """Removes a monitor. Raises ErgoError."""
        await self.control.withdraw(RelationKind.MONITOR, consumer, target)

    async def remote_spawn(self, name: Atom, options: ProcessOptionsExtra) -> PID:
        """Spawns a process with a factory of the peer. Raises ErgoError and CannotEncode."""
        return await self.control.spawn(enp.Spawn(name, options, self.core.make_ref()))

    async def remote_application_start(self, name: Atom, mode: int, options: ApplicationOptionsExtra) -> None:
        """Starts an application of the peer. Raises ErgoError and CannotEncode."""
        await self.control.start_application(enp.ApplicationStart(name, mode, options, self.core.make_ref()))

    async def drain(self, sender: PID) -> None:
        """Waits until the socket of this sender is not congested, or closed."""
        socket = self._socket_of_slot.get(sender.id % enp.ORDER_MODULUS) or next(iter(self.sockets), None)
        if socket is not None and socket.is_congested:
            await socket.drain()

    def _try(self, frame: Frame, sender_id: int, options: MessageOptions = MessageOptions()) -> None:  # noqa: B008  immutable
        """Writes a notification; logs one that can't be sent."""
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
        """Refuses an address of an earlier incarnation: frames do not carry the creation (ENP §12)."""
        if creation != self.peer.creation:
            raise ErgoError(error_values.PROCESS_INCARNATION)

    @staticmethod
    def _order(id_: int, options: MessageOptions) -> int:
        """Returns the order byte: it chooses the receiver's queue (ENP-ORD-2)."""
        return id_ % enp.ORDER_MODULUS if options.keep_order else 0

    def transmit(self, frame: Frame, sender_id: int, options: MessageOptions = MessageOptions()) -> Socket:  # noqa: B008  immutable
        """Writes a frame to its socket, which is returned. ErgoError "too large" above the peer's limit (ENP-SIZE-1).

        The limit applies to the uncompressed frame: a peer may refuse to unpack more than it would read.
        """
        data = self._encoder.write(frame)
        limit = self.peer.max_message_size
        if limit and len(data) > limit:
            raise ErgoError(error_values.TOO_LARGE)
        how = options.compression
        if how is not None and len(data) > how.threshold and enp.TYPES[type(frame)] in enp.COMPRESSIBLE:
            data = compress_if_shorter(data, how)
        self.frames_out += 1
        self.bytes_out += len(data)
        socket = self.socket_of(sender_id, ordered=options.keep_order)
        socket.write(data)
        return socket
