"""Time and memory that reading one input may take."""

import contextlib
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...errors import Rejected

ATTEMPTS: Final = 5
"""Timed runs, of which the fastest counts: a busy machine slows down single runs."""
REFERENCE_LENGTH: Final = 65_536
"""Bytes of input for which the limits hold; they grow in proportion for longer input."""


@dataclass(frozen=True, slots=True)
class CostLimits:
    """Limits for reading one input of up to 64 KiB; in proportion for longer input."""

    seconds: float
    """Processor time: another program on the machine changes nothing."""
    memory: int
    """Bytes allocated beyond the input."""

    def scaled(self, length: int) -> "CostLimits":
        """Returns the limits for an input of `length` bytes."""
        factor = max(1.0, length / REFERENCE_LENGTH)
        return CostLimits(self.seconds * factor, int(self.memory * factor))


NODE_LIMITS: Final = CostLimits(0.1, 10_000_000)
SPEC_LIMITS: Final = CostLimits(2.0, 100_000_000)


def check_cost(read: Callable[[], object], length: int, limits: CostLimits) -> str | None:
    """Returns a text about the exceeded limit, with the actual cost; None if no limit is exceeded."""
    allowed = limits.scaled(length)
    seconds = _fastest(read, allowed.seconds)
    if seconds > allowed.seconds:
        return f"took {seconds * 1000:.0f} ms, {allowed.seconds * 1000:.0f} are allowed"
    peak = _peak_memory(read)
    return f"took {peak:,} bytes, {allowed.memory:,} are allowed" if peak > allowed.memory else None


def _fastest(read: Callable[[], object], enough: float) -> float:
    """Returns the processor seconds of the fastest attempt; stops at the first that takes at most `enough`."""
    best = float("inf")
    for _ in range(ATTEMPTS):
        started = time.thread_time()
        _run(read)
        best = min(best, time.thread_time() - started)
        if best <= enough:
            break
    return best


def _peak_memory(read: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        _run(read)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _run(read: Callable[[], object]) -> None:
    with contextlib.suppress(Rejected):
        read()
