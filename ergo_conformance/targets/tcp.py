"""A node that runs already: `tcp://HOST:PORT`, `tls://HOST:PORT`."""

import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from ..errors import UsageError
from ..peers.ergo.esrd_client import ScriptedResolver, open_resolver
from ..peers.ergo.handshake import TargetInfo
from ..peers.sockets import Socket, connect
from ..peers.violation import UnreachableError
from .base import NotGivenError, Running, Target, TargetError


def client_context(ca_file: str | None) -> ssl.SSLContext:
    """TLS as a dialer speaks it: the fingerprint proves the peer; the PKI counts only if a CA is given."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--tls-ca {ca_file}: {error}") from None
    if ca_file is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class TcpRunning(Running):
    """Where to connect to."""

    host: str
    port: int
    context: ssl.SSLContext | None = None
    registrar: tuple[str, int] | None = None
    """Where its registrar listens."""

    async def registrar_socket(self, label: str = "") -> Socket:
        if self.registrar is None:
            return await super().registrar_socket(label)
        return await connect(*self.registrar, None, label)

    async def resolver(self, label: str = "", host: str | None = None) -> ScriptedResolver:
        if self.registrar is None:
            return await super().resolver(label, host)
        return await open_resolver(host or self.registrar[0], self.registrar[1], label)

    async def saturn_socket(self, label: str = "") -> Socket:
        if self.registrar is None or "saturn" not in self.offers:
            return await super().saturn_socket(label)
        return await connect(*self.registrar, client_context(None), label)

    async def socket(self, label: str = "") -> Socket:
        return await connect(self.host, self.port, self.context, label)


def reach(
    host: str,
    port: int,
    target_info: TargetInfo,
    *,
    context: ssl.SSLContext | None,
    offers: frozenset[str],
    config: Mapping[str, Any],
) -> TcpRunning:
    """A target behind an address."""
    running = TcpRunning(target_info, context is not None, offers, config)
    running.host, running.port, running.context = host, port, context
    return running


class TcpTarget(Target):
    """Attaches to what is there; can't be configured."""

    restarts = False

    def __init__(
        self,
        spelled: str,
        *,
        cookie: str | None,
        node: str | None,
        tls_ca: str | None,
        offers: frozenset[str] | None,
        registrar: tuple[str, int] | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__(spelled)
        self.kind = spelled.partition(":")[0]
        try:
            parts = urlsplit(spelled)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if not host or not port or parts.path or parts.query:
            raise UsageError(f"{spelled}: a target of this kind is written {self.kind}://HOST:PORT")
        if cookie is None:
            raise UsageError(f"{spelled}: --cookie is needed, the cookie of the node under test")
        self.host, self.port = host, port
        self.context = client_context(tls_ca) if self.kind == "tls" else None
        self.target_info = TargetInfo(node or "", cookie)
        self.offers = offers
        self.registrar, self.token = registrar, token

    async def start(self, config: Mapping[str, Any]) -> Running:
        known = {"tls": self.context is not None, "cookie": self.target_info.cookie}
        for key, value in config.items():
            if key not in known:
                raise NotGivenError(f"needs a target whose {key} can be set")
            if known[key] != value:
                raise NotGivenError(
                    f"needs a {'TLS' if value else 'plain'} connection" if key == "tls" else f"needs another {key}"
                )
        offers = frozenset({"accept"}) if self.offers is None else self.offers
        running = reach(self.host, self.port, self.target_info, context=self.context, offers=offers, config=known)
        running.asks_for_agents = self.offers is None
        running.registrar = self.registrar
        if self.registrar:
            running.offers |= {"registrar"} if self.token is None else {"saturn"}
        running.token = self.token or ""
        try:
            (await running.socket("first contact")).close()
        except UnreachableError as error:
            raise TargetError(f"{self.spelled}: {error}") from None
        return running
