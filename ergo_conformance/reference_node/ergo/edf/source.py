"""Writes the source of one generated function and turns it into that function."""

import struct
from collections.abc import Callable
from functools import cache
from typing import Any, Final

MAX_TEXT_PACKERS: Final = 256
"""Longer texts are packed by a Struct that is not kept."""

_PACKED_SIZES = {code: struct.calcsize(">" + code) for code in "bBhHiIqQfd?"}


def packed_size(codes: str) -> int:
    """Bytes that the struct codes (big-endian, no repeat counts) take."""
    return sum(_PACKED_SIZES[code] for code in codes)


class TextPackers(dict[int, Callable[..., bytes]]):
    """Length of a text → pack of fixed fields (the length is one), the text, and more fields: one call, no joining."""

    def __init__(self, before: str, after: str) -> None:
        super().__init__()
        self._before, self._after = before, after

    def __missing__(self, n: int) -> Callable[..., bytes]:
        pack = struct.Struct(f">{self._before}{n}s{self._after}").pack
        if n < MAX_TEXT_PACKERS:
            self[n] = pack
        return pack


class TextHeads(dict[int, bytes]):
    """Length of a text → what stands before it: known bytes and the length."""

    def __init__(self, known: bytes) -> None:
        super().__init__()
        self._known = known

    def __missing__(self, n: int) -> bytes:
        head = self._known + n.to_bytes(2, "big")
        if n < MAX_TEXT_PACKERS:
            self[n] = head
        return head


_text_packers = cache(TextPackers)
_text_heads = cache(TextHeads)


class Source:
    """Lines of one function, the constants they use, and names that are not taken yet."""

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
        """A local name that nothing else uses."""
        self._counter += 1
        return f"{prefix}{self._counter}"

    def constant(self, prefix: str, value: object) -> str:
        """The global name under which the function sees `value`."""
        for name, known in self.names.items():
            if known is value:
                return name
        name = f"{prefix}_{len(self.names)}"
        self.names[name] = value
        return name

    def struct_method(self, method: str, codes: str) -> str:
        """The global name of `Struct(">codes").method`."""
        name = f"{method}_{codes.replace('?', 'o')}"
        self.names.setdefault(name, getattr(struct.Struct(">" + codes), method))
        return name

    def text_packers(self, before: str, after: str) -> str:
        """The global name of a table by length: `table[n]` packs fixed fields, n bytes of text, and fixed fields."""
        name = f"pack_{before}_text_{after}".rstrip("_").replace("?", "o")
        self.names.setdefault(name, _text_packers(before, after))
        return name

    def text_heads(self, known: bytes) -> str:
        """The global name of a table by length: `table[n]` is the known bytes and n."""
        name = f"head_{known.hex()}".rstrip("_")
        self.names.setdefault(name, _text_heads(known))
        return name

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    def compile(self, name: str, label: str) -> Callable[..., Any]:
        """The function; `source_of` gives its source back."""
        exec(compile(self.text, f"<edf {label}>", "exec"), self.names)  # noqa: S102  source made from type rows only
        function: Any = self.names[name]
        function.edf_source = self.text
        return function  # type: ignore[no-any-return]


def source_of(function: Callable[..., Any]) -> str:
    """The source of a generated function."""
    return function.edf_source  # type: ignore[attr-defined, no-any-return]
