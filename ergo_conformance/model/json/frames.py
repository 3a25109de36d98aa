"""ENP frames as tagged JSON, field by field, for vectors and transcripts: with the values of `json.values` in named fields."""

from typing import Any

from .. import types as t
from ..ergo.enp import CLASSES, FrameType
from ..registry import Registry
from ..values import Atom
from .values import slot_from_json, value_from_json, value_to_json

Json = Any
_TEXTS = frozenset({"to_name", "name"})
_VALUES = frozenset({"payload", "reason", "message", "error"})


def frame_from_json(group: str, fields: Json, registry: Registry) -> Any:
    """The frame of a type (`MESSAGE_PID`, …). ValueError or KeyError for fields it does not have."""
    cls = CLASSES[FrameType[group]]
    if set(fields) != set(cls._fields):
        raise ValueError(f"{group} has the fields {', '.join(cls._fields)}")
    return cls(*(_part(name, fields[name], registry) for name in cls._fields))


def frame_to_json(frame: Any, registry: Registry) -> Json:
    """Numbers as decimal strings, words as lists of them, names as text, everything of EDF tagged."""
    return {name: _json(name, value, registry) for name, value in frame._asdict().items()}


def _part(name: str, obj: Json, registry: Registry) -> Any:
    if name in _VALUES:
        return value_from_json(obj, registry)
    if name in _TEXTS:
        return Atom(slot_from_json({"type": "atom", **obj}, t.ATOM, registry))
    if name == "stream":
        return bytes.fromhex(obj)
    return tuple(int(word) for word in obj) if isinstance(obj, list) else int(obj)


def _json(name: str, value: Any, registry: Registry) -> Json:
    if name in _VALUES:
        return value_to_json(value, registry)
    if name in _TEXTS:
        tagged = value_to_json(Atom(value), registry, t.ATOM)
        return {key: part for key, part in tagged.items() if key != "type"}
    if name == "stream":
        return value.hex()
    return [str(word) for word in value] if isinstance(value, tuple) else str(int(value))
