"""ENP frames as tagged JSON, field by field, for vectors."""

from typing import Any

from .. import types as t
from ..ergo.enp import EDF_KINDS, NAME_KINDS, TYPES, FieldKind, FrameType
from ..registry import Registry
from ..values import Atom
from .values import slot_from_json, value_from_json, value_to_json

Json = Any


def frame_from_json(group: str, fields: Json, registry: Registry) -> Any:
    """Returns the frame of a type (`MESSAGE_PID`, …). ValueError or KeyError for fields that the type does not have."""
    type_ = FrameType[group]
    names = type_.value_class._fields
    if set(fields) != set(names):
        raise ValueError(f"{group} has the fields {', '.join(names)}")
    return type_.value_class(*(_field_from_json(type_.kinds.get(name), fields[name], registry) for name in names))


def frame_to_json(frame: Any, registry: Registry) -> Json:
    """Returns a frame with numbers as decimal strings, words as lists of them, names as text, EDF values tagged."""
    kinds = TYPES[type(frame)].kinds
    return {name: _field_to_json(kinds.get(name), value, registry) for name, value in frame._asdict().items()}


def _field_from_json(kind: FieldKind | None, obj: Json, registry: Registry) -> Any:
    if kind in EDF_KINDS:
        return value_from_json(obj, registry)
    if kind in NAME_KINDS:
        return Atom(slot_from_json({"type": "atom", **obj}, t.ATOM, registry))
    if kind is FieldKind.STREAM:
        return bytes.fromhex(obj)
    return tuple(int(word) for word in obj) if kind is FieldKind.WORDS else int(obj)


def _field_to_json(kind: FieldKind | None, value: Any, registry: Registry) -> Json:
    if kind in EDF_KINDS:
        return value_to_json(value, registry)
    if kind in NAME_KINDS:
        tagged = value_to_json(Atom(value), registry, t.ATOM)
        return {key: part for key, part in tagged.items() if key != "type"}
    if kind is FieldKind.STREAM:
        return value.hex()
    return [str(word) for word in value] if kind is FieldKind.WORDS else str(int(value))
