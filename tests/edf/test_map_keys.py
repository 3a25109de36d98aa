"""Keys of maps: of equal keys the last one counts, and the cost of hashing and comparing received keys is bounded."""

import itertools
import math
import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model import types as t
from ergo_conformance.model.map_keys import MAX_EQUAL_HASHES, MAX_KEY_DEPTH, MAX_UNCOUNTED_KEYS, SlotCount
from ergo_conformance.model.registry import Registry, Struct
from ergo_conformance.model.values import Typed

from .codecs import READERS, Verdict, agreed, both_readers, folded, judged, u32

ONE = b"\x9e\0\0\0\1"
"""Constructor of an array of one item."""
REGISTRY = Registry([Struct("#x/Key", (("A", t.INT64), ("B", t.INT64)))])
ANY_KEYS = folded("9f8492") + b"\x9f"
"""Head of a map from any to int8."""


def deep_key(levels: int) -> bytes:
    """Returns a key of type `any`: an int8 in nested arrays."""
    slots, rest = divmod(levels, 1023)
    chain = folded(ONE * 1023 + b"\x84") * slots
    return chain + (folded(ONE * rest + b"\x92") + b"\5" if rest else b"\x92\5")


def rows(width: int) -> Iterator[bytes]:
    """Returns different rows of bytes -1 and -2, which have one hash in CPython."""
    return map(bytes, itertools.product((0xFF, 0xFE), repeat=width))


def map_of(head: bytes, keys: list[bytes]) -> bytes:
    """Returns a map from these keys to int8 numbers."""
    return head + u32(len(keys)) + b"".join(key + bytes([i % 128]) for i, key in enumerate(keys))


def test_a_key_may_have_the_maximum_depth() -> None:
    data = map_of(ANY_KEYS, [deep_key(MAX_KEY_DEPTH - 1)])  # the slot is a level, too
    assert agreed(data).reason is None


@pytest.mark.parametrize("levels", [MAX_KEY_DEPTH, MAX_KEY_DEPTH + 1, 1023, 20_000])
def test_a_deeper_key_is_refused(levels: int) -> None:
    data = map_of(ANY_KEYS, [b"\x92\1", deep_key(levels)])
    assert agreed(data) == Verdict(Reason.UNHASHABLE_KEY, len(ANY_KEYS) + 4 + 3)


@both_readers
def test_a_deep_key_is_refused_in_a_thread(read: Any) -> None:
    """Threads may have a smaller stack."""
    found: list[object] = []

    def work() -> None:
        with pytest.raises(Rejected) as refusal:
            read(map_of(ANY_KEYS, [deep_key(20_000)]))
        found.append(refusal.value.reason)

    size = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert found == [Reason.UNHASHABLE_KEY]


HEADS = {
    "arrays": (folded("9f9e0000000d9292") + b"\x9f", b""),
    "arrays in any slots": (ANY_KEYS, folded("9e0000000d92")),
}


@pytest.mark.parametrize("form", HEADS)
def test_keys_with_one_hash_are_limited(form: str) -> None:
    head, descriptor = HEADS[form]
    keys = [descriptor + row for row in itertools.islice(rows(13), MAX_EQUAL_HASHES + 1)]
    assert agreed(map_of(head, keys[:-1])).reason is None
    at = len(head) + 4 + MAX_EQUAL_HASHES * (len(keys[0]) + 1)
    assert agreed(map_of(head, keys)) == Verdict(Reason.UNHASHABLE_KEY, at)


def test_structs_with_one_hash_are_limited() -> None:
    minus = [(-1).to_bytes(8, "big", signed=True), (-2).to_bytes(8, "big", signed=True)]
    modulus = 2**61 - 1
    equal = [(k * modulus).to_bytes(8, "big", signed=True) for k in range(-4, 5)]
    keys = [a + b for a in equal for b in equal]
    assert len(keys) > MAX_EQUAL_HASHES
    head = folded(b"\x9f\x83\0\6#x/Key\x92") + b"\x9f"
    assert agreed(map_of(head, [a + b for a in minus for b in minus]), REGISTRY).reason is None
    assert agreed(map_of(head, keys), REGISTRY).reason is Reason.UNHASHABLE_KEY


@pytest.mark.parametrize("key", [b"\xff" * 13, b"\xfe" * 13])
def test_equal_keys_are_not_limited(key: bytes) -> None:
    head, _ = HEADS["arrays"]
    data = map_of(head, [key] * 1000)
    assert agreed(data).reason is None
    for name in READERS:
        _, value = judged(name, data)
        assert value.value == {tuple(b - 256 for b in key): 999 % 128}


# --- keys whose slots are taken ---------------------------------------------------------------------------------------


FILLER = 5000
"""Keys that leave little room in a dict of 8192 slots, which grows with key 5462."""
MASK, BITS = 8191, 13


def crafted_keys(count: int) -> list[int]:
    """Returns int64 keys that fill a dict in the order of its last probes, and `count` keys whose probes find taken slots.

    Without a limit each of the latter visits thousands of slots.
    """
    slot = 0
    order = [slot := (5 * slot + 1) & MASK for _ in range(FILLER)]
    place = {slot: i for i, slot in enumerate(order)}
    rng, found = random.Random(1), list[int]()
    while len(found) < count:
        key = slot = rng.choice(order)
        for at in range(BITS, 56, 5):
            if slot not in place:
                break
            key |= next((b for b in rng.sample(range(32), 32) if probe(slot, key | b << at, at) in place), 0) << at
            slot = probe(slot, key, at)
        for at in range(58, 80, 5):
            slot = probe(slot, key, at) if slot in place else -1
        if place.get(slot, FILLER) < FILLER // 2 and key > MASK:
            found.append(key)
    return order + found


def probe(slot: int, key: int, at: int) -> int:
    """Returns the slot that CPython visits after a taken one, when it has used `at` bits of the hash."""
    return (5 * slot + (key >> at - BITS + 5) + 1) & MASK


def test_the_slots_of_a_dict_are_counted() -> None:
    keys, count = crafted_keys(4), SlotCount()
    for i, key in enumerate(keys):
        count.add(key, keys[:i])
    assert count.steps > 4 * FILLER // 2


def test_integers_that_visit_many_taken_slots_are_refused() -> None:
    keys = [key.to_bytes(8, "big") for key in crafted_keys(250)]
    head = folded("9f9592") + b"\x9f"
    verdict = agreed(map_of(head, keys))
    assert verdict.reason is Reason.UNHASHABLE_KEY
    assert 0 <= verdict.offset - len(head) - 4 - 9 * FILLER < 9 * 250


@pytest.mark.parametrize("step", [1, 1 << 32, 10**12 + 7])
def test_regular_integers_are_read_as_keys(step: int) -> None:
    count = MAX_UNCOUNTED_KEYS + 1000
    keys = [(i * step % (1 << 63)).to_bytes(8, "big") for i in range(count)]
    assert agreed(map_of(folded("9f9592") + b"\x9f", keys)).reason is None


ZEROS = {
    "float64": ("9f9092", b"", 8),
    "float32": ("9f8f92", b"", 4),
    "any": ("9f8492", b"\x90", 8),
    "array": ("9f9e000000019092", b"", 8),
}


@pytest.mark.parametrize("form", ZEROS)
@pytest.mark.parametrize("signs", [(0, 0x80), (0x80, 0)])
def test_of_two_zeros_the_last_key_counts(form: str, signs: tuple[int, int]) -> None:
    type_, tag, width = ZEROS[form]
    keys = [tag + bytes([sign]) + bytes(width - 1) for sign in signs]
    data = map_of(folded(type_) + b"\x9f", keys)
    assert agreed(data).reason is None
    for name in READERS:
        _, value = judged(name, data)
        ((key, number),) = value.value.items()
        key = key.value if isinstance(key, Typed) else key
        zero = key[0] if isinstance(key, tuple) else key
        assert (number, math.copysign(1, zero)) == (1, -1 if signs[1] else 1)


class CountingBytes(bytes):
    """Bytes that count the bytes copied out of them."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        CountingBytes.copied += len(found) if isinstance(found, bytes) else 1
        return found


@pytest.mark.parametrize("item", [b"\x9d\0\0\0\0", b"\xff"])
def test_a_refused_slice_of_slices_is_explained_without_copies_of_the_rest(item: bytes) -> None:
    count = 2000
    data = CountingBytes(folded("9d9d93") + b"\x9d" + u32(count + 1) + item * count + b"\0")
    CountingBytes.copied = 0
    assert judged("node", data)[0] == Verdict(Reason.MARKER, len(data) - 1)
    assert CountingBytes.copied < 5 * len(data)
