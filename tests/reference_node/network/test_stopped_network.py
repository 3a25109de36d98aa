"""A node without a network, disabled or stopped: every method says so, nothing crashes, and it can be started again."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.model.ergo import error_values
from ergo_conformance.model.ergo.saturn import ProxyRoute
from ergo_conformance.model.values import PID, Alias, Atom, Event, ProcessID
from ergo_conformance.peers.memory import join_protocols
from ergo_conformance.reference_node.api.errors import HandshakeError
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.core.core import NodeCore
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions, NetworkMode
from ergo_conformance.reference_node.registrars.esrd_client import EsrdRegistrar
from tests.support.network import Echo, Start, at, dial, echo, failure, lan, ports_in_a_row, refusal, to
from tests.support.nodes import run_as_process
from tests.support.settings import make_node
from tests.support.sockets import ACCEPTORS, HOST, eventually, port, socket_count

STOPPED = "network stack is stopped"
X = Atom("x@localhost")
ROUTE = NetworkRoute(host=HOST, port=1)


async def disabled(start: Start) -> Node:
    return await start("a", mode=NetworkMode.DISABLED, registrar=EsrdRegistrar(port=0))


async def stopped(start: Start) -> Node:
    node = await start("a", registrar=EsrdRegistrar(port=0))
    await node.network.stop()
    return node


both = pytest.mark.parametrize("without", [disabled, stopped])
Without = Callable[[Start], Awaitable[Node]]


@pytest.mark.covers("NAPI-OPT-2", "The network: Acceptors")
@both
@pytest.mark.real_loop
async def test_every_method_says_that_the_network_is_stopped(without: Without) -> None:
    """NAPI-OPT-2, -3: "network stack is stopped"; Node is "no connection"."""
    async with lan() as start:
        network = (await without(start)).network
        assert refusal(lambda: network.info) == STOPPED
        assert refusal(lambda: network.registrar) == STOPPED
        assert refusal(lambda: network.acceptors) == STOPPED
        assert refusal(lambda: network.node(X)) == "no connection"
        assert await failure(network.get_node(X)) == STOPPED
        assert await failure(network.get_node_with_route(X, ROUTE)) == STOPPED
        assert await failure(network.connection(X)) == STOPPED
        assert await failure(network.connect(HOST, 1)) == STOPPED
        assert await failure(network.listen(AcceptorOptions(host=HOST, port=0))) == STOPPED
        assert (network.nodes, dict(network.connections)) == ([], {})


@pytest.mark.covers("NAPI-OPT-2")
@both
@pytest.mark.real_loop
async def test_routes_and_permissions_are_kept_for_later(without: Without) -> None:
    """NAPI-OPT-2: what needs no network works."""
    async with lan() as start:
        network = (await without(start)).network
        network.add_route("x", ROUTE)
        assert network.route(X) == [ROUTE]
        assert await failure(network.get_node(X)) == STOPPED
        network.remove_route("x")
        proxy = ProxyRoute(X, Atom("y@localhost"))
        network.add_proxy_route("x", proxy)
        assert network.proxy_route(X) == [proxy]
        network.remove_proxy_route("x")
        network.enable_spawn("f", Echo)
        network.disable_spawn("f")
        network.enable_application_start("app")
        network.disable_application_start("app")
        network.cookie, network.flags, network.max_message_size = "new", network.flags, 1
        await network.stop()


PID_OF_X = PID(X, 1001, 1)
VERBS: dict[str, Callable[[Process], Awaitable[Any]]] = {
    "send to a pid": lambda it: it.send(PID_OF_X, 1),
    "send to a name": lambda it: it.send(ProcessID(X, Atom("echo")), 1),
    "send to an alias": lambda it: it.send(Alias(X, 1, (1, 2, 3)), 1),
    "important send": lambda it: it.send(PID_OF_X, 1, important=True),
    "call": lambda it: it.call(ProcessID(X, Atom("echo")), 1),
    "exit": lambda it: it.exit(PID_OF_X, error_values.KILL),
    "link": lambda it: it.link(PID_OF_X),
    "monitor": lambda it: it.monitor(ProcessID(X, Atom("echo"))),
    "link of an event": lambda it: it.link(Event(X, Atom("ev"))),
    "link of a node": lambda it: it.link(X),
    "monitor of a node": lambda it: it.monitor(X),
    "spawn": lambda it: it.remote_spawn(X, "f"),
    "application start": lambda it: cast("NodeCore", it.host).remote.start_application(X, Atom("app"), 0),
}


@pytest.mark.covers("NAPI-OPT-3")
@both
@pytest.mark.parametrize("verb", list(VERBS))
@pytest.mark.real_loop
async def test_a_process_that_wants_another_node_is_told(without: Without, verb: str) -> None:
    """NAPI-OPT-3: upstream's node ends with exit code 2; here the process gets the error, and all live on."""
    async with lan() as start:
        node = await without(start)
        echo(node)
        assert await failure(run_as_process(node, VERBS[verb])) == STOPPED
        assert await run_as_process(node, lambda it: it.call("echo", 1)) == 1


@pytest.mark.covers("NAPI-OPT-2")
@pytest.mark.real_loop
async def test_a_disabled_network_opens_nothing() -> None:
    """NAPI-OPT-2: no listening socket, no registration; its own acceptor settings are not even looked at."""
    async with lan() as start:
        with socket.create_server((HOST, 0)) as taken:
            number = taken.getsockname()[1]
            registrar = EsrdRegistrar(port=0)
            acceptors = (AcceptorOptions(host=HOST, port=number, last_port=number),)
            await start("a", mode=NetworkMode.DISABLED, acceptors=acceptors, registrar=registrar)
        assert not registrar.registered


@pytest.mark.covers("NAPI-OPT-2")
async def test_links_that_reach_a_disabled_network_nevertheless_are_closed() -> None:
    """NAPI-OPT-2: in both roles, without a byte."""
    without, other = make_node("a@localhost", mode=NetworkMode.DISABLED), make_node("b@localhost")
    for one, two in ((without, other), (other, without)):
        dialer = one.network.dialer_protocol()
        join_protocols(dialer, two.network.acceptor_protocol())
        assert dialer.outcome is not None
        with pytest.raises(HandshakeError, match="has stopped" if one is without else "closed"):
            await dialer.outcome
    assert not other.network.connections


@pytest.mark.covers("The network: Node.NetworkStart")
@pytest.mark.real_loop
async def test_stop_ends_the_network_and_start_begins_it_again() -> None:
    """Node.NetworkStop and NetworkStart: links end, the name is given back, processes live on; routes are kept."""
    async with lan() as start:
        registrar = EsrdRegistrar(port=0)
        a, b = await start("a"), await start("b", registrar=registrar)
        _, actor = echo(b)
        remote = await dial(a, b)
        await eventually(lambda: socket_count(b, a) == 3)
        before = port(b)
        await b.network.stop()
        assert (dict(b.network.connections), b.network._sockets.live) == ({}, set())
        assert (registrar.registered, registrar.serving) == (False, False)
        await eventually(lambda: not a.network.connections)
        assert refusal(remote.disconnect) == "no connection"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, before)
        assert await run_as_process(b, lambda it: it.call("echo", 1)) == 1

        b.network.cookie = "new"
        for _ in range(2):
            await b.network.start()
            assert registrar.registered
            again = await dial(a, b, cookie="new")
            await run_as_process(a, lambda it: it.send(at(b), "hello"))
            await eventually(lambda: actor.got)
            actor.got.clear()
            assert (again.name, again.creation) == (b.name, b.creation)
            await b.network.stop()


@pytest.mark.covers("The network: Node.NetworkStart")
@pytest.mark.real_loop
async def test_a_network_is_started_once() -> None:
    """NetworkStart of one that runs: an error, and it runs on; stop twice is nothing."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        with pytest.raises(UsageError, match="network stack is already running"):
            await b.network.start()
        assert (await dial(a, b)).name == b.name
        await b.network.stop()
        await b.network.stop()
        await b.network.start()


@pytest.mark.covers("NAPI-ACC-2")
@pytest.mark.real_loop
async def test_a_start_that_fails_leaves_nothing_and_may_be_tried_again() -> None:
    """NAPI-ACC-2: at NetworkStart, too."""
    async with lan() as start:
        number = ports_in_a_row(1)
        acceptors = (*ACCEPTORS, AcceptorOptions(host=HOST, port=number, last_port=number))
        node = await start("b", acceptors=acceptors)
        await node.network.stop()
        with socket.create_server((HOST, number)):
            with pytest.raises(UsageError, match="no available ports"):
                await node.network.start()
            assert refusal(lambda: node.network.info) == STOPPED
        await node.network.start()
        assert node.network.acceptors[1].port == number


@pytest.mark.covers("NAPI-OPT-3")
@pytest.mark.real_loop
async def test_who_waits_for_a_dial_when_the_network_stops_gets_the_error() -> None:
    """NAPI-OPT-3: a process that waits is not ended by it."""
    with socket.create_server((HOST, 0)) as silent:
        async with lan() as start:
            a = await start("a")
            route = NetworkRoute(host=HOST, port=silent.getsockname()[1])
            a.network.add_route("x@", route)
            waits = [
                asyncio.ensure_future(failure(run_as_process(a, lambda it: it.send(ProcessID(X, Atom("echo")), 1)))),
                asyncio.ensure_future(failure(a.network.get_node(X))),
                asyncio.ensure_future(failure(a.network.get_node_with_route(X, route))),
            ]
            await eventually(lambda: a.network._sockets.live)
            given_up = asyncio.ensure_future(a.network.get_node(X))
            await asyncio.sleep(0)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            await a.network.stop()
            assert await asyncio.gather(*waits) == [STOPPED] * 3


@pytest.mark.covers("NAPI-OPT-3")
@pytest.mark.real_loop
async def test_a_stopped_node_has_no_network_either() -> None:
    """NAPI-OPT-3: Node.stop."""
    async with lan() as start:
        a, b = await start("a"), await start("b")
        remote, route = await dial(a, b), to(b)
        await a.stop()
        assert await failure(a.network.get_node_with_route(b.name, route)) == STOPPED
        assert await failure(remote.spawn("f")) == "no connection"
        assert refusal(lambda: a.spawn(Echo())) == "node terminated"
