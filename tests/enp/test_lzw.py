"""LZW: two implementations compared with each other and with streams of Go; corrupted streams; decompression bombs."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ergo_conformance.model.ergo.enp import LZW_CLEAR, LZW_END, LZW_MAX_BITS, Algorithm
from ergo_conformance.reference_node.ergo.enp import lzw as node_lzw
from ergo_conformance.spec.ergo.enp import lzw as spec_lzw
from tests.edf.strategies import fixed
from tests.support.work import count_lines, peak_memory

from .vectors import COMPRESSED, compressed_of, inner_hex

UNPACK: dict[str, Callable[[bytes, int], bytes]] = {"node": node_lzw.unpack, "spec": spec_lzw.decompress}
PACK: dict[str, Callable[[bytes], bytes]] = {"node": node_lzw.pack, "spec": spec_lzw.compress}
ROOM = 1 << 20

unpackers = pytest.mark.parametrize("unpack", UNPACK.values(), ids=list(UNPACK))
packers = pytest.mark.parametrize("pack", PACK.values(), ids=list(PACK))


def noise(n: int, alphabet: int = 256) -> bytes:
    return bytes(random.Random(n).choices(range(alphabet), k=n))


DATA = {
    "nothing": b"",
    "one byte": b"a",
    "one byte again and again": bytes(20_000),
    "the code that is defined by itself": b"ababababababab",
    "every byte": bytes(range(256)),
    "noise that fills the table": noise(5000),
    "noise that fills it many times": noise(20_000),
    "two letters, long entries": noise(30_000, 2),
    "text": b"the quick brown fox jumps over the lazy dog. " * 400,
}


@pytest.mark.parametrize("name", DATA)
def test_both_implementations_write_the_same_and_read_it(name: str) -> None:
    data = DATA[name]
    stream = node_lzw.pack(data)
    assert spec_lzw.compress(data) == stream
    for unpack in UNPACK.values():
        assert unpack(stream, len(data)) == data


@pytest.mark.parametrize("n", [*range(250, 260), *range(505, 520), *range(3830, 3850), *range(4090, 4100)])
def test_sizes_at_which_the_code_width_grows_or_the_table_is_full(n: int) -> None:
    """Each byte is a separate code, so n bytes define n - 1 codes."""
    data = noise(n)
    stream = node_lzw.pack(data)
    assert spec_lzw.compress(data) == stream
    assert {unpack(stream, n) for unpack in UNPACK.values()} == {data}


@fixed(80)
@given(data=st.one_of(st.binary(max_size=400), st.text(alphabet="ab", max_size=600).map(str.encode)))
def test_random_data(data: bytes) -> None:
    stream = node_lzw.pack(data)
    assert spec_lzw.compress(data) == stream
    assert {unpack(stream, len(data)) for unpack in UNPACK.values()} == {data}


@pytest.mark.parametrize("row", [row for row in COMPRESSED if compressed_of(row).algorithm == Algorithm.LZW],
                         ids=lambda row: row["id"])  # fmt: skip
def test_streams_written_by_go(row: Any) -> None:
    """They are decompressed, and compressing the data again returns the same stream."""
    frame = compressed_of(row)
    data = bytes.fromhex(inner_hex(row))
    for unpack in UNPACK.values():
        assert unpack(frame.stream, frame.length) == data
    for pack in PACK.values():
        assert pack(data) == frame.stream


# --- single codes -----------------------------------------------------------------------------------------------------


def codes(*pairs: tuple[int, int]) -> bytes:
    """Returns codes of given widths as bytes, least significant bit first."""
    pool = held = 0
    for code, width in pairs:
        pool |= code << held
        held += width
    return pool.to_bytes((held + 7) // 8, "little")


def nine_bit_codes(*of: int) -> bytes:
    return codes(*((code, 9) for code in of))


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (nine_bit_codes(LZW_END), b""),
        (nine_bit_codes(LZW_CLEAR, LZW_END), b""),
        (nine_bit_codes(LZW_CLEAR, 97, LZW_END), b"a"),
        (nine_bit_codes(97, 98, LZW_END), b"ab"),  # Go's reader does not require an initial clear code
        (nine_bit_codes(97, LZW_CLEAR, LZW_CLEAR, 98, LZW_END), b"ab"),
        (nine_bit_codes(97, 258, 259, LZW_END), b"aaaaaa"),
        (nine_bit_codes(97, 98, 258, LZW_END), b"abab"),
    ],
)
@unpackers
def test_streams_of_single_codes(unpack: Callable[[bytes, int], bytes], stream: bytes, data: bytes) -> None:
    assert unpack(stream, ROOM) == data


def stream_without_clear(extra: int) -> bytes:
    """A writer that never clears the table: 3838 codes fill it, the remaining codes have twelve bits."""
    pairs, highest, width = [(97, 9)], LZW_END, 9
    for _ in range(3838 + extra):
        highest = min(highest + 1, (1 << LZW_MAX_BITS) - 1)
        width = min(max(width, highest.bit_length()), LZW_MAX_BITS)
        if highest >> width and width < LZW_MAX_BITS:
            width += 1
        pairs.append((98, width))
    return codes(*pairs, (LZW_END, width))


@pytest.mark.parametrize("extra", [-2, -1, 0, 1, 2, 500])
def test_a_full_table_is_not_extended(extra: int) -> None:
    results = {unpack_or_none(unpack, stream_without_clear(extra)) for unpack in UNPACK.values()}
    assert results == {b"a" + b"b" * (3838 + extra)}


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        nine_bit_codes(97),
        nine_bit_codes(97, LZW_END)[:-1],
        nine_bit_codes(97, 259, LZW_END),  # code is not defined yet
        nine_bit_codes(258, LZW_END),  # no code before it
        nine_bit_codes(LZW_CLEAR, 258, LZW_END),
        nine_bit_codes(97, 98, LZW_CLEAR, 258, LZW_END),
        nine_bit_codes(97, LZW_END) + b"\0",
        nine_bit_codes(97, LZW_END, 1),
        nine_bit_codes(97, 511, LZW_END),
        b"\xff" * 40,
    ],
    ids=bytes.hex,
)
@unpackers
def test_invalid_streams_raise_value_error(unpack: Callable[[bytes, int], bytes], stream: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(stream, ROOM)


def unpack_or_none(unpack: Callable[[bytes, int], bytes], stream: bytes, limit: int = ROOM) -> bytes | None:
    """Returns the decompressed bytes; None for a stream that is refused or exceeds the limit."""
    try:
        data = unpack(stream, limit)
    except ValueError:
        return None
    return data if len(data) <= limit else None


def corruptions(stream: bytes) -> Iterator[bytes]:
    for i in range(len(stream)):
        yield stream[:i]
        yield stream[:i] + bytes([stream[i] ^ 1 << i % 8]) + stream[i + 1 :]
        yield stream[:i] + b"\0" + stream[i:]


@pytest.mark.parametrize("data", [b"abcabcabc" * 20, noise(300, 4), noise(280)], ids=len)
def test_both_implementations_agree_on_corrupt_streams(data: bytes) -> None:
    for corrupt in corruptions(node_lzw.pack(data)):
        by_node, by_spec = (unpack_or_none(unpack, corrupt, 4000) for unpack in UNPACK.values())
        assert by_node == by_spec, corrupt.hex()


@fixed(150)
@given(stream=st.binary(max_size=60))
def test_random_streams(stream: bytes) -> None:
    assert len({unpack_or_none(unpack, stream, 5000) for unpack in UNPACK.values()}) == 1


# --- work -------------------------------------------------------------------------------------------------------------


def bomb() -> bytes:
    """One megabyte of zeros, compressed to about two kilobytes."""
    return node_lzw.pack(bytes(1_000_000))


@unpackers
def test_decompression_of_a_bomb_stops_at_the_limit(unpack: Callable[[bytes, int], bytes]) -> None:
    stream = bomb()
    assert len(stream) < 4000
    found = []
    assert peak_memory(lambda: found.append(unpack(stream, 10_000))) < 1_500_000
    assert len(found[0]) <= 10_000 + 4096


@unpackers
def test_work_grows_linearly_with_the_number_of_clear_codes(unpack: Callable[[bytes, int], bytes]) -> None:
    def read(n: int) -> None:
        with pytest.raises(ValueError, match=r"."):
            unpack(nine_bit_codes(*[LZW_CLEAR] * 8) * n, 100)

    short, long = count_lines(lambda: read(1000)), count_lines(lambda: read(2000))
    assert 1000 < short < long < 2.1 * short


@packers
def test_work_of_compression_grows_linearly(pack: Callable[[bytes], bytes]) -> None:
    assert len(pack(bytes(200_000))) < 1200
    for data in (bytes(5000), noise(5000)):
        assert count_lines(partial(pack, data * 2)) < 2.2 * count_lines(partial(pack, data))
