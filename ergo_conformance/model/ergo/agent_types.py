"""Types and error that a node with agents registers: one type of each kind (protocol notes: agents, section 7).

suites/golden/subject_types.json has the same rows for agents in other languages.
"""

from typing import Annotated, Any, Final, NamedTuple

from .. import types as t
from ..payloads import Layout
from ..registry import Marshaler, Newtype, Registry, Row, Struct, struct_of
from ..types import ANY, Array, Map, Reg, Slice, Type
from ..values import PID, Alias, Atom, Error, Event, ProcessID, Ref, Time, Typed

PREFIX: Final = "#conformance.local/subject/types/"
CUSTOM_ERROR: Final = Error("custom registered error", registered=True)
ACTING: Final = ("pub", "crasher", "agent")
"""Names of the agents of level 2."""


def _reg(name: str) -> Reg:
    return Reg(PREFIX + name)


def _struct(name: str, **fields: Type) -> Struct:
    return Struct(PREFIX + name, tuple(fields.items()))


class Small(NamedTuple):
    """A number and a text."""

    N: Annotated[int, t.INT64]
    S: Annotated[str, t.STRING]


SMALL: Final = struct_of(Small, PREFIX + "Small")
EMPTY: Final = _struct("Empty")


class Nested(NamedTuple):
    """A struct that is a field of others."""

    ID: Annotated[int, t.UINT32]
    Name: Annotated[str, t.STRING]


NESTED: Final = struct_of(Nested, PREFIX + "Nested")
EVERYTHING: Final = _struct(
    "Everything",
    Bool=t.BOOL, Int=t.INT, Int8=t.INT8, Int16=t.INT16, Int32=t.INT32, Int64=t.INT64, Uint=t.UINT, Uint8=t.UINT8,
    Uint16=t.UINT16, Uint32=t.UINT32, Uint64=t.UINT64, Float32=t.FLOAT32, Float64=t.FLOAT64, String=t.STRING,
    Binary=t.BINARY, Atom=t.ATOM, PID=t.PID, ProcessID=t.PROCESS_ID, Ref=t.REF, Alias=t.ALIAS, Event=t.EVENT,
    Time=t.TIME, Error=t.ERROR, Any=ANY, SliceInt=Slice(t.INT32), SliceString=Slice(t.STRING), SliceAny=Slice(ANY),
    SliceNested=Slice(_reg("Nested")), Array=Array(3, t.UINT16), Map=Map(t.STRING, t.INT64), MapAny=Map(t.STRING, ANY),
    Nested=_reg("Nested"), NamedInt=_reg("NamedInt"), NamedString=_reg("NamedString"), NamedBool=_reg("NamedBool"),
    NamedFloat=_reg("NamedFloat"), NamedSlice=_reg("NamedSlice"), NamedMap=_reg("NamedMap"),
    NamedArray=_reg("NamedArray"),
)  # fmt: skip

ROWS: Final[tuple[Row, ...]] = (
    Newtype(PREFIX + "NamedInt", t.INT),
    Newtype(PREFIX + "NamedString", t.STRING),
    Newtype(PREFIX + "NamedBool", t.BOOL),
    Newtype(PREFIX + "NamedFloat", t.FLOAT64),
    Newtype(PREFIX + "NamedSlice", Slice(t.STRING)),
    Newtype(PREFIX + "NamedMap", Map(t.STRING, t.INT64)),
    Newtype(PREFIX + "NamedArray", Array(3, t.UINT16)),
    NESTED,
    EVERYTHING,
    Marshaler(PREFIX + "Custom", Layout((t.UINT16,), rest=True)),
    Marshaler(PREFIX + "BinCustom", Layout((t.UINT32,), rest=False), binary=True),
    SMALL,
    EMPTY,
)
"""In the order of registration."""


def register(registry: Registry) -> Registry:
    """Adds the rows to a registry and returns it."""
    for row in ROWS:
        registry.add(row)
    return registry


def sample(pid: PID) -> Any:
    """Returns an Everything with a value in every field; the identifiers are of the node of `pid`."""
    node, creation = pid.node, pid.creation
    values = (
        True, -5, -8, -16, -32, -64, 5, 8, 16, 32, 64, 1.5, -2.25, "string", b"\x00\x01\xfe\xff", Atom("an_atom"),
        PID(node, 1004, creation), ProcessID(node, Atom("echo")), Ref(node, creation, (1, 2, 3)),
        Alias(node, creation, (4, 5, 6)), Event(node, Atom("ev")), Time(1_709_210_096, 789_012_345, None), CUSTOM_ERROR,
        "any", [1, -1], ["a", ""], [Typed(t.INT8, 1), "two", None, Atom("three")], [Nested(1, "one")], (1, 2, 3),
        {"k": 1}, {"k": True}, Nested(2, "two"), 7, "ns", True, 0.5, ["x"], {"m": 9}, (7, 8, 9),
    )  # fmt: skip
    return tuple.__new__(EVERYTHING.value_class, values)
