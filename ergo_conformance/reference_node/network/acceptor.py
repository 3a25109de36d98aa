"""Acceptors: listening sockets and their settings."""

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from ...errors import UsageError
from ...model.ergo.ehs import Flags
from ...model.ergo.esrd import Route
from ..api import NetworkHandshake, NetworkProto
from ..api.info import AcceptorInfo
from ..connection.dial_errors import cause_of
from ..connection.listener import Listener, listen
from ..connection.socket_registry import SocketRegistry
from ..connection.tls import CertManager, manager_of
from ..options import AcceptorOptions, NetworkOptions
from .stack import Stack, StackFactory

MakeProtocol = Callable[["NodeAcceptor"], asyncio.Protocol]


@dataclass(eq=False, kw_only=True)
class NodeAcceptor:
    """A listening socket. `cookie`, `flags` and `max_message_size`: None is the node's setting; they may be set at any time
    and apply to new sockets (upstream keeps the values of the start, NAPI-ACC-4).
    """

    host: str
    port: int
    options: AcceptorOptions
    handshake: NetworkHandshake
    proto: NetworkProto
    certificates: CertManager | None
    cookie: str | None
    flags: Flags | None
    max_message_size: int | None
    server: Listener | None = field(default=None, repr=False)

    @classmethod
    def of(cls, options: AcceptorOptions, node: NetworkOptions, host: str, certificates: CertManager | None) -> Self:
        """Makes an acceptor that does not listen yet. `node`, `host`, `certificates`: defaults for missing settings."""
        return cls(
            host=options.host or host,
            port=options.port,
            options=options,
            handshake=options.handshake or node.handshake,
            proto=options.proto or node.proto,
            certificates=manager_of(options.tls) or certificates,
            cookie=options.cookie,
            flags=options.flags,
            max_message_size=options.max_message_size,
        )

    @property
    def fingerprint(self) -> bytes | None:
        """SHA-1 of the certificate; None without TLS."""
        return self.certificates.fingerprint if self.certificates else None

    @property
    def route(self) -> Route:
        """The route for registrars; the host is that of the node's name."""
        return Route("", self.port, self.certificates is not None, self.handshake.version, self.proto.version)

    def stack(self, stacks: StackFactory) -> Stack:
        """Returns the stack of a new socket."""
        return stacks.make(
            self.handshake, self.proto, cookie=self.cookie, flags=self.flags,
            max_message_size=self.max_message_size, atom_mapping=self.options.atom_mapping,
        )  # fmt: skip

    def info(self, stack: Stack) -> AcceptorInfo:
        """Returns a snapshot. `stack`: that of a new socket."""
        registrar = self.options.registrar
        return AcceptorInfo(
            interface=f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}",
            max_message_size=stack.local.max_message_size,
            flags=stack.local.flags,
            tls=self.certificates is not None,
            registrar=registrar.info if registrar else None,
            handshake_version=self.handshake.version,
            proto_version=self.proto.version,
        )

    async def listen(self, protocol: MakeProtocol, sockets: SocketRegistry) -> None:
        """Listens on the first free port of its range (NAPI-ACC-1). UsageError if there is none."""
        first, last = self.port, self.options.end
        context = self.certificates.context if self.certificates else None
        tls_timeout = self.handshake.deadlines.read
        for port in range(first, last + 1 if first else 1):
            try:
                self.server = await listen(self.host, port, sockets, lambda: protocol(self), context, tls_timeout)
            except (OSError, UnicodeError) as error:
                if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                    continue
                raise UsageError(f"cannot listen on {self.host}:{port}: {cause_of(error)}") from None
            self.port = self.server.port
            return
        raise UsageError(f"unable to assign requested address {self.host}: no available ports in range {first}..{last}")
