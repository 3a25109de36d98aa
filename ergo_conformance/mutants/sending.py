"""Faults in the outgoing traffic of processes: messages, requests, exit signals, compression."""

import asyncio
from typing import Any

from ..model.ergo import enp, error_values
from ..model.values import PID, Atom, Error
from ..reference_node.api import Socket
from ..reference_node.api.messages import Compression, MessageOptions
from ..reference_node.core.peer_connections import Peers
from ..reference_node.core.pending import PendingRequests
from ..reference_node.ergo.enp import connection as connection_module
from ..reference_node.ergo.enp.compression import compress
from ..reference_node.ergo.enp.connection import EnpConnection
from .mutant import Area

SENDING = Area("sending")
CALLING, CASES, COMPRESSING, WATCHING = "node.calling", "node.sending", "node.compressing", "node.watching"
PLAIN = MessageOptions()
LENGTH_AT = 9
"""Offset of the uncompressed length in a compressed frame."""


@SENDING.fault(
    "ENP-Z-3",
    "ENP-Z-1",
    found_by=(f"{COMPRESSING}.algorithm[*]", f"{COMPRESSING}.level[*]", f"{COMPRESSING}.threshold[*]"),
)
class CompressionIgnored(EnpConnection):
    """Never compresses."""

    def transmit(self, frame: enp.Frame, sender_id: int, options: MessageOptions = PLAIN) -> Socket:
        return super().transmit(frame, sender_id, options._replace(compression=None))


@SENDING.function(connection_module, "compress_if_shorter", "ENP-ORD-6", found_by=(f"{COMPRESSING}.order_byte[*]",))
def compressed_without_order(frame: bytes, how: Compression) -> bytes:
    """Writes order byte 0 into compressed frames."""
    packed = compress(frame, how)
    return packed[:6] + b"\0" + packed[7:]


@SENDING.function(
    connection_module,
    "compress_if_shorter",
    "ENP-Z-1",
    found_by=(f"{COMPRESSING}.algorithm[zlib]", f"{COMPRESSING}.contents[gzip]"),
)
def uncompressed_length_without_header(frame: bytes, how: Compression) -> bytes:
    """Announces the uncompressed length without the header."""
    packed = compress(frame, how)
    return packed[:LENGTH_AT] + (len(frame) - enp.HEADER_LENGTH).to_bytes(4, "big") + packed[LENGTH_AT + 4 :]


@SENDING.function(
    connection_module,
    "compress_if_shorter",
    "ENP-T-200",
    "ENP-HDR-9",
    found_by=(
        f"{COMPRESSING}.algorithm[*]",
        f"{COMPRESSING}.order",
        f"{COMPRESSING}.calls",
        f"{COMPRESSING}.contents[*]",
    ),
)
def uncompressed_length_little_endian(frame: bytes, how: Compression) -> bytes:
    """Announces the uncompressed length in little-endian order."""
    packed = compress(frame, how)
    return packed[:LENGTH_AT] + len(frame).to_bytes(4, "little") + packed[LENGTH_AT + 4 :]


@SENDING.function(
    connection_module,
    "compress_if_shorter",
    "ENP-Z-1",
    found_by=(f"{COMPRESSING}.contents[zlib]", f"{COMPRESSING}.contents[gzip]", f"{COMPRESSING}.level[*]"),
)
def wrong_compression_id(frame: bytes, how: Compression) -> bytes:
    """Writes the id of the next algorithm into compressed frames."""
    packed = compress(frame, how)
    return packed[: LENGTH_AT - 1] + bytes([how.algorithm + 1]) + packed[LENGTH_AT:]


@SENDING.fault("ENP-IMP-1", found_by=(f"{CALLING}.not_announced[*]",))
class ImportantWithoutFlag(EnpConnection):
    """Sends important messages to peers that do not support them."""

    def _priority(self, options: MessageOptions) -> int:
        return options.priority | (enp.IMPORTANT if options.important else 0)


@SENDING.fault("ENP-PRIO-1", found_by=(f"{CALLING}.important[*]", f"{CALLING}.important_call"))
class ImportantBitMissing(EnpConnection):
    """Does not set the important bit of important messages."""

    def _priority(self, options: MessageOptions) -> int:
        return super()._priority(options) & enp.PRIORITY_MASK


@SENDING.fault(
    "ENP-PRIO-1",
    found_by=(
        f"{CASES}.priority_of_a_message[*]",
        f"{CALLING}.priority_of_a_call[*]",
        f"{CASES}.priority_of_a_process[high]",
        f"{CASES}.priority_of_a_process[max]",
    ),
)
class PriorityNotSent(EnpConnection):
    """Sends all messages with normal priority."""

    def _priority(self, options: MessageOptions) -> int:
        return super()._priority(options) & enp.IMPORTANT


@SENDING.fault("ENP-DLV-2", found_by=(f"{WATCHING}.old_creation",))
class OldCreationAccepted(EnpConnection):
    """Sends to an address of an earlier incarnation of the peer."""

    def check(self, creation: int) -> None:
        """Checks nothing."""


@SENDING.fault("ENP-REQ-7", "ENP-REQ-3", found_by=(f"{CALLING}.wrong_acknowledgement", f"{CALLING}.wrong_reference"))
class AnswerToAnyProcess(PendingRequests):
    """Does not check to which process an answer is addressed."""

    def _take(self, node: Atom, process_id: int, words: enp.Words) -> asyncio.Future[Any] | None:
        found = self._by_node.get(node, {}).get(words, (process_id, None))
        return super()._take(node, found[0], words)


@SENDING.fault("ENP-DOWN-1", found_by=(f"{CASES}.disconnect",))
class DisconnectIgnored(Peers):
    """Ignores a request to disconnect a node."""

    def disconnect(self, node: Atom) -> None:
        """Keeps the sockets."""


@SENDING.fault("ENP-T-107", found_by=(f"{CASES}.exit",))
class ExitReasonReplaced(EnpConnection):
    """Sends every exit signal with the reason "shutdown"."""

    def send_exit(self, sender: PID, to: PID, reason: Error) -> None:
        super().send_exit(sender, to, error_values.SHUTDOWN)


@SENDING.fault("ENP-PRIO-1", found_by=(f"{CASES}.priority_of_a_process[*]", f"{CASES}.send[*]"))
class UnknownPriorityBitSent(EnpConnection):
    """Sets bit 2 of the priority byte of every message."""

    def _priority(self, options: MessageOptions) -> int:
        return super()._priority(options) | 4
