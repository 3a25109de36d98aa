"""Faults in reading: frames that are refused, taken for others, or end the node; streams without an end; ids."""

import asyncio
from collections.abc import Iterator
from typing import Any

from ..errors import Reason, Rejected
from ..model.ergo import enp, error_values
from ..model.ergo.enp import FrameType, Priority
from ..reference_node.api import Core, Socket
from ..reference_node.api.handshake import PeerInfo
from ..reference_node.ergo.enp.codec import FrameDecoder
from ..reference_node.ergo.enp.connection import EnpConnection
from ..reference_node.ergo.enp.framer import Framer
from .crash import crash
from .mutant import Area

READING = Area("reading")
CALLS, DELIVERY, HEADER, STREAMS = "proto.calls", "proto.delivery", "proto.header", "proto.streams"
COMPRESSION, MALFORMED, ORDER, ROBUSTNESS = "proto.compression", "proto.malformed", "proto.order", "proto.robustness"
IMPORTANT, CONTROL, ANSWERS, SECOND = "proto.important", "proto.control", "node.answers", "proto.second_use"
TYPE_AT, PRIORITY_AT, CODE_AT = 7, 16, 49
BY_NAME = frozenset({FrameType.MESSAGE_NAME, FrameType.REQUEST_NAME})
WITH_PRIORITY = frozenset(type_ for type_ in FrameType if 101 <= type_ <= 104 or 121 <= type_ <= 124)
"""Messages and requests."""
LAST = 2**63


def with_byte(frame: bytes, at: int, value: int) -> bytes:
    """Returns a frame with another byte at one place."""
    return frame[:at] + bytes([value]) + frame[at + 1 :]


def dropped(frame: bytes) -> Rejected:
    """Returns the refusal of a frame that can be read."""
    return Rejected(Reason.UNEXPECTED, "", TYPE_AT, f"type {frame[TYPE_AT]}")


# --- the stream of frames ---------------------------------------------------------------------------------------------


@READING.fault("ENP-HDR-1", found_by=(f"{DELIVERY}.joined", f"{DELIVERY}.split[by_1000]"))
class FirstFrameOfASegment(Framer):
    """Reads only the first frame of a segment."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield from list(super().feed(data))[:1]


@READING.fault(
    "ENP-HDR-1",
    found_by=(f"{DELIVERY}.split[by_1]", f"{DELIVERY}.split[by_7]", f"{DELIVERY}.split[by_8]", f"{DELIVERY}.slowly"),
)
class SegmentForEachFrame(Framer):
    """Expects a frame in one segment and forgets the beginning of one that continues in the next."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield from super().feed(data)
        self.__init__(self.limit)  # type: ignore[misc]  # the state of a new one


@READING.fault("ENP-HDR-1", "ROB-ENP-3", found_by=(f"{ROBUSTNESS}.long_pause_within_a_frame",), subtle=True)
class PartOfAFrameForgotten(Framer):
    """Forgets the part of a frame that is older than a second."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._fed, self._last = 0, 0.0

    def feed(self, data: bytes) -> Iterator[bytes]:
        now = asyncio.get_running_loop().time()
        if self._fed > self.consumed and now - self._last > 1.0:
            self.__init__(self.limit)  # type: ignore[misc]  # the state of a new one
        self._fed, self._last = self._fed + len(data), now
        yield from super().feed(data)


@READING.fault("ENP-HDR-5", found_by=("proto.sizes.above_the_limit[*]",))
class LimitCheckedBehindTheFrame(Framer):
    """Checks the limit of a frame when its bytes have arrived."""

    def _refuse(self, start: int, length: int) -> None:
        if start == enp.MAGIC << 8 | enp.VERSION and length > self.limit:
            self.limit = length
            return
        super()._refuse(start, length)


@READING.fault("ENP-HDR-5", found_by=("proto.sizes.within_the_limit",), subtle=True)
class LimitOfAFrameTooSmall(Framer):
    """Refuses a frame that is exactly as long as the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit - 1)


@READING.fault("ROB-ENP-2", "ROB-ENP-1", found_by=(f"{HEADER}.announced_4_gib",))
class ReservesAnnouncedLength(Framer):
    """Reserves the announced length of a frame, for which no machine has enough memory."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if len(data) >= enp.HEADER_LENGTH and data[0] == enp.MAGIC and data[2] >= 0x80:  # 2 GiB and more
            crash()
        yield from super().feed(data)


@READING.fault(
    "ROB-ENP-7", "ROB-ENP-3", found_by=(f"{HEADER}.stranger[*]", f"{HEADER}.start[*]", f"{HEADER}.length_off_by_one[*]")
)
class DiesOfWrongMagic(Framer):
    """Ends on bytes that are not a frame."""

    def _refuse(self, start: int, length: int) -> None:
        if start != enp.MAGIC << 8 | enp.VERSION:
            crash()
        super()._refuse(start, length)


@READING.fault("ENP-HDR-6", "ROB-ENP-1", found_by=("proto.layout.every_unknown_type",), subtle=True)
class DiesOfType250(FrameDecoder):
    """Ends on a frame of type 250."""

    def read_framed(self, frame: bytes) -> Any:
        if frame[TYPE_AT] == 250:
            crash()
        return super().read_framed(frame)


@READING.fault("ENP-HDR-1", "ROB-ENP-7", found_by=("proto.pool.frame_does_not_go_on_elsewhere",))
class OneStreamForAllSockets(EnpConnection):
    """Reads the bytes of all sockets of a connection as one stream."""

    def receive(self, socket: Socket, data: bytes) -> None:
        super().receive(self.sockets[0], data)

    def leave(self, socket: Socket) -> None:
        framer = self._framers.get(socket)
        super().leave(socket)
        if framer is not None and self.sockets:
            self._framers[self.sockets[0]] = framer


@READING.fault(
    "EHS-JOIN-8",
    "ENP-ORD-1",
    "ENP-ORD-4",
    found_by=(
        "proto.pool.every_link_serves[link_2]",
        "proto.pool.every_link_serves[link_3]",
        "proto.pool.one_sender_over_all_links",
        "proto.pool_growth.nothing_is_lost",
        f"{ORDER}.senders_over_a_pool[*]",
    ),
)
class ReadsFirstSocketOnly(EnpConnection):
    """Reads no frames from the second and further sockets of a connection."""

    def receive(self, socket: Socket, data: bytes) -> None:
        if socket is self.sockets[0]:
            super().receive(socket, data)


@READING.fault(
    "ROB-ENP-8",
    "ENP-HDR-7",
    "ENP-EXIT-1",
    "ENP-NAME-2",
    "ENP-ERR-1",
    found_by=(
        f"{MALFORMED}.cut[*]",
        f"{MALFORMED}.value[*]",
        f"{MALFORMED}.no_reason[*]",
        f"{MALFORMED}.bomb[*]",
        f"{MALFORMED}.byte_behind",
        f"{MALFORMED}.unknown_name_id",
        f"{MALFORMED}.unknown_code",
        f"{MALFORMED}.code_255_without_an_error",
        f"{DELIVERY}.unknown_cached_name[*]",
        f"{IMPORTANT}.undecodable",
        f"{CONTROL}.no_request",
        f"{ROBUSTNESS}.flood_of_bad_frames",
        f"{COMPRESSION}.bad_stream[*]",
        f"{COMPRESSION}.wrong_length[*]",
        f"{COMPRESSION}.unknown_algorithm",
        f"{COMPRESSION}.unknown_type_inside",
        f"{COMPRESSION}.untidy_stream[*]",
        f"{COMPRESSION}.compressed_in_compressed",
        f"{COMPRESSION}.bomb[*]",
        f"{COMPRESSION}.above_the_limit",
        f"{STREAMS}.good_after_malformed[*]",
        f"{STREAMS}.incomplete_lzw[*]",
        f"{ANSWERS}.undecodable",
        f"{ANSWERS}.malformed_error[*]",
    ),
)
class SocketClosedOnBadFrame(EnpConnection):
    """Closes the sockets of a connection on a frame that cannot be read."""

    def __init__(self, peer: PeerInfo, core: Core) -> None:
        super().__init__(peer, core)
        self._handlers[enp.Compressed] = self._unpacked_or_closed
        read = self._decoder.read_framed

        def read_or_close(frame: bytes) -> Any:
            try:
                return read(frame)
            except Rejected:
                self._close_all()
                raise

        self._decoder.read_framed = read_or_close  # type: ignore[method-assign]

    def _unpacked_or_closed(self, frame: enp.Compressed) -> None:
        try:
            self._compressed(frame)
        except Rejected:
            self._close_all()
            raise

    def _close_all(self) -> None:
        for socket in list(self.sockets):
            socket.close()


@READING.fault(
    "ENP-ORD-4", "ENP-IMP-2", found_by=(f"{ORDER}.one_sender[*]", f"{IMPORTANT}.thousand_at_once[*]"), subtle=True
)
class LosesFrame400(FrameDecoder):
    """Loses the four hundredth frame of a connection."""

    frames = 0

    def read_framed(self, frame: bytes) -> Any:
        self.frames += 1
        if self.frames == 400:
            raise dropped(frame)
        return super().read_framed(frame)


@READING.fault("ROB-ENP-1", "ENP-DLV-1", found_by=(f"{ROBUSTNESS}.flood_for_nobody",), subtle=True)
class DiesOfTenThousandFrames(FrameDecoder):
    """Ends on the ten thousandth frame of a connection."""

    frames = 0

    def read_framed(self, frame: bytes) -> Any:
        self.frames += 1
        if self.frames == 10_000:
            crash()
        return super().read_framed(frame)


# --- fields -----------------------------------------------------------------------------------------------------------


@READING.fault("ENP-ORD-7", found_by=(f"{ORDER}.any_order_byte[*]",), subtle=True)
class OrderByte255Refused(FrameDecoder):
    """Drops a frame with the order byte 255."""

    def read_framed(self, frame: bytes) -> Any:
        if frame[TYPE_AT - 1] == 255:
            raise dropped(frame)
        return super().read_framed(frame)


@READING.fault("ENP-PRIO-2", found_by=(f"{ORDER}.any_priority", f"{ORDER}.other_bits_are_normal"))
class UnknownPriorityBitsRefused(FrameDecoder):
    """Drops a message whose priority byte has one of the bits 2 to 6."""

    def read_framed(self, frame: bytes) -> Any:
        if frame[TYPE_AT] in WITH_PRIORITY and len(frame) > PRIORITY_AT and frame[PRIORITY_AT] & 0x7C:
            raise dropped(frame)
        return super().read_framed(frame)


@READING.fault("ENP-PRIO-2", found_by=(f"{ORDER}.other_bits_are_normal",), subtle=True)
class Priority3IsMax(FrameDecoder):
    """Takes the priority 3 for max."""

    def read_framed(self, frame: bytes) -> Any:
        if frame[TYPE_AT] in WITH_PRIORITY and len(frame) > PRIORITY_AT and frame[PRIORITY_AT] == 3:
            frame = with_byte(frame, PRIORITY_AT, Priority.MAX)
        return super().read_framed(frame)


@READING.fault(
    "ENP-PID-1",
    "ENP-IMP-2",
    "ENP-IMP-4",
    "ENP-DLV-1",
    found_by=(
        f"{IMPORTANT}.plain_messages_are_not_acknowledged",
        f"{DELIVERY}.mid_without_the_important_bit[*]",
        f"{DELIVERY}.nobody_there[*]",
        f"{CALLS}.nobody_there[*]",
        "proto.names.similar_process_names",
    ),
)
class EveryMessageImportant(FrameDecoder):
    """Takes every message and every request for an important one."""

    def read_framed(self, frame: bytes) -> Any:
        if frame[TYPE_AT] in WITH_PRIORITY and len(frame) > PRIORITY_AT:
            frame = with_byte(frame, PRIORITY_AT, frame[PRIORITY_AT] | enp.IMPORTANT)
        return super().read_framed(frame)


@READING.fault(
    "ENP-T-101",
    "ENP-REQ-1",
    "ENP-IMP-2",
    found_by=(f"{DELIVERY}.sender_of_any_number[*]", f"{CALLS}.caller_of_any_number[*]", f"{IMPORTANT}.any_id"),
    subtle=True,
)
class OutermostSendersRefused(FrameDecoder):
    """Drops a message or a call of the process 0, or of a number of 64 bits."""

    def read_framed(self, frame: bytes) -> Any:
        found = super().read_framed(frame)
        if not 0 < getattr(found, "from_id", 1) < LAST:
            raise dropped(frame)
        return found


@READING.fault(
    "ENP-T-103", "ENP-T-122", found_by=(f"{DELIVERY}.announced_name_as_text", f"{CALLS}.announced_name_as_text")
)
class AnnouncedNameAsTextRefused(FrameDecoder):
    """Drops a message to a name as text if its sender announced an id for the name."""

    def read_framed(self, frame: bytes) -> Any:
        found: Any = super().read_framed(frame)
        if frame[TYPE_AT] in BY_NAME and found.to_name in self.names.values():
            raise dropped(frame)
        return found


@READING.fault("ENP-EXIT-1", found_by=(f"{MALFORMED}.exit_without_a_reason",))
class ExitWithAnyReason(FrameDecoder):
    """Ends a process on an exit signal whose reason is not an error, with the reason "kill"."""

    def read_framed(self, frame: bytes) -> Any:
        try:
            return super().read_framed(frame)
        except Rejected:
            if frame[TYPE_AT] != FrameType.EXIT or len(frame) < 25:
                raise
            return enp.Exit(0, 0, Priority.MAX, int.from_bytes(frame[17:25], "big"), error_values.KILL)


@READING.fault("ENP-ERR-1", found_by=(f"{ANSWERS}.unknown_code[*]", f"{ANSWERS}.unknown_code_of_an_acknowledgement"))
class UnknownCodeIsAnError(FrameDecoder):
    """Takes an unknown code of a ResponseError for "unknown process"."""

    def read_framed(self, frame: bytes) -> Any:
        if frame[TYPE_AT] == FrameType.RESPONSE_ERROR and len(frame) > CODE_AT and frame[CODE_AT] not in enp.CODES:
            frame = with_byte(frame, CODE_AT, enp.Code.PROCESS_UNKNOWN)
        return super().read_framed(frame)


@READING.fault(
    "ENP-ERR-1",
    "ENP-HDR-7",
    found_by=(
        f"{ANSWERS}.malformed_error[code_255_without_an_error]",
        f"{ANSWERS}.malformed_error[code_255_and_a_text]",
    ),
    subtle=True,
)
class MalformedErrorIsAnError(FrameDecoder):
    """Takes a ResponseError that it cannot read for "unknown process"."""

    def read_framed(self, frame: bytes) -> Any:
        try:
            return super().read_framed(frame)
        except Rejected:
            if frame[TYPE_AT] != FrameType.RESPONSE_ERROR or len(frame) <= CODE_AT:
                raise
            return super().read_framed(with_byte(frame[: CODE_AT + 1], CODE_AT, enp.Code.PROCESS_UNKNOWN))
