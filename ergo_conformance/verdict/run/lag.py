"""Lateness of the tester's own event loop: a late tester can't judge deadlines."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")
HEARTBEAT: Final = 0.02
"""Seconds between two measurements."""


class LagMonitor:
    """Measures how late the loop runs timers."""

    def __init__(self) -> None:
        self._worst: dict[object, float] = {}

    async def watch(self) -> None:
        """Measures every HEARTBEAT until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + HEARTBEAT
            await asyncio.sleep(HEARTBEAT)
            late = loop.time() - due
            for key, worst in self._worst.items():
                self._worst[key] = max(worst, late)

    async def during(self, work: Coroutine[Any, Any, T]) -> tuple[T, float]:
        """Awaits `work`; returns its result and the worst lag meanwhile, in seconds."""
        key = object()
        self._worst[key] = 0.0
        try:
            result = await work
            await asyncio.sleep(HEARTBEAT)  # a lag at the end of the work shows in the next measurement
        finally:
            worst = self._worst.pop(key)
        return result, worst
