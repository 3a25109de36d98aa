"""Route resolution by name in memory: the open connection, a static route, or "no route"."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo.ehs import Role
from ergo_conformance.model.values import Atom, ProcessID
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.connection.tls import self_signed
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from ergo_conformance.reference_node.target.config import route_of
from tests.support.nodes import MemoryNetwork, context, node, run_as_process, settle
from tests.support.settings import LONG_DEADLINES, make_node, start_node
from tests.support.sockets import HOST

NOBODY = ProcessID(Atom("x@nowhere"), Atom("echo"))


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("127.0.0.1:80", NetworkRoute(host="127.0.0.1", port=80)),
        ("tls://example.org:4433", NetworkRoute(host="example.org", port=4433, tls=True)),
        ("[::1]:25000", NetworkRoute(host="::1", port=25000)),
    ],
)
def test_parse_the_text_of_a_route(text: str, route: NetworkRoute) -> None:
    assert route_of(text) == route


@pytest.mark.parametrize("text", ["", "host", ":80", "host:", "host:port", "host:0", "host:65536", "tls://host"])
def test_an_invalid_text_of_a_route_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        route_of(text)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("host", [HOST, ""])
@pytest.mark.real_loop
async def test_a_static_route_connects_over_tcp(tls: bool, host: str) -> None:
    """Without a host the route leads to the host of the name."""
    pair = self_signed([HOST]) if tls else None
    acceptors = (AcceptorOptions(host=HOST, port=0, tls=pair),)
    b = await start_node(f"b@{HOST}", cookie="secret", acceptors=acceptors)
    Supervisor(b.core, LEVEL_1)
    routes = {str(b.name): NetworkRoute(host=host, port=b.network.acceptors[0].port, tls=tls)}
    a = make_node("a@localhost", cookie="secret", routes=routes, handshake=LONG_DEADLINES)
    connection = await a.network.connection(b.name)
    assert (connection.peer.role, len(connection.sockets)) == (Role.DIALER, 3)
    echo = ProcessID(b.name, Atom("echo"))
    assert await run_as_process(a, lambda it: it.call(echo, "hello")) == "hello"
    await a.stop()
    await b.stop()


@pytest.mark.covers("The network: properties nodes")
async def test_an_open_connection_is_used_without_a_dial() -> None:
    net = MemoryNetwork()
    a, b, connection = await net.pair()
    assert await a.network.connection(b.name) is connection
    assert await b.network.connection(a.name) is b.network.connections[a.name]  # b has no route to a
    assert net.dialed == [1] * 3
    await net.stop()


@pytest.mark.covers("The network: connect")
async def test_a_connection_that_the_peer_dialed_is_used() -> None:
    b = node()
    peer = await context(b).peer()
    await settle()
    await run_as_process(b, lambda it: it.send(peer.pid(), "hello"))
    assert (await peer.receive_message()).value.payload == "hello"
    await b.stop()


@pytest.mark.covers("NAPI-CON-2")
@pytest.mark.parametrize("count", [2, 50])
async def test_concurrent_requests_for_a_node_share_one_dial(count: int) -> None:
    net = MemoryNetwork()
    b = net.node("b@localhost")
    Supervisor(b.core, LEVEL_1)
    a = net.node("a@localhost")
    echo = ProcessID(b.name, Atom("echo"))
    answers = asyncio.gather(*(run_as_process(a, lambda it, i=i: it.call(echo, i)) for i in range(count)))  # type: ignore[misc]
    connections = await asyncio.gather(*(a.network.connection(b.name) for _ in range(count)))
    assert set(connections) == {a.network.connections[b.name]}
    assert await answers == list(range(count))
    assert net.dialed == [1] * 3
    await net.stop()


# --- no route ---------------------------------------------------------------------------------------------------------


async def expect_no_route(of: Node, name: str) -> None:
    with pytest.raises(ErgoError, match="no route"):
        await of.network.get_node(name)


async def test_an_unknown_name_has_no_route() -> None:
    net = MemoryNetwork()
    a, b, _ = await net.pair()
    for name in ("x@nowhere", "", "b", str(a.name)):
        await expect_no_route(a, name)
    assert len(net.dialed) == 3
    assert list(a.network.connections) == [b.name]
    await net.stop()


async def test_a_route_to_a_closed_port_or_another_node_is_no_route() -> None:
    net = MemoryNetwork()
    b = net.node("b@localhost")
    routes = {"x@localhost": NetworkRoute(host=HOST, port=99), "y@localhost": NetworkRoute(host=HOST, port=1)}
    a = net.node("a@localhost", routes=routes)
    stranger = net.node("c@localhost", cookie="another")
    for _ in range(2):
        await expect_no_route(a, "x@localhost")
        await expect_no_route(a, "y@localhost")  # the peer introduces itself as b
        await expect_no_route(stranger, str(b.name))
    await settle()
    assert not a.network.connections
    assert not b.network.connections
    await net.stop()


VERBS: dict[str, Any] = {
    "send": lambda it: it.send(NOBODY, 1),
    "important": lambda it: it.send(NOBODY, 1, important=True),
    "call": lambda it: it.call(NOBODY, 1),
    "link": lambda it: it.link(NOBODY),
    "monitor of a node": lambda it: it.monitor(NOBODY.node),
}


@pytest.mark.parametrize("verb", list(VERBS))
async def test_an_operation_without_a_route_raises_no_route(verb: str) -> None:
    b = node()
    with pytest.raises(ErgoError, match="no route"):
        await run_as_process(b, VERBS[verb])
    await b.stop()


async def test_a_repeated_operation_dials_again() -> None:
    net = MemoryNetwork()
    b = net.node("b@localhost")
    Supervisor(b.core, LEVEL_1)
    a = net.node("a@localhost")
    nodes, net.nodes = net.nodes, {}

    async def call_twice(it: Process) -> Any:
        echo = ProcessID(b.name, Atom("echo"))
        with pytest.raises(ErgoError, match="no route"):
            await it.call(echo, 1)
        net.nodes = nodes
        return await it.call(echo, 2)

    assert await run_as_process(a, call_twice) == 2
    await net.stop()
