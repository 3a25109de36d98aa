"""Received bytes of a node's connections: read in slices, in turn, for a limited time of each iteration of the loop."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from ..turns import READING, Turns

SLICE: Final = 4096
"""Bytes of one socket that are read at once; the time is looked at between two slices."""

MAX_DEBT: Final = 4 * READING
"""Seconds that a turn may lack because earlier ones took too long."""


class Inbox:
    """The received bytes of one socket. `deliver`: gets them, slice by slice and in order."""

    def __init__(self, reading: "Reading", deliver: Callable[[bytes], None]) -> None:
        self._reading, self._deliver = reading, deliver
        self._transport: asyncio.Transport | None = None
        self._kept = b""
        self._offset = 0

    def open(self, transport: asyncio.Transport) -> None:
        """The socket is open."""
        self._transport = transport

    def receive(self, data: bytes) -> None:
        """Delivers bytes while there is time in this turn; keeps the rest for the next one, and reads no more until then."""
        if self._kept:
            self._kept = self._kept[self._offset :] + data
            self._offset = 0
            return
        for offset in range(0, len(data), SLICE):
            if self._reading.is_over():
                self._keep(data, offset)
                return
            self._deliver(data[offset : offset + SLICE])

    def _keep(self, data: bytes, offset: int) -> None:
        self._kept, self._offset = data, offset
        if self._transport is not None:
            self._transport.pause_reading()
        self._reading.wait(self)

    def read_slice(self) -> bool:
        """Delivers one slice of the kept bytes. Returns whether more are kept; if not, the socket is read again."""
        data, offset = self._kept, self._offset
        if not data:
            return False
        self._offset = offset + SLICE
        if self._offset >= len(data):
            self._kept = b""
            if self._transport is not None:
                self._transport.resume_reading()
        self._deliver(data[offset : offset + SLICE])
        return bool(self._kept)

    def finish(self) -> None:
        """Delivers all kept bytes: the peer has closed the socket."""
        data, self._kept = self._kept[self._offset :], b""
        self._deliver(data)

    def drop(self) -> None:
        """Drops the kept bytes: this node closes the socket."""
        self._kept = b""


class Reading:
    """The time that a node's sockets have for received bytes. What a turn took too much is missing in the next ones."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._number = 0
        self._end = 0.0
        self._left = 0.0
        self._waiting: deque[Inbox] = deque()

    def is_over(self) -> bool:
        """Returns whether the time of this turn is used up, or other sockets wait for it. The first call begins the turn."""
        if self._number != self._turns.number or not self._number:
            self._begin()
        return bool(self._waiting) or self._is_used_up()

    def _begin(self) -> None:
        turns = self._turns
        self._number = turns.begin()
        self._left = turns.reading + max(min(self._left, 0.0), -MAX_DEBT)
        self._end = turns.clock() + self._left

    def _is_used_up(self) -> bool:
        self._left = self._end - self._turns.clock()
        return self._left <= 0

    def wait(self, inbox: Inbox) -> None:
        """A socket has kept bytes for the next turn."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._serve)
        self._waiting.append(inbox)

    def _serve(self) -> None:
        """Reads one slice of each waiting socket after the other until the time is used up."""
        self._begin()
        waiting = self._waiting
        while waiting and not self._is_used_up():
            inbox = waiting.popleft()
            if inbox.read_slice():
                waiting.append(inbox)
        if waiting:
            asyncio.get_running_loop().call_soon(self._serve)
