"""The embedded reference node: in memory under a virtual clock, or over real sockets of this process."""

import hashlib
import random
from collections.abc import Mapping
from functools import cached_property, partial
from typing import Any, Final

from ..errors import UsageError
from ..model.ergo.caches import Caches
from ..model.registry import Registry
from ..peers.ergo.esrd_client import MemoryResolver, ScriptedResolver, route
from ..peers.ergo.handshake import TargetInfo
from ..peers.memory import connect_memory
from ..peers.sockets import Socket, connect
from ..peers.violation import UnreachableError
from ..reference_node.ergo.edf import Decoder, Encoder
from ..reference_node.ergo.esrd import Table
from ..reference_node.ergo.saturn import Hub
from ..reference_node.node import Node
from ..reference_node.registrars.esrd import EsrdRegistrar, ServerLink
from ..reference_node.registrars.saturn import SaturnServer
from ..reference_node.registrars.saturn import ServerLink as SaturnLink
from ..reference_node.target import config as settings
from .base import NotGivenError, Running, Target, TargetError, base_config
from .tcp import TcpRunning, client_context

OFFERS: Final = frozenset({"accept", "agents", "codec", "registrar", "saturn"})
TOKEN: Final = "ergo-conformance-token"  # noqa: S105  of a Saturn that lives as long as the run
STAND_IN_FINGERPRINT: Final = hashlib.sha1(b"in memory there is no certificate").digest()  # noqa: S324  as laid down
START: Final = 1_700_000_000.0
"""Unix time at which a node in memory starts."""


class NodeCodec:
    """The node's own EDF codec."""

    def decode(self, data: bytes, registry: Registry, caches: Caches) -> tuple[Any, int]:
        return Decoder(registry, caches).decode_prefix(data)

    def encode(self, value: Any, registry: Registry, caches: Caches) -> bytes:
        return Encoder(registry, caches).encode(value)


class MemoryRunning(Running):
    """A node in this process, reached without sockets."""

    ours = True
    node: Node

    async def socket(self, label: str = "") -> Socket:
        fingerprint = STAND_IN_FINGERPRINT if self.tls else None
        return connect_memory(self.node.network.acceptor_protocol(fingerprint=fingerprint), fingerprint, label)

    @cached_property
    def table(self) -> Table:
        """The registrar's, with the node itself in it."""
        table = Table()
        table.register(self.node.name, [route()])
        return table

    async def registrar_socket(self, label: str = "") -> Socket:
        return connect_memory(ServerLink(self.table, set()), None, label)

    async def resolver(self, label: str = "", host: str | None = None) -> ScriptedResolver:
        if host is not None:
            raise UnreachableError("in memory there are no addresses")
        return MemoryResolver(self.table.answer, label)

    @cached_property
    def hub(self) -> Hub:
        """What the Saturn beside the node knows."""
        return Hub(self.token)

    async def saturn_socket(self, label: str = "") -> Socket:
        return connect_memory(SaturnLink(self.hub, set()), None, label)

    async def stop(self) -> None:
        await self.node.stop()


class SocketRunning(TcpRunning):
    """A node in this process, reached over loopback."""

    ours = True
    node: Node
    saturn: SaturnServer

    async def saturn_socket(self, label: str = "") -> Socket:
        return await connect("127.0.0.1", self.saturn.port, client_context(None), label)

    async def stop(self) -> None:
        await self.saturn.stop()
        await self.node.stop()


class SelfTarget(Target):
    """`self`."""

    kind = "self"
    codec = NodeCodec()
    offered = OFFERS

    def __init__(
        self,
        spelled: str = "self",
        *,
        over: str = "memory",
        cookie: str | None = None,
        node: str | None = None,
        tls: bool = False,
    ) -> None:
        super().__init__(spelled)
        if over not in ("memory", "tcp"):
            raise UsageError(f"--over {over}: memory or tcp")
        self.live = over == "tcp"
        self.base = base_config(cookie, node, tls=tls)

    async def start(self, config: Mapping[str, Any]) -> Running:
        wanted = {**self.base, **config}
        target_info = TargetInfo(wanted["name"], wanted["cookie"])
        if self.live:
            return await self._listen(wanted, target_info)
        if config.get("registrar"):
            raise NotGivenError("needs a target that is reached over loopback: in memory there are no addresses")
        options = settings.options_of({**wanted, "tls": None})
        tls = bool(wanted["tls"])
        running = MemoryRunning(target_info, tls, OFFERS, {**wanted, "tls": tls})
        running.node, running.token = make_node(options, str(wanted)), TOKEN
        running.pids, running.types = settings.host_agents(running.node, wanted).pids, True
        running.agents = frozenset(running.pids)
        return running

    async def _listen(self, wanted: Mapping[str, Any], target_info: TargetInfo) -> Running:
        try:
            node = await settings.options_of({**wanted, "registrar_port": wanted["registrar_port"] or 0}).start()
        except UsageError as error:
            raise TargetError(str(error)) from None
        running = _reached(node, wanted, target_info)
        running.saturn, running.token = SaturnServer(TOKEN, host="127.0.0.1", port=0), TOKEN
        await running.saturn.start()
        running.pids, running.types = settings.host_agents(node, wanted).pids, True
        running.agents = frozenset(running.pids)
        return running

    def describe(self) -> str:
        return f"{self.spelled}, the embedded reference node, {'over TCP' if self.live else 'in memory'}"


def _reached(node: Node, wanted: Mapping[str, Any], target_info: TargetInfo) -> SocketRunning:
    """Where a node listens; a hidden one does not. Only what serves is offered as a registrar."""
    acceptor = node.network.acceptors[0] if node.network.acceptors else None
    context = client_context(None) if acceptor is not None and acceptor.fingerprint is not None else None
    registrar = node.network.registrar()
    serves = isinstance(registrar, EsrdRegistrar) and registrar.serving
    offers = OFFERS if serves else OFFERS - {"registrar"}
    running = SocketRunning(target_info, context is not None, offers, {**wanted, "tls": context is not None})
    running.node, running.context = node, context
    if acceptor is not None:
        running.host, running.port = acceptor.host, acceptor.port
    if isinstance(registrar, EsrdRegistrar) and serves:
        running.registrar = "127.0.0.1", registrar.port
    return running


def make_node(wanted: settings.Settings, seed: str) -> Node:
    """A node whose salts and ids come from a seed, so that a case takes the same path each time."""
    rng = random.Random(seed)
    return wanted.make(clock=lambda: START, token=partial(_token, rng))


def _token(rng: random.Random, n: int) -> str:
    return "".join(rng.choice("0123456789abcdef") for _ in range(n))
