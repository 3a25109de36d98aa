"""Corrupted bytes: both readers return the same reason and offset."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.errors import Reason
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.values import Atom
from ergo_conformance.spec import Parsed
from ergo_conformance.spec.ergo import edf as spec_edf

from .codecs import agreed, node_writes
from .strategies import REGISTRY as MANY
from .strategies import TABLES, fixed, tops
from .value_rows import CONTAINERS, REGISTERED, REGISTRY, ROWS, SCALARS, label

SHORT = [(type_, data) for type_, _, digits in ROWS if len(data := bytes.fromhex(digits)) <= 80]
PARTS: list[tuple[str, str]] = [(tag, body) for _, _, tag, body in SCALARS if len(body) < 80]
SOME = tuple(dict(PARTS).items())


def corruptions(data: bytes) -> Iterator[bytes]:
    """Returns one corruption per byte."""
    for i, byte in enumerate(data):
        for other in {byte ^ 1, byte ^ 0x80, (byte + 1) % 256, (byte - 1) % 256, 0, 255, 0x84} - {byte}:
            yield data[:i] + bytes([other]) + data[i + 1 :]
        yield data[:i]
        yield data[:i] + data[i + 1 :]
        for extra in (b"\0", b"\xff", b"\x84"):
            yield data[:i] + extra + data[i:]


@pytest.mark.parametrize(("type_", "data"), SHORT, ids=label)
def test_corruption_of_each_byte_of_a_value(type_: Any, data: bytes) -> None:
    for corrupt in corruptions(data):
        agreed(corrupt, REGISTRY)


@pytest.mark.parametrize(("tag", "body"), SOME)
def test_corruption_of_a_scalar_in_an_any_slot(tag: str, body: str) -> None:
    data = bytes.fromhex("8200039f8484" + "9f00000001" + tag + body + "8200029d84" + "9d00000001" + tag + body)
    for corrupt in corruptions(data):
        agreed(corrupt, REGISTRY)


@pytest.mark.parametrize("rows", [CONTAINERS, REGISTERED], ids=["containers", "registered"])
def test_corruption_of_two_adjacent_bytes(rows: list[Any]) -> None:
    for i, (_, _, digits) in enumerate(rows):
        data = bytearray.fromhex(digits)
        for j in range(len(data) - 1):
            corrupt = data[:]
            corrupt[j] ^= 1 << i % 8
            corrupt[j + 1] = (corrupt[j + 1] + 1 + i) % 256
            agreed(bytes(corrupt), REGISTRY)


@pytest.mark.parametrize("name", TABLES)
@fixed(30)
@given(value=tops, data=st.data())
def test_corruption_of_one_field(name: str, value: Any, data: st.DataObject) -> None:
    good = node_writes(value, MANY, TABLES[name])
    parsed = spec_edf.decode(good, spec_edf.EdfContext(MANY, TABLES[name]))
    assert isinstance(parsed, Parsed)
    spans = list(dict.fromkeys((start, end) for _, start, end in parsed.found))
    start, end = data.draw(st.sampled_from(spans))
    patch = data.draw(st.binary(max_size=min(end - start + 1, 20)))
    agreed(good[:start] + patch + good[end:], MANY, TABLES[name])
    agreed(good[:start] + good[start:end] * 2 + good[end:], MANY, TABLES[name])


@pytest.mark.parametrize("by", [-1, 1])
@fixed(25)
@given(value=tops)
def test_each_byte_off_by_one(by: int, value: Any) -> None:
    good = node_writes(value, MANY)
    for i in range(min(len(good), 80)):
        agreed(good[:i] + bytes([(good[i] + by) % 256]) + good[i + 1 :], MANY)


@fixed(100)
@given(data=st.binary(max_size=40))
def test_random_bytes(data: bytes) -> None:
    agreed(data, MANY)
    agreed(data, MANY, TABLES["caches and mapping"])


@fixed(100)
@given(words=st.lists(st.sampled_from([bytes.fromhex(w) for w in (
    "82 0002 9d84", "82 0003 9f8484", "9d 00000002", "9f 00000001", "9d 00000000", "ff", "84", "8d 0001 61", "92 05", "91 01",
    "83 0009 23616e792f44657073", "83 000a 23616e792f456d707479", "83 000b 23616e792f486f6c646572", "9e 00000002", "8c 0100",
    "82 0006 9e0000000284", "82 0007 9e000000009d84", "9c ffff", "af 00", "9c 8000", "00", "83 1000", "83 00000001", "90",
)]), max_size=24))  # fmt: skip
def test_parts_of_values_in_random_order(words: list[bytes]) -> None:
    agreed(b"".join(words), MANY)
    agreed(b"".join(words), MANY, TABLES["caches"])


def test_ids_of_the_wrong_table_are_unknown() -> None:
    caches = Caches(atoms={4096: Atom("a"), 40_000: Atom("b")}, types={300: "#x/Foo"}, errors={50_000: "e"})
    for digits in ("831000", "8c012c", "9c9c40", "83c350", "aa012c" + "00" * 16):
        assert agreed(bytes.fromhex(digits), REGISTRY, caches) == (Reason.UNKNOWN_ID, 1), digits
