"""Compressed frames: packing, and unpacking to at most the announced number of bytes (ENP-Z-1 to -4)."""

import gzip
import zlib
from typing import Final

from ....errors import Reason, Rejected
from ....model.ergo import enp
from ....model.ergo.enp import Algorithm, Compressed
from . import lzw

_AT: Final = enp.HEADER_LENGTH  # algorithm, length, stream
_STREAM_AT: Final = _AT + 5
_WINDOW: Final = {Algorithm.ZLIB: zlib.MAX_WBITS, Algorithm.GZIP: zlib.MAX_WBITS | 16}


def unpack(frame: Compressed, limit: int | None = None) -> bytes | Rejected:
    """Returns the frame inside; Rejected unless the stream is complete and has the announced length, at most `limit`.

    Without a limit `max_unpacked` holds.
    """
    limit = enp.max_unpacked(len(frame.stream)) if limit is None else limit
    if not enp.HEADER_LENGTH <= frame.length <= limit:
        detail = f"{frame.length:,} bytes, {enp.HEADER_LENGTH} to {limit:,} are allowed"
        return Rejected(Reason.LENGTH, "length", _AT + 1, detail)
    if frame.algorithm not in enp.ALGORITHMS:
        return Rejected(Reason.COMPRESSION, "algorithm", _AT, f"{frame.algorithm}")
    try:
        data = _stream(Algorithm(frame.algorithm), frame.stream, frame.length)
    except (zlib.error, ValueError) as error:
        return Rejected(Reason.COMPRESSION, "stream", _STREAM_AT, str(error))
    if len(data) != frame.length:
        detail = f"{len(data):,} bytes, {frame.length:,} were announced"
        return Rejected(Reason.COMPRESSION, "length", _AT + 1, detail)
    return data


def _stream(algorithm: Algorithm, stream: bytes, length: int) -> bytes:
    """Returns at most one byte more than `length`. ValueError for a stream that is cut off or has bytes behind its end."""
    if algorithm is Algorithm.LZW:
        return lzw.decompress(stream, length)
    unpacker = zlib.decompressobj(_WINDOW[algorithm])
    data = unpacker.decompress(stream, length + 1)
    if len(data) <= length and not (unpacker.eof and not unpacker.unused_data):
        raise ValueError("the stream does not end with the frame")
    return data


def pack(data: bytes, algorithm: Algorithm, order: int, level: int = 6) -> Compressed:
    """Compresses a frame; `level` is used by gzip only."""
    match algorithm:
        case Algorithm.LZW:
            stream = lzw.compress(data)
        case Algorithm.ZLIB:
            stream = zlib.compress(data)
        case _:
            stream = gzip.compress(data, level, mtime=0)
    return Compressed(order, algorithm, len(data), stream)
