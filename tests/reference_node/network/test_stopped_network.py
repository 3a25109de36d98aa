"""A disabled or stopped network: errors of all methods, kept settings, and a new start."""

import asyncio
import contextlib
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
from tests.support.consumers import error_text
from tests.support.loopback_nodes import (
    Echo,
    Start,
    dial,
    node_starter,
    process_id,
    raised_error_text,
    route_to,
    spawn_echo,
)
from tests.support.nodes import run_as_process
from tests.support.ports import free_port
from tests.support.settings import make_node
from tests.support.sockets import ACCEPTORS, HOST, eventually, port, socket_count

STOPPED = "network stack is stopped"
X = Atom("x@localhost")
ROUTE = NetworkRoute(host=HOST, port=1)


async def start_disabled(start: Start) -> Node:
    return await start("a", mode=NetworkMode.DISABLED, registrar=EsrdRegistrar(port=0))


async def start_and_stop(start: Start) -> Node:
    node = await start("a", registrar=EsrdRegistrar(port=0))
    await node.network.stop()
    return node


ways_without_network = pytest.mark.parametrize("start_without_network", [start_disabled, start_and_stop])
StartWithoutNetwork = Callable[[Start], Awaitable[Node]]


@pytest.mark.covers("NAPI-OPT-2", "The network: Acceptors")
@ways_without_network
@pytest.mark.real_loop
async def test_methods_of_a_stopped_network_raise(start_without_network: StartWithoutNetwork) -> None:
    """NAPI-OPT-2, -3: "network stack is stopped"; Node is "no connection"."""
    async with node_starter() as start:
        network = (await start_without_network(start)).network
        assert raised_error_text(lambda: network.info) == STOPPED
        assert raised_error_text(lambda: network.registrar) == STOPPED
        assert raised_error_text(lambda: network.acceptors) == STOPPED
        assert raised_error_text(lambda: network.node(X)) == "no connection"
        assert await error_text(network.get_node(X)) == STOPPED
        assert await error_text(network.get_node_with_route(X, ROUTE)) == STOPPED
        assert await error_text(network.connection(X)) == STOPPED
        assert await error_text(network.connect(HOST, 1)) == STOPPED
        assert await error_text(network.listen(AcceptorOptions(host=HOST, port=0))) == STOPPED
        assert (network.nodes, dict(network.connections)) == ([], {})


@pytest.mark.covers("NAPI-OPT-2")
@ways_without_network
@pytest.mark.real_loop
async def test_routes_and_permissions_of_a_stopped_network_are_kept(start_without_network: StartWithoutNetwork) -> None:
    """NAPI-OPT-2: operations that need no network work."""
    async with node_starter() as start:
        network = (await start_without_network(start)).network
        network.add_route("x", ROUTE)
        assert network.route(X) == [ROUTE]
        assert await error_text(network.get_node(X)) == STOPPED
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
@ways_without_network
@pytest.mark.parametrize("operation", list(VERBS))
@pytest.mark.real_loop
async def test_an_operation_with_another_node_raises_network_stopped(
    start_without_network: StartWithoutNetwork, operation: str
) -> None:
    """NAPI-OPT-3: the process gets the error and goes on; upstream's node ends with exit code 2."""
    async with node_starter() as start:
        node = await start_without_network(start)
        spawn_echo(node)
        assert await error_text(run_as_process(node, VERBS[operation])) == STOPPED
        assert await run_as_process(node, lambda it: it.call("echo", 1)) == 1


@pytest.mark.covers("NAPI-OPT-2")
@pytest.mark.real_loop
async def test_a_disabled_network_opens_no_socket() -> None:
    """NAPI-OPT-2: no listening socket and no registration; the acceptor settings are not used."""
    async with node_starter() as start:
        with socket.create_server((HOST, 0)) as taken:
            number = taken.getsockname()[1]
            registrar = EsrdRegistrar(port=0)
            acceptors = (AcceptorOptions(host=HOST, port=number, last_port=number),)
            await start("a", mode=NetworkMode.DISABLED, acceptors=acceptors, registrar=registrar)
        assert not registrar.registered


@pytest.mark.covers("NAPI-OPT-2")
async def test_a_disabled_network_closes_sockets() -> None:
    """NAPI-OPT-2: in both roles, without a byte."""
    without_network, other = make_node("a@localhost", mode=NetworkMode.DISABLED), make_node("b@localhost")
    for dialing, accepting in ((without_network, other), (other, without_network)):
        dialer = dialing.network.dialer_protocol()
        join_protocols(dialer, accepting.network.acceptor_protocol())
        assert dialer.outcome is not None
        with pytest.raises(HandshakeError, match="has stopped" if dialing is without_network else "closed"):
            await dialer.outcome
    assert not other.network.connections


@pytest.mark.covers("The network: Node.NetworkStart")
@pytest.mark.real_loop
async def test_a_stopped_network_can_be_started_again() -> None:
    """Node.NetworkStop and NetworkStart: sockets are closed, the name is released, processes go on, routes stay."""
    async with node_starter() as start:
        registrar = EsrdRegistrar(port=0)
        a, b = await start("a"), await start("b", registrar=registrar)
        _, actor = spawn_echo(b)
        remote = await dial(a, b)
        await eventually(lambda: socket_count(b, a) == 3)
        before = port(b)
        await b.network.stop()
        assert (dict(b.network.connections), b.network._sockets.live) == ({}, set())
        assert (registrar.registered, registrar.serving) == (False, False)
        await eventually(lambda: not a.network.connections)
        assert raised_error_text(remote.disconnect) == "no connection"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, before)
        assert await run_as_process(b, lambda it: it.call("echo", 1)) == 1

        b.network.cookie = "new"
        for _ in range(2):
            await b.network.start()
            assert registrar.registered
            again = await dial(a, b, cookie="new")
            await run_as_process(a, lambda it: it.send(process_id(b), "hello"))
            await eventually(lambda: actor.received)
            actor.received.clear()
            assert (again.name, again.creation) == (b.name, b.creation)
            await b.network.stop()


@pytest.mark.covers("The network: Node.NetworkStart")
@pytest.mark.real_loop
async def test_a_second_start_of_a_network_raises() -> None:
    """NetworkStart of a running network is an error, and it keeps running; a second stop has no effect."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        with pytest.raises(UsageError, match="network stack is already running"):
            await b.network.start()
        assert (await dial(a, b)).name == b.name
        await b.network.stop()
        await b.network.stop()
        await b.network.start()


@pytest.mark.covers("NAPI-ACC-2")
@pytest.mark.real_loop
async def test_a_failed_start_opens_nothing_and_can_be_repeated() -> None:
    """NAPI-ACC-2: also at NetworkStart."""
    async with node_starter() as start:
        number = free_port()
        acceptors = (*ACCEPTORS, AcceptorOptions(host=HOST, port=number, last_port=number))
        node = await start("b", acceptors=acceptors)
        await node.network.stop()
        with socket.create_server((HOST, number)):
            with pytest.raises(UsageError, match="no available ports"):
                await node.network.start()
            assert raised_error_text(lambda: node.network.info) == STOPPED
        await node.network.start()
        assert node.network.acceptors[1].port == number


@pytest.mark.covers("NAPI-OPT-3")
@pytest.mark.real_loop
async def test_a_pending_dial_fails_when_the_network_stops() -> None:
    """NAPI-OPT-3: the waiting process goes on."""
    with socket.create_server((HOST, 0)) as silent:
        async with node_starter() as start:
            a = await start("a")
            route = NetworkRoute(host=HOST, port=silent.getsockname()[1])
            a.network.add_route("x@", route)
            pending = [
                asyncio.ensure_future(error_text(run_as_process(a, lambda it: it.send(ProcessID(X, Atom("echo")), 1)))),
                asyncio.ensure_future(error_text(a.network.get_node(X))),
                asyncio.ensure_future(error_text(a.network.get_node_with_route(X, route))),
            ]
            await eventually(lambda: a.network._sockets.live)
            cancelled = asyncio.ensure_future(a.network.get_node(X))
            await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            await a.network.stop()
            assert await asyncio.gather(*pending) == [STOPPED] * 3


@pytest.mark.covers("NAPI-OPT-3")
@pytest.mark.real_loop
async def test_the_network_of_a_stopped_node_is_stopped() -> None:
    """NAPI-OPT-3: Node.stop."""
    async with node_starter() as start:
        a, b = await start("a"), await start("b")
        remote, route = await dial(a, b), route_to(b)
        await a.stop()
        assert await error_text(a.network.get_node_with_route(b.name, route)) == STOPPED
        assert await error_text(remote.spawn("f")) == "no connection"
        assert raised_error_text(lambda: a.spawn(Echo())) == "node terminated"


@pytest.mark.real_loop
@pytest.mark.parametrize("turns", range(4))
async def test_stop_closes_a_socket_that_is_just_being_accepted(turns: int) -> None:
    """`turns`: turns of the loop between the peer's connect and the stop."""
    async with node_starter() as start:
        node = await start("a")
        with socket.create_connection((HOST, port(node))) as peer:
            for _ in range(turns):
                await asyncio.sleep(0)
            await node.stop()
            peer.settimeout(60)
            with contextlib.suppress(ConnectionResetError):
                assert peer.recv(1) == b""
