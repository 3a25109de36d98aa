"""Pools of sockets: the dialer opens them, replaces lost sockets, and stops when the peer refuses them."""

import asyncio
import contextlib
from itertools import pairwise
from typing import Any

import pytest

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.values import Atom, ProcessID
from ergo_conformance.reference_node.api import Connection
from ergo_conformance.reference_node.api.errors import ErgoError, RefusedError
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.connection.backoff import FIRST_DELAY, MAX_DELAY
from ergo_conformance.reference_node.connection.table import ConnectionTable
from ergo_conformance.reference_node.ergo.enp.proto import SETTLED
from ergo_conformance.reference_node.ergo.handshake import EhsHandshake
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from tests.support.nodes import MemoryNetwork, run_as_process, settle, transport_of


def handshake_with_pool(size: int) -> EhsHandshake:
    return EhsHandshake(pool_size=size)


def abort_socket(connection: Connection, number: int = 0) -> None:
    """Aborts one socket, as a failing network does."""
    transport_of(connection.sockets[number]).abort()


async def call_echo(a: Node, b: Node, value: Any = "hello") -> Any:
    """Returns the answer of the other node's echo."""
    echo = ProcessID(b.name, Atom("echo"))
    return await run_as_process(a, lambda it: it.call(echo, value, timeout=1))


async def connected_pair(**options: Any) -> tuple[MemoryNetwork, Node, Node, Connection]:
    net = MemoryNetwork()
    a, b, connection = await net.pair(**options)
    for made in (a, b):
        Supervisor(made.core, LEVEL_1)
    await asyncio.sleep(1)  # a joined socket that closes at once counts as a refusal
    return net, a, b, connection


def pool_sizes(a: Node, b: Node) -> tuple[int, int]:
    """Returns the number of sockets of a and of b."""
    return tuple(len(x.network.connections[y.name].sockets) for x, y in ((a, b), (b, a)))  # type: ignore[return-value]


@pytest.mark.parametrize("size", [None, 1, 2, 5])
async def test_the_pool_has_the_size_that_the_acceptor_announces(size: int | None) -> None:
    options = {} if size is None else {"handshake": handshake_with_pool(size)}
    net, a, b, _ = await connected_pair(**options)
    wanted = size or ehs.POOL_SIZE
    assert (pool_sizes(a, b), len(net.dialed)) == ((wanted, wanted), wanted)
    await asyncio.sleep(60)
    assert len(net.dialed) == wanted
    await net.stop()


@pytest.mark.parametrize("side", ["dialer", "acceptor"])
@pytest.mark.parametrize("number", [0, 2])
async def test_the_dialer_replaces_a_lost_socket(side: str, number: int) -> None:
    net, a, b, connection = await connected_pair()
    abort_socket(connection if side == "dialer" else b.network.connections[a.name], number)
    await settle()
    assert (pool_sizes(a, b), len(net.dialed)) == ((3, 3), 4)
    assert a.network.connections[b.name] is connection
    assert [await call_echo(a, b, i) for i in range(10)] == list(range(10))
    assert [await call_echo(b, a, i) for i in range(10)] == list(range(10))
    await asyncio.sleep(60)
    assert len(net.dialed) == 4
    await net.stop()


async def test_redial_delays_double_while_the_peer_is_unreachable_and_messages_still_arrive() -> None:
    net, a, b, connection = await connected_pair()
    dial, dial_times = net.dial, list[float]()
    loop = asyncio.get_running_loop()
    reachable_at = loop.time() + 40.0

    async def dial_unreachable(protocol: Any, address: Any) -> None:
        dial_times.append(loop.time())
        if loop.time() < reachable_at:
            raise ConnectionRefusedError
        await dial(protocol, address)

    a.network._dialer._dial = dial_unreachable
    begun = loop.time()
    abort_socket(connection)
    for i in range(30):
        assert await call_echo(a, b, i) == i
        assert await call_echo(b, a, i) == i
        await asyncio.sleep(1)
    assert pool_sizes(a, b) == (2, 2)
    await asyncio.sleep(30)
    assert pool_sizes(a, b) == (3, 3)
    delays = [later - earlier for earlier, later in pairwise(dial_times)]
    assert dial_times[0] == begun
    assert delays == pytest.approx([min(FIRST_DELAY * 2**i, MAX_DELAY) for i in range(len(delays))])
    assert dial_times[-1] - begun < 40 + MAX_DELAY
    await net.stop()


@pytest.mark.parametrize("after", [0.04, 0.2, 1.0, 1.6, 2.5, 3.5])
async def test_a_socket_that_is_lost_again_is_replaced_again(after: float) -> None:
    """At any time, also shortly before the dialer considers the pool settled."""
    net, a, b, connection = await connected_pair()
    for _ in range(2):
        abort_socket(connection)
        await asyncio.sleep(after)
    await asyncio.sleep(20)
    assert pool_sizes(a, b) == (3, 3)
    await net.stop()


async def test_two_lost_sockets_are_both_replaced() -> None:
    net, a, b, connection = await connected_pair()
    for number in range(2):
        abort_socket(connection, number)
    await asyncio.sleep(2 * SETTLED)
    assert (pool_sizes(a, b), len(net.dialed)) == ((3, 3), 5)
    await net.stop()


async def test_a_settled_pool_resets_the_redial_delay() -> None:
    net, a, b, connection = await connected_pair()
    for _ in range(5):
        abort_socket(connection)
        await asyncio.sleep(10)
        assert pool_sizes(a, b) == (3, 3)
    assert len(net.dialed) == 3 + 5
    await net.stop()


async def test_the_acceptor_does_not_dial() -> None:
    net, a, b, _ = await connected_pair()
    dial, net.nodes = net.nodes, {}  # no node is reachable
    abort_socket(b.network.connections[a.name])
    await asyncio.sleep(10)
    assert pool_sizes(a, b) == (2, 2)
    assert set(net.dialed) == {1}  # the number of b: only a dialed
    net.nodes = dial
    await net.stop()


async def test_repeated_calls_are_answered_while_sockets_are_lost() -> None:
    """Frames on a lost socket may be lost; a repeated call is answered."""
    net, a, b, connection = await connected_pair()

    async def call_until_answered(one: Node, other: Node) -> int:
        """Returns the number of calls that were made for a hundred answers."""
        made, answers = 0, 0
        while answers < 100:
            made += 1
            with contextlib.suppress(ErgoError):
                assert await call_echo(one, other, made) == made
                answers += 1
            await asyncio.sleep(0.05)
        return made

    work = [asyncio.ensure_future(call_until_answered(one, other)) for one, other in ((a, b), (b, a)) * 4]
    for number in range(3):
        await asyncio.sleep(0.5)
        abort_socket(connection, number % len(connection.sockets))
    assert sum(await asyncio.gather(*work)) < 8 * 110
    await asyncio.sleep(10)
    assert pool_sizes(a, b) == (3, 3)
    assert a.network.connections[b.name] is connection
    await net.stop()


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_the_loss_of_the_last_socket_ends_the_connection_and_the_next_use_dials() -> None:
    net, a, b, connection = await connected_pair(handshake=handshake_with_pool(1))
    abort_socket(connection)
    await asyncio.sleep(60)
    assert not a.network.connections
    assert not b.network.connections
    assert len(net.dialed) == 1
    assert await call_echo(a, b) == "hello"
    assert len(net.dialed) == 2
    assert a.network.connections[b.name] is not connection
    await net.stop()


@pytest.mark.parametrize("side", ["dialer", "acceptor"])
async def test_a_disconnected_peer_is_not_dialed_again(side: str) -> None:
    """Upstream's dialer joins thousands of times per second where the acceptor has dropped it (ENP-RED-3)."""
    net, a, b, _ = await connected_pair()
    one, other = (a, b) if side == "dialer" else (b, a)
    one.core.disconnect(other.name)
    await asyncio.sleep(60)
    assert not a.network.connections
    assert not b.network.connections
    assert len(net.dialed) <= 3 + 1
    before = len(net.dialed)
    assert await call_echo(a, b) == "hello"
    assert len(net.dialed) == before + 3
    await net.stop()


async def test_a_refused_join_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers the Join and closes: it has dropped the connection (ENP-RED-4)."""
    net, a, b, connection = await connected_pair()
    monkeypatch.setattr(b.network.table, "join", refuse_join)
    pending_call = asyncio.ensure_future(
        run_as_process(a, lambda it: it.call(ProcessID(b.name, Atom("echo")), "!noreply"))
    )
    abort_socket(connection)
    await asyncio.sleep(60)
    assert not a.network.connections
    assert len(net.dialed) == 3 + 1
    with pytest.raises(ErgoError):
        await pending_call
    await net.stop()


def refuse_join(*_: Any) -> None:
    raise RefusedError("unknown connection")


async def test_an_acceptor_that_closes_each_new_socket_is_dialed_with_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    net, a, b, connection = await connected_pair()
    join, loop = ConnectionTable.join, asyncio.get_running_loop()

    def join_and_abort_later(self: Any, sock: Any, joined: Any) -> Any:
        if self is b.network.table:
            loop.call_later(0.3, sock.abort)
        return join(self, sock, joined)

    monkeypatch.setattr(ConnectionTable, "join", join_and_abort_later)
    abort_socket(connection)
    await asyncio.sleep(300)
    assert await call_echo(a, b) == "hello"
    assert len(net.dialed) < 3 + 10 + 300 / MAX_DELAY
    await net.stop()


async def test_a_stopped_node_does_not_rejoin() -> None:
    net, a, b, connection = await connected_pair()
    abort_socket(connection)
    await a.stop()
    before = len(net.dialed)
    await asyncio.sleep(60)
    assert len(net.dialed) == before
    assert not b.network.connections
    await net.stop()


async def test_simultaneous_dials_give_one_connection() -> None:
    net = MemoryNetwork()
    b = net.node("b@localhost")
    a = net.node("a@localhost")
    b.network.add_route("^a@", NetworkRoute(host="127.0.0.1", port=2))
    for made in (a, b):
        Supervisor(made.core, LEVEL_1)
    for i in range(50):
        work = [call_echo(a, b, i), call_echo(b, a, -i), call_echo(a, b, [i])]
        assert await asyncio.gather(*work) == [i, -i, [i]]
        await settle()
        connection_of_a, connection_of_b = a.network.connections[b.name], b.network.connections[a.name]
        assert connection_of_a.peer.connection_id == connection_of_b.peer.connection_id
        assert pool_sizes(a, b) == (3, 3)
        (a if i % 2 else b).core.disconnect((b if i % 2 else a).name)
        await settle()
        assert not a.network._sockets.live
        assert not b.network._sockets.live
    await net.stop()
