"""A node that is already running: `tcp://HOST:PORT`, `tls://HOST:PORT`."""

import ssl
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any
from urllib.parse import urlsplit

from ..errors import UsageError
from ..peers.ergo.esrd_client import ScriptedResolver, open_resolver
from ..peers.ergo.handshake import TargetInfo
from ..peers.sockets import PeerSocket, connect
from ..peers.violation import UnreachableError
from ..reference_node.api.validation import MAX_PORT
from .base import ConfigNotSupportedError, RunningTarget, Target, TargetError, offers_of
from .options import TargetOptions


def client_context(ca_file: str | None) -> ssl.SSLContext:
    """TLS settings of a dialer. Only with a CA file is the certificate verified; the fingerprint always is (EHS)."""
    if ca_file is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # does not load the system's CAs, which would be slow
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--tls-ca {ca_file}: {error}") from None


def address_of(text: str | None) -> tuple[str, int] | None:
    """Host and port of `--registrar`; None without the option. UsageError for another form than HOST:PORT."""
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= MAX_PORT:
        raise UsageError(f"--registrar {text}: expected HOST:PORT")
    return host.strip("[]"), int(port)


@dataclass
class TcpRunningTarget(RunningTarget):
    """A running node behind an address."""

    _: KW_ONLY
    host: str
    port: int
    """Port of the acceptor; 0 if there is none."""
    context: ssl.SSLContext | None = None
    """TLS settings for the acceptor; None for plain TCP."""
    registrar: tuple[str, int] | None = None
    """Address of its registrar."""

    async def socket(self, label: str = "") -> PeerSocket:
        return await connect(self.host, self.port, self.context, label)

    async def registrar_socket(self, label: str = "") -> PeerSocket:
        if self.registrar is None:
            return await super().registrar_socket(label)
        return await connect(*self.registrar, None, label)

    async def resolver(self, label: str = "", host: str | None = None) -> ScriptedResolver:
        if self.registrar is None:
            return await super().resolver(label, host)
        return await open_resolver(host or self.registrar[0], self.registrar[1], label)

    async def saturn_socket(self, label: str = "") -> PeerSocket:
        if self.registrar is None or "saturn" not in self.offers:
            return await super().saturn_socket(label)
        return await connect(*self.registrar, client_context(None), label)


class TcpTarget(Target):
    """Attaches to a running node, which can't be configured or restarted."""

    restarts = False

    def __init__(
        self,
        text: str,
        *,
        cookie: str | None,
        node: str | None = None,
        tls_ca: str | None = None,
        offers: frozenset[str] | None = None,
        registrar: tuple[str, int] | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__(text)
        self.kind = text.partition(":")[0]
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if not host or not port or parts.path or parts.query:
            raise UsageError(f"{text!r} is not a valid target (expected {self.kind}://HOST:PORT)")
        if cookie is None:
            raise UsageError(f"{text}: --cookie is required, the cookie of the node under test")
        self.host, self.port = host, port
        self.context = client_context(tls_ca) if self.kind == "tls" else None
        self.target_info = TargetInfo(node or "", cookie)
        self.offers = offers
        self.registrar, self.token = registrar, token

    async def start(self, config: Mapping[str, Any]) -> RunningTarget:
        known = {"tls": self.context is not None, "cookie": self.target_info.cookie}
        for key, value in config.items():
            if key not in known:
                raise ConfigNotSupportedError(f"needs a target whose {key} can be set")
            if known[key] != value:
                raise ConfigNotSupportedError(
                    f"needs a {'TLS' if value else 'plain'} connection" if key == "tls" else f"needs another {key}"
                )
        offers = frozenset({"accept"}) if self.offers is None else self.offers
        if self.registrar:
            offers |= {"registrar"} if self.token is None else {"saturn"}
        running = TcpRunningTarget(
            self.target_info,
            self.context is not None,
            offers,
            known,
            token=self.token or "",
            agents_unknown=self.offers is None,
            host=self.host,
            port=self.port,
            context=self.context,
            registrar=self.registrar,
        )
        try:
            (await running.socket("first contact")).close()
        except UnreachableError as error:
            raise TargetError(f"{self.text}: {error}") from None
        return running


def create(options: TargetOptions) -> Target:
    """The target that the options name. UsageError if they are not valid."""
    return TcpTarget(
        options.target,
        cookie=options.cookie,
        node=options.node,
        tls_ca=options.tls_ca,
        offers=offers_of(options.offers),
        registrar=address_of(options.registrar),
        token=options.token,
    )
