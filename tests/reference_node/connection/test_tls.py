"""Acceptors and dialers over TLS (NAPI-ACC-5, -6, NAPI-OPT-9), over sockets on the loopback."""

import asyncio
import ssl
from pathlib import Path

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.reference_node.connection.tls import CertManager, self_signed
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from tests.support.consumers import error_text
from tests.support.loopback_nodes import (
    dial,
    disconnect,
    loopback_acceptor,
    node_starter,
    process_id,
    spawn_echo,
)
from tests.support.nodes import run_as_process, transport_of
from tests.support.settings import make_node
from tests.support.sockets import HOST, port, socket_count

pytestmark = pytest.mark.real_loop

PAIR, OTHER = self_signed([HOST]), self_signed([HOST])


@pytest.mark.covers("NAPI-ACC-5: Acceptors: CertManager")
async def test_an_acceptor_with_a_certificate_accepts_only_tls() -> None:
    """NAPI-ACC-5: its route says TLS; a dial without TLS gets "EOF"."""
    async with node_starter() as start:
        a = await start("a")
        b = await start("b", acceptors=(loopback_acceptor(tls=PAIR),), registrar=EsrdRegistrar(port=0))
        assert await error_text(dial(a, b, tls=False)) == "EOF"
        assert (await dial(a, b)).info.pool_size == socket_count(a, b) == 3
        registrar = b.network.registrar
        [route] = await registrar.resolver.resolve(b.name)
        assert route.TLS
        assert b.network.info.acceptors[0].tls
        await disconnect(a, b)
        assert await error_text(dial(b, a, tls=True)) == "EOF"


@pytest.mark.covers("Options of the network: NodeOptions.CertManager")
async def test_acceptors_without_a_certificate_use_the_nodes() -> None:
    """NAPI-ACC-5: gen.NodeOptions.CertManager."""
    async with node_starter() as start:
        manager = CertManager(PAIR)
        b = await start("b", tls=manager, acceptors=(loopback_acceptor(), loopback_acceptor(tls=OTHER)))
        assert [each.fingerprint for each in b.network.acceptors] == [
            manager.fingerprint,
            CertManager(OTHER).fingerprint,
        ]
        a = await start("a")
        for each in b.network.acceptors:
            assert (await dial(a, b, port=each.port)).info.pool_size == 3
            await disconnect(a, b)
        manager.update(OTHER)
        assert len({each.fingerprint for each in b.network.acceptors}) == 1


@pytest.mark.covers("NAPI-ACC-5: Acceptors: CertManager.Update")
async def test_an_update_of_the_certificate_applies_to_new_sockets() -> None:
    """CertManager.Update: open sockets stay; an invalid certificate changes nothing."""

    async def presented_certificate(node: Node) -> bytes | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection(HOST, port(node), ssl=context)
        certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return certificate

    async with node_starter() as start:
        manager = CertManager(PAIR)
        a, c, b = await start("a"), await start("c"), await start("b", acceptors=(loopback_acceptor(tls=manager),))
        spawn_echo(b)
        await dial(a, b)
        before = await presented_certificate(b)
        manager.update(OTHER)
        assert await presented_certificate(b) == ssl.PEM_cert_to_DER_cert(OTHER.certificate.decode()) != before
        assert await run_as_process(a, lambda it: it.call(process_id(b), "still here")) == "still here"
        assert (await dial(c, b)).info.pool_size == socket_count(c, b) == 3
        with pytest.raises(UsageError, match="not a certificate"):
            manager.update(PAIR._replace(key=b"no key"))
        assert await presented_certificate(b) == ssl.PEM_cert_to_DER_cert(OTHER.certificate.decode())


@pytest.mark.covers("NAPI-ACC-6")
async def test_no_client_certificate_is_requested() -> None:
    """NAPI-ACC-6."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b", acceptors=(loopback_acceptor(tls=PAIR),))
        await dial(a, b)
        [sock, *_] = b.network.connections[a.name].sockets
        tls = transport_of(sock).get_extra_info("ssl_object")
        assert tls.context.verify_mode is ssl.CERT_NONE
        assert tls.getpeercert(binary_form=True) is None


@pytest.mark.covers("NAPI-OPT-9: Options of the network: InsecureSkipVerify", "NAPI-OPT-9: Options of the network: ca")
async def test_a_certificate_is_verified_unless_skip_verify_is_set(tmp_path: Path) -> None:
    """NAPI-OPT-9: otherwise the dial fails with "x509: …", unless the CA is configured."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(PAIR.certificate)
    async with node_starter() as start:
        b = await start("b", acceptors=(AcceptorOptions(host=HOST, port=0, tls=PAIR),))
        strict = await start("strict", insecure_skip_verify=False)
        assert await error_text(dial(strict, b)) == "x509: self-signed certificate"
        trusting = await start("trusting", insecure_skip_verify=False, ca=str(ca))
        assert (await dial(trusting, b)).name == b.name
        lax = await start("lax", insecure_skip_verify=True)
        assert (await dial(lax, b)).name == b.name


@pytest.mark.covers("NAPI-OPT-9: Static routes: InsecureSkipVerify")
async def test_skip_verify_of_a_route_overrides_the_nodes() -> None:
    """NAPI-OPT-9: upstream uses the node's."""
    async with node_starter() as start:
        b = await start("b", acceptors=(AcceptorOptions(host=HOST, port=0, tls=PAIR),))
        strict = await start("strict", insecure_skip_verify=False)
        lax = await start("lax", insecure_skip_verify=True)
        assert (await dial(strict, b, insecure_skip_verify=True)).name == b.name
        assert (await error_text(dial(lax, b, insecure_skip_verify=False))).startswith("x509: ")


@pytest.mark.covers("NAPI-OPT-9: Options of the network: ca")
async def test_an_unreadable_ca_is_a_usage_error() -> None:
    """NAPI-OPT-9."""
    with pytest.raises(UsageError, match="cannot read the CA certificates"):
        make_node("a@localhost", ca="/nowhere/ca.pem")
