"""What the processes of a started target use."""

import contextlib
from typing import NamedTuple

import psutil


class Usage(NamedTuple):
    """Resources of a process and its children together. `memory`: resident bytes."""

    memory: int
    descriptors: int
    threads: int


def usage_of(pid: int) -> Usage | None:
    """Returns what a process and its children use; None if it has ended, or the system does not tell."""
    try:
        parent = psutil.Process(pid)
        found = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return None
    totals = [0, 0, 0]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            try:
                with process.oneshot():
                    row = process.memory_info().rss, process.num_fds(), process.num_threads()
            except psutil.AccessDenied:
                return None
            totals = [total + value for total, value in zip(totals, row, strict=True)]
    return Usage(*totals)
