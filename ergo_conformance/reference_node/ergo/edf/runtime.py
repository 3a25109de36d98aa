"""Runtime support of the generated readers and writers: the functions that they call and the errors that they raise."""

import struct
import sys
from array import array
from collections.abc import Iterable
from itertools import repeat
from typing import Any, Final

from ....errors import CannotEncode
from ....model.ergo.edf import MAX_ARRAYS_PER_BYTE, MAX_EMPTY_ITEMS, MAX_ERROR, NIL_ERROR
from ....model.inferred import INFERRED_TYPES
from ....model.registry import Marshaler
from ....model.text import text_to_bytes
from ....model.values import Error, Typed
from .tables import DecodeTables, EncodeTables, Reader


class FastPathError(Exception):
    """A generated function failed; the slow reader or writer then finds the reason."""


FAST_PATH_ERRORS: Final = (
    FastPathError, struct.error, IndexError, KeyError, ValueError, TypeError, OverflowError, RecursionError, MemoryError,
)  # fmt: skip
"""Errors by which a generated function reports a failure."""


def no_fast_reader(b: bytes, o: int, c: DecodeTables, d: int) -> tuple[Any, int]:  # noqa: ARG001  one signature for all
    """Reader for types without a generated reader: always raises FastPathError."""
    raise FastPathError


DISPATCH: Final[list[Reader]] = [no_fast_reader] * 256
"""Readers of values with descriptor, by the first byte of the descriptor. Filled by dynamic_readers.py."""

# --- reading ----------------------------------------------------------------------------------------------------------


def unpack_numbers(b: bytes, o: int, n: int, code: str, width: int) -> list[Any]:
    """Reads n big-endian numbers at offset o. Allocates nothing unless all their bytes are present."""
    raw = b[o : o + n * width]
    if len(raw) != n * width:
        raise FastPathError
    items = array(code, raw)
    if width > 1 and sys.byteorder == "little":
        items.byteswap()
    return items.tolist()


def count_empty_items(c: DecodeTables, n: int, each: int) -> int:
    """Counts n items without bytes, each with `each` inner items; FastPathError above MAX_EMPTY_ITEMS. Returns n."""
    c.empty_items += n * (1 + each)
    if c.empty_items > MAX_EMPTY_ITEMS:
        raise FastPathError
    return n


def count_inner_arrays(c: DecodeTables, b: bytes, n: int) -> None:
    """Counts n arrays inside an array; FastPathError above a limit proportional to the input."""
    c.inner_arrays += n
    if c.inner_arrays > MAX_EMPTY_ITEMS + MAX_ARRAYS_PER_BYTE * len(b):
        raise FastPathError


def nested_arrays(items: Iterable[Any], lengths: tuple[tuple[int, int], ...]) -> tuple[Any, ...]:
    """Returns the items of the innermost arrays as arrays in arrays.

    `lengths`: of all but the outermost array, innermost first, each with the number of levels that have it.
    """
    for n, levels in lengths:
        if n == 1:
            items = [_wrapped(item, levels) for item in items]
        else:
            for _ in range(levels):
                items = [*zip(*[iter(items)] * n, strict=True)]
    return tuple(items)


def _wrapped(item: Any, levels: int) -> Any:
    for _ in repeat(None, levels):
        item = (item,)
    return item


def check_payload(payload: bytes, n: int, row: Marshaler) -> bytes:
    """Returns the payload if it has n bytes and its type accepts it; otherwise raises FastPathError."""
    if len(payload) != n or row.payload.refusal(payload) is not None:
        raise FastPathError
    return payload


def typed_key(value: Any) -> Any:
    """Wraps a key of a map with `any` keys in Typed (see model/values.py)."""
    if value is None or type(value) is Typed:
        return value
    inferred = INFERRED_TYPES.get(type(value))
    if inferred is None:
        raise FastPathError  # a struct: the slow reader knows its row
    return Typed(inferred, value)


# --- writing ----------------------------------------------------------------------------------------------------------


def pack_numbers(items: Any, code: str) -> bytes:
    """Packs the numbers of a list, tuple or array, big-endian."""
    if type(items) is array and items.typecode == code:
        numbers_: array[Any] = items
        if sys.byteorder == "little":
            numbers_ = numbers_[:]
            numbers_.byteswap()
        return numbers_.tobytes()
    if code == "?" and any(type(item) is not bool for item in items):
        raise FastPathError
    if code == "B" and type(items) in _BYTE_SEQUENCES:  # bytes(array) would copy the memory of wider items
        return bytes(items)
    return struct.pack(f">{len(items)}{code}", *items)


_BYTE_SEQUENCES: Final = frozenset({list, tuple, bytes, bytearray})


def refuse_bool() -> bool:
    """Called for a value in a bool slot that is not a bool."""
    raise FastPathError


def as_bytes(value: Any) -> bytes:
    """Returns a binary as bytes; FastPathError if it is neither bytes nor bytearray."""
    if not isinstance(value, bytes | bytearray):
        raise FastPathError
    return bytes(value)


def error_body(error: Error | None, c: EncodeTables) -> bytes:
    """Returns an error without tag: nil, the id of a registered error, or the text."""
    if error is None:
        return NIL_ERROR.to_bytes(2, "big")
    if error.registered:
        id_ = c.error_ids.get(error.text)
        if id_ is not None:
            return id_.to_bytes(2, "big")
    text = text_to_bytes(error.text)
    if len(text) > MAX_ERROR:
        raise CannotEncode(f"error text of {len(text)} bytes, maximum {MAX_ERROR}")
    return len(text).to_bytes(2, "big") + text
