"""Faults in single fields of frames: bytes in the wrong order, numbers that are off by one, written and read."""

from collections.abc import Callable
from struct import calcsize
from typing import Any, Final

from ..model.ergo.enp import HEADER_LENGTH, Frame, FrameType
from ..reference_node.ergo.enp.codec import FrameDecoder, FrameEncoder
from ..reference_node.ergo.enp.layouts import FIXED_WIDTH_CODES, LAYOUTS
from .faults import ClassFault
from .mutant import Area

FIELDS = Area("fields")
WORD: Final = 8
Change = Callable[[bytes], bytes]


def reversed_bytes(data: bytes) -> bytes:
    """Returns a number, or each of three words, in little-endian order."""
    return b"".join(data[at : at + WORD][::-1] for at in range(0, len(data), WORD))


def one_more(data: bytes) -> bytes:
    """Returns the next number."""
    return ((int.from_bytes(data, "big") + 1) % (1 << 8 * len(data))).to_bytes(len(data), "big")


def place_of(type_: FrameType, wanted: str) -> slice:
    """Returns the place of a field of fixed width that only such fields precede."""
    at = HEADER_LENGTH
    for name, code in LAYOUTS[type_]:
        width = calcsize(f">{FIXED_WIDTH_CODES[code]}")
        if name == wanted:
            return slice(at, at + width)
        at += width
    raise KeyError(wanted)


def changed(data: bytes, type_: FrameType, place: slice, change: Change) -> bytes:
    """Returns a frame with one field changed if it is of this type."""
    if data[HEADER_LENGTH - 1] != type_ or len(data) < place.stop:
        return data
    return data[: place.start] + change(data[place]) + data[place.stop :]


def written(type_: FrameType, field: str, change: Change) -> type[FrameEncoder]:
    """Returns an encoder that writes one field of one frame type wrongly."""
    place = place_of(type_, field)

    class Wrong(FrameEncoder):
        def write(self, frame: Frame) -> bytes:
            return changed(super().write(frame), type_, place, change)

    return Wrong


def read(type_: FrameType, field: str, change: Change) -> type[FrameDecoder]:
    """Returns a decoder that reads one field of one frame type wrongly."""
    place = place_of(type_, field)

    class Wrong(FrameDecoder):
        def read_framed(self, frame: bytes) -> Any:
            return super().read_framed(changed(frame, type_, place, change))

    return Wrong


HOW: Final[dict[Change, tuple[str, str]]] = {
    reversed_bytes: ("little_endian", "in little-endian order"),
    one_more: ("off_by_one", "one too large"),
}


def declare(
    make: Callable[[FrameType, str, Change], type], name: str, change: Change, *found_by: str, also: str = ""
) -> None:
    """Declares the mutant that writes or reads a field wrongly.

    `name`: frame type and field; `also`: a violated requirement besides that about the frame type.
    """
    type_name, _, field = name.partition(".")
    type_ = FrameType[type_name]
    suffix, text = HOW[change]
    verb = "Writes" if make is written else "Reads"
    FIELDS.add(
        f"{make.__name__}_{type_name.lower()}_{field}_{suffix}",
        f"{verb} the field {field} of a frame of type {type_:d} {text}.",
        ClassFault(make(type_, field, change)),
        *filter(None, (f"ENP-T-{type_:d}", also)),
        found_by=found_by,
    )


# --- written ----------------------------------------------------------------------------------------------------------

declare(
    written,
    "RESPONSE.to_id",
    reversed_bytes,
    "proto.calls.error_as_a_value",
    "proto.calls.no_reply",
    "node.watching.down_while_waiting",
    "proto.layout.numbers_of_a_call",
)
declare(
    written,
    "RESPONSE.ref",
    reversed_bytes,
    "proto.layout.numbers_of_a_call",
    "proto.calls.late_answer",
    "proto.calls.many_calls_of_one",
)
declare(written, "RESPONSE.from_id", one_more, "proto.calls.call[*]")
declare(
    written,
    "RESPONSE_ERROR.to_id",
    reversed_bytes,
    "proto.layout.numbers_of_an_acknowledgement",
    "proto.important.delivered[*]",
)
declare(
    written,
    "RESPONSE_ERROR.ref",
    reversed_bytes,
    "proto.layout.numbers_of_an_acknowledgement",
    "proto.calls.error[*]",
    "proto.calls.registered_error",
)
declare(
    written,
    "MESSAGE_PID.to_id",
    reversed_bytes,
    "proto.layout.numbers_of_a_message",
    "proto.delivery.by_name",
    "proto.delivery.by_pid",
    "proto.delivery.by_cached_name[*]",
    "proto.delivery.sizes",
)
declare(written, "MESSAGE_PID.from_id", one_more, "proto.layout.numbers_of_a_message", "node.spawn.spawned")
declare(written, "EVENT.timestamp", reversed_bytes, "node.events.same_timestamps", also="ENP-EVT-1")
declare(written, "EVENT.from_id", one_more, "node.events.published[*]")
declare(
    written,
    "TERMINATE_PID.id",
    reversed_bytes,
    "node.links.end_is_told[*-pid]",
    "node.links.each_address",
    "node.links.reason[*]",
)
declare(
    written, "TERMINATE_ALIAS.alias", reversed_bytes, "node.links.end_is_told[*-alias]", "node.links.alias_given_up[*]"
)
declare(written, "EXIT.to_id", reversed_bytes, "node.sending.exit")
declare(written, "EXIT.from_id", one_more, "node.sending.exit")
declare(written, "REQUEST_PID.to_id", one_more, "node.calling.call[pid]", "node.calling.important_call")
declare(written, "MESSAGE_ALIAS.to_alias", reversed_bytes, "node.sending.send[alias]")
declare(written, "REQUEST_ALIAS.to_alias", reversed_bytes, "node.calling.call[alias]")
declare(written, "TERMINATE_NAME_CACHE.name", one_more, "node.links.cached_name")
declare(written, "TERMINATE_EVENT_CACHE.name", reversed_bytes, "node.events.end_of_a_cached_name")
declare(written, "EVENT_CACHE.name", one_more, "node.events.cached_name")

# --- read -------------------------------------------------------------------------------------------------------------

declare(read, "MESSAGE_PID.to_id", reversed_bytes, "proto.delivery.by_pid", "proto.important.delivered[pid]")
declare(read, "MESSAGE_PID.from_id", reversed_bytes, "proto.delivery.by_pid")
declare(
    read,
    "MESSAGE_NAME.from_id",
    reversed_bytes,
    "proto.delivery.by_name",
    "proto.order.order_bytes_at_random",
    "proto.layout.numbers_of_a_message",
    "proto.delivery.back_to_the_right_node",
)
declare(
    read,
    "MESSAGE_NAME.mid",
    reversed_bytes,
    "proto.layout.numbers_of_an_acknowledgement",
    "proto.important.same_id_of_two_senders",
    "proto.second_use.message_id",
    also="ENP-IMP-2",
)
declare(
    read,
    "MESSAGE_NAME_CACHE.to_name",
    reversed_bytes,
    "proto.delivery.by_cached_name[*_1]",
    "proto.delivery.by_cached_name[*_256]",
)
declare(
    read,
    "REQUEST_NAME_CACHE.to_name",
    reversed_bytes,
    "proto.calls.call[cached_name]",
    "proto.layout.first_and_last_ids",
    "proto.pool.every_link_serves[*]",
)
declare(read, "REQUEST_PID.to_id", reversed_bytes, "proto.calls.call[pid]", "proto.calls.own_pid")
declare(read, "REQUEST_ALIAS.to_alias", reversed_bytes, "node.links.reached_by_alias")
declare(read, "MESSAGE_ALIAS.to_alias", reversed_bytes, "node.links.important_by_alias", "node.links.reached_by_alias")
declare(
    read,
    "EXIT.to_id",
    reversed_bytes,
    "node.answers.trapped_exit[*]",
    "node.spawn.exit_signal[*]",
    "node.sending.trapped_exit",
)
declare(
    read,
    "RESPONSE.ref",
    reversed_bytes,
    "node.calling.call[*]",
    "node.answers.compressed[*]",
    "node.answers.over_another_socket[*]",
)
declare(
    read,
    "RESPONSE.to_id",
    reversed_bytes,
    "node.calling.call[*]",
    "node.calling.important_call",
    "node.calling.priority_of_a_call[*]",
    also="ENP-REQ-7",
)
declare(read, "RESPONSE_ERROR.ref", reversed_bytes, "node.calling.call_fails[*]", "node.calling.important[*]")
declare(
    read,
    "RESPONSE_ERROR.to_id",
    reversed_bytes,
    "node.calling.important_fails[*]",
    "node.calling.ids_differ",
    also="ENP-IMP-5",
)
declare(
    read,
    "TERMINATE_PID.id",
    reversed_bytes,
    "node.watching.told_of_the_end[*-pid]",
    "node.watching.both_are_told",
    also="ENP-TERM-6",
)
declare(
    read,
    "TERMINATE_ALIAS.alias",
    reversed_bytes,
    "node.watching.told_of_the_end[*-alias]",
    "node.watching_twice.equal_target_of_another_node[alias]",
    also="ENP-TERM-6",
)
declare(read, "TERMINATE_NAME_CACHE.name", reversed_bytes, "node.watching.told_by_a_cached_name[*]")
declare(read, "EVENT_CACHE.name", reversed_bytes, "node.watching.gets_it_by_a_cached_name")
declare(
    read,
    "COMPRESSED.length",
    reversed_bytes,
    "proto.compression.unpacked[*]",
    "proto.compression.sizes[*]",
    "proto.compression.levels[*]",
    also="ENP-Z-1",
)
declare(
    read,
    "COMPRESSED.length",
    one_more,
    "proto.compression.important_request",
    "proto.compression.inner_order_byte",
    "proto.compression.order_of_plain_and_compressed",
    also="ENP-Z-1",
)
