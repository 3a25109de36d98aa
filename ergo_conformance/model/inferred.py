"""The EDF type that follows from the class of a Python value, for slots of type `any`."""

from collections.abc import Mapping
from typing import Any, Final

from . import types as t
from .registry import Registry, Struct
from .types import ANY, Map, Reg, Slice, Type
from .values import PID, Alias, Atom, Error, Event, ProcessID, Ref, Time, Typed

INTEGERS: Final[Mapping[Type, tuple[int, bool]]] = {
    t.INT8: (8, True), t.INT16: (16, True), t.INT32: (32, True), t.INT64: (64, True), t.INT: (64, True),
    t.UINT8: (8, False), t.UINT16: (16, False), t.UINT32: (32, False), t.UINT64: (64, False), t.UINT: (64, False),
}  # fmt: skip
"""Integer types: number of bits, and whether signed. Go's int and uint are 64 bits on the wire on every platform."""

INFERRED_TYPES: Final[Mapping[type, Type]] = {
    bool: t.BOOL, int: t.INT, float: t.FLOAT64, str: t.STRING, bytes: t.BINARY, Atom: t.ATOM, Error: t.ERROR, Time: t.TIME,
    PID: t.PID, ProcessID: t.PROCESS_ID, Alias: t.ALIAS, Event: t.EVENT, Ref: t.REF,
    list: Slice(ANY), dict: Map(t.STRING, ANY),
}  # fmt: skip
"""The type of a value in an `any` slot that needs no Typed, by its Python class. Structs are found in the registry."""


def infer_type(value: Any, registry: Registry) -> tuple[Type, Any]:
    """Returns type and bare value of the content of an `any` slot (not None). TypeError if the type does not follow from it."""
    if type(value) is Typed:
        if value.type is ANY:
            raise TypeError("Typed needs a type, not `any`")
        return value.type, value.value
    inferred = INFERRED_TYPES.get(type(value))
    if inferred is not None:
        return inferred, value
    row = registry.of_class(type(value))
    if row is None:
        raise TypeError(f"{type(value).__name__} has no EDF type; wrap it in Typed")
    return Reg(row.name), value


def to_any_slot(type_: Type, value: Any, registry: Registry) -> Any:
    """Returns the form of a value of a known type in an `any` slot: in Typed unless its class determines the type."""
    if value is None and type_ is t.ERROR:
        return None
    if INFERRED_TYPES.get(type(value)) is type_:
        return value
    if isinstance(type_, Reg) and isinstance(registry.get(type_.name), Struct):
        return value
    return Typed(type_, value)
