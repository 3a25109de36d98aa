"""Faults of a node that dials: order, frames and time limits, and its further sockets."""

from typing import Any

from ..model.ergo import ehs
from ..model.ergo.ehs import Accept, HandshakeState, Introduce, Join, Role
from ..reference_node.api.errors import HandshakeError
from ..reference_node.api.handshake import ConnectionRef, JoinedSocket
from ..reference_node.connection.socket_protocol import SocketProtocol
from ..reference_node.ergo.ehs import Effect, EhsSession
from .mutant import Area

EHS_DIALED_SOCKETS = Area("ehs_dialed_sockets")
DIALER, POOL = "handshake.dialer", "handshake.dialer_pool"
ALL_STATES = ("hello_sent", "introduced", "accepted")

# --- order, frames and time -------------------------------------------------------------------------------------------


@EHS_DIALED_SOCKETS.fault("EHS-DIAL-1", "EHS-DST-4", found_by=(f"{DIALER}.illegal[introduce-introduced]",))
class EhsIntroduceBeforeAccept(EhsSession):
    """Accepts the acceptor's Introduce before its Accept."""

    def step(self, message: object) -> Effect:
        if isinstance(message, Introduce) and self.state is HandshakeState.INTRODUCED:
            self.state = HandshakeState.DONE
            return self.confirm(message)
        return super().step(message)


@EHS_DIALED_SOCKETS.fault(
    "EHS-FRAME-8", "EHS-DST-2",
    found_by=(f"{DIALER}.illegal[*]", f"{POOL}.illegal_answer_to_join[*]"),
)  # fmt: skip
class EhsUnexpectedMessagesIgnored(EhsSession):
    """Ignores messages of an acceptor that its state does not expect."""

    def step(self, message: object) -> Effect:
        if self.role is Role.DIALER and type(message) not in ehs.STEPS[self.role, self.state]:
            return []
        return super().step(message)


@EHS_DIALED_SOCKETS.fault("EHS-FRAME-8", found_by=tuple(f"{DIALER}.body[{state}]" for state in ALL_STATES))
class EhsUnreadablePayloadsIgnored(EhsSession):
    """Waits for another message of an acceptor when one is unreadable."""

    def _advance(self) -> Any:
        try:
            yield from super()._advance()
        except HandshakeError as error:
            if self.role is Role.ACCEPTOR or not str(error).startswith("unreadable"):
                raise


@EHS_DIALED_SOCKETS.fault("EHS-DST-4", found_by=(f"{DIALER}.accept_and_introduce[one_segment]",), subtle=True)
class RestOfASegmentDropped(EhsSession):
    """Drops the bytes that arrive in one segment with the acceptor's Accept."""

    def remember_pool(self, message: Accept) -> Effect:
        self._buffer.clear()
        return super().remember_pool(message)


@EHS_DIALED_SOCKETS.fault(
    "EHS-FRAME-3", "EHS-FRAME-4",
    found_by=(*(f"{DIALER}.header[{state}]" for state in ALL_STATES), f"{POOL}.header_behind_join"), subtle=True,
)  # fmt: skip
class EhsHeaderReadWithThePayload(EhsSession):
    """Looks at magic and version of an acceptor's frame when the payload is there."""

    def check_header(self, header: bytes) -> None:
        if self.role is Role.ACCEPTOR or len(header) < ehs.HEADER_LENGTH:
            super().check_header(header[:0] if self.role is Role.DIALER else header)
            return
        length = int.from_bytes(header[2:], "big")
        if length > ehs.MAX_PAYLOAD or len(self._buffer) >= ehs.HEADER_LENGTH + length:
            super().check_header(header)


@EHS_DIALED_SOCKETS.fault("EHS-FRAME-5", found_by=(f"{DIALER}.messages_of_full_length",), subtle=True)
class FullLengthOfAnAcceptorRefused(EhsSession):
    """Refuses payloads of an acceptor with exactly 65535 bytes."""

    def check_header(self, header: bytes) -> None:
        super().check_header(header)
        if self.role is Role.DIALER and header[2:] == b"\0\0\xff\xff":
            raise HandshakeError("the payload is too long")


class _OtherDialerDeadline(SocketProtocol):
    """Waits for an acceptor for another time. `factor`: that time divided by the right one."""

    factor: float

    def _restart_deadline(self) -> None:
        super()._restart_deadline()
        if self.role is Role.DIALER and self._timer is not None:
            left = (self._timer.when() - self._loop.time()) * self.factor
            self._set_timer(self._loop.time() + left, lambda: self.refuse(HandshakeError("silent")))


SILENCES = (*(f"{DIALER}.silence[{state}]" for state in ALL_STATES), f"{POOL}.silence_after_join")


@EHS_DIALED_SOCKETS.fault("EHS-TIME-1", found_by=SILENCES, subtle=True)
class WaitsTooLongForAnAcceptor(_OtherDialerDeadline):
    """Closes a socket after 1.8 s of silence of the acceptor."""

    factor = 1.8


@EHS_DIALED_SOCKETS.fault("EHS-TIME-1", found_by=SILENCES, subtle=True)
class WaitsTooShortForAnAcceptor(_OtherDialerDeadline):
    """Closes a socket after 0.5 s of silence of the acceptor."""

    factor = 0.5


@EHS_DIALED_SOCKETS.fault("EHS-TIME-5", found_by=(f"{DIALER}.final_accept", f"{POOL}.join"))
class DeadlineOfADialedSocketStays(SocketProtocol):
    """Closes a dialed socket that is silent after the handshake."""

    def _end_handshake(self) -> None:
        super()._end_handshake()
        if self.role is Role.DIALER:
            self._set_timer(self._loop.time() + self.setup.deadlines.read, self.abort)


class _RefusedIntroduction(EhsSession):
    """Refuses some introductions of an acceptor."""

    def refuses(self, introduce: Introduce) -> bool:
        raise NotImplementedError

    def confirm(self, message: Introduce) -> Effect:
        if self.refuses(message):
            raise HandshakeError("refused")
        return super().confirm(message)


@EHS_DIALED_SOCKETS.fault("EHS-FLAG-1", found_by=(f"{DIALER}.unusual_introductions",), subtle=True)
class UnknownFlagsOfAnAcceptorRefused(_RefusedIntroduction):
    """Refuses an acceptor that introduces unknown flags."""

    def refuses(self, introduce: Introduce) -> bool:
        return introduce.Flags[0] != 0


# --- further sockets --------------------------------------------------------------------------------------------------


@EHS_DIALED_SOCKETS.fault(
    "EHS-JOIN-2", "EHS-DIG-6", found_by=(f"{POOL}.join_uses_the_id_of_its_connection",), subtle=True
)
class IdCutTo32Characters(EhsSession):
    """Joins with the first 32 characters of the given id."""

    def join(self, membership: ConnectionRef) -> Join:
        return super().join(membership._replace(connection_id=membership.connection_id[:32]))


@EHS_DIALED_SOCKETS.fault("EHS-JOIN-2", found_by=(f"{POOL}.join", f"{POOL}.certificate"))
class JoinsUnderTheAcceptorsName(EhsSession):
    """Joins under the name of the acceptor."""

    def join(self, membership: ConnectionRef) -> Join:
        return super().join(membership)._replace(Node=membership.node)


@EHS_DIALED_SOCKETS.fault("EHS-JOIN-6", "EHS-JOIN-8", found_by=(f"{POOL}.join",))
class IntroducesItselfBehindJoin(EhsSession):
    """Sends an Introduce behind its Join."""

    def start(self) -> bytes:
        return super().start() + (self.frame(self.introduction("")) if self.joining is not None else b"")


@EHS_DIALED_SOCKETS.fault("ROB-EHS-13", found_by=(f"{POOL}.frames_behind_the_accept",), subtle=True)
class EhsFramesBehindTheAcceptDropped(EhsSession):
    """Drops the frames that arrive in one segment with the Accept that answers its Join."""

    def check_join(self, message: Accept) -> Effect:
        (joined,) = super().check_join(message)
        assert isinstance(joined, JoinedSocket)
        return [joined._replace(tail=b"")]


@EHS_DIALED_SOCKETS.fault("EHS-DUP-3", found_by=(f"{POOL}.connection_that_we_do_not_know",), subtle=True)
class JoinsForEver(SocketProtocol):
    """Joins again and again when a joined socket is closed right behind the Accept."""

    def _was_refused(self) -> bool:
        return False


@EHS_DIALED_SOCKETS.fault(
    "EHS-JOIN-2", "ROB-EHS-14",
    found_by=(f"{POOL}.illegal_answer_to_join[*]", f"{POOL}.silence_after_join", f"{POOL}.join_refused"),
)  # fmt: skip
class RefusedJoinEndsTheConnection(SocketProtocol):
    """Ends the whole connection when a further socket can't be joined."""

    def refuse(self, error: Any) -> None:
        joining = self._handshake is not None and getattr(self._handshake, "joining", None)
        super().refuse(error)
        if joining and joining.node in self._table.connections:
            self._table.drop(self._table.connections[joining.node])
