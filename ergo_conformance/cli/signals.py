"""Signals of the verbs that serve until they are told to stop."""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

from ..errors import UsageError

POSIX_ONLY: Final = (
    "this command needs a POSIX system (Linux, macOS): the event loop of this one has no handlers of signals"
)


def stop_event() -> asyncio.Event:
    """Returns an event that SIGTERM and SIGINT set. UsageError on a system without signal handlers."""
    stop = asyncio.Event()
    for name in ("SIGTERM", "SIGINT"):
        handle(name, stop.set)
    return stop


def handle(name: str, then: Callable[[], object]) -> None:
    """Calls a function at each signal of this name. UsageError on a system without signal handlers."""
    try:
        asyncio.get_running_loop().add_signal_handler(getattr(signal, name), then)
    except (NotImplementedError, AttributeError):  # Windows has neither the method nor SIGHUP
        raise UsageError(POSIX_ONLY) from None
