r"""Values as text for people, and the first difference of two values.

EDF values in the notation of their types: `nil`, `true`, `"text"`, `'atom'`, `0x00ff` (bytes), `[1, 2]`, `{"key": 1}`,
`Name{field: value}` for structs, `int32(5)` for a value whose type does not follow from it, `error "text"`. Members of enums
have their names. No text contains line breaks, control codes or lone surrogates. Nothing here recurses: a value from the
wire may be nested deeper than Python recurses.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, Flag
from itertools import chain, zip_longest
from typing import Any, Final

from .text import escape
from .types import Type, describe
from .values import Atom, Error, Typed

MAX_TEXT: Final = 65_536
"""Characters of a value's text; the rest is cut."""
CUT: Final = "…"
AROUND: Final = 24
"""Characters or bytes that the description of a difference shows around it."""
FEW: Final = 4
"""Number of characters by which texts may differ that a reader takes for equal."""
MAX_PATH: Final = 200
"""Characters of a path."""
_MISSING: Final = object()
_Pair = tuple[str | None, Any, Any]
"""Step of a path, and the parts of two values there."""
_NO_PAIR: Final[_Pair] = (None, None, None)


def show(value: Any, limit: int = MAX_TEXT, leaf: int = MAX_TEXT, items: int = MAX_TEXT) -> str:
    """Returns a value as text of at most `limit` characters.

    `leaf`: characters that are shown of each text and bytes inside; `items`: items of each list and map.
    """
    out: list[str] = []
    left = limit
    for token in _tokens(value, min(leaf, limit), items):
        if left < len(token):
            return "".join(out) + token[: max(left, 0)] + CUT
        out.append(token)
        left -= len(token)
    return "".join(out)


def _tokens(value: Any, leaf: int, items: int) -> Iterator[str]:
    """Yields the parts of a value's text in order."""
    todo: list[Iterator[Any]] = [iter((value,))]
    while todo:
        part = next(todo[-1], _MISSING)
        if part is _MISSING:
            todo.pop()
        elif isinstance(part, _Token):
            yield part
        else:
            inside = _parts(part, items)
            if inside is None:
                yield _leaf(part, leaf)
            else:
                todo.append(inside)


class _Token(str):
    """Punctuation and names between values."""

    __slots__ = ()


def _parts(value: Any, items: int) -> Iterator[Any] | None:
    """Tokens and values inside a value, in order; None for a value without parts."""
    match value:
        case Typed():
            return iter((_Token(describe(value.type) + "("), value.value, _Token(")")))
        case Error() | Enum() | str() | bytes():
            return None
        case tuple() if hasattr(value, "_fields"):
            pairs = ((_Token(f"{name}: "), each) for name, each in zip(value._fields, value, strict=True))
            return _joined(f"{type(value).__name__}{{", pairs, "}")
        case _ if is_dataclass(value) and not isinstance(value, type):
            pairs = ((_Token(f"{field.name}: "), getattr(value, field.name)) for field in fields(value))
            return _joined(f"{type(value).__name__}{{", pairs, "}")
        case list():
            return _joined("[", ((each,) for each in value), "]", items)
        case tuple():
            return _joined("(", ((each,) for each in value), ")")
        case Mapping():
            return _joined("{", ((key, _Token(": "), each) for key, each in value.items()), "}", items)
        case set() | frozenset():
            return _joined("{", ((each,) for each in sorted(value, key=show)), "}", items)
    return None


def _joined(start: str, groups: Iterator[tuple[Any, ...]], end: str, items: int = MAX_TEXT) -> Iterator[Any]:
    yield _Token(start)
    for i, group in enumerate(groups):
        if i == items:
            yield _Token(f", {CUT} and {1 + sum(1 for _ in groups):,} more")
            break
        if i:
            yield _Token(", ")
        yield from group
    yield _Token(end)


def _leaf(value: Any, leaf: int) -> str:
    match value:
        case None:
            return "nil"
        case bool():
            return str(value).lower()
        case Flag():
            return value.name or f"{value.value:#x}"
        case Enum():
            return value.name
        case Atom():
            return _quoted(value, "'", leaf)
        case str():
            return _quoted(value, '"', leaf)
        case Error():
            return "error " + _quoted(value.text, '"', leaf)
        case bytes() | bytearray():
            half = leaf // 2
            return f"0x{value[:half].hex()}{_rest(len(value), half, 'bytes')}"
        case Type():
            return describe(value)
        case type():
            return value.__name__
    return cut(escape(repr(value)), leaf)


def _quoted(text: str, quote: str, leaf: int) -> str:
    inside = distinct(text[:leaf].replace("\\", r"\\").replace(quote, "\\" + quote))
    return f"{quote}{inside}{quote}{_rest(len(text), leaf, 'characters')}"


def _rest(length: int, shown: int, unit: str) -> str:
    """A sign for the rest of a text or bytes, with their length unless very little is shown."""
    if length <= shown:
        return ""
    return CUT if shown < AROUND else f"{CUT} ({length:,} {unit})"


def distinct(text: str) -> str:
    """Returns a text on one line, with escapes for combining characters that Unicode would join with the one before."""
    if text.isascii():
        return escape(text)
    if not unicodedata.is_normalized("NFC", text):
        text = "".join(f"\\u{ord(c):04x}" if unicodedata.combining(c) else c for c in text)
    return escape(text)


def ascii_only(text: str) -> str:
    """Returns a text with escapes for all characters that are not ASCII."""
    return text.encode("ascii", "backslashreplace").decode("ascii")


def cut(text: str, limit: int) -> str:
    """Returns a text of at most `limit` characters, and a sign for the rest."""
    return text if len(text) <= limit else text[:limit] + CUT


# --- differences ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ValueDifference:
    """The first part of two values that differs: its path (empty for the whole value), and both parts as text."""

    path: str
    expected: str
    actual: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{where}expected {self.expected}, received {self.actual}"


def first_difference(expected: Any, actual: Any) -> ValueDifference | None:
    """Returns the first difference of two values in the order of their parts; None if they are the same."""
    steps: list[str] = []
    todo: list[Iterator[_Pair]] = [iter((("", expected, actual),))]
    while todo:
        step, left, right = next(todo[-1], _NO_PAIR)
        del steps[len(todo) - 1 :]
        if step is None:
            todo.pop()
            continue
        steps.append(step)
        if left is _MISSING or right is _MISSING:
            return ValueDifference(_path(steps), _part(left), _part(right))
        pairs = _pairs(left, right)
        if pairs is not None:
            todo.append(pairs)
        elif not _equal(left, right):
            return _leaf_difference(_path(steps), left, right)
    return None


def _path(steps: list[str]) -> str:
    return cut("".join(steps[: MAX_PATH + 1]).removeprefix("."), MAX_PATH)


def _part(value: Any) -> str:
    return "nothing" if value is _MISSING else show(value, 4 * AROUND)


def _pairs(left: Any, right: Any) -> Iterator[_Pair] | None:
    """Steps and parts of two values of one form; None if they have no parts or different forms."""
    match left, right:
        case (Error() | Enum(), _) | (_, Error() | Enum()):
            return None
        case Typed(), Typed():
            same = left.type is right.type
            return iter(((f".{describe(left.type)}", left.value, right.value),)) if same else None
        case (tuple() | list(), tuple() | list()) if type(left) is type(right):
            if hasattr(left, "_fields"):
                return ((f".{name}", a, b) for name, a, b in zip(left._fields, left, right, strict=True))
            return ((f"[{i}]", a, b) for i, (a, b) in enumerate(zip_longest(left, right, fillvalue=_MISSING)))
        case dict(), dict():
            keys = chain(left, (key for key in right if key not in left))
            return ((f"[{show(key, AROUND)}]", left.get(key, _MISSING), right.get(key, _MISSING)) for key in keys)
    return None


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, Error) and isinstance(right, Error):
        return left.text == right.text
    if isinstance(left, int) and isinstance(right, int) and bool not in (type(left), type(right)):
        return int(left) == int(right)
    return type(left) is type(right) and (left == right or (isinstance(left, float) and repr(left) == repr(right)))


def _leaf_difference(path: str, left: Any, right: Any) -> ValueDifference:
    if type(left) is type(right) and isinstance(left, str | bytes):
        at = common_prefix(left, right)
        if max(len(left), len(right)) > 2 * AROUND:
            what = "character" if isinstance(left, str) else "byte"
            place = f"{path}, {what} {at:,}" if path else f"{what} {at:,}"
            return ValueDifference(place, _around(left, at), _around(right, at))
        if isinstance(left, str) and look_alike(left, right):
            return ValueDifference(path, _ascii(left), _ascii(right))
    return ValueDifference(path, show(left, 4 * AROUND), show(right, 4 * AROUND))


def _ascii(text: str) -> str:
    """The text of a string or an atom, with escapes for all characters that are not ASCII."""
    return ascii_only(show(text))


def _around(data: Any, at: int) -> str:
    start = max(at - AROUND // 2, 0)
    inside, length = data[start : at + AROUND], f" ({len(data):,} {'characters' if isinstance(data, str) else 'bytes'})"
    before, after = CUT if start else "", CUT if at + AROUND < len(data) else ""
    text = show(inside) if isinstance(inside, bytes) else _ascii(inside)
    return before + text + after + length


def common_prefix(left: Sequence[Any], right: Sequence[Any]) -> int:
    """Returns the number of equal items at the start of two texts or byte strings."""
    return next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))


def look_alike(left: str, right: str) -> bool:
    """Tells whether two different texts are the same but for a few characters, some of them not ASCII."""
    if left == right or abs(len(left) - len(right)) > FEW:
        return False
    start, end = common_prefix(left, right), common_prefix(left[::-1], right[::-1])
    size = max(len(left), len(right))
    return (
        start + end >= size - FEW and not (left[start : size - end + FEW] + right[start : size - end + FEW]).isascii()
    )
