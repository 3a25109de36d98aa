"""What every kind of target has in common."""

import asyncio
import contextlib
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol

from ..errors import UsageError
from ..model.ergo import enp, subject
from ..model.ergo.caches import Caches
from ..model.registry import Registry
from ..peers.ergo.connection import Peer
from ..peers.ergo.dialer import Dialer
from ..peers.ergo.esrd_client import ScriptedResolver
from ..peers.ergo.handshake import TargetInfo
from ..peers.sockets import Socket
from ..peers.violation import UnreachableError, ViolationError

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
"""Keys of ERGO_TARGET for a target that we start ourselves; a case may ask for others."""


def base_config(cookie: str | None, node: str | None, *, tls: bool) -> dict[str, Any]:
    """The settings of a target that we start, as the command line wants them."""
    given = {"cookie": cookie, "name": node, "tls": tls or None}
    return dict(DEFAULT_CONFIG) | {key: value for key, value in given.items() if value is not None}


OFFERS: Final = ("accept", "dial", "agents", "codec", "registrar", "saturn", "epmd", "dist")


NOTICEABLE: Final = 0.5
"""Seconds of delay by a silent client that show a serial acceptor; its own deadline is one second."""


PROBE_TIMEOUT: Final = 3.0  # seconds


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

    target_info: TargetInfo
    tls: bool
    offers: frozenset[str]
    config: Mapping[str, Any] = field(default_factory=dict)
    """The settings known to be in force."""
    pids: Mapping[str, int] = field(default_factory=dict)
    """Numbers of the agents' PIDs, as far as the target told."""
    agents: frozenset[str] = frozenset()
    """Names of the agents that it is known to host, from its READY or by a call to each of level 2."""
    types: bool | None = None
    """Whether it knows the registered types of the agents (model.subject); None if it did not tell."""
    ours: ClassVar[bool] = False
    """We have started it, so a case may stop it."""
    asks_for_agents: bool = False
    """Nobody said whether it hosts agents: calls find out."""
    serial: bool = False
    """It does one handshake at a time (EHS-TIME-3)."""
    answered: bool = True
    """It answered the first Hello."""
    silent: bool = False
    """It did not even close."""
    closed: bool = False
    """It closed instead, without a byte."""

    async def socket(self, label: str = "") -> Socket:
        """Opens a socket to the target. Raises UnreachableError."""
        raise NotImplementedError

    async def registrar_socket(self, label: str = "") -> Socket:  # noqa: ARG002  there is nothing to label
        """Opens a socket to the registrar that the target serves. Raises UnreachableError."""
        raise UnreachableError("the target serves no registrar")

    async def resolver(self, label: str = "", host: str | None = None) -> ScriptedResolver:  # noqa: ARG002  as above
        """Makes a resolver for that registrar; `host`: another address of the same machine. Raises UnreachableError."""
        raise UnreachableError("the target serves no registrar")

    token: str = ""
    """The secret of the Saturn that the target serves."""

    async def saturn_socket(self, label: str = "") -> Socket:  # noqa: ARG002  as above
        """Opens a socket to the Saturn that the target serves. Raises UnreachableError."""
        raise UnreachableError("the target serves no Saturn")

    async def stop(self) -> None:
        """Ends what was started for this configuration."""


class Target(ABC):
    """A kind of target. `start` may be called again with another configuration."""

    kind = ""
    live = True
    """Real sockets and a real clock; otherwise everything is in memory and no time passes."""
    restarts = True
    """Every `start` gives a new one, so that a case may ruin it."""
    codec: Codec | None = None
    offered: frozenset[str] = frozenset({"accept"})
    """What it offers before it has started, as far as that is known."""

    def __init__(self, spelled: str) -> None:
        self.spelled = spelled
        """How the user named it."""

    @abstractmethod
    async def start(self, config: Mapping[str, Any]) -> Running:
        """The target in a configuration (keys of ERGO_TARGET; missing ones at their defaults).

        Raises TargetError if it does not start, NotGivenError if it can't be configured so.
        """

    async def close(self) -> None:  # noqa: B027  most have nothing to end
        """Ends everything that was started."""

    def describe(self) -> str:
        return self.spelled


AGENTS_TIMEOUT: Final = 1.0  # seconds
ASKED: Final[Mapping[str, object]] = {"pub": "event", "crasher": "pid", "agent": "pid"}
"""A call that each agent of level 2 answers at once."""


async def probe_agents(running: Running) -> None:
    """Calls echo, with a text and a registered type, and the agents of level 2; adds what the answers show to `running`."""
    socket = await running.socket("agents")
    try:
        dialer = Dialer(socket, running.target_info, random.Random("agents"))
        await dialer.handshake()
        assert dialer.target_introduce is not None
        peer = Peer([dialer], dialer.target_introduce)
        if running.asks_for_agents:
            await _probe_echo(peer, running)
        if "agents" in running.offers and not running.pids:
            running.agents = await _answering(peer)
    except ViolationError:
        pass  # what it has not answered it does not host
    finally:
        socket.abort()


async def _probe_echo(peer: Peer, running: Running) -> None:
    running.types = False
    if await peer.call("echo", "anybody there?", within=AGENTS_TIMEOUT) == "anybody there?":
        running.offers |= {"agents"}
    small = subject.Small(1, "one")
    with contextlib.suppress(ViolationError):
        running.types = await peer.call("echo", small, within=AGENTS_TIMEOUT) == small


async def _answering(peer: Peer) -> frozenset[str]:
    """The agents of level 2 that answer a call; all are asked at once."""
    asked = {peer.ask(name, ASKED[name]): name for name in subject.ACTING}
    found: set[str] = set()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + AGENTS_TIMEOUT
    while len(found) < len(asked) and (received := await peer.receive(deadline - loop.time())):
        if isinstance(received.value, enp.Response) and received.value.ref in asked:
            found.add(asked[received.value.ref])
    return frozenset(found)


async def probe(running: Running) -> None:
    """Finds out whether a silent client keeps the target from answering another one, or from TLS with it."""
    loop = asyncio.get_running_loop()
    silent = await running.socket("silent")
    started = loop.time()
    good = await running.socket("good")
    dialer = Dialer(good, running.target_info, random.Random("probe"))
    try:
        dialer.send(dialer.hello())
        await dialer.receive(within=PROBE_TIMEOUT)
        running.serial = loop.time() - started > NOTICEABLE
    except ViolationError:
        running.answered = False
        said_nothing = not good.transcript.bytes_of("received")
        running.silent, running.closed = said_nothing and not good.eof, said_nothing and good.eof
    finally:
        silent.abort()
        good.abort()
