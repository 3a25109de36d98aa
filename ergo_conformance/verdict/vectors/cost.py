"""Time and memory that reading one input may take."""

import contextlib
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...errors import Rejected

ATTEMPTS: Final = 5
"""Timed runs, of which the cheapest counts: a busy machine slows down single runs."""
REFERENCE_SECONDS: Final = 0.02
"""Processor seconds of the reference work on the machine for which the limits in seconds are stated."""
REFERENCE_LENGTH: Final = 65_536
"""Bytes of input for which the limits hold; they grow in proportion for longer input."""


@dataclass(frozen=True, slots=True)
class CostLimits:
    """Limits for reading one input of up to 64 KiB; in proportion for longer input."""

    seconds: float
    """Processor time on a machine that does the reference work in REFERENCE_SECONDS."""
    memory: int
    """Bytes allocated beyond the input."""

    def scaled(self, length: int) -> "CostLimits":
        """Returns the limits for an input of `length` bytes."""
        factor = max(1.0, length / REFERENCE_LENGTH)
        return CostLimits(self.seconds * factor, int(self.memory * factor))


NODE_LIMITS: Final = CostLimits(0.1, 10_000_000)
SPEC_LIMITS: Final = CostLimits(2.0, 100_000_000)


def check_cost(read: Callable[[], object], length: int, limits: CostLimits) -> str | None:
    """Returns a text about the exceeded limit, with the actual cost; None if no limit is exceeded.

    A busy or slow machine is no excess: there the reference work takes longer in the same proportion.
    """
    allowed = limits.scaled(length)
    if text := _excess_of_time(read, allowed.seconds):
        return text
    peak = peak_memory(read)
    return f"took {peak:,} bytes, {allowed.memory:,} are allowed" if peak > allowed.memory else None


def _excess_of_time(read: Callable[[], object], allowed: float) -> str | None:
    """Returns a text if each of ATTEMPTS runs takes longer than `allowed`, and than the same multiple of the reference work."""
    texts = []
    for _ in range(ATTEMPTS):
        seconds = _processor_seconds(read)
        if seconds <= allowed:
            return None
        reference = _processor_seconds(reference_work)
        ratio, limit = seconds / reference, allowed / REFERENCE_SECONDS
        if ratio <= limit:
            return None
        texts.append(
            f"took {seconds * 1000:.0f} ms, {ratio:.1f} times the reference work; {limit:.1f} times are allowed"
        )
    return texts[-1]


def reference_work() -> None:
    """The work in whose multiples a reader's work is limited: dictionary stores of short byte strings."""
    table: dict[int, bytes] = {}
    for i in range(40_000):
        table[i & 1023] = bytes((i & 255,))


def _processor_seconds(work: Callable[[], object]) -> float:
    started = time.thread_time()
    _run(work)
    return time.thread_time() - started


def peak_memory(read: Callable[[], object]) -> int:
    """Returns the bytes allocated at most while reading, by Python's allocator. A refusal is allowed."""
    tracemalloc.start()
    try:
        _run(read)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _run(read: Callable[[], object]) -> None:
    with contextlib.suppress(Rejected):
        read()
