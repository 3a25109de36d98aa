"""Control messages: relation requests, spawn, application start, cache update, and the Result that answers them."""

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Final, NamedTuple

from ... import types as t
from ...registry import Struct, struct_of
from ...types import Map, Reg
from ...values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from ..edf import FRAMEWORK

_PROTO: Final = FRAMEWORK + "net/proto/"


class RelationRequest(NamedTuple):
    """A request of the process Source to add or remove a link to, or a monitor of, Target."""

    Source: PID
    Target: Any
    Ref: Ref


class Verb(Enum):
    """Operation of a relation request."""

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
"""Kinds of target: class of the value and its EDF type, by the word in the message's name."""


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
"""The sixteen relation requests, by operation and kind of target."""


class Spawn(NamedTuple):
    """Asks to start a process with the factory `Name`. `Options` is a gen.ProcessOptionsExtra."""

    Name: Annotated[Atom, t.ATOM]
    Options: Annotated[Any, Reg(FRAMEWORK + "gen/ProcessOptionsExtra")]
    Ref: Annotated[Ref, t.REF]


class ApplicationStart(NamedTuple):
    """Asks to start an application; mode 0: the application's own mode. `Options` is a gen.ApplicationOptionsExtra."""

    Name: Annotated[Atom, t.ATOM]
    Mode: Annotated[int, Reg(FRAMEWORK + "gen/ApplicationMode")]
    Options: Annotated[Any, Reg(FRAMEWORK + "gen/ApplicationOptionsExtra")]
    Ref: Annotated[Ref, t.REF]


class UpdateCache(NamedTuple):
    """Announces further ids that the sender will use in the bytes it writes."""

    AtomCache: Annotated[dict[int, Atom] | None, Map(t.UINT16, t.ATOM)]
    AtomMapping: Annotated[dict[Atom, Atom] | None, Map(t.ATOM, t.ATOM)]
    RegCache: Annotated[dict[int, str] | None, Map(t.UINT16, t.STRING)]
    ErrCache: Annotated[dict[int, Error | None] | None, Map(t.UINT16, t.ERROR)]
    Ref: Annotated[Ref, t.REF]


class Result(NamedTuple):
    """The answer to a control request; there is exactly one."""

    Error: Annotated[Error | None, t.ERROR]
    Result: Annotated[Any, t.ANY]
    Ref: Annotated[Ref, t.REF]


SPAWN: Final = struct_of(Spawn, _PROTO + "MessageSpawn")
APPLICATION_START: Final = struct_of(ApplicationStart, _PROTO + "MessageApplicationStart")
UPDATE_CACHE: Final = struct_of(UpdateCache, _PROTO + "MessageUpdateCache")
RESULT: Final = struct_of(Result, _PROTO + "MessageResult")
CONTROL: Final[tuple[Struct, ...]] = (*RELATIONS.values(), SPAWN, APPLICATION_START, UPDATE_CACHE, RESULT)
"""Control messages, in the order of registration."""
