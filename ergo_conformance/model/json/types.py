"""Type expressions and rows of type tables to and from JSON (`ergo-vectors/1`, `ergo-types/1`)."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ..ergo.edf import Tag
from ..payloads import Decimal, Ignored, Layout, Opaque, Payload
from ..registry import Marshaler, Newtype, Row, Struct
from ..types import ANY, SCALARS, Array, Map, Reg, Scalar, Slice, Type

Json = Any
_LENGTH_BYTES = 4


def type_from_json(obj: Json) -> Type:
    """Returns the type of a type expression. ValueError for anything but a scalar's name, `any`, `{"slice": T}`,
    `{"array": [n, T]}`, `{"map": [K, V]}`, `{"reg": name}` and `{"nested": [prefix hex, n, T]}`.
    """
    wrap: list[Callable[[Type], Type]] = []
    while isinstance(obj, dict):
        match obj:
            case {"slice": item}:
                wrap.append(Slice)
                obj = item
            case {"array": [int(n), item]}:
                wrap.append(partial(Array, n))
                obj = item
            case {"map": [key, item]}:
                wrap.append(partial(Map, type_from_json(key)))
                obj = item
            case {"nested": [str(prefix), int(n), item]}:
                wrap += [_wrapper(bytes.fromhex(prefix))] * n
                obj = item
            case {"reg": str(name)}:
                return _wrapped(wrap, Reg(name))
            case _:
                raise ValueError(f"not a type expression: {obj!r:.100}")
    if obj == "any":
        return _wrapped(wrap, ANY)
    try:
        return _wrapped(wrap, SCALARS[obj])
    except (KeyError, TypeError):
        raise ValueError(f"not a type expression: {obj!r:.100}") from None


def _wrapped(wrap: Iterable[Callable[[Type], Type]], inner: Type) -> Type:
    for constructor in reversed(list(wrap)):
        inner = constructor(inner)
    return inner


def _wrapper(prefix: bytes) -> Callable[[Type], Type]:
    """Returns the type constructor whose folded bytes in front of the inner type are `prefix`."""
    match prefix[:1], prefix[1:]:
        case (b"\x9d", b""):
            return Slice
        case (b"\x9e", length) if len(length) == _LENGTH_BYTES:
            return lambda inner: Array(int.from_bytes(length, "big"), inner)
        case (b"\x9f", key) if len(key) == 1 and key[0] in {s.tag for s in SCALARS.values()}:
            return lambda inner: Map(Scalar(Tag(key[0])), inner)
        case (b"\x9f", b"\x84"):
            return lambda inner: Map(ANY, inner)
    raise ValueError(f"not a nesting prefix: {prefix.hex()}")


def type_to_json(type_: Type) -> Json:
    """Returns the type expression of a type. Recurses as deep as the type: for tables, whose types are shallow."""
    match type_:
        case Slice():
            return {"slice": type_to_json(type_.item)}
        case Array():
            return {"array": [type_.length, type_to_json(type_.item)]}
        case Map():
            return {"map": [type_to_json(type_.key), type_to_json(type_.value)]}
        case Reg():
            return {"reg": type_.name}
        case Scalar():
            return type_.name
        case _:
            return "any"


def row_from_json(obj: Json, payloads: Mapping[str, Payload] | None = None) -> Row:
    """Returns the row of an entry of `types` in a vector file. `payloads`: the payload rules of marshalers, by name."""
    name = obj["name"]
    match obj:
        case {"kind": "struct", "fields": fields}:
            return Struct(name, tuple((field, type_from_json(expr)) for field, expr in fields))
        case {"kind": "marshaler" | "binary_marshaler" as kind}:
            rule = (payloads or {}).get(name)
            if rule is None and "payload" in obj:
                rule = _layout(obj["payload"]["layout"])
            return Marshaler(name, rule or Opaque(), binary=kind == "binary_marshaler")
        case {"def": definition}:
            return Newtype(name, type_from_json(definition))
        case {"kind": kind}:
            return Newtype(name, type_from_json(kind))
    raise ValueError(f"not a type row: {obj!r:.100}")


def _layout(layout: Json) -> Layout:
    fixed = tuple(type_from_json(expr) for _, expr in layout if expr != "rest")
    return Layout(fixed, rest=any(expr == "rest" for _, expr in layout))


def payload_from_json(obj: Json) -> Payload:
    """Returns the payload rule of an entry of `marshalers` in a vector file; the file states rules in fixed phrases."""
    match obj:
        case {"writes": str(text)} if text.startswith("nothing"):
            return Ignored()
        case {"writes": str(text)} if "decimal text" in text:
            return Decimal()
        case {"refuses": str(text)} if text.startswith("first byte "):
            return Opaque(bytes.fromhex(text.removeprefix("first byte ")[:2]))
    return Opaque()
