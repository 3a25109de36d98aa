"""Equality of generated values is equality of their tokens, a slower form of the same rule."""

import math
import struct
from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.model import types as t
from ergo_conformance.model.compare import same
from ergo_conformance.model.inferred import infer_type
from ergo_conformance.model.registry import Marshaler, Newtype, Registry, Struct
from ergo_conformance.model.types import ANY, Array, Map, Reg, Scalar, Slice, Type
from ergo_conformance.model.values import Atom, Error, Typed
from tests.edf.strategies import REGISTRY, fixed, tops

Token = tuple[Any, ...]


def tokens(value: Any, type_: Type, registry: Registry) -> Iterator[Token]:
    """Yields the tokens of a value in a slot of this type; two values give the same tokens only if they are equal.

    Payloads are compared in canonical form, floats by their bits (except that all NaNs of float32 are equal), errors by
    text. The entries of a map are sorted, so that equal maps give the same tokens.
    """
    todo: list[tuple[Any, Type] | Token] = [(value, type_)]
    while todo:
        value, what = todo.pop()
        if not isinstance(what, Type):
            yield value, what
            continue
        if what is ANY:
            if value is None:
                yield ("nil",)
                continue
            what, value = infer_type(value, registry)
            yield ("any", what)
        row = registry.get(what.name) if isinstance(what, Reg) else None
        if isinstance(row, Marshaler):
            yield ("payload", row.payload.canonical(value))
        elif isinstance(row, Struct):
            yield ("struct", row.name)
            todo.extend(reversed([(v, ft) for v, (_, ft) in zip(value, row.fields, strict=True)]))
        else:
            base = row.base if isinstance(row, Newtype) else what
            if value is None or isinstance(base, Scalar):
                yield _leaf(value, base)
            elif isinstance(base, Map):
                yield ("map", len(value))
                todo.extend(reversed(_entries(value, base, registry)))
            else:
                assert isinstance(base, Slice | Array)
                yield ("items", len(value))
                todo.extend(zip(reversed(value), repeat(base.item)))


def _entries(value: dict[Any, Any], map_: Map, registry: Registry) -> list[tuple[Any, Type] | Token]:
    keyed = sorted(
        ((repr(list(tokens(k, map_.key, registry))), v) for k, v in value.items()), key=lambda entry: entry[0]
    )
    out: list[tuple[Any, Type] | Token] = []
    for key, entry in keyed:
        out += (("key", key), (entry, map_.value))
    return out


def _leaf(value: Any, type_: Type) -> Token:
    if isinstance(value, Error):
        return ("error", value.text)
    if isinstance(value, float):
        if type_ is t.FLOAT32:
            return ("float32", "nan" if math.isnan(value) else struct.pack(">f", value))
        return ("float64", struct.pack(">d", value))
    return (type(value).__name__, value)


OTHER_NAN = struct.unpack(">d", bytes.fromhex("7ff8000000000001"))[0]
LEAVES: list[Any] = [
    *(None, True, False, 0, 1, 0.0, -0.0, 1.0, math.nan, OTHER_NAN, "", "a", Atom("a"), b"a", Error("a")),
    *(Error("a", registered=True), Typed(t.INT, 1), Typed(t.INT8, 1), Typed(t.STRING, "a"), Typed(t.ERROR, None)),
    *(Typed(Reg("#any/Mystring"), "a"), Typed(Reg("#any/Myint"), 1), Typed(t.FLOAT32, math.nan), [], [1], {"a": 1}),
]
leaves = st.sampled_from(LEAVES)
few = st.lists(leaves, max_size=2)
SHAPES: dict[str, tuple[Type, st.SearchStrategy[Any]]] = {
    "any": (ANY, leaves),
    "slice of any": (ANY, few),
    "typed slice of any": (Slice(ANY), few),
    "nested slices": (ANY, st.lists(few, max_size=2)),
    "array of any": (Array(2, ANY), st.tuples(leaves, leaves)),
    "slice of a scalar": (Slice(t.INT), st.lists(st.sampled_from([0, 1, True, 1.0, math.nan, None]), max_size=2)),
    "slice of float32": (Slice(t.FLOAT32), st.lists(st.sampled_from([0.0, -0.0, math.nan, OTHER_NAN]), max_size=2)),
    "slice of newtypes": (Slice(Reg("#any/Mystring")), st.lists(st.sampled_from(["", "a", Atom("a")]), max_size=2)),
    "map": (ANY, st.dictionaries(st.sampled_from(["a", "b"]), leaves, max_size=2)),
    "map of arrays": (
        Map(Array(2, t.INT8), t.INT),
        st.dictionaries(st.tuples(*[st.sampled_from([0, 1])] * 2), st.sampled_from([1, True]), max_size=2),
    ),
}


def same_by_tokens(a: Any, b: Any, type_: Type = ANY) -> bool:
    return [*tokens(a, type_, REGISTRY)] == [*tokens(b, type_, REGISTRY)]


def test_leaves_are_equal_if_their_tokens_are() -> None:
    for a in LEAVES:
        for b in LEAVES:
            assert same(a, b, REGISTRY) is same_by_tokens(a, b), (a, b)
            assert same([a, 1], [b, 1], REGISTRY) is same_by_tokens([a, 1], [b, 1]), (a, b)


@pytest.mark.parametrize(("type_", "shape"), SHAPES.values(), ids=list(SHAPES))
@fixed(40)
@given(data=st.data())
def test_values_of_one_shape_are_equal_if_their_tokens_are(
    type_: Type, shape: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    a, b = data.draw(shape), data.draw(shape)
    assert same(a, b, REGISTRY, type_) is same_by_tokens(a, b, type_)
    assert same(a, a, REGISTRY, type_)


@fixed(40)
@given(a=tops, b=tops)
def test_any_values_are_equal_if_their_tokens_are(a: Any, b: Any) -> None:
    assert same(a, b, REGISTRY) is same_by_tokens(a, b)
    assert same(a, a, REGISTRY)
