"""How a node is set up: gen.NetworkOptions, gen.AcceptorOptions, and what of gen.NodeOptions concerns the network.

UsageError for wrong settings.
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
from .api.validation import MAX_PORT, check_atom, check_cookie, check_mapping, within
from .connection.tls import CertManager, KeyPair
from .ergo.enp.proto import EnpProto
from .ergo.handshake import EhsHandshake
from .registrars.esrd import EsrdRegistrar

MAX_INT: Final = 2**63 - 1
DEFAULT_PORT: Final = 11_144
LAST_PORT: Final = 50_000
"""Where the search for a free port ends (NAPI-ACC-1)."""
VERSION: Final = Version(Name="ergo-conformance", Release="reference-node", License="MIT")


def enabled_flags(flags: Flags | None) -> Flags | None:
    """Flags that were chosen; without ENABLE none were."""
    return flags if flags is not None and Flags.ENABLE in flags else None


class Mode(Enum):
    """Hidden: nobody can dial the node, it can dial others. Disabled: it has no network."""

    ENABLED = "enabled"
    HIDDEN = "hidden"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptorOptions:
    """One listening socket. What is None, or flags without ENABLE, is the node's own setting.

    `host`: empty is the host part of the node's name.  `port`: the first free one from there to `last_port`, that included
    (None: 50000); with `last_port` equal to it just that one; 0 is any free one.  `tls`: only TLS is spoken then.  `cookie`:
    of this acceptor alone (upstream ignores it, NAPI-ACC-3); an empty one is the node's.  `atom_mapping`: local atoms to
    what the peers call them.  `registrar`: this acceptor's route is registered there and nowhere else (NAPI-ACC-9).
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
        within("port", self.port, 0, MAX_PORT)
        within("last_port", self.end, self.port, MAX_PORT)
        within("max_message_size", self.max_message_size or 0, 0, MAX_INT)
        check_cookie(self.cookie)
        check_mapping(self.atom_mapping)

    @property
    def end(self) -> int:
        """The last port that is tried."""
        return max(self.port, LAST_PORT) if self.last_port is None else self.last_port


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """The network of a node.

    `mode`: as Mode.  `cookie`: the secret of both directions; an empty one becomes a random one, and nobody can connect.
    `max_message_size`: bytes of a frame, both before and after decompression, 0: no limit of ours.  `flags`: what is
    announced; None, or flags without ENABLE, is what the handshake supports (NAPI-OPT-6).  `registrar`: finds nodes, and
    lets them find us; None: only static routes do.  `handshake` and `proto`: of the acceptors that have none, and for
    dialing.  `acceptors`: none is one on the node's host.  `insecure_skip_verify`: dialing over TLS takes any certificate,
    else it has to be signed by `ca` (PEM file; None: by one of the system's).
    """

    mode: Mode = Mode.ENABLED
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
        within("max_message_size", self.max_message_size, 0, MAX_INT)

    @property
    def announced_flags(self) -> Flags:
        """What is announced."""
        return enabled_flags(self.flags) or self.handshake.network_flags()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOptions:
    """What a node is, beside its network. `version`: of its application, as it introduces itself.

    `tls`: of all acceptors that have none of their own (gen.NodeOptions.CertManager).

    `atoms`, `types` and `errors` are registered beside the framework's and announced.  `env`: of the node; with `expose_env`
    it goes along with remote spawn and application start.
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
