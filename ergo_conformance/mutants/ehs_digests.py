"""Faults of a node that accepts: digests, salts and ids."""

from hashlib import sha256
from typing import Any

from ..model.ergo import ehs
from ..model.ergo.ehs import Accept, Digest, HandshakeState, Hello, Introduce, Role
from ..reference_node.api.errors import HandshakeError
from ..reference_node.ergo.ehs import Effect, EhsSession
from .mutant import Area

EHS_DIGESTS = Area("ehs_digests")
FRAMING, DIGEST, JOIN = "handshake.framing", "handshake.digest", "handshake.join"
INTRODUCE, TIME, ORDER, NAMES = "handshake.introduce", "handshake.time", "handshake.order", "handshake.names"

# --- digests and ids --------------------------------------------------------------------------------------------------


@EHS_DIGESTS.fault(
    "EHS-DIG-1", "EHS-DIG-4", "EHS-DIG-6",
    found_by=(f"{DIGEST}.hello_refused[cut]", f"{DIGEST}.hello_refused[empty]", f"{DIGEST}.introduce_refused[cut]",
              f"{JOIN}.join_refused[cut]"),
)  # fmt: skip
class BeginningOfADigestAccepted(EhsSession):
    """Compares as many characters of a digest as were given."""

    def check(self, kind: Digest, given: str) -> None:
        if self.role is Role.DIALER or not self.digest(kind).startswith(given):
            super().check(kind, given)


@EHS_DIGESTS.fault(
    "EHS-DIG-1", "EHS-DIG-4", "EHS-DIG-6",
    found_by=(f"{DIGEST}.hello_refused[longer]", f"{DIGEST}.hello_refused[half]", f"{DIGEST}.introduce_refused[longer]",
              f"{JOIN}.join_refused[longer]"), subtle=True,
)  # fmt: skip
class FirstHalfOfADigestCompared(EhsSession):
    """Compares the first 32 characters of a digest."""

    def check(self, kind: Digest, given: str) -> None:
        if self.role is Role.DIALER or self.digest(kind)[:32] != given[:32]:
            super().check(kind, given)


@EHS_DIGESTS.fault("EHS-DIG-1", "EHS-DIG-2", found_by=(f"{DIGEST}.salt_of_any_bytes", f"{INTRODUCE}.configured_cookie"))
class AsciiOnly(EhsSession):
    """Drops the characters of salts and cookies that are not ASCII."""

    def digest(self, kind: Digest) -> str:
        parts, self.parts = self.parts, {k: v.encode("ascii", "ignore").decode() for k, v in self.parts.items()}
        try:
            return super().digest(kind)
        finally:
            self.parts = parts


@EHS_DIGESTS.fault("EHS-DIG-11", found_by=(f"{DIGEST}.salt_of_any_length[4000_characters]",), subtle=True)
class LongSaltsRefused(EhsSession):
    """Refuses salts of more than 255 characters."""

    def answer_hello(self, message: Hello) -> Effect:
        if len(message.Salt) > 255:
            raise HandshakeError("the salt is too long")
        return super().answer_hello(message)


@EHS_DIGESTS.fault("EHS-DIG-12", found_by=(f"{DIGEST}.certificate_digest_of_a_dialer",))
class CertificateDigestOfADialerRefused(EhsSession):
    """Refuses a Hello of a dialer that has a DigestCert."""

    def answer_hello(self, message: Hello) -> Effect:
        if message.DigestCert:
            raise HandshakeError("a dialer has no certificate")
        return super().answer_hello(message)


@EHS_DIGESTS.fault(
    "ROB-EHS-4", "EHS-AST-3", found_by=(f"{DIGEST}.introduce_refused[*]", f"{DIGEST}.replayed_introduce")
)
class IntroducesItselfBeforeItChecks(EhsSession):
    """Sends Accept and its Introduce before it checks the dialer's Introduce."""

    def accept_and_introduce(self, message: Introduce) -> Effect:
        try:
            return super().accept_and_introduce(message)
        except HandshakeError:
            self.state = HandshakeState.AWAIT_HELLO
            return [Accept(self.token(ehs.CONNECTION_ID_LENGTH), self.local.pool_size), self.introduction("")]


@EHS_DIGESTS.fault(
    "ROB-EHS-4", "EHS-AST-3",
    found_by=(f"{ORDER}.acceptor_waits_for_introduce", f"{FRAMING}.answers_are_exact[hello_answered]"), subtle=True,
)  # fmt: skip
class AcceptBehindHello(EhsSession):
    """Sends an Accept in one segment with its Hello."""

    def answer_hello(self, message: Hello) -> Effect:
        return [*super().answer_hello(message), Accept()]


@EHS_DIGESTS.fault("EHS-TLS-1", found_by=(f"{DIGEST}.no_certificate_over_plain_tcp",))
class CertificateDigestOverPlainTcp(EhsSession):
    """Fills DigestCert over plain TCP."""

    def certificate_digest(self, kind: Digest) -> str:
        return self.digest(kind)


@EHS_DIGESTS.fault("EHS-DIG-8", found_by=(f"{DIGEST}.certificate_is_bound_on_a_joined_link",), subtle=True)
class NoCertificateDigestOnJoinedSockets(EhsSession):
    """Leaves DigestCert empty on joined sockets."""

    def certificate_digest(self, kind: Digest) -> str:
        return "" if kind is Digest.JOIN_CERT else super().certificate_digest(kind)


@EHS_DIGESTS.fault(
    "EHS-DIG-3", "EHS-TLS-1", found_by=(f"{DIGEST}.certificate_is_bound", f"{DIGEST}.whole_handshake_over_tls")
)
class CertificateDigestWithoutCertificate(EhsSession):
    """Leaves the certificate out of its digest."""

    def certificate_digest(self, kind: Digest) -> str:
        fingerprint, self.fingerprint = self.fingerprint, None
        try:
            return self.digest(kind) if fingerprint else ""
        finally:
            self.fingerprint = fingerprint


@EHS_DIGESTS.fault("ROB-EHS-11", found_by=(f"{DIGEST}.salts_are_fresh",), subtle=True)
class SaltFromTheDialersSalt(EhsSession):
    """Derives its salt from the dialer's: the same Hello is answered with the same salt."""

    def answer_hello(self, message: Hello) -> Effect:
        self.token, token = (
            lambda n: sha256(message.Salt.encode("utf-8", "surrogateescape")).hexdigest()[:n],
            self.token,
        )
        try:
            return super().answer_hello(message)
        finally:
            self.token = token


class _OtherId(EhsSession):
    """Gives connections other ids."""

    def connection_id(self, message: Introduce) -> str:
        raise NotImplementedError

    def accept_and_introduce(self, message: Introduce) -> Effect:
        self.token = lambda _: self.connection_id(message)
        return super().accept_and_introduce(message)


@EHS_DIGESTS.fault("ROB-EHS-11", found_by=(f"{NAMES}.id_of_the_next_connection",), subtle=True)
class IdFromTheName(_OtherId):
    """Derives the id of a connection from the dialer's name."""

    def connection_id(self, message: Introduce) -> str:
        return sha256(message.Node.encode("utf-8", "surrogateescape")).hexdigest()[:32]


@EHS_DIGESTS.fault("ROB-EHS-11", found_by=(f"{NAMES}.ids_have_nothing_in_common",), subtle=True)
class IdsAreCounted(_OtherId):
    """Counts the connections: the id of one shows that of the next."""

    count = 0

    def connection_id(self, message: Introduce) -> str:
        type(self).count += 1
        return f"{self.count:032x}"


@EHS_DIGESTS.fault("ROB-EHS-11", found_by=(f"{NAMES}.salts_have_nothing_in_common",), subtle=True)
class SaltsAreCounted(EhsSession):
    """Counts its salts."""

    count = 0

    def answer_hello(self, message: Hello) -> Effect:
        type(self).count += 1
        self.token, token = lambda n: f"{self.count:0{n}x}", self.token
        try:
            return super().answer_hello(message)
        finally:
            self.token = token


@EHS_DIGESTS.fault("ROB-EHS-8", found_by=(f"{TIME}.handshakes_side_by_side",), subtle=True)
class HandshakesShareTheirParts(EhsSession):
    """Keeps the salts of all handshakes in one place: concurrent ones overwrite each other's."""

    shared: dict[str, str] = {}  # noqa: RUF012  that is the fault

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.shared.update(self.parts)
        self.parts = self.shared

    def answer_hello(self, message: Hello) -> Effect:
        answer = super().answer_hello(message)
        self.shared.update(self.parts)
        self.parts = self.shared
        return answer
