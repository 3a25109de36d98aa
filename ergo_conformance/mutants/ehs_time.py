"""Faults of a node that accepts: time limits, and many or disappearing dialers."""

from typing import Any

from ..model.ergo.ehs import Role
from ..reference_node.api.errors import HandshakeError
from ..reference_node.connection.socket_protocol import SocketProtocol
from .crash import crash
from .mutant import Area

EHS_TIME = Area("ehs_time")
TIME = "handshake.time"

# --- time -------------------------------------------------------------------------------------------------------------


class _OtherDeadline(SocketProtocol):
    """Waits for a dialer for another time. `factor`: that time divided by the right one."""

    factor: float

    def _restart_deadline(self) -> None:
        super()._restart_deadline()
        if self.role is Role.ACCEPTOR and self._timer is not None:
            left = (self._timer.when() - self._loop.time()) * self.factor
            self._set_timer(self._loop.time() + left, lambda: self.refuse(HandshakeError("silent")))


SILENCES = (f"{TIME}.silence[*]", f"{TIME}.silence_within_a_frame[*]", f"{TIME}.silence_the_second_time")


@EHS_TIME.fault("EHS-TIME-1", found_by=SILENCES, subtle=True)
class WaitsTooLong(_OtherDeadline):
    """Closes a socket after 1.8 s of silence."""

    factor = 1.8


@EHS_TIME.fault("EHS-TIME-1", found_by=SILENCES, subtle=True)
class WaitsTooShort(_OtherDeadline):
    """Closes a socket after 0.5 s of silence."""

    factor = 0.5


@EHS_TIME.fault(
    "EHS-TIME-1",
    "EHS-AST-5",
    found_by=(f"{TIME}.silence[hello_answered]", f"{TIME}.silence[await_accept]"),
    subtle=True,
)
class DeadlineOfTheFirstMessageOnly(SocketProtocol):
    """Waits without a limit after the dialer's first message."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.role is Role.ACCEPTOR and self._timer is not None:
            self._timer.cancel()


@EHS_TIME.fault("EHS-TIME-2", found_by=(f"{TIME}.drip",), subtle=True)
class DeadlineIsNotRestarted(SocketProtocol):
    """Limits the whole handshake to one second."""

    def _restart_deadline(self) -> None:
        if self._timer is None:
            super()._restart_deadline()


@EHS_TIME.fault("EHS-TIME-5", found_by=(f"{TIME}.deadline_is_lifted*",))
class DeadlineStays(SocketProtocol):
    """Closes an accepted socket that is silent after the handshake."""

    def _end_handshake(self) -> None:
        super()._end_handshake()
        if self.role is Role.ACCEPTOR:
            self._set_timer(self._loop.time() + self.setup.deadlines.read, self.abort)


@EHS_TIME.fault("EHS-TIME-5", found_by=(f"{TIME}.deadline_is_lifted_on_joined_links",), subtle=True)
class DeadlineOfJoinedSocketsStays(SocketProtocol):
    """Closes a joined socket that is silent after its Accept."""

    def _end_handshake(self) -> None:
        joined = self._handshake is not None and "join_digest" in getattr(self._handshake, "parts", ())
        super()._end_handshake()
        if joined:
            self._set_timer(self._loop.time() + self.setup.deadlines.read, self.abort)


@EHS_TIME.fault("ROB-EHS-6", found_by=(f"{TIME}.half_close[*]",))
class HalfCloseIgnored(SocketProtocol):
    """Keeps the socket of a dialer that has shut down its sending side."""

    def eof_received(self) -> bool:
        if self._handshake is not None and self._timer is not None:
            self._timer.cancel()
            return True
        return False


@EHS_TIME.fault("ROB-EHS-10", "ROB-EHS-3", found_by=(f"{TIME}.disconnect[*]",))
class CrashesWhenADialerDisconnects(SocketProtocol):
    """Ends its process when a dialer disconnects in the handshake."""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._handshake is not None and exc is not None:
            crash()
        super().connection_lost(exc)


@EHS_TIME.fault(
    "ROB-EHS-7",
    found_by=(f"{TIME}.many_silent_clients", f"{TIME}.endless_drip_ends", f"{TIME}.handshakes_side_by_side"),
)
class OneHandshakeAtATime(SocketProtocol):
    """Closes a new socket while another one is in its handshake."""

    def connection_made(self, transport: Any) -> None:
        busy = self._registry.accepting > 0
        super().connection_made(transport)
        if busy:
            self.refuse(HandshakeError("busy"))


@EHS_TIME.fault("ROB-EHS-2", "ROB-EHS-3", found_by=(f"{TIME}.many_failed_handshakes",), subtle=True)
class ManyRefusalsBlockEverybody(SocketProtocol):
    """Accepts nobody after fifty refused handshakes."""

    refusals = 0

    def refuse(self, error: Any) -> None:
        if self._handshake is not None:
            type(self).refusals += 1
        super().refuse(error)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.refusals > 50:
            self.refuse(HandshakeError("too many refusals"))
