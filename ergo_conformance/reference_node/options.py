"""How a node is set up: gen.NetworkOptions, gen.AcceptorOptions, handshake.Options. UsageError for wrong settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..errors import UsageError
from ..model import edf, ehs, esrd
from ..model.ehs import Flags, Version
from ..model.neutral import text_to_bytes
from ..model.registry import Row
from ..model.terms import Error
from .certificates import KeyPair
from .ergo.ehs import Ehs

MAX_INT = 2**63 - 1
VERSION = Version(Name="ergo-conformance", Release="reference-node", License="MIT")


def check_name(name: str) -> None:
    """A node's name has one `@`, something on both sides, and fits an atom."""
    left, _, right = name.partition("@")
    if not left or not right or "@" in right:
        raise UsageError(f"node name {name!r} is not of the form name@host")
    if len(text_to_bytes(name)) > edf.MAX_ATOM:
        raise UsageError(f"node name of {len(text_to_bytes(name))} bytes; an atom has at most {edf.MAX_ATOM}")


def _check_cookie(cookie: str | None) -> None:
    try:
        text_to_bytes(cookie or "")
    except UnicodeEncodeError:
        raise UsageError("the cookie can't be written as UTF-8") from None


def _within(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise UsageError(f"{what} is {value}; it has to be between {low} and {high}")


class Mode(Enum):
    """Hidden: nobody can dial the node, it can dial others."""

    ENABLED = "enabled"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeOptions:
    """Which handshake, and how it is done.

    `pool_size` is the number of links announced to those who dial.  `factory` makes one handshake; another class than
    Ehs is how a mutant gets in.
    """

    pool_size: int = ehs.POOL_SIZE
    disable_tls_fingerprint: bool = False
    factory: type[Ehs] = Ehs

    def __post_init__(self) -> None:
        _within("pool_size", self.pool_size, 1, ehs.MAX_POOL_SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptorOptions:
    """One listening socket. None stands for the node's own setting; port 0 is any free one.

    `host`: empty is the host part of the node's name.  `tls`: only TLS is spoken then.
    """

    host: str = ""
    port: int = 0
    tls: KeyPair | None = None
    cookie: str | None = None
    max_message_size: int | None = None
    flags: Flags | None = None
    handshake: HandshakeOptions | None = None

    def __post_init__(self) -> None:
        _within("port", self.port, 0, 0xFFFF)
        _within("max_message_size", self.max_message_size or 0, 0, MAX_INT)
        _check_cookie(self.cookie)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a node can be dialed. `host`: empty is the host part of its name."""

    host: str
    port: int
    tls: bool = False

    def __post_init__(self) -> None:
        _within("port", self.port, 1, 0xFFFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrarOptions:
    """The embedded registrar. `port` 0 is any free one; without `serve` the node is always a client of another one."""

    host: str = "localhost"
    port: int = esrd.PORT
    serve: bool = True

    def __post_init__(self) -> None:
        _within("registrar port", self.port, 0, 0xFFFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """A node: `name` is name@host, an empty `cookie` becomes a random one, `max_message_size` in bytes (0: none).

    `routes`: static ones by node name; what they name is looked up nowhere else.  `registrar`: None, the node neither
    registers nor looks others up.  `atoms`, `types` and `errors` are registered beside the framework's and announced.
    `env`: of the node; with `expose_env` it goes along with remote spawn and application start.
    """

    name: str
    version: Version = VERSION
    mode: Mode = Mode.ENABLED
    cookie: str = ""
    max_message_size: int = 0
    flags: Flags = ehs.DEFAULT_FLAGS
    handshake: HandshakeOptions = field(default_factory=HandshakeOptions)
    acceptors: tuple[AcceptorOptions, ...] = (AcceptorOptions(),)
    routes: Mapping[str, Route] = field(default_factory=dict)
    registrar: RegistrarOptions | None = None
    atoms: tuple[str, ...] = ()
    types: tuple[Row, ...] = ()
    errors: tuple[Error, ...] = ()
    env: Mapping[str, Any] = field(default_factory=dict)
    expose_env: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)
        _check_cookie(self.cookie)
        _within("max_message_size", self.max_message_size, 0, MAX_INT)
        for atom in self.atoms:
            if len(text_to_bytes(atom)) > edf.MAX_ATOM:
                raise UsageError(f"atom of {len(text_to_bytes(atom))} bytes; at most {edf.MAX_ATOM} are possible")
        for text in self.version:
            if len(text_to_bytes(text)) > edf.MAX_STRING // 8:
                raise UsageError("the version is too long for a handshake")

    @property
    def host(self) -> str:
        """The host part of the name."""
        return self.name.partition("@")[2]
