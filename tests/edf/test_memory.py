"""Memory after reading: tables are bounded; unused types and registries are freed."""

import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from ergo_conformance.errors import Rejected
from ergo_conformance.model import types as t
from ergo_conformance.model.registry import Registry, Struct
from ergo_conformance.model.types import Array, Map, Slice, Type
from ergo_conformance.reference_node.ergo.edf import Decoder, Encoder, tables
from ergo_conformance.reference_node.ergo.edf.codec import MAX_FOLDED_LINES, MAX_LINES_PER_PEER, generated_functions
from ergo_conformance.reference_node.ergo.edf.folded_types import parse_folded_type
from ergo_conformance.reference_node.ergo.edf.function_source import CodeCache
from ergo_conformance.reference_node.ergo.edf.runtime import no_fast_reader
from ergo_conformance.reference_node.ergo.edf.tables import MAX_FOLDED_BYTES

from .codecs import READERS, folded, u32

MANY = 5200
BOUND = 5000
"""Entries of a table: above the limit of each (4096), below MANY."""


def tables_of(codec: Any) -> dict[str, int]:
    """Returns the sizes of the tables of a decoder or encoder."""
    tables = codec.tables
    return {name: len(part) for name in tables.__slots__ if hasattr(part := getattr(tables, name), "__len__")}


FLOODS: dict[str, Callable[[int], bytes]] = {
    "atoms": lambda i: b"\x8c\0\4" + u32(i),
    "nodes of pids": lambda i: b"\xaa\0\4" + u32(i) + bytes(16),
    "keys": lambda i: folded("9f8d92") + b"\x9f\0\0\0\1\0\4" + u32(i) + b"\0",
    "folded types": lambda i: folded(b"\x9d\x9e" + u32(i) + b"\x92") + b"\xff",
    "long folded types": lambda i: folded(b"\x9d" * 70 + b"\x9e" + u32(i) + b"\x92") + b"\xff",
    "registered names": lambda i: b"\x83\0\4" + u32(i),
    "type ids": lambda i: b"\x83" + (i % 65_536).to_bytes(2, "big"),
    "atom ids": lambda i: b"\x8c" + (i % 65_536).to_bytes(2, "big"),
    "texts": lambda i: b"\x8d\0\4" + u32(i),
    "lengths of texts": lambda i: b"\x8d" + (i % 3000).to_bytes(2, "big") + b"x" * (i % 3000),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_tables_of_a_decoder_are_bounded(flood: str) -> None:
    registry = Registry([Struct("#x/E", ())])
    decoder, make = Decoder(registry), FLOODS[flood]
    for i in range(MANY if flood != "long folded types" else MANY // 8):
        with suppress(Rejected):
            decoder.decode(make(i))
    sizes = tables_of(decoder)
    assert {name: size for name, size in sizes.items() if size > BOUND} == {}
    functions = generated_functions(registry)
    assert len(functions.readers) + len(functions.dynamic_readers) < 600


def test_kept_folded_types_are_bounded_by_their_bytes() -> None:
    decoder = Decoder(Registry(), generated_lines=0)
    for i in range(40):
        decoder.decode(folded(b"\x9d" * 1000 + b"\x9e" + u32(i) + b"\x92") + b"\xff")
        assert sum(map(len, decoder.tables.folded)) <= MAX_FOLDED_BYTES
    assert len(decoder.tables.folded) > 0


def test_a_long_folded_type_is_parsed_once_for_many_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    def counted(*args: Any) -> Type:
        parsed.append(args[0])
        return parse_folded_type(*args)

    monkeypatch.setattr(f"{tables.__name__}.parse_folded_type", counted)
    decoder = Decoder(Registry())
    for _ in range(3):
        decoder.decode(folded(b"\x9f\x8d" * 500 + b"\x92") + b"\xff")
    assert len(parsed) == 1


def test_readers_of_one_peer_do_not_use_up_those_of_another() -> None:
    registry = Registry()
    greedy, other = Decoder(registry), Decoder(registry)
    functions = generated_functions(registry)
    for i in range(300):
        greedy.decode(folded(b"\x9f\x92\x9d\x9e" + u32(i) + b"\x8c") + b"\xff")
    assert functions.lines <= 2 * MAX_LINES_PER_PEER
    type_ = Map(t.INT16, Slice(t.ERROR))
    other.decode(other_type := folded("9f939d9c") + b"\xff")
    assert functions.dynamic_readers[type_] is not no_fast_reader
    for _ in range(8):  # many peers
        greedy = Decoder(registry)
        for i in range(50):
            greedy.decode(folded(b"\x9f\x92\x9d\x9e" + u32(i) + b"\x8d") + b"\xff")
    assert functions.folded_lines <= MAX_FOLDED_LINES + MAX_LINES_PER_PEER
    assert other.tables.folded[other_type[3:-1]] is not no_fast_reader


def test_a_broad_type_gets_no_generated_reader() -> None:
    registry = Registry()
    type_ = b"\x92"
    for _ in range(9):  # maps as keys and values
        type_ = b"\x9f" + type_ + type_
    Decoder(registry).decode(folded(type_) + b"\xff")
    assert generated_functions(registry).lines == 0


def test_code_of_old_sources_is_forgotten() -> None:
    cache = CodeCache(100)
    for i in range(50):
        cache[f"x = {i}", "<test>"]
    assert cache.size == sum(len(text) for text, _ in cache) <= 100
    assert ("x = 49", "<test>") in cache


@pytest.mark.parametrize("what", ["atoms", "keys", "types"])
def test_tables_of_an_encoder_are_bounded(what: str) -> None:
    from ergo_conformance.model.values import Atom, Typed

    encoder = Encoder(Registry())
    make: dict[str, Callable[[int], Any]] = {
        "atoms": lambda i: Atom(str(i)),
        "keys": lambda i: {str(i): None},
        "types": lambda i: Typed(Slice(Array(i, t.INT8)), None),
    }
    for i in range(MANY):
        encoder.encode(make[what](i))
    assert {name: size for name, size in tables_of(encoder).items() if size > BOUND} == {}


def interned_count() -> int:
    gc.collect()
    return len(t._interned)


@pytest.mark.parametrize("reader", READERS)
def test_types_read_from_the_wire_are_freed_with_their_values(reader: str) -> None:
    """Except types with generated functions, whose number is bounded."""
    registry = Registry()

    def read(data: bytes) -> tuple[Any, int]:
        if reader == "node":
            return Decoder(registry, generated_lines=0).decode_prefix(data)
        return READERS[reader](data, registry)

    before, value = interned_count(), None
    for i in range(300):
        value, _ = read(folded(b"\x9d\x9d\x9e" + u32(1_000_000 + i) + b"\x98") + b"\xff")
        assert value.type is Slice(Slice(Array(1_000_000 + i, t.UINT16)))
    del value
    assert interned_count() <= before + 5


def test_the_deepest_type_is_freed_at_once() -> None:
    before = interned_count()
    type_: Type = t.REF
    for _ in range(1024):
        type_ = Array(77, type_)
    assert interned_count() >= before + 1024
    del type_
    assert interned_count() == before


@pytest.mark.parametrize("reader", READERS)
def test_a_registry_without_references_is_freed(reader: str) -> None:
    registry = Registry([Struct("#x/E", ())])
    READERS[reader](b"\x83\0\4#x/E", registry)
    gone = weakref.ref(registry)
    del registry
    gc.collect()
    assert gone() is None
