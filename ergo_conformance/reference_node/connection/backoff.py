"""How long to wait before something is tried again that has just failed."""

from typing import Final

from ...model.values import Atom

FIRST_PAUSE: Final = 0.05
"""Seconds before the second try; each pause is twice as long as the one before …"""
LAST_PAUSE: Final = 5.0
"""… up to this."""
AT_ONCE: Final = 1.0
"""Seconds that a connection has to live to have been of use, if nothing was said over it."""


def longer(pause: float) -> float:
    """The pause behind this one, in seconds."""
    return min(max(FIRST_PAUSE, 2 * pause), LAST_PAUSE)


class Pauses:
    """Of the peers that have taken us and let go at once without a word."""

    def __init__(self) -> None:
        self._until: dict[Atom, tuple[float, float]] = {}

    def in_vain(self, name: Atom, now: float) -> None:
        """A connection with this peer was of no use."""
        pause = longer(self._until.get(name, (0.0, 0.0))[0])
        self._until[name] = pause, now + pause

    def of_use(self, name: Atom) -> None:
        """One was, or we have ended it ourselves."""
        self._until.pop(name, None)

    def left(self, name: Atom, now: float) -> float:
        """Seconds until the next try."""
        return max(0.0, self._until[name][1] - now) if name in self._until else 0.0
