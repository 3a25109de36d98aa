"""What a node tells of its network: gen.NetworkInfo and what it is made of. Sizes in bytes, times in seconds."""

from dataclasses import dataclass

from ...model.ergo.ehs import Flags, Version
from ...model.ergo.saturn import ProxyRoute
from ...model.values import Atom
from ..core.permissions import Permission
from ..network.static_routes import NetworkRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrarInfo:
    """gen.RegistrarInfo. `server`: "host:port", empty if the node registers nowhere; `embedded`: our node is that server."""

    server: str
    embedded: bool
    version: Version
    register_proxy: bool = False
    register_application: bool = False
    config: bool = False
    event: bool = False


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
    """A static route and what it matches."""

    match: str
    weight: int
    route: NetworkRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRouteInfo:
    """A static proxy route and what it matches."""

    match: str
    weight: int
    route: ProxyRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Enabled:
    """What other nodes may start here; without `nodes` everybody may, unless `closed`."""

    name: Atom
    nodes: tuple[Atom, ...]
    closed: bool
    behavior: str = ""

    @classmethod
    def of(cls, name: Atom, permission: Permission, behavior: str = "") -> "Enabled":
        """The list of a factory or an application."""
        return cls(name=name, nodes=tuple(permission.nodes), closed=permission.closed, behavior=behavior)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInfo:
    """gen.NetworkInfo. `mode`: as options.Mode; `registrar`: None if the node has none."""

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
    enabled_spawn: tuple[Enabled, ...]
    enabled_application_start: tuple[Enabled, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteNodeInfo:
    """gen.RemoteNodeInfo. Flags and `max_message_size` are the peer's; `pool_dsn` only who dialed knows (NAPI-RN-2)."""

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
