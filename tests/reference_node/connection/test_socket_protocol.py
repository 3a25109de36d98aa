"""SocketProtocol over in-memory transports on the virtual loop: deadlines are exact."""

import asyncio
from itertools import count
from typing import Any

import pytest

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Role
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.memory import MemoryTransport, join_protocols
from ergo_conformance.reference_node.api import PooledConnection
from ergo_conformance.reference_node.api.errors import HandshakeError, RefusedError
from ergo_conformance.reference_node.api.handshake import ConnectionRef, JoinedSocket, LocalIdentity
from ergo_conformance.reference_node.connection import socket_registry
from ergo_conformance.reference_node.connection.socket_protocol import SocketProtocol
from ergo_conformance.reference_node.connection.tcp import SocketAddress
from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.reference_node.ergo.handshake import EhsHandshake
from ergo_conformance.reference_node.node import Node
from tests.support.settings import settings_of

FINGERPRINT = bytes(range(20))


def attach(protocol: SocketProtocol) -> MemoryTransport:
    transport = MemoryTransport(protocol)
    protocol.connection_made(transport)
    return transport


def make(name: str, **more: Any) -> Node:
    tokens = count(1)
    wanted = settings_of(name, cookie="c", **more)
    return wanted.make_node(clock=lambda: 7.9, random_hex=lambda n: f"{next(tokens):0{n}x}")


async def run_loop() -> None:
    """Runs the loop until both ends have written and read."""
    for _ in range(4):
        await asyncio.sleep(0)


def hello() -> bytes:
    local = LocalIdentity(name=Atom("x@y"), cookie="c", creation=1, version=ehs.Version())
    return EhsSession(Role.DIALER, local, lambda n: "0" * n).start()


def join(name: str, connection_id: str) -> bytes:
    local = LocalIdentity(name=Atom(name), cookie="c", creation=1, version=ehs.Version())
    return EhsSession(Role.DIALER, local, lambda n: "0" * n, joining=ConnectionRef(Atom("?"), connection_id)).start()


async def connect_pair(a: Node, b: Node, **more: Any) -> tuple[PooledConnection, MemoryTransport, MemoryTransport]:
    dials = a.network.dialer_protocol(**more)
    ends = join_protocols(dials, b.network.acceptor_protocol(fingerprint=more.get("fingerprint")))
    assert dials.outcome is not None
    return await dials.outcome, *ends


@pytest.mark.covers("The network: acceptor_protocol")
@pytest.mark.parametrize("fingerprint", [None, FINGERPRINT])
async def test_two_nodes_connect_in_memory(fingerprint: bytes | None) -> None:
    a, b = make("a@h"), make("b@h")
    connection, *_ = await connect_pair(a, b, fingerprint=fingerprint)
    assert connection is a.network.connections[Atom("b@h")]
    assert (connection.peer.creation, connection.peer.connection_id) == (7, f"{2:032x}")
    await asyncio.sleep(100)  # an open connection may be silent
    assert list(b.network.connections) == ["a@h"]
    await a.stop()
    await b.stop()
    assert not a.network.connections
    assert not b.network.connections


async def test_different_fingerprints_fail_the_handshake() -> None:
    a, b = make("a@h"), make("b@h")
    dials = a.network.dialer_protocol(fingerprint=bytes(20))
    join_protocols(dials, b.network.acceptor_protocol(fingerprint=FINGERPRINT))
    assert dials.outcome is not None
    with pytest.raises(HandshakeError, match="HELLO_CERT"):
        await dials.outcome


async def test_a_silent_peer_is_closed_after_the_read_deadline() -> None:
    transport = attach(make("b@h").network.acceptor_protocol())
    await asyncio.sleep(ehs.READ_TIMEOUT - 0.01)
    transport.arrive(b"\x57")
    await asyncio.sleep(5)
    assert transport.closed_at == pytest.approx(2 * ehs.READ_TIMEOUT - 0.01)
    assert transport.unread == b""


async def test_a_slow_peer_is_closed_after_the_handshake_deadline() -> None:
    transport = attach(make("b@h").network.acceptor_protocol())
    for byte in hello():
        await asyncio.sleep(0.7)
        transport.arrive(bytes([byte]))
    assert transport.closed_at == pytest.approx(ehs.HANDSHAKE_TIMEOUT)


async def test_a_peer_that_is_silent_after_hello_is_closed_after_the_read_deadline() -> None:
    transport = attach(make("b@h").network.acceptor_protocol())
    transport.arrive(hello())
    await asyncio.sleep(5)
    assert transport.closed_at == pytest.approx(ehs.READ_TIMEOUT)
    assert transport.unread


async def test_an_invalid_frame_closes_the_socket_without_an_answer() -> None:
    transport = attach(make("b@h").network.acceptor_protocol())
    transport.protocol.data_received(b"\x57\x01\x00\x01\x00\x00")
    transport.protocol.data_received(hello())
    assert (transport.unread, transport.closed_at) == (b"", 0)


async def test_the_oldest_handshakes_are_closed_above_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_registry, "MAX_HANDSHAKES", 3)
    b = make("b@h")
    transports = [attach(b.network.acceptor_protocol()) for _ in range(5)]
    assert [transport.is_closing() for transport in transports] == [True, True, False, False, False]
    await b.stop()
    assert all(transport.is_closing() for transport in transports)


async def test_a_socket_may_join_before_the_first_handshake_is_finished() -> None:
    a, b = make("a@h"), make("b@h")
    dials, accepts = a.network.dialer_protocol(), b.network.acceptor_protocol()
    first, last = MemoryTransport(dials), MemoryTransport(accepts)
    last.other = first
    accepts.connection_made(last)
    dials.connection_made(first)  # the test delivers the bytes of a
    await run_loop()
    last.arrive(first.unread)
    await run_loop()
    before = len(first.unread)
    last.arrive(first.unread[len(hello()) :])
    await run_loop()
    assert dials.outcome is not None
    peer = (await dials.outcome).peer
    _, _, second = await connect_pair(a, b, joining=ConnectionRef(peer.node, peer.connection_id))
    assert not b.network.connections
    last.arrive(first.unread[before:])
    assert len(b.network.connections[Atom("a@h")].sockets) == 2
    last.close()
    await asyncio.sleep(0)
    assert not second.is_closing()


async def test_joined_sockets_are_closed_when_the_first_handshake_fails() -> None:
    a, b = make("a@h"), make("b@h")
    dials, accepts = a.network.dialer_protocol(), b.network.acceptor_protocol()
    first, last = MemoryTransport(dials), MemoryTransport(accepts)
    last.other = first
    accepts.connection_made(last)
    dials.connection_made(first)
    for _ in range(2):
        await run_loop()
        sent, first.unread = first.unread, b""
        last.arrive(sent)
    await run_loop()
    assert dials.outcome is not None
    peer = (await dials.outcome).peer
    _, _, second = await connect_pair(a, b, joining=ConnectionRef(peer.node, peer.connection_id))
    await asyncio.sleep(5)  # the test does not deliver the last message
    assert last.closed_at == pytest.approx(ehs.READ_TIMEOUT)
    assert second.is_closing()
    assert not b.network.connections


async def test_only_the_dialer_of_the_first_socket_may_join() -> None:
    a, b = make("a@h"), make("b@h")
    connection, *_ = await connect_pair(a, b)
    await asyncio.sleep(1)
    transport = attach(a.network.acceptor_protocol())
    transport.arrive(join("b@h", connection.peer.connection_id))
    assert not transport.unread
    assert transport.is_closing()
    with pytest.raises(RefusedError, match="does not exist"):
        b.network.table.join(
            b.network.dialer_protocol(), JoinedSocket(Role.DIALER, Atom("a@h"), connection.peer.connection_id)
        )
    assert len(connection.sockets) == 1


async def test_sockets_above_the_pool_size_are_refused() -> None:
    a, b = make("a@h"), make("b@h", handshake=EhsHandshake(pool_size=2))
    connection, *_ = await connect_pair(a, b)
    await asyncio.sleep(1)
    joining = ConnectionRef(Atom("b@h"), connection.peer.connection_id)
    for size in (2, 3):
        await connect_pair(a, b, joining=joining)
        assert len(b.network.connections[Atom("a@h")].sockets) == size
    dials = a.network.dialer_protocol(joining=joining)
    with pytest.raises(RefusedError, match="is full: 3 sockets"):
        a.network.table.join(dials, JoinedSocket(Role.DIALER, *joining))
    transport = attach(b.network.acceptor_protocol())
    transport.arrive(join("a@h", joining.connection_id))
    assert not transport.unread  # a dialer that gets an Accept joins again at once (ENP-RED-3)
    assert transport.is_closing()


@pytest.mark.parametrize(
    ("dsn", "address"),
    [
        ("127.0.0.1:80", SocketAddress("127.0.0.1", 80)),
        ("[::1]:65535", SocketAddress("::1", 65_535)),
        ("host:0", None),
        ("host:65536", None),
        ("host:000080", None),
        ("host:\u0661", None),
        (":80", None),
        ("host", None),
        ("", None),
    ],
)
def test_parse_an_announced_address(dsn: str, address: SocketAddress | None) -> None:
    assert SocketAddress.parse(dsn, None) == address
