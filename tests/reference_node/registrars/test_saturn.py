"""The central registrar, without sockets and with: registration, news, routes, configuration, loss and return."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

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

A, B, C = Atom("a@here"), Atom("b@here"), Atom("c@here")
TOKEN = "token"


# --- sans-io ----------------------------------------------------------------------------------------------------------


class Pair:
    """A client and its session at the server."""

    def __init__(
        self, directory: SaturnDirectory, name: Atom, cluster: str = "c", *, token: str = TOKEN, hidden: bool = False
    ) -> None:
        self.out: list[bytes] = []
        self.session = SaturnServerSession(directory, self.out.append)
        self.client = SaturnClientSession(ClusterView(cluster, name), token, hidden=hidden)

    def exchange(self, data: bytes) -> list[Message]:
        self.session.receive(data)
        return self.news()

    def news(self) -> list[Message]:
        said, self.out[:] = b"".join(self.out), []
        return list(self.client.receive(said))

    def register(self, routes: AnnouncedRoutes | None = None) -> list[Message]:
        self.exchange(self.client.start("salt"))
        return self.exchange(self.client.register(routes or AnnouncedRoutes([route()], [], None)))


def test_a_node_is_told_who_is_there() -> None:
    directory = SaturnDirectory(TOKEN, {"*:A": 1, "c:b@here:B": 2, "d:*:C": 3})
    a, b = Pair(directory, A), Pair(directory, B)
    assert a.register() == [saturn.RegisterResult(None, {"*:A": 1}, None, None)]
    assert b.register() == [saturn.RegisterResult(None, {"*:A": 1, "c:b@here:B": 2}, [A], None)]
    assert a.news() == [saturn.NodeJoined(B)]
    assert a.client.view.nodes == {B}
    b.session.end()
    assert a.news() == [saturn.NodeLeft(B)]
    assert not a.client.view.nodes


def test_the_most_special_item_counts() -> None:
    view = ClusterView("c", A, config={"*:X": 1, "a@here:X": 2, "c:*:X": 3, "c:a@here:X": 4})
    for value, name in ((4, "c:a@here:X"), (3, "c:*:X"), (2, "a@here:X"), (1, "*:X")):
        assert view.item("X") == value
        del view.config[name]
    with pytest.raises(KeyError):
        view.item("X")


def test_only_those_concerned_hear_of_an_item() -> None:
    directory = SaturnDirectory(TOKEN)
    a, b, other, stranger = Pair(directory, A), Pair(directory, B), Pair(directory, A, "d"), Pair(directory, C)
    for pair in (a, b, other):
        pair.register()
    a.news()
    directory.configure({"c:a@here:X": 1, "c:*:Y": 2})
    assert a.news() == [saturn.ConfigUpdate("c:a@here:X", 1), saturn.ConfigUpdate("c:*:Y", 2)]
    assert b.news() == [saturn.ConfigUpdate("c:*:Y", 2)]
    assert not other.news()
    assert not stranger.out  # SAT-CF-4
    directory.configure({"c:*:Y": 2})
    assert not a.news()


def test_a_hidden_node_is_not_to_be_found() -> None:
    directory = SaturnDirectory(TOKEN)
    a, hidden = Pair(directory, A), Pair(directory, B, hidden=True)
    a.register()
    hidden.register()
    assert not a.news()
    a.exchange(write(saturn.Resolve(1, B)))
    assert directory.find("c", B) is None
    assert Pair(directory, C).register()[0].Nodes == [A]  # type: ignore[union-attr]
    hidden.session.end()
    assert saturn.NodeLeft(B) not in a.news()


def test_a_name_that_is_taken() -> None:
    directory = SaturnDirectory(TOKEN)
    a, again, b = Pair(directory, A), Pair(directory, A), Pair(directory, B)
    a.register()
    b.register()
    a.news()
    with pytest.raises(RegistrarError, match="resource is taken"):
        again.register()
    assert again.session.state is SessionState.CLOSED
    assert not a.news()
    assert not b.news()  # SAT-RG-4


def test_applications_are_kept_by_name() -> None:
    directory = SaturnDirectory(TOKEN)
    a, b = Pair(directory, A), Pair(directory, B)
    a.register()
    b.register()
    a.news()
    for state in (1, 2):
        b.exchange(write(saturn.RegisterApplicationRoute(ApplicationRoute(B, Atom("app"), 1, 1, state))))
    assert [message.Route.State for message in a.news()] == [1, 2]  # type: ignore[union-attr]
    late = Pair(directory, C)
    late.register()
    assert [route_.State for route_ in late.client.view.applications.values()] == [2]  # SAT-EV-4
    a.news()
    b.exchange(write(saturn.UnregisterApplicationRoute(Atom("app"), Atom(""))))
    assert a.news() == [saturn.UnregisterApplicationRoute(Atom("app"), B)]  # SAT-EV-3
    assert not a.client.view.applications


@pytest.mark.parametrize("message", [saturn.HandshakeResult("x"), saturn.RegisterResult(), saturn.Resolve(1, A)])
def test_a_server_that_says_the_wrong_thing(message: Message) -> None:
    client = SaturnClientSession(ClusterView("", A), TOKEN)
    client.start("salt")
    with pytest.raises(RegistrarError, match="malformed value"):
        list(client.receive(write(message)))


def test_news_of_a_server_that_has_proved_nothing_are_ignored() -> None:
    client = SaturnClientSession(ClusterView("", A), TOKEN)
    client.start("salt")
    assert not list(client.receive(write(saturn.ConfigUpdate("*:A", 1))))
    assert not client.view.config
    assert client.state is SaturnClientState.AWAIT_PROOF


def test_news_may_come_before_the_result() -> None:
    directory = SaturnDirectory(TOKEN)
    pair = Pair(directory, A)
    pair.exchange(pair.client.start("salt"))
    assert list(pair.client.receive(write(saturn.NodeJoined(B)))) == [saturn.NodeJoined(B)]
    assert pair.client.view.nodes == {B}


def test_a_session_leaves_nothing_behind() -> None:
    directory = SaturnDirectory(TOKEN)
    for _ in range(3):
        pair = Pair(directory, A)
        pair.register()
        pair.session.end()
        pair.session.end()
    assert not directory.clusters


def test_a_result_that_can_not_be_written_is_no_registration() -> None:
    """Two nodes, and items that take up more than the 64 KiB of a message when they come together."""
    directory = SaturnDirectory(TOKEN, {f"b@here:{n}": "x" * 40_000 for n in range(2)})
    a, b = Pair(directory, A), Pair(directory, B)
    a.register()
    assert not b.register()
    assert b.session.state is SessionState.CLOSED
    assert directory.find("c", B) is None
    assert not a.news()
    directory.configure({})
    assert Pair(directory, B).register() == [saturn.RegisterResult(None, {}, [A], None)]


# --- sockets ----------------------------------------------------------------------------------------------------------

Scenario = Callable[[], Coroutine[Any, Any, None]]


def salt(n: int) -> str:
    return secrets.token_hex(n)[:n]


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[SaturnServer]:
    server = SaturnServer(TOKEN, **{"port": 0, **options})
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def client(
    server: SaturnServer, name: Atom, *, hidden: bool = False, **more: Any
) -> AsyncIterator[SaturnRegistrar]:
    options = SaturnOptions(**{"token": TOKEN, "port": server.port, "cluster": "c", "skip_verify": True, **more})
    registrar = SaturnRegistrar(options)
    await registrar.register(NodeRegistration(name, salt, hidden), [route()])
    try:
        yield registrar
    finally:
        await registrar.terminate()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def refused(registrar: Coroutine[Any, Any, Any]) -> str:
    with pytest.raises(RegistrarError) as caught:
        await registrar
    return str(caught.value)


@pytest.mark.real_loop
async def test_two_nodes_find_each_other() -> None:
    async with serving() as server, client(server, A) as a, client(server, B) as b:
        assert await a.resolve(B) == await b.resolve(A) == [route()]
        await until(lambda: a.nodes == [B])
        assert b.nodes == [A]
        assert await refused(a.resolve(A)) == "not allowed"
        assert await refused(a.resolve(C)) == "no route"
        assert await refused(a.resolve_proxy(C)) == "no route"
        assert await asyncio.gather(*(a.resolve(B) for _ in range(50))) == [[route()]] * 50


@pytest.mark.real_loop
async def test_applications_and_configuration() -> None:
    async with serving(config={"*:A": 1}) as server, client(server, A) as a, client(server, B) as b:
        heard: list[Message] = []
        a.listeners.append(heard.append)
        app = ApplicationRoute(B, Atom("app"), 1, 1, 2)
        b.register_application_route(app)
        await until(lambda: a.view.applications)
        assert await a.resolve_application(Atom("app")) == [app]
        b.unregister_application_route(Atom("app"))
        await until(lambda: not a.view.applications)
        with pytest.raises(RegistrarError, match="no route"):
            await a.resolve_application(Atom("app"))
        assert a.config_item("A") == 1
        server.directory.configure({"*:A": 2})
        await until(lambda: a.config_item("A") == 2)
        with pytest.raises(RegistrarError, match="unknown"):
            a.config_item("B")
        assert [type(message).__name__ for message in heard][-3:] == [
            "RegisterApplicationRoute", "UnregisterApplicationRoute", "ConfigUpdate",
        ]  # fmt: skip


@pytest.mark.real_loop
async def test_who_can_not_register() -> None:
    async with serving() as server, client(server, A):
        for options, text in (
            ({"token": "wrong"}, "EOF"),
            ({"skip_verify": False}, "x509: self-signed certificate"),
            ({"port": 1}, "connection refused"),
            ({"host": "no.such.host.invalid"}, "no such host"),
        ):
            with pytest.raises(RegistrarError, match=text):
                async with client(server, B, **options):
                    pass
        with pytest.raises(RegistrarError, match="resource is taken"):
            async with client(server, A):
                pass


@pytest.mark.real_loop
async def test_the_certificate_is_verified_against_a_ca(tmp_path: Path) -> None:
    keys = self_signed(["localhost"])
    ca = tmp_path / "ca.pem"
    ca.write_bytes(keys.certificate)
    async with serving(keys=keys) as server, client(server, A, skip_verify=False, ca=str(ca)) as a:
        assert a.registered


@pytest.mark.real_loop
async def test_a_lost_server_is_found_again() -> None:
    first = SaturnServer(TOKEN, port=0)
    await first.start()
    async with client(first, A) as a, client(first, B) as b:
        app = ApplicationRoute(B, Atom("app"), 1, 1, 2)
        b.register_application_route(app)  # after the start: upstream forgets it (SAT-RC-2)
        await until(lambda: a.view.applications)
        await first.stop()
        await until(lambda: not a.registered and not b.registered)
        assert await refused(a.resolve(B)) == "no connection"  # upstream ends (SAT-RC-3)
        async with serving(port=first.port):
            await until(lambda: a.registered and b.registered and a.nodes == [B])
            await until(lambda: a.view.applications)
            assert await a.resolve_application(Atom("app")) == [app]
            assert await a.resolve(B) == [route()]


class LikeUpstream(SaturnServerSession):
    """Tells nobody who is there of the applications of a registration."""

    def register(self, message: saturn.Register) -> None:
        announced = message.RegisterRoutes._replace(ApplicationRoutes=None)
        super().register(message._replace(RegisterRoutes=announced))


@pytest.mark.real_loop
async def test_applications_are_announced_again_with_any_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergo_conformance.reference_node.registrars.saturn_server.SaturnServerSession", LikeUpstream)
    async with serving() as server, client(server, A) as a, client(server, B) as b:
        app = ApplicationRoute(B, Atom("app"), 1, 1, 2)
        b.register_application_route(app)
        await until(lambda: a.view.applications)
        server.directory.clusters["c"][B].end()
        await until(lambda: not a.view.applications)
        assert b._writer is not None
        b._writer.close()  # the link alone is lost; `a` stays
        await until(lambda: a.view.applications)
        assert await a.resolve_application(Atom("app")) == [app]


@pytest.mark.real_loop
async def test_an_application_that_can_not_be_told_is_not_kept() -> None:
    """It would keep the node from registering again."""
    async with serving() as server, client(server, A) as a:
        with pytest.raises(RegistrarError, match="incorrect"):
            a.register_application_route(ApplicationRoute(A, Atom("x" * 70000), 1, 1, 1))
        assert not a.own


@pytest.mark.real_loop
async def test_who_says_nothing_is_closed() -> None:
    async with serving() as server:
        registrar = SaturnRegistrar(SaturnOptions(token=TOKEN, port=server.port, skip_verify=True))
        reader, writer = await asyncio.open_connection("localhost", server.port, ssl=registrar._context)
        assert await reader.read() == b""
        writer.close()
        assert not server.directory.clusters


async def test_the_deadline_counts_from_the_tcp_connection() -> None:
    """Whoever is slow to begin TLS has that much less for the registration (SAT-HS-5)."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    link = SaturnServerSocket(SaturnDirectory(TOKEN), set())
    await asyncio.sleep(2.5)
    assert await connect_memory(link, None, "").read(10) == b""
    assert loop.time() - started == pytest.approx(saturn.REGISTER_WITHIN, abs=0.01)


@pytest.mark.real_loop
async def test_a_mute_server_is_not_waited_for_long() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    from ergo_conformance.reference_node.connection.tls import server_context

    server = await asyncio.start_server(mute, "localhost", 0, ssl=server_context(self_signed(["localhost"])))
    options = SaturnOptions(token=TOKEN, port=server.sockets[0].getsockname()[1], skip_verify=True)
    registrar = SaturnRegistrar(options)
    assert await refused(registrar.register(NodeRegistration(A, salt), [])) == "i/o timeout"
    assert not registrar.registered
    server.close()
