"""Faults in the handshake, and in how sockets become connections."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from struct import pack

from ..model.ergo import ehs
from ..model.ergo.ehs import Accept, Digest, HandshakeState, Hello, Introduce, Join, Message
from ..model.values import Atom
from ..reference_node.api import Connection, OpenSocket, Socket
from ..reference_node.api.errors import HandshakeError
from ..reference_node.api.handshake import Output, PeerInfo
from ..reference_node.connection.socket_protocol import SocketProtocol
from ..reference_node.connection.table import ConnectionTable, MakeConnection
from ..reference_node.ergo.ehs import Effect, EhsSession
from .mutant import Area

HANDSHAKE = Area("handshake")
FRAMING, DIGEST, JOIN = "handshake.framing", "handshake.digest", "handshake.join"
INTRODUCE, TIME, ORDER = "handshake.introduce", "handshake.time", "handshake.order"

# --- digests ----------------------------------------------------------------------------------------------------------


@HANDSHAKE.fault("EHS-DIG-2", found_by=(f"{DIGEST}.hello_answered", f"{DIGEST}.whole_handshake"))
class SwappedDigest(EhsSession):
    """Joins the parts of a digest in reverse order."""

    def digest(self, kind: Digest) -> str:
        return sha256(":".join(self.parts[name] for name in reversed(kind.parts)).encode()).hexdigest()


class _DigestUnchecked(EhsSession):
    """Accepts any value of one digest."""

    unchecked: Digest

    def check(self, kind: Digest, given: str) -> None:
        if kind is not self.unchecked:
            super().check(kind, given)


@HANDSHAKE.fault("EHS-DIG-1", found_by=(f"{DIGEST}.hello_refused[*]",))
class HelloUnchecked(_DigestUnchecked):
    """Does not check the digest of a Hello."""

    unchecked = Digest.HELLO_DIALER


@HANDSHAKE.fault("EHS-DIG-4", found_by=(f"{DIGEST}.introduce_refused[own_salt]", f"{DIGEST}.replayed_introduce"))
class IntroduceUnchecked(_DigestUnchecked):
    """Does not check the digest of an Introduce."""

    unchecked = Digest.INTRODUCE


@HANDSHAKE.fault("EHS-JOIN-3", found_by=(f"{JOIN}.join_refused[*]",))
class JoinUnchecked(_DigestUnchecked):
    """Does not check the digest of a Join."""

    unchecked = Digest.JOIN


@HANDSHAKE.fault(
    "EHS-DIG-10",
    found_by=(
        f"{DIGEST}.hello_refused[upper_case]",
        f"{DIGEST}.introduce_refused[upper_case]",
        f"{JOIN}.join_refused[upper_case]",
    ),
)
class UpperCaseAccepted(EhsSession):
    """Accepts digests in upper case."""

    def check(self, kind: Digest, given: str) -> None:
        super().check(kind, given.lower())


@HANDSHAKE.fault("ROB-EHS-11", found_by=(f"{DIGEST}.salts_are_fresh", f"{DIGEST}.replayed_introduce"))
class SameSalt(EhsSession):
    """Sends the same salt in every Hello."""

    def answer_hello(self, message: Hello) -> Effect:
        token, self.token = self.token, lambda n: "5" * n
        try:
            return super().answer_hello(message)
        finally:
            self.token = token


@HANDSHAKE.fault(
    "EHS-DIG-3",
    "EHS-DIG-8",
    found_by=(f"{DIGEST}.certificate_is_bound", f"{DIGEST}.certificate_is_bound_on_a_joined_link"),
)
class NoCertificateDigest(EhsSession):
    """Leaves the digest of its certificate empty over TLS."""

    def certificate_digest(self, kind: Digest) -> str:
        return ""


@HANDSHAKE.fault("EHS-DIG-7", found_by=(f"{JOIN}.join",))
class JoinAcceptWithoutDigest(EhsSession):
    """Answers a Join with an Accept without digest."""

    def accept_join(self, message: Join) -> Effect:
        return [Accept() if isinstance(part, Accept) else part for part in super().accept_join(message)]


# --- frames and order of messages -------------------------------------------------------------------------------------


@HANDSHAKE.fault(
    "EHS-FRAME-1",
    found_by=(
        f"{FRAMING}.answers_are_exact[hello_answered]",
        f"{FRAMING}.answers_are_exact[await_accept]",
        f"{DIGEST}.hello_answered",
    ),
)
class LengthOffByOne(EhsSession):
    """Announces one byte more than a frame has."""

    def header(self, payload: bytes) -> bytes:
        return pack(">BBI", ehs.MAGIC, ehs.VERSION, len(payload) + 1)


@HANDSHAKE.fault("EHS-FRAME-5", found_by=(f"{FRAMING}.length_above_the_limit[*]",))
class AnyLengthAccepted(EhsSession):
    """Accepts any length in a header and waits for the payload."""

    def check_header(self, header: bytes) -> None:
        super().check_header(header[:2])


@HANDSHAKE.fault("EHS-AST-4", found_by=(f"{ORDER}.accept_comes_before_introduce", f"{DIGEST}.whole_handshake"))
class IntroduceBeforeAccept(EhsSession):
    """Sends its Introduce before its Accept."""

    def accept_and_introduce(self, message: Introduce) -> Effect:
        introduced, accept, introduction = super().accept_and_introduce(message)
        return [introduced, introduction, accept]


@HANDSHAKE.fault(
    "EHS-AST-2", "ROB-EHS-4", found_by=(f"{DIGEST}.hello_refused[wrong_cookie]", f"{FRAMING}.body[empty-await_hello]")
)
class AnswersUncheckedHello(EhsSession):
    """Answers a Hello before it checks it, and closes afterwards."""

    def _advance(self) -> Iterator[Output]:
        waiting = self.state is HandshakeState.AWAIT_HELLO
        try:
            yield from super()._advance()
        except HandshakeError:
            if waiting:
                yield self.frame(Hello(self.token(ehs.SALT_LENGTH), ""))
            raise


@HANDSHAKE.fault(
    "EHS-AST-2",
    "ROB-EHS-4",
    found_by=(f"{ORDER}.acceptor_waits_for_the_dialer", f"{FRAMING}.answers_are_exact[await_hello]"),
)
class SendsHelloFirst(EhsSession):
    """Sends a Hello as soon as a socket is accepted."""

    def start(self) -> bytes:
        return self.frame(Hello(self.token(ehs.SALT_LENGTH), ""))


@HANDSHAKE.fault("EHS-AST-1", found_by=(f"{ORDER}.illegal[introduce-await_hello]",))
class IntroduceWithoutHello(EhsSession):
    """Accepts an Introduce without a Hello before it."""

    def step(self, message: object) -> Effect:
        if isinstance(message, Introduce) and self.state is HandshakeState.AWAIT_HELLO:
            self.parts["salt2"] = ""
            self.state = HandshakeState.AWAIT_ACCEPT
            self.peer = self.peer_info(message, Accept())
            return [Accept(self.token(32), 3), self.introduction("")]
        return super().step(message)


@HANDSHAKE.fault("EHS-DIG-7", found_by=(f"{JOIN}.join",))
class SameDigestInEveryAccept(EhsSession):
    """Writes the same digest into every Accept."""

    def frame(self, message: Message) -> bytes:
        return super().frame(message._replace(Digest="0" * 64) if isinstance(message, Accept) else message)


# --- introductions ----------------------------------------------------------------------------------------------------


@HANDSHAKE.fault("ROB-EHS-11", found_by=(f"{JOIN}.connection_id",))
class SameConnectionId(EhsSession):
    """Gives every connection the same id."""

    def accept_and_introduce(self, message: Introduce) -> Effect:
        self.token = lambda n: "1d" * (n // 2)
        return super().accept_and_introduce(message)


@HANDSHAKE.fault("EHS-AST-3", found_by=(f"{INTRODUCE}.own_name",))
class OwnNameAccepted(EhsSession):
    """Accepts a peer that has its own name."""

    def peer_info(self, introduce: Introduce, pool: Accept) -> PeerInfo:
        local, self.local = self.local, replace(self.local, name=Atom("somebody@else"))
        try:
            return super().peer_info(introduce, pool)
        finally:
            self.local = local


@HANDSHAKE.fault("EHS-CACHE-2", found_by=(f"{INTRODUCE}.announced_ids",))
class AtomIdsOutOfRange(EhsSession):
    """Announces atom ids that EDF reads as lengths."""

    def introduction(self, digest: str) -> Introduce:
        return super().introduction(digest)._replace(AtomCache={0: self.local.name, 255: Atom("last")})


@HANDSHAKE.fault("EHS-AST-6", "EHS-DST-7", found_by=(f"{INTRODUCE}.creation_is_not_zero",))
class CreationZero(EhsSession):
    """Introduces itself with creation 0."""

    def introduction(self, digest: str) -> Introduce:
        return super().introduction(digest)._replace(Creation=0)


# --- sockets ----------------------------------------------------------------------------------------------------------


@HANDSHAKE.fault(
    "EHS-TIME-1", found_by=(f"{TIME}.silence[await_hello]", f"{TIME}.silence_within_a_frame[after_6_bytes]")
)
class NoDeadline(SocketProtocol):
    """Waits for a silent peer without a time limit."""

    def _restart_deadline(self) -> None:
        """Sets no deadline."""


@HANDSHAKE.fault("EHS-DUP-1", found_by=(f"{INTRODUCE}.duplicate_name",))
class DuplicateReplacesConnection(ConnectionTable[Connection]):
    """Drops a connection when another peer introduces itself with the same name."""

    def admit(
        self,
        socket: Socket,
        peer: PeerInfo,
        make: MakeConnection[Connection],
        wanted: Atom | None = None,
        make_opener: Callable[[Connection], OpenSocket] | None = None,
    ) -> Connection:
        if peer.node in self.connections:
            self.drop(self.connections[peer.node])
        return super().admit(socket, peer, make, wanted, make_opener)


@HANDSHAKE.fault("EHS-JOIN-9", found_by=(f"{JOIN}.connection_outlives_its_first_link",))
class ConnectionEndsWithFirstSocket(ConnectionTable[Connection]):
    """Ends a connection when its first socket closes."""

    def lose(self, socket: Socket) -> None:
        connection = self._by_socket.get(socket)
        if connection is not None and connection.sockets[0] is socket:
            self.drop(connection)
        super().lose(socket)
