"""The stack of a socket: handshake, proto, and the identity of this node.

Settings come from the node, and may be overridden by an acceptor or a route.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final, NamedTuple

from ...model.ergo.caches import Caches
from ...model.ergo.ehs import Flags, Version
from ...model.values import Atom
from ..api import NetworkHandshake, NetworkProto
from ..api.handshake import LocalIdentity, RandomHex
from ..options import NetworkOptions, enabled_flags

COOKIE_LENGTH: Final = 16
"""Characters of the random cookie of a node without one: no other node can connect."""
_NO_MAPPING: Final[Mapping[str, str]] = MappingProxyType({})


class Stack(NamedTuple):
    """Handshake, proto and identity of one socket."""

    handshake: NetworkHandshake
    proto: NetworkProto
    local: LocalIdentity


class StackFactory:
    """Makes the stacks of one node. Its attributes may be set at any time and apply to new sockets."""

    def __init__(
        self,
        name: Atom,
        creation: int,
        version: Version,
        options: NetworkOptions,
        caches: Caches,
        random_hex: RandomHex,
    ) -> None:
        """`version`: of the application.  `caches`: the ids in the bytes that we write."""
        self._name, self._creation, self._version = name, creation, version
        self._options, self._caches, self._random_hex = options, caches, random_hex
        self.cookie: str = options.cookie or random_hex(COOKIE_LENGTH)
        """The cookie of sockets without a cookie setting. An empty cookie admits no other node."""
        self.flags = options.announced_flags
        """The flags of sockets without a flags setting; without ENABLE those that the handshake supports."""
        self.max_message_size = options.max_message_size
        """Maximum bytes of a frame on sockets without a limit setting; 0: no limit."""

    def make(
        self,
        handshake: NetworkHandshake | None = None,
        proto: NetworkProto | None = None,
        *,
        cookie: str | None = None,
        flags: Flags | None = None,
        max_message_size: int | None = None,
        atom_mapping: Mapping[str, str] = _NO_MAPPING,
    ) -> Stack:
        """Returns a stack; None stands for the node's setting."""
        handshake, proto = handshake or self._options.handshake, proto or self._options.proto
        local = LocalIdentity(
            name=self._name,
            cookie=cookie or self.cookie or self._random_hex(COOKIE_LENGTH),
            creation=self._creation,
            version=self._version,
            flags=enabled_flags(flags) or self.flags_for(handshake),
            max_message_size=max(self.max_message_size if max_message_size is None else max_message_size, 0),
            caches=self._caches_with(atom_mapping),
            handshake_version=handshake.version,
            proto_version=proto.version,
        )
        return Stack(handshake, proto, local)

    def flags_for(self, handshake: NetworkHandshake) -> Flags:
        """Returns the flags that the node announces with a handshake."""
        return enabled_flags(self.flags) or handshake.network_flags

    def _caches_with(self, atom_mapping: Mapping[str, str]) -> Caches:
        if not atom_mapping:
            return self._caches
        mapping = {Atom(local): Atom(remote) for local, remote in atom_mapping.items()}
        return replace(self._caches, atom_mapping={**self._caches.atom_mapping, **mapping})
