"""Keys of a received map: bounded, so that neither their depth nor equal hashes cost more than their bytes.

CPython hashes nested tuples recursively in C without a check of the stack, and its hashes of numbers and tuples are not
seeded: a peer can choose thousands of different keys with one hash. Hashes of texts and bytes are seeded.
"""

from typing import Any, Final

from .values import Typed

MAX_KEY_DEPTH: Final = 64
"""Maximum levels of arrays, structs and `any` slots inside a key."""
MAX_EQUAL_HASHES: Final = 64
"""Maximum number of different keys of one map with the same hash."""


class UnusableKeyError(ValueError):
    """A key that can't be put into a dict, or not at bounded cost; the message says why."""


class MapKeys:
    """The keys of one map, checked before they are put into its dict. `n`: number of entries that the map declares."""

    __slots__ = ("_by_hash",)

    def __init__(self, n: int) -> None:
        self._by_hash: dict[int, int] | None = {} if n > MAX_EQUAL_HASHES else None

    def checked(self, values: dict[Any, Any], key: Any) -> Any:
        """Returns a key that may be set in `values`. Removes an equal key, whose floats may have another sign of zero.

        Raises UnusableKeyError.
        """
        if isinstance(key, tuple):
            _check_depth(key)
        try:
            found = hash(key)
        except TypeError:
            raise UnusableKeyError("not hashable") from None
        if key in values:
            del values[key]
        elif self._by_hash is not None:
            count = self._by_hash[found] = self._by_hash.get(found, 0) + 1
            if count > MAX_EQUAL_HASHES:
                raise UnusableKeyError(f"more than {MAX_EQUAL_HASHES} keys with one hash")
        return key


def _check_depth(key: tuple[Any, ...]) -> None:
    level: list[Any] = [key]
    for _ in range(MAX_KEY_DEPTH):
        level = [
            part
            for each in level
            for part in (each[1:] if isinstance(each, Typed) else each)
            if isinstance(part, tuple)
        ]
        if not level:
            return
    raise UnusableKeyError(f"nested deeper than {MAX_KEY_DEPTH} levels")
