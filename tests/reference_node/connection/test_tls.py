"""Acceptors and dialers over TLS (NAPI-ACC-5, -6, NAPI-OPT-9), over sockets of the loopback."""

import asyncio
import ssl
from pathlib import Path

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.reference_node.connection.tls import CertManager, self_signed
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from tests.support.network import acceptor, at, dial, echo, failure, forget, lan
from tests.support.nodes import run_as_process, transport_of
from tests.support.settings import make_node
from tests.support.sockets import HOST, port, socket_count

pytestmark = pytest.mark.real_loop

PAIR, OTHER = self_signed([HOST]), self_signed([HOST])


@pytest.mark.covers("NAPI-ACC-5: Acceptors: CertManager")
async def test_with_a_certificate_only_tls_is_spoken_and_the_route_says_so() -> None:
    """NAPI-ACC-5: plain TCP gets "EOF"."""
    async with lan() as start:
        a = await start("a")
        b = await start("b", acceptors=(acceptor(tls=PAIR),), registrar=EsrdRegistrar(port=0))
        assert await failure(dial(a, b, tls=False)) == "EOF"
        assert (await dial(a, b)).info.pool_size == socket_count(a, b) == 3
        registrar = b.network.registrar
        [route] = await registrar.resolver.resolve(b.name)
        assert route.TLS
        assert b.network.info.acceptors[0].tls
        await forget(a, b)
        assert await failure(dial(b, a, tls=True)) == "EOF"


@pytest.mark.covers("Options of the network: NodeOptions.CertManager")
async def test_the_certificate_of_the_node_is_that_of_acceptors_without_one() -> None:
    """NAPI-ACC-5: gen.NodeOptions.CertManager."""
    async with lan() as start:
        manager = CertManager(PAIR)
        b = await start("b", tls=manager, acceptors=(acceptor(), acceptor(tls=OTHER)))
        assert [each.fingerprint for each in b.network.acceptors] == [
            manager.fingerprint,
            CertManager(OTHER).fingerprint,
        ]
        a = await start("a")
        for each in b.network.acceptors:
            assert (await dial(a, b, port=each.port)).info.pool_size == 3
            await forget(a, b)
        manager.update(OTHER)
        assert len({each.fingerprint for each in b.network.acceptors}) == 1


@pytest.mark.covers("NAPI-ACC-5: Acceptors: CertManager.Update")
async def test_a_certificate_is_replaced_while_links_are_open() -> None:
    """CertManager.Update: open links stay, new ones are shown the new certificate; a wrong one changes nothing."""

    async def shown(node: Node) -> bytes | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection(HOST, port(node), ssl=context)
        certificate: bytes | None = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.transport.abort()
        return certificate

    async with lan() as start:
        manager = CertManager(PAIR)
        a, c, b = await start("a"), await start("c"), await start("b", acceptors=(acceptor(tls=manager),))
        echo(b)
        await dial(a, b)
        before = await shown(b)
        manager.update(OTHER)
        assert await shown(b) == ssl.PEM_cert_to_DER_cert(OTHER.certificate.decode()) != before
        assert await run_as_process(a, lambda it: it.call(at(b), "still here")) == "still here"
        assert (await dial(c, b)).info.pool_size == socket_count(c, b) == 3
        with pytest.raises(UsageError, match="not a certificate"):
            manager.update(PAIR._replace(key=b"no key"))
        assert await shown(b) == ssl.PEM_cert_to_DER_cert(OTHER.certificate.decode())


@pytest.mark.covers("NAPI-ACC-6")
async def test_nobody_is_asked_for_a_client_certificate() -> None:
    """NAPI-ACC-6."""
    async with lan() as start:
        a, b = await start("a"), await start("b", acceptors=(acceptor(tls=PAIR),))
        await dial(a, b)
        [link, *_] = b.network.connections[a.name].sockets
        tls = transport_of(link).get_extra_info("ssl_object")
        assert tls.context.verify_mode is ssl.CERT_NONE
        assert tls.getpeercert(binary_form=True) is None


@pytest.mark.covers("NAPI-OPT-9: Options of the network: InsecureSkipVerify", "NAPI-OPT-9: Options of the network: ca")
async def test_a_certificate_is_verified_unless_that_is_switched_off(tmp_path: Path) -> None:
    """NAPI-OPT-9: x509 error; a CA of one's own helps, or the switch."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(PAIR.certificate)
    async with lan() as start:
        b = await start("b", acceptors=(AcceptorOptions(host=HOST, port=0, tls=PAIR),))
        strict = await start("strict", insecure_skip_verify=False)
        assert await failure(dial(strict, b)) == "x509: self-signed certificate"
        trusting = await start("trusting", insecure_skip_verify=False, ca=str(ca))
        assert (await dial(trusting, b)).name == b.name
        lax = await start("lax", insecure_skip_verify=True)
        assert (await dial(lax, b)).name == b.name


@pytest.mark.covers("NAPI-OPT-9: Static routes: InsecureSkipVerify")
async def test_a_route_may_have_its_own_switch() -> None:
    """NAPI-OPT-9: upstream overwrites it with the node's."""
    async with lan() as start:
        b = await start("b", acceptors=(AcceptorOptions(host=HOST, port=0, tls=PAIR),))
        strict = await start("strict", insecure_skip_verify=False)
        lax = await start("lax", insecure_skip_verify=True)
        assert (await dial(strict, b, insecure_skip_verify=True)).name == b.name
        assert (await failure(dial(lax, b, insecure_skip_verify=False))).startswith("x509: ")


@pytest.mark.covers("NAPI-OPT-9: Options of the network: ca")
async def test_a_ca_that_cannot_be_read_is_said_at_the_start() -> None:
    """NAPI-OPT-9."""
    with pytest.raises(UsageError, match="cannot read the CA certificates"):
        make_node("a@localhost", ca="/nowhere/ca.pem")
