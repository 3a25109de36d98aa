"""Outgoing bytes of one socket: writes of one loop turn are joined, and a peer that does not read is detected."""

import asyncio
from collections.abc import Callable
from typing import Final

from ..api.stack import FlowLimits

HIGH_WATER: Final = 1 << 20
"""Bytes queued for the peer above which a socket counts as congested."""


class Outbox:
    """The write side of a socket. `fail`: closes the socket, with the cause."""

    def __init__(self, limits: FlowLimits, fail: Callable[[str], None]) -> None:
        self._limits, self._fail = limits, fail
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._frames: list[bytes] = []
        self._paused = False
        self._queued = 0  # bytes in `_frames`
        self._written = 0  # bytes handed to the transport in all
        self._progress = 0  # bytes the peer had taken at the last check
        self._longest = 0  # bytes of the longest queued frame if it is a long one: an accepted frame takes its time
        self._waiting: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    def open(self, transport: asyncio.Transport) -> None:
        """The socket is open."""
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER)

    def write(self, data: bytes) -> None:
        """Queues bytes; they are written at the end of the loop turn. No effect on a closed socket."""
        if not self._frames:
            self._loop.call_soon(self.flush)
        self._frames.append(data)
        self._queued += len(data)

    def flush(self) -> None:
        """Hands the queued bytes to the transport. Closes the socket if too many bytes are queued for the peer."""
        frames, self._frames, self._queued = self._frames, [], 0
        data, transport = b"".join(frames), self._transport
        if transport is None or not data or transport.is_closing():
            return
        waiting = transport.get_write_buffer_size()
        if not waiting:
            self._longest = 0
        if waiting > self._limits.max_queued + self._longest:
            self._fail(f"the peer does not read: {waiting:,} bytes are queued for it")
            return
        self._written += len(data)
        if len(data) > HIGH_WATER:
            self._longest = max(self._longest, *map(len, frames))
            transport.write(memoryview(data))  # asyncio slices what the socket does not take at once
        else:
            transport.write(data)

    @property
    def is_congested(self) -> bool:
        """True if the peer reads more slowly than we write, or too much was queued since the last flush."""
        return self._paused or self._queued > HIGH_WATER

    async def drain(self) -> None:
        """Waits until the outbox is not congested, or the socket is closed."""
        if self._queued > HIGH_WATER:
            await asyncio.sleep(0)
        if self._paused:
            future = self._loop.create_future()
            self._waiting.append(future)
            await future

    def pause(self) -> None:
        """The transport's buffer is full."""
        self._paused = True
        self._watch()

    def resume(self) -> None:
        """The transport's buffer has room again, or the socket is closed."""
        self._paused = False
        if self._timer is not None:
            self._timer.cancel()
        wake(self._waiting)

    def _watch(self) -> None:
        """Checks after the stall timeout whether the peer has taken anything."""
        self._progress = self._taken()
        self._timer = self._loop.call_later(self._limits.stall_timeout, self._check_progress)

    def _taken(self) -> int:
        return self._written - (self._transport.get_write_buffer_size() if self._transport else 0)

    def _check_progress(self) -> None:
        if not self._paused:
            return
        if self._taken() == self._progress:
            self._fail(f"the peer has read nothing for {self._limits.stall_timeout:g} s")
        else:
            self._watch()


def wake(waiting: list[asyncio.Future[None]]) -> None:
    """Completes all futures and empties the list."""
    for future in waiting:
        if not future.done():
            future.set_result(None)
    waiting.clear()
