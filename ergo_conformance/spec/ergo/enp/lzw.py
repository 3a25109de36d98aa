"""LZW as in GIF: least significant bit first, literals of 8 bits, codes of 9 to 12, one code each for clear and end.

No maintained Python package reads or writes this variant.
"""

from collections.abc import Iterator

from ....model.ergo.enp import LZW_CLEAR, LZW_END, LZW_LITERAL_BITS, LZW_MAX_BITS

FIRST_WIDTH = LZW_LITERAL_BITS + 1
FULL = 1 << LZW_MAX_BITS
_START = [bytes([i]) for i in range(LZW_CLEAR)] + [b"", b""]


def decompress(stream: bytes, limit: int) -> bytes:
    """Unpacks a stream; stops above `limit` bytes. ValueError for a bad code, a missing end code or bytes behind it."""
    bits = _Bits(stream)
    out = bytearray()
    table, width, previous = list(_START), FIRST_WIDTH, b""
    while (code := bits.read(width)) != LZW_END:
        if code == LZW_CLEAR:
            table, width, previous = list(_START), FIRST_WIDTH, b""
            continue
        if code > len(table) or (code == len(table) and not previous):
            raise ValueError(f"code {code} is not defined yet")
        entry = table[code] if code < len(table) else previous + previous[:1]
        out += entry
        if len(out) > limit:
            return bytes(out)
        if previous and len(table) < FULL:
            table.append(previous + entry[:1])
        if len(table) == 1 << width and width < LZW_MAX_BITS:
            width += 1
        previous = entry
    bits.end()
    return bytes(out)


class _Bits:
    """Reads a stream as numbers of varying width."""

    def __init__(self, stream: bytes) -> None:
        self.stream, self.at = stream, 0
        self.held = self.count = 0

    def read(self, width: int) -> int:
        while self.count < width:
            if self.at == len(self.stream):
                raise ValueError("the stream has no end code")
            self.held |= self.stream[self.at] << self.count
            self.at += 1
            self.count += 8
        code = self.held & ((1 << width) - 1)
        self.held >>= width
        self.count -= width
        return code

    def end(self) -> None:
        if self.at != len(self.stream) or self.held:
            raise ValueError("bytes behind the end code")


def compress(data: bytes) -> bytes:
    """Packs bytes to codes, from a clear code to an end code."""
    out = bytearray()
    held = count = 0
    for code, width in _codes(data):
        held |= code << count
        count += width
        while count >= 8:  # noqa: PLR2004  bits of a byte
            out.append(held & 0xFF)
            held >>= 8
            count -= 8
    if count:
        out.append(held)
    return bytes(out)


def _codes(data: bytes) -> Iterator[tuple[int, int]]:
    """Yields codes and their widths. The table is cleared one code before it is full, as the upstream writer does."""
    yield LZW_CLEAR, FIRST_WIDTH
    table, width, last = {entry: i for i, entry in enumerate(_START) if entry}, FIRST_WIDTH, LZW_END
    run = b""
    for i in range(len(data)):
        longer = run + data[i : i + 1]
        if longer in table:
            run = longer
            continue
        yield table[run], width
        last += 1
        if last == 1 << width:
            width += 1
        if last == FULL - 1:
            yield LZW_CLEAR, width
            table, width, last = {entry: i for i, entry in enumerate(_START) if entry}, FIRST_WIDTH, LZW_END
        else:
            table[longer] = last
        run = data[i : i + 1]
    if run:
        yield table[run], width
        last += 1
        if last == 1 << width:
            width += 1
    yield LZW_END, width
