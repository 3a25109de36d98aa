"""Values to and from tagged JSON (`ergo-vectors/1`).

Every value is an object with a `type` key: `{"type": "int32", "value": "7"}`; numbers are decimal strings, text that is
not UTF-8 is hex, repeated content is `repeat`. docs/vectors.md has the complete table.
"""

import struct
from collections.abc import Callable, Iterable
from itertools import repeat
from typing import Any

from .. import types as t
from ..inferred import INTEGERS, infer_type, to_any_slot
from ..registry import Marshaler, Newtype, Registry, Struct, attribute
from ..text import bytes_to_text, text_to_bytes
from ..types import ANY, SCALARS, Array, Map, Reg, Scalar, Slice, Type
from ..values import PID, Alias, Atom, Error, Event, ProcessID, Ref, Time, Typed
from .types import type_from_json, type_to_json

Json = Any


# --- values from JSON -------------------------------------------------------------------------------------------------


def value_from_json(obj: Json, registry: Registry) -> Any:
    """Returns the value of a tagged object in the form for an `any` slot. ValueError if the object is malformed."""
    if obj is None:
        return None
    type_, value = _tagged(obj, registry)
    return to_any_slot(type_, value, registry)


def slot_from_json(obj: Json, type_: Type, registry: Registry) -> Any:
    """Returns the value of a tagged object for a slot of a known type. ValueError if the object has another type."""
    if type_ is ANY:
        return value_from_json(obj, registry)
    found, value = _tagged(obj, registry)
    if found is not type_:
        raise ValueError(f"{t.describe(found)}, expected {t.describe(type_)}")
    return value


def _text(obj: Json) -> str:
    match obj:
        case {"hex": str(digits)}:
            return bytes_to_text(bytes.fromhex(digits))
        case {"repeat": [str(char), int(n)]}:
            return char * n
        case {"value": str(text)}:
            return text
    raise ValueError(f"no text in {obj!r:.100}")


def _binary(obj: Json) -> bytes:
    if "repeat" in obj:
        digits, n = obj["repeat"]
        return bytes.fromhex(digits) * int(n)
    return bytes.fromhex(obj["hex"])


def _float(obj: Json, code: str) -> float:
    try:
        value: float = struct.unpack(code, bytes.fromhex(obj["bits"]))[0]
    except struct.error as error:
        raise ValueError(str(error)) from None
    return value


def _integer(obj: Json, type_: Type) -> int:
    bits, signed = INTEGERS[type_]
    number = int(obj["value"])
    if not (-(1 << bits - 1) <= number < 1 << bits - 1 if signed else 0 <= number < 1 << bits):
        raise ValueError(f"{number} does not fit {t.describe(type_)}")
    return number


def _words(obj: Json) -> tuple[int, int, int]:
    a, b, c = (int(word) for word in obj["id"])
    return a, b, c


def _time(obj: Json) -> Time:
    return Time(int(obj["unix_seconds"]), int(obj["nanos"]), None if obj.get("utc") else int(obj["offset_seconds"]))


_SCALAR_READERS: dict[str, Callable[[Json], Any]] = {
    "bool": lambda o: bool(o["value"]),
    "float32": lambda o: _float(o, ">f"),
    "float64": lambda o: _float(o, ">d"),
    "string": _text,
    "atom": lambda o: Atom(_text(o)),
    "error": lambda o: None if o.get("value", "") is None else Error(_text(o), bool(o.get("registered"))),
    "binary": _binary,
    "pid": lambda o: PID(Atom(o["node"]), int(o["id"]), int(o["creation"])),
    "process_id": lambda o: ProcessID(Atom(o["node"]), Atom(o["name"])),
    "event": lambda o: Event(Atom(o["node"]), Atom(o["name"])),
    "alias": lambda o: Alias(Atom(o["node"]), int(o["creation"]), _words(o)),
    "ref": lambda o: Ref(Atom(o["node"]), int(o["creation"]), _words(o)),
    "time": _time,
}


def _tagged(obj: Json, registry: Registry) -> tuple[Type, Any]:
    """Returns type and bare value of a tagged object. Recurses as deep as the JSON is nested."""
    try:
        return _tagged_unchecked(obj, registry)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"not a tagged value: {obj!r:.100} ({error})") from None


def _tagged_unchecked(obj: Json, registry: Registry) -> tuple[Type, Any]:
    kind = obj["type"]
    if kind in SCALARS:
        scalar = SCALARS[kind]
        return scalar, _integer(obj, scalar) if scalar in INTEGERS else _SCALAR_READERS[kind](obj)
    match kind:
        case "struct":
            return _struct_from_json(obj, registry)
        case "reg":
            return Reg(obj["name"]), _reg_from_json(obj, registry)
        case "nested_any_slices":
            value = value_from_json(obj["leaf"], registry)
            for _ in range(int(obj["depth"])):
                value = [value]
            return Slice(ANY), value
        case "nested_arrays":
            inner, value = _tagged(obj["leaf"], registry)
            for _ in range(int(obj["depth"])):
                inner, value = Array(1, inner), (value,)
            return inner, value
    type_ = _container_type(obj)
    return type_, _container_from_json(obj, type_, registry)


def _container_type(obj: Json) -> Type:
    match obj["type"]:
        case "slice":
            return Slice(type_from_json(obj["elem"]))
        case "array":
            return Array(int(obj["len"]), type_from_json(obj["elem"]))
        case "map":
            return Map(type_from_json(obj["key"]), type_from_json(obj["elem"]))
        case kind:
            raise ValueError(f"unknown type {kind!r:.40}")


def _container_from_json(obj: Json, type_: Type, registry: Registry) -> Any:
    if isinstance(type_, Map):
        if obj["value"] is None:
            return None
        return {
            _key_from_json(k, type_.key, registry): slot_from_json(v, type_.value, registry) for k, v in obj["value"]
        }
    assert isinstance(type_, Slice | Array)
    if "repeat" in obj:
        item, n = obj["repeat"]
        items: Iterable[Any] = repeat(slot_from_json(item, type_.item, registry), int(n))
    elif obj["value"] is None:
        return None
    else:
        items = (slot_from_json(item, type_.item, registry) for item in obj["value"])
    if isinstance(type_, Array):
        found = tuple(items)
        if len(found) != type_.length:
            raise ValueError(f"{len(found)} items in an array of {type_.length}")
        return found
    return list(items)


def _key_from_json(obj: Json, type_: Type, registry: Registry) -> Any:
    """Returns a map key; a key of type `any` is Typed."""
    if type_ is not ANY or obj is None:
        return slot_from_json(obj, type_, registry)
    found, value = _tagged(obj, registry)
    return None if value is None and found is t.ERROR else Typed(found, value)


def _struct_from_json(obj: Json, registry: Registry) -> tuple[Type, Any]:
    row = registry.get(obj["name"])
    if not isinstance(row, Struct):
        raise ValueError(f"{obj['name']} is not a registered struct")  # noqa: TRY004  the JSON is wrong, not the type of an argument
    fields = dict(obj["fields"])
    if list(fields) != [name for name, _ in row.fields]:
        raise ValueError(
            f"fields of {row.name}: {', '.join(fields)}; expected {', '.join(name for name, _ in row.fields)}"
        )
    values = {attribute(name): slot_from_json(fields[name], type_, registry) for name, type_ in row.fields}
    return Reg(row.name), row.value_class(**values)


def _reg_from_json(obj: Json, registry: Registry) -> Any:
    row = registry.get(obj["name"])
    match row:
        case Marshaler():
            if "payload_repeat" in obj:
                digits, n = obj["payload_repeat"]
                return bytes.fromhex(digits) * int(n)
            return bytes.fromhex(obj["payload"])
        case Newtype(base=Scalar() as base):
            return _tagged({**obj, "type": base.name}, registry)[1]
        case Newtype(base=base):
            return _container_from_json(obj, base, registry)
    raise ValueError(f"{obj['name']} is not registered")


# --- values to JSON ---------------------------------------------------------------------------------------------------


def _text_json(kind: str, text: str) -> Json:
    try:
        text.encode()
    except UnicodeEncodeError:
        return {"type": kind, "hex": text_to_bytes(text).hex()}
    return {"type": kind, "value": text}


def value_to_json(value: Any, registry: Registry, type_: Type = ANY) -> Json:
    """Returns the tagged form of a value in a slot of this type. Recurses as deep as the value: for reports and vectors,
    whose values are shallow; RecursionError for a value deeper than Python's limit.
    """
    if type_ is ANY:
        if value is None:
            return None
        type_, value = infer_type(value, registry)
    match type_:
        case Scalar():
            return _scalar_json(type_, value)
        case Reg():
            row = registry.get(type_.name)
            match row:
                case Struct():
                    fields = [
                        [name, value_to_json(v, registry, ft)] for v, (name, ft) in zip(value, row.fields, strict=True)
                    ]
                    return {"type": "struct", "name": row.name, "fields": fields}
                case Marshaler():
                    kind = "binary_marshaler" if row.binary else "marshaler"
                    return {"type": "reg", "name": row.name, "kind": kind, "payload": value.hex()}
                case Newtype():
                    inner = value_to_json(value, registry, row.base)
                    return {**inner, "type": "reg", "name": row.name, "kind": inner["type"]}
            raise ValueError(f"{type_.name} is not registered")
        case Map():
            return _map_json(value, type_, registry)
    assert isinstance(type_, Slice | Array)
    items = None if value is None else [value_to_json(item, registry, type_.item) for item in value]
    if isinstance(type_, Array):
        return {"type": "array", "elem": type_to_json(type_.item), "len": type_.length, "value": items}
    return {"type": "slice", "elem": type_to_json(type_.item), "value": items}


def _map_json(value: dict[Any, Any] | None, type_: Map, registry: Registry) -> Json:
    entries = None
    if value is not None:
        key, item = type_.key, type_.value
        entries = [[value_to_json(k, registry, key), value_to_json(v, registry, item)] for k, v in value.items()]
    return {"type": "map", "key": type_to_json(type_.key), "elem": type_to_json(type_.value), "value": entries}


def _scalar_json(type_: Scalar, value: Any) -> Json:
    kind = type_.name
    match value:
        case None:
            return {"type": kind, "value": None}
        case bool():
            return {"type": kind, "value": value}
        case int():
            return {"type": kind, "value": str(value)}
        case float():
            code = ">f" if type_ is t.FLOAT32 else ">d"
            return {"type": kind, "bits": struct.pack(code, value).hex(), "value": repr(value)}
        case str():
            return _text_json(kind, value)
        case bytes():
            return {"type": kind, "hex": value.hex()}
        case Error():
            return _text_json(kind, value.text) | ({"registered": True} if value.registered else {})
        case PID():
            return {"type": kind, "node": value.node, "id": str(value.id), "creation": str(value.creation)}
        case ProcessID() | Event():
            return {"type": kind, "node": value.node, "name": value.name}
        case Alias() | Ref():
            words = [str(word) for word in value.id]
            return {"type": kind, "node": value.node, "creation": str(value.creation), "id": words}
        case Time():
            return {
                "type": kind,
                "unix_seconds": str(value.seconds),
                "nanos": value.nanos,
                "offset_seconds": value.offset or 0,
                "utc": value.offset is None,
            }
    raise TypeError(f"{type(value).__name__} is not a {kind}")
