"""EHS R1: the schema of handshake frames, and the digests (protocol documents: EHS-…)."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from ...errors import CannotEncode, Reason, Rejected
from ...model.ergo import ehs
from ...model.ergo.ehs import Digest, Message
from ...model.ergo.records import framework
from ..combinators import U8, U32, Exactly, Number
from ..interpreter import Composite, Label, Reader, Reading, RefusalError, Schema, Writer, Writing
from ..parse import Parsed, build, parse
from .edf import EdfContext, schemas

CONTEXT: Final = EdfContext(framework())
"""Handshake messages are written without any cache (EHS-FRAME-2)."""

_CLASSES: Final = tuple(row.value_class for row in ehs.MESSAGES)


class HandshakeFrame(Composite):
    """Magic, version, the length of the body alone, and the body, which must have exactly that length."""

    def __init__(self, magic: int, version: int, length: Number, max_size: int, body: Schema) -> None:
        super().__init__()
        self.magic = "magic" / Exactly(U8, magic, Reason.MAGIC)
        self.version = "version" / Exactly(U8, version, Reason.MAGIC)
        self.length, self.max_size, self.body = length, max_size, "message" / body
        self.min_size = 2 + length.min_size

    def read_parts(self, io: Reader) -> Reading:
        yield None, self.magic
        yield None, self.version
        start = io.pos
        n = yield "length", self.length
        if n > self.max_size:
            raise RefusalError(Reason.LENGTH, start, f"{n:,} bytes, at most {self.max_size:,} are allowed")
        if n > io.left:
            raise RefusalError(Reason.END_OF_DATA, io.pos, f"{n} bytes needed, {io.left} left")
        outer_end, io.end = io.end, io.pos + n
        value = yield None, self.body
        if io.pos != io.end:
            raise RefusalError(Reason.LEFTOVER, io.pos, f"{io.end - io.pos} bytes")
        io.end = outer_end
        return value

    def write_parts(self, value: Any, io: Writer) -> Writing:
        yield None, self.magic, None
        yield None, self.version, None
        body = build(self.body, value, io.context)
        if len(body) > self.max_size:
            raise CannotEncode(f"a body of {len(body):,} bytes, at most {self.max_size:,} are allowed")
        yield "length", self.length, len(body)
        io.write(body)

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return (("magic", self.magic), ("version", self.version), ("length", self.length), ("message", self.body))


class HandshakeMessage(Composite):
    """One EDF value that is one of the four handshake messages."""

    min_size = 1

    def read_parts(self, io: Reader) -> Reading:
        start = io.pos
        value = yield None, schemas(CONTEXT.registry).value
        if type(value) not in _CLASSES:
            raise RefusalError(Reason.UNEXPECTED, start, f"{type(value).__name__} is not a handshake message")
        return value

    def write_parts(self, value: Any, io: Writer) -> Writing:
        yield None, schemas(CONTEXT.registry).value, value

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return [(row.value_class.__name__, schemas(CONTEXT.registry).registered(row.name)) for row in ehs.MESSAGES]


FRAME: Final = HandshakeFrame(ehs.MAGIC, ehs.VERSION, U32, ehs.MAX_PAYLOAD, HandshakeMessage())


def read_frame(data: bytes, *, offset: int = 0, prefix: bool = False) -> Parsed | Rejected:
    """Reads one handshake message."""
    return parse(FRAME, data, CONTEXT, offset=offset, prefix=prefix)


def write_frame(message: Message) -> bytes:
    """Returns the frame of a handshake message. Raises CannotEncode."""
    return build(FRAME, message, CONTEXT)


def frame_size(data: bytes) -> int | None:
    """Returns the size of the first frame according to its header; None if the header is incomplete."""
    if len(data) < ehs.HEADER_LENGTH:
        return None
    return ehs.HEADER_LENGTH + int.from_bytes(data[ehs.HEADER_LENGTH - 4 : ehs.HEADER_LENGTH], "big")


def digest(what: Digest, *, fingerprint: bytes = b"", **facts: str) -> str:
    """Returns a digest as lower-case hex. `facts`: the texts that its row names, such as salt1 and cookie."""
    data = ":".join(facts[part] for part in what.parts).encode("utf-8", "surrogateescape")
    if what.fingerprint:
        data += fingerprint
    return hashlib.sha256(data).hexdigest()
