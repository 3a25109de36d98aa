"""Faults of a node that dials: its messages, what it verifies of the acceptor, and its further sockets."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..model.ergo import ehs
from ..model.ergo.ehs import Accept, Digest, HandshakeState, Hello, Introduce, Join, Role
from ..model.values import Atom
from ..reference_node.api import Connection, OpenSocket, Socket
from ..reference_node.api.errors import HandshakeError
from ..reference_node.api.handshake import ConnectionRef, JoinedSocket, PeerInfo
from ..reference_node.connection.socket_protocol import SocketProtocol
from ..reference_node.connection.table import ConnectionTable, MakeConnection
from ..reference_node.connection.tcp import SocketAddress
from ..reference_node.ergo.ehs import Effect, EhsSession
from ..reference_node.network.dialer import NodeDialer
from ..reference_node.network.stack import Stack
from .mutant import Area

EHS_DIALER = Area("ehs_dialer")
DIALER, POOL = "handshake.dialer", "handshake.dialer_pool"
ALL_STATES = ("hello_sent", "introduced", "accepted")

# --- messages ---------------------------------------------------------------------------------------------------------


@EHS_DIALER.fault("EHS-DST-1", "EHS-DIG-1", found_by=(f"{DIALER}.hello", f"{DIALER}.final_accept"))
class WrongDigestInHello(EhsSession):
    """Computes the digest of its Hello over the salt alone."""

    def hello(self) -> Hello:
        good, cookie = super().hello(), self.parts["cookie"]
        self.parts["cookie"] = ""
        self.parts["digest1"] = wrong = self.digest(Digest.HELLO_DIALER)
        self.parts["cookie"] = cookie
        return good._replace(Digest=wrong)


@EHS_DIALER.fault("EHS-DST-1", found_by=(f"{DIALER}.hello",))
class CertificateDigestInHello(EhsSession):
    """Fills the DigestCert of the Hello with which it dials."""

    def hello(self) -> Hello:
        return super().hello()._replace(DigestCert="0" * 64)


@EHS_DIALER.fault("EHS-DST-1", found_by=(f"{DIALER}.hello",))
class HelloTwice(EhsSession):
    """Sends its Hello twice."""

    def start(self) -> bytes:
        first = super().start()
        return first * 2 if self.joining is None else first


@EHS_DIALER.fault("ROB-EHS-12", found_by=(f"{DIALER}.salts_are_fresh",), subtle=True)
class SameSaltInEveryHello(EhsSession):
    """Uses one salt in every Hello with which it dials."""

    def hello(self) -> Hello:
        self.token, token = lambda n: "5" * n, self.token
        try:
            return super().hello()
        finally:
            self.token = token


@EHS_DIALER.fault("ROB-EHS-12", found_by=(f"{POOL}.salts_of_joins_are_fresh",), subtle=True)
class SaltFromTheConnectionId(EhsSession):
    """Derives the salt of a Join from the id of the connection: it is the same for each socket."""

    def join(self, membership: ConnectionRef) -> Join:
        self.token, token = lambda n: (membership.connection_id * n)[:n], self.token
        try:
            return super().join(membership)
        finally:
            self.token = token


@EHS_DIALER.fault("EHS-DST-3", "EHS-DIG-4", found_by=(f"{DIALER}.introduce", f"{DIALER}.final_accept"))
class IntroduceWithItsOwnSalt(EhsSession):
    """Proves the cookie with its own salt in place of the acceptor's."""

    def introduce(self, message: Hello) -> Effect:
        (introduction,) = super().introduce(message)
        assert isinstance(introduction, Introduce)
        self.parts["salt2"] = self.parts["salt1"]
        return [introduction._replace(Digest=self.digest(Digest.INTRODUCE))]


class _OtherIntroduction(EhsSession):
    """Introduces itself differently when it dials."""

    changes: dict[str, Any]

    def introduction(self, digest: str) -> Introduce:
        good = super().introduction(digest)
        return good._replace(**self.changes) if self.role is Role.DIALER else good


@EHS_DIALER.fault("EHS-DST-3", found_by=(f"{DIALER}.introduce",), subtle=True)
class AnotherCreationWhenItDials(_OtherIntroduction):
    """Introduces another creation when it dials than when it accepts."""

    changes = {"Creation": 1}  # noqa: RUF012


@EHS_DIALER.fault("EHS-DST-3", found_by=(f"{DIALER}.introduce",), subtle=True)
class NoFlagsWhenItDials(_OtherIntroduction):
    """Introduces no flags when it dials."""

    changes = {"Flags": bytes(ehs.FLAGS_WIDTH)}  # noqa: RUF012


@EHS_DIALER.fault("EHS-CACHE-2", found_by=(f"{DIALER}.announced_ids",))
class AnnouncesSmallIds(_OtherIntroduction):
    """Announces atom ids below 256 when it dials."""

    changes = {"AtomCache": {255: Atom("last")}}  # noqa: RUF012


@EHS_DIALER.fault("EHS-DST-6", found_by=(f"{DIALER}.final_accept",))
class FilledFinalAccept(EhsSession):
    """Repeats the acceptor's id in its final Accept."""

    def confirm(self, message: Introduce) -> Effect:
        final, peer = super().confirm(message)
        assert isinstance(final, Accept)
        return [final._replace(ID=self.pool.ID), peer]


@EHS_DIALER.fault(
    "EHS-DST-6",
    found_by=(f"{DIALER}.final_accept", f"{DIALER}.accept_and_introduce[*]", f"{DIALER}.messages_of_full_length"),
)
class NoFinalAccept(EhsSession):
    """Does not send the final Accept."""

    def confirm(self, message: Introduce) -> Effect:
        return super().confirm(message)[1:]


@EHS_DIALER.fault(
    "EHS-DST-6", found_by=(f"{DIALER}.messages_after_the_handshake", f"{POOL}.join", f"{POOL}.certificate")
)
class DeafAfterItDialed(SocketProtocol):
    """Drops the frames that arrive over a socket that it dialed."""

    def data_received(self, data: bytes) -> None:
        if self.role is not Role.DIALER or self._connection is None:
            super().data_received(data)


# --- what it verifies ---------------------------------------------------------------------------------------------------


class _Unchecked(EhsSession):
    """Does not check one digest of the acceptor."""

    unchecked: Digest

    def check(self, kind: Digest, given: str) -> None:
        if kind is not self.unchecked:
            super().check(kind, given)


@EHS_DIALER.fault(
    "EHS-DST-2", "EHS-DIG-2",
    found_by=(f"{DIALER}.hello_refused", f"{DIALER}.reflected_hello", f"{POOL}.second_dial_over_tls[digest]"),
)  # fmt: skip
class HelloUnchecked(_Unchecked):
    """Does not check the digest of the acceptor's Hello."""

    unchecked = Digest.HELLO_ACCEPTOR


@EHS_DIALER.fault("EHS-TLS-2", found_by=(f"{POOL}.certificate_refused", f"{POOL}.second_dial_over_tls[certificate]"))
class CertificateUnchecked(_Unchecked):
    """Does not check the digest of the acceptor's certificate."""

    unchecked = Digest.HELLO_CERT


@EHS_DIALER.fault("EHS-TLS-2", found_by=(f"{POOL}.certificate_refused",), subtle=True)
class EmptyCertificateDigestAccepted(EhsSession):
    """Checks the digest of the acceptor's certificate unless it is empty."""

    def check_certificate(self, kind: Digest, given: str) -> None:
        if given:
            super().check_certificate(kind, given)


@EHS_DIALER.fault("ROB-EHS-14", found_by=(f"{POOL}.join_refused",))
class JoinAcceptUnchecked(_Unchecked):
    """Does not check the digest of the Accept that answers its Join."""

    unchecked = Digest.JOIN_ACCEPT


@EHS_DIALER.fault("ROB-EHS-14", found_by=(f"{POOL}.certificate_refused_on_a_joined_socket",))
class JoinCertificateUnchecked(_Unchecked):
    """Does not check the certificate on a further socket."""

    unchecked = Digest.JOIN_CERT


@EHS_DIALER.fault("EHS-DIG-10", found_by=(f"{DIALER}.hello_refused", f"{POOL}.join_refused"), subtle=True)
class DialerAcceptsUpperCase(EhsSession):
    """Accepts digests of an acceptor in upper case."""

    def check(self, kind: Digest, given: str) -> None:
        super().check(kind, given.lower() if self.role is Role.DIALER else given)


@EHS_DIALER.fault(
    "EHS-DST-2", "EHS-DIG-2", found_by=(f"{DIALER}.hello_refused", f"{DIALER}.reflected_hello"), subtle=True
)
class ReflectionAccepted(EhsSession):
    """Accepts its own digest as the proof of the acceptor."""

    def check(self, kind: Digest, given: str) -> None:
        if kind is not Digest.HELLO_ACCEPTOR or given != self.parts["digest1"]:
            super().check(kind, given)


class _CheckedOnce(EhsSession):
    """Checks one digest of the first acceptor only."""

    checked: Digest

    def check(self, kind: Digest, given: str) -> None:
        if kind is not self.checked:
            super().check(kind, given)
            return
        key = id(self.local.caches)  # one for each node
        if key not in _CHECKED:
            super().check(kind, given)
            _CHECKED.add(key)


_CHECKED: set[int] = set()


@EHS_DIALER.fault("EHS-DST-2", found_by=(f"{POOL}.second_dial_over_tls[digest]",), subtle=True)
class HelloCheckedOnce(_CheckedOnce):
    """Does not check the Hello of an acceptor any more after one was right."""

    checked = Digest.HELLO_ACCEPTOR


@EHS_DIALER.fault("EHS-TLS-2", found_by=(f"{POOL}.second_dial_over_tls[certificate]",), subtle=True)
class CertificateCheckedOnce(_CheckedOnce):
    """Does not check certificates any more after one was right."""

    checked = Digest.HELLO_CERT


@EHS_DIALER.fault("EHS-DST-5", found_by=(f"{DIALER}.own_name",))
class AcceptsItsOwnName(EhsSession):
    """Connects to an acceptor that introduces itself with the dialer's name."""

    def peer_info(self, introduce: Introduce, pool: Accept) -> PeerInfo:
        local, self.local = self.local, replace(self.local, name=Atom("somebody@else"))
        try:
            return super().peer_info(introduce, pool)
        finally:
            self.local = local


@EHS_DIALER.fault("EHS-DST-5", found_by=(f"{DIALER}.own_name",), subtle=True)
class ConfirmsItsOwnName(EhsSession):
    """Closes the socket of an acceptor that has its own name, but sends the final Accept first."""

    def confirm(self, message: Introduce) -> Effect:
        if message.Node == self.local.name:
            return [Accept()]
        return super().confirm(message)


class _OtherAdmission(ConnectionTable[Connection]):
    """Admits peers by another rule."""

    def wanted(self, wanted: Atom | None, peer: PeerInfo) -> Atom | None:
        """Returns the name that is compared with the introduced one."""
        return wanted

    def admit(
        self,
        socket: Socket,
        peer: PeerInfo,
        make: MakeConnection[Connection],
        wanted: Atom | None = None,
        make_opener: Callable[[Connection], OpenSocket] | None = None,
    ) -> Connection:
        return super().admit(socket, peer, make, self.wanted(wanted, peer), make_opener)


@EHS_DIALER.fault("EHS-DST-7", found_by=(f"{DIALER}.another_name", f"{DIALER}.next_dial_after_refusals"))
class AnyNameAccepted(_OtherAdmission):
    """Connects whatever name the acceptor introduces."""

    def wanted(self, wanted: Atom | None, peer: PeerInfo) -> Atom | None:
        return None


@EHS_DIALER.fault("EHS-DST-7", found_by=(f"{DIALER}.another_name",), subtle=True)
class CaseOfNamesIgnored(_OtherAdmission):
    """Connects to an acceptor whose name differs from the dialed one in upper and lower case."""

    def wanted(self, wanted: Atom | None, peer: PeerInfo) -> Atom | None:
        return peer.node if wanted is not None and wanted.lower() == peer.node.lower() else wanted


@EHS_DIALER.fault("EHS-DST-7", found_by=(f"{DIALER}.another_name",), subtle=True)
class NamesComparedUpToTheHost(_OtherAdmission):
    """Connects to an acceptor on another host whose name is the dialed one up to the @."""

    def wanted(self, wanted: Atom | None, peer: PeerInfo) -> Atom | None:
        same = wanted is not None and wanted.partition("@")[0] == peer.node.partition("@")[0]
        return peer.node if same else wanted


@EHS_DIALER.fault("EHS-DST-7", found_by=(f"{DIALER}.creation_zero", f"{DIALER}.next_dial_after_refusals"))
class CreationZeroOfAnAcceptor(EhsSession):
    """Connects to an acceptor with creation 0."""

    def peer_info(self, introduce: Introduce, pool: Accept) -> PeerInfo:
        found = super().peer_info(introduce, pool)
        return replace(found, creation=found.creation or 1) if self.role is Role.DIALER else found


@EHS_DIALER.fault("EHS-DST-7", found_by=(f"{DIALER}.next_dial_after_refusals",), subtle=True)
class NeverDialsARefusedNameAgain(NodeDialer):
    """Does not dial a name again whose acceptor it has refused."""

    async def connect(self, endpoint: SocketAddress, wanted: Atom | None, stack: Stack) -> Connection:
        if wanted in _REFUSED:
            raise HandshakeError("refused before")
        try:
            return await super().connect(endpoint, wanted, stack)
        except HandshakeError:
            _REFUSED.add(wanted)
            raise


_REFUSED: set[Atom | None] = set()


# --- order, frames and time -------------------------------------------------------------------------------------------


@EHS_DIALER.fault("EHS-DIAL-1", "EHS-DST-4", found_by=(f"{DIALER}.illegal[introduce-introduced]",))
class IntroduceBeforeAccept(EhsSession):
    """Accepts the acceptor's Introduce before its Accept."""

    def step(self, message: object) -> Effect:
        if isinstance(message, Introduce) and self.state is HandshakeState.INTRODUCED:
            self.state = HandshakeState.DONE
            return self.confirm(message)
        return super().step(message)


@EHS_DIALER.fault(
    "EHS-FRAME-8", "EHS-DST-2",
    found_by=(f"{DIALER}.illegal[*]", f"{POOL}.illegal_answer_to_join[*]"),
)  # fmt: skip
class UnexpectedMessagesIgnored(EhsSession):
    """Ignores messages of an acceptor that its state does not expect."""

    def step(self, message: object) -> Effect:
        if self.role is Role.DIALER and type(message) not in ehs.STEPS[self.role, self.state]:
            return []
        return super().step(message)


@EHS_DIALER.fault("EHS-FRAME-8", found_by=tuple(f"{DIALER}.body[{state}]" for state in ALL_STATES))
class UnreadablePayloadsIgnored(EhsSession):
    """Waits for another message of an acceptor when one is unreadable."""

    def _advance(self) -> Any:
        try:
            yield from super()._advance()
        except HandshakeError as error:
            if self.role is Role.ACCEPTOR or not str(error).startswith("unreadable"):
                raise


@EHS_DIALER.fault("EHS-DST-4", found_by=(f"{DIALER}.accept_and_introduce[one_segment]",), subtle=True)
class RestOfASegmentDropped(EhsSession):
    """Drops the bytes that arrive in one segment with the acceptor's Accept."""

    def remember_pool(self, message: Accept) -> Effect:
        self._buffer.clear()
        return super().remember_pool(message)


@EHS_DIALER.fault(
    "EHS-FRAME-3", "EHS-FRAME-4",
    found_by=(*(f"{DIALER}.header[{state}]" for state in ALL_STATES), f"{POOL}.header_behind_join"), subtle=True,
)  # fmt: skip
class HeaderReadWithThePayload(EhsSession):
    """Looks at magic and version of an acceptor's frame when the payload is there."""

    def check_header(self, header: bytes) -> None:
        if self.role is Role.ACCEPTOR or len(header) < ehs.HEADER_LENGTH:
            super().check_header(header[:0] if self.role is Role.DIALER else header)
            return
        length = int.from_bytes(header[2:], "big")
        if length > ehs.MAX_PAYLOAD or len(self._buffer) >= ehs.HEADER_LENGTH + length:
            super().check_header(header)


@EHS_DIALER.fault("EHS-FRAME-5", found_by=(f"{DIALER}.messages_of_full_length",), subtle=True)
class FullLengthOfAnAcceptorRefused(EhsSession):
    """Refuses payloads of an acceptor with exactly 65535 bytes."""

    def check_header(self, header: bytes) -> None:
        super().check_header(header)
        if self.role is Role.DIALER and header[2:] == b"\0\0\xff\xff":
            raise HandshakeError("the payload is too long")


class _OtherDeadline(SocketProtocol):
    """Waits for an acceptor for another time. `factor`: that time divided by the right one."""

    factor: float

    def _restart_deadline(self) -> None:
        super()._restart_deadline()
        if self.role is Role.DIALER and self._timer is not None:
            left = (self._timer.when() - self._loop.time()) * self.factor
            self._set_timer(self._loop.time() + left, lambda: self.refuse(HandshakeError("silent")))


SILENCES = (*(f"{DIALER}.silence[{state}]" for state in ALL_STATES), f"{POOL}.silence_after_join")


@EHS_DIALER.fault("EHS-TIME-1", found_by=SILENCES, subtle=True)
class WaitsTooLongForAnAcceptor(_OtherDeadline):
    """Closes a socket after 1.8 s of silence of the acceptor."""

    factor = 1.8


@EHS_DIALER.fault("EHS-TIME-1", found_by=SILENCES, subtle=True)
class WaitsTooShortForAnAcceptor(_OtherDeadline):
    """Closes a socket after 0.5 s of silence of the acceptor."""

    factor = 0.5


@EHS_DIALER.fault("EHS-TIME-5", found_by=(f"{DIALER}.final_accept", f"{POOL}.join"))
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


@EHS_DIALER.fault("EHS-FLAG-1", found_by=(f"{DIALER}.unusual_introductions",), subtle=True)
class UnknownFlagsOfAnAcceptorRefused(_RefusedIntroduction):
    """Refuses an acceptor that introduces unknown flags."""

    def refuses(self, introduce: Introduce) -> bool:
        return introduce.Flags[0] != 0


# --- further sockets --------------------------------------------------------------------------------------------------


@EHS_DIALER.fault("EHS-JOIN-2", "EHS-DIG-6", found_by=(f"{POOL}.join_uses_the_id_of_its_connection",), subtle=True)
class IdCutTo32Characters(EhsSession):
    """Joins with the first 32 characters of the given id."""

    def join(self, membership: ConnectionRef) -> Join:
        return super().join(membership._replace(connection_id=membership.connection_id[:32]))


@EHS_DIALER.fault("EHS-JOIN-2", found_by=(f"{POOL}.join", f"{POOL}.certificate"))
class JoinsUnderTheAcceptorsName(EhsSession):
    """Joins under the name of the acceptor."""

    def join(self, membership: ConnectionRef) -> Join:
        return super().join(membership)._replace(Node=membership.node)


@EHS_DIALER.fault("EHS-JOIN-6", "EHS-JOIN-8", found_by=(f"{POOL}.join",))
class IntroducesItselfBehindJoin(EhsSession):
    """Sends an Introduce behind its Join."""

    def start(self) -> bytes:
        return super().start() + (self.frame(self.introduction("")) if self.joining is not None else b"")


@EHS_DIALER.fault("ROB-EHS-13", found_by=(f"{POOL}.frames_behind_the_accept",), subtle=True)
class FramesBehindTheAcceptDropped(EhsSession):
    """Drops the frames that arrive in one segment with the Accept that answers its Join."""

    def check_join(self, message: Accept) -> Effect:
        (joined,) = super().check_join(message)
        assert isinstance(joined, JoinedSocket)
        return [joined._replace(tail=b"")]


@EHS_DIALER.fault("EHS-DUP-3", found_by=(f"{POOL}.connection_that_we_do_not_know",), subtle=True)
class JoinsForEver(SocketProtocol):
    """Joins again and again when a joined socket is closed right behind the Accept."""

    def _was_refused(self) -> bool:
        return False


@EHS_DIALER.fault(
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
