"""What a target did that a requirement does not allow."""


class ViolationError(AssertionError):
    """The verdict of a case: none of the legal alternatives came."""

    def __init__(self, came: str, legal: tuple[str, ...] = (), sent: str = "") -> None:
        super().__init__(came)
        self.came = came
        self.legal = legal
        self.sent = sent

    def __str__(self) -> str:
        lines = []
        if self.sent:
            lines.append(f"sent      {self.sent}")
        lines += [f"{'expected' if i == 0 else '      or'}  {text}" for i, text in enumerate(self.legal)]
        lines.append(f"came      {self.came}")
        return "\n".join(lines)


class UnreachableError(ConnectionError):
    """No connection could be made: nothing was asked of the target yet."""
