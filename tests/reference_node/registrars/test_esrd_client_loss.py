"""EsrdRegistrar after the loss of the server: it takes over or registers again, without end."""

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
from tests.support.ports import free_port
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
def short_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the time between attempts to 50 ms."""
    monkeypatch.setattr(esrd, "RETRY", 0.05)


async def test_one_client_takes_over_and_the_others_register_with_it(short_retry: None) -> None:
    async with registrar_clients() as made:
        a = await made.start("a", free_port())
        others = [await made.start(name, a.port) for name in "bcd"]
        await a.terminate()
        await eventually(lambda: any(user.serving for user in others))
        (new_server,) = (user for user in others if user.serving)
        await eventually(lambda: new_server.server and all(user.name in new_server.server.table for user in others))
        for user in others:
            for name in "bcd":
                assert await user.resolve(Atom(f"{name}@localhost")) == ROUTES
            assert await registrar_error(user.resolve(a.name)) == "unknown"
        back = await made.start("a", a.port)
        assert not back.serving


@pytest.mark.parametrize("how", ["closed", "half_closed", "reset"])
async def test_a_client_registers_again_at_once_when_its_socket_closes(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(esrd, "RETRY", 600.0)
    async with registrar_clients() as made, scripted_server() as server:
        registering = asyncio.create_task(made.start("c", server.port, serve=False))
        accepted, _ = await server.grant_next()
        await registering
        sock = accepted.socket
        {"closed": sock.close, "half_closed": sock.end_writing, "reset": sock.send_reset}[how]()
        _, request = await server.grant_next()  # a second attempt would be too late
        assert request == RegisterRoutes(Atom("c@localhost"), ROUTES)


async def test_a_client_repeats_the_registration_every_second(short_retry: None) -> None:
    async with registrar_clients() as made, scripted_server() as server:
        registering = asyncio.create_task(made.start("c", server.port))
        accepted, _ = await server.grant_next()
        c = await registering
        accepted.socket.close()
        times = []
        for n in range(5):
            retried = await server.registration()
            await retried.request()
            times.append(retried.socket.now())
            assert not c.registered
            retried.refuse("resource is taken") if n % 2 else retried.socket.close()
        assert all(later - sooner >= 0.049 for sooner, later in itertools.pairwise(times))
        await server.grant_next()
        await eventually(lambda: c.registered)


async def test_bytes_on_a_registered_socket_are_ignored() -> None:
    async with registrar_clients() as made, scripted_server() as server:
        registering = asyncio.create_task(made.start("c", server.port))
        accepted, _ = await server.grant_next()
        c = await registering
        for data in (b"junk", GRANTED, write_packet(RegisterReply(Error("go away"))), bytes(100_000)):
            accepted.socket.write(data)
        await accepted.expect_open(0.05)
        assert c.registered
        assert len(server.registrations) == 1


def close_tcp(server: ScriptedEsrdServer) -> None:
    """Closes the server except for its UDP port."""
    assert server._server is not None
    server._server.close()
    server.registrations[0].socket.abort()


async def test_taking_over_needs_both_ports(short_retry: None) -> None:
    async with registrar_clients() as made, scripted_server() as server:
        registering = asyncio.create_task(made.start("c", server.port))
        await server.grant_next()
        c = await registering
        close_tcp(server)
        await asyncio.sleep(0.12)
        assert not c.registered, "UDP is still taken"
        assert server.resolving is not None
        assert server.resolving.transport is not None
        server.resolving.transport.close()
        await eventually(lambda: c.serving)
        assert await registrar.ask(HOST, server.port, c.name) == ResolveReply(ROUTES, None)


async def test_terminate_ends_the_registration() -> None:
    async with scripted_server() as server:
        user = esrd_client(server.port)
        registering = asyncio.create_task(user.register(registration(), ROUTES))
        accepted, _ = await server.grant_next()
        await registering
        await user.terminate()
        await accepted.expect_close(60.0)
        await user.terminate()
        assert len(server.registrations) == 1


@pytest.mark.parametrize("lost_for", [0.0, 0.01, 0.12], ids=["at_once", "during_an_attempt", "between_attempts"])
async def test_terminate_during_the_loss_of_the_server(short_retry: None, lost_for: float) -> None:
    async with registrar_clients() as made:
        async with scripted_server() as server:
            registering = asyncio.create_task(made.start("b", server.port))
            await server.grant_next()
            b = await registering
            close_tcp(server)
            await asyncio.sleep(lost_for)
            await b.terminate()
            assert not b.registered
        assert (await made.start("c", server.port)).serving, "nothing was left open"


async def test_the_clients_socket_uses_tcp_keep_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    keep_alive: Callable[[Any, int], None] = tcp.keep_alive

    def record_keep_alive(sock: Any, seconds: int) -> None:
        keep_alive(sock, seconds)
        seen.append((sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), seconds))

    monkeypatch.setattr(registrar, "keep_alive", record_keep_alive)
    async with scripted_server() as server, registrar_clients() as made:
        registering = asyncio.create_task(made.start("c", server.port))
        await server.grant_next()
        await registering
    assert seen == [(esrd.CLIENT_KEEP_ALIVE, esrd.CLIENT_KEEP_ALIVE)]


async def test_close_returns_after_an_earlier_close_was_cancelled() -> None:
    class Writer:
        closed = asyncio.get_running_loop().create_future()

        def close(self) -> None: ...

        async def wait_closed(self) -> None:
            await self.closed

    writer: Any = Writer()
    cancelled = asyncio.ensure_future(registrar.close(writer))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    again = asyncio.ensure_future(registrar.close(writer))
    await asyncio.sleep(0)
    writer.closed.set_result(None)
    await again
