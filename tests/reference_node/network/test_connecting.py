"""How a node gets to another one (NAPI-CON), over sockets of the loopback."""

import asyncio
import socket
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
from tests.support.network import Echo, at, dial, echo, failure, lan, refusal, to
from tests.support.nodes import run_as_process
from tests.support.sockets import HOST, eventually, port, socket_count

pytestmark = pytest.mark.real_loop

NOWHERE = NetworkRoute(host=HOST, port=1)
"""Nobody listens there."""


class Finder(EsrdRegistrar):
    """Finds what it is told, and notes who is looked for."""

    def __init__(self, *routes: Route) -> None:
        super().__init__(port=0, serve=False)
        self.routes = list(routes)
        self.asked: list[Atom] = []

    async def register(self, node: Any, routes: Any) -> None:
        """It is nobody's business who we are."""

    async def resolve(self, name: Atom) -> list[Route]:
        self.asked.append(name)
        if not self.routes:
            raise RegistrarError("unknown name")
        return self.routes


@pytest.mark.covers("NAPI-CON-1", "The network: properties nodes")
async def test_node_never_dials() -> None:
    """NAPI-CON-1: an open connection, or "no connection"."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        a.network.add_route("b@", to(b))
        assert refusal(lambda: a.network.node(b.name)) == "no connection"
        assert a.network.nodes == []
        await a.network.get_node(b.name)
        assert a.network.node(b.name).name == b.name
        assert a.network.nodes == [b.name]


@pytest.mark.covers("NAPI-CON-2")
async def test_get_node_connects_first() -> None:
    """NAPI-CON-2: and takes the open connection if there is one, whoever opened it."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        a.network.add_route("b@", to(b))
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
@pytest.mark.parametrize("verb", [send, call, link, monitor, link_node, monitor_node, spawn])
async def test_whatever_is_done_with_a_remote_name_connects_first(verb: Any) -> None:
    """NAPI-CON-2."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        echo(b)
        b.network.enable_spawn("factory", Echo)
        a.network.add_route("b@", to(b))
        await run_as_process(a, lambda it: verb(it, at(b)))
        assert a.network.nodes == [b.name]


@pytest.mark.covers("NAPI-CON-3")
async def test_static_routes_then_proxies_then_the_registrar() -> None:
    """NAPI-CON-3: what matches first counts alone, even if it leads nowhere."""
    async with lan() as start:
        b = await start("b")
        found = Finder(Route("", port(b), False, EHS, ENP))
        a = await start("a", registrar=found)
        a.network.add_route("^b@", NOWHERE)
        assert await failure(a.network.get_node(b.name)) == "no route"
        a.network.remove_route("^b@")
        a.network.add_proxy_route("^b@", ProxyRoute(b.name, Atom("c@localhost")))
        assert await failure(a.network.get_node(b.name)) == "no route"
        assert found.asked == []
        a.network.remove_proxy_route("^b@")
        assert (await a.network.get_node(b.name)).name == b.name
        assert found.asked == [b.name]


@pytest.mark.covers("NAPI-CON-3", "Connections: Registrar and Resolver")
@pytest.mark.parametrize("name", ["DIST", ""], ids=["another", "none"])
@pytest.mark.parametrize("field", ["HandshakeVersion", "ProtoVersion"])
async def test_all_that_a_registrar_knows_is_tried(field: str, name: str) -> None:
    """NAPI-CON-3, ESRD-PL-3: one after the other; what we don't speak is left out, and what does not say what it speaks."""
    async with lan() as start:
        b = await start("b")
        good = Route("", port(b), False, EHS, ENP)
        strange = good._replace(**{field: getattr(good, field)._replace(Name=name)})
        a = await start("a", registrar=Finder(strange, good._replace(Port=1), good))
        assert (await a.network.get_node(b.name)).name == b.name
        c = await start("c", registrar=Finder(strange))
        assert await failure(c.network.get_node(b.name)) == "no route"
        d = await start("d", registrar=Finder())
        assert await failure(d.network.get_node(b.name)) == "no route"


@pytest.mark.covers("NAPI-CON-4")
async def test_with_a_route_the_cause_is_told_and_without_it_is_no_route() -> None:
    """NAPI-CON-4."""
    async with lan() as start:
        a = await start("a", insecure_skip_verify=False)
        secret = await start("secret", cookie="other")
        tls = await start("tls", acceptors=(AcceptorOptions(host=HOST, port=0, tls=self_signed([HOST])),))
        causes = {
            "EOF": (secret, to(secret)),
            "x509: self-signed certificate": (tls, to(tls)),
            "connection refused": (tls, NOWHERE),
            "no such host": (tls, NetworkRoute(host="no such host", port=1)),
            "no route": (tls, NetworkRoute(host=HOST)),
        }
        assert await failure(a.network.get_node_with_route("no_host", NetworkRoute(port=1))) == "no route"
        for text, (node, route) in causes.items():
            assert await failure(a.network.get_node_with_route(node.name, route)) == text
            a.network.add_route(f"^{node.name}$", route)
            assert await failure(a.network.get_node(node.name)) == "no route"
            a.network.remove_route(f"^{node.name}$")


@pytest.mark.covers("NAPI-CON-4")
def test_causes_that_asyncio_says_in_other_words() -> None:
    """NAPI-CON-4."""
    both = OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect call failed")
    assert cause_of(both) == "connection refused"
    assert cause_of(OSError("no number")) == "no number"
    assert cause_of(ConnectionResetError()) == "EOF"
    assert cause_of(ConnectionResetError(104, "x")) == "connection reset by peer"


@pytest.mark.covers("NAPI-CON-5")
async def test_the_peer_has_to_have_the_wanted_name() -> None:
    """NAPI-CON-5."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        text = await failure(a.network.get_node_with_route("c@localhost", to(b)))
        assert text == "remote node 'c@localhost' introduced itself as 'b@localhost'"
        await eventually(lambda: not b.network.connections)
        assert not a.network.connections


@pytest.mark.covers("NAPI-CON-6")
async def test_nobody_is_connected_with_itself_or_its_namesake() -> None:
    """NAPI-CON-6."""
    async with lan() as start:
        a, namesake = await start("a"), await start("a")
        assert await failure(a.network.get_node(a.name)) == "no route"
        a.network.add_route("a@", to(a))
        assert await failure(a.network.get_node(a.name)) == "no route"
        assert await failure(dial(a, a)) == "EOF"
        assert await failure(dial(a, namesake)) == "EOF"
        assert not a.network.connections
        assert not namesake.network.connections


@pytest.mark.covers("NAPI-CON-7")
async def test_there_is_one_connection_per_pair() -> None:
    """NAPI-CON-7: a second dial gives the first connection; here it does not even dial."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        first = await dial(a, b)
        await eventually(lambda: socket_count(a, b) == socket_count(b, a) == 3)
        assert await dial(a, b) is first
        assert await a.network.get_node_with_route(b.name, NOWHERE) is first
        assert len(a.network._sockets.live) == len(b.network._sockets.live) == 3


@pytest.mark.covers("NAPI-CON-8")
@pytest.mark.parametrize("static", [True, False])
async def test_without_a_host_a_route_goes_to_the_one_of_the_name(static: bool) -> None:
    """NAPI-CON-8."""
    async with lan() as start:
        a, b = await start("a"), await start(f"b@{HOST}")
        route = NetworkRoute(port=port(b))
        if static:
            a.network.add_route("b@", route)
            assert (await a.network.get_node(b.name)).name == b.name
        else:
            assert (await a.network.get_node_with_route(b.name, route)).name == b.name


@pytest.mark.covers("NAPI-CON-9")
async def test_a_dial_is_given_up_after_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """NAPI-CON-9: "i/o timeout", of a host that says nothing."""
    assert ehs.CONNECT_TIMEOUT == 3.0
    monkeypatch.setattr(ehs, "CONNECT_TIMEOUT", 0.2)

    async def silence(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    async with lan() as start:
        a = await start("a")
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", silence)
        text = await failure(a.network.get_node_with_route("b@localhost", NOWHERE))
        assert text == "i/o timeout"


@pytest.mark.covers("NAPI-CON-9")
async def test_dial_fails_when_the_peer_is_silent_in_the_handshake() -> None:
    """NAPI-CON-9: each read 1 s."""
    assert EhsHandshake().deadlines.read == 1.0
    quick = EhsHandshake(deadlines=Deadlines(connect=3.0, read=0.2, handshake=20.0))
    with socket.create_server((HOST, 0)) as silent:
        async with lan() as start:
            a = await start("a", handshake=quick)
            route = NetworkRoute(host=HOST, port=silent.getsockname()[1])
            text = await failure(a.network.get_node_with_route("b@localhost", route))
            assert text == "i/o timeout"


@pytest.mark.covers("NAPI-CON-10: The network: drop", "NAPI-CON-10: A remote node: Disconnect")
async def test_disconnect_ends_all_links_and_both_forget_at_once() -> None:
    """NAPI-CON-10: what was watched there ends with "no connection"; the peer sees the end of the links and no frame."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        heard: dict[str, list[Any]] = {"a": [], "b": []}
        ready = []

        async def watches(it: Process, key: str, target: ProcessID) -> None:
            await it.monitor(target)
            ready.append(key)
            while True:
                heard[key].append(await it.receive())

        echo(a)
        echo(b)
        remote = await dial(a, b)
        a.spawn(watches, "a", at(b))
        b.spawn(watches, "b", at(a))
        await eventually(lambda: len(ready) == 2)
        await eventually(lambda: socket_count(b, a) == 3)
        connection = b.network.connections[a.name]
        frames = b.network.node(a.name).info.messages_in
        assert frames > 0
        remote.disconnect()
        assert a.network.nodes == []
        assert refusal(remote.disconnect) == "no connection"
        await eventually(lambda: not b.network.connections and not b.network._sockets.live)
        assert connection.node.info.messages_in == frames
        await eventually(lambda: heard["a"] and heard["b"])
        for key, node in (("a", b), ("b", a)):
            [down] = heard[key]
            assert isinstance(down, Down)
            assert (down.source, down.reason.text) == (at(node), "no connection")


@pytest.mark.covers("NAPI-CON-4")
async def test_what_a_process_does_when_there_is_no_way() -> None:
    """NAPI-CON-2, -4: it gets the error and lives on."""
    async with lan() as start:
        a = await start("a")
        for verb in (send, call, link, monitor, link_node, monitor_node, spawn):
            target = ProcessID(Atom("x@localhost"), Atom("echo"))
            assert await failure(run_as_process(a, lambda it, verb=verb, target=target: verb(it, target))) == "no route"  # type: ignore[misc]


async def test_the_dialer_is_who_dialed() -> None:
    """NAPI-CON-2: the roles."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        await dial(a, b)
        await eventually(lambda: a.name in b.network.connections)
        assert a.network.connections[b.name].peer.role is Role.DIALER
        assert b.network.connections[a.name].peer.role is Role.ACCEPTOR
