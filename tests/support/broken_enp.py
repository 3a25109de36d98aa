# mypy: ignore-errors
"""Faults of a reference node on established links: each changes a small method of the node."""

import asyncio
import dataclasses
import itertools
import os
import zlib
from typing import Any

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import NO_CACHES, Caches
from ergo_conformance.model.ergo.enp import Priority, Words
from ergo_conformance.model.registry import Registry
from ergo_conformance.model.values import PID, Atom, Error, Ref
from ergo_conformance.reference_node.api import Socket
from ergo_conformance.reference_node.api.messages import Envelope, MessageOptions
from ergo_conformance.reference_node.core.core import Core
from ergo_conformance.reference_node.core.mailbox import Mailbox
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.ergo.enp import compression
from ergo_conformance.reference_node.ergo.enp import connection as module
from ergo_conformance.reference_node.ergo.enp.codec import FrameEncoder
from ergo_conformance.reference_node.ergo.enp.connection import EnpConnection
from ergo_conformance.reference_node.ergo.enp.control import ControlMessages
from ergo_conformance.reference_node.ergo.enp.framer import Framer

good_acknowledge = EnpConnection._acknowledge
good_respond = EnpConnection.send_response
good_answer_error = EnpConnection._answer_error
good_transmit = EnpConnection.transmit
good_receive = EnpConnection.receive
good_link_of = EnpConnection.link_of
good_remove = EnpConnection.leave
good_encoder = FrameEncoder.__init__
good_write = FrameEncoder.write
good_refuse = Framer._refuse
good_deliver = Core.deliver
good_answer = ControlMessages._answer
good_take = Mailbox.take
good_put = Mailbox.put

# --- acknowledgements -------------------------------------------------------------------------------------------------


def no_ack(self: EnpConnection, frame: Any, id_: int, error: Error | None) -> None:
    """Forgets to acknowledge."""


def ack_with_wrong_mid(self: EnpConnection, frame: Any, id_: int, error: Error | None) -> None:
    good_acknowledge(self, frame._replace(mid=frame.mid ^ 1), id_, error)


def acks_twice(self: EnpConnection, frame: Any, id_: int, error: Error | None) -> None:
    for _ in range(2):
        good_acknowledge(self, frame, id_, error)


def last_mid(self: EnpConnection, frame: Any, id_: int, error: Error | None) -> None:
    """Reads the id from a buffer in which the next message may stand already, as upstream does (ENP-IMP-7)."""
    seen[:] = [frame.mid]
    later = asyncio.get_running_loop().call_later
    later(0.05, lambda: good_acknowledge(self, frame._replace(mid=seen[0]), id_, error))


seen: list[int] = []


def error_code_lost(
    self: EnpConnection, sender_id: int, to_id: int, ref: Words, priority: int, order: int, error: Error | None
) -> None:
    """Whatever went wrong, the code is that of success."""
    good_answer_error(self, sender_id, to_id, ref, priority, order, None)


# --- answers ----------------------------------------------------------------------------------------------------------


def ref_words_swapped(self: EnpConnection, sender: PID, to: PID, ref: Ref, options: MessageOptions, value: Any) -> None:
    good_respond(self, sender, to, ref._replace(id=ref.id[::-1]), options, value)


def answers_to_wrong_ref(
    self: EnpConnection, sender: PID, to: PID, ref: Ref, options: MessageOptions, value: Any
) -> None:
    good_respond(self, sender, to, ref._replace(id=(ref.id[0] + 1, *ref.id[1:])), options, value)


def third_word_lost(self: EnpConnection, sender: PID, to: PID, ref: Ref, options: MessageOptions, value: Any) -> None:
    good_respond(self, sender, to, ref._replace(id=(*ref.id[:2], 0)), options, value)


def answers_plain_requests_of_nobody(self: EnpConnection, frame: Any, id_: int, error: Error | None) -> None:
    if error is not None:
        self._answer_error(id_, frame.from_id, frame.ref, 0, 0, error)


def no_result(self: ControlMessages, ref: Ref, error: Error | None, result: Any, asker_id: int, lane: int) -> None:
    """Control requests stay without an answer."""


def result_says_yes(
    self: ControlMessages, ref: Ref, error: Error | None, result: Any, asker_id: int, lane: int
) -> None:
    good_answer(self, ref, None, result, asker_id, lane)


# --- bytes ------------------------------------------------------------------------------------------------------------


def from_id_little_endian(self: EnpConnection, frame: Any, *more: Any) -> Socket:
    if hasattr(frame, "from_id"):
        frame = frame._replace(from_id=int.from_bytes(frame.from_id.to_bytes(8, "little"), "big"))
    return good_transmit(self, frame, *more)


def length_little_endian(self: FrameEncoder, frame: Any) -> bytes:
    data = good_write(self, frame)
    return data[:2] + data[2:6][::-1] + data[6:]


def length_without_header(self: FrameEncoder, frame: Any) -> bytes:
    data = good_write(self, frame)
    return data[:2] + (len(data) - enp.HEADER_LENGTH).to_bytes(4, "big") + data[6:]


def cache_id_before_announced(self: FrameEncoder, registry: Registry, caches: Caches = NO_CACHES) -> None:
    """Writes ids that the Introduce did not have."""
    types = {id_ + 10_000: name for id_, name in caches.types.items()}
    atoms = {**caches.atoms, 40_000: Atom("echo"), 40_001: Atom("sink")}
    good_encoder(self, registry, dataclasses.replace(caches, types=types, atoms=atoms))


# --- links and order --------------------------------------------------------------------------------------------------


def wrong_link_slot(self: EnpConnection, sender_id: int, *, ordered: bool = True) -> Socket:
    return good_link_of(self, sender_id + 1, ordered=ordered)


turns = itertools.count()


def links_in_turn(self: EnpConnection, sender_id: int, *, ordered: bool = True) -> Socket:
    return self.sockets[next(turns) % len(self.sockets)]


def ends_with_any_link(self: EnpConnection, link: Socket) -> None:
    good_remove(self, link)
    for other in list(self.sockets):
        other.close()


def priority_ignored(process: Process | None, envelope: Envelope, priority: Priority) -> Error | None:
    return good_deliver(process, envelope, Priority.NORMAL)


def last_in_first_out(self: Mailbox) -> Envelope | None:
    return self._normal.pop() if self._normal else good_take(self)


def mailbox_without_limit(self: Mailbox, envelope: Envelope, priority: Priority) -> bool:
    self._limit = 0
    return good_put(self, envelope, priority)


# --- limits and hostile bytes -----------------------------------------------------------------------------------------


def drops_big_frames(self: EnpConnection, link: Socket, data: bytes) -> None:
    """As 3.0 does: a frame above 64 KB can't be read (ENP-SIZE-3)."""
    self._limit = min(self._limit, 65_535)
    good_receive(self, link, data)


def unpack_without_limit(frame: enp.Compressed, limit: int) -> bytes:
    """Believes the stream, not the length."""
    try:
        return compression._unpacked(frame._replace(length=enp.MAX_UNLIMITED))
    except (ValueError, zlib.error) as error:
        raise Rejected(Reason.COMPRESSION, "", 0, str(error)) from None


def keeps_link_after_bad_magic(self: EnpConnection, link: Socket, data: bytes) -> None:
    try:
        good_receive(self, link, data)
    except Rejected:
        self._framers[link] = Framer(self._limit)


def dies_on_short_length(self: Framer, start: int, length: int) -> None:
    """As upstream does (ENP-HDR-3)."""
    if length < enp.HEADER_LENGTH:
        os._exit(2)
    good_refuse(self, start, length)


def dies_on_unknown_type(self: EnpConnection, link: Socket, data: bytes) -> None:
    if len(data) >= enp.HEADER_LENGTH and data[enp.HEADER_LENGTH - 1] not in frozenset(enp.FrameType):
        raise Rejected(Reason.UNKNOWN_FRAME, "", 0)
    good_receive(self, link, data)


def announced_limit_ignored(self: EnpConnection, frame: Any, *more: Any) -> Socket:
    """Sends what the peer does not take."""
    peer, self.peer = self.peer, dataclasses.replace(self.peer, max_message_size=0)
    try:
        return good_transmit(self, frame, *more)
    finally:
        self.peer = peer


FAULTS: dict[str, tuple[Any, str, Any]] = {
    "no_ack": (EnpConnection, "_acknowledge", no_ack),
    "ack_with_wrong_mid": (EnpConnection, "_acknowledge", ack_with_wrong_mid),
    "acks_twice": (EnpConnection, "_acknowledge", acks_twice),
    "last_mid": (EnpConnection, "_acknowledge", last_mid),
    "error_code_lost": (EnpConnection, "_answer_error", error_code_lost),
    "ref_words_swapped": (EnpConnection, "send_response", ref_words_swapped),
    "answers_to_wrong_ref": (EnpConnection, "send_response", answers_to_wrong_ref),
    "third_word_lost": (EnpConnection, "send_response", third_word_lost),
    "answers_plain_requests_of_nobody": (EnpConnection, "_fail", answers_plain_requests_of_nobody),
    "no_result": (ControlMessages, "_answer", no_result),
    "result_says_yes": (ControlMessages, "_answer", result_says_yes),
    "from_id_little_endian": (EnpConnection, "transmit", from_id_little_endian),
    "length_little_endian": (FrameEncoder, "write", length_little_endian),
    "length_without_header": (FrameEncoder, "write", length_without_header),
    "cache_id_before_announced": (FrameEncoder, "__init__", cache_id_before_announced),
    "wrong_link_slot": (EnpConnection, "link_of", wrong_link_slot),
    "links_in_turn": (EnpConnection, "link_of", links_in_turn),
    "ends_with_any_link": (EnpConnection, "leave", ends_with_any_link),
    "priority_ignored": (Core, "deliver", staticmethod(priority_ignored)),
    "last_in_first_out": (Mailbox, "take", last_in_first_out),
    "mailbox_without_limit": (Mailbox, "put", mailbox_without_limit),
    "drops_big_frames": (EnpConnection, "receive", drops_big_frames),
    "unpack_without_limit": (module, "uncompress", unpack_without_limit),
    "keeps_link_after_bad_magic": (EnpConnection, "receive", keeps_link_after_bad_magic),
    "dies_on_short_length": (Framer, "_refuse", dies_on_short_length),
    "dies_on_unknown_type": (EnpConnection, "receive", dies_on_unknown_type),
    "announced_limit_ignored": (EnpConnection, "transmit", announced_limit_ignored),
}
"""What is replaced by what."""
