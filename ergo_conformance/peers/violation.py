"""Violations: behaviour of a target that a requirement does not allow."""


class ViolationError(AssertionError):
    """The target did none of what was allowed. `sent` describes what the tester sent last."""

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


class UnreachableError(ConnectionError):
    """No connection could be made: the target was not tested."""
