"""How the node says that something failed: the framework's error values, raised."""

from ...errors import ErgoConformanceError
from ...model.values import Error


class ErgoError(ErgoConformanceError):
    """An error of the framework (model.ergo.error_values), or one of a program's own. `error` is the value that travels."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.text)
        self.error = error


class Stop(Exception):  # noqa: N818  raised to end a process, not because something is wrong
    """Raised by a process to end itself with a reason."""

    def __init__(self, reason: Error) -> None:
        super().__init__(reason.text)
        self.reason = reason
