"""EsrdServer over sockets on the loopback."""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from ergo_conformance.model.ergo import esrd
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.ergo.esrd_client import ScriptedEsrdClient, open_resolver, route
from ergo_conformance.peers.sockets import PeerSocket, connect
from ergo_conformance.reference_node.registrars import esrd_client as registrar
from ergo_conformance.reference_node.registrars import esrd_server
from ergo_conformance.reference_node.registrars.esrd_server import EsrdServer
from ergo_conformance.reference_node.registrars.udp import WildcardSocket
from tests.support.ports import free_port
from tests.support.sockets import eventually

pytestmark = pytest.mark.real_loop

HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def running_server(port: int = 0) -> AsyncIterator[EsrdServer]:
    server = EsrdServer(port=port)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def connect_client(server: EsrdServer, name: str = "b@localhost") -> ScriptedEsrdClient:
    return ScriptedEsrdClient(await connect(HOST, server.port), random.Random(1), name)


def bind_socket(kind: socket.SocketKind, port: int) -> socket.socket:
    """Binds a socket of another program."""
    foreign = socket.socket(socket.AF_INET, kind)
    try:
        if kind is socket.SOCK_STREAM:  # closed connections do not keep the port
            foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        foreign.bind((HOST, port))
        if kind is socket.SOCK_STREAM:
            foreign.listen()
    except OSError:
        foreign.close()
        raise
    return foreign


async def test_the_server_uses_one_port_for_tcp_and_udp() -> None:
    async with running_server(free_port()) as server:
        assert server.port > 0
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with pytest.raises(OSError, match="in use"):
                bind_socket(kind, server.port)
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        bind_socket(kind, server.port).close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_failed_start_releases_the_other_port(kind: socket.SocketKind) -> None:
    port = free_port()
    with bind_socket(kind, port):
        with pytest.raises(OSError, match="in use"):
            await EsrdServer(port=port).start()
        other = socket.SOCK_DGRAM if kind is socket.SOCK_STREAM else socket.SOCK_STREAM
        bind_socket(other, port).close()
    async with running_server(port):
        pass


async def test_port_0_is_a_port_that_is_free_for_tcp_and_udp(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first port that is free for TCP may be taken for UDP."""
    refusals = iter([True, True, False])

    def fail_twice(port: int) -> WildcardSocket:
        if next(refusals):
            with bind_socket(socket.SOCK_DGRAM, port):
                return WildcardSocket(port)
        return WildcardSocket(port)

    monkeypatch.setattr(esrd_server, "WildcardSocket", fail_twice)
    async with running_server() as server:
        assert next(refusals, None) is None
        assert server.port


async def test_no_port_free_for_both_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def always_taken(port: int) -> WildcardSocket:
        with bind_socket(socket.SOCK_DGRAM, port):
            return WildcardSocket(port)

    monkeypatch.setattr(esrd_server, "WildcardSocket", always_taken)
    with pytest.raises(OSError, match="in use"):
        await EsrdServer(port=0).start()


@pytest.mark.parametrize("real_lookup", [True, False])
@pytest.mark.parametrize("steps", range(1, 5))
async def test_a_cancelled_start_releases_the_ports(
    monkeypatch: pytest.MonkeyPatch, real_lookup: bool, steps: int
) -> None:
    async def resolve_at_once(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (HOST, 0))]

    port = free_port()
    if not real_lookup:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve_at_once)
    server = EsrdServer(port=port)
    starting = asyncio.create_task(server.start())
    for _ in range(steps):
        await asyncio.sleep(0)
    starting.cancel()
    (outcome,) = await asyncio.gather(starting, return_exceptions=True)
    if outcome is not None:
        assert isinstance(outcome, asyncio.CancelledError)
        assert server._server is server._datagrams is None
    await server.stop()
    async with running_server(port):
        pass


# --- resolving --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
async def test_an_answer_has_the_address_of_the_request_as_source(address: str) -> None:
    """A connected UDP socket receives only from that address (ESRD-TR-5). Upstream's clients use ::1 if localhost is ::1."""
    if address == "::1" and not socket.has_dualstack_ipv6():
        address = HOST
    async with running_server() as server:
        server.table.register(Atom("a@localhost"), [route(1)])
        reply = await registrar.ask(address, server.port, Atom("a@localhost"))
        assert reply.Routes == [route(1)]


async def test_the_server_works_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    async with running_server() as server:
        for address in (HOST, "127.0.0.2"):
            reply = await registrar.ask(address, server.port, Atom("a@localhost"))
            assert reply.Error is not None


async def test_an_invalid_datagram_is_ignored_and_the_next_one_is_answered() -> None:
    async with running_server() as server:
        resolver = await open_resolver(HOST, server.port)
        for junk in (b"", b"\1\x2e\0\0", bytes(60_000)):
            resolver.send(junk)
        await resolver.resolve("a@localhost")
        assert await resolver.receive(0.02) is None
        resolver.close()


# --- registrations ----------------------------------------------------------------------------------------------------


ENDS: dict[str, Callable[[PeerSocket], None]] = {
    "closed": PeerSocket.close,
    "half_closed": PeerSocket.end_writing,
    "reset": PeerSocket.abort,
}


@pytest.mark.parametrize("ending", ENDS)
async def test_a_registration_ends_with_its_socket(ending: str) -> None:
    async with running_server() as server:
        client = await connect_client(server)
        await client.register()
        ENDS[ending](client.socket)
        await eventually(lambda: client.name not in server.table)
        await eventually(lambda: not server._sockets)
        again = await connect_client(server)
        await again.register()
        again.socket.abort()
        client.socket.abort()


async def test_a_silent_client_is_closed_after_the_register_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registered client stays: its time ends before that of the silent one."""
    monkeypatch.setattr(esrd, "REGISTER_TIMEOUT", 1.0)
    async with running_server() as server:
        good = await connect_client(server)
        await good.register()
        silent = await connect_client(server, "silent@localhost")
        await silent.expect_close(60.0, at_least=0.05)
        silent.socket.abort()
        await good.expect_open(0.05)
        assert good.name in server.table
        good.socket.abort()


async def test_a_refused_client_gets_the_reply_before_the_close() -> None:
    async with running_server() as server:
        first = await connect_client(server)
        await first.register()
        for _ in range(20):
            other = await connect_client(server)
            await other.refused("resource is taken", Routes=None)
            other.socket.abort()
        first.socket.abort()


async def test_stop_closes_all_sockets() -> None:
    async with running_server() as server:
        clients = [await connect_client(server, f"{n}@localhost") for n in range(3)]
        for client in clients:
            await client.register()
        silent = await connect_client(server, "silent@localhost")
        await server.stop()
        for client in (*clients, silent):
            await client.expect_close(60.0)
            client.socket.abort()
    await server.stop()  # a second time does nothing


async def test_accepted_sockets_use_tcp_keep_alive() -> None:
    async with running_server() as server:
        client = await connect_client(server)
        await client.register()
        (sock,) = server._sockets
        assert sock.transport is not None
        sock = sock.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == esrd.SERVER_KEEP_ALIVE
        client.socket.abort()
