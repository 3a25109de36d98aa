"""Compression of frames: algorithms, levels, the variant of LZW."""

from enum import IntEnum
from typing import Final


class Algorithm(IntEnum):
    """Byte 8 of a compressed frame. LZW: least significant bit first, 8-bit literals, codes of at most 12 bits."""

    LZW = 100
    ZLIB = 101
    GZIP = 102


ALGORITHMS: Final = frozenset(Algorithm)


class CompressionLevel(IntEnum):
    """gen.CompressionLevel; only gzip uses it."""

    DEFAULT = 0
    BEST_SPEED = 1
    BEST_SIZE = 2


MIN_THRESHOLD: Final = 1024
"""Bytes: the smallest and the default threshold; a frame longer than the threshold is compressed."""

LZW_LITERAL_BITS: Final = 8
LZW_MAX_BITS: Final = 12
LZW_CLEAR: Final = 1 << LZW_LITERAL_BITS
LZW_END: Final = LZW_CLEAR + 1
