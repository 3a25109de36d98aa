"""LZW compression and decompression: least significant bit first, codes of 9 to 12 bits.

Work and memory of decompression are bounded by the limit on the output; the table has at most 4,096 entries.
"""

from typing import Final

from ....model.ergo.enp import LZW_CLEAR, LZW_END, LZW_LITERAL_BITS, LZW_MAX_BITS

_FIRST_BITS: Final = LZW_LITERAL_BITS + 1
_TABLE_SIZE: Final = 1 << LZW_MAX_BITS
_LITERALS: Final = [bytes([i]) for i in range(LZW_CLEAR)]
_BITS_PER_BYTE: Final = 8


def unpack(stream: bytes, limit: int) -> bytes:
    """Decompresses a stream to at most `limit` bytes plus one entry. ValueError if it is damaged or has trailing bytes."""
    entries: list[bytes] = []
    out: list[bytes] = []
    size = pool = held = at = 0
    width, last = _FIRST_BITS, b""
    while True:
        while held < width:
            if at >= len(stream):
                raise ValueError("LZW stream without end code")
            pool |= stream[at] << held
            at += 1
            held += _BITS_PER_BYTE
        code = pool & ((1 << width) - 1)
        pool >>= width
        held -= width
        if code < LZW_CLEAR:
            entry = _LITERALS[code]
        elif code == LZW_CLEAR:
            entries, width, last = [], _FIRST_BITS, b""
            continue
        elif code == LZW_END:
            break
        else:
            entry = _entry(entries, code - LZW_END - 1, last)
        out.append(entry)
        size += len(entry)
        if size > limit:
            return b"".join(out)
        next_code = LZW_END + 1 + len(entries)
        if last and next_code < _TABLE_SIZE:
            entries.append(last + entry[:1])
            next_code += 1
        if next_code >> width and width < LZW_MAX_BITS:
            width += 1
        last = entry
    if at != len(stream) or pool:
        raise ValueError("trailing bytes after the end code of an LZW stream")
    return b"".join(out)


def _entry(entries: list[bytes], index: int, last: bytes) -> bytes:
    """Returns the entry of a code. The code that is defined next is the last entry plus its first byte."""
    if index < len(entries):
        return entries[index]
    if index == len(entries) and last:
        return last + last[:1]
    raise ValueError("undefined LZW code")


class _CodeWriter:
    """Packs codes of growing width into bytes, and holds the table of known prefixes."""

    def __init__(self) -> None:
        self.out = bytearray()
        self.pool = self.held = 0
        self.reset()

    def reset(self) -> None:
        self.width = _FIRST_BITS
        self.highest = LZW_END
        self.known: dict[tuple[int, int], int] = {}

    def put(self, code: int) -> None:
        self.pool |= code << self.held
        self.held += self.width
        while self.held >= _BITS_PER_BYTE:
            self.out.append(self.pool & 0xFF)
            self.pool >>= _BITS_PER_BYTE
            self.held -= _BITS_PER_BYTE

    def grow(self) -> bool:
        """Assigns the next code. Returns False if the table was full and has been cleared."""
        self.highest += 1
        if self.highest >> self.width:
            self.width += 1
        if self.highest < _TABLE_SIZE - 1:
            return True
        self.put(LZW_CLEAR)
        self.reset()
        return False


def pack(data: bytes) -> bytes:
    """Compresses bytes to a stream."""
    codes = _CodeWriter()
    codes.put(LZW_CLEAR)
    prefix = -1
    for byte in data:
        if prefix < 0:
            prefix = byte
            continue
        known = codes.known.get((prefix, byte))
        if known is not None:
            prefix = known
            continue
        codes.put(prefix)
        if codes.grow():
            codes.known[prefix, byte] = codes.highest
        prefix = byte
    if prefix >= 0:
        codes.put(prefix)
        codes.grow()
    codes.put(LZW_END)
    if codes.held:
        codes.out.append(codes.pool)
    return bytes(codes.out)
