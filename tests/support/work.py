"""Counts calls, lines and bytes of memory in place of seconds, which depend on the load."""

import cProfile
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any


def count_calls(work: Callable[[], object]) -> int:
    """Returns the number of function calls of the work, in Python and in C."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())


def calls_and_memory(work: Callable[[], object]) -> tuple[int, int]:
    """Returns the function calls and the peak bytes of memory of one run of the work."""
    calls: list[int] = []
    held = peak_memory(lambda: calls.append(count_calls(work)))
    return calls[0], held


def peak_memory(work: Callable[[], object]) -> int:
    """Returns the peak bytes of memory that the work allocates."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def count_lines(work: Callable[[], object]) -> int:
    """Returns the number of Python lines that the work executes, including loops without calls."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
