"""Types inside messages: their layouts as a section of the page of frames, and in words."""

from collections.abc import Iterable, Mapping
from enum import IntFlag
from typing import Final, cast

from ...model.ergo import ehs, enp, error_values, esrd, gen
from ...model.ergo.records import framework
from ...model.payloads import BitSet, Decimal, Ignored, Layout, Opaque, Payload
from ...model.registry import Marshaler, Newtype, Row, Struct
from ...model.types import Reg, Type, describe, preorder

BITS: Final[Mapping[str, type[IntFlag]]] = {ehs.NETWORK_FLAGS.name: ehs.Flags}
"""Names of the bits of a marshaler."""
STARTS: Final = (*ehs.MESSAGES, *enp.CONTROL, *esrd.MESSAGES)
"""Messages whose types are listed."""
RESULTS: Final = (
    (
        "LinkPID, LinkProcessID, LinkAlias, the same with Monitor",
        "nil",
        "ENP-LINK-1",
        error_values.PROCESS_UNKNOWN.text,
    ),
    (
        "LinkEvent, MonitorEvent",
        f"`{describe(gen.EVENTS)}`: the last messages of the event's buffer, oldest first; nil of this type if there are none",
        "ENP-EVT-1",
        "unknown event",
    ),
    ("Unlink…, Demonitor…", "nil", "ENP-ANY-1", "unknown target"),
    (
        "Spawn",
        "`pid`: the new process; with an error an empty node name, 0 and 0",
        "ENP-SPAWN-1",
        error_values.NAME_UNKNOWN.text,
    ),
    ("ApplicationStart", "nil", "ENP-APP-1", error_values.NAME_UNKNOWN.text),
    ("UpdateCache", "nil", "ENP-CACHE-1", ""),
)
"""Request, value of the field `Result`, requirement, and an example of an error text."""


def payload_in_words(row: Marshaler) -> str:
    """Returns what the bytes of a marshaler mean."""
    payload: Payload = row.payload
    match payload:
        case BitSet():
            names = BITS.get(row.name)
            bits = ", ".join(f"{bit.value} {bit.name}" for bit in names) if names else f"{payload.known:#x}"
            enable = names(payload.enable).name if names else f"{payload.enable:#x}"
            return (
                f"{payload.width} bytes or more, a set of bits: {bits}; other bits and further bytes are ignored, "
                f"and all bits count as 0 without {enable}"
            )
        case Decimal():
            return "a signed number of 64 bits as decimal text"
        case Ignored():
            return "no bytes are written, and those of a peer are ignored"
        case Layout():
            fields = ", ".join(describe(field) for field in payload.fields)
            return f"{fields}{', any bytes' if payload.rest else ''}"
        case Opaque():
            refused = ", ".join(f"{byte:02x}" for byte in payload.refused_first)
            return "any bytes" + (f" that do not begin with {refused}" if refused else "")
    return "bytes that only this type reads"


def in_words(row: Row) -> str:
    """Returns the body of a type that has no fields."""
    if isinstance(row, Newtype):
        return f"the body of `{describe(row.base)}`"
    assert isinstance(row, Marshaler)
    return f"u32 length, then {payload_in_words(row)}"


def referenced(type_: Type) -> Iterable[str]:
    """Yields the names of the registered types in a type."""
    return (part.name for part in preorder(type_) if isinstance(part, Reg))


def inside(starts: Iterable[Row]) -> list[Row]:
    """Returns the registered types inside these messages, in the order in which they are met."""
    registry, found = (
        framework(),
        {gen.MESSAGE_EVENT.name: cast("Row", gen.MESSAGE_EVENT)},
    )  # in the Result of a request
    todo = [*starts, gen.MESSAGE_EVENT]
    for row in todo:
        types = (
            [type_ for _, type_ in row.fields]
            if isinstance(row, Struct)
            else [row.base]
            if isinstance(row, Newtype)
            else []
        )
        for name in (name for type_ in types for name in referenced(type_)):
            inner = registry.get(name)
            if inner is not None and name not in found:
                found[name] = inner
                todo.append(inner)
    return list(found.values())
