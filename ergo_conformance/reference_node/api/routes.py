"""Static routes (gen.NetworkRoute)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...model.ergo.ehs import Flags, Version
from .handshake import NO_VERSION
from .registrar import Resolver
from .validation import MAX_PORT, check_cookie, check_mapping, check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRoute:
    """Static route: address and stack of a node. None or an empty value stands for the node's own setting.

    `host`: empty is the host part of the wanted name (NAPI-CON-8); port 0 is no address.  `handshake_version` and
    `proto_version` choose one of the node's stacks by name and release.  `resolver` finds host, port, TLS and versions, in
    place of those given here.  `atom_mapping`: local atoms to the peer's atoms.  `insecure_skip_verify`: whether TLS
    accepts any certificate (upstream overwrites it with the node's setting, NAPI-OPT-9).
    """

    host: str = ""
    port: int = 0
    tls: bool = False
    handshake_version: Version = NO_VERSION
    proto_version: Version = NO_VERSION
    resolver: Resolver | None = None
    cookie: str | None = None
    flags: Flags | None = None
    atom_mapping: Mapping[str, str] = field(default_factory=dict)
    insecure_skip_verify: bool | None = None

    def __post_init__(self) -> None:
        check_range("port", self.port, 0, MAX_PORT)
        check_cookie(self.cookie)
        check_mapping(self.atom_mapping)
