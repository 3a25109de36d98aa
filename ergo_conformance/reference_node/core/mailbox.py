"""Mailbox of a process: three queues."""

import asyncio
from collections import deque

from ...model.ergo.enp import Priority
from ..api.messages import Envelope


class Mailbox:
    """Three queues: MAX is emptied first, then HIGH, then NORMAL."""

    __slots__ = ("_limit", "_normal", "_urgent", "_waiter")

    def __init__(self, limit: int) -> None:
        """`limit`: messages per queue; 0 means no limit."""
        self._limit = limit
        self._normal: deque[Envelope] = deque()
        self._urgent: dict[Priority, deque[Envelope]] | None = None  # most processes never need them
        self._waiter: asyncio.Future[None] | None = None

    def put(self, envelope: Envelope, priority: Priority) -> bool:
        """Adds an envelope. False if the queue of this priority is full."""
        queue = self._normal if priority is Priority.NORMAL else self._queue(priority)
        if self._limit and len(queue) >= self._limit:
            return False
        queue.append(envelope)
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        return True

    def _queue(self, priority: Priority) -> deque[Envelope]:
        if self._urgent is None:
            self._urgent = {Priority.MAX: deque(), Priority.HIGH: deque()}
        return self._urgent[priority]

    def put_signal(self, envelope: Envelope, priority: Priority) -> None:
        """Adds a signal, which must not be lost: the limit does not apply."""
        limit, self._limit = self._limit, 0
        self.put(envelope, priority)
        self._limit = limit

    def take(self) -> Envelope | None:
        """Removes and returns the next envelope; None if the mailbox is empty."""
        if self._urgent is not None:
            for queue in self._urgent.values():
                if queue:
                    return queue.popleft()
        return self._normal.popleft() if self._normal else None

    async def get(self) -> Envelope:
        """Removes and returns the next envelope; waits for one."""
        while (envelope := self.take()) is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return envelope

    def __len__(self) -> int:
        return len(self._normal) + sum(len(queue) for queue in (self._urgent or {}).values())
