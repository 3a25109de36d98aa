"""What generated readers and writers call, and how they say that they fail."""

import struct
import sys
from array import array
from collections.abc import Callable
from typing import Any, Final

from ....errors import CannotEncode
from ....model.ergo.edf import MAX_ARRAYS_PER_BYTE, MAX_EMPTY_ITEMS, MAX_ERROR, NIL_ERROR
from ....model.inferred import INFERRED_TYPES
from ....model.registry import Marshaler
from ....model.text import text_to_bytes
from ....model.values import Error, Typed
from .tables import DecodeTables, EncodeTables

Read = Callable[[bytes, int, DecodeTables, int], tuple[Any, int]]
Out = list[bytes]
Write = Callable[[Any, Out, EncodeTables], bytes]


class FailedError(Exception):
    """The fast path gives up; the explaining reader finds out why."""


FAILURES: Final = (
    FailedError, struct.error, IndexError, KeyError, ValueError, TypeError, OverflowError, RecursionError, MemoryError,
)  # fmt: skip


def unknown(b: bytes, o: int, c: DecodeTables, d: int) -> tuple[Any, int]:  # noqa: ARG001  one signature for all
    """The reader of what has no fast one."""
    raise FailedError


DISPATCH: Final[list[Read]] = [unknown] * 256
"""Readers of what may stand in an `any` slot, by the first byte of the descriptor; dynamic.py fills it."""

# --- reading ----------------------------------------------------------------------------------------------------------


def numbers(b: bytes, o: int, n: int, code: str, width: int) -> list[Any]:
    """N big-endian numbers at offset o. Nothing is reserved for numbers that are not there."""
    raw = b[o : o + n * width]
    if len(raw) != n * width:
        raise FailedError
    items = array(code, raw)
    if width > 1 and sys.byteorder == "little":
        items.byteswap()
    return items.tolist()


def no_bytes(c: DecodeTables, n: int, each: int) -> int:
    """N items that take no byte, each holding `each` more: allowed while the value's allowance lasts."""
    c.empty_items += n * (1 + each)
    if c.empty_items > MAX_EMPTY_ITEMS:
        raise FailedError
    return n


def inner_arrays(c: DecodeTables, b: bytes, n: int) -> None:
    """N more arrays inside an array: allowed in proportion to the input."""
    c.inner_arrays += n
    if c.inner_arrays > MAX_EMPTY_ITEMS + MAX_ARRAYS_PER_BYTE * len(b):
        raise FailedError


def unmarshal(payload: bytes, n: int, row: Marshaler) -> bytes:
    """The payload, if it is whole and its type takes it."""
    if len(payload) != n or row.payload.refusal(payload) is not None:
        raise FailedError
    return payload


def typed_key(value: Any) -> Any:
    """The key of a map with `any` keys is Typed (terms.py)."""
    if value is None or type(value) is Typed:
        return value
    natural = INFERRED_TYPES.get(type(value))
    if natural is None:
        raise FailedError  # a struct: the explaining reader knows its row
    return Typed(natural, value)


# --- writing ----------------------------------------------------------------------------------------------------------


def pack_numbers(items: Any, code: str) -> bytes:
    """Big-endian numbers of a list, tuple or array."""
    if type(items) is array and items.typecode == code:
        numbers_: array[Any] = items
        if sys.byteorder == "little":
            numbers_ = numbers_[:]
            numbers_.byteswap()
        return numbers_.tobytes()
    if code == "?" and any(type(item) is not bool for item in items):
        raise FailedError
    if code == "B" and type(items) in PLAIN:  # not an array, whose bytes are its memory
        return bytes(items)
    return struct.pack(f">{len(items)}{code}", *items)


PLAIN: Final = frozenset({list, tuple, bytes, bytearray})


def not_bool() -> bool:
    """In place of a bool that is none."""
    raise FailedError


def as_bytes(value: Any) -> bytes:
    """A binary that is not of class bytes itself."""
    if not isinstance(value, bytes | bytearray):
        raise FailedError
    return bytes(value)


def error_body(error: Error | None, c: EncodeTables) -> bytes:
    """An error without tag: nil, the id of a registered one, or the text."""
    if error is None:
        return NIL_ERROR.to_bytes(2, "big")
    if error.registered:
        id_ = c.error_ids.get(error.text)
        if id_ is not None:
            return id_.to_bytes(2, "big")
    text = text_to_bytes(error.text)
    if len(text) > MAX_ERROR:
        raise CannotEncode(f"error text of {len(text)} bytes, at most {MAX_ERROR} are possible")
    return len(text).to_bytes(2, "big") + text
