"""Frames: the header, one class per frame type, the table of types."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol, Self

from .fields import (  # fmt: skip
    U8,
    U64,
    CachedName,
    CodeError,
    ControlMessage,
    FieldKind,
    MessageId,
    Name,
    PriorityByte,
    Reason,
    ResponseCode,
    Stream,
    ThreeWords,
    Timestamp,
    UnpackedLength,
    Value,
    kinds_of,
)

# --- header -----------------------------------------------------------------------------------------------------------
MAGIC: Final = 78
VERSION: Final = 1
HEADER_LENGTH: Final = 8  # magic, version, u32 length of the whole frame, order, type
PROTOCOL: Final = "ENP"
RELEASE: Final = "R1"
ORDER_MODULUS: Final = 255
"""An id modulo this chooses the order byte and the socket; order 0 means unordered (ENP-ORD-1, -2)."""

# --- frames -----------------------------------------------------------------------------------------------------------
# `order` is the header's byte, `priority` the whole byte with its important bit. `mid` (message id) counts only with that
# bit; without it this project's writers send 0, and readers ignore the field (ENP-PID-1). A cached name is resolved: only the
# class tells that the name was sent as an id of the sender's atom cache.


class Frame(Protocol):
    """A value of any frame class."""

    @property
    def order(self) -> int: ...


class MessagePID(NamedTuple):
    """A message to a process by its number."""

    order: int
    from_id: U64
    priority: PriorityByte
    mid: MessageId
    to_id: U64
    payload: Value


class MessageName(NamedTuple):
    """A message to a process by its registered name."""

    order: int
    from_id: U64
    priority: PriorityByte
    mid: MessageId
    to_name: Name
    payload: Value


class MessageNameCache(MessageName):
    """A message to a process by its cached name."""

    __slots__ = ()
    to_name: CachedName


class MessageAlias(NamedTuple):
    """A message to a process by one of its aliases."""

    order: int
    from_id: U64
    priority: PriorityByte
    mid: MessageId
    to_alias: ThreeWords
    payload: Value


class EventFrame(NamedTuple):
    """An event that the process `from_id` published under a name of its node; `timestamp` in Unix nanoseconds."""

    order: int
    from_id: U64
    priority: U8
    timestamp: Timestamp
    name: Name
    payload: Value


class EventCacheFrame(EventFrame):
    """A published event with a cached name."""

    __slots__ = ()
    name: CachedName


class Exit(NamedTuple):
    """An exit signal."""

    order: int
    from_id: U64
    priority: U8
    to_id: U64
    reason: Reason


class RequestPID(NamedTuple):
    """A call of a process by its number; the answer repeats `ref`."""

    order: int
    from_id: U64
    priority: PriorityByte
    ref: ThreeWords
    to_id: U64
    payload: Value


class RequestName(NamedTuple):
    """A call of a process by its registered name."""

    order: int
    from_id: U64
    priority: PriorityByte
    ref: ThreeWords
    to_name: Name
    payload: Value


class RequestNameCache(RequestName):
    """A call of a process by its cached name."""

    __slots__ = ()
    to_name: CachedName


class RequestAlias(NamedTuple):
    """A call of a process by one of its aliases."""

    order: int
    from_id: U64
    priority: PriorityByte
    ref: ThreeWords
    to_alias: ThreeWords
    payload: Value


class Response(NamedTuple):
    """The answer to a call."""

    order: int
    from_id: U64
    priority: PriorityByte
    to_id: U64
    ref: ThreeWords
    payload: Value


class ResponseError(NamedTuple):
    """The error that answers a call, or the result of an important message. `error` only with Code.OTHER."""

    order: int
    from_id: U64
    priority: PriorityByte
    to_id: U64
    ref: ThreeWords
    code: ResponseCode
    error: CodeError


class TerminatePID(NamedTuple):
    """A linked or monitored process has ended."""

    order: int
    priority: U8
    id: U64
    reason: Reason


class TerminateName(NamedTuple):
    """A linked or monitored name has ended."""

    order: int
    priority: U8
    name: Name
    reason: Reason


class TerminateNameCache(TerminateName):
    """A linked or monitored name, cached, has ended."""

    __slots__ = ()
    name: CachedName


class TerminateAlias(NamedTuple):
    """A linked or monitored alias has ended."""

    order: int
    priority: U8
    alias: ThreeWords
    reason: Reason


class TerminateEvent(TerminateName):
    """A linked or monitored event has ended."""

    __slots__ = ()


class TerminateEventCache(TerminateName):
    """A linked or monitored event, its name cached, has ended."""

    __slots__ = ()
    name: CachedName


class Control(NamedTuple):
    """A control message: link, monitor, spawn, …, or the Result of one."""

    order: int
    message: ControlMessage


class Compressed(NamedTuple):
    """Another frame, compressed; `length`: its bytes when unpacked, header included."""

    order: int
    algorithm: U8
    length: UnpackedLength
    stream: Stream


# --- table of types ---------------------------------------------------------------------------------------------------


class FrameType(IntEnum):
    """Last byte of the header. A row has the number of the type and the class of its values."""

    value_class: type[Any]
    kinds: Mapping[str, FieldKind]
    """The fields behind the header, in wire order."""

    MESSAGE_PID = 101, MessagePID
    MESSAGE_NAME = 102, MessageName
    MESSAGE_NAME_CACHE = 103, MessageNameCache
    MESSAGE_ALIAS = 104, MessageAlias
    EVENT = 105, EventFrame
    EVENT_CACHE = 106, EventCacheFrame
    EXIT = 107, Exit

    REQUEST_PID = 121, RequestPID
    REQUEST_NAME = 122, RequestName
    REQUEST_NAME_CACHE = 123, RequestNameCache
    REQUEST_ALIAS = 124, RequestAlias
    RESPONSE = 129, Response
    RESPONSE_ERROR = 130, ResponseError

    TERMINATE_PID = 181, TerminatePID
    TERMINATE_NAME = 182, TerminateName
    TERMINATE_NAME_CACHE = 183, TerminateNameCache
    TERMINATE_ALIAS = 184, TerminateAlias
    TERMINATE_EVENT = 185, TerminateEvent
    TERMINATE_EVENT_CACHE = 186, TerminateEventCache

    CONTROL = 199, Control
    COMPRESSED = 200, Compressed

    def __new__(cls, number: int, value_class: type[Any] = tuple) -> Self:
        # The default is never used: with it, type checkers accept the lookup `FrameType(101)`.
        row = int.__new__(cls, number)
        row._value_ = number
        row.value_class = value_class
        row.kinds = kinds_of(value_class)
        return row


RESERVED: Final = (201, 202, 203)
"""Types that have a name and no meaning up to 3.1: readers treat them as unknown."""
NEWEST_TYPES: Final = (99, 131, 204, 208, 209)
"""Types of releases from 3.2 on; unknown to those before."""

CLASSES: Final[Mapping[FrameType, type[Any]]] = {type_: type_.value_class for type_ in FrameType}
TYPES: Final[Mapping[type[Any], FrameType]] = {cls: type_ for type_, cls in CLASSES.items()}

MAY_BE_IMPORTANT: Final = frozenset(type_ for type_ in FrameType if FieldKind.MESSAGE_ID in type_.kinds.values())
"""Frames with a `mid` that counts only if the important bit is set."""
MID: Final = slice(17, 25)
"""Bytes of `mid` in those frames."""
COMPRESSIBLE: Final = frozenset(type_ for type_ in FrameType if FieldKind.VALUE in type_.kinds.values())
"""Frames that a sender may compress: those with a payload (ENP-Z-3)."""
