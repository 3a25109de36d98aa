"""Faults of a node that dials: its messages, and what it verifies of the acceptor."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..model.ergo import ehs
from ..model.ergo.ehs import Accept, Digest, Hello, Introduce, Join, Role
from ..model.values import Atom
from ..reference_node.api import Connection, OpenSocket, Socket
from ..reference_node.api.errors import HandshakeError
from ..reference_node.api.handshake import ConnectionRef, PeerInfo
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


class _OtherDialerIntroduction(EhsSession):
    """Introduces itself differently when it dials."""

    changes: dict[str, Any]

    def introduction(self, digest: str) -> Introduce:
        good = super().introduction(digest)
        return good._replace(**self.changes) if self.role is Role.DIALER else good


@EHS_DIALER.fault("EHS-DST-3", found_by=(f"{DIALER}.introduce",), subtle=True)
class AnotherCreationWhenItDials(_OtherDialerIntroduction):
    """Introduces another creation when it dials than when it accepts."""

    changes = {"Creation": 1}  # noqa: RUF012


@EHS_DIALER.fault("EHS-DST-3", found_by=(f"{DIALER}.introduce",), subtle=True)
class NoFlagsWhenItDials(_OtherDialerIntroduction):
    """Introduces no flags when it dials."""

    changes = {"Flags": bytes(ehs.FLAGS_WIDTH)}  # noqa: RUF012


@EHS_DIALER.fault("EHS-CACHE-2", found_by=(f"{DIALER}.announced_ids",))
class AnnouncesSmallIds(_OtherDialerIntroduction):
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
class EhsHelloUnchecked(_Unchecked):
    """Does not check the digest of the acceptor's Hello."""

    unchecked = Digest.HELLO_ACCEPTOR


@EHS_DIALER.fault("EHS-TLS-2", found_by=(f"{POOL}.certificate_refused", f"{POOL}.second_dial_over_tls[certificate]"))
class EhsCertificateUnchecked(_Unchecked):
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
