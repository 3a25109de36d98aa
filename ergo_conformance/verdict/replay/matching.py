"""Holding the frames of our node against those that were recorded."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ...model import types as t
from ...model.ergo import enp
from ...model.types import Slice
from ...model.values import Typed
from ...spec.ergo.stream import ReadFrame
from ..vectors.edf import Difference
from .names import Names
from .script import Script, Spoken

UNORDERED: Final = (["received"], ["nodes"], "!env")
"""Requests whose answer is a list in any order."""


@dataclass(slots=True)
class Frame:
    """A frame, and how it went: on which link, compressed with what."""

    link: str
    value: Any
    algorithm: int | None
    number: int
    """Its place among all frames of its side."""
    outer: int = 0
    """The order byte of the frame around it."""

    def __str__(self) -> str:
        packed = "" if self.algorithm is None else f" (compressed, {enp.Algorithm(self.algorithm).name.lower()})"
        return f"{self.value!r:.300}{packed}"


def frame_of(read: ReadFrame, link: str, number: int) -> Frame:
    """A frame that was read, or the one inside it."""
    if read.inner is None:
        return Frame(link, read.value, None, number)
    return Frame(link, read.inner.value, read.value.algorithm, number, read.value.order)


@dataclass
class Matcher:
    """One side of a script: what it wrote, and what our node wrote in its place."""

    names: Names
    links: list[str] = field(default_factory=list)
    """In the order in which they were opened."""
    missing: list[Frame] = field(default_factory=list)
    surplus: list[Frame] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    agreed: int = 0
    asked: dict[enp.Words, Any] = field(default_factory=dict)
    """Requests of the other side, by their references."""
    _last: dict[tuple[str, int], int] = field(default_factory=dict)
    _written: int = 0

    @classmethod
    def of(cls, script: Script, direction: str, names: Names) -> "Matcher":
        """What a side has to write, and what it was asked."""
        matcher = cls(names)
        for happening in script.happenings:
            if not isinstance(happening, Spoken):
                continue
            for said in happening.said:
                if not isinstance(said, ReadFrame):
                    continue
                frame = frame_of(said, happening.link, len(matcher.missing))
                if happening.by == direction:
                    matcher.missing.append(frame)
                elif isinstance(frame.value, enp.RequestPID | enp.RequestName | enp.RequestAlias):
                    matcher.asked[frame.value.ref] = frame.value.payload
        return matcher

    def take(self, read: ReadFrame, link: str, *, beyond: bool = False) -> None:
        """A frame of our node. `beyond`: the recording has ended there, nobody knows whether the real node wrote it."""
        ours = frame_of(read, link, self._written)
        self._written += 1
        for recorded in sorted(self.missing, key=lambda frame: frame.link != link):  # stable: those of this link first
            if recorded.algorithm == ours.algorithm and self.names.match(
                recorded.value, ours.value, self._may_differ(recorded)
            ):
                self.missing.remove(recorded)
                self.agreed += 1
                self.differences += self._way(recorded, ours)
                return
        if not beyond:
            self.surplus.append(ours)

    def waits_for(self, recorded: Frame) -> bool:
        """Whether our node has not written this yet."""
        return any(frame is recorded for frame in self.missing)

    def _may_differ(self, frame: Frame) -> Any:
        asked = self.asked.get(getattr(frame.value, "ref", (0, 0, 0)))
        unordered = isinstance(frame.value, enp.Response) and asked in UNORDERED

        def differ(name: str, recorded: Any, ours: Any) -> bool:
            return unordered and name == "payload" and _entries(recorded, asked) == _entries(ours, asked)

        return differ

    # --- how it went --------------------------------------------------------------------------------------------------

    def _way(self, recorded: Frame, ours: Frame) -> Iterator[Difference]:
        """Order byte, link and order of a frame, each by the ids that it has now."""
        where = f"link {recorded.link}"
        if recorded.algorithm is not None and (recorded.outer, recorded.value.order) != (ours.outer, ours.value.order):
            yield Difference(where, f"compressed with order byte {ours.outer}, recorded {recorded.outer}: {recorded}")
        elif not self._same_order(recorded.value, ours.value):
            yield Difference(where, f"order byte {ours.value.order}, recorded {recorded.value.order}: {recorded}")
        sender = getattr(ours.value, "from_id", None)
        renumbered = sender is not None and sender != recorded.value.from_id
        if recorded.value.order and not renumbered and ours.link != recorded.link:
            yield Difference(where, f"went over link {ours.link}: {recorded}")
        if sender is None or not recorded.value.order:
            return
        lane = recorded.link, int(recorded.value.from_id)
        if recorded.number < self._last.get(lane, -1):
            yield Difference(where, f"overtaken by a later one of its sender: {recorded}")
        self._last[lane] = max(recorded.number, self._last.get(lane, -1))

    @staticmethod
    def _same_order(recorded: Any, ours: Any) -> bool:
        """The byte is an id modulo 255; where the id is another one now, so is the byte."""
        if recorded.order == ours.order:
            return True
        ids = zip(_ids(recorded), _ids(ours), strict=True)
        return any((a % enp.ORDER_MODULUS, b % enp.ORDER_MODULUS) == (recorded.order, ours.order) for a, b in ids)


def _ids(frame: Any) -> list[int]:
    """The numbers in a frame that its order byte may come from."""
    found = [getattr(frame, name, 0) for name in ("from_id", "to_id", "id")]
    return [*found, *getattr(frame, "to_alias", (0, 0, 0))]


def _entries(value: Any, asked: Any) -> list[Any] | None:
    """A list in no order; of what was received the word for its type, and the reason."""
    if not isinstance(value, Typed) or value.type != Slice(t.STRING):
        return None
    texts = sorted(map(str, value.value or ()))
    if asked != ["received"]:
        return texts
    return sorted((text.partition(" ")[0], text.rpartition(" ")[2].strip("{}")) for text in texts)
