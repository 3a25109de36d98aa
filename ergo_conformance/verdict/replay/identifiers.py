"""Ids that each run chooses anew: a one-to-one map between the recorded ids of a node and those of the reference node.

These are numbers of processes, references (message ids among them) and aliases. Timestamps are not compared.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ...model.ergo import enp, gen
from ...model.values import PID, Alias, Atom, Ref

WRITER_FIELDS: Final[Mapping[str, str]] = {"from_id": "pid", "id": "pid", "alias": "alias"}
"""Fields of a frame with an id of its writer, and the kind of the id."""
READER_FIELDS: Final[Mapping[str, str]] = {"to_id": "pid", "to_alias": "alias"}
"""Fields of a frame with an id of its reader."""
REFERENCE: Final[Mapping[str, str]] = {"ref": "ref"}
"""The reference is the writer's in a request and the reader's in a response."""
TIMES: Final = frozenset({"timestamp", "Timestamp"})
"""Fields that may differ."""
_RESPONSES: Final = (enp.Response, enp.ResponseError)
_KINDS: Final[Mapping[type, str]] = {PID: "pid", Alias: "alias", Ref: "ref"}

MayDiffer = Callable[[str, Any, Any], bool]
"""Returns whether a field may differ, by its name, recorded value and actual value."""


def writer_fields(frame: Any) -> Mapping[str, str]:
    """Returns the fields of a frame with an id of its writer, and the kinds of these ids."""
    return WRITER_FIELDS if isinstance(frame, _RESPONSES) else {**WRITER_FIELDS, **REFERENCE}


def reader_fields(frame: Any) -> Mapping[str, str]:
    """Returns the fields of a frame with an id of its reader, and the kinds of these ids."""
    return {**READER_FIELDS, **REFERENCE} if isinstance(frame, _RESPONSES) else READER_FIELDS


class IdMap:
    """The ids of one node: recorded ↔ actual, by kind (pid, alias, ref)."""

    def __init__(self, node: Atom) -> None:
        self.node = node
        self._actual: dict[tuple[str, Any], Any] = {}
        self._recorded: dict[tuple[str, Any], Any] = {}

    def actual(self, kind: str, recorded: Any) -> Any:
        """Returns the actual id for a recorded one; the recorded id itself if it is not bound."""
        return self._actual.get((kind, recorded), recorded)

    def bind(self, kind: str, recorded: Any, actual: Any) -> bool:
        """Binds two ids if neither is bound; returns whether they are bound to each other."""
        key, back = (kind, recorded), (kind, actual)
        if key in self._actual or back in self._recorded:
            return bool(self._actual.get(key, self) == actual and self._recorded.get(back, self) == recorded)
        self._actual[key], self._recorded[back] = actual, recorded
        return True

    # --- comparison --------------------------------------------------------------------------------------------------

    def match(self, recorded: Any, actual: Any, may_differ: MayDiffer) -> bool:
        """Returns whether a frame of the node is the recorded one; only then are new ids in it bound."""
        before = dict(self._actual), dict(self._recorded)
        if self._match_frame(recorded, actual, may_differ):
            return True
        self._actual, self._recorded = before
        return False

    def _match_frame(self, recorded: Any, actual: Any, may_differ: MayDiffer) -> bool:
        if type(recorded) is not type(actual):
            return False
        fields = writer_fields(recorded)
        important = bool(getattr(recorded, "priority", 0) & enp.IMPORTANT)
        return all(
            self._match_field(name, fields.get(name), a, b, important=important) or may_differ(name, a, b)
            for name, a, b in zip(recorded._fields, recorded, actual, strict=True)
        )  # fmt: skip

    def _match_field(self, name: str, kind: str | None, recorded: Any, actual: Any, *, important: bool) -> bool:
        if name == "order":
            return True  # depends on the ids: compared by FrameMatcher
        if name in TIMES:
            return True
        if name == "mid":
            return not important or self.bind("ref", (recorded, 0, 0), (actual, 0, 0))
        if kind is not None:
            return self.bind(kind, recorded, actual)
        return self.same(recorded, actual)

    def same(self, recorded: Any, actual: Any) -> bool:
        """Returns whether two values are the same except for bound ids. Map entries have no order."""
        if type(recorded) is not type(actual):
            return False
        match recorded:
            case PID() | Alias() | Ref():
                return self._same_address(recorded, actual)
            case gen.MessageEvent():
                return recorded.Event == actual.Event and self.same(recorded.Message, actual.Message)
            case dict():
                return recorded.keys() == actual.keys() and all(self.same(v, actual[k]) for k, v in recorded.items())
            case list() | tuple():
                return len(recorded) == len(actual) and all(map(self.same, recorded, actual))
            case float():
                return recorded == actual or (recorded != recorded and actual != actual)  # noqa: PLR0124  NaN
        return bool(recorded == actual)

    def _same_address(self, recorded: PID | Alias | Ref, actual: PID | Alias | Ref) -> bool:
        if recorded.node != self.node or (recorded.node, recorded.creation) != (actual.node, actual.creation):
            return recorded == actual
        return self.bind(_KINDS[type(recorded)], recorded.id, actual.id)

    # --- replacement -------------------------------------------------------------------------------------------------

    def addressed_to_node(self, frame: Any) -> Any:
        """Returns a recorded frame of the peer with the actual ids of the node."""
        return self._replace(frame, reader_fields(frame))

    def written_by_node(self, frame: Any) -> Any:
        """Returns a recorded frame of the node with the actual ids."""
        return self._replace(frame, writer_fields(frame))

    def _replace(self, frame: Any, fields: Mapping[str, str]) -> Any:
        values = zip(frame._fields, frame, strict=True)
        return type(frame)(*(self.actual(fields[n], v) if n in fields else self.value(v) for n, v in values))

    def value(self, value: Any) -> Any:
        """Returns a value with actual ids in place of recorded ones."""
        match value:
            case PID() | Alias() | Ref() if value.node == self.node:
                return value._replace(id=self.actual(_KINDS[type(value)], value.id))
            case dict():
                return {key: self.value(item) for key, item in value.items()}
            case list():
                return list(map(self.value, value))
            case tuple() if hasattr(value, "_fields"):
                return type(value)(*map(self.value, value))
            case tuple():
                return tuple(map(self.value, value))
        return value
