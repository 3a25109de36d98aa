"""Time and memory of reading are proportional to the input, and only Rejected is raised."""

import time
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest

from ergo_conformance.errors import Rejected
from ergo_conformance.reference_node.ergo.edf import Decoder
from ergo_conformance.spec.ergo import edf as spec_edf

from .codecs import READERS, agreed, folded, judged, u32
from .hostile import INPUTS, REGISTRY, SIZE, data_of

MEMORY = {"node": 10_000_000, "spec": 100_000_000}
SECONDS = {"node": 1.0, "spec": 18.0}
"""Generous, for busy machines: these catch an explosion, not a slow day. The schema's is for a reading with every allocation
traced, which takes three times as long."""

CASES = [pytest.param(reader, name, id=f"{reader}-{name}") for name in INPUTS for reader in READERS]


def read(reader: str, data: bytes) -> Any:
    try:
        return READERS[reader](data, REGISTRY)
    except Rejected as refusal:
        return refusal


@pytest.mark.parametrize(("reader", "name"), CASES)
def test_a_hostile_input_stays_within_its_means(reader: str, name: str) -> None:
    data = data_of(name)
    assert len(data) <= SIZE + 200
    if reader == "node":
        started = time.process_time()
        read(reader, data)
        assert time.process_time() - started < SECONDS[reader]
    started = time.process_time()
    tracemalloc.start()
    try:
        read(reader, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY[reader]
    assert reader == "node" or time.process_time() - started < SECONDS[reader]


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_both_readers_judge_a_hostile_input_alike(name: str) -> None:
    by_node, by_spec = (judged(reader, data_of(name), REGISTRY)[0] for reader in READERS)
    assert by_node.reason is by_spec.reason
    assert by_node == by_spec


@pytest.mark.parametrize("reader", READERS)
def test_a_good_value_is_read_after_each_hostile_one(reader: str) -> None:
    decoder, context = Decoder(REGISTRY), spec_edf.EdfContext(REGISTRY)
    good = bytes.fromhex("8200029d849d000000038d00056166746572960000000000000001ff")
    for name in sorted(INPUTS)[:: 1 if reader == "node" else 6]:
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
    """Bytes that count the accesses to them."""

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
