"""Our node in the place of one real node of a capture: everything that the file tells of it, and the same agents."""

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
from .script import Script, Spoken

DRIVER: Final = ("agent", "echo", "sink", "pub", "crasher")
"""What a driver hosts; a subject hosts all agents."""
ALLOWED: Final = "allowed@localhost"
DRIVER_ENV: Final = {"A_ENV": "from-a"}

Json = Any
_NONE: Final = Version()


@dataclass
class Role:
    """What a capture tells of one of its nodes."""

    direction: str
    writer: str
    name: Atom
    cookie: str
    creation: int
    registry: Registry
    version: Version = _NONE
    flags: Flags = ehs.DEFAULT_FLAGS
    max_message_size: int = 0
    caches: Caches = NO_CACHES
    pool: int = ehs.POOL_SIZE
    dsn: str = ""
    fingerprint: bytes | None = None
    numbers: dict[str, int] = field(default_factory=dict)
    """Agents to numbers of their PIDs."""
    acts: bool = False
    """Its processes do things on their own: a driver."""
    env: dict[str, Any] = field(default_factory=dict)
    expose_env: bool = False
    log_level: int = LOG_INFO
    """Told to what it starts elsewhere."""
    allowed: str = ALLOWED
    entropy: dict[int, deque[str]] = field(default_factory=dict)
    """Salts and ids in the order in which it made them, by their length."""


def role_of(script: Script, direction: str) -> Role:
    """Reads a role out of a capture."""
    capture = script.capture
    writer = capture.writer(direction)
    nodes: dict[str, Json] = capture.meta.get("nodes") or {}
    known, secrets = nodes.get(writer, {}), (capture.meta.get("secrets") or {})
    role = Role(
        direction, writer,
        name=Atom(known.get("name", "")),
        cookie=str(secrets.get(writer, {}).get("cookie", known.get("cookie", ""))),
        creation=int(known.get("creation", 0)),
        registry=registry_for(capture, direction),
    )  # fmt: skip
    for happening in script.happenings:
        if isinstance(happening, Spoken) and happening.by == direction:
            for message in happening.said:
                _learn(role, message)
    fingerprints = [row.get("fingerprint_sha1") for row in secrets.values()]
    role.fingerprint = next((bytes.fromhex(text) for text in fingerprints if text), None)
    _configure(role, known, capture.meta.get("config") or {})
    return role


def _learn(role: Role, message: object) -> None:
    match message:
        case Introduce():
            role.name, role.version, role.creation = message.Node, message.Version, message.Creation
            role.flags = Flags(int.from_bytes(ehs.NETWORK_FLAGS.payload.canonical(message.Flags)))
            role.max_message_size, role.caches = message.MaxMessageSize, caches_of(message)
        case Accept(ID=str(id_), PoolSize=pool, PoolDSN=dsns) if id_:
            role.pool, role.dsn = pool, (dsns or [""])[0]
            role.entropy.setdefault(ehs.CONNECTION_ID_LENGTH, deque()).append(id_)
        case ReadFrame(value=enp.Control(message=enp.Spawn(Options=options))):
            role.log_level = options.ParentLogLevel
        case ReadFrame(value=enp.Control(message=enp.ApplicationStart(Options=options))):
            role.log_level = options.CoreLogLevel
        case Hello(Salt=salt) | Join(Salt=salt):
            role.entropy.setdefault(ehs.SALT_LENGTH, deque()).append(salt)


def _configure(role: Role, known: Json, config: Json) -> None:
    role.numbers = {name: int(number) for name, number in (known.get("pids") or {}).items()}
    role.acts = "agent_pid" in known
    if role.acts:
        role.numbers["agent"] = int(known["agent_pid"])
        role.expose_env = bool(config.get("a_expose_env"))
        role.env = dict(DRIVER_ENV) if role.expose_env else {}
        return
    arguments = [str(word) for word in config.get("subject_args") or ()]
    role.expose_env = "--expose-env" in arguments
    for flag, value in pairwise(arguments):
        if flag == "--allowed":
            role.allowed = value
        if flag == "--env":
            role.env |= dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)


@dataclass
class Stage:
    """The node, and through which of its processes the runner acts."""

    role: Role
    node: Node
    supervisor: Supervisor

    def process(self, number: int) -> Process:
        """A process that acts, made up if the role is known to have one that the file does not name."""
        found = self.node.core.tables.processes.get(number)
        return found or self.node.core.spawner.spawn(Echo(), number=number)

    async def stop(self) -> None:
        """Ends the node."""
        await self.node.stop()


def set_up(role: Role, clock: Callable[[], float], dial: Dial) -> Stage:
    """A node inside the running loop."""
    network = NetworkOptions(
        cookie=role.cookie,
        flags=role.flags,
        max_message_size=role.max_message_size,
        handshake=EhsHandshake(pool_size=min(max(role.pool, 1), ehs.MAX_POOL_SIZE)),
        registrar=None,
    )
    options = NodeOptions(version=role.version, env=role.env, expose_env=role.expose_env)

    def token(n: int) -> str:
        recorded = role.entropy.get(n)
        return recorded.popleft() if recorded else "0" * n

    node = Node(
        role.name,
        network,
        options,
        clock=clock,
        random_hex=token,
        dial=dial,
        caches=role.caches,
        registry=role.registry,
    )
    node.core.remote.log_level = role.log_level
    actors = {**LEVEL_1, **level_2(node.core)}
    actors = {**LEVEL_1, **level_2(node.core)}
    if role.acts:
        node.core.remote.enable_spawn("echo_factory", Echo)
        actors = {name: actors[name] for name in DRIVER}
    else:
        permit_remote_starts(node.core, role.allowed)
    first = {name: actors[name] for name in sorted(role.numbers, key=role.numbers.__getitem__) if name in actors}
    return Stage(role, node, Supervisor(node.core, {**first, **actors}, role.numbers))
