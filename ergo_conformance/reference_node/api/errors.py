"""Errors of the node: the framework's error values, raised as exceptions."""

from ...errors import ErgoConformanceError
from ...model.values import Error


class ErgoError(ErgoConformanceError):
    """An error of the framework (model.ergo.error_values) or of a program. `error` is the value that is sent."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.text)
        self.error = error


class Stop(Exception):  # noqa: N818  ends a process; it does not report a fault
    """Raised inside a process to end it with a reason."""

    def __init__(self, reason: Error) -> None:
        super().__init__(reason.text)
        self.reason = reason


class RegistrarError(ErgoConformanceError):
    """A registrar refused a request or did not answer; the text is the framework's."""


class HandshakeError(ErgoConformanceError):
    """A handshake ended without a result. The socket is closed and nothing is sent."""


class ClosedError(HandshakeError):
    """The peer closed the socket during the handshake: its cookie may differ."""


class SilentError(HandshakeError):
    """The peer sent nothing before the deadline of the handshake."""


class RefusedError(ErgoConformanceError):
    """A socket that is closed although its handshake is complete."""
