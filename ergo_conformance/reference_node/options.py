"""Settings of a node: gen.NetworkOptions, gen.AcceptorOptions, and the network part of gen.NodeOptions.

UsageError for wrong values.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from ..errors import UsageError
from ..model.ergo import edf
from ..model.ergo.ehs import Flags, Version
from ..model.registry import Row
from ..model.text import text_to_bytes
from ..model.values import Error
from .api import NetworkHandshake, NetworkProto, Registrar
from .api.validation import MAX_PORT, check_atom, check_cookie, check_host, check_mapping, check_range
from .connection.tls import CertManager, KeyPair
from .ergo.enp.proto import EnpProto
from .ergo.handshake import EhsHandshake
from .registrars.esrd_client import EsrdRegistrar

MAX_INT: Final = 2**63 - 1
DEFAULT_PORT: Final = 11_144
LAST_PORT: Final = 50_000
"""Last port of the search for a free one (NAPI-ACC-1)."""
VERSION: Final = Version(Name="ergo-conformance", Release="reference-node", License="MIT")


def enabled_flags(flags: Flags | None) -> Flags | None:
    """Returns configured flags; None without ENABLE, which stands for the defaults."""
    return flags if flags is not None and Flags.ENABLE in flags else None


class NetworkMode(Enum):
    """Hidden: the node dials others and can't be dialed. Disabled: it has no network."""

    ENABLED = "enabled"
    HIDDEN = "hidden"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptorOptions:
    """Settings of one acceptor. None, or flags without ENABLE, stands for the node's setting.

    `host`: empty is the host part of the node's name.  `port`: the first free port from `port` to `last_port`, both included
    (None: 50000); 0 is any free port.  `tls`: the acceptor speaks only TLS.  `cookie`: of this acceptor (upstream ignores it,
    NAPI-ACC-3); an empty one is the node's.  `atom_mapping`: local atoms to the peers' atoms.  `registrar`: the only registrar
    that gets the route of this acceptor (NAPI-ACC-9).
    """

    host: str = ""
    port: int = DEFAULT_PORT
    last_port: int | None = None
    tls: KeyPair | CertManager | None = None
    cookie: str | None = None
    max_message_size: int | None = None
    flags: Flags | None = None
    atom_mapping: Mapping[str, str] = field(default_factory=dict)
    registrar: Registrar | None = None
    handshake: NetworkHandshake | None = None
    proto: NetworkProto | None = None

    def __post_init__(self) -> None:
        check_host("host", self.host)
        check_range("port", self.port, 0, MAX_PORT)
        check_range("last_port", self.end, self.port, MAX_PORT)
        check_range("max_message_size", self.max_message_size or 0, 0, MAX_INT)
        check_cookie(self.cookie)
        check_mapping(self.atom_mapping)

    @property
    def end(self) -> int:
        """The last port to try."""
        return max(self.port, LAST_PORT) if self.last_port is None else self.last_port


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """Settings of a node's network.

    `cookie`: for both directions; an empty one is replaced by a random one, so that no other node can connect.
    `max_message_size`: bytes of a frame, both compressed and uncompressed; 0: no limit of ours.  `flags`: the announced flags;
    None, or flags without ENABLE, stands for those that the handshake supports (NAPI-OPT-6).  `registrar`: registers this node
    and resolves others; None: only static routes.  `handshake` and `proto`: for dialing, and the default of acceptors.
    `acceptors`: if empty, one acceptor on the node's host.  `insecure_skip_verify`: dialing over TLS accepts any certificate;
    otherwise it has to be signed by `ca` (PEM file; None: the system's CAs).
    """

    mode: NetworkMode = NetworkMode.ENABLED
    cookie: str = ""
    max_message_size: int = 0
    flags: Flags | None = None
    registrar: Registrar | None = field(default_factory=EsrdRegistrar)
    handshake: NetworkHandshake = field(default_factory=EhsHandshake)
    proto: NetworkProto = field(default_factory=EnpProto)
    acceptors: tuple[AcceptorOptions, ...] = ()
    insecure_skip_verify: bool = False
    ca: str | None = None

    def __post_init__(self) -> None:
        check_cookie(self.cookie)
        check_range("max_message_size", self.max_message_size, 0, MAX_INT)

    @property
    def announced_flags(self) -> Flags:
        """The flags that the node announces."""
        return enabled_flags(self.flags) or self.handshake.network_flags


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """Settings of a node besides its network. `version`: of its application, sent in the introduction.

    `tls`: of all acceptors without an own certificate (gen.NodeOptions.CertManager).  `atoms`, `types` and `errors` are
    registered in addition to the framework's, and announced.  `env`: environment of the node's children; with `expose_env`
    remote spawn and application start carry it.
    """

    version: Version = VERSION
    tls: KeyPair | CertManager | None = None
    atoms: tuple[str, ...] = ()
    types: tuple[Row, ...] = ()
    errors: tuple[Error, ...] = ()
    env: Mapping[str, Any] = field(default_factory=dict)
    expose_env: bool = False

    def __post_init__(self) -> None:
        for atom in self.atoms:
            check_atom(atom)
        for text in self.version:
            if len(text_to_bytes(text)) > edf.MAX_STRING // 8:
                raise UsageError("the version is too long for a handshake")


DEFAULT_NODE: Final = NodeOptions()
