"""Messages, requests and signals of processes, and the options they are sent with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...model.ergo import enp
from ...model.ergo.enp import Algorithm, CompressionLevel, Priority
from ...model.values import PID, Alias, Error, Event, ProcessID, Ref
from .relations import RelationTarget

ProcessAddress = PID | ProcessID | Alias
"""Addresses of one process, on any node."""
Recipient = ProcessAddress | str
"""Receiver of a message; a str is a registered name on the sender's node."""


class Message(NamedTuple):
    """A message in a mailbox."""

    sender: PID
    payload: Any


class Call(NamedTuple):
    """A request in a mailbox; `Process.reply` answers it. `important`: the caller wants an error if there is no reply."""

    sender: PID
    ref: Ref
    payload: Any
    important: bool = False


class ExitSignal(NamedTuple):
    """A linked target has ended, or a process (`source` is its PID) has sent an exit signal.

    Delivered to processes that trap exits; any other process ends with `reason`.
    """

    source: RelationTarget
    reason: Error


class Down(NamedTuple):
    """A monitored target has ended."""

    source: RelationTarget
    reason: Error


class Published(NamedTuple):
    """A message of a linked or monitored event; `timestamp` in Unix nanoseconds."""

    event: Event
    timestamp: int
    payload: Any


Envelope = Message | Call | ExitSignal | Down | Published


@dataclass(frozen=True, slots=True)
class Compression:
    """Compression of outgoing frames longer than `threshold` bytes, counted before compression."""

    algorithm: Algorithm = Algorithm.GZIP
    level: CompressionLevel = CompressionLevel.DEFAULT
    threshold: int = enp.MIN_THRESHOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessOptions:
    """Behaviour of a process. `mailbox_size`: messages per queue, 0 means no limit.

    `priority`, `important`, `keep_order` and `compression` (None: never) apply to everything the process sends.  Without
    `keep_order` a message may overtake an earlier one.  `link_parent`: the process ends when its parent ends.
    """

    mailbox_size: int = 0
    priority: Priority = Priority.NORMAL
    important: bool = False
    keep_order: bool = True
    compression: Compression | None = None
    trap_exit: bool = False
    link_parent: bool = False
    env: Mapping[str, Any] = field(default_factory=dict)


class MessageOptions(NamedTuple):
    """Options of a message to another node. `mid`: the number of an important message; its acknowledgement repeats it."""

    priority: Priority = Priority.NORMAL
    important: bool = False
    keep_order: bool = True
    compression: Compression | None = None
    mid: int = 0
