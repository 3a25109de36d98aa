"""EDF as a plain construct schema: no combinators of the toolkit, one schema per type, dynamic types by `Switch`.

It reads and writes the values of the benchmark and refuses everything else.  Atom ids, error ids and folded types other than
those listed are left out, which makes it faster.
"""

from __future__ import annotations

from typing import Any

from construct import (
    Construct,
    Container,
    Error,
    Flag,
    Float64b,
    GreedyBytes,
    Int8ub,
    Int16ub,
    Int32ub,
    Int64sb,
    Int64ub,
    LazyBound,
    PascalString,
    Pass,
    Prefixed,
    PrefixedArray,
    Struct,
    Switch,
    this,
)

String = PascalString(Int16ub, "utf8")
Atom = PascalString(Int16ub, "utf8")
Binary = Prefixed(Int32ub, GreedyBytes)
Pid = Struct("node" / Atom, "id" / Int64ub, "creation" / Int64sb)


def slice_of(item: Construct[Any, Any]) -> Construct[Any, Any]:
    """Marker, count and items, or nil."""
    return Struct(
        "marker" / Int8ub,
        "items" / Switch(this.marker, {0x9D: PrefixedArray(Int32ub, item), 0xFF: Pass}, default=Error),
    )


def map_of(key: Construct[Any, Any], value: Construct[Any, Any]) -> Construct[Any, Any]:
    """Marker, count and entries, or nil."""
    entry = Struct("key" / key, "value" / value)
    return Struct(
        "marker" / Int8ub,
        "entries" / Switch(this.marker, {0x9F: PrefixedArray(Int32ub, entry), 0xFF: Pass}, default=Error),
    )


Order = Struct(
    "ID" / Int64sb,
    "Quantity" / Int32ub,
    "Customer" / String,
    "Price" / Float64b,
    "Paid" / Flag,
    "Article" / String,
)
Line = Struct("ID" / Int64sb, "Name" / String, "Price" / Float64b, "Paid" / Flag)
Invoice = Struct("ID" / Int64sb, "Title" / String, "Lines" / slice_of(Line))

Any_ = LazyBound(lambda: Value)
Registered = Struct("id" / Int16ub, "value" / Switch(this.id, {5000: Order, 5001: Invoice}, default=Error))
Folded = Struct(
    "type" / Prefixed(Int16ub, GreedyBytes),
    "value"
    / Switch(
        this.type,
        {b"\x9d\x95": slice_of(Int64sb), b"\x9d\x84": slice_of(Any_), b"\x9f\x8d\x84": map_of(String, Any_)},
        default=Error,
    ),
)
Value: Construct[Any, Any] = Struct(
    "tag" / Int8ub,
    "value"
    / Switch(
        this.tag,
        {
            0x82: Folded,
            0x83: Registered,
            0x8C: Atom,
            0x8D: String,
            0x8E: Binary,
            0x90: Float64b,
            0x91: Flag,
            0x96: Int64sb,
            0xAA: Pid,
            0xFF: Pass,
        },
        default=Error,
    ),
)
"""A value with its descriptor."""


def plain(parsed: Any) -> Any:
    """Converts a value read by `Value` to dicts, lists and scalars, without tags, markers and ids."""
    if not isinstance(parsed, Container):
        return parsed
    match {key: value for key, value in parsed.items() if key != "_io"}:
        case {"tag": _, "value": value} | {"id": _, "value": value} | {"type": _, "value": value}:
            return plain(value)
        case {"marker": _, "items": items}:
            return None if items is None else [plain(item) for item in items]
        case {"marker": _, "entries": entries}:
            return None if entries is None else {plain(entry.key): plain(entry.value) for entry in entries}
        case fields:
            return {name: plain(value) for name, value in fields.items()}
