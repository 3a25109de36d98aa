"""Delays before something that has failed is tried again."""

from collections.abc import Sequence
from typing import Final

from ...model.values import Atom

FIRST_DELAY: Final = 0.05
"""Seconds before the second try; each further delay is twice the previous one."""
MAX_DELAY: Final = 5.0
"""Seconds: the longest delay."""
MIN_LIFETIME: Final = 1.0
"""Seconds that a connection without received messages, or a registration, has to live to count as a success."""


def next_delay(delay: float) -> float:
    """Returns the delay that follows this one, in seconds."""
    return min(max(FIRST_DELAY, 2 * delay), MAX_DELAY)


class ReconnectBackoff:
    """Reconnect delays for peers that accept a connection and end it at once."""

    def __init__(self) -> None:
        self._next_try: dict[Atom, tuple[float, float]] = {}  # delay, time of the next try

    def failed(self, name: Atom, now: float) -> None:
        """A connection with this peer ended at once."""
        delay = next_delay(self._next_try.get(name, (0.0, 0.0))[0])
        self._next_try[name] = delay, now + delay

    def succeeded(self, name: Atom) -> None:
        """A connection with this peer was used, or we ended it."""
        self._next_try.pop(name, None)

    def remaining(self, name: Atom, now: float) -> float:
        """Returns the seconds until the next try is allowed."""
        return max(0.0, self._next_try[name][1] - now) if name in self._next_try else 0.0


class Pauses:
    """The pauses before the attempts to register again, in seconds; the last one is repeated.

    They go on where they were if the registration before has ended at once: a registrar may accept and close without end.
    """

    def __init__(self, steps: Sequence[float]) -> None:
        self._steps = steps
        self._next = 0

    def next(self) -> float:
        """Returns the pause before the next attempt."""
        pause = self._steps[min(self._next, len(self._steps) - 1)]
        self._next += 1
        return pause

    def registration_ended(self, lasted: float) -> None:
        """A registration has ended after this number of seconds; one that lasted begins the pauses anew."""
        if lasted >= MIN_LIFETIME:
            self._next = 0
