"""Work and memory of reading are proportional to the input, and only Rejected is raised."""

from typing import Any

import pytest

from ergo_conformance.errors import Rejected
from ergo_conformance.reference_node.ergo.edf import Decoder
from ergo_conformance.spec.ergo import edf as spec_edf
from tests.support.work import calls_and_memory, peak_memory

from .codecs import READERS, agreed, folded, judged, u32
from .hostile import INPUTS, REGISTRY, data_of

CALLS = {"node": 80, "spec": 130}
"""Function calls per byte of the input, and per item of a value that may take no bytes."""
MEMORY = {"node": 150, "spec": 1000}
"""Bytes held per byte of the input; a reader may also hold a fixed megabyte."""
FREE_ITEMS = 4096
SMALL = 3072
LONG = 20_000
GOOD = bytes.fromhex("8200029d849d000000038d00056166746572960000000000000001ff")


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_both_readers_give_one_verdict_on_a_hostile_input_at_bounded_cost(name: str) -> None:
    data = data_of(name, SMALL)
    verdicts = []
    for reader in READERS:
        used, held = calls_and_memory(lambda reader=reader: verdicts.append(judged(reader, data, REGISTRY)[0]))  # type: ignore[misc]
        assert used < CALLS[reader] * (len(data) + FREE_ITEMS)
        assert held < MEMORY[reader] * len(data) + 1_000_000
    assert verdicts[0] == verdicts[1]


@pytest.mark.parametrize("name", sorted(INPUTS)[::4])
def test_memory_of_the_node_is_bounded_for_a_long_hostile_input(name: str) -> None:
    data = data_of(name, LONG)
    assert peak_memory(lambda: judged("node", data, REGISTRY)) < MEMORY["node"] * len(data) + 1_000_000


@pytest.mark.parametrize("reader", READERS)
def test_a_valid_value_is_read_after_each_hostile_input(reader: str) -> None:
    decoder, context = Decoder(REGISTRY), spec_edf.EdfContext(REGISTRY)

    def read(data: bytes) -> Any:
        if reader == "node":
            try:
                return decoder.decode(data)
            except Rejected as refusal:
                return refusal
        found = spec_edf.decode(data, context)
        return found if isinstance(found, Rejected) else found.value

    for name in sorted(INPUTS):
        read(data_of(name, SMALL))
        assert read(GOOD) == ["after", 1, None]


# --- work, counted instead of timed -----------------------------------------------------------------------------------


class Counting(bytes):
    """Bytes that count the accesses to them."""

    accesses = 0

    def __getitem__(self, key: Any) -> Any:
        Counting.accesses += 1
        return super().__getitem__(key)


LINEAR = ("84", "any slices", "structs", "distinct folds", "deep types")


def input_of(kind: str, n: int) -> bytes:
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
def test_accesses_to_the_input_grow_linearly(kind: str) -> None:
    accesses = []
    for n in (250, 1000):
        Counting.accesses = 0
        with pytest.raises(Rejected):
            Decoder(REGISTRY).decode_prefix(Counting(input_of(kind, n)))
        accesses.append(Counting.accesses)
    assert accesses[1] <= 4.4 * accesses[0] + 100


@pytest.mark.parametrize(("n", "reason"), [(4096, None), (4097, "too many items without a byte")])
def test_items_of_zero_bytes_are_limited_per_value(n: int, reason: str | None) -> None:
    one = folded(b"\x9d\x83\0\4#x/E") + b"\x9d" + u32(n)
    half = folded(b"\x9d\x83\0\4#x/E") + b"\x9d" + u32(n // 2)
    rest = folded(b"\x9d\x83\0\4#x/E") + b"\x9d" + u32(n - n // 2)
    twice = folded("9d84") + b"\x9d\0\0\0\2" + half + rest
    for data in (one, twice):
        found = agreed(data, REGISTRY).reason
        assert (found and found.value) == reason
