"""The reference node in the place of a recorded node: its settings from the capture, and the same agents."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from ...model.ergo import ehs, enp
from ...model.ergo.caches import NO_CACHES, Caches
from ...model.ergo.ehs import Accept, Flags, Hello, Introduce, Join, Version
from ...model.registry import Registry
from ...model.values import Atom
from ...reference_node.connection.tcp import Dial
from ...reference_node.core.process import Process
from ...reference_node.core.remote_spawn import LOG_INFO
from ...reference_node.ergo.handshake import EhsHandshake
from ...reference_node.node import Node
from ...reference_node.options import NetworkOptions, NodeOptions
from ...reference_node.target.agent_operations import level_2, permit_remote_starts
from ...reference_node.target.agents import LEVEL_1, Echo, Supervisor
from ...spec.ergo.stream import ReadFrame, caches_of
from ..captures.registries import registry_for
from .timeline import ChunkWritten, Timeline

DRIVER_AGENTS: Final = ("agent", "echo", "sink", "pub", "crasher")
"""The agents of a driver; a subject hosts all agents."""
ALLOWED: Final = "allowed@localhost"
DRIVER_ENV: Final = {"A_ENV": "from-a"}

Json = Any
_NO_VERSION: Final = Version()


@dataclass
class RecordedNode:
    """Facts of a capture about one of its nodes."""

    direction: str
    """The direction that it writes in."""
    writer: str
    """Name of the node in the metadata."""
    name: Atom
    cookie: str
    creation: int
    registry: Registry
    version: Version = _NO_VERSION
    flags: Flags = ehs.DEFAULT_FLAGS
    max_message_size: int = 0
    caches: Caches = NO_CACHES
    pool: int = ehs.POOL_SIZE
    dsn: str = ""
    fingerprint: bytes | None = None
    numbers: dict[str, int] = field(default_factory=dict)
    """Process numbers by the names of agents."""
    is_driver: bool = False
    """True if its processes act without a message (a driver); otherwise it is a subject."""
    env: dict[str, Any] = field(default_factory=dict)
    expose_env: bool = False
    log_level: int = LOG_INFO
    """The log level in its requests to spawn and to start applications."""
    allowed: str = ALLOWED
    entropy: dict[int, deque[str]] = field(default_factory=dict)
    """Salts and connection ids in the order in which it wrote them, by their length."""


def recorded_node(timeline: Timeline, direction: str) -> RecordedNode:
    """Returns the facts of a capture about the node that writes in a direction."""
    capture = timeline.capture
    writer = capture.writer(direction)
    nodes: dict[str, Json] = capture.meta.get("nodes") or {}
    known, secrets = nodes.get(writer, {}), (capture.meta.get("secrets") or {})
    fingerprints = [row.get("fingerprint_sha1") for row in secrets.values()]
    node = RecordedNode(
        direction, writer,
        name=Atom(known.get("name", "")),
        cookie=str(secrets.get(writer, {}).get("cookie", known.get("cookie", ""))),
        creation=int(known.get("creation", 0)),
        registry=registry_for(capture, direction),
        fingerprint=next((bytes.fromhex(text) for text in fingerprints if text), None),
    )  # fmt: skip
    for event in timeline.events:
        if isinstance(event, ChunkWritten) and event.by == direction:
            for item in event.contents:
                _learn(node, item)
    _configure(node, known, capture.meta.get("config") or {})
    return node


def _learn(node: RecordedNode, item: object) -> None:
    """Takes settings from a message or frame of the node."""
    match item:
        case Introduce():
            node.name, node.version, node.creation = item.Node, item.Version, item.Creation
            node.flags = Flags(int.from_bytes(ehs.NETWORK_FLAGS.payload.canonical(item.Flags)))
            node.max_message_size, node.caches = item.MaxMessageSize, caches_of(item)
        case Accept(ID=str(id_), PoolSize=pool, PoolDSN=dsns) if id_:
            node.pool, node.dsn = pool, (dsns or [""])[0]
            node.entropy.setdefault(ehs.CONNECTION_ID_LENGTH, deque()).append(id_)
        case ReadFrame(value=enp.Control(message=enp.Spawn(Options=options))):
            node.log_level = options.ParentLogLevel
        case ReadFrame(value=enp.Control(message=enp.ApplicationStart(Options=options))):
            node.log_level = options.CoreLogLevel
        case Hello(Salt=salt) | Join(Salt=salt):
            node.entropy.setdefault(ehs.SALT_LENGTH, deque()).append(salt)


def _configure(node: RecordedNode, known: Json, config: Json) -> None:
    """Takes settings from the metadata: `nodes` and `config`."""
    node.numbers = {name: int(number) for name, number in (known.get("pids") or {}).items()}
    node.is_driver = "agent_pid" in known
    if node.is_driver:
        node.numbers["agent"] = int(known["agent_pid"])
        node.expose_env = bool(config.get("a_expose_env"))
        node.env = dict(DRIVER_ENV) if node.expose_env else {}
        return
    arguments = [str(word) for word in config.get("subject_args") or ()]
    node.expose_env = "--expose-env" in arguments
    for flag, value in pairwise(arguments):
        if flag == "--allowed":
            node.allowed = value
        if flag == "--env":
            node.env |= dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)


@dataclass
class ReplayNode:
    """The running reference node, and its agents."""

    recorded: RecordedNode
    node: Node
    supervisor: Supervisor

    def process(self, number: int) -> Process:
        """Returns the process with a number; spawns one that the metadata do not name."""
        found = self.node.core.tables.processes.get(number)
        return found or self.node.core.spawner.spawn(Echo(), number=number)

    async def stop(self) -> None:
        """Stops the node."""
        await self.node.stop()


def start_node(recorded: RecordedNode, clock: Callable[[], float], dial: Dial) -> ReplayNode:
    """Starts the node in the running loop. `clock`: seconds, from the creation on; `dial` opens its sockets."""
    network = NetworkOptions(
        cookie=recorded.cookie,
        flags=recorded.flags,
        max_message_size=recorded.max_message_size,
        handshake=EhsHandshake(pool_size=min(max(recorded.pool, 1), ehs.MAX_POOL_SIZE)),
        registrar=None,
    )
    options = NodeOptions(version=recorded.version, env=recorded.env, expose_env=recorded.expose_env)

    def token(n: int) -> str:
        tokens = recorded.entropy.get(n)
        return tokens.popleft() if tokens else "0" * n

    node = Node(
        recorded.name, network, options,
        clock=clock, random_hex=token, dial=dial, caches=recorded.caches, registry=recorded.registry,
    )  # fmt: skip
    node.core.remote.log_level = recorded.log_level
    actors = {**LEVEL_1, **level_2(node.core)}
    if recorded.is_driver:
        node.core.remote.enable_spawn("echo_factory", Echo)
        actors = {name: actors[name] for name in DRIVER_AGENTS}
    else:
        permit_remote_starts(node.core, recorded.allowed)
    by_number = sorted(recorded.numbers, key=recorded.numbers.__getitem__)
    first = {name: actors[name] for name in by_number if name in actors}
    return ReplayNode(recorded, node, Supervisor(node.core, {**first, **actors}, recorded.numbers))
