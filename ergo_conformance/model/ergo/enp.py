"""ENP R1, the Ergo network protocol: frame types and their fields, priorities, codes, compression, control messages, limits.

Frames are back to back on every link of a connection.  A frame is a header of eight bytes, fields of fixed layout, and
for most types one EDF value up to its end.  Node names and creations are not in the frames: a frame comes from the peer
of the connection, and from its incarnation; what it is for belongs to the node that reads it.

The value classes below name the fields in wire order; how wide they are is written in `spec` and in the node's codec.

Sources: net/proto/{types,connection,enp}.go, gen/{node,process}.go, release 3.1.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum
from typing import Annotated, Any, Final, NamedTuple

from .. import types as t
from ..registry import Struct, struct_of
from ..types import Map, Reg
from ..values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from . import error_values
from .edf import FRAMEWORK

# --- frame ------------------------------------------------------------------------------------------------------------
MAGIC: Final = 78
VERSION: Final = 1
HEADER_LENGTH: Final = 8  # magic, version, u32 length of the whole frame, order, type
MAX_NAME: Final = 0xFF  # bytes of a name in a frame
PROTOCOL: Final = "ENP"
RELEASE: Final = "R1"

# --- deadlines, seconds -----------------------------------------------------------------------------------------------
REQUEST_TIMEOUT: Final = 5.0
"""Default wait for a Response, an acknowledgement, a Result."""
STALL_TIMEOUT: Final = 30.0
"""Own rule: a link whose peer takes no byte for this long, while some are waiting for it, is closed."""

# --- bounds (own rules) -----------------------------------------------------------------------------------------------
MAX_QUEUED: Final = 64 * 1024 * 1024
"""Bytes that may wait on one link for a peer that reads slowly, beside the longest frame among them; a link with more, before
a further frame, is closed."""
MAX_UNLIMITED: Final = 1 << 30
"""Bytes of a frame, unpacked or as it comes, where no limit is set. Nothing is reserved in advance."""

# --- order ------------------------------------------------------------------------------------------------------------
ORDER_MODULUS: Final = 255
"""An order byte, and the choice of a link, is an id modulo this; 0 is no order (ENP-ORD-1, -2)."""


class FrameType(IntEnum):
    """Last byte of the header."""

    MESSAGE_PID = 101
    MESSAGE_NAME = 102
    MESSAGE_NAME_CACHE = 103
    MESSAGE_ALIAS = 104
    EVENT = 105
    EVENT_CACHE = 106
    EXIT = 107

    REQUEST_PID = 121
    REQUEST_NAME = 122
    REQUEST_NAME_CACHE = 123
    REQUEST_ALIAS = 124
    RESPONSE = 129
    RESPONSE_ERROR = 130

    TERMINATE_PID = 181
    TERMINATE_NAME = 182
    TERMINATE_NAME_CACHE = 183
    TERMINATE_ALIAS = 184
    TERMINATE_EVENT = 185
    TERMINATE_EVENT_CACHE = 186

    CONTROL = 199
    COMPRESSED = 200


RESERVED: Final = (201, 202, 203)
"""Types with a name and without a meaning up to 3.1: read like unknown ones."""
NEWEST_TYPES: Final = (99, 131, 204, 208, 209)
"""Types of releases from 3.2 on; unknown to those before."""


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


class Code(IntEnum):
    """What a ResponseError says. OTHER: an EDF error follows."""

    DELIVERED = 0
    PROCESS_UNKNOWN = 1
    MAILBOX_FULL = 2
    PROCESS_TERMINATED = 3
    OTHER = 255


CODE_ERRORS: Final[Mapping[Code, Error]] = {
    Code.PROCESS_UNKNOWN: error_values.PROCESS_UNKNOWN,
    Code.MAILBOX_FULL: error_values.MAILBOX_FULL,
    Code.PROCESS_TERMINATED: error_values.PROCESS_TERMINATED,
}
"""The errors that have a code of their own."""
CODES: Final = frozenset(Code)


# --- compression ------------------------------------------------------------------------------------------------------
class Algorithm(IntEnum):
    """Byte 8 of a compressed frame. LZW: least significant bit first, 8-bit literals, codes of at most 12 bits."""

    LZW = 100
    ZLIB = 101
    GZIP = 102


ALGORITHMS: Final = frozenset(Algorithm)


class CompressionLevel(IntEnum):
    """gen.CompressionLevel; only gzip looks at it."""

    DEFAULT = 0
    BEST_SPEED = 1
    BEST_SIZE = 2


MIN_THRESHOLD: Final = 1024
"""Bytes: a frame is compressed if it is longer than the threshold, which is at least and by default this."""

LZW_LITERAL_BITS: Final = 8
LZW_MAX_BITS: Final = 12
LZW_CLEAR: Final = 1 << LZW_LITERAL_BITS
LZW_END: Final = LZW_CLEAR + 1

Words = tuple[int, int, int]

# --- frames -----------------------------------------------------------------------------------------------------------
# `order` is the header's byte, `priority` the whole byte with its important bit. `mid` (message id) counts only with that
# bit; without it an own writer sends 0 and a reader ignores what stands there (ENP-PID-1). A cached name is resolved: the
# class tells that it went as an id of the sender's atom cache.


class MessagePID(NamedTuple):
    """A message to a process by number."""

    order: int
    from_id: int
    priority: int
    mid: int
    to_id: int
    payload: Any


class MessageName(NamedTuple):
    """A message to a process by name."""

    order: int
    from_id: int
    priority: int
    mid: int
    to_name: Atom
    payload: Any


class MessageNameCache(MessageName):
    """The same with a cached name."""

    __slots__ = ()


class MessageAlias(NamedTuple):
    """A message to a process by alias."""

    order: int
    from_id: int
    priority: int
    mid: int
    to_alias: Words
    payload: Any


class EventFrame(NamedTuple):
    """What the process `from_id` published under a name of its node; `timestamp` in Unix nanoseconds."""

    order: int
    from_id: int
    priority: int
    timestamp: int
    name: Atom
    payload: Any


class EventCacheFrame(EventFrame):
    """The same with a cached name."""

    __slots__ = ()


class Exit(NamedTuple):
    """An exit signal."""

    order: int
    from_id: int
    priority: int
    to_id: int
    reason: Error


class RequestPID(NamedTuple):
    """A call of a process by number; the answer repeats `ref`."""

    order: int
    from_id: int
    priority: int
    ref: Words
    to_id: int
    payload: Any


class RequestName(NamedTuple):
    """A call of a process by name."""

    order: int
    from_id: int
    priority: int
    ref: Words
    to_name: Atom
    payload: Any


class RequestNameCache(RequestName):
    """The same with a cached name."""

    __slots__ = ()


class RequestAlias(NamedTuple):
    """A call of a process by alias."""

    order: int
    from_id: int
    priority: int
    ref: Words
    to_alias: Words
    payload: Any


class Response(NamedTuple):
    """The answer to a call."""

    order: int
    from_id: int
    priority: int
    to_id: int
    ref: Words
    payload: Any


class ResponseError(NamedTuple):
    """The answer to a call that failed, or what became of an important message. `error` only with Code.OTHER."""

    order: int
    from_id: int
    priority: int
    to_id: int
    ref: Words
    code: int
    error: Error | None


class TerminatePID(NamedTuple):
    """A watched process has ended."""

    order: int
    priority: int
    id: int
    reason: Error


class TerminateName(NamedTuple):
    """A watched name is gone."""

    order: int
    priority: int
    name: Atom
    reason: Error


class TerminateNameCache(TerminateName):
    """The same with a cached name."""

    __slots__ = ()


class TerminateAlias(NamedTuple):
    """A watched alias is gone."""

    order: int
    priority: int
    alias: Words
    reason: Error


class TerminateEvent(TerminateName):
    """A watched event is gone."""

    __slots__ = ()


class TerminateEventCache(TerminateName):
    """The same with a cached name."""

    __slots__ = ()


class Control(NamedTuple):
    """A control message: link, monitor, spawn, …, and the Result of one."""

    order: int
    message: Any


class Compressed(NamedTuple):
    """Another frame, compressed: `length` bytes when unpacked, header included."""

    order: int
    algorithm: int
    length: int
    stream: bytes


Frame = (
    MessagePID | MessageName | MessageAlias | EventFrame | Exit | RequestPID | RequestName | RequestAlias | Response
    | ResponseError | TerminatePID | TerminateName | TerminateAlias | Control | Compressed
)  # fmt: skip

CLASSES: Final[Mapping[FrameType, type[Any]]] = {
    FrameType.MESSAGE_PID: MessagePID,
    FrameType.MESSAGE_NAME: MessageName,
    FrameType.MESSAGE_NAME_CACHE: MessageNameCache,
    FrameType.MESSAGE_ALIAS: MessageAlias,
    FrameType.EVENT: EventFrame,
    FrameType.EVENT_CACHE: EventCacheFrame,
    FrameType.EXIT: Exit,
    FrameType.REQUEST_PID: RequestPID,
    FrameType.REQUEST_NAME: RequestName,
    FrameType.REQUEST_NAME_CACHE: RequestNameCache,
    FrameType.REQUEST_ALIAS: RequestAlias,
    FrameType.RESPONSE: Response,
    FrameType.RESPONSE_ERROR: ResponseError,
    FrameType.TERMINATE_PID: TerminatePID,
    FrameType.TERMINATE_NAME: TerminateName,
    FrameType.TERMINATE_NAME_CACHE: TerminateNameCache,
    FrameType.TERMINATE_ALIAS: TerminateAlias,
    FrameType.TERMINATE_EVENT: TerminateEvent,
    FrameType.TERMINATE_EVENT_CACHE: TerminateEventCache,
    FrameType.CONTROL: Control,
    FrameType.COMPRESSED: Compressed,
}
TYPES: Final[Mapping[type[Any], FrameType]] = {cls: type_ for type_, cls in CLASSES.items()}

MAY_BE_IMPORTANT: Final = frozenset({
    FrameType.MESSAGE_PID, FrameType.MESSAGE_NAME, FrameType.MESSAGE_NAME_CACHE, FrameType.MESSAGE_ALIAS,
})  # fmt: skip
"""Frames with a `mid` that counts only if the important bit is set."""
MID: Final = slice(17, 25)
"""Where it stands."""
COMPRESSIBLE: Final = frozenset(FrameType) - {
    FrameType.EXIT, FrameType.RESPONSE_ERROR, FrameType.TERMINATE_PID, FrameType.TERMINATE_NAME,
    FrameType.TERMINATE_NAME_CACHE, FrameType.TERMINATE_ALIAS, FrameType.TERMINATE_EVENT,
    FrameType.TERMINATE_EVENT_CACHE, FrameType.CONTROL, FrameType.COMPRESSED,
}  # fmt: skip
"""What a sender may compress (ENP-Z-3)."""

# --- control messages -------------------------------------------------------------------------------------------------
_PROTO: Final = FRAMEWORK + "net/proto/"


class RelationRequest(NamedTuple):
    """A request of a process (Source) about what it watches (Target)."""

    Source: PID
    Target: Any
    Ref: Ref


class Verb(Enum):
    """What a relation request asks for."""

    LINK = "Link"
    UNLINK = "Unlink"
    MONITOR = "Monitor"
    DEMONITOR = "Demonitor"


TARGETS: Final[Mapping[str, tuple[type, t.Scalar]]] = {
    "PID": (PID, t.PID),
    "ProcessID": (ProcessID, t.PROCESS_ID),
    "Alias": (Alias, t.ALIAS),
    "Event": (Event, t.EVENT),
}
"""What can be watched: the class of the value and its EDF type, by the word in a message's name."""


def _relation(verb: Verb, word: str) -> Struct:
    name = f"Message{verb.value}{word}"
    cls = type(name, (RelationRequest,), {"__slots__": (), "__doc__": f"{verb.value} a target of kind {word}."})
    return Struct(_PROTO + name, (("Source", t.PID), ("Target", TARGETS[word][1]), ("Ref", t.REF)), cls)


_ORDERED: Final = tuple(
    (verb, word)
    for pair in ((Verb.LINK, Verb.UNLINK), (Verb.MONITOR, Verb.DEMONITOR))
    for word in TARGETS
    for verb in pair
)  # in the order of registration
RELATIONS: Final[Mapping[tuple[Verb, str], Struct]] = {key: _relation(*key) for key in _ORDERED}
"""The sixteen relation requests."""


class Spawn(NamedTuple):
    """Start a process of the factory `Name`. `Options` is a gen.ProcessOptionsExtra."""

    Name: Annotated[Atom, t.ATOM]
    Options: Annotated[Any, Reg(FRAMEWORK + "gen/ProcessOptionsExtra")]
    Ref: Annotated[Ref, t.REF]


class ApplicationStart(NamedTuple):
    """Start an application; mode 0 is its own. `Options` is a gen.ApplicationOptionsExtra."""

    Name: Annotated[Atom, t.ATOM]
    Mode: Annotated[int, Reg(FRAMEWORK + "gen/ApplicationMode")]
    Options: Annotated[Any, Reg(FRAMEWORK + "gen/ApplicationOptionsExtra")]
    Ref: Annotated[Ref, t.REF]


class UpdateCache(NamedTuple):
    """Further ids in what the sender is going to write."""

    AtomCache: Annotated[dict[int, Atom] | None, Map(t.UINT16, t.ATOM)]
    AtomMapping: Annotated[dict[Atom, Atom] | None, Map(t.ATOM, t.ATOM)]
    RegCache: Annotated[dict[int, str] | None, Map(t.UINT16, t.STRING)]
    ErrCache: Annotated[dict[int, Error | None] | None, Map(t.UINT16, t.ERROR)]
    Ref: Annotated[Ref, t.REF]


class Result(NamedTuple):
    """The one answer to a control request."""

    Error: Annotated[Error | None, t.ERROR]
    Result: Annotated[Any, t.ANY]
    Ref: Annotated[Ref, t.REF]


SPAWN: Final = struct_of(Spawn, _PROTO + "MessageSpawn")
APPLICATION_START: Final = struct_of(ApplicationStart, _PROTO + "MessageApplicationStart")
UPDATE_CACHE: Final = struct_of(UpdateCache, _PROTO + "MessageUpdateCache")
RESULT: Final = struct_of(Result, _PROTO + "MessageResult")
CONTROL: Final[tuple[Struct, ...]] = (*RELATIONS.values(), SPAWN, APPLICATION_START, UPDATE_CACHE, RESULT)
"""All control messages, in the order of registration."""
