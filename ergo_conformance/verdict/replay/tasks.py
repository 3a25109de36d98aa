"""Background tasks of both replays: calls of the node's API that run beside the recording."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

SETTLE: Final = 1e-6
"""Seconds of the virtual clock in which everything happens that needs no further input or time."""


class BackgroundTasks:
    """Tasks whose errors are ignored: the message of a failed call is missing in the node's output."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        """Starts a task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def cancel(self) -> None:
        """Cancels all tasks, and waits until they have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
