"""Violations: behaviour of a target that a requirement does not allow."""


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


class UnreachableError(ConnectionError):
    """Raised when no connection can be opened: the target was not tested."""
