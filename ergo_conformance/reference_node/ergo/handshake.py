"""EHS as the handshake of a node: its settings (handshake.Options of the framework), and a new EhsSession per socket."""

from dataclasses import dataclass, replace
from typing import ClassVar, Final

from ...errors import UsageError
from ...model.ergo import ehs
from ...model.ergo.ehs import Role, Version
from ..api.handshake import ConnectionRef, LocalIdentity, SocketInfo
from ..api.stack import Deadlines
from .ehs import EhsSession

EHS: Final = Version(ehs.PROTOCOL, ehs.RELEASE, "", "MIT")
DEADLINES: Final = Deadlines(ehs.CONNECT_TIMEOUT, ehs.READ_TIMEOUT, ehs.HANDSHAKE_TIMEOUT)
"""Deadlines of upstream nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EhsHandshake:
    """EHS R1 (api.NetworkHandshake).

    `pool_size`: number of sockets announced to dialers, 1 to MAX_POOL_SIZE; otherwise UsageError.
    `disable_tls_fingerprint`: a TLS dialer does not verify the acceptor's certificate digest (upstream applies this only
    when it accepts, NAPI-OPT-7). `deadlines`: for a slow network, longer ones than upstream's. `session_class`: class of the
    handshakes; a subclass can inject faults.
    """

    version: ClassVar = EHS
    network_flags: ClassVar = ehs.DEFAULT_FLAGS

    pool_size: int = ehs.POOL_SIZE
    disable_tls_fingerprint: bool = False
    deadlines: Deadlines = DEADLINES
    session_class: type[EhsSession] = EhsSession

    def __post_init__(self) -> None:
        if type(self.pool_size) is not int or not 1 <= self.pool_size <= ehs.MAX_POOL_SIZE:
            raise UsageError(f"pool_size is {self.pool_size}; allowed: 1 to {ehs.MAX_POOL_SIZE}")

    def start(self, local: LocalIdentity, socket: SocketInfo) -> EhsSession:
        """Returns the dialer's side of a full handshake."""
        return self._make(Role.DIALER, local, socket)

    def join(self, local: LocalIdentity, socket: SocketInfo, connection: ConnectionRef) -> EhsSession:
        """Returns the dialer's side of a Join: a further socket of a connection."""
        return self._make(Role.DIALER, local, socket, connection)

    def accept(self, local: LocalIdentity, socket: SocketInfo) -> EhsSession:
        """Returns the acceptor's side. The peer's first message decides between full handshake and Join."""
        return self._make(Role.ACCEPTOR, local, socket)

    def _make(
        self, role: Role, local: LocalIdentity, socket: SocketInfo, joining: ConnectionRef | None = None
    ) -> EhsSession:
        unverified = role is Role.DIALER and self.disable_tls_fingerprint
        return self.session_class(
            role,
            replace(local, pool_size=self.pool_size),
            socket.random_hex,
            fingerprint=None if unverified else socket.fingerprint,
            address=socket.address,
            joining=joining,
        )
