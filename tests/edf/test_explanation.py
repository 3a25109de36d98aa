"""Refusals behind many items: only the failing item is read step by step, with the reason, path and offset of the schemas."""

from typing import Any

import pytest

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model import types as t
from ergo_conformance.model.registry import Registry, Struct
from ergo_conformance.model.types import ANY, Array, Slice, Type
from ergo_conformance.reference_node.ergo.edf import Decoder
from ergo_conformance.spec.ergo import edf as spec_edf
from tests.support.work import count_calls

from .codecs import Verdict, agreed, both_readers, folded, u32

REGISTRY = Registry(
    [
        Struct("#x/H", (("X", ANY),)),
        Struct("#x/P", (("A", t.BOOL), ("B", t.STRING))),
        Struct("#x/K", (("A", t.INT8),)),
    ]
)
H, P, K = (b"\x83\0\4" + name for name in (b"#x/H", b"#x/P", b"#x/K"))
ANYS = folded("9d84") + b"\x9d"

LISTS: dict[str, tuple[bytes, bytes]] = {
    "structs with any": (folded(b"\x9d" + H), b"\xff"),
    "structs": (folded(b"\x9d" + P), b"\1\0\0"),
    "bools in slices": (folded("9d9d91"), b"\x9d\0\0\0\2\1\0"),
    "atoms": (folded("9d8c"), b"\0\1a"),
    "strings in any slots": (folded("9d84"), b"\x8d\0\1a"),
    "small slices in any slots": (folded("9d84"), folded("9d84") + b"\x9d\0\0\0\1\xff"),
    "arrays of arrays": (folded("9d9e000000019e0000000291"), b"\1\0"),
    "slices of different lengths": (folded("9d9d97"), b"\x9d" + u32(70) + bytes(70)),
}


@pytest.mark.parametrize("name", LISTS)
def test_items_before_a_failing_one_are_read_by_generated_readers(name: str) -> None:
    head, item = LISTS[name]
    calls = []
    for count in (200, 1200):
        data = head + b"\x9d" + u32(count + 1) + item * count + item[:-1]
        assert agreed(data, REGISTRY).reason is not None
        calls.append(calls_of_refusal(data, REGISTRY))
    assert (calls[1] - calls[0]) / 1000 < 25, "calls for each further item"


def calls_of_refusal(data: bytes, registry: Registry) -> int:
    """Returns the number of calls with which a new decoder refuses an input."""
    decoder = Decoder(registry)

    def refuse() -> None:
        with pytest.raises(Rejected):
            decoder.decode_prefix(data)

    return count_calls(refuse)


def nested(levels: int, width: int, leaf: bytes) -> bytes:
    """Returns slices in slices, each with `width` strings before the inner slice."""
    return (ANYS + u32(width + 1) + b"\x8d\0\1a" * width) * levels + leaf


@pytest.mark.parametrize("width", [0, 1, 5, 40])
def test_attempts_in_nested_containers_cost_no_more_than_reading_a_few_times(width: int) -> None:
    calls = []
    for levels in (60, 240):
        data = nested(levels, width, b"\0")
        assert agreed(data).reason is Reason.UNKNOWN_TAG
        calls.append(calls_of_refusal(data, Registry()))
    assert calls[1] < 4.6 * calls[0]


TEXTS = folded("9f8d84") + b"\x9f" + u32(30)
FAILURES: dict[str, bytes] = {
    "a value in a map": TEXTS + b"".join(b"\0\1%c\xff" % i for i in range(65, 94)) + b"\0\1z\0",
    "a key of a map": TEXTS + b"".join(b"\0\1%c\xff" % i for i in range(65, 94)) + b"\0\2z",
    "a key of any": folded("9f8484") + b"\x9f" + u32(20) + bytes.fromhex("9207ff") * 19 + folded("9d92") + b"\x9d" + u32(0),
    "a struct as key of any": folded("9f8492") + b"\x9f" + u32(9) + b"".join(K + b"%c\1" % i for i in range(8)) + K + b"\x09",
    "an item in a struct": folded(b"\x9d" + H) + b"\x9d" + u32(40) + b"\xff" * 38 + ANYS + u32(9) + b"\xff" * 8 + b"\0",
    "too many empty items at last": folded(b"\x9d\x9d\x9e\0\0\0\0\x92") + b"\x9d" + u32(70) + (b"\x9d" + u32(60)) * 70,
    "too deep at last": ANYS + u32(9) + b"\xff" * 8 + b"\x84" * 1100,
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_both_readers_name_the_same_part(name: str) -> None:
    data = FAILURES[name]
    verdict = agreed(data, REGISTRY)
    with pytest.raises(Rejected) as by_node:
        Decoder(REGISTRY).decode_prefix(data)
    by_schemas = spec_edf.decode(data, spec_edf.EdfContext(REGISTRY))
    assert isinstance(by_schemas, Rejected)
    assert verdict == Verdict(by_schemas.reason, by_schemas.offset)
    path = by_node.value.path.replace("[", ".").replace("]", "").lstrip(".")
    assert path == by_schemas.path.replace("[", ".").replace("]", "").lstrip(".")


@both_readers
@pytest.mark.parametrize(
    ("type_", "value", "data"),
    [
        (Array(2, Array(3, t.INT8)), ((1, 2, 3), (4, 5, 6)), b"\1\2\3\4\5\6"),
        (Array(1, Array(1, Array(2, t.STRING))), ((("a", ""),),), b"\0\1a\0\0"),
        (Array(2, Array(2, Array(1, t.BOOL))), (((True,), (False,)), ((False,), (True,))), b"\1\0\0\1"),
        (Array(3, Array(30, t.UINT8)), (tuple(range(30)),) * 3, bytes(range(30)) * 3),
        (
            Array(2, Array(2, ANY)),
            ((None, 1), ([], "x")),
            b"\xff\x96" + bytes(7) + b"\1" + ANYS + u32(0) + b"\x8d\0\1x",
        ),
    ],
)
def test_arrays_of_arrays_are_read_as_nested_tuples(read: Any, type_: Type, value: Any, data: bytes) -> None:
    descriptor = b"".join(parts(type_))
    found, _ = read(folded(b"\x9d" + descriptor) + b"\x9d" + u32(2) + data * 2)
    assert (found.type, found.value) == (Slice(type_), [value, value])


def parts(type_: Type) -> list[bytes]:
    """Returns the descriptor of nested arrays."""
    if isinstance(type_, Array):
        return [b"\x9e" + u32(type_.length), *parts(type_.item)]
    return [b"\x84" if type_ is ANY else bytes([type_.tag])]  # type: ignore[attr-defined]
