"""Compressed frames: compression, and decompression with limits."""

import zlib
from struct import Struct
from typing import Final

from ....errors import Reason, Rejected
from ....model.ergo import enp
from ....model.ergo.enp import Algorithm, Compressed, CompressionLevel, FrameType
from ...api.messages import Compression
from . import lzw
from .codec import ORDER_AT, TYPE_AT, check_header

_HEAD: Final = Struct(">BBIBBBI")
_GZIP_LEVELS: Final = {
    CompressionLevel.DEFAULT: zlib.Z_DEFAULT_COMPRESSION,
    CompressionLevel.BEST_SPEED: 1,
    CompressionLevel.BEST_SIZE: 9,
}
_ZLIB_BITS: Final = zlib.MAX_WBITS
_GZIP_BITS: Final = zlib.MAX_WBITS + 16


def compress(frame: bytes, setting: Compression) -> bytes:
    """Wraps a frame of a compressible type in a compressed frame with the same order byte (ENP-ORD-6)."""
    match setting.algorithm:
        case Algorithm.LZW:
            stream = lzw.pack(frame)
        case Algorithm.ZLIB:
            stream = zlib.compress(frame)
        case _:
            packer = zlib.compressobj(_GZIP_LEVELS[setting.level], zlib.DEFLATED, _GZIP_BITS)
            stream = packer.compress(frame) + packer.flush()
    size = _HEAD.size + len(stream)
    head = _HEAD.pack(
        enp.MAGIC, enp.VERSION, size, frame[ORDER_AT], FrameType.COMPRESSED, setting.algorithm, len(frame)
    )
    return head + stream


def compress_if_shorter(frame: bytes, how: Compression) -> bytes:
    """Returns a frame compressed; unchanged if that is not shorter, or so much shorter that a peer may refuse to unpack it."""
    packed = compress(frame, how)
    return packed if len(packed) < len(frame) <= enp.max_unpacked(len(packed) - _HEAD.size) else frame


def uncompress(frame: Compressed, limit: int) -> bytes:
    """Returns the inner frame, header checked. `limit` in bytes, checked before decompression. Raises Rejected."""
    if frame.length > limit:
        raise Rejected(Reason.LENGTH, "COMPRESSED.length", 9, f"{frame.length:,} bytes, maximum {limit:,}")
    if frame.length < enp.HEADER_LENGTH:
        raise Rejected(Reason.LENGTH, "COMPRESSED.length", 9, f"{frame.length} bytes, minimum {enp.HEADER_LENGTH}")
    if frame.algorithm not in enp.ALGORITHMS:
        raise Rejected(Reason.COMPRESSION, "COMPRESSED.algorithm", 8, f"{frame.algorithm}")
    try:
        data = _unpacked(frame)
    except (zlib.error, ValueError) as error:
        raise Rejected(Reason.COMPRESSION, "COMPRESSED.stream", 13, str(error)) from None
    if len(data) != frame.length:
        detail = f"{len(data):,} bytes decompressed, {frame.length:,} announced"
        raise Rejected(Reason.COMPRESSION, "COMPRESSED.length", 9, detail)
    if check_header(data) < len(data):
        raise Rejected(Reason.LEFTOVER, "COMPRESSED.stream", 13, "trailing bytes after the inner frame")
    if data[TYPE_AT] == FrameType.COMPRESSED:  # upstream decompresses any number of levels (ENP-Z-5)
        raise Rejected(Reason.COMPRESSION, "COMPRESSED.stream", 13, "the inner frame is compressed, too")
    return data


def _unpacked(frame: Compressed) -> bytes:
    match frame.algorithm:
        case Algorithm.LZW:
            return lzw.unpack(frame.stream, frame.length)
        case Algorithm.ZLIB:
            unpacker = zlib.decompressobj(_ZLIB_BITS)
        case _:
            unpacker = zlib.decompressobj(_GZIP_BITS)
    data = unpacker.decompress(frame.stream, frame.length + 1)
    if len(data) <= frame.length and (not unpacker.eof or unpacker.unused_data):
        raise ValueError("the compressed stream does not end with the frame")
    return data
