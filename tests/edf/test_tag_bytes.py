"""Every byte in place of a tag: at top level, in a folded type, in an `any` slot (EDF-TAG-1, EDF-TAG-2)."""

import pytest

from ergo_conformance.errors import Reason
from ergo_conformance.model.ergo.edf import CONSTRUCTOR_TAGS, SCALAR_TAGS, Tag

from .codecs import agreed, folded

VALUE_TAGS = {*SCALAR_TAGS, Tag.FOLDED, Tag.REG, Tag.ANY, Tag.NIL}
PART_TAGS = {*SCALAR_TAGS, *CONSTRUCTOR_TAGS, Tag.REG, Tag.ANY}
BEHIND = (b"", b"\0", b"\0" * 40, b"\xff" * 40, b"\0\2\x9d\x92\xff", b"\0\1a\0\0\0\0")

behind = pytest.mark.parametrize("rest", BEHIND, ids=[data[:4].hex() for data in BEHIND[:-1]] + ["text"])


@behind
def test_tag_at_top_level(rest: bytes) -> None:
    for byte in range(256):
        found = agreed(bytes([byte]) + rest)
        assert (found.reason is Reason.UNKNOWN_TAG and found.offset == 0) == (byte not in VALUE_TAGS), f"{byte:02x}"


@behind
def test_tag_in_an_any_slot(rest: bytes) -> None:
    for byte in range(256):
        data = folded("9d84") + b"\x9d\0\0\0\1" + bytes([byte]) + rest
        found = agreed(data)
        assert (found.reason is Reason.UNKNOWN_TAG and found.offset == 10) == (byte not in VALUE_TAGS), f"{byte:02x}"


@behind
def test_tag_after_an_any_tag(rest: bytes) -> None:
    for byte in range(256):
        found = agreed(b"\x84" + bytes([byte]) + rest)
        if byte != Tag.ANY:
            assert (found == (Reason.UNKNOWN_TAG, 1)) == (byte not in VALUE_TAGS), f"{byte:02x}"


@behind
def test_tag_of_a_key_in_an_any_slot(rest: bytes) -> None:
    for byte in range(256):
        found = agreed(folded("9f8492") + b"\x9f\0\0\0\1" + bytes([byte]) + (rest or b"\0"))
        assert (found.reason is Reason.UNKNOWN_TAG and found.offset == 11) == (byte not in VALUE_TAGS), f"{byte:02x}"


@behind
@pytest.mark.parametrize("before", ["9d", "9e00000001", "9f8d", "9f", "9d9d", "9f9d92"])
def test_tag_inside_a_folded_type(before: str, rest: bytes) -> None:
    prefix = bytes.fromhex(before)
    for byte in range(256):
        found = agreed(folded(prefix + bytes([byte]) + rest))
        unknown = found.reason is Reason.UNKNOWN_TAG and found.offset == 3 + len(prefix)
        assert unknown == (byte not in PART_TAGS), f"{byte:02x}"


@behind
def test_tag_as_a_whole_folded_type(rest: bytes) -> None:
    for byte in range(256):
        found = agreed(folded(bytes([byte]) + rest))
        if byte not in PART_TAGS:
            assert found == (Reason.UNKNOWN_TAG, 3), f"{byte:02x}"
        elif byte not in CONSTRUCTOR_TAGS:
            assert found == (Reason.FOLDED, 3), f"{byte:02x}"


@pytest.mark.parametrize(("marked", "right"), [("9d92", 0x9D), ("9f9292", 0x9F)])
def test_marker_of_a_container(marked: str, right: int) -> None:
    for byte in range(256):
        found = agreed(folded(marked) + bytes([byte]) + b"\0\0\0\0")
        if byte in (right, Tag.NIL):
            assert found.reason is None
        else:
            assert found == (Reason.MARKER, 3 + len(marked) // 2), f"{byte:02x}"
