"""Fields of frames: the kinds of field, the priority byte, the codes of a ResponseError.

A frame class annotates each field behind the header with one of the types below. An annotation names the kind of
a field; `spec` and the node's codec each define the bytes of a kind.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum, auto
from typing import Annotated, Any, Final, get_args, get_type_hints

from ...values import Atom
from ...values import Error as ErrorValue
from .. import error_values


class FieldKind(Enum):
    """Kind of a field: determines its layout in bytes."""

    U8 = auto()
    U64 = auto()
    WORDS = auto()  # three u64
    PRIORITY = auto()  # u8
    MESSAGE_ID = auto()  # u64
    TIMESTAMP = auto()  # i64
    NAME = auto()  # u8 length and text
    CACHED_NAME = auto()  # u16, an id of the sender's atom cache
    VALUE = auto()  # one EDF value
    ERROR = auto()  # one EDF value that is an error
    CONTROL_MESSAGE = auto()  # one EDF value that is a control message
    CODE = auto()  # u8, a Code
    CODE_ERROR = auto()  # an EDF error behind Code.OTHER, else no bytes
    UNPACKED_LENGTH = auto()  # u32
    STREAM = auto()  # all bytes up to the end of the frame


EDF_KINDS: Final = frozenset({FieldKind.VALUE, FieldKind.ERROR, FieldKind.CONTROL_MESSAGE, FieldKind.CODE_ERROR})
"""Kinds whose bytes are an EDF value."""
NAME_KINDS: Final = frozenset({FieldKind.NAME, FieldKind.CACHED_NAME})
"""Kinds whose value is a name; CACHED_NAME is resolved when it is read."""

Words = tuple[int, int, int]

U8 = Annotated[int, FieldKind.U8]
U64 = Annotated[int, FieldKind.U64]
ThreeWords = Annotated[Words, FieldKind.WORDS]
PriorityByte = Annotated[int, FieldKind.PRIORITY]
MessageId = Annotated[int, FieldKind.MESSAGE_ID]
Timestamp = Annotated[int, FieldKind.TIMESTAMP]
Name = Annotated[Atom, FieldKind.NAME]
CachedName = Annotated[Atom, FieldKind.CACHED_NAME]
Value = Annotated[Any, FieldKind.VALUE]
Reason = Annotated[ErrorValue, FieldKind.ERROR]
ControlMessage = Annotated[Any, FieldKind.CONTROL_MESSAGE]
ResponseCode = Annotated[int, FieldKind.CODE]
CodeError = Annotated[ErrorValue | None, FieldKind.CODE_ERROR]
UnpackedLength = Annotated[int, FieldKind.UNPACKED_LENGTH]
Stream = Annotated[bytes, FieldKind.STREAM]


def kinds_of(frame_class: type[Any]) -> Mapping[str, FieldKind]:
    """Returns the fields of a frame class behind the header, in wire order, with their kinds."""
    hints = get_type_hints(frame_class, include_extras=True)
    return {name: kind for name in frame_class._fields for kind in get_args(hints[name]) if isinstance(kind, FieldKind)}


# --- priority byte ----------------------------------------------------------------------------------------------------
class Priority(IntEnum):
    """Low two bits of the priority byte: which queue of the mailbox. 3 counts as NORMAL."""

    NORMAL = 0
    HIGH = 1
    MAX = 2


PRIORITY_MASK: Final = 3
IMPORTANT: Final = 0x80
"""Bit of the priority byte: the receiver answers whether it delivered (ENP-IMP-2)."""
PRIORITIES: Final = tuple(
    Priority(byte & PRIORITY_MASK) if byte & PRIORITY_MASK <= Priority.MAX else Priority.NORMAL for byte in range(256)
)
"""The priority in each priority byte."""


# --- codes ------------------------------------------------------------------------------------------------------------
class Code(IntEnum):
    """Result that a ResponseError reports. OTHER: an EDF error follows."""

    DELIVERED = 0
    PROCESS_UNKNOWN = 1
    MAILBOX_FULL = 2
    PROCESS_TERMINATED = 3
    OTHER = 255


CODE_ERRORS: Final[Mapping[Code, ErrorValue]] = {
    Code.PROCESS_UNKNOWN: error_values.PROCESS_UNKNOWN,
    Code.MAILBOX_FULL: error_values.MAILBOX_FULL,
    Code.PROCESS_TERMINATED: error_values.PROCESS_TERMINATED,
}
"""The errors that have a code."""
CODES: Final = frozenset(Code)
