"""Process groups of started targets. A group is ended as a whole, so that no child of a wrapper script is left over.

A run names a directory in the environment variable NOTES. Each started group has a file there until it has been ended: whoever
started the run ends the groups that it left over, even if it was killed.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Collection
from pathlib import Path
from typing import Final

import psutil

NOTES: Final = "ERGO_CONFORMANCE_TARGETS"
"""Environment variable: directory with one file for each process group that runs. Without it nothing is noted."""
STOP_TIMEOUT: Final = 5.0
"""Seconds between SIGTERM and SIGKILL."""
DRAIN_TIMEOUT: Final = 1.0
"""Seconds to read the rest of stdout and stderr after the process has ended, while its children still hold them."""


def note_group(pid: int) -> None:
    """Notes a started process group. Its file holds the start time of its leader, since process ids are used again."""
    directory = os.environ.get(NOTES)
    if directory:
        with contextlib.suppress(OSError, psutil.Error):
            Path(directory, str(pid)).write_text(repr(psutil.Process(pid).create_time()))


def forget_group(pid: int) -> None:
    """Removes the note of a process group that has been ended."""
    directory = os.environ.get(NOTES)
    if directory:
        with contextlib.suppress(OSError):
            Path(directory, str(pid)).unlink()


def kill_noted_groups(directory: Path) -> int:
    """Kills the process groups that are noted in a directory; returns their number."""
    killed = 0
    for file in directory.iterdir():
        pid = int(file.name)
        if _is_same_group(pid, file.read_text()):
            signal_group(pid, signal.SIGKILL)
            killed += 1
        file.unlink()
    return killed


def _is_same_group(pid: int, started: str) -> bool:
    """Tells whether a noted group still exists. Its leader may have ended; then the id belongs to the group that is left."""
    try:
        return repr(psutil.Process(pid).create_time()) == started
    except psutil.Error:
        return True


def signal_group(pid: int, number: signal.Signals) -> None:
    """Sends a signal to all processes of a group; nothing happens if there is none."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


async def end_group(process: asyncio.subprocess.Process, drains: Collection[asyncio.Task[None]]) -> None:
    """Ends a process and all others of its group: SIGTERM, after STOP_TIMEOUT SIGKILL; closes the pipes.

    `drains`: tasks that read its stdout and stderr. Processes of the group that hold them get DRAIN_TIMEOUT.
    """
    signal_group(process.pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        signal_group(process.pid, signal.SIGKILL)
        await process.wait()
    if drains:
        await asyncio.wait(drains, timeout=DRAIN_TIMEOUT)
    signal_group(process.pid, signal.SIGKILL)
    forget_group(process.pid)
    if drains:
        _, unfinished = await asyncio.wait(drains, timeout=DRAIN_TIMEOUT)
        for task in unfinished:
            task.cancel()
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001  processes outside the group may hold the pipes
