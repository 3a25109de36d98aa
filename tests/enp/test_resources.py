"""Hostile frames: cost is bounded, the codec keeps no state of them, and it reads a valid frame after each."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from ergo_conformance.errors import Rejected
from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.caches import Caches
from ergo_conformance.model.ergo.enp import FrameType
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.ergo.enp.codec import FrameDecoder, FrameEncoder
from tests.edf import hostile
from tests.edf.codecs import u32
from tests.edf.test_memory import BOUND, FLOODS, tables_of
from tests.edf.test_resources import LONG, MEMORY, SMALL
from tests.support.work import count_calls, peak_memory

from .codecs import agreed, node_reads, node_writes
from .strategies import PLAIN, TABLES

MANY = 5200
GOOD = node_writes(PLAIN[FrameType.MESSAGE_PID])
NAMED = node_writes(PLAIN[FrameType.MESSAGE_NAME])
AT = 33
"""Offset of the value in a MESSAGE_PID."""


def framed(payload: bytes) -> bytes:
    """Returns a message whose value has these bytes."""
    return b"\x4e\1" + u32(AT + len(payload)) + GOOD[6:AT] + payload


# --- memory that stays ------------------------------------------------------------------------------------------------

NAMES: dict[str, Callable[[int], bytes]] = {
    "names": lambda i: NAMED[:5] + b"\x29" + NAMED[6:25] + b"\x0a%010d" % i + b"\x8d\0\2hi",
    "unknown ids": lambda i: b"\x4e\1\0\0\0\x1f\0\x67" + bytes(17) + (i % 65_536).to_bytes(2, "big") + b"\x8d\0\1x",
    "unknown types": lambda i: b"\x4e\1\0\0\0\x0c\0\xca" + u32(i),
}


def of_values(make: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """Returns values as payloads of messages."""
    return lambda i: framed(make(i))


FLOOD = {**{name: of_values(make) for name, make in FLOODS.items()}, **NAMES}

REFUSED = ("registered names", "type ids", "unknown ids", "unknown types")


@pytest.mark.parametrize("flood", FLOOD)
def test_tables_of_a_decoder_are_bounded(flood: str) -> None:
    decoder, make, read = FrameDecoder(hostile.REGISTRY), FLOOD[flood], 0
    for i in range(MANY if flood != "long folded types" else MANY // 8):
        with suppress(Rejected):
            decoder.read(make(i))
            read += 1
    assert {name: size for name, size in tables_of(decoder.values).items() if size > BOUND} == {}
    assert len(decoder.names) == 0
    assert (read > 0) is (flood not in REFUSED)


def test_tables_of_an_encoder_are_bounded() -> None:
    encoder = FrameEncoder(hostile.REGISTRY)
    for i in range(MANY):
        encoder.write(PLAIN[FrameType.MESSAGE_NAME]._replace(to_name=Atom(f"n{i}"), payload={f"k{i}": Atom(f"a{i}")}))
    assert {name: size for name, size in tables_of(encoder.values).items() if size > BOUND} == {}
    assert encoder.ids == {}


# --- one frame --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(hostile.INPUTS)[::7])
def test_memory_is_bounded_for_a_hostile_value(name: str) -> None:
    data = framed(hostile.data_of(name, LONG))

    def read() -> None:
        with suppress(Rejected):
            node_reads(data, hostile.REGISTRY)

    assert peak_memory(read) < MEMORY["node"] * len(data) + 1_000_000


@pytest.mark.parametrize("name", sorted(hostile.INPUTS)[2::9])
def test_both_readers_give_one_verdict_on_a_hostile_value(name: str) -> None:
    agreed(framed(hostile.data_of(name, SMALL)), hostile.REGISTRY)


def test_a_valid_frame_is_read_after_each_hostile_one() -> None:
    decoder = FrameDecoder(hostile.REGISTRY)
    for name in sorted(hostile.INPUTS)[1::6]:
        with suppress(Rejected):
            decoder.read(framed(hostile.data_of(name, SMALL)))
        assert decoder.read(GOOD) == PLAIN[FrameType.MESSAGE_PID]


def test_the_limit_of_items_of_zero_bytes_applies_per_frame() -> None:
    """A limit shared by all frames would refuse the valid frames at the end."""
    items = framed(bytes.fromhex("8200079d9e0000000092" + "9d" + "00000400"))
    decoder = FrameDecoder(hostile.REGISTRY)
    for _ in range(8):
        frame: Any = decoder.read(items)
        assert len(frame.payload.value) == 0x400


def test_a_wrong_length_reserves_no_memory() -> None:
    wrong_length = b"\x4e\1\xff\xff\xff\xff" + GOOD[6:]

    def read() -> None:
        with suppress(Rejected):
            node_reads(wrong_length)
        agreed(wrong_length)

    assert peak_memory(read) < 100_000


def test_a_long_frame_takes_as_many_calls_as_a_short_one_and_bounded_memory() -> None:
    def cost(n: int) -> tuple[int, int]:
        data = framed(b"\x8e" + u32(n) + bytes(n))
        return count_calls(lambda: agreed(data)), peak_memory(lambda: agreed(data))

    cost(1000)
    (short, _), (long, held) = cost(1_000_000), cost(4_000_000)
    assert long < 1.1 * short
    assert held < 6 * 4_000_000


@pytest.mark.parametrize(
    "message", [Atom("x"), "x" * 65_000, b"y" * 70_000, list(range(5000))], ids=lambda v: type(v).__name__
)
def test_a_long_value_is_written_and_read_in_each_type_of_frame(message: Any) -> None:
    caches: Caches = TABLES["plain"]
    for type_, frame in PLAIN.items():
        if type_ in enp.COMPRESSIBLE:
            data = node_writes(frame._replace(payload=message), caches=caches)
            assert node_reads(data, caches=caches).payload == message
