"""Violations: behaviour of a target that a requirement does not allow. And the checks of scripted peers, which raise them."""

import contextlib
import errno
import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, NoReturn

from ..model.show import ascii_only, first_difference, look_alike, show
from ..model.text import escape

SHOWN_BEFORE: Final = 4
"""Maximum number of messages before the last sent one that a violation keeps."""


class ViolationError(AssertionError):
    """Raised when a target's behaviour is not allowed.

    `actual`, `expected` and `sent` (the last bytes that the tester sent): sentences, or values, which are shown as text.
    `before`: the messages of both sides before the last sent one. `difference`: the first difference of `actual` and
    `expected`. `requirement`: the id of the violated requirement, if the check knows it.
    """

    def __init__(
        self,
        actual: object,
        expected: Sequence[object] = (),
        sent: object = "",
        *,
        before: Sequence[str] = (),
        difference: str = "",
        requirement: str = "",
    ) -> None:
        self.actual = as_text(actual)
        self.expected = tuple(map(as_text, expected))
        if any(look_alike(self.actual, text) for text in self.expected):
            self.actual, self.expected = ascii_only(self.actual), tuple(map(ascii_only, self.expected))
        super().__init__(self.actual)
        self.sent = as_text(sent)
        self.before, self.difference, self.requirement = tuple(before), difference, requirement
        self.requirements: tuple[str, ...] = ()
        """Ids of the violated requirements, if they are not those of the case: a step before its subject failed."""
        self.general: tuple[str, ...] = ()
        """Ids of requirements that are violated, too; they count for a case whose own requirements are weaker."""

    def __str__(self) -> str:
        lines = []
        if self.sent:
            lines.append(f"sent      {self.sent}")
        lines += [f"{'expected' if i == 0 else '      or'}  {text}" for i, text in enumerate(self.expected)]
        lines.append(f"received  {self.actual}")
        if self.difference:
            lines.append(f"differs   {self.difference}")
        return "\n".join(lines)


class TimingViolationError(ViolationError):
    """Violation that a late tester may have caused: something missing, the end of a socket, a duration.

    Other violations are received bytes: they are wrong however late the tester is. `since`: time of the loop at which
    the tester began to wait; lateness before it does not matter. None: lateness at any time of the case matters.
    """

    since: float | None = None


def as_text(what: object) -> str:
    """Returns a sentence as it is, without control codes, and any other value in the notation of `show`."""
    return escape(what, keep="\n") if type(what) is str else show(what)


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


class SetUpError(Exception):
    """Raised when a step before the subject of a case fails and no requirement is violated: the case can't be judged.

    `agent`: name of the agent that no longer answers; later cases that need it are skipped.
    """

    def __init__(self, text: str, agent: str = "") -> None:
        super().__init__(text)
        self.agent = agent


@contextlib.contextmanager
def set_up(*requirements: str) -> Iterator[None]:
    """Runs steps before the subject of a case: a violation in them violates these requirements, not those of the case.

    SetUpError, with the evidence, if no requirement covers the steps.
    """
    try:
        yield
    except ViolationError as violation:
        if not requirements:
            expected = f"; expected {' or '.join(violation.expected)}" if violation.expected else ""
            raise SetUpError(f"a step before the subject of the case failed: {violation.actual}{expected}") from None
        violation.requirements = violation.requirements or requirements
        raise


class Checks:
    """Checks of a scripted peer. A failed one raises ViolationError with the last messages that both sides sent."""

    def __init__(self) -> None:
        self._exchange: deque[tuple[str, object]] = deque(maxlen=3 * SHOWN_BEFORE)
        """The last messages, each with its direction: `>` from the tester, `<` from the target."""

    def note_sent(self, what: object) -> None:
        """Remembers what the tester has sent: a message, or a description of the bytes."""
        self._exchange.append((">", what))

    def note_received(self, what: object) -> None:
        """Remembers a message of the target."""
        self._exchange.append(("<", what))

    def fail(
        self,
        actual: object,
        *expected: object,
        difference: str = "",
        requirement: str = "",
        kind: type[ViolationError] = ViolationError,
    ) -> NoReturn:
        """Raises ViolationError, or this subclass of it. `actual` and `expected` are sentences, or values."""
        entries = list(self._exchange)
        last = max((i for i, (direction, _) in enumerate(entries) if direction == ">"), default=None)
        sent = "" if last is None else entries[last][1]
        earlier = entries[: last or 0][-SHOWN_BEFORE:]
        before = [f"{direction} {as_text(what)}" for direction, what in earlier]
        raise kind(actual, expected, sent, before=before, difference=difference, requirement=requirement)

    def fail_timing(
        self,
        actual: object,
        *expected: object,
        since: float | None = None,
        kind: type[TimingViolationError] = TimingViolationError,
    ) -> NoReturn:
        """Raises TimingViolationError: a late tester may be the cause. `since`: as there."""
        try:
            self.fail(actual, *expected, kind=kind)
        except TimingViolationError as violation:
            violation.since = since
            raise

    def check_timing(self, ok: bool, actual: object, expected: object) -> None:  # noqa: FBT001  as `check`
        """Raises TimingViolationError unless `ok`, for a measured duration."""
        if not ok:
            self.fail_timing(actual, expected)

    def check(self, ok: bool, actual: object, expected: object, *, requirement: str = "") -> None:  # noqa: FBT001  reads like assert
        """Raises ViolationError unless `ok`. `actual` and `expected` are sentences, or values."""
        if not ok:
            self.fail(actual, expected, requirement=requirement)

    def check_equal(self, actual: object, expected: object, what: str = "", *, requirement: str = "") -> None:
        """Raises ViolationError with the first difference of two values, if there is one; `what` describes the second."""
        found = first_difference(expected, actual)
        if found is None:
            return
        described = f"{show(expected)}, {what}" if what else show(expected)
        self.fail(show(actual), described, difference=str(found), requirement=requirement)
