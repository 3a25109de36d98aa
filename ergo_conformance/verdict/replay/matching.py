"""Matches frames of the reference node with the recorded ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ...model import types as t
from ...model.ergo import enp
from ...model.types import Slice
from ...model.values import Typed
from ...spec.ergo.stream import ReadFrame
from ..vectors.difference import Difference
from .identifiers import IdMap, MayDiffer
from .timeline import Timeline

UNORDERED: Final = (["received"], ["nodes"], "!env")
"""Requests whose response is a list in any order."""


@dataclass(slots=True)
class SentFrame:
    """A frame of the replaced node, decompressed, with its socket and compression."""

    socket: str
    value: Any
    algorithm: int | None
    number: int
    """Position among all frames of the writer."""
    outer_order: int = 0
    """The order byte of the compressed frame around it."""

    def __str__(self) -> str:
        packed = "" if self.algorithm is None else f" (compressed, {enp.Algorithm(self.algorithm).name.lower()})"
        return f"{self.value!r:.300}{packed}"


def sent_frame(read: ReadFrame, socket: str, number: int) -> SentFrame:
    """Returns a frame, or the one inside a compressed frame, with its socket and position."""
    if read.inner is None:
        return SentFrame(socket, read.value, None, number)
    return SentFrame(socket, read.inner.value, read.value.algorithm, number, read.value.order)


class FrameMatcher:
    """Compares the frames that the node writes with those that the real node wrote."""

    def __init__(self, timeline: Timeline, direction: str, peer: str, ids: IdMap) -> None:
        self.ids = ids
        recorded = list(timeline.frames(direction))
        self.recorded = [sent_frame(read, socket, n) for n, (socket, read) in enumerate(recorded)]
        """Frames of the real node."""
        self.missing = list(self.recorded)
        """Frames that the node has not written yet."""
        self.surplus: list[SentFrame] = []
        """Frames of the node that were not recorded."""
        self.differences: list[Difference] = []
        self.matched = 0
        self.requests = dict(self._requests(timeline, peer))
        """Payloads of the peer's requests, by their references."""
        self._last: dict[tuple[str, int], int] = {}
        """The latest recorded position by socket and sender."""
        self._written = 0

    @staticmethod
    def _requests(timeline: Timeline, peer: str) -> Iterator[tuple[enp.Words, Any]]:
        for socket, read in timeline.frames(peer):
            frame = sent_frame(read, socket, 0).value
            if isinstance(frame, enp.RequestPID | enp.RequestName | enp.RequestAlias):
                yield frame.ref, frame.payload

    def match(self, read: ReadFrame, socket: str, *, is_beyond: bool = False) -> None:
        """Matches a frame of the node. `is_beyond`: the recording has ended there, so an unrecorded frame is allowed."""
        actual = sent_frame(read, socket, self._written)
        self._written += 1
        for recorded in sorted(self.missing, key=lambda frame: frame.socket != socket):  # stable: this socket's first
            if recorded.algorithm == actual.algorithm and self.ids.match(
                recorded.value, actual.value, self._may_differ(recorded)
            ):
                self.missing.remove(recorded)
                self.matched += 1
                self.differences += self._check_route(recorded, actual)
                return
        if not is_beyond:
            self.surplus.append(actual)

    def is_missing(self, recorded: SentFrame) -> bool:
        """Returns whether the node has not written a recorded frame yet."""
        return any(frame is recorded for frame in self.missing)

    def _may_differ(self, frame: SentFrame) -> MayDiffer:
        """Returns a test for the payload of responses with a list in any order."""
        request = self.requests.get(getattr(frame.value, "ref", (0, 0, 0)))
        is_unordered = isinstance(frame.value, enp.Response) and request in UNORDERED

        def may_differ(name: str, recorded: Any, actual: Any) -> bool:
            return is_unordered and name == "payload" and _entries(recorded, request) == _entries(actual, request)

        return may_differ

    # --- route -------------------------------------------------------------------------------------------------------

    def _check_route(self, recorded: SentFrame, actual: SentFrame) -> Iterator[Difference]:
        """Checks order byte, socket and sequence of a matched frame. Order byte and socket follow from the actual ids."""
        place = f"socket {recorded.socket}"
        order, expected_order = actual.outer_order, recorded.outer_order
        if recorded.algorithm is not None and (expected_order, recorded.value.order) != (order, actual.value.order):
            yield Difference(place, f"compressed with order byte {order}, recorded {expected_order}: {recorded}")
        elif not _same_order(recorded.value, actual.value):
            yield Difference(place, f"order byte {actual.value.order}, recorded {recorded.value.order}: {recorded}")
        sender = getattr(actual.value, "from_id", None)
        has_new_sender = sender is not None and sender != recorded.value.from_id
        if recorded.value.order and not has_new_sender and actual.socket != recorded.socket:
            yield Difference(place, f"written to socket {actual.socket}: {recorded}")
        if sender is None or not recorded.value.order:
            return
        sequence = recorded.socket, int(recorded.value.from_id)
        if recorded.number < self._last.get(sequence, -1):
            yield Difference(place, f"written after a later frame of its sender: {recorded}")
        self._last[sequence] = max(recorded.number, self._last.get(sequence, -1))


def _same_order(recorded: Any, actual: Any) -> bool:
    """Returns whether two order bytes agree: the byte is an id modulo 255, and that id may be another one now."""
    if recorded.order == actual.order:
        return True
    ids = zip(_ids(recorded), _ids(actual), strict=True)
    return any((a % enp.ORDER_MODULUS, b % enp.ORDER_MODULUS) == (recorded.order, actual.order) for a, b in ids)


def _ids(frame: Any) -> list[int]:
    """Returns the numbers of a frame that its order byte may follow from."""
    ids = [getattr(frame, name, 0) for name in ("from_id", "to_id", "id")]
    return [*ids, *getattr(frame, "to_alias", (0, 0, 0))]


def _entries(value: Any, request: Any) -> list[Any] | None:
    """Returns the sorted items of a list of texts; for `received` only the type and the reason in each."""
    if not isinstance(value, Typed) or value.type != Slice(t.STRING):
        return None
    texts = sorted(map(str, value.value or ()))
    if request != ["received"]:
        return texts
    return sorted((text.partition(" ")[0], text.rpartition(" ")[2].strip("{}")) for text in texts)
