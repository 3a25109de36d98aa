"""ESRD R1: the schema of a packet, the same over TCP and UDP (protocol documents: ESRD-FR-…, ESRD-PL-…)."""

from collections.abc import Sequence
from typing import Any, Final

from ...errors import Reason, Rejected
from ...model.ergo import esrd
from ...model.ergo.ehs import VERSION_ROW
from ...model.ergo.esrd import Message, PacketType
from ...model.registry import Registry
from ..combinators import U8, U16, Exactly
from ..interpreter import Composite, Label, Reader, Reading, RefusalError, Schema, Writer, Writing
from ..parse import Parsed, build, parse
from .edf import EdfContext, schemas

CONTEXT: Final = EdfContext(Registry([*esrd.MESSAGES, esrd.ROUTE, VERSION_ROW]))
"""Packets are written without caches and contain only the four messages."""
_VALUE: Final = schemas(CONTEXT.registry).value


class EsrdPacket(Composite):
    """Version, type, the length of the value alone, and the value, which must have exactly that length."""

    min_size = esrd.HEADER_LENGTH
    version = "version" / Exactly(U8, esrd.VERSION, Reason.MAGIC)

    def read_parts(self, io: Reader) -> Reading:
        yield None, self.version
        at = io.pos
        type_ = yield "type", U8
        if type_ not in esrd.CLASSES:
            raise RefusalError(Reason.UNKNOWN_FRAME, at, f"{type_}")
        n = yield "length", U16
        if n > io.left:
            raise RefusalError(Reason.END_OF_DATA, io.pos, f"{n} bytes needed, {io.left} left")
        outer_end, io.end = io.end, io.pos + n
        at = io.pos
        value = yield "message", _VALUE
        if type(value) is not esrd.CLASSES[PacketType(type_)]:
            raise RefusalError(Reason.UNEXPECTED, at, f"{type(value).__name__} in a packet of type {type_}")
        if io.pos != io.end:
            raise RefusalError(Reason.LEFTOVER, io.pos, f"{io.end - io.pos} bytes")
        io.end = outer_end
        return value

    def write_parts(self, value: Any, io: Writer) -> Writing:
        yield None, self.version, None
        yield "type", U8, esrd.TYPES[type(value)]
        at = len(io.out)
        yield "length", U16, 0
        yield "message", _VALUE, value
        io.out[at : at + 2] = (len(io.out) - at - 2).to_bytes(2, "big")

    def children(self) -> Sequence[tuple[Label, Schema]]:
        head = (("version", self.version), ("type", U8), ("length", U16))
        registered = schemas(CONTEXT.registry).registered
        return (*head, *((row.value_class.__name__, registered(row.name)) for row in esrd.MESSAGES))


PACKET: Final = EsrdPacket()


def read_packet(data: bytes, *, offset: int = 0, prefix: bool = False) -> Parsed | Rejected:
    """Reads one packet."""
    return parse(PACKET, data, CONTEXT, offset=offset, prefix=prefix)


def write_packet(message: Message) -> bytes:
    """Returns the packet of a message. Raises CannotEncode."""
    return build(PACKET, message, CONTEXT)


def packet_size(data: bytes) -> int | None:
    """Returns the size of the first packet according to its header; None if the header is incomplete."""
    if len(data) < esrd.HEADER_LENGTH:
        return None
    return esrd.HEADER_LENGTH + int.from_bytes(data[2 : esrd.HEADER_LENGTH], "big")
