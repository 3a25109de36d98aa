"""EDF type descriptors.

Types are interned: two equal descriptors are one object, so that comparing and hashing cost the same at any depth
(a folded type from the wire may be 1024 levels deep, too deep for recursive `__eq__` and `__hash__`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Self
from weakref import WeakValueDictionary

from .ergo.edf import SCALAR_TAGS, Tag

_interned: WeakValueDictionary[tuple[Any, ...], "Type"] = WeakValueDictionary()


class Type:
    """Base of all descriptors. Immutable; equality is identity."""

    __slots__ = ("__weakref__",)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    @classmethod
    def _intern(cls, key: tuple[Any, ...], *parts: Any) -> Self:
        """Returns the only object with these parts (in the order of `__slots__`)."""
        found = _interned.get(key)
        if found is None:
            found = object.__new__(cls)
            for name, part in zip(cls.__slots__, parts, strict=True):
                object.__setattr__(found, name, part)
            _interned[key] = found
        return found  # type: ignore[return-value]  # the key begins with the class

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self.__slots__ if name != "__weakref__")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {describe(self)}>"


class Scalar(Type):
    """A built-in type whose descriptor is its tag alone."""

    __slots__ = ("tag",)
    tag: Tag

    def __new__(cls, tag: Tag) -> Self:
        return cls._intern((cls, tag), tag)

    @property
    def name(self) -> str:
        return self.tag.name.lower()


class AnyType(Type):
    """The type `any`: each value has its descriptor in front of it."""

    __slots__ = ()

    def __new__(cls) -> Self:
        return cls._intern((cls,))


class Slice(Type):
    """Zero or more items, or nil."""

    __slots__ = ("item",)
    item: Type

    def __new__(cls, item: Type) -> Self:
        return cls._intern((cls, item), item)


class Array(Type):
    """Exactly `length` items."""

    __slots__ = ("length", "item")  # noqa: RUF023  the order of the constructor
    length: int
    item: Type

    def __new__(cls, length: int, item: Type) -> Self:
        return cls._intern((cls, length, item), length, item)


class Map(Type):
    """Entries of key and value, or nil; the order of entries has no meaning."""

    __slots__ = ("key", "value")
    key: Type
    value: Type

    def __new__(cls, key: Type, value: Type) -> Self:
        return cls._intern((cls, key, value), key, value)


class Reg(Type):
    """A registered type, by its full name; its definition is a row of the registry."""

    __slots__ = ("name",)
    name: str

    def __new__(cls, name: str) -> Self:
        return cls._intern((cls, name), name)


ATOM, STRING, BINARY, FLOAT32, FLOAT64, BOOL = (Scalar(t) for t in SCALAR_TAGS[:6])
INT8, INT16, INT32, INT64, INT = (Scalar(t) for t in SCALAR_TAGS[6:11])
UINT8, UINT16, UINT32, UINT64, UINT = (Scalar(t) for t in SCALAR_TAGS[11:16])
ERROR, PID, PROCESS_ID, ALIAS, EVENT, REF, TIME = (Scalar(t) for t in SCALAR_TAGS[16:])
ANY: Final = AnyType()

SCALARS: Final[Mapping[str, Scalar]] = {Scalar(t).name: Scalar(t) for t in SCALAR_TAGS}
"""Scalar descriptors by the name that vectors and documents use: `int32`, `process_id`, …"""


def parts(t: Type) -> tuple[Type, ...]:
    """Returns the descriptors directly inside a folded one, in wire order."""
    match t:
        case Slice():
            return (t.item,)
        case Array():
            return (t.item,)
        case Map():
            return (t.key, t.value)
        case _:
            return ()


def preorder(t: Type) -> Iterator[Type]:
    """Yields the descriptors of a folded type in wire order, without recursion."""
    todo = [t]
    while todo:
        current = todo.pop()
        yield current
        todo.extend(reversed(parts(current)))


def describe(t: Type, limit: int = 200) -> str:
    """Returns the Go-like text of a type, such as `map[string][]int32`, cut at `limit` characters."""
    out: list[str] = []
    size = 0
    todo: list[Type | str] = [t]
    while todo and size <= limit:
        current = todo.pop()
        match current:
            case str():
                text = current
            case Scalar() | Reg():
                text = current.name
            case AnyType():
                text = "any"
            case Slice():
                text = "[]"
                todo.append(current.item)
            case Array():
                text = f"[{current.length}]"
                todo.append(current.item)
            case Map():
                text = "map["
                todo += (current.value, "]", current.key)
            case _:
                raise TypeError(f"not a type: {current!r}")
        out.append(text)
        size += len(text)
    text = "".join(out)
    return text if not todo and len(text) <= limit else text[:limit] + "…"
