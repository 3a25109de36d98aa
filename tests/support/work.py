"""Work counted in place of time, so that a busy machine changes nothing: calls, lines, and bytes of memory."""

import cProfile
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any


def calls(work: Callable[[], object]) -> int:
    """The number of functions that the work calls, in Python and in C."""
    profile = cProfile.Profile()
    profile.runcall(work)
    return sum(entry.callcount for entry in profile.getstats())


def peak(work: Callable[[], object]) -> int:
    """The bytes of memory that the work holds at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def lines(work: Callable[[], object]) -> int:
    """The number of Python lines that the work executes; a turn of a loop without calls counts, too."""
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
