"""Values of maximum nesting, with Python's default recursion limit and on a deep call stack."""

import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from ergo_conformance.errors import CannotEncode, Reason
from ergo_conformance.model import types as t
from ergo_conformance.model.ergo.edf import MAX_DEPTH
from ergo_conformance.model.registry import Registry, Struct
from ergo_conformance.model.types import ANY, Array, Map, Reg, Slice, Type
from ergo_conformance.model.values import Typed
from ergo_conformance.reference_node.ergo.edf import Decoder
from ergo_conformance.reference_node.ergo.edf.codec import Allowance, generated_functions
from ergo_conformance.reference_node.ergo.edf.runtime import no_fast_reader

from .codecs import READERS, WRITERS, Verdict, both_readers, both_writers, folded, judged

REGISTRY = Registry([HOLD := Struct("#x/H", (("X", ANY),))])
ANYS, HOLDS = folded("9d84"), b"\x83\0\4#x/H"


def nested(type_: Type, wrap: Callable[[Type], Type], levels: int) -> Type:
    for _ in range(levels):
        type_ = wrap(type_)
    return type_


def wrapped(value: Any, wrap: Callable[[Any], Any], levels: int) -> Any:
    for _ in range(levels):
        value = wrap(value)
    return value


def call_deeper(frames: int, call: Callable[[], Any]) -> Any:
    """Returns the result of a call made `frames` stack frames deeper."""
    return call() if frames == 0 else call_deeper(frames - 1, call)


LEAF = 7
DEEPEST: dict[str, tuple[Any, bytes]] = {
    "slices of any": (
        wrapped(LEAF, lambda v: [v], MAX_DEPTH),
        (ANYS + b"\x9d\0\0\0\1") * MAX_DEPTH + b"\x96" + LEAF.to_bytes(8, "big"),
    ),
    "maps of any": (
        wrapped(None, lambda v: {"k": v}, MAX_DEPTH),
        (folded("9f8d84") + b"\x9f\0\0\0\1\0\1k") * MAX_DEPTH + b"\xff",
    ),
    "structs with any": (wrapped(None, HOLD.value_class, MAX_DEPTH), HOLDS * MAX_DEPTH + b"\xff"),
    "one folded type of slices": (
        Typed(nested(t.INT8, Slice, MAX_DEPTH), wrapped(LEAF, lambda v: [v], MAX_DEPTH)),
        folded(b"\x9d" * MAX_DEPTH + b"\x92") + b"\x9d\0\0\0\1" * MAX_DEPTH + b"\7",
    ),
    "one folded type of arrays": (
        Typed(nested(t.INT8, lambda inner: Array(1, inner), MAX_DEPTH), wrapped(LEAF, lambda v: (v,), MAX_DEPTH)),
        folded(b"\x9e\0\0\0\1" * MAX_DEPTH + b"\x92") + b"\7",
    ),
    "one folded type of maps": (
        Typed(
            nested(t.INT8, lambda inner: Map(t.BOOL, inner), MAX_DEPTH), wrapped(LEAF, lambda v: {True: v}, MAX_DEPTH)
        ),
        folded(b"\x9f\x91" * MAX_DEPTH + b"\x92") + b"\x9f\0\0\0\1\1" * MAX_DEPTH + b"\7",
    ),
    "half and half": (
        wrapped(Typed(nested(t.INT8, Slice, MAX_DEPTH), None), lambda v: [v], MAX_DEPTH),
        (ANYS + b"\x9d\0\0\0\1") * MAX_DEPTH + folded(b"\x9d" * MAX_DEPTH + b"\x92") + b"\xff",
    ),
}
deepest = pytest.mark.parametrize(("value", "data"), DEEPEST.values(), ids=list(DEEPEST))
frames = pytest.mark.parametrize("depth", [0, 400, 700])


@pytest.fixture(autouse=True)
def default_recursion_limit() -> Any:
    """Sets Python's default recursion limit, and checks afterwards that the test did not change it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    assert sys.getrecursionlimit() == 1000
    sys.setrecursionlimit(before)


def equal_values(a: Any, b: Any) -> bool:
    """Compares nested values without recursion."""
    todo = [(a, b)]
    while todo:
        x, y = todo.pop()
        if type(x) is not type(y):
            return False
        if isinstance(x, list | tuple):
            if len(x) != len(y):
                return False
            todo += zip(x, y, strict=True)
        elif isinstance(x, dict):
            if [*x] != [*y]:
                return False
            todo += zip(x.values(), y.values(), strict=True)
        elif x != y:
            return False
    return True


@frames
@deepest
@both_readers
def test_a_value_of_maximum_depth_is_read(read: Any, value: Any, data: bytes, depth: int) -> None:
    found, end = call_deeper(depth, lambda: read(data, REGISTRY))
    assert end == len(data)
    assert equal_values(found, value)


@frames
@deepest
@both_writers
def test_a_value_of_maximum_depth_is_written(write: Any, value: Any, data: bytes, depth: int) -> None:
    assert call_deeper(depth, lambda: write(value, REGISTRY)) == data


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(
    "data",
    [
        (ANYS + b"\x9d\0\0\0\1") * (MAX_DEPTH + 1) + b"\xff",
        HOLDS * (MAX_DEPTH + 1) + b"\xff",
        b"\x84" * (MAX_DEPTH + 1) + b"\xff",
        (ANYS + b"\x9d\0\0\0\1") * (MAX_DEPTH - 1) + b"\x84\x84\xff",
        folded(b"\x9d" * (MAX_DEPTH + 1) + b"\x92") + b"\xff",
        folded(b"\x9f\x8d" * (MAX_DEPTH + 1) + b"\x92") + b"\xff",
        folded(b"\x9e\0\0\0\1" * (MAX_DEPTH + 1) + b"\x92") + b"\7",
        folded(b"\x9f" * (MAX_DEPTH + 1) + b"\x92" * (MAX_DEPTH + 2)) + b"\xff",
    ],
    ids=[
        "slices",
        "structs",
        "chain",
        "slices and a chain",
        "folded slices",
        "folded maps",
        "folded arrays",
        "folded keys",
    ],
)
def test_one_level_above_the_maximum_is_refused(name: str, data: bytes) -> None:
    assert judged(name, data, REGISTRY)[0].reason is Reason.DEPTH


@pytest.mark.parametrize("name", READERS)
def test_depth_counts_only_open_levels(name: str) -> None:
    one = (ANYS + b"\x9d\0\0\0\1") * (MAX_DEPTH - 1) + b"\xff"
    data = ANYS + b"\x9d\0\0\0\3" + one * 3
    assert judged(name, data)[0] == Verdict(None, len(data))


def test_excessive_depth_is_reported_before_truncation() -> None:
    data = folded(b"\x9d" * MAX_DEPTH + b"\x9e\0")
    assert [judged(name, data)[0].reason for name in READERS] == [Reason.DEPTH, Reason.DEPTH]


@pytest.mark.parametrize("name", READERS)
def test_a_refusal_in_a_deep_value_has_the_whole_path(name: str) -> None:
    from ergo_conformance.errors import Rejected

    data = (ANYS + b"\x9d\0\0\0\1") * 1000 + b"\x91"
    with pytest.raises(Rejected) as caught:
        call_deeper(600, lambda: READERS[name](data))
    assert caught.value.path == "[0]" * 1000
    assert caught.value.offset == len(data)


@pytest.mark.parametrize("name", WRITERS)
def test_cannot_encode_in_a_deep_value_has_the_whole_path(name: str) -> None:
    value = wrapped(object(), lambda v: [v], 1000)
    with pytest.raises(CannotEncode) as caught:
        call_deeper(600, lambda: WRITERS[name](value))
    assert caught.value.path == "[0]" * 1000


def struct_chain(n: int) -> Registry:
    rows = [Struct(f"#c/S{i}", (("A", t.Reg(f"#c/S{i + 1}")),)) for i in range(n)]
    return Registry([*rows, Struct(f"#c/S{n}", (("A", t.INT8),))])


@pytest.mark.parametrize("n", [20, 100, 300])
@pytest.mark.parametrize("name", READERS)
def test_deeply_nested_registered_structs_are_read_and_written(name: str, n: int) -> None:
    registry = struct_chain(n)
    data = folded(b"\x9d\x83\0\5#c/S0") + b"\x9d\0\0\0\2\7\x08"
    value, end = READERS[name](data, registry)
    assert end == len(data)
    assert WRITERS[name](value, registry) == data


# --- types met deep inside a value ------------------------------------------------------------------------------------


def test_a_type_that_first_occurs_deep_inside_a_value_gets_its_reader() -> None:
    """At some depths Python's stack has room for the reading and not for the generation of a reader."""
    names = [f"#x/{letter}" for letter in "ABCDEFGHIJKLMNOPQRST"]
    rows = [Struct(names[0], (("V", t.INT8),))]
    rows += [Struct(name, (("V", Reg(inner)),)) for inner, name in pairwise(names)]
    outer = b"\x83\0\4" + names[-1].encode() + b"\7"
    slow = []
    for depth in range(300, 520, 5):
        registry = Registry(rows)
        decoder = Decoder(registry)
        decoder.decode((ANYS + b"\x9d\0\0\0\1") * depth + outer)
        decoder.decode(outer)
        if generated_functions(registry).dynamic_reader(Reg(names[-1])) is no_fast_reader:
            slow.append(depth)
    assert slow == []


def test_a_postponed_folded_type_counts_against_the_limit_of_generated_lines() -> None:
    functions = generated_functions(Registry())
    type_ = Map(t.INT8, t.BOOL)
    functions._postponed.append((type_, True))
    allowance = Allowance(100)
    functions.generate_postponed(allowance)
    assert functions.dynamic_readers[type_] is not no_fast_reader
    assert functions.folded_lines == 100 - allowance.lines > 0
