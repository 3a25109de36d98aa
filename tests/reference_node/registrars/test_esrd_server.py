"""The registrar's server over real sockets of the loopback."""

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
from tests.support.sockets import eventually

pytestmark = pytest.mark.real_loop

HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def serving(port: int = 0) -> AsyncIterator[EsrdServer]:
    server = EsrdServer(port=port)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def registrant(server: EsrdServer, name: str = "b@localhost") -> ScriptedEsrdClient:
    return ScriptedEsrdClient(await connect(HOST, server.port), random.Random(1), name)


def taken(kind: socket.SocketKind, port: int = 0) -> socket.socket:
    """A foreign program's socket."""
    foreign = socket.socket(socket.AF_INET, kind)
    try:
        foreign.bind((HOST, port))
        if kind is socket.SOCK_STREAM:
            foreign.listen()
    except OSError:
        foreign.close()
        raise
    return foreign


async def test_one_port_for_both() -> None:
    async with serving() as server:
        assert server.port > 0
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with pytest.raises(OSError, match="in use"):
                taken(kind, server.port)
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        taken(kind, server.port).close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_if_one_port_is_taken_the_other_one_is_not_held(kind: socket.SocketKind) -> None:
    with taken(kind) as foreign:
        port = foreign.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await EsrdServer(port=port).start()
        other = socket.SOCK_DGRAM if kind is socket.SOCK_STREAM else socket.SOCK_STREAM
        taken(other, port).close()
    async with serving(port):
        pass


async def test_any_free_port_is_one_that_is_free_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first port that is free for TCP may be taken for UDP."""
    refusals = iter([True, True, False])

    def sometimes(port: int) -> WildcardSocket:
        if next(refusals):
            with taken(socket.SOCK_DGRAM, port):
                return WildcardSocket(port)
        return WildcardSocket(port)

    monkeypatch.setattr(esrd_server, "WildcardSocket", sometimes)
    async with serving() as server:
        assert next(refusals, None) is None
        assert server.port


async def test_no_port_is_free_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(port: int) -> WildcardSocket:
        with taken(socket.SOCK_DGRAM, port):
            return WildcardSocket(port)

    monkeypatch.setattr(esrd_server, "WildcardSocket", never)
    with pytest.raises(OSError, match="in use"):
        await EsrdServer(port=0).start()


@pytest.mark.parametrize("looks_up", [True, False])
@pytest.mark.parametrize("steps", range(1, 5))
async def test_who_is_cancelled_while_starting_holds_nothing(
    monkeypatch: pytest.MonkeyPatch, looks_up: bool, steps: int
) -> None:
    async def at_once(*_: object, **__: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (HOST, 0))]

    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    if not looks_up:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", at_once)
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
    async with serving(port):
        pass


# --- resolving --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
async def test_an_answer_comes_from_the_address_that_was_asked(address: str) -> None:
    """A connected socket hears nobody else (ESRD-TR-5). Where localhost is ::1, upstream's clients ask there."""
    if address == "::1" and not socket.has_dualstack_ipv6():
        address = HOST
    async with serving() as server:
        server.table.register(Atom("a@localhost"), [route(1)])
        reply = await registrar.ask(address, server.port, Atom("a@localhost"))
        assert reply.Routes == [route(1)]


async def test_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    async with serving() as server:
        for address in (HOST, "127.0.0.2"):
            reply = await registrar.ask(address, server.port, Atom("a@localhost"))
            assert reply.Error is not None


async def test_what_is_no_request_is_not_answered_and_the_next_one_is() -> None:
    async with serving() as server:
        resolver = await open_resolver(HOST, server.port)
        for junk in (b"", b"\1\x2e\0\0", bytes(60_000)):
            resolver.send(junk)
        await resolver.resolve("a@localhost")
        assert await resolver.receive(0.02) is None
        resolver.close()


# --- leases -----------------------------------------------------------------------------------------------------------


ENDS: dict[str, Callable[[PeerSocket], None]] = {
    "closed": PeerSocket.close,
    "half_closed": PeerSocket.end_writing,
    "reset": PeerSocket.abort,
}


@pytest.mark.parametrize("how", ENDS)
async def test_a_lease_ends_with_its_link(how: str) -> None:
    async with serving() as server:
        client = await registrant(server)
        await client.register()
        ENDS[how](client.socket)
        await eventually(lambda: client.name not in server.table)
        await eventually(lambda: not server._sockets)
        again = await registrant(server)
        await again.register()
        again.socket.abort()
        client.socket.abort()


async def test_a_mute_client_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esrd, "REGISTER_TIMEOUT", 0.1)
    async with serving() as server:
        mute, good = await registrant(server, "mute@localhost"), await registrant(server)
        await good.register()
        assert await mute.expect_close(at_least=0.05) < 1
        mute.socket.abort()
        await good.expect_open(0.15)
        assert good.name in server.table
        good.socket.abort()


async def test_who_is_refused_gets_the_reply_before_the_end() -> None:
    async with serving() as server:
        first = await registrant(server)
        await first.register()
        for _ in range(20):
            other = await registrant(server)
            await other.refused("resource is taken", Routes=None)
            other.socket.abort()
        first.socket.abort()


async def test_stopping_ends_all_links() -> None:
    async with serving() as server:
        leases = [await registrant(server, f"{n}@localhost") for n in range(3)]
        for lease in leases:
            await lease.register()
        mute = await registrant(server, "mute@localhost")
        await server.stop()
        for client in (*leases, mute):
            await client.expect_close(1.0)
            client.socket.abort()
    await server.stop()  # a second time does nothing


async def test_the_server_notices_the_loss_of_a_client_s_machine() -> None:
    async with serving() as server:
        client = await registrant(server)
        await client.register()
        (link,) = server._sockets
        assert link.transport is not None
        sock = link.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == esrd.SERVER_KEEP_ALIVE
        client.socket.abort()
