"""Mutations of the campaign: changed bytes, numbers and lengths, parts of other inputs, repetitions, hostile descriptors."""

import random
from collections.abc import Callable
from typing import Final

from ergo_conformance.model.ergo.edf import CONSTRUCTOR_TAGS, SCALAR_TAGS, Tag

TAGS: Final = bytes([*SCALAR_TAGS, *CONSTRUCTOR_TAGS, Tag.FOLDED, Tag.REG, Tag.ANY, Tag.NIL])
NUMBERS: Final = (0, 1, 2, 63, 64, 65, 127, 128, 255, 256, 1023, 1024, 1025, 4095, 4096, 4097, 32_767, 32_768, 65_535)
LONGEST: Final = 65_536
USUAL: Final = 2048
"""Most inputs have at most so many bytes: short inputs are read more often."""
LONG_SHARE: Final = 0.01
"""Share of the mutations that may make an input of up to LONGEST bytes."""
LONGEST_TYPE: Final = 300  # bytes


def folded_type(rng: random.Random) -> bytes:
    """Returns the descriptor of a random folded type."""
    out = bytearray()
    missing = 1
    while missing and len(out) < LONGEST_TYPE:
        tag = rng.choice(CONSTRUCTOR_TAGS) if rng.randrange(2) else rng.choice((*SCALAR_TAGS, Tag.ANY))
        out.append(tag)
        if tag == Tag.ARRAY:
            out += rng.choice((0, 1, 1, 2, 3, 64, 2**32 - 1)).to_bytes(4, "big")
        elif tag == Tag.MAP:
            missing += 1
        elif tag != Tag.SLICE:
            missing -= 1
    return bytes([Tag.FOLDED]) + len(out).to_bytes(2, "big") + bytes(out)


def mutated(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Returns a variant of an input; `other`: an input whose parts it may take."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        _change(out, other, rng)
    limit = LONGEST if rng.random() < LONG_SHARE else USUAL
    return bytes(out[:limit])


def _change(out: bytearray, other: bytes, rng: random.Random) -> None:
    at = rng.randrange(len(out) + 1)
    end = min(len(out), at + rng.choice((1, 2, 4, 8, 16, 64)))
    match rng.randrange(12):
        case 0 if out:
            out[at - 1] ^= 1 << rng.randrange(8)
        case 1 if out:
            out[at - 1] = rng.choice(TAGS)
        case 2 if out:
            out[at - 1] = rng.choice((0, 1, 2, 127, 128, 254, 255, rng.randrange(256)))
        case 3 | 4:
            width = rng.choice((2, 4))
            out[at : at + width] = (rng.choice(NUMBERS) % (1 << 8 * width)).to_bytes(width, "big")
        case 5:
            width = rng.choice((2, 4))
            number = int.from_bytes(out[at : at + width], "big") + rng.choice((-1, 1))
            out[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, "big")
        case 6:
            del out[at:end]
        case 7:
            out[at:at] = out[at:end]
        case 8:
            start = rng.randrange(len(other) + 1)
            out[at:end] = other[start : start + rng.choice((1, 2, 4, 8, 16, 64, 256))]
        case 9:
            out[at:at] = folded_type(rng)
        case 10:
            times = LONGEST // max(1, end - at) if rng.random() < LONG_SHARE else rng.choice((2, 10, 100))
            out[at:at] = bytes(out[at:end]) * times
        case _:
            del out[at:]


def shrunk(data: bytes, fails: Callable[[bytes], bool], tries: int = 2000) -> bytes:
    """Returns a shorter input for which `fails(input)` is still true."""
    size = len(data) // 2
    while size and tries > 0:
        start = 0
        while start < len(data) and tries > 0:
            tries -= 1
            shorter = data[:start] + data[start + size :]
            if fails(shorter):
                data = shorter
            else:
                start += size
        size //= 2
    return data
