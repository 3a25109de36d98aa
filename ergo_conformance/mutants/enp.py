"""Faults of established connections: acknowledgements, answers, frames, the pool and its order, limits."""

import asyncio
import zlib
from dataclasses import replace
from typing import Any

from ..errors import Reason, Rejected
from ..model.ergo import enp
from ..model.ergo.caches import NO_CACHES, Caches
from ..model.ergo.enp import Priority, Words
from ..model.registry import Registry
from ..model.values import PID, Atom, Error, Ref
from ..reference_node.api import Core, Socket
from ..reference_node.api.handshake import PeerInfo
from ..reference_node.api.messages import Envelope, MessageOptions
from ..reference_node.core.mailbox import Mailbox
from ..reference_node.core.process import Process
from ..reference_node.core.process_table import ProcessTable
from ..reference_node.ergo.enp import connection as connection_module
from ..reference_node.ergo.enp.codec import FrameEncoder
from ..reference_node.ergo.enp.compression import _unpacked
from ..reference_node.ergo.enp.connection import EnpConnection
from ..reference_node.ergo.enp.control import ControlMessages
from ..reference_node.ergo.enp.framer import Framer
from .crash import crash
from .mutant import Area

ENP = Area("enp")
CALLS, CONTROL, IMPORTANT = "proto.calls", "proto.control", "proto.important"
HEADER, ORDER, POOL, CODEC = "proto.header", "proto.order", "proto.pool", "proto.codec"
COMPRESSION, SIZES = "proto.compression", "proto.sizes"
CALL = f"{CALLS}.call[name]"
PLAIN = MessageOptions()

# --- acknowledgements -------------------------------------------------------------------------------------------------


@ENP.fault(
    "ENP-IMP-2",
    found_by=(f"{IMPORTANT}.delivered[*]", f"{COMPRESSION}.important_message[*]", "node.links.important_by_alias"),
)
class NoAck(EnpConnection):
    """Does not acknowledge important messages."""

    def _acknowledge(self, frame: Any, id_: int, error: Error | None) -> None:
        """Sends nothing."""


@ENP.fault("ENP-IMP-2", found_by=(f"{IMPORTANT}.delivered[name]", f"{IMPORTANT}.any_id"))
class AckWithWrongMid(EnpConnection):
    """Acknowledges another message id than the received one."""

    def _acknowledge(self, frame: Any, id_: int, error: Error | None) -> None:
        super()._acknowledge(frame._replace(mid=frame.mid ^ 1), id_, error)


@ENP.fault("ENP-IMP-2", found_by=(f"{IMPORTANT}.delivered[cached_name]", f"{IMPORTANT}.nobody_there[alias]"))
class AcksTwice(EnpConnection):
    """Acknowledges an important message twice."""

    def _acknowledge(self, frame: Any, id_: int, error: Error | None) -> None:
        for _ in range(2):
            super()._acknowledge(frame, id_, error)


@ENP.fault("ENP-IMP-2", found_by=(f"{IMPORTANT}.full_mailbox",))
class AckWithLaterMid(EnpConnection):
    """Reads the message id from a buffer that the next message may have overwritten, as upstream does (ENP-IMP-7)."""

    _last = 0

    def _acknowledge(self, frame: Any, id_: int, error: Error | None) -> None:
        self._last = frame.mid
        send = super()._acknowledge
        asyncio.get_running_loop().call_later(0.05, lambda: send(frame._replace(mid=self._last), id_, error))


@ENP.fault(
    "ENP-ERR-1",
    "ENP-IMP-5",
    found_by=(f"{CALLS}.error[*]", f"{IMPORTANT}.nobody_there[*]", f"{IMPORTANT}.full_mailbox"),
)
class ErrorSentAsSuccess(EnpConnection):
    """Sends every error with the code of success."""

    def _answer_error(
        self, sender_id: int, to_id: int, ref: Words, priority: int, order: int, error: Error | None
    ) -> None:
        super()._answer_error(sender_id, to_id, ref, priority, order, None)


# --- answers ----------------------------------------------------------------------------------------------------------


@ENP.fault("ENP-REQ-1", found_by=(f"{CALLS}.reference", CALL))
class RefWordsSwapped(EnpConnection):
    """Replies with the words of the reference in reverse order."""

    def send_response(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, response: Any) -> None:
        super().send_response(sender, to, ref._replace(id=ref.id[::-1]), options, response)


@ENP.fault("ENP-REQ-1", found_by=(f"{CALLS}.reference", CALL))
class AnswersToWrongRef(EnpConnection):
    """Replies with the next reference."""

    def send_response(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, response: Any) -> None:
        super().send_response(sender, to, ref._replace(id=(ref.id[0] + 1, *ref.id[1:])), options, response)


@ENP.fault("ENP-REQ-1", found_by=(f"{CALLS}.reference",))
class ThirdRefWordZeroed(EnpConnection):
    """Replies with 0 as the third word of the reference."""

    def send_response(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, response: Any) -> None:
        super().send_response(sender, to, ref._replace(id=(*ref.id[:2], 0)), options, response)


@ENP.fault("ENP-IMP-4", found_by=(f"{CALLS}.nobody_there[*]", f"{IMPORTANT}.plain_to_a_full_mailbox"))
class AnswersUndeliverablePlainRequests(EnpConnection):
    """Sends an error for an undeliverable request that is not important."""

    def _fail(self, frame: Any, id_: int, error: Error | None) -> None:
        if error is not None:
            self._answer_error(id_, frame.from_id, frame.ref, 0, 0, error)


@ENP.fault(
    "ENP-ANY-1",
    found_by=(
        f"{CONTROL}.one_result[*]",
        f"{CONTROL}.spawn_of_nothing",
        "node.spawn.many",
        "node.spawn.watched",
        f"{CONTROL}.start_of_no_application",
        f"{CONTROL}.type_as_an_id",
        f"{CONTROL}.taken_and_given_back[*]",
    ),
)
class NoResult(ControlMessages):
    """Does not answer control requests."""

    def _answer(self, ref: Ref, error: Error | None, result: Any, requester_id: int, owner_id: int) -> None:
        """Sends nothing."""


@ENP.fault("ENP-LINK-1", found_by=(f"{CONTROL}.unknown_target[*]", f"{CONTROL}.old_creation[*]"))
class ResultWithoutError(ControlMessages):
    """Answers control requests without their error."""

    def _answer(self, ref: Ref, error: Error | None, result: Any, requester_id: int, owner_id: int) -> None:
        super()._answer(ref, None, result, requester_id, owner_id)


# --- bytes ------------------------------------------------------------------------------------------------------------


@ENP.fault("ENP-T-129", found_by=(CALL, f"{CALLS}.call[pid]", "node.sending.send[*]"))
class FromIdLittleEndian(EnpConnection):
    """Writes the sender's id in little-endian order."""

    def transmit(self, frame: Any, sender_id: int, options: MessageOptions = PLAIN) -> Socket:
        if hasattr(frame, "from_id"):
            frame = frame._replace(from_id=int.from_bytes(frame.from_id.to_bytes(8, "little"), "big"))
        return super().transmit(frame, sender_id, options)


@ENP.fault(
    "ENP-HDR-1",
    "ENP-HDR-9",
    found_by=(
        CALL,
        f"{ORDER}.one_sender[name]",
        "proto.delivery.joined",
        "proto.layout.length[*]",
        "proto.layout.bytes_of_a_header",
    ),
)
class LengthLittleEndian(FrameEncoder):
    """Writes the length of a frame in little-endian order."""

    def write(self, frame: Any) -> bytes:
        data = super().write(frame)
        return data[:2] + data[2:6][::-1] + data[6:]


@ENP.fault(
    "ENP-HDR-1",
    "ENP-HDR-9",
    found_by=(CALL, f"{ORDER}.one_sender[name]", "proto.delivery.joined", "proto.layout.length[*]"),
)
class LengthWithoutHeader(FrameEncoder):
    """Does not count the header in the length of a frame."""

    def write(self, frame: Any) -> bytes:
        data = super().write(frame)
        return data[:2] + (len(data) - enp.HEADER_LENGTH).to_bytes(4, "big") + data[6:]


@ENP.fault(
    "EHS-CACHE-1",
    found_by=(
        f"{CODEC}.target_writes_only_ids_it_announced",
        f"{CODEC}.registered[Small]",
        f"{CODEC}.atoms_by_id",
    ),
)
class UnannouncedCacheIds(FrameEncoder):
    """Writes cache ids that its Introduce does not contain."""

    def __init__(self, registry: Registry, caches: Caches = NO_CACHES) -> None:
        types = {id_ + 10_000: name for id_, name in caches.types.items()}
        atoms = {**caches.atoms, 40_000: Atom("echo"), 40_001: Atom("sink")}
        super().__init__(registry, replace(caches, types=types, atoms=atoms))


# --- the pool and the order of messages -------------------------------------------------------------------------------


@ENP.fault("ENP-ORD-1", found_by=(f"{POOL}.which_link",))
class WrongSocketForSender(EnpConnection):
    """Sends through the socket of the next order slot."""

    def socket_of(self, sender_id: int, *, ordered: bool = True) -> Socket:
        return super().socket_of(sender_id + 1, ordered=ordered)


@ENP.fault("ENP-ORD-1", found_by=(f"{POOL}.one_sender_one_link", f"{POOL}.which_link", "node.sending.one_link"))
class SocketsInTurn(EnpConnection):
    """Sends through all sockets in turn, independent of the sender's number."""

    _turns = -1

    def socket_of(self, sender_id: int, *, ordered: bool = True) -> Socket:
        self._turns += 1
        return self.sockets[self._turns % len(self.sockets)]


@ENP.fault(
    "EHS-JOIN-9",
    "ROB-ENP-7",
    found_by=(
        f"{POOL}.link_goes[*]",
        "proto.sizes.one_link_alone",
        "proto.robustness.half_closed_link_of_a_pool",
        f"{POOL}.bad_bytes_end_their_link_alone",
    ),
)
class ConnectionEndsWithAnySocket(EnpConnection):
    """Closes all sockets of a connection when one of them closes."""

    def leave(self, socket: Socket) -> None:
        super().leave(socket)
        for other in list(self.sockets):
            other.close()


@ENP.fault("ENP-PRIO-3", found_by=(f"{ORDER}.priorities_overtake",))
class PriorityIgnored(ProcessTable):
    """Delivers all messages with normal priority."""

    @staticmethod
    def deliver(process: Process | None, envelope: Envelope, priority: Priority) -> Error | None:
        return ProcessTable.deliver(process, envelope, Priority.NORMAL)


@ENP.fault("ENP-ORD-4", found_by=(f"{ORDER}.one_sender[pid]", f"{ORDER}.messages_and_calls"))
class LastInFirstOut(Mailbox):
    """Takes the newest message from a mailbox."""

    __slots__ = ()

    def take(self) -> Envelope | None:
        return self._normal.pop() if self._normal else super().take()


@ENP.fault("ENP-IMP-5", found_by=(f"{IMPORTANT}.full_mailbox", f"{IMPORTANT}.request_to_a_full_mailbox"))
class MailboxWithoutLimit(Mailbox):
    """Ignores the limit of a mailbox."""

    __slots__ = ()

    def put(self, envelope: Envelope, priority: Priority) -> bool:
        self._limit = 0
        return super().put(envelope, priority)


# --- limits and malformed bytes ---------------------------------------------------------------------------------------


@ENP.fault("ENP-SIZE-3", found_by=(f"{CODEC}.large", "proto.delivery.large[*]"))
class LargeFramesRefused(EnpConnection):
    """Refuses frames above 64 KB, as upstream 3.0 does (ENP-SIZE-3)."""

    def __init__(self, peer: PeerInfo, core: Core) -> None:
        super().__init__(peer, core)
        self._limit = min(self._limit, 65_535)


@ENP.function(
    connection_module,
    "uncompress",
    "ENP-Z-4",
    found_by=(f"{COMPRESSION}.wrong_length[zlib]", f"{COMPRESSION}.wrong_length[gzip]"),
)
def unpack_without_limit(frame: enp.Compressed, limit: int) -> bytes:
    """Ignores the announced length of a compressed frame."""
    try:
        return _unpacked(frame._replace(length=enp.MAX_UNLIMITED))
    except (ValueError, zlib.error) as error:
        raise Rejected(Reason.COMPRESSION, "", 0, str(error)) from None


@ENP.fault("ENP-HDR-2", found_by=(f"{HEADER}.start[*]", f"{POOL}.bad_bytes_end_their_link_alone"))
class SocketKeptAfterWrongMagic(EnpConnection):
    """Continues to read a socket after a wrong magic byte."""

    def receive(self, socket: Socket, data: bytes) -> None:
        try:
            super().receive(socket, data)
        except Rejected:
            self._framers[socket] = Framer(self._limit)


@ENP.fault(
    "ENP-HDR-3",
    "ROB-ENP-1",
    found_by=(f"{HEADER}.length_below_a_header[*]",),
)
class CrashesOnShortLength(Framer):
    """Crashes on a length below that of a header, as upstream does (ENP-HDR-3)."""

    def _refuse(self, start: int, length: int) -> None:
        if length < enp.HEADER_LENGTH:
            crash()
        super()._refuse(start, length)


@ENP.fault("ENP-HDR-6", found_by=(f"{HEADER}.unknown_type[*]", f"{HEADER}.types_of_other_releases"))
class SocketClosedOnUnknownType(EnpConnection):
    """Closes the socket on a frame of an unknown type."""

    def receive(self, socket: Socket, data: bytes) -> None:
        if len(data) >= enp.HEADER_LENGTH and data[enp.HEADER_LENGTH - 1] not in frozenset(enp.FrameType):
            raise Rejected(Reason.UNKNOWN_FRAME, "", 0)
        super().receive(socket, data)


@ENP.fault("ENP-SIZE-1", found_by=(f"{SIZES}.our_limit[*]", "node.sending.too_large", "node.compressing.limit"))
class PeerLimitIgnored(EnpConnection):
    """Sends frames that are larger than the peer accepts."""

    def transmit(self, frame: Any, sender_id: int, options: MessageOptions = PLAIN) -> Socket:
        peer, self.peer = self.peer, replace(self.peer, max_message_size=0)
        try:
            return super().transmit(frame, sender_id, options)
        finally:
            self.peer = peer
