"""Acceptors: listening sockets, and what each of them says of its node."""

import asyncio
import errno
from collections.abc import Callable
from dataclasses import dataclass, field

from ...errors import UsageError
from ...model.ergo.ehs import Flags
from ...model.ergo.esrd import Route
from ..api import NetworkHandshake, NetworkProto
from ..api.info import AcceptorInfo
from ..connection import link as transport
from ..connection.tls import CertManager, manager_of
from ..options import AcceptorOptions
from .dialer import Stack, why

MakeProtocol = Callable[["Acceptor"], asyncio.Protocol]


@dataclass(eq=False, kw_only=True)
class Acceptor:
    """A listening socket. `cookie`, `flags` and `max_message_size`: None is the node's; they may be set at any time and count
    from the next link on (upstream keeps what it began with, NAPI-ACC-4).
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
    server: asyncio.Server | None = field(default=None, repr=False)

    @property
    def fingerprint(self) -> bytes | None:
        """SHA-1 of the certificate, None without TLS."""
        return self.certificates.fingerprint if self.certificates else None

    @property
    def route(self) -> Route:
        """What registrars are told; the host is that of the node's name."""
        tls = self.certificates is not None
        return Route("", self.port, tls, self.handshake.version(), self.proto.version())

    def info(self, stack: Stack) -> AcceptorInfo:
        """`stack`: what a link gets here."""
        registrar = self.options.registrar
        return AcceptorInfo(
            interface=f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}",
            max_message_size=stack.local.max_message_size,
            flags=stack.local.flags,
            tls=self.certificates is not None,
            registrar=registrar.info() if registrar else None,
            handshake_version=self.handshake.version(),
            proto_version=self.proto.version(),
        )


def new_acceptor(
    options: AcceptorOptions,
    host: str,
    handshake: NetworkHandshake,
    proto: NetworkProto,
    certificates: CertManager | None,
) -> Acceptor:
    """An acceptor that does not listen yet; the rest is what stands for a setting that it has not got."""
    return Acceptor(
        host=options.host or host,
        port=options.port,
        options=options,
        handshake=options.handshake or handshake,
        proto=options.proto or proto,
        certificates=manager_of(options.tls) or certificates,
        cookie=options.cookie,
        flags=options.flags,
        max_message_size=options.max_message_size,
    )


async def listen(acceptor: Acceptor, protocol: MakeProtocol) -> None:
    """Opens it on the first free port of its range (NAPI-ACC-1). UsageError if there is none."""
    first, last = acceptor.port, acceptor.options.end
    context = acceptor.certificates.context if acceptor.certificates else None
    for port in range(first, last + 1 if first else 1):
        try:
            server = await transport.listen(lambda: protocol(acceptor), acceptor.host, port, context)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise UsageError(f"cannot listen on {acceptor.host}:{port}: {why(error)}") from None
        except UnicodeError as error:
            raise UsageError(f"cannot listen on {acceptor.host}:{port}: {why(error)}") from None
        acceptor.server, acceptor.port = server, server.sockets[0].getsockname()[1]
        return
    raise UsageError(f"unable to assign requested address {acceptor.host}: no available ports in range {first}..{last}")
