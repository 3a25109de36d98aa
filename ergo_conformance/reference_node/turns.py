"""Fair turns: the processes and the sockets of a node share the time of the event loop.

One turn is one iteration of the loop.  In each turn the busy processes share PROCESSES seconds in equal parts, and received
bytes are read for at most READING seconds, less while a busy process has a long mailbox: a flood is not read faster than it is
handled.  What is left waits for the next turn, so an iteration takes about the sum, however many messages wait.

On a loop with a virtual clock, which stands still meanwhile, a process handles at most MOST messages in a turn.
"""

import asyncio
from collections.abc import Callable
from typing import Final

PROCESSES: Final = 0.015
"""Seconds of one turn for all busy processes."""
READING: Final = 0.005
"""Seconds of one turn for received bytes."""
LEAST: Final = 0.0001
"""Seconds that a busy process gets in a turn, however many there are."""
MOST: Final = 1024
"""Messages, received or sent, of one process in a turn."""
LONG: Final = 1000
"""Messages that may wait for a busy process before received bytes are read more slowly."""


class Turns:
    """The turns of one node. Needs a running loop. `clock`: seconds; the loop's by default."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.clock = clock or self._loop.time
        self.number = 0
        """Number of the turn; 0 while nothing has happened in it."""
        self.quantum = PROCESSES
        """Seconds of one process in this turn: its part, if as many are busy as in the last turn."""
        self.end = 0.0
        """When the time of all processes is used up."""
        self.reading = READING
        """Seconds for received bytes in this turn."""
        self._count = 0
        self._busy = 0
        self._waiting = 0

    def begin(self) -> int:
        """Begins a turn, which ends with the iteration of the loop, unless it has begun; returns its number."""
        if not self.number:
            self._count += 1
            self.number = self._count
            self.end = self.clock() + PROCESSES
            self._loop.call_soon(self._finish)
        return self.number

    def exhausted(self, waiting: int) -> None:
        """A process has used up its part of the turn. `waiting`: messages in its mailbox."""
        self._busy += 1
        self._waiting = max(self._waiting, waiting)

    def _finish(self) -> None:
        self.number = 0
        self.quantum = PROCESSES / max(1, self._busy)
        self.reading = READING * LONG / max(LONG, self._waiting)
        self._busy = self._waiting = 0


class Share:
    """The part of one process in each turn."""

    __slots__ = ("_end", "_left", "_number", "_turns")

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._number = 0
        self._left = 0
        self._end = 0.0

    def is_over(self) -> bool:
        """Counts one message. Returns whether the process has to wait for the next turn before it goes on."""
        turns = self._turns
        if self._number != turns.number or not self._number:
            self._number = turns.begin()
            self._left = MOST
            now = turns.clock()
            self._end = max(min(now + turns.quantum, turns.end), now + LEAST)
            return False
        self._left -= 1
        return self._left <= 0 or turns.clock() >= self._end

    async def wait(self, waiting: int = 0) -> None:
        """Waits for the next turn. `waiting`: messages in the mailbox."""
        self._turns.exhausted(waiting)
        await asyncio.sleep(0)
