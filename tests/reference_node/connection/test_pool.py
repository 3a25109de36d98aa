"""Pools of links: opened by the dialer, kept full by it, and given up where they are refused."""

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


def pool(size: int) -> EhsHandshake:
    return EhsHandshake(pool_size=size)


def cut(connection: Connection, number: int = 0) -> None:
    """Ends one link, as a network does that fails."""
    transport_of(connection.sockets[number]).abort()


async def echoes(a: Node, b: Node, value: Any = "hello") -> Any:
    """What echo of the other node answers."""
    echo = ProcessID(b.name, Atom("echo"))
    return await run_as_process(a, lambda it: it.call(echo, value, timeout=1))


async def pair(**options: Any) -> tuple[MemoryNetwork, Node, Node, Connection]:
    net = MemoryNetwork()
    a, b, connection = await net.pair(**options)
    for made in (a, b):
        Supervisor(made.core, LEVEL_1)
    await asyncio.sleep(1)  # a joined link that ends at once is a refusal
    return net, a, b, connection


def links(a: Node, b: Node) -> tuple[int, int]:
    """How many each side sees."""
    return tuple(len(x.network.connections[y.name].sockets) for x, y in ((a, b), (b, a)))  # type: ignore[return-value]


@pytest.mark.parametrize("size", [None, 1, 2, 5])
async def test_as_many_links_as_the_acceptor_announces(size: int | None) -> None:
    options = {} if size is None else {"handshake": pool(size)}
    net, a, b, _ = await pair(**options)
    wanted = size or ehs.POOL_SIZE
    assert (links(a, b), len(net.dialed)) == ((wanted, wanted), wanted)
    await asyncio.sleep(60)
    assert len(net.dialed) == wanted
    await net.stop()


@pytest.mark.parametrize("side", ["dialer", "acceptor"])
@pytest.mark.parametrize("number", [0, 2])
async def test_the_dialer_replaces_a_lost_link(side: str, number: int) -> None:
    net, a, b, connection = await pair()
    cut(connection if side == "dialer" else b.network.connections[a.name], number)
    await settle()
    assert (links(a, b), len(net.dialed)) == ((3, 3), 4)
    assert a.network.connections[b.name] is connection
    assert [await echoes(a, b, i) for i in range(10)] == list(range(10))
    assert [await echoes(b, a, i) for i in range(10)] == list(range(10))
    await asyncio.sleep(60)
    assert len(net.dialed) == 4
    await net.stop()


async def test_the_pauses_grow_while_it_can_not_and_messages_go_on_meanwhile() -> None:
    net, a, b, connection = await pair()
    dial, tries = net.dial, list[float]()
    loop = asyncio.get_running_loop()
    opened = loop.time() + 40.0

    async def out_of_reach(protocol: Any, address: Any) -> None:
        tries.append(loop.time())
        if loop.time() < opened:
            raise ConnectionRefusedError
        await dial(protocol, address)

    a.network._dialer._dial = out_of_reach
    begun = loop.time()
    cut(connection)
    for i in range(30):
        assert await echoes(a, b, i) == i
        assert await echoes(b, a, i) == i
        await asyncio.sleep(1)
    assert links(a, b) == (2, 2)
    await asyncio.sleep(30)
    assert links(a, b) == (3, 3)
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert tries[0] == begun
    assert pauses == pytest.approx([min(FIRST_DELAY * 2**i, MAX_DELAY) for i in range(len(pauses))])
    assert tries[-1] - begun < 40 + MAX_DELAY
    await net.stop()


@pytest.mark.parametrize("after", [0.04, 0.2, 1.0, 1.6, 2.5, 3.5])
async def test_a_link_that_is_lost_again_is_replaced_again(after: float) -> None:
    """Whenever it is, also when the dialer was about to believe that the pool is settled."""
    net, a, b, connection = await pair()
    for _ in range(2):
        cut(connection)
        await asyncio.sleep(after)
    await asyncio.sleep(20)
    assert links(a, b) == (3, 3)
    await net.stop()


async def test_two_lost_links_are_both_replaced() -> None:
    net, a, b, connection = await pair()
    for number in range(2):
        cut(connection, number)
    await asyncio.sleep(2 * SETTLED)
    assert (links(a, b), len(net.dialed)) == ((3, 3), 5)
    await net.stop()


async def test_a_pool_that_settled_begins_anew_with_short_pauses() -> None:
    net, a, b, connection = await pair()
    for _ in range(5):
        cut(connection)
        await asyncio.sleep(10)
        assert links(a, b) == (3, 3)
    assert len(net.dialed) == 3 + 5
    await net.stop()


async def test_the_acceptor_does_not_dial() -> None:
    net, a, b, _ = await pair()
    dial, net.nodes = net.nodes, {}  # nobody can be reached
    cut(b.network.connections[a.name])
    await asyncio.sleep(10)
    assert links(a, b) == (2, 2)
    assert set(net.dialed) == {1}  # b's number: a dialed
    net.nodes = dial
    await net.stop()


async def test_calls_both_ways_while_links_are_cut() -> None:
    """What is under way on a link that goes may be lost; who calls again is served."""
    net, a, b, connection = await pair()

    async def calls(one: Node, other: Node) -> int:
        """How many calls had to be made for a hundred answers."""
        made, answers = 0, 0
        while answers < 100:
            made += 1
            with contextlib.suppress(ErgoError):
                assert await echoes(one, other, made) == made
                answers += 1
            await asyncio.sleep(0.05)
        return made

    work = [asyncio.ensure_future(calls(one, other)) for one, other in ((a, b), (b, a)) * 4]
    for number in range(3):
        await asyncio.sleep(0.5)
        cut(connection, number % len(connection.sockets))
    assert sum(await asyncio.gather(*work)) < 8 * 110
    await asyncio.sleep(10)
    assert links(a, b) == (3, 3)
    assert a.network.connections[b.name] is connection
    await net.stop()


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_with_the_last_link_the_connection_ends_and_the_next_use_dials_anew() -> None:
    net, a, b, connection = await pair(handshake=pool(1))
    cut(connection)
    await asyncio.sleep(60)
    assert not a.network.connections
    assert not b.network.connections
    assert len(net.dialed) == 1
    assert await echoes(a, b) == "hello"
    assert len(net.dialed) == 2
    assert a.network.connections[b.name] is not connection
    await net.stop()


@pytest.mark.parametrize("side", ["dialer", "acceptor"])
async def test_who_disconnects_is_left_alone(side: str) -> None:
    """Upstream's dialer joins thousands of times per second where the acceptor has dropped it (ENP-RED-3)."""
    net, a, b, _ = await pair()
    one, other = (a, b) if side == "dialer" else (b, a)
    one.core.disconnect(other.name)
    await asyncio.sleep(60)
    assert not a.network.connections
    assert not b.network.connections
    assert len(net.dialed) <= 3 + 1
    before = len(net.dialed)
    assert await echoes(a, b) == "hello"
    assert len(net.dialed) == before + 3
    await net.stop()


async def test_an_acceptor_that_refuses_joins_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers the Join and closes: it does not know the connection any more (ENP-RED-4)."""
    net, a, b, connection = await pair()
    monkeypatch.setattr(b.network.table, "join", _refuse)
    waits = asyncio.ensure_future(run_as_process(a, lambda it: it.call(ProcessID(b.name, Atom("echo")), "!noreply")))
    cut(connection)
    await asyncio.sleep(60)
    assert not a.network.connections
    assert len(net.dialed) == 3 + 1
    with pytest.raises(ErgoError):
        await waits
    await net.stop()


def _refuse(*_: Any) -> None:
    raise RefusedError("never heard of it")


async def test_an_acceptor_that_ends_each_new_link_later_is_not_stormed(monkeypatch: pytest.MonkeyPatch) -> None:
    net, a, b, connection = await pair()
    join, loop = ConnectionTable.join, asyncio.get_running_loop()

    def joins_for_a_moment(self: Any, link: Any, joined: Any) -> Any:
        if self is b.network.table:
            loop.call_later(0.3, link.abort)
        return join(self, link, joined)

    monkeypatch.setattr(ConnectionTable, "join", joins_for_a_moment)
    cut(connection)
    await asyncio.sleep(300)
    assert await echoes(a, b) == "hello"
    assert len(net.dialed) < 3 + 10 + 300 / MAX_DELAY
    await net.stop()


async def test_a_stopped_node_does_not_rejoin() -> None:
    net, a, b, connection = await pair()
    cut(connection)
    await a.stop()
    before = len(net.dialed)
    await asyncio.sleep(60)
    assert len(net.dialed) == before
    assert not b.network.connections
    await net.stop()


async def test_both_dial_at_once_fifty_times() -> None:
    net = MemoryNetwork()
    b = net.node("b@localhost")
    a = net.node("a@localhost")
    b.network.add_route("^a@", NetworkRoute(host="127.0.0.1", port=2))
    for made in (a, b):
        Supervisor(made.core, LEVEL_1)
    for i in range(50):
        work = [echoes(a, b, i), echoes(b, a, -i), echoes(a, b, [i])]
        assert await asyncio.gather(*work) == [i, -i, [i]]
        await settle()
        there, back = a.network.connections[b.name], b.network.connections[a.name]
        assert there.peer.connection_id == back.peer.connection_id
        assert links(a, b) == (3, 3)
        (a if i % 2 else b).core.disconnect((b if i % 2 else a).name)
        await settle()
        assert not a.network._sockets.live
        assert not b.network._sockets.live
    await net.stop()
