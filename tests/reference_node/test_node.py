"""Nodes over sockets on the loopback: connections, settings, invalid peers, and stop."""

import asyncio
import ssl
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Flags, Role, Version
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api import Deadlines
from ergo_conformance.reference_node.api.errors import ErgoError, HandshakeError, RefusedError
from ergo_conformance.reference_node.api.handshake import LocalIdentity, PeerInfo
from ergo_conformance.reference_node.connection import tls as certificates
from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.reference_node.ergo.handshake import EhsHandshake
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkMode
from tests.support.settings import LONG_DEADLINES, start_node
from tests.support.sockets import (
    ACCEPTORS,
    HOST,
    ME,
    RawPeer,
    dialer_session,
    eventually,
    port,
    running_nodes,
    socket_count,
)

pytestmark = pytest.mark.real_loop

PAIR = certificates.self_signed(["localhost", HOST])
TLS = (AcceptorOptions(host=HOST, port=0, tls=PAIR),)


@pytest.mark.covers("The network: connect")
async def test_two_nodes_connect() -> None:
    version = Version("app", "2")
    async with running_nodes("a", "b", max_message_size=9000, version=version) as (a, b):
        connection = await a.network.connect(HOST, port(b), name="b@localhost")
        await eventually(lambda: socket_count(b, a) == 3)
        assert connection is a.network.connections[b.name]
        peer = connection.peer
        assert (peer.role, peer.node, peer.creation) == (Role.DIALER, b.name, b.creation)
        assert (peer.version, peer.max_message_size, peer.flags) == (version, 9000, ehs.DEFAULT_FLAGS)
        assert (peer.pool_size, peer.pool_dsns) == (3, (f"{HOST}:{port(b)}",))
        assert peer.caches.atoms == {256: b.name}
        assert b.network.connections[a.name].peer.role is Role.ACCEPTOR


@pytest.mark.parametrize("acceptors", [ACCEPTORS, TLS])
@pytest.mark.parametrize("pool", [1, 3])
async def test_pools_in_both_directions(acceptors: Any, pool: int) -> None:
    options = {"acceptors": acceptors, "handshake": replace(LONG_DEADLINES, pool_size=pool)}
    async with running_nodes("a", "b", **options) as (a, b):
        for one, other in ((a, b), (b, a)):
            connection = await one.network.connect(HOST, port(other), tls=acceptors is TLS, name=str(other.name))
            assert len(connection.sockets) == pool
            await eventually(lambda: socket_count(a, b) == socket_count(b, a) == pool)
            one.network.table.drop(connection)
            await eventually(lambda: not a.network.connections and not b.network.connections)


async def test_another_cookie_is_closed_without_a_byte() -> None:
    async with running_nodes("a", cookie="other") as (a,), running_nodes("b") as (b,):
        with pytest.raises(HandshakeError, match="closed"):
            await a.network.connect(HOST, port(b))
        async with RawPeer.dial(b) as raw:
            raw.writer.write(dialer_session(replace(ME, cookie="other")).start())
            assert await raw.read_to_end() == b""
        assert not b.network.connections


async def test_a_node_without_a_cookie_has_a_random_one() -> None:
    async with running_nodes("a", "b", cookie="") as (a, b):
        assert len(a.network.cookie) == 16
        with pytest.raises(HandshakeError):
            await a.network.connect(HOST, port(b))


async def test_an_acceptor_has_its_own_settings() -> None:
    acceptor = AcceptorOptions(
        host=HOST, cookie="own", max_message_size=77, flags=Flags.ENABLE, handshake=replace(LONG_DEADLINES, pool_size=1)
    )
    async with running_nodes("a", cookie="own") as (a,), running_nodes("b", acceptors=(acceptor,)) as (b,):
        connection = await a.network.connect(HOST, port(b))
        peer = connection.peer
        assert (peer.max_message_size, peer.flags, peer.pool_size) == (77, Flags.ENABLE, 1)


class OtherFingerprint(EhsSession):
    """Acceptor whose TLS is terminated by a man in the middle."""

    def digest(self, kind: ehs.Digest) -> str:
        if kind.fingerprint:
            self.fingerprint = bytes(20)
        return super().digest(kind)


@pytest.mark.covers(
    "Options of the network: handshake.Options.DisableTLSFingerprint", "NAPI-ACC-5: Acceptors: CertManager"
)
async def test_the_handshake_binds_the_certificate() -> None:
    other_fingerprint = {"acceptors": TLS, "handshake": replace(LONG_DEADLINES, session_class=OtherFingerprint)}
    async with running_nodes("a") as (a,), running_nodes("b", **other_fingerprint) as (b,):
        with pytest.raises(HandshakeError, match="HELLO_CERT"):
            await a.network.connect(HOST, port(b), tls=True)
    without_check = replace(LONG_DEADLINES, disable_tls_fingerprint=True)
    async with running_nodes("a", handshake=without_check) as (a,), running_nodes("b", **other_fingerprint) as (b,):
        assert len((await a.network.connect(HOST, port(b), tls=True)).sockets) == 3


async def test_a_certificate_is_verified_against_a_ca(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(PAIR.certificate)
    other = certificates.self_signed([HOST])
    async with running_nodes("a") as (a,), running_nodes("b", acceptors=TLS) as (b,):
        await a.network.connect(HOST, port(b), tls=certificates.client_context(str(ca)))
    async with running_nodes("a") as (a,), running_nodes("b", acceptors=(replace(TLS[0], tls=other),)) as (b,):
        with pytest.raises(ssl.SSLCertVerificationError):
            await a.network.connect(HOST, port(b), tls=certificates.client_context(str(ca)))


async def test_plain_tcp_and_tls_do_not_connect() -> None:
    async with running_nodes("a") as (a,), running_nodes("b", acceptors=TLS) as (b,):
        with pytest.raises(HandshakeError):
            await a.network.connect(HOST, port(b))
        with pytest.raises(OSError, match=r".*"):
            await b.network.connect(HOST, port(a), tls=True)


@pytest.mark.covers("NAPI-ACC-7")
async def test_slow_peers_do_not_delay_others_and_are_closed() -> None:
    short_deadlines = EhsHandshake(deadlines=Deadlines(connect=60.0, read=0.5, handshake=0.8))
    beginnings = [b""] * 20 + [dialer_session().start()[:9]] * 5

    async def send_slowly(raw: RawPeer) -> None:
        for byte in dialer_session().start():
            raw.writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
            if raw.reader.at_eof():
                return
        raise AssertionError("the acceptor waited for the whole hello")

    async with AsyncExitStack() as stack, running_nodes("a", "b") as (a, b):
        for data in beginnings:
            raw = await stack.enter_async_context(RawPeer.dial(b))
            raw.writer.write(data)
        await eventually(lambda: b.network._sockets.accepting == 25)
        await a.network.connect(HOST, port(b))
        assert b.network._sockets.accepting == 25

    async with AsyncExitStack() as stack, running_nodes("b", handshake=short_deadlines) as (b,):
        peers = [await stack.enter_async_context(RawPeer.dial(b)) for _ in beginnings]
        slow_peer = await stack.enter_async_context(RawPeer.dial(b))
        for raw, data in zip(peers, beginnings, strict=True):
            raw.writer.write(data)
        slow = asyncio.create_task(send_slowly(slow_peer))
        await asyncio.gather(*(raw.read_to_end() for raw in peers))
        assert await slow_peer.read_to_end() == b""
        await slow
        assert not b.network.connections


async def test_half_open_peers_are_closed() -> None:
    async with running_nodes("b") as (b,):
        for data in (b"", dialer_session().start()[:9], dialer_session().start()):
            async with RawPeer.dial(b) as raw:
                raw.writer.write(data)
                raw.writer.write_eof()
                await raw.read_to_end()
        assert b.network._sockets.accepting == 0


@pytest.mark.parametrize("local", [replace(ME, name=Atom("")), replace(ME, creation=0)])
async def test_a_peer_without_a_name_or_creation_is_closed(local: LocalIdentity) -> None:
    async with running_nodes("b") as (b,), RawPeer.dial(b) as raw:
        assert isinstance(await raw.handshake(dialer_session(local)), PeerInfo)
        assert await raw.read_to_end() == b""
        assert not b.network.connections


async def test_a_peer_name_without_a_host_and_a_negative_creation_are_accepted() -> None:
    async with running_nodes("b") as (b,), RawPeer.dial(b) as raw:
        await raw.handshake(dialer_session(replace(ME, name=Atom("x"), creation=-1)))
        await eventually(lambda: "x" in b.network.connections)


async def test_a_peer_with_another_name_is_refused_by_the_dialer() -> None:
    async with running_nodes("a", "b") as (a, b):
        with pytest.raises(RefusedError, match="introduced itself"):
            await a.network.connect(HOST, port(b), name="c@localhost")
        await eventually(lambda: not b.network.connections)
        with pytest.raises(HandshakeError):
            await a.network.connect(HOST, port(a))
        assert not a.network.connections


@pytest.mark.covers("The network: stop_accepting")
async def test_stop_closes_everything() -> None:
    async with running_nodes("b") as (b,), RawPeer.dial(b) as idle, RawPeer.dial(b) as introduced:
        await introduced.handshake(dialer_session())
        await eventually(lambda: b.network.connections and b.network._sockets.accepting)
        closed_port = port(b)
        await b.stop()
        assert await idle.read_to_end() == await introduced.read_to_end() == b""
        assert not b.network.connections
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, closed_port)


async def test_stop_ends_a_pending_dial() -> None:
    async def listen_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with running_nodes("a") as (a,):
        server = await asyncio.start_server(listen_only, HOST, 0)
        async with server:
            dial = asyncio.create_task(a.network.connect(HOST, server.sockets[0].getsockname()[1], name="x@localhost"))
            await eventually(lambda: a.network._sockets.live)
            await a.stop()
            with pytest.raises(HandshakeError, match="has stopped"):
                await dial
            assert not a.network._sockets.live


async def test_connect_to_a_closed_port_raises() -> None:
    async with running_nodes("a", "b") as (a, b):
        closed_port = port(b)
        await b.stop()
        with pytest.raises(ConnectionRefusedError):
            await a.network.connect(HOST, closed_port, name="b@localhost")
        with pytest.raises(ErgoError, match="network stack is stopped"):
            await b.network.connect(HOST, port(a))


async def test_a_hidden_node_dials_without_acceptors() -> None:
    async with running_nodes("a", mode=NetworkMode.HIDDEN) as (a,), running_nodes("b") as (b,):
        assert a.network.acceptors == []
        await a.network.connect(HOST, port(b))


async def test_a_port_in_use_fails_the_start() -> None:
    async with running_nodes("b") as (b,):
        taken = AcceptorOptions(host=HOST, port=port(b), last_port=port(b))
        with pytest.raises(UsageError, match=rf"no available ports in range {port(b)}\.\.{port(b)}$"):
            await start_node("c@localhost", acceptors=(*ACCEPTORS, taken))
