"""ERGO_TARGET, the settings with which a toolkit starts a node, and READY, the node's answer (docs/test-your-node.md)."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ...errors import UsageError
from ...model.ergo import agent_types, ehs, esrd, saturn
from ...model.ergo.ehs import Flags
from ..api import Registrar
from ..api.routes import NetworkRoute
from ..connection.tls import KeyPair, load, self_signed
from ..ergo.handshake import EhsHandshake
from ..node import Node
from ..options import AcceptorOptions, NetworkMode, NetworkOptions, NodeOptions
from ..registrars.esrd_client import EsrdRegistrar
from ..registrars.saturn_client import SaturnOptions, SaturnRegistrar
from .agent_operations import level_2, permit_remote_starts
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
"""Flags by their names in ERGO_TARGET: the flags that the node announces."""
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
"""The keys that this node honours, besides `acceptors`, and their defaults."""
ACCEPTOR_KEYS: Final = (
    "host", "port", "port_range", "tls", "cookie", "max_message_size", "flags", "atom_mapping", "registrar"
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """Options of a node. `routes`: static routes by the nodes' names."""

    name: str
    network: NetworkOptions
    node: NodeOptions
    routes: Mapping[str, NetworkRoute]

    def make_node(self, **arguments: Any) -> Node:
        """Makes a node that is not started. `arguments`: further ones of Node. UsageError."""
        node = Node(self.name, self.network, self.node, **arguments)
        for name, route in self.routes.items():
            node.network.add_route(f"^{re.escape(name)}$", route)
        return node


def config_of(target: Mapping[str, Json]) -> NodeConfig:
    """Reads a valid ERGO_TARGET object. UsageError for values that are not possible."""
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
        types=agent_types.ROWS,
        errors=(agent_types.CUSTOM_ERROR,),
    )
    routes = {name: route_of(text) for name, text in target["routes"].items()}
    return NodeConfig(name=target["name"], network=network, node=node, routes=routes)


def host_agents(node: Node, target: Mapping[str, Json]) -> Supervisor:
    """Starts the agents, and permits other nodes to start processes and applications."""
    permit_remote_starts(node.core, {**DEFAULTS, **target}["allowed"])
    return Supervisor(node.core, {**LEVEL_1, **level_2(node.core)})


def _registrar(target: Mapping[str, Json]) -> Registrar | None:
    """Makes the registrar of `registrar` or `registrar_port`. UsageError for an unknown kind."""
    row = target.get("registrar")
    if row:
        return registrar_of(row)
    port = target["registrar_port"]
    return None if port is None else EsrdRegistrar(port=port)


def registrar_of(row: Mapping[str, Json]) -> Registrar:
    """Makes a registrar. UsageError for an unknown kind."""
    host = row.get("host") or "localhost"
    match row.get("kind", "esrd"):
        case "esrd":
            return EsrdRegistrar(host=host, port=row.get("port", esrd.PORT), serve=row.get("serve", True))
        case "saturn":
            return SaturnRegistrar(SaturnOptions(
                token=row.get("token", ""), host=host, port=row.get("port", saturn.PORT),
                cluster=row.get("cluster", ""), skip_verify=row.get("skip_verify", True), ca=row.get("ca"),
            ))  # fmt: skip
    raise UsageError(f"unknown registrar kind {row['kind']!r} (supported: esrd, saturn)")


def route_of(text: str) -> NetworkRoute:
    """Parses a static route: `host:port` or `tls://host:port`. UsageError."""
    address = text.removeprefix("tls://")
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) == 0:
        raise UsageError(f"route {text!r} is malformed (expected: host:port or tls://host:port)")
    return NetworkRoute(host=host.strip("[]"), port=int(port), tls=text != address)


def _mode(text: str) -> NetworkMode:
    try:
        return NetworkMode(text)
    except ValueError:
        supported = ", ".join(mode.value for mode in NetworkMode)
        raise UsageError(f"unknown mode {text!r} (supported: {supported})") from None


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
    """Returns the pair of a `tls` value: none for null and false, a self-signed one for true and {}."""
    if tls is None or tls is False:
        return None
    if tls is True or not tls:
        return self_signed(sorted(hostnames))
    return load(tls["cert"], tls["key"])


def reload_certificates(node: Node, target: Mapping[str, Json]) -> None:
    """Reads the certificate files of the acceptors again. Changes nothing if one raises UsageError."""
    rows = target.get("acceptors") or [{"tls": target.get("tls")}]
    new = []
    acceptors = [] if node.network.stopped else node.network.acceptors
    for acceptor, row in zip(acceptors, rows, strict=False):  # a hidden node has no acceptors
        files = row.get("tls")
        if acceptor.certificates is not None and isinstance(files, Mapping) and files:
            new.append((acceptor.certificates, load(files["cert"], files["key"])))
    for certificates, pair in new:
        certificates.update(pair)


def flags_of(names: Mapping[str, bool], base: Flags = ehs.DEFAULT_FLAGS) -> Flags:
    """Returns `base` with these flags switched on or off; ignores unknown names."""
    for name, on in names.items():
        flag = FLAGS.get(name, Flags(0))
        base = base | flag if on else base & ~flag
    return base


def _flags_in_force(flags: Flags) -> dict[str, bool]:
    return {name: flag in flags for name, flag in FLAGS.items()}


def ready(node: Node, target: Mapping[str, Json], agents: Supervisor | None = None) -> dict[str, Json]:
    """Returns the READY object of a node that was started with `config_of(target)`."""
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
        del config["pool"], config["host"], config["port"], config["tls"]  # settings of an acceptor
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
