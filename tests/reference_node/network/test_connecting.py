"""Connections to other nodes (NAPI-CON), over sockets on the loopback."""

import asyncio
import socket
from functools import partial
from typing import Any

import pytest

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Role
from ergo_conformance.model.ergo.esrd import Route
from ergo_conformance.model.ergo.saturn import ProxyRoute
from ergo_conformance.model.values import Atom, ProcessID
from ergo_conformance.reference_node.api import Deadlines
from ergo_conformance.reference_node.api.errors import RegistrarError
from ergo_conformance.reference_node.api.messages import Down
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.connection.dial_errors import cause_of
from ergo_conformance.reference_node.connection.tls import self_signed
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.ergo.enp.proto import ENP
from ergo_conformance.reference_node.ergo.handshake import EHS, EhsHandshake
from ergo_conformance.reference_node.options import AcceptorOptions
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from tests.support.consumers import error_text
from tests.support.loopback_nodes import (
    Echo,
    dial,
    node_starter,
    process_id,
    raised_error_text,
    route_to,
    spawn_echo,
)
from tests.support.nodes import run_as_process
from tests.support.sockets import HOST, eventually, port, socket_count

pytestmark = pytest.mark.real_loop

NOWHERE = NetworkRoute(host=HOST, port=1)
"""A port without a listener."""


class ScriptedRegistrar(EsrdRegistrar):
    """Resolves every name to these routes, and records the names."""

    def __init__(self, *routes: Route) -> None:
        super().__init__(port=0, serve=False)
        self.routes = list(routes)
        self.resolved: list[Atom] = []

    async def register(self, node: Any, routes: Any) -> None:
        """Does nothing."""

    async def resolve(self, name: Atom) -> list[Route]:
        self.resolved.append(name)
        if not self.routes:
            raise RegistrarError("unknown name")
        return self.routes


@pytest.mark.covers("NAPI-CON-1", "The network: properties nodes")
async def test_node_never_dials() -> None:
    """NAPI-CON-1: an open connection, or "no connection"."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        a.network.add_route("b@", route_to(b))
        assert raised_error_text(lambda: a.network.node(b.name)) == "no connection"
        assert a.network.nodes == []
        await a.network.get_node(b.name)
        assert a.network.node(b.name).name == b.name
        assert a.network.nodes == [b.name]


@pytest.mark.covers("NAPI-CON-2")
async def test_get_node_connects_first() -> None:
    """NAPI-CON-2: an open connection is used, whichever side dialed."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        a.network.add_route("b@", route_to(b))
        remote = await a.network.get_node(b.name)
        assert await a.network.get_node(b.name) is remote
        await eventually(lambda: a.name in b.network.connections)
        assert (await b.network.get_node(a.name)).name == a.name


async def send(it: Process, target: ProcessID) -> Any:
    await it.send(target, 1)


async def call(it: Process, target: ProcessID) -> Any:
    return await it.call(target, 1)


async def link(it: Process, target: ProcessID) -> Any:
    return await it.link(target)


async def monitor(it: Process, target: ProcessID) -> Any:
    return await it.monitor(target)


async def link_node(it: Process, target: ProcessID) -> Any:
    return await it.link(target.node)


async def monitor_node(it: Process, target: ProcessID) -> Any:
    return await it.monitor(target.node)


async def spawn(it: Process, target: ProcessID) -> Any:
    return await it.remote_spawn(target.node, "factory")


@pytest.mark.covers("NAPI-CON-2")
@pytest.mark.parametrize("operation", [send, call, link, monitor, link_node, monitor_node, spawn])
async def test_each_operation_with_a_remote_name_connects_first(operation: Any) -> None:
    """NAPI-CON-2."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        spawn_echo(b)
        b.network.enable_spawn("factory", Echo)
        a.network.add_route("b@", route_to(b))
        await run_as_process(a, lambda it: operation(it, process_id(b)))
        assert a.network.nodes == [b.name]


@pytest.mark.covers("NAPI-CON-3")
async def test_static_routes_then_proxies_then_the_registrar() -> None:
    """NAPI-CON-3: only the first kind with a match is tried, even if its dial fails."""
    async with node_starter() as start:
        b = await start("b")
        registrar = ScriptedRegistrar(Route("", port(b), False, EHS, ENP))
        a = await start("a", registrar=registrar)
        a.network.add_route("^b@", NOWHERE)
        assert await error_text(a.network.get_node(b.name)) == "no route"
        a.network.remove_route("^b@")
        a.network.add_proxy_route("^b@", ProxyRoute(b.name, Atom("c@localhost")))
        assert await error_text(a.network.get_node(b.name)) == "no route"
        assert registrar.resolved == []
        a.network.remove_proxy_route("^b@")
        assert (await a.network.get_node(b.name)).name == b.name
        assert registrar.resolved == [b.name]


@pytest.mark.covers("NAPI-CON-3", "Connections: Registrar and Resolver")
@pytest.mark.parametrize("name", ["DIST", ""], ids=["another", "none"])
@pytest.mark.parametrize("field", ["HandshakeVersion", "ProtoVersion"])
async def test_all_routes_of_a_registrar_are_tried(field: str, name: str) -> None:
    """NAPI-CON-3, ESRD-PL-3: in order; routes with an unknown or empty version are left out."""
    async with node_starter() as start:
        b = await start("b")
        good = Route("", port(b), False, EHS, ENP)
        unsupported = good._replace(**{field: getattr(good, field)._replace(Name=name)})
        a = await start("a", registrar=ScriptedRegistrar(unsupported, good._replace(Port=1), good))
        assert (await a.network.get_node(b.name)).name == b.name
        c = await start("c", registrar=ScriptedRegistrar(unsupported))
        assert await error_text(c.network.get_node(b.name)) == "no route"
        d = await start("d", registrar=ScriptedRegistrar())
        assert await error_text(d.network.get_node(b.name)) == "no route"


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("host", ["a\0b", "x" * 64, "a..b", ".", "\udc80", "x" * 4000])
async def test_a_route_with_an_impossible_host_is_passed_over(host: str, tls: bool) -> None:
    async with node_starter() as start:
        b = await start("b")
        good = Route("", port(b), False, EHS, ENP)
        a = await start("a", registrar=ScriptedRegistrar(good._replace(Host=host, TLS=tls), good))
        assert (await a.network.get_node(b.name)).name == b.name
        c = await start("c", registrar=ScriptedRegistrar(good._replace(Host=host, TLS=tls)))
        assert await error_text(c.network.get_node(b.name)) == "no route"
        assert (
            await error_text(c.network.get_node_with_route(b.name, NetworkRoute(host=host, port=1))) == "no such host"
        )


@pytest.mark.covers("NAPI-CON-4")
async def test_get_node_with_route_raises_the_cause_and_get_node_no_route() -> None:
    """NAPI-CON-4."""
    async with node_starter() as start:
        a = await start("a", insecure_skip_verify=False)
        secret = await start("secret", cookie="other")
        tls = await start("tls", acceptors=(AcceptorOptions(host=HOST, port=0, tls=self_signed([HOST])),))
        causes = {
            "EOF": (secret, route_to(secret)),
            "x509: self-signed certificate": (tls, route_to(tls)),
            "connection refused": (tls, NOWHERE),
            "no such host": (tls, NetworkRoute(host="no such host", port=1)),
            "no route": (tls, NetworkRoute(host=HOST)),
        }
        assert await error_text(a.network.get_node_with_route("no_host", NetworkRoute(port=1))) == "no route"
        for text, (node, route) in causes.items():
            assert await error_text(a.network.get_node_with_route(node.name, route)) == text
            a.network.add_route(f"^{node.name}$", route)
            assert await error_text(a.network.get_node(node.name)) == "no route"
            a.network.remove_route(f"^{node.name}$")


@pytest.mark.covers("NAPI-CON-4")
def test_errors_of_asyncio_get_the_texts_of_the_framework() -> None:
    """NAPI-CON-4."""
    both = OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect call failed")
    assert cause_of(both) == "connection refused"
    assert cause_of(OSError("no number")) == "no number"
    assert cause_of(ConnectionResetError()) == "EOF"
    assert cause_of(ConnectionResetError(104, "x")) == "connection reset by peer"


@pytest.mark.covers("NAPI-CON-5")
async def test_a_peer_with_another_name_is_refused() -> None:
    """NAPI-CON-5."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        text = await error_text(a.network.get_node_with_route("c@localhost", route_to(b)))
        assert text == "remote node 'c@localhost' introduced itself as 'b@localhost'"
        await eventually(lambda: not b.network.connections)
        assert not a.network.connections


@pytest.mark.covers("NAPI-CON-6")
async def test_a_node_does_not_connect_with_itself_or_a_node_of_its_name() -> None:
    """NAPI-CON-6."""
    async with node_starter() as start:
        a, namesake = await start("a"), await start("a")
        assert await error_text(a.network.get_node(a.name)) == "no route"
        a.network.add_route("a@", route_to(a))
        assert await error_text(a.network.get_node(a.name)) == "no route"
        assert await error_text(dial(a, a)) == "EOF"
        assert await error_text(dial(a, namesake)) == "EOF"
        assert not a.network.connections
        assert not namesake.network.connections


@pytest.mark.covers("NAPI-CON-7")
async def test_there_is_one_connection_per_pair() -> None:
    """NAPI-CON-7: a second request returns the first connection without a dial."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        first = await dial(a, b)
        await eventually(lambda: socket_count(a, b) == socket_count(b, a) == 3)
        assert await dial(a, b) is first
        assert await a.network.get_node_with_route(b.name, NOWHERE) is first
        assert len(a.network._sockets.live) == len(b.network._sockets.live) == 3


@pytest.mark.covers("NAPI-CON-8")
@pytest.mark.parametrize("static", [True, False])
async def test_a_route_without_a_host_leads_to_the_host_of_the_name(static: bool) -> None:
    """NAPI-CON-8."""
    async with node_starter() as start:
        a, b = await start("a"), await start(f"b@{HOST}")
        route = NetworkRoute(port=port(b))
        if static:
            a.network.add_route("b@", route)
            assert (await a.network.get_node(b.name)).name == b.name
        else:
            assert (await a.network.get_node_with_route(b.name, route)).name == b.name


@pytest.mark.covers("NAPI-CON-9")
async def test_a_dial_times_out_after_the_connect_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """NAPI-CON-9: "i/o timeout"."""
    assert EhsHandshake().deadlines.connect == ehs.CONNECT_TIMEOUT == 3.0
    short_deadlines = EhsHandshake(deadlines=Deadlines(connect=0.2, read=60.0, handshake=60.0))

    async def never_connect(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    async with node_starter() as start:
        a = await start("a", handshake=short_deadlines)
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never_connect)
        text = await error_text(a.network.get_node_with_route("b@localhost", NOWHERE))
        assert text == "i/o timeout"


@pytest.mark.covers("NAPI-CON-9")
async def test_dial_fails_when_the_peer_is_silent_in_the_handshake() -> None:
    """NAPI-CON-9: each read 1 s."""
    assert EhsHandshake().deadlines.read == 1.0
    short_deadlines = EhsHandshake(deadlines=Deadlines(connect=60.0, read=0.2, handshake=60.0))
    with socket.create_server((HOST, 0)) as silent:
        async with node_starter() as start:
            a = await start("a", handshake=short_deadlines)
            route = NetworkRoute(host=HOST, port=silent.getsockname()[1])
            text = await error_text(a.network.get_node_with_route("b@localhost", route))
            assert text == "i/o timeout"


@pytest.mark.covers("NAPI-CON-10: The network: drop", "NAPI-CON-10: A remote node: Disconnect")
async def test_disconnect_closes_all_sockets_on_both_sides() -> None:
    """NAPI-CON-10: monitors end with "no connection"; the peer receives no frame."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        downs: dict[str, list[Any]] = {"a": [], "b": []}
        monitored = []

        async def monitor_and_record(it: Process, key: str, target: ProcessID) -> None:
            await it.monitor(target)
            monitored.append(key)
            while True:
                downs[key].append(await it.receive())

        spawn_echo(a)
        spawn_echo(b)
        remote = await dial(a, b)
        a.spawn(monitor_and_record, "a", process_id(b))
        b.spawn(monitor_and_record, "b", process_id(a))
        await eventually(lambda: len(monitored) == 2)
        await eventually(lambda: socket_count(b, a) == 3)
        connection = b.network.connections[a.name]
        frames = b.network.node(a.name).info.messages_in
        assert frames > 0
        remote.disconnect()
        assert a.network.nodes == []
        assert raised_error_text(remote.disconnect) == "no connection"
        await eventually(lambda: not b.network.connections and not b.network._sockets.live)
        assert connection.node.info.messages_in == frames
        await eventually(lambda: downs["a"] and downs["b"])
        for key, node in (("a", b), ("b", a)):
            [down] = downs[key]
            assert isinstance(down, Down)
            assert (down.source, down.reason.text) == (process_id(node), "no connection")


@pytest.mark.covers("NAPI-CON-4")
async def test_operations_with_an_unknown_node_raise_no_route() -> None:
    """NAPI-CON-2, -4: the process gets the error and goes on."""
    async with node_starter() as start:
        a = await start("a")
        target = ProcessID(Atom("x@localhost"), Atom("echo"))
        for operation in (send, call, link, monitor, link_node, monitor_node, spawn):
            assert await error_text(run_as_process(a, partial(operation, target=target))) == "no route"


async def test_the_roles_are_dialer_and_acceptor() -> None:
    """NAPI-CON-2: the roles."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        await dial(a, b)
        await eventually(lambda: a.name in b.network.connections)
        assert a.network.connections[b.name].peer.role is Role.DIALER
        assert b.network.connections[a.name].peer.role is Role.ACCEPTOR
