"""Base classes of all kinds of targets."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol

from ..errors import UsageError, suggestion
from ..model.ergo.caches import Caches
from ..model.registry import Registry
from ..peers.ergo.esrd_client import ScriptedResolver
from ..peers.ergo.handshake import TargetInfo
from ..peers.sockets import PeerSocket
from ..peers.violation import UnreachableError
from .usage import Usage

DEFAULT_CONFIG: Final[Mapping[str, Any]] = {
    "name": "target@localhost",
    "cookie": "ergo-conformance-cookie",
    "host": "127.0.0.1",
    "port": 0,
    "registrar_port": 0,
    "pool": 3,
    "tls": None,
    "max_message_size": 0,
    "mode": "enabled",
}
"""Values of ERGO_TARGET for a target that the toolkit starts; a case may ask for others."""
OFFERS: Final = ("accept", "dial", "agents", "codec", "registrar", "saturn", "epmd", "dist")
"""Offers that a target can have."""


def base_config(cookie: str | None, node: str | None, *, tls: bool) -> dict[str, Any]:
    """DEFAULT_CONFIG with the values of `--cookie`, `--node` and `--tls`."""
    given = {"cookie": cookie, "name": node, "tls": tls or None}
    return dict(DEFAULT_CONFIG) | {key: value for key, value in given.items() if value is not None}


def offers_of(text: str | None) -> frozenset[str] | None:
    """Words of `--offers`; None without the option.

    UsageError for an unknown word, and for `codec`, which only the embedded node can give.
    """
    if text is None:
        return None
    offers = frozenset(word.strip() for word in text.split(",") if word.strip())
    for word in sorted(offers - set(OFFERS)):
        raise UsageError(f"--offers: {word!r} is not a valid offer{suggestion(word, OFFERS)}")
    if "codec" in offers:
        raise UsageError("--offers codec: only the target self has a codec that can be reached")
    return offers


class TargetError(UsageError):
    """The target did not start, or no connection to it can be opened: nothing was tested. Exit code 2."""


class ConfigNotSupportedError(Exception):
    """The target can't be given a configuration that a case needs; the text names it."""


class Codec(Protocol):
    """EDF codec of a target."""

    def decode(self, data: bytes, registry: Registry, caches: Caches) -> tuple[Any, int]:
        """Returns the value at the start of `data` and the offset behind it. Raises Rejected."""

    def encode(self, value: Any, registry: Registry, caches: Caches) -> bytes:
        """Returns the bytes of a value. Raises CannotEncode."""


@dataclass
class RunningTarget:
    """A started target, in one configuration."""

    target_info: TargetInfo
    tls: bool
    """True if its acceptor uses TLS."""
    offers: frozenset[str]
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings known to be in force (keys of ERGO_TARGET)."""
    pids: Mapping[str, int] = field(default_factory=dict)
    """Ids of the agents' PIDs by agent name, as far as READY lists them."""
    agents: frozenset[str] = frozenset()
    """Names of the agents that it is known to host, from READY or from a call to each agent of level 2."""
    types: bool | None = None
    """True if it knows the registered types of the agents (model.ergo.agent_types); None if unknown."""
    token: str = ""
    """Token of the Saturn that it serves."""
    stoppable: ClassVar[bool] = False
    """True if the toolkit has started it, so that a case may stop it."""
    agents_unknown: bool = False
    """True if neither READY nor an option states whether it hosts agents; then calls to the agents determine it."""
    serial: bool = False
    """True if it does one handshake at a time (EHS-TIME-3)."""
    answered: bool = True
    """True if it answered the first Hello."""
    silent: bool = False
    """True if it neither answered the first Hello nor closed the connection."""
    closed: bool = False
    """True if it closed the connection after the first Hello without sending a byte."""

    async def socket(self, label: str = "") -> PeerSocket:
        """Opens a connection to its acceptor. Raises UnreachableError."""
        raise NotImplementedError

    async def registrar_socket(self, label: str = "") -> PeerSocket:  # noqa: ARG002  there is nothing to label
        """Opens a connection to the registrar (ESRD) that it serves. Raises UnreachableError."""
        raise UnreachableError("the target serves no registrar")

    async def resolver(self, label: str = "", host: str | None = None) -> ScriptedResolver:  # noqa: ARG002  as above
        """Opens a UDP socket to its registrar; `host`: another address of the same machine. Raises UnreachableError."""
        raise UnreachableError("the target serves no registrar")

    async def saturn_socket(self, label: str = "") -> PeerSocket:  # noqa: ARG002  as above
        """Opens a connection to the Saturn that it serves. Raises UnreachableError."""
        raise UnreachableError("the target serves no Saturn")

    @property
    def ended(self) -> str:
        """A sentence if the toolkit started it and it has ended by itself; otherwise empty."""
        return ""

    def stderr_since(self, since: float) -> tuple[str, ...]:  # noqa: ARG002  only a started process has one
        """Returns the lines that it wrote to stderr after `since`, in seconds of time.monotonic."""
        return ()

    def usage(self) -> Usage | None:
        """Returns what its processes use; None for a target that the toolkit has not started as a process."""
        return None

    async def stop(self) -> None:
        """Stops the processes and servers that were started for this configuration."""


class Target(ABC):
    """A target as the user names it. `start` may be called several times, with different configurations."""

    kind = ""
    live = True
    """True if it uses real sockets and the real clock; otherwise it runs in memory under a virtual clock."""
    restarts = True
    """True if every `start` gives a new instance, so that a case may crash it."""
    codec: Codec | None = None
    offered: frozenset[str] = frozenset({"accept"})
    """Offers that are known before the target is started."""

    def __init__(self, text: str) -> None:
        self.text = text
        """Name of the target as the user wrote it."""

    @abstractmethod
    async def start(self, config: Mapping[str, Any]) -> RunningTarget:
        """Starts the target with a configuration (keys of ERGO_TARGET; missing keys have their default).

        Raises TargetError if it does not start, ConfigNotSupportedError if it can't have this configuration.
        """

    async def close(self) -> None:  # noqa: B027  most kinds hold no resources
        """Releases the resources that all starts share."""

    def describe(self) -> str:
        """Returns the text for the header of a report."""
        return self.text
