"""Hostile inputs by name: each tries to cost a reader more work or memory than its length allows."""

import struct
from collections.abc import Callable, Iterator
from functools import cache

from ergo_conformance.model import types as t
from ergo_conformance.model.registry import Newtype, Registry, Struct
from ergo_conformance.model.types import ANY, Map, Reg, Slice

from .codecs import folded, u32

SIZE = 65_536
"""Bytes of an input, unless a smaller one is asked for; those of a fixed form have other lengths."""
REGISTRY = Registry(
    [
        Struct("#x/E", ()),
        Struct("#x/H", (("X", ANY),)),
        Newtype("#x/S", Slice(ANY)),
        Newtype("#x/M", Map(t.ATOM, ANY)),
        Struct("#x/W", (("A", Slice(ANY)), ("B", Map(t.STRING, ANY)), ("C", ANY))),
        Struct("#x/EE", (("A", t.Array(64, Reg("#x/E"))), ("B", t.INT8))),
    ]
)
E_, H_, S_, W_, EE_ = (
    b"\x83" + len(name).to_bytes(2, "big") + name for name in (b"#x/E", b"#x/H", b"#x/S", b"#x/W", b"#x/EE")
)
ANYS = folded("9d84")


def filled(size: int, type_: bytes, item: bytes, tail: bytes = b"", marker: bytes = b"\x9d") -> bytes:
    """Returns a container of a folded type with as many items as fit in `size` bytes, at least 64."""
    head = folded(type_)
    n = max(64, (size - len(head) - 5 - len(tail)) // len(item))
    return head + marker + u32(n) + item * n + tail


def arrays(levels: int, leaf: str) -> bytes:
    """Returns nested arrays of one item: every byte creates a thousand values."""
    return bytes.fromhex("9e00000001" * levels + leaf)


def cut(data: bytes) -> bytes:
    return data[:-1]


def gathered(size: int, parts: Iterator[bytes], head: bytes = ANYS + b"\x9d") -> bytes:
    """Returns a head, a count, and as many items as fit in `size` bytes."""
    found: list[bytes] = []
    left = size - len(head) - 4
    for part in parts:
        if len(part) > left:
            break
        found.append(part)
        left -= len(part)
    return head + u32(len(found)) + b"".join(found)


def numbers() -> Iterator[int]:
    yield from range(1_000_000)


def distinct_folds() -> Iterator[bytes]:
    scalars = bytes([*range(0x8C, 0x9D), *range(0xAA, 0xB0)])
    for i in numbers():
        a, b, c = scalars[i % 23], scalars[i // 23 % 23], scalars[i // 529 % 23]
        yield folded(bytes([0x9F, a, 0x9F, b, 0x9D, c])) + b"\xff"


def long_distinct_folds() -> Iterator[bytes]:
    for i in numbers():
        yield folded(b"".join(b"\x9e" + u32(i + j) for j in range(20)) + b"\x9d\x92") + b""


def colliding_keys() -> Iterator[bytes]:
    """Returns pairs of integers with the same hash in CPython (xxHash, without seed for numbers)."""
    mod, p1, p2, p5 = 2**64, 11400714785074694791, 14029467366897019727, 2870177450012600261
    inverse = pow(p2, -1, mod)
    for a in range(1, 1_000_000):
        acc = (p5 + a * p2) % mod
        acc = (acc << 31 | acc >> 33) % mod * p1 % mod
        b = (12_345_678_901_234_567 - acc) * inverse % mod
        signed = b - mod if b >= 2**63 else b
        if hash(signed) % mod == b:
            yield struct.pack(">qqB", a, signed, 1)


def deep(constructor: str, levels: int, leaf: str = "92") -> bytes:
    return bytes.fromhex(constructor) * levels + bytes.fromhex(leaf)


ONE = "9e00000001"

INPUTS: dict[str, Callable[[int], bytes]] = {
    "nils in any slots": lambda size: filled(size, b"\x9d\x84", b"\xff"),
    "nils, then a bad tag": lambda size: filled(size, b"\x9d\x84", b"\xff")[:-1] + b"\0",
    "empty strings in any slots, cut": lambda size: cut(filled(size, b"\x9d\x84", b"\x8d\0\0")),
    "empty strings in any slots, then an unhashable key": lambda size: filled(
        size, b"\x9d\x84", b"\x8d\0\0", folded("9f849292")[:0] + b"\x9f"
    ),
    "bools, cut": lambda size: cut(filled(size, b"\x9d\x91", b"\1")),
    "nil slices, then a bad marker": lambda size: filled(size, b"\x9d\x9d\x94", b"\xff")[:-1] + b"\0",
    "empty slices": lambda size: filled(size, b"\x9d\x9d\x94", b"\x9d\0\0\0\0"),
    "empty slices in any slots": lambda size: filled(size, b"\x9d\x84", folded("9d92") + b"\x9d\0\0\0\0"),
    "empty maps, cut": lambda size: cut(filled(size, b"\x9d\x9f\x8d\x84", b"\x9f\0\0\0\0")),
    "empty structs in any slots": lambda size: filled(size, b"\x9d\x84", E_),
    "structs of any": lambda size: filled(size, b"\x9d" + H_, b"\xff", b"\0"),
    "structs of containers": lambda size: filled(size, b"\x9d" + W_, b"\xff\xff\xff")[:-1] + b"\0",
    "atoms, cut": lambda size: cut(filled(size, b"\x9d\x8c", b"\0\1a")),
    "distinct atoms": lambda size: gathered(size, (b"\0\4" + u32(i) for i in numbers()), folded("9d8c") + b"\x9d"),
    "distinct errors": lambda size: gathered(size, (b"\0\4" + u32(i) for i in numbers()), folded("9d9c") + b"\x9d"),
    "distinct keys": lambda size: gathered(
        size, (b"\0\4" + u32(i) + b"\1" for i in numbers()), folded("9f8d91") + b"\x9f"
    ),
    "distinct keys of any": lambda size: gathered(
        size, (b"\x94" + u32(i) + b"\xff" for i in numbers()), folded("9f8484") + b"\x9f"
    ),
    "colliding keys": lambda size: gathered(size, colliding_keys(), folded("9f9e000000029591") + b"\x9f"),
    "times that are none": lambda size: filled(size, b"\x9d\xaf", b"\0"),
    "distinct folded types": lambda size: gathered(size, distinct_folds()),
    "distinct long folded types": lambda size: gathered(size, long_distinct_folds()),
    "folded type too deep": lambda size: folded(deep("9d", 65_280)),
    "folded maps too deep": lambda size: folded(deep("9f8d", 32_000)),
    "folded keys too deep": lambda size: folded(deep("9f", 65_280)),
    "folded arrays too deep": lambda size: folded(deep(ONE, 13_000)),
    "deepest arrays of any": lambda size: folded(deep(ONE, 1024, "84")) * (size // 5200) + b"\xff",
    "deepest maps of any": lambda size: (
        (folded(deep("9f8d", 1024, "84")) + b"\x9f\0\0\0\1\0\0" * 1024) * max(1, size // 10_000) + b"\xff"
    ),
    "chain of 84": lambda size: b"\x84" * (size - 1),
    "chains of 84": lambda size: ANYS + b"\x9d" + u32(size // 1024) + (b"\x84" * 1022 + b"\xff") * (size // 1024),
    "any slices in any slices": lambda size: (ANYS + b"\x9d\0\0\0\1") * (size // 10) + b"\xff",
    "registered slices in each other": lambda size: (S_ + b"\x83\0\0\0\1") * (size // 12) + b"\xff",
    "structs in each other": lambda size: H_ * (size // 7) + b"\xff",
    "any values 1024 deep, cut": lambda size: (ANYS + b"\x9d\0\0\0\1") * 1024 + b"\x8d\xff",
    "count of 4 G slices": lambda size: folded("9d9d92") + b"\x9d\xff\xff\xff\xff",
    "count of 4 G any": lambda size: ANYS + b"\x9d\xff\xff\xff\xff" + b"\xff" * (size * 9 // 10),
    "array of 4 G bytes": lambda size: folded("9effffffff97"),
    "array of 4 G of 4 G any": lambda size: folded("9effffffff9effffffff84") + b"\xff" * (size * 9 // 10),
    "array of 64 arrays of 64 arrays of nothing": lambda size: folded("9e00000040" * 9 + "9e0000000092"),
    "array of 4 G empty arrays": lambda size: folded("9effffffff9e0000000092"),
    "array of no 4 G arrays": lambda size: folded("9d9e00000000" + "9effffffff" * 9 + "92") + b"\x9d\0\0\x10\0",
    "slice of 4 G empty structs": lambda size: folded(b"\x9d" + E_) + b"\x9d\xff\xff\xff\xff",
    "slices of many empty structs": lambda size: filled(size, b"\x9d\x9d" + E_, b"\x9d\0\0\x0f\xff"),
    "map of 4 G empty structs": lambda size: folded(b"\x9f" + E_ + E_) + b"\x9f\xff\xff\xff\xff",
    "structs with 64 empty structs": lambda size: filled(size, b"\x9d" + EE_, b"\1"),
    "deep arrays of nothing": lambda size: folded(deep(ONE, 1023, "9e0000000092")),
    "empty slices of deep arrays of nothing": lambda size: filled(
        size, b"\x9d\x9d" + arrays(800, "9e0000000092"), b"\x9d\0\0\0\0"
    ),
    "empty slices of deep arrays": lambda size: filled(size, b"\x9d\x9d" + arrays(1000, "92"), b"\x9d\0\0\0\0"),
    "short slices of deep arrays": lambda size: filled(size, b"\x9d\x9d" + arrays(1000, "92"), b"\x9d\0\0\0\1\7"),
    "slice of deep arrays": lambda size: filled(size, b"\x9d" + arrays(1000, "92"), b"\7"),
    "slice nested 1024 deep, many": lambda size: (
        folded(deep("9d", 1024)) + b"\x9d\0\0\0\1" * 1023 + b"\x9d" + u32(size * 3 // 4) + b"\1" * (size * 3 // 4)
    ),
    "unknown names": lambda size: gathered(size, (b"\x83\0\4" + u32(i) for i in numbers())),
    "long unknown name": lambda size: b"\x83\x0f\xff" + b"n" * 4095,
    "long string, one byte short": lambda size: b"\x8d\xff\xff" + b"s" * 65_000,
    "binary of 4 G": lambda size: b"\x8e\xff\xff\xff\xff" + b"s" * 65_000,
}


@cache
def data_of(name: str, size: int = SIZE) -> bytes:
    return INPUTS[name](size)
