"""Saturn R1: the schema of messages (protocol documents: SAT-FR-…), and the proofs of the token (SAT-HS-1, -2)."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

from ...errors import CannotEncode, Reason, Rejected
from ...model.ergo import records, saturn
from ...model.ergo.saturn import Message
from ...model.registry import Registry
from ..combinators import U8, U16, Exactly
from ..interpreter import Composite, Label, Reader, Reading, RefusalError, Schema, Writer, Writing
from ..parse import Parsed, build, parse
from .edf import EdfContext, schemas

CONTEXT: Final = EdfContext(Registry([*records.framework(), *saturn.MESSAGES]))
"""Messages are written without caches. Configuration values may be of any type that the framework registers."""
_VALUE: Final = schemas(CONTEXT.registry).value
CLASSES: Final = frozenset(row.value_class for row in saturn.MESSAGES)


class SaturnPacket(Composite):
    """Magic, version, the length of the value alone, and the value, which must have exactly that length."""

    min_size = saturn.HEADER_LENGTH
    magic = "magic" / Exactly(U8, saturn.MAGIC, Reason.MAGIC)
    version = "version" / Exactly(U8, saturn.VERSION, Reason.MAGIC)

    def read_parts(self, io: Reader) -> Reading:
        yield None, self.magic
        yield None, self.version
        n = yield "length", U16
        if n > io.left:
            raise RefusalError(Reason.END_OF_DATA, io.pos, f"{n} bytes needed, {io.left} left")
        outer_end, io.end = io.end, io.pos + n
        at = io.pos
        value = yield "message", _VALUE
        if type(value) not in CLASSES:
            raise RefusalError(Reason.UNEXPECTED, at, f"{type(value).__name__} is not a message of Saturn")
        if io.pos != io.end:
            raise RefusalError(Reason.LEFTOVER, io.pos, f"{io.end - io.pos} bytes")
        io.end = outer_end
        return value

    def write_parts(self, value: Any, io: Writer) -> Writing:
        yield None, self.magic, None
        yield None, self.version, None
        at = len(io.out)
        yield "length", U16, 0
        yield "message", _VALUE, value
        size = len(io.out) - at - 2
        if size > saturn.MAX_PAYLOAD:
            raise CannotEncode(f"a message of {size} bytes, at most {saturn.MAX_PAYLOAD} are allowed")
        io.out[at : at + 2] = size.to_bytes(2, "big")

    def children(self) -> Sequence[tuple[Label, Schema]]:
        head = (("magic", self.magic), ("version", self.version), ("length", U16))
        registered = schemas(CONTEXT.registry).registered
        return (*head, *((row.value_class.__name__, registered(row.name)) for row in saturn.MESSAGES))


PACKET: Final = SaturnPacket()


def read_packet(data: bytes, *, offset: int = 0, prefix: bool = False) -> Parsed | Rejected:
    """Reads one packet."""
    return parse(PACKET, data, CONTEXT, offset=offset, prefix=prefix)


def write_packet(message: Message) -> bytes:
    """Returns the packet of a message. Raises CannotEncode."""
    return build(PACKET, message, CONTEXT)


def packet_size(data: bytes, offset: int = 0) -> int | None:
    """Returns the size of the packet at `offset` according to its header; None if the header is incomplete."""
    if len(data) - offset < saturn.HEADER_LENGTH:
        return None
    return saturn.HEADER_LENGTH + int.from_bytes(data[offset + 2 : offset + 4], "big")


def proof(first: str, token: str) -> str:
    """Returns the proof of the token: of a client for its salt, of a server for the client's digest."""
    return sha256(f"{first}:{token}".encode("utf-8", "surrogateescape")).hexdigest()
