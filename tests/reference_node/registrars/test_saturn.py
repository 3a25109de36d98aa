"""Saturn, without and with sockets: registration, announcements, routes, configuration, loss and reconnection."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo import saturn
from ergo_conformance.model.ergo.saturn import AnnouncedRoutes, ApplicationRoute, Message, SessionState
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.ergo.esrd_client import route
from ergo_conformance.peers.memory import connect_memory
from ergo_conformance.reference_node.api import NodeRegistration
from ergo_conformance.reference_node.api.errors import RegistrarError
from ergo_conformance.reference_node.connection.tls import self_signed
from ergo_conformance.reference_node.ergo.saturn import (
    ClusterView,
    SaturnClientSession,
    SaturnClientState,
    SaturnDirectory,
    SaturnServerSession,
    write,
)
from ergo_conformance.reference_node.registrars.saturn_client import SaturnOptions, SaturnRegistrar
from ergo_conformance.reference_node.registrars.saturn_server import SaturnServer, SaturnServerSocket
from tests.support.ports import free_port

A, B, C = Atom("a@here"), Atom("b@here"), Atom("c@here")
TOKEN = "token"


# --- sans-io ----------------------------------------------------------------------------------------------------------


class ClientAndSession:
    """A client session and its session at the server."""

    def __init__(
        self, directory: SaturnDirectory, name: Atom, cluster: str = "c", *, token: str = TOKEN, hidden: bool = False
    ) -> None:
        self.out: list[bytes] = []
        self.session = SaturnServerSession(directory, self.out.append)
        self.client = SaturnClientSession(ClusterView(cluster, name), token, hidden=hidden)

    def exchange(self, data: bytes) -> list[Message]:
        self.session.receive(data)
        return self.announcements()

    def announcements(self) -> list[Message]:
        data, self.out[:] = b"".join(self.out), []
        return list(self.client.receive(data))

    def register(self, routes: AnnouncedRoutes | None = None) -> list[Message]:
        self.exchange(self.client.start("salt"))
        return self.exchange(self.client.register(routes or AnnouncedRoutes([route()], [], None)))


def test_nodes_are_announced_to_each_other() -> None:
    directory = SaturnDirectory(TOKEN, {"*:A": 1, "c:b@here:B": 2, "d:*:C": 3})
    a, b = ClientAndSession(directory, A), ClientAndSession(directory, B)
    assert a.register() == [saturn.RegisterResult(None, {"*:A": 1}, None, None)]
    assert b.register() == [saturn.RegisterResult(None, {"*:A": 1, "c:b@here:B": 2}, [A], None)]
    assert a.announcements() == [saturn.NodeJoined(B)]
    assert a.client.view.nodes == {B}
    b.session.end()
    assert a.announcements() == [saturn.NodeLeft(B)]
    assert not a.client.view.nodes


def test_the_most_specific_configuration_item_is_used() -> None:
    view = ClusterView("c", A, config={"*:X": 1, "a@here:X": 2, "c:*:X": 3, "c:a@here:X": 4})
    for value, name in ((4, "c:a@here:X"), (3, "c:*:X"), (2, "a@here:X"), (1, "*:X")):
        assert view.item("X") == value
        del view.config[name]
    with pytest.raises(KeyError):
        view.item("X")


def test_a_configuration_update_reaches_only_the_nodes_of_its_scope() -> None:
    directory = SaturnDirectory(TOKEN)
    a, b, other, unregistered = (
        ClientAndSession(directory, A),
        ClientAndSession(directory, B),
        ClientAndSession(directory, A, "d"),
        ClientAndSession(directory, C),
    )
    for pair in (a, b, other):
        pair.register()
    a.announcements()
    directory.configure({"c:a@here:X": 1, "c:*:Y": 2})
    assert a.announcements() == [saturn.ConfigUpdate("c:a@here:X", 1), saturn.ConfigUpdate("c:*:Y", 2)]
    assert b.announcements() == [saturn.ConfigUpdate("c:*:Y", 2)]
    assert not other.announcements()
    assert not unregistered.out  # SAT-CF-4
    directory.configure({"c:*:Y": 2})
    assert not a.announcements()


def test_a_hidden_node_is_neither_announced_nor_resolved() -> None:
    directory = SaturnDirectory(TOKEN)
    a, hidden = ClientAndSession(directory, A), ClientAndSession(directory, B, hidden=True)
    a.register()
    hidden.register()
    assert not a.announcements()
    a.exchange(write(saturn.Resolve(1, B)))
    assert directory.find("c", B) is None
    assert ClientAndSession(directory, C).register()[0].Nodes == [A]  # type: ignore[union-attr]
    hidden.session.end()
    assert saturn.NodeLeft(B) not in a.announcements()


def test_a_taken_name_is_refused() -> None:
    directory = SaturnDirectory(TOKEN)
    a, again, b = ClientAndSession(directory, A), ClientAndSession(directory, A), ClientAndSession(directory, B)
    a.register()
    b.register()
    a.announcements()
    with pytest.raises(RegistrarError, match="resource is taken"):
        again.register()
    assert again.session.state is SessionState.CLOSED
    assert not a.announcements()
    assert not b.announcements()  # SAT-RG-4


def test_applications_are_kept_by_name() -> None:
    directory = SaturnDirectory(TOKEN)
    a, b = ClientAndSession(directory, A), ClientAndSession(directory, B)
    a.register()
    b.register()
    a.announcements()
    for state in (1, 2):
        b.exchange(write(saturn.RegisterApplicationRoute(ApplicationRoute(B, Atom("app"), 1, 1, state))))
    assert [message.Route.State for message in a.announcements()] == [1, 2]  # type: ignore[union-attr]
    late = ClientAndSession(directory, C)
    late.register()
    assert [route_.State for route_ in late.client.view.applications.values()] == [2]  # SAT-EV-4
    a.announcements()
    b.exchange(write(saturn.UnregisterApplicationRoute(Atom("app"), Atom(""))))
    assert a.announcements() == [saturn.UnregisterApplicationRoute(Atom("app"), B)]  # SAT-EV-3
    assert not a.client.view.applications


@pytest.mark.parametrize("message", [saturn.HandshakeResult("x"), saturn.RegisterResult(), saturn.Resolve(1, A)])
def test_an_unexpected_message_of_the_server_is_malformed(message: Message) -> None:
    registered_client = SaturnClientSession(ClusterView("", A), TOKEN)
    registered_client.start("salt")
    with pytest.raises(RegistrarError, match="malformed value"):
        list(registered_client.receive(write(message)))


def test_announcements_before_the_proof_of_the_server_are_ignored() -> None:
    registered_client = SaturnClientSession(ClusterView("", A), TOKEN)
    registered_client.start("salt")
    assert not list(registered_client.receive(write(saturn.ConfigUpdate("*:A", 1))))
    assert not registered_client.view.config
    assert registered_client.state is SaturnClientState.AWAIT_PROOF


def test_announcements_before_the_register_result_are_applied() -> None:
    directory = SaturnDirectory(TOKEN)
    pair = ClientAndSession(directory, A)
    pair.exchange(pair.client.start("salt"))
    assert list(pair.client.receive(write(saturn.NodeJoined(B)))) == [saturn.NodeJoined(B)]
    assert pair.client.view.nodes == {B}


def test_the_end_of_a_session_removes_its_cluster() -> None:
    directory = SaturnDirectory(TOKEN)
    for _ in range(3):
        pair = ClientAndSession(directory, A)
        pair.register()
        pair.session.end()
        pair.session.end()
    assert not directory.clusters


def test_a_register_result_that_is_too_long_closes_the_session() -> None:
    """The configuration items of the second node are longer than a message of 64 KiB."""
    directory = SaturnDirectory(TOKEN, {f"b@here:{n}": "x" * 40_000 for n in range(2)})
    a, b = ClientAndSession(directory, A), ClientAndSession(directory, B)
    a.register()
    assert not b.register()
    assert b.session.state is SessionState.CLOSED
    assert directory.find("c", B) is None
    assert not a.announcements()
    directory.configure({})
    assert ClientAndSession(directory, B).register() == [saturn.RegisterResult(None, {}, [A], None)]


# --- sockets ----------------------------------------------------------------------------------------------------------

Scenario = Callable[[], Coroutine[Any, Any, None]]


def salt(n: int) -> str:
    return secrets.token_hex(n)[:n]


@asynccontextmanager
async def running_server(**options: Any) -> AsyncIterator[SaturnServer]:
    server = SaturnServer(TOKEN, **{"port": 0, **options})
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def registered_client(
    server: SaturnServer, name: Atom, *, hidden: bool = False, **more: Any
) -> AsyncIterator[SaturnRegistrar]:
    options = SaturnOptions(**{"token": TOKEN, "port": server.port, "cluster": "c", "skip_verify": True, **more})
    registrar = SaturnRegistrar(options)
    await registrar.register(NodeRegistration(name, salt, hidden), [route()])
    try:
        yield registrar
    finally:
        await registrar.terminate()


async def wait_until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def registrar_error(registrar: Coroutine[Any, Any, Any]) -> str:
    with pytest.raises(RegistrarError) as caught:
        await registrar
    return str(caught.value)


@pytest.mark.real_loop
async def test_two_nodes_resolve_each_other() -> None:
    async with running_server() as server, registered_client(server, A) as a, registered_client(server, B) as b:
        assert await a.resolve(B) == await b.resolve(A) == [route()]
        await wait_until(lambda: a.nodes == [B])
        assert b.nodes == [A]
        assert await registrar_error(a.resolve(A)) == "not allowed"
        assert await registrar_error(a.resolve(C)) == "no route"
        assert await registrar_error(a.resolve_proxy(C)) == "no route"
        assert await asyncio.gather(*(a.resolve(B) for _ in range(50))) == [[route()]] * 50


@pytest.mark.real_loop
async def test_application_routes_and_configuration_are_announced() -> None:
    async with (
        running_server(config={"*:A": 1}) as server,
        registered_client(server, A) as a,
        registered_client(server, B) as b,
    ):
        received: list[Message] = []
        a.listeners.append(received.append)
        app = ApplicationRoute(B, Atom("app"), 1, 1, 2)
        b.register_application_route(app)
        await wait_until(lambda: a.view.applications)
        assert await a.resolve_application(Atom("app")) == [app]
        b.unregister_application_route(Atom("app"))
        await wait_until(lambda: not a.view.applications)
        with pytest.raises(RegistrarError, match="no route"):
            await a.resolve_application(Atom("app"))
        assert a.config_item("A") == 1
        server.directory.configure({"*:A": 2})
        await wait_until(lambda: a.config_item("A") == 2)
        with pytest.raises(RegistrarError, match="unknown"):
            a.config_item("B")
        assert [type(message).__name__ for message in received][-3:] == [
            "RegisterApplicationRoute", "UnregisterApplicationRoute", "ConfigUpdate",
        ]  # fmt: skip


@pytest.mark.real_loop
async def test_a_failed_registration_raises_the_cause() -> None:
    async with running_server() as server, registered_client(server, A):
        for options, text in (
            ({"token": "wrong"}, "EOF"),
            ({"skip_verify": False}, "x509: self-signed certificate"),
            ({"port": 1}, "connection refused"),
            ({"host": "no.such.host.invalid"}, "no such host"),
        ):
            with pytest.raises(RegistrarError, match=text):
                async with registered_client(server, B, **options):
                    pass
        with pytest.raises(RegistrarError, match="resource is taken"):
            async with registered_client(server, A):
                pass


@pytest.mark.real_loop
async def test_the_certificate_is_verified_against_a_ca(tmp_path: Path) -> None:
    keys = self_signed(["localhost"])
    ca = tmp_path / "ca.pem"
    ca.write_bytes(keys.certificate)
    async with running_server(keys=keys) as server, registered_client(server, A, skip_verify=False, ca=str(ca)) as a:
        assert a.registered


@pytest.mark.real_loop
async def test_clients_register_again_with_a_restarted_server() -> None:
    first = SaturnServer(TOKEN, port=free_port())
    await first.start()
    async with registered_client(first, A) as a, registered_client(first, B) as b:
        app = ApplicationRoute(B, Atom("app"), 1, 1, 2)
        b.register_application_route(app)  # after the start: upstream forgets it (SAT-RC-2)
        await wait_until(lambda: a.view.applications)
        await first.stop()
        await wait_until(lambda: not a.registered and not b.registered)
        assert await registrar_error(a.resolve(B)) == "no connection"  # upstream ends (SAT-RC-3)
        async with running_server(port=first.port):
            await wait_until(lambda: a.registered and b.registered and a.nodes == [B])
            await wait_until(lambda: a.view.applications)
            assert await a.resolve_application(Atom("app")) == [app]
            assert await a.resolve(B) == [route()]


class UpstreamSession(SaturnServerSession):
    """Does not announce the applications of a registration to registered nodes."""

    def register(self, message: saturn.Register) -> None:
        announced = message.RegisterRoutes._replace(ApplicationRoutes=None)
        super().register(message._replace(RegisterRoutes=announced))


@pytest.mark.real_loop
async def test_applications_are_announced_again_after_a_reconnection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergo_conformance.reference_node.registrars.saturn_server.SaturnServerSession", UpstreamSession)
    async with running_server() as server, registered_client(server, A) as a, registered_client(server, B) as b:
        app = ApplicationRoute(B, Atom("app"), 1, 1, 2)
        b.register_application_route(app)
        await wait_until(lambda: a.view.applications)
        server.directory.clusters["c"][B].end()
        await wait_until(lambda: not a.view.applications)
        assert b._writer is not None
        b._writer.close()  # only this socket is lost; `a` stays
        await wait_until(lambda: a.view.applications)
        assert await a.resolve_application(Atom("app")) == [app]


@pytest.mark.real_loop
async def test_an_application_route_that_is_too_long_is_not_kept() -> None:
    """It would prevent further registrations of the node."""
    async with running_server() as server, registered_client(server, A) as a:
        with pytest.raises(RegistrarError, match="incorrect"):
            a.register_application_route(ApplicationRoute(A, Atom("x" * 70000), 1, 1, 1))
        assert not a.own


@pytest.mark.real_loop
async def test_a_silent_client_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saturn, "REGISTER_WITHIN", 3.0)
    async with running_server() as server:
        registrar = SaturnRegistrar(SaturnOptions(token=TOKEN, port=server.port, skip_verify=True))
        reader, writer = await asyncio.open_connection("localhost", server.port, ssl=registrar._context)
        assert await reader.read() == b""
        writer.close()
        assert not server.directory.clusters


async def test_the_deadline_counts_from_the_tcp_connection() -> None:
    """The time until TLS begins counts (SAT-HS-5)."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    sock = SaturnServerSocket(SaturnDirectory(TOKEN), set())
    await asyncio.sleep(2.5)
    assert await connect_memory(sock, None, "").read(10) == b""
    assert loop.time() - started == pytest.approx(saturn.REGISTER_WITHIN, abs=0.01)


@pytest.mark.real_loop
async def test_a_silent_server_times_out_the_registration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saturn, "ANSWER_TIMEOUT", 0.1)

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    from ergo_conformance.reference_node.connection.tls import server_context

    server = await asyncio.start_server(never_answer, "localhost", 0, ssl=server_context(self_signed(["localhost"])))
    options = SaturnOptions(token=TOKEN, port=server.sockets[0].getsockname()[1], skip_verify=True)
    registrar = SaturnRegistrar(options)
    assert await registrar_error(registrar.register(NodeRegistration(A, salt), [])) == "i/o timeout"
    assert not registrar.registered
    server.close()


def test_ca_file_that_can_not_be_read_is_a_usage_error(tmp_path: Path) -> None:
    words = tmp_path / "words.pem"
    words.write_text("words")
    for path in (words, tmp_path / "missing.pem"):
        with pytest.raises(UsageError, match="cannot read the CA certificates"):
            SaturnRegistrar(SaturnOptions(token="secret", ca=str(path)))
