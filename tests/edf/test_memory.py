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
from ergo_conformance.model.types import Array, Slice, Type
from ergo_conformance.reference_node.ergo.edf import Decoder, Encoder
from ergo_conformance.reference_node.ergo.edf.codec import generated_functions

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
    """Except types with generated functions, whose number is bounded; the test exhausts that limit first."""
    registry = Registry()
    for i in range(2000):
        READERS[reader](folded(b"\x9d\x9d\x9e" + u32(i) + b"\x98") + b"\xff", registry)
    before, value = interned_count(), None
    for i in range(300):
        value, _ = READERS[reader](folded(b"\x9d\x9d\x9e" + u32(1_000_000 + i) + b"\x98") + b"\xff", registry)
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
