"""Nodes with a Saturn registrar for all acceptors or for one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo.saturn import ApplicationRoute
from ergo_conformance.model.values import Atom, ProcessID
from ergo_conformance.reference_node.api.applications import ApplicationMode
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.core.applications import ApplicationMember, ApplicationSpec
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkMode
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from ergo_conformance.reference_node.registrars.saturn_client import SaturnOptions, SaturnRegistrar
from ergo_conformance.reference_node.registrars.saturn_server import SaturnServer
from ergo_conformance.reference_node.target import config as settings
from ergo_conformance.reference_node.target.agents import Echo
from tests.support.nodes import run_as_process
from tests.support.ports import free_port
from tests.support.settings import start_node
from tests.support.sockets import HOST, eventually

pytestmark = pytest.mark.real_loop

TOKEN = "secret-token"
ACCEPTOR = AcceptorOptions(host=HOST, port=0)


@asynccontextmanager
async def running_server(port: int | None = None) -> AsyncIterator[SaturnServer]:
    """Starts a server, by default at a port that is still free after its end."""
    server = SaturnServer(TOKEN, port=free_port() if port is None else port)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def registrar(server: SaturnServer, **more: Any) -> SaturnRegistrar:
    return SaturnRegistrar(SaturnOptions(**{"token": TOKEN, "port": server.port, "skip_verify": True, **more}))


class Nodes:
    """Nodes of one Saturn, which stop together."""

    def __init__(self, server: SaturnServer) -> None:
        self.server, self.all = server, list[Node]()

    async def start(self, name: str, **more: Any) -> tuple[Node, SaturnRegistrar]:
        own = registrar(self.server, **more.pop("saturn", {}))
        node = await start_node(
            f"{name}@{HOST}", **{"cookie": "secret", "acceptors": (ACCEPTOR,), "registrar": own, **more}
        )
        self.all.append(node)
        node.spawn(Echo(), name="echo")
        return node, own


@asynccontextmanager
async def cluster() -> AsyncIterator[Nodes]:
    async with running_server() as server:
        made = Nodes(server)
        try:
            yield made
        finally:
            for node in made.all:
                await node.stop()


async def call_succeeds(one: Node, name: Atom) -> bool:
    return bool(await run_as_process(one, lambda it: it.call(ProcessID(name, Atom("echo")), "hello")) == "hello")


async def test_nodes_connect_through_saturn() -> None:
    async with cluster() as nodes:
        (a, of_a), (b, of_b) = await nodes.start("a"), await nodes.start("b")
        assert await call_succeeds(a, b.name)
        assert await call_succeeds(b, a.name)
        assert (of_b.nodes, a.network.nodes) == ([a.name], [b.name])
        await eventually(lambda: of_a.nodes == [b.name])
        info = a.network.info.registrar
        assert info is not None
        assert (info.embedded, info.version[:2], info.server) == (
            False,
            ("Saturn", "R1"),
            f"localhost:{of_a.options.port}",
        )
        await b.stop()
        await eventually(lambda: not of_a.nodes and not a.network.nodes)
        with pytest.raises(ErgoError, match="no route"):
            await a.network.get_node(b.name)


async def test_nodes_of_another_cluster_have_no_route() -> None:
    async with cluster() as nodes:
        a, _ = await nodes.start("a", saturn={"cluster": "one"})
        await nodes.start("b", saturn={"cluster": "two"})
        with pytest.raises(ErgoError, match="no route"):
            await a.network.get_node(f"b@{HOST}")
        await nodes.start("a", saturn={"cluster": "two"})  # the name is free in the other cluster


async def test_a_hidden_node_dials_and_has_no_route() -> None:
    async with cluster() as nodes:
        hidden, _ = await nodes.start("h", mode=NetworkMode.HIDDEN)
        b, of_b = await nodes.start("b")
        with pytest.raises(ErgoError, match="no route"):
            await b.network.get_node(hidden.name)
        assert of_b.nodes == []
        assert await call_succeeds(hidden, b.name)
        assert await call_succeeds(b, hidden.name)  # over the connection that the hidden node dialed


@pytest.mark.parametrize(
    ("saturn", "text"),
    [({"token": "another"}, "EOF"), ({"skip_verify": False}, "x509: ")],
)
async def test_a_refused_registration_fails_the_start(saturn: dict[str, Any], text: str) -> None:
    async with cluster() as nodes:
        with pytest.raises(UsageError, match=rf"unable to register node: {text}"):
            await nodes.start("a", saturn=saturn)


async def test_a_taken_name_fails_the_start() -> None:
    async with cluster() as nodes:
        await nodes.start("a")
        with pytest.raises(UsageError, match=r"unable to register node: (resource is taken|EOF)"):
            await nodes.start("a")


async def test_one_acceptor_with_saturn_and_one_with_the_embedded_registrar() -> None:
    """Each route is registered only with its own registrar (NAPI-ACC-9)."""
    async with cluster() as nodes:
        own, common = registrar(nodes.server), EsrdRegistrar(port=0)
        acceptors = (ACCEPTOR, AcceptorOptions(host=HOST, port=0, registrar=own))
        node = await start_node(f"both@{HOST}", cookie="secret", acceptors=acceptors, registrar=common)
        nodes.all.append(node)
        node.spawn(Echo(), name="echo")
        by_saturn, of_it = await nodes.start("s")
        plain, special = node.network.acceptors
        assert [route.Port for route in await of_it.resolve(node.name)] == [special.port]
        assert [route.Port for route in await common.resolve(node.name)] == [plain.port]
        assert await call_succeeds(by_saturn, node.name)
        neighbour = await start_node(
            f"n@{HOST}", cookie="secret", acceptors=(ACCEPTOR,), registrar=EsrdRegistrar(port=common.port)
        )
        nodes.all.append(neighbour)
        assert await call_succeeds(neighbour, node.name)


async def test_applications_are_announced_in_each_state() -> None:
    async with cluster() as nodes:
        a, of_a = await nodes.start("a")
        states: list[tuple[int, int]] = []
        b, of_b = await nodes.start("b")
        of_b.listeners.append(lambda message: states.append(mode_and_state(message)))
        specification = ApplicationSpec(
            "app", (ApplicationMember(Echo, "worker"),), mode=ApplicationMode.TRANSIENT, weight=7
        )
        a.core.applications.load(specification)
        await a.core.applications.start("app", ApplicationMode.PERMANENT)
        await a.core.applications.stop("app")
        a.core.applications.unload("app")
        await eventually(lambda: len(states) == 5)
        assert states == [(2, 1), (3, 2), (3, 3), (3, 1), (0, 0)]
        with pytest.raises(Exception, match="no route"):
            await of_b.resolve_application(Atom("app"))
        a.core.applications.load(specification)
        late, of_late = await nodes.start("late")
        assert await of_late.resolve_application(Atom("app")) == [ApplicationRoute(a.name, Atom("app"), 7, 2, 1)]
        assert of_a.own
        assert (b.network.nodes, late.network.nodes) == ([], [])


def mode_and_state(message: Any) -> tuple[int, int]:
    route = getattr(message, "Route", None)
    return (route.Mode, route.State) if route else (0, 0)


async def test_nodes_and_applications_are_registered_again_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also changes during the loss (upstream crashes or loses them: SAT-RC-2, -3)."""
    monkeypatch.setattr("ergo_conformance.model.ergo.saturn.REDIAL", (0.0, 0.05))
    async with cluster() as nodes:
        (a, of_a), (b, of_b) = await nodes.start("a"), await nodes.start("b")
        port = nodes.server.port
        await nodes.server.stop()
        await eventually(lambda: not of_a.registered and not of_b.registered)
        with pytest.raises(ErgoError, match="no route"):
            await a.network.get_node(b.name)
        a.core.applications.load(ApplicationSpec("app", (ApplicationMember(Echo),)))
        async with running_server(port):
            await eventually(lambda: of_a.registered and of_b.registered)
            await eventually(lambda: of_a.nodes == [b.name] and of_b.nodes == [a.name])
            assert await call_succeeds(a, b.name)
            await eventually(lambda: of_b.view.applications)
            assert [route.Node for route in await of_b.resolve_application(Atom("app"))] == [a.name]


async def test_a_target_config_with_saturn_registers_there() -> None:
    async with cluster() as nodes:
        row = {"kind": "saturn", "host": "localhost", "port": nodes.server.port, "token": TOKEN, "cluster": "c"}
        target = {"name": f"t@{HOST}", "cookie": "secret", "host": HOST, "registrar": row}
        node = await settings.config_of(target).make_node().start()
        nodes.all.append(node)
        assert settings.ready(node, target)["config"]["registrar"] == row
        assert list(nodes.server.directory.clusters["c"]) == [node.name]
        third = {**target, "name": f"u@{HOST}", "acceptors": [{"host": HOST, "registrar": row}]}
        del third["registrar"]
        nodes.all.append(await settings.config_of(third).make_node().start())
        assert sorted(nodes.server.directory.clusters["c"]) == [node.name, f"u@{HOST}"]
        await asyncio.sleep(0)
