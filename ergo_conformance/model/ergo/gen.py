"""Records of package gen that the node reads and writes: options of processes and applications, events.

`records.ROWS` has all records in the order of registration; those with a class here have fields that code refers to.
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
"""The zero PID, which stands for no process."""


class RemoteCompression(NamedTuple):
    """Compression settings of a process, gen.Compression. `Type`: gzip, zlib, lzw; `Threshold` in bytes."""

    Enable: Annotated[bool, t.BOOL] = False
    Type: Annotated[str, Reg(_GEN + "CompressionType")] = ""
    Level: Annotated[int, Reg(_GEN + "CompressionLevel")] = 0
    Threshold: Annotated[int, t.INT] = 0


class ProcessFallback(NamedTuple):
    """The process that receives messages for which the mailbox has no room."""

    Enable: Annotated[bool, t.BOOL] = False
    Name: Annotated[Atom, t.ATOM] = Atom("")
    Tag: Annotated[str, t.STRING] = ""


NO_COMPRESSION: Final = RemoteCompression()
NO_FALLBACK: Final = ProcessFallback()


class RemoteProcessOptions(NamedTuple):
    """Options of a process, gen.ProcessOptions, as its parent gives them. `LogLevel` 0: that of the parent."""

    MailboxSize: Annotated[int, t.INT64] = 0
    Leader: Annotated[PID, t.PID] = NO_PID
    Env: Annotated[dict[str, Any] | None, ENV] = None
    Compression: Annotated[RemoteCompression, Reg(_GEN + "Compression")] = NO_COMPRESSION
    SendPriority: Annotated[int, Reg(_GEN + "MessagePriority")] = 0
    ImportantDelivery: Annotated[bool, t.BOOL] = False
    Fallback: Annotated[ProcessFallback, Reg(_GEN + "ProcessFallback")] = NO_FALLBACK
    LinkParent: Annotated[bool, t.BOOL] = False
    LinkChild: Annotated[bool, t.BOOL] = False
    LogLevel: Annotated[int, Reg(_GEN + "LogLevel")] = 0


class ProcessOptionsExtra(NamedTuple):
    """The options, and the fields that the node of the parent adds."""

    ProcessOptions: Annotated[RemoteProcessOptions, Reg(_GEN + "ProcessOptions")]
    ParentPID: Annotated[PID, t.PID]
    ParentLeader: Annotated[PID, t.PID]
    ParentEnv: Annotated[dict[str, Any] | None, ENV] = None
    ParentLogLevel: Annotated[int, Reg(_GEN + "LogLevel")] = 0
    Register: Annotated[Atom, t.ATOM] = Atom("")
    Application: Annotated[Atom, t.ATOM] = Atom("")
    Args: Annotated[list[Any] | None, Slice(ANY)] = None


class ApplicationOptions(NamedTuple):
    """Options of an application, as given by the process that starts it."""

    Env: Annotated[dict[str, Any] | None, ENV] = None
    LogLevel: Annotated[int, Reg(_GEN + "LogLevel")] = 0


class ApplicationOptionsExtra(NamedTuple):
    """ApplicationOptions, and the fields that the node of that process adds."""

    ApplicationOptions: Annotated[ApplicationOptions, Reg(_GEN + "ApplicationOptions")]
    CorePID: Annotated[PID, t.PID]
    CoreEnv: Annotated[dict[str, Any] | None, ENV] = None
    CoreLogLevel: Annotated[int, Reg(_GEN + "LogLevel")] = 0


class MessageEvent(NamedTuple):
    """A published message of an event; `Timestamp` in Unix nanoseconds."""

    Event: Annotated[Event, t.EVENT]
    Timestamp: Annotated[int, t.INT64]
    Message: Annotated[Any, ANY]


class MessageEventStart(NamedTuple):
    """An event has its first subscriber."""

    Name: Annotated[Atom, t.ATOM]


class MessageEventStop(NamedTuple):
    """An event has lost its last subscriber."""

    Name: Annotated[Atom, t.ATOM]


COMPRESSION: Final = struct_of(RemoteCompression, _GEN + "Compression")
PROCESS_FALLBACK: Final = struct_of(ProcessFallback, _GEN + "ProcessFallback")
PROCESS_OPTIONS: Final = struct_of(RemoteProcessOptions, _GEN + "ProcessOptions")
PROCESS_OPTIONS_EXTRA: Final = struct_of(ProcessOptionsExtra, _GEN + "ProcessOptionsExtra")
APPLICATION_OPTIONS: Final = struct_of(ApplicationOptions, _GEN + "ApplicationOptions")
APPLICATION_OPTIONS_EXTRA: Final = struct_of(ApplicationOptionsExtra, _GEN + "ApplicationOptionsExtra")
MESSAGE_EVENT: Final = struct_of(MessageEvent, _GEN + "MessageEvent")
MESSAGE_EVENT_START: Final = struct_of(MessageEventStart, _GEN + "MessageEventStart")
MESSAGE_EVENT_STOP: Final = struct_of(MessageEventStop, _GEN + "MessageEventStop")
EVENTS: Final = Slice(Reg(MESSAGE_EVENT.name))
"""Type of the Result of linking or monitoring an event: the last messages, oldest first (ENP-EVT-1)."""
