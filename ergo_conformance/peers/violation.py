"""Violations: behaviour of a target that a requirement does not allow; and what keeps the tester from judging."""

import errno
import os
from typing import Final


class ViolationError(AssertionError):
    """Raised when a target's behaviour is not allowed. `sent` describes the last bytes that the tester sent."""

    def __init__(self, actual: str, expected: tuple[str, ...] = (), sent: str = "") -> None:
        super().__init__(actual)
        self.actual = actual
        self.expected = expected
        self.sent = sent

    def __str__(self) -> str:
        lines = []
        if self.sent:
            lines.append(f"sent      {self.sent}")
        lines += [f"{'expected' if i == 0 else '      or'}  {text}" for i, text in enumerate(self.expected)]
        lines.append(f"received  {self.actual}")
        return "\n".join(lines)


class TimingViolationError(ViolationError):
    """Violation that a late tester may have caused: something missing, the end of a socket, a duration.

    Other violations are received bytes: they are wrong however late the tester is. `since`: time of the loop at which
    the tester began to wait; lateness before it does not matter. None: lateness at any time of the case matters.
    """

    def __init__(
        self, actual: str, expected: tuple[str, ...] = (), sent: str = "", *, since: float | None = None
    ) -> None:
        super().__init__(actual, expected, sent)
        self.since = since


class UnreachableError(ConnectionError):
    """Raised when no connection can be opened: the target was not tested."""


class ShortageError(Exception):
    """Raised when the tester itself can't open a socket: it has no file descriptor, port or memory left."""


SHORTAGES: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN}
)
"""Values of errno that mean that the tester lacks something, and not that the target does not answer."""


def check_shortage(error: BaseException) -> None:
    """Raises ShortageError for an OSError whose cause is on the tester's side."""
    if isinstance(error, OSError) and error.errno in SHORTAGES:
        raise ShortageError(f"the tester can't open a socket: {os.strerror(error.errno)}") from None
