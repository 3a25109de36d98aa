"""Keys of a received map: bounded, so that neither their depth nor their hashes cost more than their bytes.

CPython hashes nested tuples recursively in C without a check of the stack, and its hashes of numbers and tuples are not
seeded: a peer can choose thousands of different keys with one hash, or with hashes that visit the same slots of a dict.
Hashes of texts and bytes are seeded.
"""

from collections.abc import Iterable
from typing import Any, Final

from .values import Typed

MAX_KEY_DEPTH: Final = 64
"""Maximum levels of arrays, structs and `any` slots inside a key."""
MAX_EQUAL_HASHES: Final = 64
"""Maximum number of different keys of one map with the same hash."""
MAX_UNCOUNTED_KEYS: Final = 4096
"""Number of keys of one map up to which occupied slots are not counted: so few keys can't cost much."""
MAX_STEPS_PER_KEY: Final = 100
"""Maximum number of occupied slots that a dict visits per key, on average. Regular keys need one or two, multiples of 2**48
about 30."""

_WORD: Final = (1 << 64) - 1
_SMALLEST: Final = 8  # slots
_SHIFT: Final = 5  # bits


class UnusableKeyError(ValueError):
    """A key that can't be put into a dict, or not at bounded cost; the message says why."""


class SlotCount:
    """The occupied slots that CPython visits (Objects/dictobject.c) when hashes are inserted into a dict that grows."""

    __slots__ = ("_occupied", "_room", "steps")

    def __init__(self) -> None:
        self._occupied = bytearray(_SMALLEST)
        self._room = _SMALLEST * 2 // 3
        self.steps = 0

    def add(self, found: int, earlier: Iterable[int]) -> None:
        """Inserts a hash; `earlier`: the hashes inserted before, for the case that the dict grows."""
        if self._room == 0:
            size = len(self._occupied) * 2
            self._occupied = bytearray(size)
            self._room = size * 2 // 3
            for one in earlier:
                self._place(one)
        self._place(found)

    def _place(self, found: int) -> None:
        occupied, mask, rest, steps = self._occupied, len(self._occupied) - 1, found & _WORD, 0
        slot = rest & mask
        while occupied[slot]:
            rest >>= _SHIFT
            slot = (slot * 5 + rest + 1) & mask
            steps += 1
        occupied[slot] = 1
        self._room -= 1
        self.steps += steps


class MapKeys:
    """The keys of one map, checked before they are put into its dict. `n`: number of entries that the map declares."""

    __slots__ = ("_by_hash", "_slots")

    def __init__(self, n: int) -> None:
        self._by_hash: dict[int, int] | None = {} if n > MAX_EQUAL_HASHES else None
        self._slots = SlotCount() if n > MAX_UNCOUNTED_KEYS else None

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
            self._count(found, self._by_hash)
        return key

    def _count(self, found: int, by_hash: dict[int, int]) -> None:
        """Counts the hash of a new key. Raises UnusableKeyError."""
        if self._slots is not None and found not in by_hash:
            self._slots.add(found, by_hash)
            if self._slots.steps > MAX_STEPS_PER_KEY * max(len(by_hash), MAX_UNCOUNTED_KEYS):
                raise UnusableKeyError(f"hashes that visit more than {MAX_STEPS_PER_KEY} occupied slots each")
        count = by_hash[found] = by_hash.get(found, 0) + 1
        if count > MAX_EQUAL_HASHES:
            raise UnusableKeyError(f"more than {MAX_EQUAL_HASHES} keys with one hash")


def counted_keys(n: int) -> MapKeys | None:
    """Returns the check for keys that are integers: none for a small map, since at most nine of them have one hash."""
    return MapKeys(n) if n > MAX_UNCOUNTED_KEYS else None


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
