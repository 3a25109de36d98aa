"""`self`: the embedded reference node, in memory under a virtual clock or over sockets of this process."""

import hashlib
import random
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, partial
from typing import Any, Final

from ..errors import UsageError
from ..model.ergo.caches import Caches
from ..model.registry import Registry
from ..peers import memory_network
from ..peers.ergo.esrd_client import MemoryResolver, ScriptedResolver, route
from ..peers.ergo.handshake import TargetInfo
from ..peers.memory import connect_memory
from ..peers.sockets import PeerSocket, connect
from ..peers.violation import UnreachableError
from ..reference_node.ergo.edf import Decoder, Encoder
from ..reference_node.ergo.esrd import EsrdNameTable
from ..reference_node.ergo.saturn import SaturnDirectory
from ..reference_node.node import Node
from ..reference_node.registrars.esrd_client import EsrdRegistrar
from ..reference_node.registrars.esrd_server import EsrdServerSocket
from ..reference_node.registrars.saturn_server import SaturnServer, SaturnServerSocket
from ..reference_node.registrars.server_socket import RegistrarServerSocket
from ..reference_node.target import config as settings
from .base import ConfigNotSupportedError, RunningTarget, Target, TargetError, base_config
from .options import TargetOptions
from .tcp import TcpRunningTarget, client_context

OFFERS: Final = frozenset({"accept", "agents", "codec", "registrar", "saturn"})
TOKEN: Final = "ergo-conformance-token"  # noqa: S105  the Saturn lives as long as the run
STAND_IN_FINGERPRINT: Final = hashlib.sha1(b"in memory there is no certificate").digest()  # noqa: S324  as laid down
START: Final = 1_700_000_000.0
"""Start time of a node in memory, Unix seconds."""


class NodeCodec:
    """EDF codec of the reference node."""

    def decode(self, data: bytes, registry: Registry, caches: Caches) -> tuple[Any, int]:
        return Decoder(registry, caches).decode_prefix(data)

    def encode(self, value: Any, registry: Registry, caches: Caches) -> bytes:
        return Encoder(registry, caches).encode(value)


@dataclass
class MemoryRunningTarget(RunningTarget):
    """A node in this process that is reached without sockets."""

    stoppable = True
    _: KW_ONLY
    node: Node

    registrar_sockets: set[RegistrarServerSocket] = field(default_factory=set)
    """Open sockets of the registrar."""
    stopped: bool = False

    async def socket(self, label: str = "") -> PeerSocket:
        self._check_running()
        fingerprint = STAND_IN_FINGERPRINT if self.tls else None
        return connect_memory(self.node.network.acceptor_protocol(fingerprint=fingerprint), fingerprint, label)

    @cached_property
    def table(self) -> EsrdNameTable:
        """Table of the registrar; the node itself is registered."""
        table = EsrdNameTable()
        table.register(self.node.name, [route()])
        return table

    async def registrar_socket(self, label: str = "") -> PeerSocket:
        self._check_running()
        return connect_memory(EsrdServerSocket(self.table, self.registrar_sockets), None, label)

    async def resolver(self, label: str = "", host: str | None = None) -> ScriptedResolver:
        if host is not None:
            raise UnreachableError("in memory there are no addresses")
        return MemoryResolver(self.table.answer, label)

    @cached_property
    def directory(self) -> SaturnDirectory:
        """State of the Saturn beside the node."""
        return SaturnDirectory(self.token)

    async def saturn_socket(self, label: str = "") -> PeerSocket:
        self._check_running()
        return connect_memory(SaturnServerSocket(self.directory, set()), None, label)

    def _check_running(self) -> None:
        if self.stopped:
            raise UnreachableError("the node has stopped")

    async def stop(self) -> None:
        self.stopped = True
        await self.node.stop()


@dataclass
class LoopbackRunningTarget(TcpRunningTarget):
    """A node in this process that is reached over the loopback interface."""

    stoppable = True
    _: KW_ONLY
    node: Node
    saturn: SaturnServer | None
    """The Saturn beside the node; None in memory."""

    async def saturn_socket(self, label: str = "") -> PeerSocket:
        if self.saturn is None:
            return await super().saturn_socket(label)
        return await connect("127.0.0.1", self.saturn.port, client_context(None), label)

    async def stop(self) -> None:
        if self.saturn is not None:
            await self.saturn.stop()
        await self.node.stop()


class SelfTarget(Target):
    """The embedded reference node."""

    kind = "self"
    codec = NodeCodec()
    offered = OFFERS

    def __init__(
        self,
        text: str = "self",
        *,
        over: str = "memory",
        cookie: str | None = None,
        node: str | None = None,
        tls: bool = False,
    ) -> None:
        super().__init__(text)
        if over not in ("memory", "tcp"):
            raise UsageError(f"--over {over}: not a valid transport (supported: memory, tcp)")
        self.live = over == "tcp"
        self.base = base_config(cookie, node, tls=tls)

    async def start(self, config: Mapping[str, Any]) -> RunningTarget:
        wanted = {**self.base, **config}
        if self.live:
            return await self._start_on_loopback(wanted)
        if config.get("registrar"):
            return await self._start_in_memory_network(wanted)
        tls = bool(wanted["tls"])
        node = make_node(self.node_config({**wanted, "tls": None}), str(wanted))
        pids = settings.host_agents(node, wanted).pids
        return MemoryRunningTarget(
            TargetInfo(wanted["name"], wanted["cookie"]),
            tls,
            OFFERS,
            {**wanted, "tls": tls},
            pids=pids,
            agents=frozenset(pids),
            types=True,
            token=TOKEN,
            node=node,
        )

    def node_config(self, wanted: Mapping[str, Any]) -> settings.NodeConfig:
        """Returns the settings of a node. `wanted`: keys of ERGO_TARGET. UsageError for values that are not possible."""
        return settings.config_of(wanted)

    async def _start_in_memory_network(self, wanted: Mapping[str, Any]) -> RunningTarget:
        """Starts a node that registers, on a NetworkLoop."""
        if wanted["registrar"].get("serve"):
            raise ConfigNotSupportedError(
                "needs a target that is reached over loopback: the server of a registrar opens ports of the machine"
            )
        try:
            node = await make_node(self.node_config(wanted), str(wanted)).start()
        except UsageError as error:
            raise TargetError(str(error)) from None
        return self._loopback_target(node, wanted, None)

    async def _start_on_loopback(self, wanted: Mapping[str, Any]) -> RunningTarget:
        try:
            config = self.node_config({**wanted, "registrar_port": wanted["registrar_port"] or 0})
            node = await config.make_node().start()
        except UsageError as error:
            raise TargetError(str(error)) from None
        saturn = SaturnServer(TOKEN, host="127.0.0.1", port=0)
        await saturn.start()
        return self._loopback_target(node, wanted, saturn)

    @staticmethod
    def _loopback_target(node: Node, wanted: Mapping[str, Any], saturn: SaturnServer | None) -> RunningTarget:
        pids = settings.host_agents(node, wanted).pids
        acceptor = node.network.acceptors[0] if node.network.acceptors else None  # a hidden node has none
        tls = acceptor is not None and acceptor.fingerprint is not None
        registrar = node.network.registrar
        serves = isinstance(registrar, EsrdRegistrar) and registrar.serving
        return LoopbackRunningTarget(
            TargetInfo(wanted["name"], wanted["cookie"]),
            tls,
            OFFERS if serves else OFFERS - {"registrar"},
            {**wanted, "tls": tls},
            pids=pids,
            agents=frozenset(pids),
            types=True,
            token=TOKEN,
            host=acceptor.host if acceptor else "127.0.0.1",
            port=acceptor.port if acceptor else 0,
            context=client_context(None) if tls else None,
            registrar=("127.0.0.1", registrar.port) if isinstance(registrar, EsrdRegistrar) and serves else None,
            node=node,
            saturn=saturn,
        )

    def describe(self) -> str:
        return f"{self.text}, the embedded reference node, {'over TCP' if self.live else 'in memory'}"


def create(options: TargetOptions) -> Target:
    """The embedded node, as the options describe it."""
    return SelfTarget(over=options.over or "memory", cookie=options.cookie, node=options.node, tls=options.tls)


def make_node(wanted: settings.NodeConfig, seed: str) -> Node:
    """A node whose salts and ids are drawn from a seed, so that a case takes the same path in every run."""
    rng = random.Random(seed)
    return wanted.make_node(clock=lambda: START, random_hex=partial(_token, rng), listen=memory_network.listen)


def _token(rng: random.Random, n: int) -> str:
    return "".join(rng.choice("0123456789abcdef") for _ in range(n))
