"""What every kind of target has in common."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ..errors import UsageError
from ..model.caches import Caches
from ..model.registry import Registry
from ..peers.dialer import Facts
from ..peers.link import Link

DEFAULT_CONFIG: Final[Mapping[str, Any]] = {
    "name": "target@localhost",
    "cookie": "ergo-conformance-cookie",
    "host": "127.0.0.1",
    "port": 0,
    "registrar_port": None,
    "pool": 3,
    "tls": None,
    "max_message_size": 0,
    "mode": "enabled",
}
"""Keys of ERGO_TARGET for a target that we start ourselves; a case may ask for others."""

OFFERS: Final = ("accept", "dial", "agents", "codec", "registrar", "saturn", "epmd", "dist")


class TargetError(UsageError):
    """The target did not start, or can't be reached at all: nothing was tested. Exit code 2."""


class NotGivenError(Exception):
    """This target can't be given a configuration that a case needs; the text says which."""


class Codec(Protocol):
    """A target's EDF codec."""

    def decode(self, data: bytes, registry: Registry, caches: Caches) -> tuple[Any, int]:
        """The value at the start of `data` and the offset behind it. Raises Rejected."""

    def encode(self, value: Any, registry: Registry, caches: Caches) -> bytes:
        """The bytes of a value. Raises CannotEncode."""


@dataclass
class Running:
    """A target in one configuration."""

    facts: Facts
    tls: bool
    offers: frozenset[str]
    config: Mapping[str, Any] = field(default_factory=dict)
    """The settings known to be in force."""
    serial: bool = False
    """It does one handshake at a time (EHS-TIME-3)."""

    async def link(self, label: str = "") -> Link:
        """A new connection. UnreachableError if there is none."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Ends what was started for this configuration."""


class Target(ABC):
    """A kind of target. `start` may be called again with another configuration."""

    kind = ""
    live = True
    """Real sockets and a real clock; otherwise everything is in memory and no time passes."""
    codec: Codec | None = None

    def __init__(self, spelled: str) -> None:
        self.spelled = spelled
        """How the user named it."""

    @abstractmethod
    async def start(self, config: Mapping[str, Any]) -> Running:
        """The target in a configuration (keys of ERGO_TARGET; missing ones at their defaults).

        Raises TargetError if it does not start, NotGivenError if it can't be configured so.
        """

    async def close(self) -> None:
        """Ends everything that was started."""

    def describe(self) -> str:
        return self.spelled


def wants_tls(config: Mapping[str, Any]) -> bool:
    return bool(config.get("tls"))


async def probe_serial(running: Running) -> bool:
    """Whether a silent client keeps the target from answering another one."""
    import random

    from ..peers.dialer import Dialer
    from ..peers.violation import ViolationError

    silent = await running.link("silent")
    good = await running.link("good")
    dialer = Dialer(good, running.facts, random.Random("probe"))
    try:
        dialer.send(dialer.hello())
        started = asyncio.get_running_loop().time()
        await dialer.receive(within=3.0)
        return asyncio.get_running_loop().time() - started > 0.5
    except ViolationError:
        return False
    finally:
        silent.abort()
        good.abort()
