"""Snapshots of a node's network: gen.NetworkInfo and its parts. Sizes in bytes, times in seconds."""

from dataclasses import dataclass

from ...model.ergo.ehs import Flags, Version
from ...model.ergo.saturn import ProxyRoute
from ...model.values import Atom
from .registrar import RegistrarInfo
from .routes import NetworkRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptorInfo:
    """gen.AcceptorInfo. `interface`: "host:port"; `registrar`: the acceptor's own one, None if it uses the node's."""

    interface: str
    max_message_size: int
    flags: Flags
    tls: bool
    registrar: RegistrarInfo | None
    handshake_version: Version
    proto_version: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteInfo:
    """A static route with its regular expression and weight."""

    match: str
    weight: int
    route: NetworkRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRouteInfo:
    """A static proxy route with its regular expression and weight."""

    match: str
    weight: int
    route: ProxyRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class EnabledInfo:
    """A factory or application that other nodes may start. No `nodes`: every node may, or with `closed` no node."""

    name: Atom
    nodes: tuple[Atom, ...]
    closed: bool
    behavior: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInfo:
    """gen.NetworkInfo. `mode`: a value of options.NetworkMode; `registrar`: None if the node has none."""

    mode: str
    registrar: RegistrarInfo | None
    acceptors: tuple[AcceptorInfo, ...]
    max_message_size: int
    handshake_version: Version
    proto_version: Version
    nodes: tuple[Atom, ...]
    routes: tuple[RouteInfo, ...]
    proxy_routes: tuple[ProxyRouteInfo, ...]
    flags: Flags
    enabled_spawn: tuple[EnabledInfo, ...]
    enabled_application_start: tuple[EnabledInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteNodeInfo:
    """gen.RemoteNodeInfo. Flags and `max_message_size` are the peer's; `pool_dsn` is known only to the dialer (NAPI-RN-2)."""

    node: Atom
    uptime: int
    connection_uptime: int
    version: Version
    handshake_version: Version
    proto_version: Version
    flags: Flags
    pool_size: int
    pool_dsn: tuple[str, ...]
    max_message_size: int
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    transit_bytes_in: int = 0
    transit_bytes_out: int = 0
