"""Signals that end a run: the first one interrupts the cases, and the run ends as usual, with its reports."""

import os
import signal
import threading
from types import FrameType
from typing import Any, Final

PARENT: Final = "ERGO_CONFORMANCE_PARENT"
"""Environment variable: file descriptor of a pipe that the parent process holds open. Its end interrupts the run."""
SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class RunInterrupted(KeyboardInterrupt):
    """Raised in the main thread by a signal that ends the run."""


class Interruption:
    """Handlers of the signals that end a run.

    The first signal raises RunInterrupted; later ones are ignored, so that the targets are stopped and the reports are written.
    A signal that the process ignores stays ignored (nohup, background processes of a shell).
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._interrupted = False

    def install(self) -> None:
        """Installs the handlers. Does nothing outside the main thread, where Python allows no handlers."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        descriptor = os.environ.get(PARENT)
        if descriptor:
            threading.Thread(target=_watch, args=(int(descriptor),), name="parent", daemon=True).start()

    def _handle(self, number: int, _: FrameType | None) -> None:
        if not self._interrupted:
            self._interrupted = True
            raise RunInterrupted(signal.Signals(number).name)

    def restore(self) -> None:
        """Installs the handlers from before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()


def _watch(descriptor: int) -> None:
    """Waits for the end of the parent process, then interrupts the run."""
    try:
        while os.read(descriptor, 1):
            pass
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGTERM)
