"""ERGO_TARGET, the settings that a toolkit starts a node with, and READY, what the node answers (docs/test-your-node.md)."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...errors import UsageError
from ...model.ergo import ehs, esrd, saturn, subject
from ...model.ergo.ehs import Flags
from ..api import Registrar
from ..connection.tls import KeyPair, load, self_signed
from ..ergo.handshake import EhsHandshake
from ..network.static_routes import NetworkRoute
from ..node import Node
from ..options import AcceptorOptions, Mode, NetworkOptions, NodeOptions
from ..registrars.esrd import EsrdRegistrar
from ..registrars.saturn import SaturnOptions, SaturnRegistrar
from .agent_operations import LEVEL_2, open_up
from .agents import LEVEL_1, Supervisor

Json = Any
FLAGS: Final = {
    "important": Flags.IMPORTANT_DELIVERY,
    "spawn": Flags.REMOTE_SPAWN,
    "application_start": Flags.REMOTE_APPLICATION_START,
    "fragmentation": Flags.FRAGMENTATION,
    "proxy_transit": Flags.PROXY_TRANSIT,
    "proxy_accept": Flags.PROXY_ACCEPT,
}
"""Flag names of ERGO_TARGET. They say what is announced."""
DEFAULTS: Final[Mapping[str, Json]] = {
    "name": "b@localhost",
    "cookie": "secret",
    "host": "127.0.0.1",
    "port": 0,
    "pool": ehs.POOL_SIZE,
    "tls": None,
    "max_message_size": 0,
    "mode": "enabled",
    "flags": {},
    "disable_tls_fingerprint": False,
    "registrar_port": None,
    "routes": {},
    "atoms": [],
    "allowed": "allowed@localhost",
    "env": {},
    "expose_env": False,
    "insecure_skip_verify": True,
    "ca": None,
}
"""The keys that this node honours (`acceptors` on top), and what holds where one is missing."""
ACCEPTOR_KEYS: Final = (
    "host", "port", "port_range", "tls", "cookie", "max_message_size", "flags", "atom_mapping", "registrar"
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a node is made of. `routes`: static ones, by the nodes' names."""

    name: str
    network: NetworkOptions
    node: NodeOptions
    routes: Mapping[str, NetworkRoute]

    def make(self, **more: Any) -> Node:
        """A node without sockets; `more` as for Node. UsageError."""
        node = Node(self.name, self.network, self.node, **more)
        for name, route in self.routes.items():
            node.network.add_route(f"^{re.escape(name)}$", route)
        return node

    async def start(self, **more: Any) -> Node:
        """A node with its network; `more` as for Node. UsageError."""
        node = self.make(**more)
        try:
            await node.network.start()
        except BaseException:
            await node.stop()
            raise
        return node


def options_of(target: Mapping[str, Json]) -> Settings:
    """What an ERGO_TARGET object of the right form asks for. UsageError for values that can't be."""
    target = {**DEFAULTS, "insecure_skip_verify": target.get("ca") is None, **target}
    flags = flags_of(target["flags"])
    acceptors = target.get("acceptors") or [{key: target[key] for key in ("host", "port", "tls")}]
    network = NetworkOptions(
        cookie=target["cookie"],
        mode=_mode(target["mode"]),
        max_message_size=target["max_message_size"],
        flags=flags,
        handshake=EhsHandshake(pool_size=target["pool"], disable_tls_fingerprint=target["disable_tls_fingerprint"]),
        acceptors=tuple(_acceptor(row, flags, target["name"]) for row in acceptors),
        registrar=_registrar(target),
        insecure_skip_verify=target["insecure_skip_verify"],
        ca=target["ca"],
    )
    node = NodeOptions(
        atoms=tuple(target["atoms"]),
        env=target["env"],
        expose_env=target["expose_env"],
        types=subject.ROWS,
        errors=(subject.CUSTOM_ERROR,),
    )
    routes = {name: route_of(text) for name, text in target["routes"].items()}
    return Settings(name=target["name"], network=network, node=node, routes=routes)


def host_agents(node: Node, target: Mapping[str, Json]) -> Supervisor:
    """Starts the agents, and opens to other nodes what they may start."""
    open_up(node.core, {**DEFAULTS, **target}["allowed"])
    return Supervisor(node.core, LEVEL_1 | LEVEL_2)


def _registrar(target: Mapping[str, Json]) -> Registrar | None:
    """`registrar`, or in its place `registrar_port`. UsageError for a kind there is not."""
    row = target.get("registrar")
    if row:
        return registrar_of(row)
    port = target["registrar_port"]
    return None if port is None else EsrdRegistrar(port=port)


def registrar_of(row: Mapping[str, Json]) -> Registrar:
    """A registrar by its settings. UsageError for a kind there is not."""
    host = row.get("host") or "localhost"
    match row.get("kind", "esrd"):
        case "esrd":
            return EsrdRegistrar(host=host, port=row.get("port", esrd.PORT), serve=row.get("serve", True))
        case "saturn":
            return SaturnRegistrar(SaturnOptions(
                token=row.get("token", ""), host=host, port=row.get("port", saturn.PORT),
                cluster=row.get("cluster", ""), skip_verify=row.get("skip_verify", True), ca=row.get("ca"),
            ))  # fmt: skip
    raise UsageError(f"registrar {row['kind']!r} is not there yet: esrd and saturn are")


def route_of(text: str) -> NetworkRoute:
    """A static route: `host:port` or `tls://host:port`."""
    address = text.removeprefix("tls://")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) == 0:
        raise UsageError(f"route {text!r} is not of the form host:port or tls://host:port")
    return NetworkRoute(host=host.strip("[]"), port=int(port), tls=text != address)


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError:
        raise UsageError(f"mode {text!r} is none of {', '.join(mode.value for mode in Mode)}") from None


def _acceptor(row: Mapping[str, Json], flags: Flags, name: str) -> AcceptorOptions:
    host = row.get("host") or DEFAULTS["host"]
    port = row.get("port", 0)
    return AcceptorOptions(
        host=host,
        port=port,
        last_port=row.get("port_range", port),
        tls=_key_pair(row.get("tls"), {name.partition("@")[2], host}),
        cookie=row.get("cookie"),
        max_message_size=row.get("max_message_size"),
        flags=flags_of(row["flags"], flags) if "flags" in row else None,
        atom_mapping=row.get("atom_mapping") or {},
        registrar=registrar_of(row["registrar"]) if row.get("registrar") else None,
    )


def _key_pair(tls: Json, hostnames: set[str]) -> KeyPair | None:
    """The pair of a `tls` value: null or false is none, true and {} a certificate of our own making."""
    if tls is None or tls is False:
        return None
    if tls is True or not tls:
        return self_signed(sorted(hostnames))
    return load(tls["cert"], tls["key"])


def reload_certificates(node: Node, target: Mapping[str, Json]) -> None:
    """Reads the certificates of a node's acceptors again, which were opened for this target. UsageError changes nothing."""
    rows = target.get("acceptors") or [{"tls": target.get("tls")}]
    new = []
    acceptors = [] if node.network.stopped else node.network.acceptors
    for acceptor, row in zip(acceptors, rows, strict=False):  # a hidden node has none
        files = row.get("tls")
        if acceptor.certificates is not None and isinstance(files, Mapping) and files:
            new.append((acceptor.certificates, load(files["cert"], files["key"])))
    for certificates, pair in new:
        certificates.update(pair)


def flags_of(names: Mapping[str, bool], base: Flags = ehs.DEFAULT_FLAGS) -> Flags:
    """`base` with these switched on or off; names that nobody knows are ignored."""
    for name, on in names.items():
        flag = FLAGS.get(name, Flags(0))
        base = base | flag if on else base & ~flag
    return base


def _flags_in_force(flags: Flags) -> dict[str, bool]:
    return {name: flag in flags for name, flag in FLAGS.items()}


def ready(node: Node, target: Mapping[str, Json], agents: Supervisor | None = None) -> dict[str, Json]:
    """The READY object of a node that was started with `options_of(target)`, and its agents if it hosts them."""
    acceptors = [] if node.network.stopped else node.network.acceptors
    first = acceptors[0] if acceptors else None
    registrar = node.network.options.registrar
    config = {**DEFAULTS, **{key: target[key] for key in DEFAULTS if key in target}}
    config["insecure_skip_verify"] = node.network.options.insecure_skip_verify
    config |= {"cookie": node.network.cookie, "flags": _flags_in_force(node.network.options.announced_flags)}
    config["registrar_port"] = port = registrar.port if isinstance(registrar, EsrdRegistrar) else None
    if target.get("registrar"):
        config["registrar"] = {**target["registrar"], **({} if port is None else {"port": port})}
    if first is None:
        del config["pool"], config["host"], config["port"], config["tls"]  # only an acceptor has these
    else:
        config |= {"host": first.host, "port": first.port}
    if target.get("acceptors"):
        config["acceptors"] = [_acceptor_in_force(node, i, row) for i, row in enumerate(target["acceptors"])]
        config["tls"] = target["acceptors"][0].get("tls")
    fingerprint = first.fingerprint if first else None
    return {
        "name": node.name,
        "creation": node.creation,
        "cookie": node.network.cookie,
        "host": first.host if first else None,
        "port": first.port if first else None,
        "registrar_port": port,
        "tls": fingerprint is not None,
        "fingerprint_sha1": fingerprint.hex() if fingerprint else None,
        "pids": agents.pids if agents else {},
        "os_pid": os.getpid(),
        "offers": _offers(node, agents),
        "types": True,
        "config": config,
    }


def _offers(node: Node, agents: Supervisor | None) -> list[str]:
    registrar = node.network.options.registrar
    serves = isinstance(registrar, EsrdRegistrar) and registrar.serving
    return (
        ["accept"] * (not node.network.stopped and bool(node.network.acceptors))
        + ["agents"] * (agents is not None)
        + ["registrar"] * serves
    )


def _acceptor_in_force(node: Node, number: int, row: Mapping[str, Json]) -> dict[str, Json]:
    honoured = {key: row[key] for key in ACCEPTOR_KEYS if key in row}
    if not node.network.stopped and number < len(node.network.acceptors):
        honoured |= {"host": node.network.acceptors[number].host, "port": node.network.acceptors[number].port}
    if "flags" in row:
        honoured["flags"] = _flags_in_force(flags_of(row["flags"], node.network.options.announced_flags))
    return honoured
