"""Source of one generated function: collects its lines and constants, and compiles it."""

import struct
from collections.abc import Callable
from functools import cache
from types import CodeType
from typing import Any, Final

MAX_INLINE_LOOPS: Final = 2
"""Nested containers beyond this get separate functions (Python allows about 20 nested blocks)."""
MAX_STRUCT_ARRAY: Final = 64
"""Maximum length of a numeric array that is part of a `struct` run."""
MAX_CACHED_TEXT: Final = 256
"""Maximum length in bytes of a text whose Struct or head is cached."""

MAX_CACHED_CODE: Final = 1 << 19
"""Maximum characters of the sources whose code is kept: the nodes of a process share the code of equal types."""

_PACKED_SIZES = {code: struct.calcsize(">" + code) for code in "bBhHiIqQfd?"}


def packed_size(codes: str) -> int:
    """Returns the size in bytes of struct codes (big-endian, no repeat counts)."""
    return sum(_PACKED_SIZES[code] for code in codes)


class TextPackers(dict[int, Callable[..., bytes]]):
    """Length of a text → Struct method that packs fixed fields (including the length), the text and further fields at once."""

    def __init__(self, before: str, after: str) -> None:
        super().__init__()
        self._before, self._after = before, after

    def __missing__(self, n: int) -> Callable[..., bytes]:
        pack = struct.Struct(f">{self._before}{n}s{self._after}").pack
        if n < MAX_CACHED_TEXT:
            self[n] = pack
        return pack


class TextHeads(dict[int, bytes]):
    """Length of a text → the bytes before it: constant bytes and the length."""

    def __init__(self, constant: bytes) -> None:
        super().__init__()
        self._constant = constant

    def __missing__(self, n: int) -> bytes:
        head = self._constant + n.to_bytes(2, "big")
        if n < MAX_CACHED_TEXT:
            self[n] = head
        return head


_text_packers = cache(TextPackers)
_text_heads = cache(TextHeads)


class CodeCache(dict[tuple[str, str], CodeType]):
    """Source and file name → compiled code. Forgets the oldest sources beyond `limit` characters."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.size = 0

    def __missing__(self, key: tuple[str, str]) -> CodeType:
        text, filename = key
        code = compile(text, filename, "exec")
        self.size += len(text)
        self[key] = code
        while self.size > self.limit:
            oldest = next(iter(self))
            del self[oldest]
            self.size -= len(oldest[0])
        return code


_code = CodeCache(MAX_CACHED_CODE)


class FunctionSource:
    """Lines of one function, the constants that they use, and a supply of unused local names."""

    def __init__(self, header: str) -> None:
        self.lines = [header]
        self.names: dict[str, Any] = {}
        self._indent = 1
        self._counter = 0

    def add(self, line: str) -> None:
        self.lines.append("    " * self._indent + line)

    def indent(self, by: int = 1) -> None:
        self._indent += by

    def fresh(self, prefix: str) -> str:
        """Returns an unused local name."""
        self._counter += 1
        return f"{prefix}{self._counter}"

    def constant(self, prefix: str, value: object) -> str:
        """Returns the global name of `value` in the function."""
        for name, known in self.names.items():
            if known is value:
                return name
        name = f"{prefix}_{len(self.names)}"
        self.names[name] = value
        return name

    def struct_method(self, method: str, codes: str) -> str:
        """Returns the global name of `Struct(">codes").method`."""
        name = f"{method}_{codes.replace('?', 'o')}"
        self.names.setdefault(name, getattr(struct.Struct(">" + codes), method))
        return name

    def text_packers(self, before: str, after: str) -> str:
        """Returns the global name of a table by length: `table[n]` packs fixed fields, n bytes of text, and fixed fields."""
        name = f"pack_{before}_text_{after}".rstrip("_").replace("?", "o")
        self.names.setdefault(name, _text_packers(before, after))
        return name

    def text_heads(self, constant: bytes) -> str:
        """Returns the global name of a table by length: `table[n]` is the constant bytes followed by n."""
        name = f"head_{constant.hex()}".rstrip("_")
        self.names.setdefault(name, _text_heads(constant))
        return name

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def compile(self, name: str, label: str) -> Callable[..., Any]:
        """Compiles and returns the function; `source_of` returns its source."""
        exec(_code[self.text, f"<edf {label}>"], self.names)  # noqa: S102  the source is derived from type rows only
        function: Any = self.names[name]
        function.edf_source = self.text
        return function  # type: ignore[no-any-return]


def source_of(function: Callable[..., Any]) -> str:
    """Returns the source of a generated function."""
    return function.edf_source  # type: ignore[attr-defined, no-any-return]
