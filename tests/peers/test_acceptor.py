"""Scripted acceptor with a reference node that dials it: handshake, Join, digests, and ENP over its sockets."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp
from ergo_conformance.model.ergo.ehs import Accept, HandshakeState
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.ergo.acceptor import Acceptor
from ergo_conformance.peers.ergo.agents import AgentDriver, own_address, receive_from_agent
from ergo_conformance.peers.ergo.connection import Peer
from ergo_conformance.peers.ergo.dialer import Dialer
from ergo_conformance.peers.ergo.handshake import TargetInfo
from ergo_conformance.peers.listener import HOST, Listener
from ergo_conformance.peers.memory import accept_memory, join_protocols
from ergo_conformance.peers.sockets import PeerSocket
from ergo_conformance.peers.violation import ViolationError
from ergo_conformance.reference_node.api.errors import HandshakeError
from ergo_conformance.reference_node.api.handshake import ConnectionRef
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.node import Node
from ergo_conformance.targets.self_node import MemoryRunningTarget, SelfTarget
from tests.support.nodes import node
from tests.support.settings import start_node

NAME = Atom("tester@localhost")
FINGERPRINT = bytes(range(20))
fingerprints = pytest.mark.parametrize("fingerprint", [None, FINGERPRINT], ids=["plain", "tls"])


def dialed_by(target: Node, fingerprint: bytes | None = None, **more: Any) -> tuple[Acceptor, "asyncio.Future[Any]"]:
    """Returns an acceptor that a node dials, and the future result of the dial."""
    protocol = target.network.dialer_protocol(NAME, fingerprint=fingerprint, **more)
    socket = accept_memory(protocol, fingerprint)
    assert protocol.outcome is not None
    info = TargetInfo(str(target.name), target.network.cookie)
    return Acceptor(socket, info, random.Random(1), NAME), protocol.outcome


@fingerprints
async def test_the_node_connects_to_a_correct_acceptor(fingerprint: bytes | None) -> None:
    target = node("b@localhost")
    acceptor, outcome = dialed_by(target, fingerprint)
    introduce = await acceptor.handshake(Creation=77)
    connection = await outcome
    assert introduce.Node == target.name
    assert (connection.peer.node, connection.peer.creation) == (NAME, 77)
    assert connection.peer.connection_id == acceptor.connection_id
    await acceptor.expect_open(10.0)
    await target.stop()


async def test_reach_stops_in_each_state_of_the_dialing_node() -> None:
    target = node("b@localhost")
    acceptor, outcome = dialed_by(target)
    for state in (HandshakeState.HELLO_SENT, HandshakeState.INTRODUCED, HandshakeState.ACCEPTED):
        await acceptor.reach(state)
        assert not outcome.done()
    await acceptor.reach(HandshakeState.DONE)
    assert (await outcome).peer.node == NAME
    await target.stop()


@fingerprints
async def test_the_node_joins_a_further_socket(fingerprint: bytes | None) -> None:
    target = node("b@localhost")
    first, outcome = dialed_by(target, fingerprint)
    await first.handshake()
    connection = await outcome
    second, joining = dialed_by(target, fingerprint, joining=ConnectionRef(NAME, first.connection_id))
    join = await second.admit()
    assert (join.Node, join.ConnectionID) == (target.name, first.connection_id)
    assert await joining is connection
    await second.expect_open(1.0)
    await target.stop()


WRONG_DIGESTS: dict[str, tuple[bytes | None, bool, dict[str, str]]] = {
    "hello_digest": (None, False, {"Digest": "0" * 64}),
    "hello_certificate": (FINGERPRINT, False, {"DigestCert": "0" * 64}),
    "join_digest": (None, True, {"Digest": "0" * 64}),
    "join_certificate": (FINGERPRINT, True, {"DigestCert": "0" * 64}),
}


@pytest.mark.parametrize("which", WRONG_DIGESTS)
async def test_the_dialing_node_refuses_a_wrong_digest(which: str) -> None:
    fingerprint, joins, overrides = WRONG_DIGESTS[which]
    target = node("b@localhost")
    acceptor, outcome = dialed_by(target, fingerprint)
    if joins:
        await acceptor.handshake()
        await outcome
        connection_ref = ConnectionRef(NAME, acceptor.connection_id)
        acceptor, outcome = dialed_by(target, fingerprint, joining=connection_ref)
        await acceptor.admit(**overrides)
    else:
        await acceptor.expect_hello()
        acceptor.send(acceptor.hello(**overrides))
    await acceptor.expect_close()
    with pytest.raises(HandshakeError, match="wrong digest"):
        await outcome
    await target.stop()


async def test_the_dialing_node_refuses_messages_out_of_order() -> None:
    target = node("b@localhost")
    acceptor, outcome = dialed_by(target)
    await acceptor.expect_hello()
    acceptor.send(Accept())
    await acceptor.expect_close()
    with pytest.raises(HandshakeError):
        await outcome
    await target.stop()


def scripted_pair() -> tuple[Dialer, Acceptor]:
    """Returns a scripted dialer in place of a target, and the acceptor that it dials."""
    ends = PeerSocket(), PeerSocket()
    join_protocols(*ends)
    info = TargetInfo("target@localhost", "secret")
    return Dialer(ends[0], info, random.Random(1)), Acceptor(ends[1], info, random.Random(2))


@pytest.mark.parametrize(
    ("rule", "message", "expect"),
    [
        ("EHS-DIG-1", lambda d: d.hello(Digest="wrong"), lambda a: a.expect_hello()),
        ("EHS-DIG-4", lambda d: d.introduce(Digest="wrong"), lambda a: a.expect_introduce()),
        ("EHS-DIG-6", lambda d: d.join("id", Digest="wrong"), lambda a: a.expect_join()),
    ],
)
async def test_a_wrong_digest_of_the_target_is_a_violation(
    rule: str, message: Callable[[Dialer], Any], expect: Callable[[Acceptor], Any]
) -> None:
    dialer, acceptor = scripted_pair()
    dialer.send(message(dialer))
    with pytest.raises(ViolationError, match=rule):
        await expect(acceptor)


async def test_a_scripted_dialer_accepts_the_scripted_acceptor() -> None:
    dialer, acceptor = scripted_pair()
    accepting = asyncio.create_task(acceptor.handshake())
    accept = await dialer.handshake()
    assert (await accepting).Node == dialer.name
    assert (accept.ID, accept.PoolSize) == (acceptor.connection_id, 1)


async def test_enp_messages_pass_over_a_connection_that_the_target_dialed() -> None:
    running = await SelfTarget().start({})
    assert isinstance(running, MemoryRunningTarget)
    first, outcome = dialed_by(running.node)
    peer = Peer([first], await first.handshake())
    await outcome
    assert await peer.call("echo", "hello") == "hello"
    driver = AgentDriver(peer)
    ref = driver.start("send", own_address(peer, "PID"), "from agent")
    received = await receive_from_agent(peer)
    await driver.expect_true(ref)
    assert isinstance(received.value, enp.MessagePID)
    assert received.value.payload == "from agent"
    second, joining = dialed_by(running.node, joining=ConnectionRef(NAME, first.connection_id))
    await second.admit()
    await joining
    peer.add(second)
    await peer.check_alive(socket=1)
    await running.stop()


@pytest.mark.real_loop
async def test_a_node_connects_over_real_sockets() -> None:
    listener = Listener("dialed")
    await listener.start()
    target = await start_node(
        "b@localhost", cookie="secret", acceptors=(), routes={str(NAME): NetworkRoute(host=HOST, port=listener.port)}
    )
    try:
        connecting = asyncio.create_task(target.network.connection(NAME))
        acceptor = await Acceptor.accept(listener, TargetInfo("b@localhost", "secret"), random.Random(1), NAME)
        await acceptor.handshake()
        connection = await connecting
        assert connection.peer.node == NAME
        acceptor.socket.close()
    finally:
        await target.stop()
        await listener.stop()
