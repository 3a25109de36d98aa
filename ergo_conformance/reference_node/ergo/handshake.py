"""EHS as a node's handshake: the settings of handshake.Options, and a fresh Ehs for each link."""

from dataclasses import dataclass, replace
from typing import ClassVar, Final

from ...errors import UsageError
from ...model.ergo import ehs
from ...model.ergo.ehs import Role, Version
from ..api.handshake import ConnectionRef, LocalIdentity, SocketInfo
from ..api.stack import Deadlines
from .ehs import Ehs

EHS: Final = Version(ehs.PROTOCOL, ehs.RELEASE, "", "MIT")


@dataclass(frozen=True, slots=True, kw_only=True)
class EhsHandshake:
    """EHS R1 (api.NetworkHandshake).

    `pool_size`: links announced to those who dial, 1 to MAX_POOL_SIZE.  `disable_tls_fingerprint`: who dials over TLS does
    not compare the acceptor's certificate with what it proves (upstream honours this only when it accepts, NAPI-OPT-7).
    `machine`: conducts one handshake; a subclass of Ehs is how a fault gets in.  UsageError for a wrong pool size.
    """

    version: ClassVar = EHS
    network_flags: ClassVar = ehs.DEFAULT_FLAGS
    deadlines: ClassVar = Deadlines(ehs.CONNECT_TIMEOUT, ehs.READ_TIMEOUT, ehs.HANDSHAKE_TIMEOUT)

    pool_size: int = ehs.POOL_SIZE
    disable_tls_fingerprint: bool = False
    machine: type[Ehs] = Ehs

    def __post_init__(self) -> None:
        if not 1 <= self.pool_size <= ehs.MAX_POOL_SIZE:
            raise UsageError(f"pool_size is {self.pool_size}; it has to be between 1 and {ehs.MAX_POOL_SIZE}")

    def start(self, local: LocalIdentity, link: SocketInfo) -> Ehs:
        """We dial: a full handshake."""
        return self._make(Role.DIALER, local, link)

    def join(self, local: LocalIdentity, link: SocketInfo, membership: ConnectionRef) -> Ehs:
        """We dial: a further link of a connection."""
        return self._make(Role.DIALER, local, link, membership)

    def accept(self, local: LocalIdentity, link: SocketInfo) -> Ehs:
        """We are dialed: the other side's first message tells whether it starts or joins."""
        return self._make(Role.ACCEPTOR, local, link)

    def _make(self, role: Role, local: LocalIdentity, link: SocketInfo, joining: ConnectionRef | None = None) -> Ehs:
        believed = role is Role.DIALER and self.disable_tls_fingerprint
        return self.machine(
            role,
            replace(local, pool_size=self.pool_size),
            link.random_hex,
            fingerprint=None if believed else link.fingerprint,
            address=link.address,
            joining=joining,
        )
