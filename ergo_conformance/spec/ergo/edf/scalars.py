"""The built-in types of EDF, without their descriptor."""

from collections.abc import Sequence
from typing import Any, Final

from construct import (
    Float32b,
    Float64b,
    Int8sb,
    Int16sb,
    Int16ub,
    Int32sb,
    Int64sb,
    Int64ub,
)  # fmt: skip

from ....errors import CannotEncode, Reason
from ....model.ergo import edf
from ....model.ergo.edf import Tag
from ....model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref, Time
from ...combinators import U8, U16, U32, CountedBytes, CountedText, Fields, InOrder, Number
from ...interpreter import Label, Leaf, Reader, RefusalError, Schema, Writer

I8: Final = Number(Int8sb)
I16: Final = Number(Int16sb)
I32: Final = Number(Int32sb)
I64: Final = Number(Int64sb)
U64: Final = Number(Int64ub)


class Bool(Leaf):
    """One byte: only 1 is true, anything else is false (EDF-BOOL-1)."""

    min_size = 1

    def read(self, io: Reader) -> Any:
        return U8.read(io) == 1

    def write(self, value: Any, io: Writer) -> None:
        if not isinstance(value, bool):
            raise CannotEncode(f"{value!r:.40} is not a bool")
        U8.write(int(value), io)


class AtomOrId(Leaf):
    """`u16 x`: up to 255 the length of the text that follows, above an id of the writer's atom cache (EDF-ATOM-1)."""

    min_size = 2

    def read(self, io: Reader) -> Any:
        start = io.pos
        x = U16.read(io)
        if x <= edf.MAX_ATOM:
            atom = Atom(io.read(x).decode("utf-8", "surrogateescape"))
        else:
            if x not in io.context.caches.atoms:
                raise RefusalError(Reason.UNKNOWN_ID, start, f"atom {x}")
            atom = io.context.caches.atoms[x]
        return io.context.local_atoms.get(atom, atom)

    def write(self, value: Any, io: Writer) -> None:
        mapped = io.context.caches.atom_mapping.get(value, value)
        if mapped in io.context.atom_ids:
            U16.write(io.context.atom_ids[mapped], io)
            return
        text = mapped.encode("utf-8", "surrogateescape")
        if len(text) > edf.MAX_ATOM:
            raise CannotEncode(f"atom of {len(text)} bytes, at most {edf.MAX_ATOM} are allowed")
        U16.write(len(text), io)
        io.write(text)


class ErrorOrId(Leaf):
    """`u16 x`: ffff is nil, below 8000 the length of the text, else an id of the writer's error cache (EDF-ERR-1)."""

    min_size = 2

    def read(self, io: Reader) -> Any:
        start = io.pos
        x = U16.read(io)
        if x == edf.NIL_ERROR:
            return None
        if x <= edf.MAX_ERROR:
            return Error(io.read(x).decode("utf-8", "surrogateescape"))
        if x not in io.context.caches.errors:
            raise RefusalError(Reason.UNKNOWN_ID, start, f"error {x}")
        return Error(io.context.caches.errors[x], registered=True)

    def write(self, value: Any, io: Writer) -> None:
        if value is None:
            U16.write(edf.NIL_ERROR, io)
            return
        if value.registered and value.text in io.context.error_ids:
            U16.write(io.context.error_ids[value.text], io)
            return
        text = value.text.encode("utf-8", "surrogateescape")
        if len(text) > edf.MAX_ERROR:
            raise CannotEncode(f"error text of {len(text)} bytes, at most {edf.MAX_ERROR} are allowed")
        U16.write(len(text), io)
        io.write(text)


_OFFSET_SECONDS: Final = I8


class TimeForm(Leaf):
    """A length and Go's binary form of an instant (EDF-TIME-1 to 3)."""

    min_size = 1
    version = U8
    seconds = I64  # since the year 1
    nanos = U32
    minutes = I16  # east of UTC; -1 means UTC

    def read(self, io: Reader) -> Any:
        start = io.pos
        n = U8.read(io)
        data = io.read(n)
        if not data:
            raise RefusalError(Reason.TIME, start, "no data")
        if data[0] not in edf.TIME_LENGTHS:
            raise RefusalError(Reason.TIME, start, "unsupported version")
        if n != edf.TIME_LENGTHS[data[0]]:
            raise RefusalError(Reason.TIME, start, "invalid length")
        io.pos = start + 1
        version, seconds = self.version.read(io), self.seconds.read(io)
        nanos, minutes = self.nanos.read(io), self.minutes.read(io)
        offset = 60 * minutes + (_OFFSET_SECONDS.read(io) if version == edf.TIME_V2 else 0)
        unix = seconds - edf.TIME_EPOCH
        if nanos > edf.MAX_NANOS:
            raise RefusalError(Reason.TIME, start, "nanoseconds out of range")
        if unix < -(2**63):
            raise RefusalError(Reason.TIME, start, "instant out of range")
        return Time(unix, nanos, None if offset == 60 * edf.TIME_UTC else offset)

    def write(self, value: Any, io: Writer) -> None:
        if not isinstance(value, Time) or not 0 <= value.nanos <= edf.MAX_NANOS:
            raise CannotEncode(f"{value!r:.60} is not a Time with 0 to {edf.MAX_NANOS:,} nanoseconds")
        minutes, seconds = edf.TIME_UTC, 0
        if value.offset is not None:
            sign = -1 if value.offset < 0 else 1
            minutes, seconds = (sign * part for part in divmod(abs(value.offset), 60))
            if minutes == edf.TIME_UTC:
                raise CannotEncode(f"zone offset of {value.offset} s has no binary form: it stands for UTC")
        version = edf.TIME_V2 if seconds else edf.TIME_V1
        U8.write(edf.TIME_LENGTHS[version], io)
        self.version.write(version, io)
        self.seconds.write(value.seconds + edf.TIME_EPOCH, io)
        self.nanos.write(value.nanos, io)
        self.minutes.write(minutes, io)
        if seconds:
            _OFFSET_SECONDS.write(seconds, io)

    def children(self) -> Sequence[tuple[Label, Schema]]:
        parts = ("version" / self.version, "seconds" / self.seconds, "nanos" / self.nanos, "minutes" / self.minutes)
        return [("length", U8), *((part.name, part) for part in parts)]


ATOM: Final = AtomOrId()
WORDS: Final = InOrder(U64, U64, U64)

SCALARS: Final[dict[Tag, Schema]] = {
    Tag.ATOM: ATOM,
    Tag.STRING: CountedText(U16),
    Tag.BINARY: CountedBytes(U32),
    Tag.FLOAT32: Number(Float32b),
    Tag.FLOAT64: Number(Float64b),
    Tag.BOOL: Bool(),
    Tag.INT8: I8,
    Tag.INT16: I16,
    Tag.INT32: I32,
    Tag.INT64: I64,
    Tag.INT: I64 * "eight bytes on every platform",
    Tag.UINT8: U8,
    Tag.UINT16: Number(Int16ub),
    Tag.UINT32: U32,
    Tag.UINT64: U64,
    Tag.UINT: U64 * "eight bytes on every platform",
    Tag.ERROR: ErrorOrId(),
    Tag.PID: Fields("node" / ATOM, "id" / U64, "creation" / I64, into=PID),
    Tag.PROCESS_ID: Fields("node" / ATOM, "name" / ATOM, into=ProcessID),
    Tag.ALIAS: Fields("node" / ATOM, "creation" / I64, "id" / WORDS, into=Alias),
    Tag.EVENT: Fields("node" / ATOM, "name" / ATOM, into=Event),
    Tag.REF: Fields("node" / ATOM, "creation" / I64, "id" / WORDS, into=Ref),
    Tag.TIME: TimeForm(),
}
"""The body of each scalar type, by its tag."""
