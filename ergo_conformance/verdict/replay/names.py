"""Ids that each run chooses anew: what one side recorded, what our node has in its place, one to one.

Numbers of processes, references (message ids among them) and aliases. Times are the clock's: any will do.
"""

from collections.abc import Callable
from typing import Any, Final

from ...model.ergo import enp, gen
from ...model.values import PID, Alias, Atom, Ref

SAID: Final = {"from_id": "pid", "id": "pid", "alias": "alias"}
"""Fields of a frame that name something of its writer."""
ASKED: Final = {"ref": "ref"}
"""The same, of requests alone: in an answer the reference is its reader's."""
HEARD: Final = {"to_id": "pid", "to_alias": "alias"}
"""Fields of a frame that name something of its reader."""
ANSWERED: Final = {"ref": "ref"}
"""The same, of answers alone."""
_ANSWERS: Final = (enp.Response, enp.ResponseError)
_TIMES: Final = frozenset({"timestamp", "Timestamp"})


def said(frame: Any) -> dict[str, str]:
    """The fields of a frame that name something of its writer, and what kind of thing."""
    return SAID if isinstance(frame, _ANSWERS) else {**SAID, **ASKED}


def heard(frame: Any) -> dict[str, str]:
    """Those that name something of its reader."""
    return {**HEARD, **ANSWERED} if isinstance(frame, _ANSWERS) else HEARD


class Names:
    """What belongs to one node."""

    def __init__(self, node: Atom) -> None:
        self.node = node
        self._ours: dict[tuple[str, Any], Any] = {}
        self._recorded: dict[tuple[str, Any], Any] = {}

    def ours(self, kind: str, recorded: Any) -> Any:
        """Our id for a recorded one; the recorded one if it was not met yet."""
        return self._ours.get((kind, recorded), recorded)

    def recorded(self, kind: str, ours: Any) -> Any:
        """The reverse."""
        return self._recorded.get((kind, ours), ours)

    def knows(self, kind: str, recorded: Any) -> bool:
        """Whether a recorded id was met."""
        return (kind, recorded) in self._ours

    def bind(self, kind: str, recorded: Any, ours: Any) -> bool:
        """Whether these are one and the same; two that nobody knows become so."""
        key, back = (kind, recorded), (kind, ours)
        if key in self._ours or back in self._recorded:
            return bool(self._ours.get(key, self) == ours and self._recorded.get(back, self) == recorded)
        self._ours[key], self._recorded[back] = ours, recorded
        return True

    # --- comparing ----------------------------------------------------------------------------------------------------

    def match(self, recorded: Any, ours: Any, differ: Callable[[str, Any, Any], bool]) -> bool:
        """Whether a frame of our node is the recorded one. What is new in it is bound only then.

        `differ`: whether a field may differ nevertheless.
        """
        before = dict(self._ours), dict(self._recorded)
        if self._frame(recorded, ours, differ):
            return True
        self._ours, self._recorded = before
        return False

    def _frame(self, recorded: Any, ours: Any, differ: Callable[[str, Any, Any], bool]) -> bool:
        if type(recorded) is not type(ours):
            return False
        fields = said(recorded)
        important = bool(getattr(recorded, "priority", 0) & enp.IMPORTANT)
        return all(
            self._field(name, fields.get(name), a, b, important=important) or differ(name, a, b)
            for name, a, b in zip(recorded._fields, recorded, ours, strict=True)
        )  # fmt: skip

    def _field(self, name: str, kind: str | None, recorded: Any, ours: Any, *, important: bool) -> bool:
        if name == "order":
            return True  # recomputed from the ids: see Matcher
        if name in _TIMES:
            return True
        if name == "mid":
            return not important or self.bind("ref", (recorded, 0, 0), (ours, 0, 0))
        if kind is not None:
            return self.bind(kind, recorded, ours)
        return self.same(recorded, ours)

    def same(self, recorded: Any, ours: Any) -> bool:
        """Whether two values are the same, the ids of our node aside. Entries of maps have no order."""
        if type(recorded) is not type(ours):
            return False
        match recorded:
            case PID() | Alias() | Ref():
                return self._address(recorded, ours)
            case gen.MessageEvent():
                return recorded.Event == ours.Event and self.same(recorded.Message, ours.Message)
            case dict():
                return recorded.keys() == ours.keys() and all(self.same(v, ours[k]) for k, v in recorded.items())
            case list() | tuple():
                return len(recorded) == len(ours) and all(map(self.same, recorded, ours))
            case float():
                return recorded == ours or (recorded != recorded and ours != ours)  # noqa: PLR0124  not a number
        return bool(recorded == ours)

    def _address(self, recorded: PID | Alias | Ref, ours: PID | Alias | Ref) -> bool:
        if recorded.node != self.node or (recorded.node, recorded.creation) != (ours.node, ours.creation):
            return recorded == ours
        return self.bind(_KINDS[type(recorded)], recorded.id, ours.id)

    # --- renaming -----------------------------------------------------------------------------------------------------

    def for_us(self, frame: Any) -> Any:
        """A frame of the other side as it would have been written to our node."""
        return self._renamed(frame, heard(frame))

    def by_us(self, frame: Any) -> Any:
        """A recorded frame as our node would have written it."""
        return self._renamed(frame, said(frame))

    def _renamed(self, frame: Any, fields: dict[str, str]) -> Any:
        values = zip(frame._fields, frame, strict=True)
        return type(frame)(*(self.ours(fields[n], v) if n in fields else self.value(v) for n, v in values))

    def value(self, value: Any) -> Any:
        """A value with our ids in it."""
        match value:
            case PID() | Alias() | Ref() if value.node == self.node:
                return value._replace(id=self.ours(_KINDS[type(value)], value.id))
            case dict():
                return {key: self.value(item) for key, item in value.items()}
            case list():
                return list(map(self.value, value))
            case tuple() if hasattr(value, "_fields"):
                return type(value)(*map(self.value, value))
            case tuple():
                return tuple(map(self.value, value))
        return value


_KINDS: Final[dict[type, str]] = {PID: "pid", Alias: "alias", Ref: "ref"}
