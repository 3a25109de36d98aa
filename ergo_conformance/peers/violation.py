"""Violations: behaviour of a target that a requirement does not allow."""

import contextlib
from collections.abc import Iterator


class ViolationError(AssertionError):
    """Raised when a target's behaviour is not allowed. `sent` describes the last bytes that the tester sent."""

    def __init__(self, actual: str, expected: tuple[str, ...] = (), sent: str = "") -> None:
        super().__init__(actual)
        self.actual = actual
        self.expected = expected
        self.sent = sent
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
        return "\n".join(lines)


class UnreachableError(ConnectionError):
    """Raised when no connection can be opened: the target was not tested."""


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
