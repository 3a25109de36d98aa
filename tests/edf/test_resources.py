"""No input costs a reader more than it should: time and memory in proportion, and nothing raised but Rejected."""

import time
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest

from ergo_conformance.errors import Rejected
from ergo_conformance.reference_node.ergo.edf import Decoder
from ergo_conformance.spec import edf as spec_edf

from .codecs import OFFSET_IS_FREE, READERS, agreed, bug, folded, judged, u32
from .hostile import INPUTS, REGISTRY, SIZE, data_of

MEMORY = {"node": 10_000_000, "spec": 100_000_000}
SECONDS = {"node": 1.0, "spec": 18.0}
"""Generous, for busy machines: these catch an explosion, not a slow day. The schema's is for a reading with every allocation
traced, which takes three times as long."""

_AMPLIFIED = "arrays in arrays take no byte: each byte of input makes a thousand tuples; 64 KiB take 70 s and gigabytes"
FAULTS = {
    ("node", "deep arrays of nothing"): "RecursionError of empty_value gets out",
    ("node", "empty slices of deep arrays of nothing"): "empty_value is built for each empty slice: 64 KiB take 17 s",
    ("node", "short slices of deep arrays"): _AMPLIFIED,
    ("node", "slice of deep arrays"): _AMPLIFIED,
    ("spec", "short slices of deep arrays"): _AMPLIFIED,
    ("spec", "slice of deep arrays"): _AMPLIFIED,
}
TOO_SLOW = {name for _, name in FAULTS}
FAULTY = {"empty slices of deep arrays of nothing": 3000}
"""Items of an input that is known to be too much (400 for the others): enough to show it."""


def _marks(reader: str, name: str) -> list[pytest.MarkDecorator]:
    fault = FAULTS.get((reader, name))
    if fault is None:
        return []
    return [bug(fault)] if reader == "node" else [pytest.mark.xfail(reason=f"BUG: {fault}", run=False)]


CASES = [
    pytest.param(reader, name, marks=_marks(reader, name), id=f"{reader}-{name}")
    for name in INPUTS
    for reader in READERS
]


def read(reader: str, data: bytes) -> Any:
    try:
        return READERS[reader](data, REGISTRY)
    except Rejected as refusal:
        return refusal


def shortened(data: bytes, n: int) -> bytes:
    """A slice, of fewer items."""
    head = 3 + int.from_bytes(data[1:3], "big")
    items = data[head + 5 :]
    if not items:
        return data
    width = len(items) // int.from_bytes(data[head + 1 : head + 5], "big")
    return data[: head + 1] + n.to_bytes(4, "big") + items[: n * width]


@pytest.mark.parametrize(("reader", "name"), CASES)
def test_a_hostile_input_stays_within_its_means(reader: str, name: str) -> None:
    data = data_of(name)
    if (reader, name) in FAULTS:
        data = shortened(data, FAULTY.get(name, 400))
    assert len(data) <= SIZE + 200
    if reader == "node":
        started = time.perf_counter()
        read(reader, data)
        assert time.perf_counter() - started < SECONDS[reader]
    started = time.perf_counter()
    tracemalloc.start()
    try:
        read(reader, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY[reader]
    assert reader == "node" or time.perf_counter() - started < SECONDS[reader]


@pytest.mark.parametrize("name", sorted(INPUTS.keys() - TOO_SLOW))
def test_both_readers_judge_a_hostile_input_alike(name: str) -> None:
    by_node, by_spec = (judged(reader, data_of(name), REGISTRY)[0] for reader in READERS)
    assert by_node.reason is by_spec.reason
    assert by_node == by_spec or by_node.reason in OFFSET_IS_FREE


@pytest.mark.parametrize("reader", READERS)
def test_a_good_value_is_read_after_each_hostile_one(reader: str) -> None:
    decoder, context = Decoder(REGISTRY), spec_edf.EdfContext(REGISTRY)
    good = bytes.fromhex("8200029d849d000000038d00056166746572960000000000000001ff")
    for name in sorted(INPUTS.keys() - TOO_SLOW)[:: 1 if reader == "node" else 6]:
        if reader == "node":
            with suppress(Rejected):
                decoder.decode(data_of(name))
            assert decoder.decode(good) == ["after", 1, None]
        else:
            spec_edf.decode(data_of(name), context)
            parsed = spec_edf.decode(good, context)
            assert not isinstance(parsed, Rejected)
            assert parsed.value == ["after", 1, None]


# --- work, counted instead of timed -----------------------------------------------------------------------------------


class Counting(bytes):
    """Bytes that count how often they are looked at."""

    looks = 0

    def __getitem__(self, key: Any) -> Any:
        Counting.looks += 1
        return super().__getitem__(key)


LINEAR = ("84", "any slices", "structs", "distinct folds", "deep types")


def grown(kind: str, n: int) -> bytes:
    match kind:
        case "84":
            return folded("9d84") + b"\x9d" + u32(n) + (b"\x84" * 20 + b"\xff") * (n - 1) + b"\0"
        case "any slices":
            return folded("9d84") + b"\x9d" + u32(n) + (folded("9d84") + b"\x9d\0\0\0\1\xff") * (n - 1) + b"\0"
        case "structs":
            return folded("9d84") + b"\x9d" + u32(n) + b"\x83\0\4#x/H\xff" * (n - 1) + b"\0"
        case "distinct folds":
            items = b"".join(folded(b"\x9d\x9e" + u32(i) + b"\x92") + b"\xff" for i in range(n - 1))
            return folded("9d84") + b"\x9d" + u32(n) + items + b"\0"
    return folded(b"\x9d" * (n % 1024) + b"\x92") + b"\0"


@pytest.mark.parametrize("kind", LINEAR)
def test_work_grows_with_the_input_and_no_faster(kind: str) -> None:
    looks = []
    for n in (250, 1000):
        Counting.looks = 0
        with pytest.raises(Rejected):
            Decoder(REGISTRY).decode_prefix(Counting(grown(kind, n)))
        looks.append(Counting.looks)
    assert looks[1] <= 4.4 * looks[0] + 100


@pytest.mark.parametrize(("n", "reason"), [(4096, None), (4097, "too many items without a byte")])
def test_items_without_a_byte_are_counted_over_the_whole_value(n: int, reason: str | None) -> None:
    one = folded(b"\x9d\x83\0\4#x/E") + b"\x9d" + u32(n)
    half = folded(b"\x9d\x83\0\4#x/E") + b"\x9d" + u32(n // 2)
    rest = folded(b"\x9d\x83\0\4#x/E") + b"\x9d" + u32(n - n // 2)
    twice = folded("9d84") + b"\x9d\0\0\0\2" + half + rest
    for data in (one, twice):
        found = agreed(data, REGISTRY).reason
        assert (found and found.value) == reason
