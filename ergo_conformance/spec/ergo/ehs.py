"""EHS R1: how a handshake frame looks, and what its digests are made of (protocol documents: EHS-…)."""

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


class Framed(Composite):
    """Magic, version, the length of the body alone, and the body, which has to end exactly there."""

    def __init__(self, magic: int, version: int, length: Number, longest: int, body: Schema) -> None:
        super().__init__()
        self.magic = "magic" / Exactly(U8, magic, Reason.MAGIC)
        self.version = "version" / Exactly(U8, version, Reason.MAGIC)
        self.length, self.longest, self.body = length, longest, "message" / body
        self.min_size = 2 + length.min_size

    def read_parts(self, io: Reader) -> Reading:
        yield None, self.magic
        yield None, self.version
        start = io.pos
        n = yield "length", self.length
        if n > self.longest:
            raise RefusalError(Reason.LENGTH, start, f"{n:,}, at most {self.longest:,} are allowed")
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
        if len(body) > self.longest:
            raise CannotEncode(f"a body of {len(body):,} bytes, at most {self.longest:,} are allowed")
        yield "length", self.length, len(body)
        io.write(body)

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return (("magic", self.magic), ("version", self.version), ("length", self.length), ("message", self.body))


class OneMessage(Composite):
    """One EDF value that is one of the four messages."""

    min_size = 1

    def read_parts(self, io: Reader) -> Reading:
        start = io.pos
        value = yield None, schemas(CONTEXT.registry).value
        if type(value) not in _CLASSES:
            raise RefusalError(Reason.UNEXPECTED, start, f"{type(value).__name__} is no handshake message")
        return value

    def write_parts(self, value: Any, io: Writer) -> Writing:
        yield None, schemas(CONTEXT.registry).value, value

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return [(row.value_class.__name__, schemas(CONTEXT.registry).registered(row.name)) for row in ehs.MESSAGES]


FRAME: Final = Framed(ehs.MAGIC, ehs.VERSION, U32, ehs.MAX_PAYLOAD, OneMessage())


def read_frame(data: bytes, *, offset: int = 0, prefix: bool = False) -> Parsed | Rejected:
    """One handshake message."""
    return parse(FRAME, data, CONTEXT, offset=offset, prefix=prefix)


def write_frame(message: Message) -> bytes:
    """A handshake message as it goes over the wire. Raises CannotEncode."""
    return build(FRAME, message, CONTEXT)


def frame_size(data: bytes) -> int | None:
    """Bytes of the frame that begins here, as its header states; None until the header is there."""
    if len(data) < ehs.HEADER_LENGTH:
        return None
    return ehs.HEADER_LENGTH + int.from_bytes(data[ehs.HEADER_LENGTH - 4 : ehs.HEADER_LENGTH], "big")


def digest(what: Digest, *, fingerprint: bytes = b"", **facts: str) -> str:
    """One of the handshake's digests as lower-case hex. `facts` are the texts its row names: salt1, cookie, …"""
    data = ":".join(facts[part] for part in what.parts).encode("utf-8", "surrogateescape")
    if what.fingerprint:
        data += fingerprint
    return hashlib.sha256(data).hexdigest()
