"""Records of package gen that the node itself reads and writes: options of processes and applications, events.

`records.ROWS` has them all in the order of registration; these have classes of their own because code names their fields.
"""

from typing import Annotated, Any, Final, NamedTuple

from .. import types as t
from ..registry import struct_of
from ..types import ANY, Map, Reg, Slice
from ..values import PID, Atom, Event
from .edf import FRAMEWORK

_GEN: Final = FRAMEWORK + "gen/"
ENV: Final = Map(Reg(_GEN + "Env"), ANY)
NO_PID: Final = PID(Atom(""), 0, 0)
"""The zero PID: no process."""


class Compression(NamedTuple):
    """A process's compression. `Type`: gzip, zlib, lzw; `Threshold` in bytes."""

    Enable: Annotated[bool, t.BOOL] = False
    Type: Annotated[str, Reg(_GEN + "CompressionType")] = ""
    Level: Annotated[int, Reg(_GEN + "CompressionLevel")] = 0
    Threshold: Annotated[int, t.INT] = 0


class ProcessFallback(NamedTuple):
    """Who gets what does not fit the mailbox."""

    Enable: Annotated[bool, t.BOOL] = False
    Name: Annotated[Atom, t.ATOM] = Atom("")
    Tag: Annotated[str, t.STRING] = ""


NO_COMPRESSION: Final = Compression()
NO_FALLBACK: Final = ProcessFallback()


class ProcessOptions(NamedTuple):
    """What a parent asks for. `LogLevel` 0: the parent's."""

    MailboxSize: Annotated[int, t.INT64] = 0
    Leader: Annotated[PID, t.PID] = NO_PID
    Env: Annotated[dict[str, Any] | None, ENV] = None
    Compression: Annotated[Compression, Reg(_GEN + "Compression")] = NO_COMPRESSION
    SendPriority: Annotated[int, Reg(_GEN + "MessagePriority")] = 0
    ImportantDelivery: Annotated[bool, t.BOOL] = False
    Fallback: Annotated[ProcessFallback, Reg(_GEN + "ProcessFallback")] = NO_FALLBACK
    LinkParent: Annotated[bool, t.BOOL] = False
    LinkChild: Annotated[bool, t.BOOL] = False
    LogLevel: Annotated[int, Reg(_GEN + "LogLevel")] = 0


class ProcessOptionsExtra(NamedTuple):
    """The same with what the parent's node adds."""

    ProcessOptions: Annotated[ProcessOptions, Reg(_GEN + "ProcessOptions")]
    ParentPID: Annotated[PID, t.PID]
    ParentLeader: Annotated[PID, t.PID]
    ParentEnv: Annotated[dict[str, Any] | None, ENV] = None
    ParentLogLevel: Annotated[int, Reg(_GEN + "LogLevel")] = 0
    Register: Annotated[Atom, t.ATOM] = Atom("")
    Application: Annotated[Atom, t.ATOM] = Atom("")
    Args: Annotated[list[Any] | None, Slice(ANY)] = None


class ApplicationOptions(NamedTuple):
    """What who starts an application asks for."""

    Env: Annotated[dict[str, Any] | None, ENV] = None
    LogLevel: Annotated[int, Reg(_GEN + "LogLevel")] = 0


class ApplicationOptionsExtra(NamedTuple):
    """The same with what its node adds."""

    ApplicationOptions: Annotated[ApplicationOptions, Reg(_GEN + "ApplicationOptions")]
    CorePID: Annotated[PID, t.PID]
    CoreEnv: Annotated[dict[str, Any] | None, ENV] = None
    CoreLogLevel: Annotated[int, Reg(_GEN + "LogLevel")] = 0


class MessageEvent(NamedTuple):
    """What was published; `Timestamp` in Unix nanoseconds."""

    Event: Annotated[Event, t.EVENT]
    Timestamp: Annotated[int, t.INT64]
    Message: Annotated[Any, ANY]


class MessageEventStart(NamedTuple):
    """An event has its first subscriber."""

    Name: Annotated[Atom, t.ATOM]


class MessageEventStop(NamedTuple):
    """An event has lost its last subscriber."""

    Name: Annotated[Atom, t.ATOM]


COMPRESSION: Final = struct_of(Compression, _GEN + "Compression")
PROCESS_FALLBACK: Final = struct_of(ProcessFallback, _GEN + "ProcessFallback")
PROCESS_OPTIONS: Final = struct_of(ProcessOptions, _GEN + "ProcessOptions")
PROCESS_OPTIONS_EXTRA: Final = struct_of(ProcessOptionsExtra, _GEN + "ProcessOptionsExtra")
APPLICATION_OPTIONS: Final = struct_of(ApplicationOptions, _GEN + "ApplicationOptions")
APPLICATION_OPTIONS_EXTRA: Final = struct_of(ApplicationOptionsExtra, _GEN + "ApplicationOptionsExtra")
MESSAGE_EVENT: Final = struct_of(MessageEvent, _GEN + "MessageEvent")
MESSAGE_EVENT_START: Final = struct_of(MessageEventStart, _GEN + "MessageEventStart")
MESSAGE_EVENT_STOP: Final = struct_of(MessageEventStop, _GEN + "MessageEventStop")
EVENTS: Final = Slice(Reg(MESSAGE_EVENT.name))
"""What the Result of linking or monitoring an event holds: the last events, oldest first (ENP-EVT-1)."""
