"""A custom handshake, a custom proto with its connection, and a custom registrar: they use only the interfaces of `api`."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.model.ergo.ehs import Version
from ergo_conformance.model.ergo.esrd import Route
from ergo_conformance.model.values import PID, Atom, Error, ProcessID
from ergo_conformance.reference_node.api import Deadlines
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import Call
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.connection.socket_protocol import REFUSED_WITHIN
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.ergo.handshake import EhsHandshake
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from tests.support.custom_stack import CARD, POOL, TALK, CardHandshake, TableRegistrar, TalkConnection, TalkProto
from tests.support.nodes import run_as_process
from tests.support.settings import start_node
from tests.support.sockets import HOST, eventually

pytestmark = pytest.mark.real_loop


class RecordingActor(Actor):
    messages: list[Any]

    async def init(self) -> None:
        self.messages = []

    async def handle_message(self, sender: PID, message: Any) -> None:
        self.messages.append((sender.node, message))

    async def handle_call(self, call: Call) -> Any:
        return ["you said", call.payload]


PLAIN = AcceptorOptions(host=HOST, port=0)


def custom_acceptor(proto: TalkProto) -> AcceptorOptions:
    return AcceptorOptions(host=HOST, port=0, handshake=CardHandshake(), proto=proto)


async def start_pair(
    pages: dict[Atom, list[Route]], proto: TalkProto, *acceptors: AcceptorOptions, **options: Any
) -> tuple[Node, Node, RecordingActor]:
    """Starts a node with these acceptors, and a dialer with both stacks; returns dialer, acceptor, the acceptor's actor."""
    b = await start_node("b@127.0.0.1", cookie="secret", acceptors=acceptors, registrar=TableRegistrar(pages))
    a = await start_node(
        "a@127.0.0.1",
        cookie="secret",
        acceptors=(PLAIN, custom_acceptor(proto)),
        registrar=TableRegistrar(pages),
        **options,
    )
    answers = RecordingActor()
    b.spawn(answers, name="answers")
    return a, b, answers


async def check_messages(a: Node, b: Node, answers: RecordingActor) -> None:
    """Makes a call and sends a message from a to b."""
    to = ProcessID(b.name, Atom("answers"))
    assert await run_as_process(a, lambda it: it.call(to, "hello")) == ["you said", "hello"]
    await run_as_process(a, lambda it: it.send(to, ["a", 1]))
    await eventually(lambda: answers.messages == [(a.name, ["a", 1])])


@pytest.mark.covers(
    "Acceptors: Handshake",
    "Connections: NetworkHandshake",
    "Connections: NetworkProto",
    "Connections: Registrar and Resolver",
)
async def test_the_versions_of_a_route_select_handshake_and_proto() -> None:
    pages: dict[Atom, list[Route]] = {}
    proto = TalkProto()
    a, b, answers = await start_pair(pages, proto, custom_acceptor(proto), PLAIN)
    assert pages[b.name][0][3:] == (CARD, TALK)
    await check_messages(a, b, answers)
    info = a.network.node(b.name).info
    assert (info.handshake_version, info.proto_version) == (CARD, TALK)
    assert (info.pool_size, info.messages_out, info.messages_in) == (POOL, 2, 1)
    assert isinstance(a.network.connections[b.name], TalkConnection)
    await eventually(lambda: len(b.network.connections[a.name].sockets) == POOL)
    assert sorted(proto.served) == [(a.name, False), (b.name, True)]
    remote = a.network.node(b.name)
    assert (remote.name, remote.creation, remote.version) == (
        f"nick {b.name}",
        b.creation,
        Version("somebody"),
    )
    remote.disconnect()
    await eventually(lambda: not b.network.connections)
    pages[b.name].reverse()
    answers.messages.clear()
    await check_messages(a, b, answers)
    assert a.network.node(b.name).info.proto_version[:2] == ("ENP", "R1")
    await a.stop()
    await b.stop()
    assert not pages


@pytest.mark.covers("Static routes: Route.HandshakeVersion")
async def test_a_static_route_with_versions_uses_the_custom_stack() -> None:
    proto = TalkProto()
    short_deadlines = EhsHandshake(deadlines=Deadlines(connect=60.0, read=0.2, handshake=60.0))
    a, b, answers = await start_pair({}, proto, PLAIN, custom_acceptor(proto), handshake=short_deadlines)
    port = b.network.acceptors[1].port
    named = NetworkRoute(host=HOST, port=port, handshake_version=CARD, proto_version=TALK)
    with pytest.raises(ErgoError, match="i/o timeout"):
        await a.network.get_node_with_route(b.name, NetworkRoute(host=HOST, port=port))  # EHS to an acceptor of CARD
    assert (await a.network.get_node_with_route(b.name, named)).info.proto_version == TALK
    await check_messages(a, b, answers)
    await a.stop()
    await b.stop()


@pytest.mark.parametrize("versions", [(Version("CARD", "2"), TALK), (CARD, Version("TALKS", "1")), (TALK, CARD)])
async def test_a_route_with_unknown_versions_is_no_route(versions: tuple[Version, Version]) -> None:
    pages: dict[Atom, list[Route]] = {}
    a, b, _ = await start_pair(pages, TalkProto(), PLAIN)
    pages[b.name] = [Route("", b.network.acceptors[0].port, False, *versions)]
    with pytest.raises(ErgoError, match="no route"):
        await a.network.get_node(b.name)
    await a.stop()
    await b.stop()


@pytest.mark.covers("NAPI-OPT-7: Options of the network: Proto", "Connections: NetworkProto")
async def test_nodes_with_a_custom_handshake_and_proto_connect() -> None:
    """It is also used for dialing."""
    proto = TalkProto()
    options: dict[str, Any] = {
        "cookie": "secret",
        "acceptors": (PLAIN,),
        "handshake": CardHandshake(),
        "proto": proto,
    }
    b, a = await start_node("b@127.0.0.1", **options), await start_node("a@127.0.0.1", **options)
    a.network.add_route("^b@", NetworkRoute(port=b.network.acceptors[0].port))
    answers = RecordingActor()
    b.spawn(answers, name="answers")
    await check_messages(a, b, answers)
    assert a.network.info.handshake_version == CARD
    await a.stop()
    await b.stop()


async def test_operations_without_an_implementation_raise_not_supported() -> None:
    proto = TalkProto()
    a, b, _ = await start_pair({}, proto, custom_acceptor(proto))
    to = ProcessID(b.name, Atom("answers"))
    pid = PID(b.name, 1001, b.creation)
    operations: list[Any] = [
        lambda it: it.link(to), lambda it: it.monitor(pid), lambda it: it.send(pid, 1), lambda it: it.call(pid, 1),
        lambda it: it.exit(pid, Error("x")), lambda _: a.network.node(b.name).spawn("factory"),
        lambda _: a.network.node(b.name).application_start("app"),
    ]  # fmt: skip
    await a.network.get_node(b.name)
    for operation in operations:
        with pytest.raises(ErgoError, match="not supported"):
            await run_as_process(a, operation)
    received_downs: list[Atom] = []

    async def monitor_node(it: Process) -> None:
        await it.monitor(b.name)
        received_downs.append(getattr(await it.receive(), "source"))  # noqa: B009

    a.spawn(monitor_node)
    await eventually(lambda: len(a.core.monitoring.relations) == 1)
    await b.stop()
    await eventually(lambda: received_downs == [b.name])
    await a.stop()


async def test_an_invalid_line_closes_only_its_socket() -> None:
    proto = TalkProto()
    a, b, answers = await start_pair({}, proto, custom_acceptor(proto))
    await a.network.get_node(b.name)
    await eventually(lambda: len(b.network.connections[a.name].sockets) == POOL)
    await asyncio.sleep(2 * REFUSED_WITHIN)  # a joined socket that closes earlier counts as a refusal
    a.network.connections[b.name].sockets[1].write(b"what?\n")
    await eventually(lambda: len(b.network.connections[a.name].sockets) == POOL - 1)
    await check_messages(a, b, answers)
    await a.stop()
    await b.stop()


@pytest.mark.covers("Connections: NetworkHandshake")
async def test_a_custom_handshake_refuses_another_cookie() -> None:
    proto, pages = TalkProto(), dict[Atom, list[Route]]()
    a, b, _ = await start_pair(pages, proto, custom_acceptor(proto))
    a.network.cookie = "another"
    with pytest.raises(ErgoError, match="no route"):
        await a.network.get_node(b.name)
    assert not b.network.connections
    await a.stop()
    await b.stop()
