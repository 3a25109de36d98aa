"""Lateness of the tester's own event loop: a late tester can't judge deadlines."""

import asyncio
from collections import deque
from typing import Final

HEARTBEAT: Final = 0.02
"""Seconds between two measurements."""
NOTED_LAG: Final = 0.05
"""Shortest lateness that is kept, in seconds."""
MAX_NOTED: Final = 10_000
"""Number of late moments that are kept: the last ones."""


class LagMonitor:
    """Measures how late the loop runs timers."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque(maxlen=MAX_NOTED)
        """Late moments: when the timer was due and when it ran, in seconds of the loop."""

    async def watch(self) -> None:
        """Measures every HEARTBEAT until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + HEARTBEAT
            await asyncio.sleep(HEARTBEAT)
            self.note(due, loop.time())

    def note(self, due: float, ran: float) -> None:
        """Notes that a timer ran at `ran` instead of `due`."""
        if ran - due > NOTED_LAG:
            self._late.append((due, ran))

    def worst(self, since: float) -> float:
        """Returns the longest lateness after `since`, in seconds; of one that began before, the part after it."""
        return max((ran - max(due, since) for due, ran in self._late if ran > since), default=0.0)


async def next_measurement() -> None:
    """Waits until a lag of this moment has been measured."""
    await asyncio.sleep(2 * HEARTBEAT)
