"""Values that the slow reader is reading: containers, structs and `any` slots whose parts are not all read yet."""

from typing import Any, Final

from ....errors import Reason, Rejected
from ....model.inferred import to_any_slot
from ....model.map_keys import MapKeys, UnusableKeyError
from ....model.registry import Registry, Struct
from ....model.types import ANY, Map, Type
from ....model.values import Typed
from .runtime import typed_key
from .tables import Reader

SMALLEST_WINDOW: Final = 64
"""Bytes for the first attempt of a generated reader on the items of a container."""
LONGEST_PAUSE: Final = 64
"""Items of a container that are read without an attempt after a series of failures."""


class Attempts:
    """When to try the generated readers on the next items of a container, and on how many bytes.

    An attempt that fails has read at most twice the bytes that the container has already, and a series of failures is
    followed by longer and longer pauses: all attempts together cost no more than reading the input a few times.
    """

    __slots__ = ("_failures", "_pause", "_start")

    def __init__(self, start: int) -> None:
        self._start = start
        self._failures = self._pause = 0

    def is_due(self) -> bool:
        """Tells whether the next item is to be tried."""
        self._pause -= 1
        return self._pause < 0

    def window(self, o: int) -> int:
        """Returns the number of bytes for an attempt at offset o."""
        return max(SMALLEST_WINDOW, 2 * (o - self._start))

    def ended(self, *, successful: bool) -> None:
        """Notes the result of an attempt."""
        self._failures = 0 if successful else self._failures + 1
        self._pause = 0 if successful else min(1 << self._failures, LONGEST_PAUSE) - 1


class OpenSequence:
    """A slice or array that is being read."""

    __slots__ = ("as_tuple", "attempts", "item", "n", "readers", "values")

    def __init__(self, item: Type, n: int, start: int, readers: tuple[Reader, ...], *, as_tuple: bool) -> None:
        self.item, self.n, self.as_tuple, self.readers = item, n, as_tuple, readers
        self.attempts = Attempts(start)
        self.values: list[Any] = []

    def left(self) -> int:
        """Returns the number of items that are not read."""
        return self.n - len(self.values)

    def is_due(self) -> bool:
        """Tells whether the generated reader is to be tried on the next item. Never on the last one: nothing would be saved."""
        return bool(self.readers) and self.left() > 1 and self.attempts.is_due()

    def add_read(self, values: list[Any]) -> None:
        """Adds the value of one item that a generated reader has read."""
        self.values.append(values[0])

    def next_type(self) -> Type | None:
        return self.item if len(self.values) < self.n else None

    def add(self, value: Any) -> None:
        self.values.append(value)

    def result(self) -> Any:
        return tuple(self.values) if self.as_tuple else self.values

    def label(self) -> str:
        return f"[{len(self.values)}]"


NO_KEY: Final = object()


class OpenMap:
    """A map that is being read."""

    __slots__ = ("at", "attempts", "done", "key", "keys", "n", "readers", "type", "values")

    def __init__(self, type_: Map, n: int, start: int, readers: tuple[Reader, ...]) -> None:
        self.type, self.n, self.done, self.readers = type_, n, 0, readers
        self.attempts = Attempts(start)
        self.keys = MapKeys(n)
        self.at = 0
        self.key: Any = NO_KEY
        self.values: dict[Any, Any] = {}

    def left(self) -> int:
        """Returns the number of entries that are not read."""
        return self.n - self.done

    def is_due(self) -> bool:
        """Tells whether the generated readers are to be tried on the next entry. Never on the last one."""
        return self.key is NO_KEY and bool(self.readers) and self.left() > 1 and self.attempts.is_due()

    def add_read(self, values: list[Any]) -> None:
        """Adds key and value of one entry that generated readers have read. Raises FastPathError or UnusableKeyError."""
        key, value = values
        if self.type.key is ANY:
            key = typed_key(key)
        key = self.keys.checked(self.values, key)
        self.values[key] = value
        self.done += 1

    def next_type(self) -> Type | None:
        if self.key is not NO_KEY:
            return self.type.value
        return self.type.key if self.done < self.n else None

    def add(self, value: Any) -> None:
        if self.key is NO_KEY:
            try:
                self.key = self.keys.checked(self.values, value)
            except UnusableKeyError as error:
                raise Rejected(Reason.UNHASHABLE_KEY, "", self.at, str(error)) from None
            return
        self.values[self.key] = value
        self.key = NO_KEY
        self.done += 1

    def result(self) -> Any:
        return self.values

    def label(self) -> str:
        return f"[{self.done}].key" if self.key is NO_KEY else f"[{self.done}]"


class OpenStruct:
    """A struct that is being read."""

    __slots__ = ("row", "values")

    def __init__(self, row: Struct) -> None:
        self.row = row
        self.values: list[Any] = []

    def next_type(self) -> Type | None:
        n = len(self.values)
        return self.row.fields[n][1] if n < len(self.row.fields) else None

    def add(self, value: Any) -> None:
        self.values.append(value)

    def result(self) -> Any:
        return self.row.value_class(*self.values)

    def label(self) -> str:
        return "." + self.row.fields[len(self.values)][0]


class OpenSlot:
    """An `any` slot whose value, a container or struct, is being read; several slots for a chain of tags 84."""

    __slots__ = ("is_key", "opened", "registry", "type", "value")

    def __init__(self, type_: Type, opened: int, registry: Registry, *, is_key: bool) -> None:
        self.type, self.opened, self.registry, self.is_key = type_, opened, registry, is_key
        self.value: Any = NO_KEY

    def next_type(self) -> Type | None:
        return self.type if self.value is NO_KEY else None

    def add(self, value: Any) -> None:
        self.value = value

    def result(self) -> Any:
        return Typed(self.type, self.value) if self.is_key else to_any_slot(self.type, self.value, self.registry)

    def label(self) -> str:
        return ""


OpenValue = OpenSequence | OpenMap | OpenStruct | OpenSlot
