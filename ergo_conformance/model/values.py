"""Plain values: identifiers, errors, time, and the wrapper for Python values whose class does not determine their EDF type.

The Python form of an EDF value, by its static type:

    bool, int…, uint…, float32/64   bool, int, float          slice            list, or None for nil
    string                          str (bytes that are not   array            tuple
                                    UTF-8 as lone surrogates) map              dict, or None for nil
    atom, binary                    Atom, bytes               struct           its NamedTuple
    error                           Error, or None for nil    marshaler        bytes, the received payload
    pid, alias, time, …             the NamedTuples below     registered type  as its underlying type

A slot of type `any` holds the same values, and the class of the value determines its type: `None`, bool, int (Go's `int`),
float (float64), str, bytes, Atom, the NamedTuples, structs, list (`[]any`) and dict (`map[string]any`). Every other value
is a `Typed(type, value)`. The keys of a map with `any` keys are all Typed (or None): 1, True and 1.0 are one key to a
Python dict and three to the protocol.
"""

from typing import Any, NamedTuple

from .types import Type


class Atom(str):
    """The name of a node, a process or an event. At most 255 bytes of UTF-8."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Atom({str.__repr__(self)})"


class PID(NamedTuple):
    """A process: node, number, and the creation (start time, Unix seconds) of the node's incarnation."""

    node: Atom
    id: int
    creation: int


class ProcessID(NamedTuple):
    """A process by its registered name."""

    node: Atom
    name: Atom


class Alias(NamedTuple):
    """A further address of a process; `id` is three 64-bit words."""

    node: Atom
    creation: int
    id: tuple[int, int, int]


class Ref(NamedTuple):
    """The reference of a call or an important message; `id` is three 64-bit words."""

    node: Atom
    creation: int
    id: tuple[int, int, int]


class Event(NamedTuple):
    """A named event of a node."""

    node: Atom
    name: Atom


class Error(NamedTuple):
    """A Go error, identified by its text. `registered` is for the writer: only a registered error is sent as a cache id."""

    text: str
    registered: bool = False


class Time(NamedTuple):
    """An instant and the time zone in which it was written.

    `seconds` since 1970-01-01 UTC, `nanos` 0…999,999,999, `offset` of the zone in seconds east of UTC, None for UTC.
    """

    seconds: int
    nanos: int
    offset: int | None


class Typed(NamedTuple):
    """A value in an `any` slot whose Python class does not determine its EDF type."""

    type: Type
    value: Any
