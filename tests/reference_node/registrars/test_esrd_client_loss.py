"""What a node does when its registrar is lost: it takes over or registers again, and never gives up."""

import asyncio
import itertools
import socket
from collections.abc import Callable
from typing import Any

import pytest

from ergo_conformance.model.ergo import esrd
from ergo_conformance.model.ergo.esrd import RegisterReply, RegisterRoutes, ResolveReply
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.peers.ergo.esrd_server import ScriptedEsrdServer
from ergo_conformance.peers.listener import HOST
from ergo_conformance.reference_node.connection import tcp
from ergo_conformance.reference_node.registrars import esrd_client as registrar
from ergo_conformance.spec.ergo.esrd import write_packet
from tests.support.registrars import (
    GRANTED,
    ROUTES,
    esrd_client,
    registrar_clients,
    registrar_error,
    registration,
    scripted_server,
)
from tests.support.sockets import eventually

pytestmark = pytest.mark.real_loop


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second lasts 50 ms."""
    monkeypatch.setattr(esrd, "RETRY", 0.05)


async def test_a_client_takes_over_at_once_and_the_others_register_with_it(quick: None) -> None:
    async with registrar_clients() as made:
        a = await made.start("a", 0)
        others = [await made.start(name, a.port) for name in "bcd"]
        await a.terminate()
        await eventually(lambda: any(user.serving for user in others))
        (winner,) = (user for user in others if user.serving)
        await eventually(lambda: winner.server and all(user.name in winner.server.table for user in others))
        for user in others:
            for name in "bcd":
                assert await user.resolve(Atom(f"{name}@localhost")) == ROUTES
            assert await registrar_error(user.resolve(a.name)) == "unknown"
        back = await made.start("a", a.port)
        assert not back.serving


@pytest.mark.parametrize("how", ["closed", "half_closed", "reset"])
async def test_however_the_link_ends_it_is_registered_again_at_once(how: str) -> None:
    async with registrar_clients() as made, scripted_server() as server:
        starting = asyncio.create_task(made.start("c", server.port, serve=False))
        lease, _ = await server.grant_next()
        await starting
        link = lease.socket
        {"closed": link.close, "half_closed": link.end_writing, "reset": link.send_reset}[how]()
        _, request = await server.grant_next(0.9)  # within the second that a second try would take
        assert request == RegisterRoutes(Atom("c@localhost"), ROUTES)


async def test_it_tries_again_every_second_for_ever(quick: None) -> None:
    async with registrar_clients() as made, scripted_server() as server:
        starting = asyncio.create_task(made.start("c", server.port))
        lease, _ = await server.grant_next()
        c = await starting
        lease.socket.close()
        times = []
        for n in range(5):
            again = await server.registration()
            await again.request()
            times.append(again.socket.now())
            assert not c.registered
            again.refuse("resource is taken") if n % 2 else again.socket.close()
        assert all(later - sooner >= 0.049 for sooner, later in itertools.pairwise(times))
        await server.grant_next()
        await eventually(lambda: c.registered)


async def test_what_comes_on_a_lease_means_nothing() -> None:
    async with registrar_clients() as made, scripted_server() as server:
        starting = asyncio.create_task(made.start("c", server.port))
        lease, _ = await server.grant_next()
        c = await starting
        for data in (b"junk", GRANTED, write_packet(RegisterReply(Error("go away"))), bytes(100_000)):
            lease.socket.write(data)
        await lease.expect_open(0.05)
        assert c.registered
        assert len(server.registrations) == 1


def lose_tcp(server: ScriptedEsrdServer) -> None:
    """The server is gone but for its UDP port."""
    assert server._server is not None
    server._server.close()
    server.registrations[0].socket.abort()


async def test_taking_over_needs_both_ports(quick: None) -> None:
    async with registrar_clients() as made, scripted_server() as server:
        starting = asyncio.create_task(made.start("c", server.port))
        await server.grant_next()
        c = await starting
        lose_tcp(server)
        await asyncio.sleep(0.12)
        assert not c.registered, "UDP is still taken"
        assert server.resolving is not None
        assert server.resolving.transport is not None
        server.resolving.transport.close()
        await eventually(lambda: c.serving)
        assert await registrar.ask(HOST, server.port, c.name) == ResolveReply(ROUTES, None)


async def test_stopping_ends_the_lease() -> None:
    async with scripted_server() as server:
        user = esrd_client(server.port)
        starting = asyncio.create_task(user.register(registration(), ROUTES))
        lease, _ = await server.grant_next()
        await starting
        await user.terminate()
        await lease.expect_close(1.0)
        await user.terminate()
        assert len(server.registrations) == 1


@pytest.mark.parametrize("lost_for", [0.0, 0.01, 0.12], ids=["at_once", "while_it_tries", "while_it_waits"])
async def test_stopping_while_the_server_is_lost(quick: None, lost_for: float) -> None:
    async with registrar_clients() as made:
        async with scripted_server() as server:
            starting = asyncio.create_task(made.start("b", server.port))
            await server.grant_next()
            b = await starting
            lose_tcp(server)
            await asyncio.sleep(lost_for)
            await b.terminate()
            assert not b.registered
        assert (await made.start("c", server.port)).serving, "nothing was left open"


async def test_the_client_notices_the_loss_of_the_server_s_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    keep_alive: Callable[[Any, int], None] = tcp.keep_alive

    def noted(sock: Any, seconds: int) -> None:
        keep_alive(sock, seconds)
        seen.append((sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), seconds))

    monkeypatch.setattr(registrar, "keep_alive", noted)
    async with scripted_server() as server, registrar_clients() as made:
        starting = asyncio.create_task(made.start("c", server.port))
        await server.grant_next()
        await starting
    assert seen == [(esrd.CLIENT_KEEP_ALIVE, esrd.CLIENT_KEEP_ALIVE)]
