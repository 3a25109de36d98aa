"""Checks of a scripted peer, which raise violations with a description of the last sent bytes."""

from abc import ABC, abstractmethod
from typing import NoReturn

from .violation import TimingViolationError, ViolationError


class Checks(ABC):
    """Base class of what a case makes checks with: one socket of the tester, or a connection with a pool."""

    @abstractmethod
    def last_sent(self) -> str:
        """Returns a description of the last sent bytes; empty if none were sent."""

    def fail(self, actual: str, *expected: str) -> NoReturn:
        """Raises ViolationError."""
        raise ViolationError(actual, expected, self.last_sent())

    def fail_timing(self, actual: str, *expected: str, since: float | None = None) -> NoReturn:
        """Raises TimingViolationError: a late tester may be the cause. `since` as there."""
        raise TimingViolationError(actual, expected, self.last_sent(), since=since)

    def check(self, ok: bool, actual: object, expected: str) -> None:  # noqa: FBT001  reads like assert
        """Raises ViolationError unless `ok`."""
        if not ok:
            self.fail(str(actual), expected)

    def check_timing(self, ok: bool, actual: object, expected: str) -> None:  # noqa: FBT001  as above
        """Raises TimingViolationError unless `ok`, for a measured duration."""
        if not ok:
            self.fail_timing(str(actual), expected)
