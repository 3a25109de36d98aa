"""A handshake, a proto with its connection, and a registrar that know nothing of the node but its interfaces."""

import asyncio
from typing import Any

import pytest

from ergo_conformance.model.ergo.ehs import Version
from ergo_conformance.model.ergo.esrd import Route
from ergo_conformance.model.values import PID, Atom, Error, ProcessID
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.messages import Call
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.connection.socket_protocol import REFUSED_WITHIN
from ergo_conformance.reference_node.core.actor import Actor
from ergo_conformance.reference_node.core.process import Process
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from tests.support.nodes import run_as_process
from tests.support.plug_ins import CARD, POOL, TALK, CardHandshake, Notebook, TalkConnection, TalkProto
from tests.support.settings import start_node
from tests.support.sockets import HOST, eventually

pytestmark = pytest.mark.real_loop


class Answers(Actor):
    heard: list[Any]

    async def init(self) -> None:
        self.heard = []

    async def handle_message(self, sender: PID, message: Any) -> None:
        self.heard.append((sender.node, message))

    async def handle_call(self, call: Call) -> Any:
        return ["you said", call.payload]


PLAIN = AcceptorOptions(host=HOST, port=0)


def other(proto: TalkProto) -> AcceptorOptions:
    return AcceptorOptions(host=HOST, port=0, handshake=CardHandshake(), proto=proto)


async def pair(
    pages: dict[Atom, list[Route]], proto: TalkProto, *acceptors: AcceptorOptions
) -> tuple[Node, Node, Answers]:
    """A node that is dialed, with these acceptors, and one that dials and speaks both stacks."""
    b = await start_node("b@127.0.0.1", cookie="secret", acceptors=acceptors, registrar=Notebook(pages))
    a = await start_node("a@127.0.0.1", cookie="secret", acceptors=(PLAIN, other(proto)), registrar=Notebook(pages))
    answers = Answers()
    b.spawn(answers, name="answers")
    return a, b, answers


async def talks(a: Node, b: Node, answers: Answers) -> None:
    """A call, a message, and both ways."""
    to = ProcessID(b.name, Atom("answers"))
    assert await run_as_process(a, lambda it: it.call(to, "hello")) == ["you said", "hello"]
    await run_as_process(a, lambda it: it.send(to, ["a", 1]))
    await eventually(lambda: answers.heard == [(a.name, ["a", 1])])


@pytest.mark.covers(
    "Acceptors: Handshake",
    "Connections: NetworkHandshake",
    "Connections: NetworkProto",
    "Connections: Registrar and Resolver",
)
async def test_the_route_chooses_the_stack() -> None:
    pages: dict[Atom, list[Route]] = {}
    proto = TalkProto()
    a, b, answers = await pair(pages, proto, other(proto), PLAIN)
    assert pages[b.name][0][3:] == (CARD, TALK)
    await talks(a, b, answers)
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
    answers.heard.clear()
    await talks(a, b, answers)
    assert a.network.node(b.name).info.proto_version[:2] == ("ENP", "R1")
    await a.stop()
    await b.stop()
    assert not pages


@pytest.mark.covers("Static routes: Route.HandshakeVersion")
async def test_a_static_route_names_a_stack() -> None:
    proto = TalkProto()
    a, b, answers = await pair({}, proto, PLAIN, other(proto))
    port = b.network.acceptors[1].port
    named = NetworkRoute(host=HOST, port=port, handshake_version=CARD, proto_version=TALK)
    with pytest.raises(ErgoError, match="i/o timeout"):
        await a.network.get_node_with_route(b.name, NetworkRoute(host=HOST, port=port))  # in EHS, to the wrong door
    assert (await a.network.get_node_with_route(b.name, named)).info.proto_version == TALK
    await talks(a, b, answers)
    await a.stop()
    await b.stop()


@pytest.mark.parametrize("versions", [(Version("CARD", "2"), TALK), (CARD, Version("TALKS", "1")), (TALK, CARD)])
async def test_a_stack_that_nobody_speaks_is_no_route(versions: tuple[Version, Version]) -> None:
    pages: dict[Atom, list[Route]] = {}
    a, b, _ = await pair(pages, TalkProto(), PLAIN)
    pages[b.name] = [Route("", b.network.acceptors[0].port, False, *versions)]
    with pytest.raises(ErgoError, match="no route"):
        await a.network.get_node(b.name)
    await a.stop()
    await b.stop()


@pytest.mark.covers("NAPI-OPT-7: Options of the network: Proto", "Connections: NetworkProto")
async def test_a_whole_node_may_speak_another_stack() -> None:
    """It is the node's own then: for dialing, too."""
    proto = TalkProto()
    options: dict[str, Any] = {
        "cookie": "secret",
        "acceptors": (PLAIN,),
        "handshake": CardHandshake(),
        "proto": proto,
    }
    b, a = await start_node("b@127.0.0.1", **options), await start_node("a@127.0.0.1", **options)
    a.network.add_route("^b@", NetworkRoute(port=b.network.acceptors[0].port))
    answers = Answers()
    b.spawn(answers, name="answers")
    await talks(a, b, answers)
    assert a.network.info.handshake_version == CARD
    await a.stop()
    await b.stop()


async def test_what_it_can_not_do_is_said_and_nothing_hangs() -> None:
    proto = TalkProto()
    a, b, _ = await pair({}, proto, other(proto))
    to = ProcessID(b.name, Atom("answers"))
    pid = PID(b.name, 1001, b.creation)
    tries: list[Any] = [
        lambda it: it.link(to), lambda it: it.monitor(pid), lambda it: it.send(pid, 1), lambda it: it.call(pid, 1),
        lambda it: it.exit(pid, Error("x")), lambda _: a.network.node(b.name).spawn("factory"),
        lambda _: a.network.node(b.name).application_start("app"),
    ]  # fmt: skip
    await a.network.get_node(b.name)
    for attempt in tries:
        with pytest.raises(ErgoError, match="not supported"):
            await run_as_process(a, attempt)
    ended: list[Atom] = []

    async def watches(it: Process) -> None:
        await it.monitor(b.name)
        ended.append(getattr(await it.receive(), "source"))  # noqa: B009

    a.spawn(watches)
    await asyncio.sleep(0.05)
    await b.stop()
    await eventually(lambda: ended == [b.name])
    await a.stop()


async def test_a_line_that_is_none_ends_the_link_alone() -> None:
    proto = TalkProto()
    a, b, answers = await pair({}, proto, other(proto))
    await a.network.get_node(b.name)
    await eventually(lambda: len(b.network.connections[a.name].sockets) == POOL)
    await asyncio.sleep(2 * REFUSED_WITHIN)  # a link that ends sooner would mean that we are not known
    a.network.connections[b.name].sockets[1].write(b"what?\n")
    await eventually(lambda: len(b.network.connections[a.name].sockets) == POOL - 1)
    await talks(a, b, answers)
    await a.stop()
    await b.stop()


@pytest.mark.covers("Connections: NetworkHandshake")
async def test_another_cookie_is_refused_by_the_handshake_of_ones_own() -> None:
    proto, pages = TalkProto(), dict[Atom, list[Route]]()
    a, b, _ = await pair(pages, proto, other(proto))
    a.network.cookie = "another"
    with pytest.raises(ErgoError, match="no route"):
        await a.network.get_node(b.name)
    assert not b.network.connections
    await a.stop()
    await b.stop()
