"""What tells the incarnations of a node apart: its creation, and the number of its first process.

The creation is the start time in whole seconds, since peers compute the uptime from it.  Two starts in one second would have
the same, and a message to a process of the first would reach the process of the second with the same number.  So a creation is
never used twice by one name in one process of the operating system, and the numbers of processes begin with the microsecond of
the start: a later start in the same second begins behind all numbers of the earlier one, which can't spawn a process each
microsecond.  (References and aliases count from the nanosecond of the start.)  A clock that is set back may repeat both.
"""

from typing import Final, NamedTuple

from ..model.values import Atom

FIRST_ID: Final = 1001
MICROSECONDS: Final = 1_000_000


class Incarnation(NamedTuple):
    """`creation`: Unix seconds; `first_id`: number of the first process."""

    creation: int
    first_id: int = FIRST_ID


class Incarnations:
    """The incarnations of the nodes of one process of the operating system."""

    def __init__(self) -> None:
        self._last: dict[Atom, int] = {}

    def begin(self, name: Atom, now: float) -> Incarnation:
        """Returns the incarnation of a node that starts now, in Unix seconds."""
        creation = max(int(now), self._last.get(name, 0) + 1)
        self._last[name] = creation
        return Incarnation(creation, FIRST_ID + int(now % 1 * MICROSECONDS))


OF_THIS_PROCESS: Final = Incarnations()
