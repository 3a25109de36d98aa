"""The layout of every frame. The context is the EdfContext of the writer: frames carry ids of its atom cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ....errors import CannotEncode, Reason, Rejected
from ....model.ergo import enp
from ....model.ergo.enp import FieldKind, FrameType
from ....model.values import Atom, Error
from ...combinators import U8, U16, U32, Exactly, Fields
from ...interpreter import Composite, Label, Leaf, Reader, Reading, RefusalError, Schema, Writer, Writing
from ...parse import Parsed, build, parse
from ..edf import EdfContext, schemas
from ..edf.scalars import I64, U64, WORDS

# --- parts ------------------------------------------------------------------------------------------------------------


class NameField(Leaf):
    """`u8 n` and a name of n bytes (ENP-NAME-1)."""

    min_size = 1

    def read(self, io: Reader) -> Any:
        name = Atom(io.read(U8.read(io)).decode("utf-8", "surrogateescape"))
        return io.context.local_atoms.get(name, name)

    def write(self, value: Any, io: Writer) -> None:
        if not isinstance(value, str):
            raise CannotEncode(f"{value!r:.40} is not a name")
        text = io.context.caches.atom_mapping.get(value, value).encode("utf-8", "surrogateescape")
        if len(text) > enp.MAX_NAME:
            raise CannotEncode(f"name of {len(text)} bytes, at most {enp.MAX_NAME} are allowed")
        U8.write(len(text), io)
        io.write(text)


class CachedNameField(Leaf):
    """`u16 id` of the writer's atom cache; ids below 256 are valid here (ENP-NAME-2)."""

    min_size = 2

    def read(self, io: Reader) -> Any:
        start = io.pos
        id_ = U16.read(io)
        name = io.context.caches.atoms.get(id_)
        if name is None:
            raise RefusalError(Reason.UNKNOWN_ID, start, f"atom {id_}")
        return io.context.local_atoms.get(name, name)

    def write(self, value: Any, io: Writer) -> None:
        mapped = io.context.caches.atom_mapping.get(value, value)
        ids = [id_ for id_, atom in io.context.caches.atoms.items() if atom == mapped]
        if not ids:
            raise CannotEncode(f"{value!r} is not in the atom cache")
        U16.write(ids[-1], io)  # of two ids the one announced last, as in EDF


class ValueField(Composite):
    """One EDF value with its descriptor, written with the sender's caches."""

    min_size = 1

    def read_parts(self, io: Reader) -> Reading:
        start = io.pos
        value = yield None, schemas(io.context.registry).value
        self.check(value, start)
        return value

    def write_parts(self, value: Any, io: Writer) -> Writing:
        yield None, schemas(io.context.registry).value, value

    def check(self, value: Any, offset: int) -> None:
        """Refuses a value that the field does not allow."""


class ErrorField(ValueField):
    """An EDF value that is an error (ENP-EXIT-1)."""

    def check(self, value: Any, offset: int) -> None:
        if not isinstance(value, Error):
            raise RefusalError(Reason.UNEXPECTED, offset, f"{type(value).__name__}, expected an error")


class ControlField(ValueField):
    """An EDF value that is one of the control messages (ENP-ANY-2)."""

    def check(self, value: Any, offset: int) -> None:
        if type(value) not in CONTROL_CLASSES:
            raise RefusalError(Reason.UNEXPECTED, offset, f"{type(value).__name__} is not a control message")


class OutcomeField(Composite):
    """`u8 code`, and behind code 255 an EDF error. Its value is (code, error or None)."""

    min_size = 1

    def read_parts(self, io: Reader) -> Reading:
        start = io.pos
        code = yield "code", U8
        if code not in enp.CODES:
            raise RefusalError(Reason.UNEXPECTED, start, f"code {code}")
        return code, ((yield "error", REASON) if code == enp.Code.OTHER else None)

    def write_parts(self, value: Any, io: Writer) -> Writing:
        code, error = value
        yield "code", U8, code
        if error is not None:
            yield "error", REASON, error

    def children(self) -> Sequence[tuple[Label, Schema]]:
        return (("code", U8), ("error", REASON))


class StreamField(Leaf):
    """The bytes up to the end of the frame."""

    def read(self, io: Reader) -> Any:
        return io.read(io.left)

    def write(self, value: Any, io: Writer) -> None:
        io.write(value)


CONTROL_CLASSES: Final = frozenset(row.value_class for row in enp.CONTROL)
REASON: Final = ErrorField()
VALUE: Final = ValueField()

# --- bodies: the fields behind the header's eight bytes ---------------------------------------------------------------

FIELDS: Final[Mapping[FieldKind, Schema]] = {
    FieldKind.U8: U8,
    FieldKind.U64: U64,
    FieldKind.WORDS: WORDS,
    FieldKind.PRIORITY: U8 * "bits 0 and 1: priority; bit 7: important delivery",
    FieldKind.MESSAGE_ID: U64 * "message id; unspecified unless important",
    FieldKind.TIMESTAMP: I64 * "Unix nanoseconds",
    FieldKind.NAME: NameField(),
    FieldKind.CACHED_NAME: CachedNameField(),
    FieldKind.VALUE: VALUE,
    FieldKind.ERROR: REASON,
    FieldKind.CONTROL_MESSAGE: ControlField(),
    FieldKind.CODE: OutcomeField(),
    FieldKind.UNPACKED_LENGTH: U32 * "of the frame unpacked",
    FieldKind.STREAM: StreamField(),
}
"""The layout of each kind of field. CODE includes the CODE_ERROR behind it."""


def body(type_: FrameType) -> Fields:
    """Returns the layout behind the header of a frame type; its value is a tuple of the fields."""
    parts = (
        ("outcome" if kind is FieldKind.CODE else name) / FIELDS[kind]
        for name, kind in type_.kinds.items()
        if kind is not FieldKind.CODE_ERROR
    )
    return Fields(*parts, into=_as_tuple)


def _as_tuple(*values: Any) -> tuple[Any, ...]:
    return values


BODIES: Final[Mapping[FrameType, Fields]] = {type_: body(type_) for type_ in FrameType}


class EnpFrame(Composite):
    """Magic, version, the length of the whole frame, order, type, and the body of that type up to the end of the frame."""

    min_size = enp.HEADER_LENGTH
    magic = "magic" / Exactly(U8, enp.MAGIC, Reason.MAGIC)
    version = "version" / Exactly(U8, enp.VERSION, Reason.MAGIC)
    length = "length" / (U32 * "of the whole frame, these eight bytes included")

    def read_parts(self, io: Reader) -> Reading:
        start = io.pos
        yield None, self.magic
        yield None, self.version
        at = io.pos
        length = yield None, self.length
        if length < enp.HEADER_LENGTH:
            raise RefusalError(Reason.LENGTH, at, f"{length} bytes, at least {enp.HEADER_LENGTH} are needed")
        if start + length > io.end:
            raise RefusalError(Reason.END_OF_DATA, io.pos, f"a frame of {length:,} bytes, {io.end - start:,} left")
        self.check_end(start + length, io)
        outer_end, io.end = io.end, start + length
        order = yield "order", U8
        at = io.pos
        type_ = yield "type", U8
        self.check_type(type_, at)
        values = yield FrameType(type_).name, BODIES[type_]
        if io.pos != io.end:
            raise RefusalError(Reason.LEFTOVER, io.pos, f"{io.end - io.pos} bytes")
        io.end = outer_end
        return self._made(FrameType(type_), order, values)

    def check_end(self, end: int, io: Reader) -> None:
        """Refuses a frame with a wrong end."""

    def check_type(self, type_: int, offset: int) -> None:
        """Refuses an unknown type."""
        if type_ not in BODIES:
            raise RefusalError(Reason.UNKNOWN_FRAME, offset, f"{type_}")

    @staticmethod
    def _made(type_: FrameType, order: int, values: tuple[Any, ...]) -> Any:
        if type_ is FrameType.RESPONSE_ERROR:
            *values_, outcome = values
            values = (*values_, *outcome)
        return enp.CLASSES[type_](order, *values)

    def write_parts(self, value: Any, io: Writer) -> Writing:
        type_ = enp.TYPES[type(value)]
        order, *values = value
        if type_ is FrameType.RESPONSE_ERROR:
            *values, code, error = values
            values.append((code, error))
        start = len(io.out)
        yield None, self.magic, None
        yield None, self.version, None
        yield None, self.length, 0
        yield "order", U8, order
        yield "type", U8, type_
        yield type_.name, BODIES[type_], values
        io.out[start + 2 : start + 6] = (len(io.out) - start).to_bytes(4, "big")

    def children(self) -> Sequence[tuple[Label, Schema]]:
        head = (("magic", self.magic), ("version", self.version), ("length", self.length), ("order", U8), ("type", U8))
        return (*head, *((type_.name, body) for type_, body in BODIES.items()))


class InnerFrame(EnpFrame):
    """The frame inside a compressed one: all the unpacked bytes, and not compressed again (ENP-Z-1, -5)."""

    def check_end(self, end: int, io: Reader) -> None:
        if end != io.end:
            raise RefusalError(Reason.LEFTOVER, end, f"{io.end - end} bytes")

    def check_type(self, type_: int, offset: int) -> None:
        if type_ == FrameType.COMPRESSED:  # upstream unpacks without a limit
            raise RefusalError(Reason.COMPRESSION, offset, "a compressed frame in a compressed frame")
        super().check_type(type_, offset)


FRAME: Final = EnpFrame()
INNER: Final = InnerFrame()


def read_frame(data: bytes, context: EdfContext, *, offset: int = 0, prefix: bool = False) -> Parsed | Rejected:
    """Reads one frame that was written with this context."""
    return parse(FRAME, data, context, offset=offset, prefix=prefix)


def read_inner(data: bytes, context: EdfContext) -> Parsed | Rejected:
    """Reads the frame inside a compressed one."""
    return parse(INNER, data, context)


def write_frame(frame: enp.Frame, context: EdfContext) -> bytes:
    """Returns the bytes of a frame. Raises CannotEncode."""
    return build(FRAME, frame, context)


def frame_size(data: bytes, offset: int = 0) -> int | None:
    """Returns the size of the frame at `offset` according to its header; None if the header is incomplete."""
    if len(data) - offset < enp.HEADER_LENGTH:
        return None
    return int.from_bytes(data[offset + 2 : offset + 6], "big")
