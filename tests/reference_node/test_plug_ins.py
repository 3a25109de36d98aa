"""A handshake, a proto with its connection, and a registrar that know nothing of the node but its interfaces."""

import asyncio
import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model import ehs
from ergo_conformance.model.caches import NO_CACHES
from ergo_conformance.model.ehs import Flags, Role, Version
from ergo_conformance.model.esrd import Route
from ergo_conformance.model.saturn import ApplicationRoute, ProxyRoute
from ergo_conformance.model.terms import PID, Alias, Atom, Error, ProcessID, Ref
from ergo_conformance.reference_node.failures import ErgoError
from ergo_conformance.reference_node.handshaking import (
    HandshakeError,
    Handshaken,
    Introduced,
    Joined,
    LinkFacts,
    Local,
    Membership,
    Output,
)  # fmt: skip
from ergo_conformance.reference_node.information import RegistrarInfo
from ergo_conformance.reference_node.interfaces import (
    Connection,
    Core,
    Handshake,
    Link,
    NetworkDial,
    NetworkHandshake,
    NetworkProto,
    NodeFacts,
    Registrar,
    RegistrarError,
    Resolver,
)  # fmt: skip
from ergo_conformance.reference_node.node import Node
from ergo_conformance.reference_node.options import AcceptorOptions
from ergo_conformance.reference_node.partial import PartialConnection
from ergo_conformance.reference_node.processes import Actor, Call, MessageOptions, Process
from ergo_conformance.reference_node.routes import NetworkRoute
from ergo_conformance.reference_node.transport import REFUSED_WITHIN
from tests.support.nodes import within
from tests.support.settings import start_node
from tests.support.sockets import HOST, eventually, run

CARD, TALK = Version("CARD", "1"), Version("TALK", "1")
POOL = 2


class CardMachine:
    """Each side shows one line of JSON: who it is, and the cookie in the clear."""

    def __init__(self, role: Role, local: Local, link: LinkFacts, joining: Membership | None = None) -> None:
        self.role, self.local, self.link, self.joining = role, local, link, joining
        self.buffer = b""

    def card(self, **more: Any) -> bytes:
        local = self.local
        shown = {"name": local.name, "cookie": local.cookie, "creation": local.creation, **more}
        return json.dumps(shown).encode() + b"\n"

    def start(self) -> bytes:
        if self.role is Role.ACCEPTOR:
            return b""
        return self.card(joins=self.joining.connection_id if self.joining else None)

    def receive(self, data: bytes) -> Iterator[Output]:
        self.buffer += data
        line, found, rest = self.buffer.partition(b"\n")
        if not found:
            return
        shown = json.loads(line)
        if shown["cookie"] != self.local.cookie:
            raise HandshakeError("another cookie")
        if self.role is Role.DIALER:
            yield self.joined(shown, rest) if self.joining else self.met(shown, shown["id"], rest)
        elif shown["joins"]:
            yield self.card()
            yield Joined(self.role, Atom(shown["name"]), shown["joins"], rest)
        else:
            peer = self.met(shown, self.link.token(8), rest)
            yield Introduced(peer)
            yield self.card(id=peer.connection_id)
            yield peer

    def joined(self, shown: Any, rest: bytes) -> Joined:
        assert self.joining is not None
        return Joined(self.role, Atom(shown["name"]), self.joining.connection_id, rest)

    def met(self, shown: Any, id_: str, rest: bytes) -> Handshaken:
        return Handshaken(
            role=self.role, local=self.local, node=Atom(shown["name"]), version=Version("somebody"), flags=Flags(0),
            raw_flags=bytes(8), creation=shown["creation"], max_message_size=0, caches=NO_CACHES, connection_id=id_,
            pool_size=POOL, tail=rest,
        )  # fmt: skip


class CardHandshake:
    def network_flags(self) -> Flags:
        return ehs.DEFAULT_FLAGS

    def start(self, local: Local, link: LinkFacts) -> Handshake:
        return CardMachine(Role.DIALER, local, link)

    def join(self, local: Local, link: LinkFacts, membership: Membership) -> Handshake:
        return CardMachine(Role.DIALER, local, link, membership)

    def accept(self, local: Local, link: LinkFacts) -> Handshake:
        return CardMachine(Role.ACCEPTOR, local, link)

    def version(self) -> Version:
        return CARD


class TalkConnection(PartialConnection):
    """Lines of JSON: messages and requests to names, and answers."""

    def __init__(self, peer: Handshaken, core: Core) -> None:
        super().__init__(peer, core)
        self.halves: dict[Link, bytes] = {}

    def say(self, *what: Any) -> bool:
        link = self.links[0]
        link.write(json.dumps(what).encode() + b"\n")
        self.frames_out += 1
        return link.is_congested

    def send(self, sender: PID, to: PID | ProcessID | Alias, options: MessageOptions, message: Any) -> bool:
        if not isinstance(to, ProcessID):
            return super().send(sender, to, options, message)
        return self.say("send", sender.id, to.name, message)

    def call(self, ref: Ref, sender: PID, to: PID | ProcessID | Alias, options: MessageOptions, message: Any) -> bool:
        if not isinstance(to, ProcessID):
            return super().call(ref, sender, to, options, message)
        return self.say("call", sender.id, to.name, message, ref.id)

    def send_response(self, sender: PID, to: PID, ref: Ref, options: MessageOptions, response: Any) -> None:
        self.say("answer", sender.id, to.id, response, ref.id)

    def receive(self, link: Link, data: bytes) -> None:
        super().receive(link, data)
        *lines, self.halves[link] = (self.halves.get(link, b"") + data).split(b"\n")
        for line in lines:
            self.frames_in += 1
            try:
                self.heard(*json.loads(line))
            except (ValueError, TypeError):
                raise Rejected(Reason.UNKNOWN_FRAME, "", 0, "no line of mine") from None

    def heard(self, what: str, from_id: int, to: Any, payload: Any, words: Sequence[int] = ()) -> None:
        sender = PID(self.name, from_id, self.peer.creation)
        target = ProcessID(self.core.name, Atom(to)) if isinstance(to, str) else None
        options = MessageOptions()
        if what == "answer":
            self.core.route_send_response(self.name, to, (words[0], words[1], words[2]), payload)
        elif what == "call" and target is not None:
            ref = Ref(self.name, self.peer.creation, (words[0], words[1], words[2]))
            self.core.route_call(ref, sender, target, options, payload)
        elif target is not None:
            self.core.route_send(sender, target, options, payload)


class TalkProto:
    def __init__(self) -> None:
        self.served: list[tuple[Atom, bool]] = []

    def new_connection(self, core: Core, result: Handshaken, log: logging.Logger) -> Connection:
        log.info("%s begins to talk", result.node)
        return TalkConnection(result, core)

    async def serve(self, connection: Connection, dial: NetworkDial | None) -> None:
        self.served.append((connection.name, dial is not None))
        if dial is not None:
            for _ in range(1, connection.peer.pool_size):
                await dial("")

    def version(self) -> Version:
        return TALK


class Notebook:
    """Nodes and their routes, as a registrar of nodes in one program."""

    def __init__(self, pages: dict[Atom, list[Route]]) -> None:
        self.pages = pages
        self.name = Atom("")

    def resolver(self) -> Resolver:
        return self

    async def register(self, node: NodeFacts, routes: Sequence[Route]) -> None:
        if node.name in self.pages:
            raise RegistrarError("resource is taken")
        self.name = node.name
        self.pages[node.name] = list(routes)

    async def terminate(self) -> None:
        self.pages.pop(self.name, None)

    def info(self) -> RegistrarInfo:
        return RegistrarInfo(server="here", embedded=True, version=self.version())

    def version(self) -> Version:
        return Version("NOTE", "1")

    async def resolve(self, name: Atom) -> list[Route]:
        if name not in self.pages:
            raise RegistrarError("unknown")
        return self.pages[name]

    async def resolve_proxy(self, name: Atom) -> list[ProxyRoute]:
        raise RegistrarError("not supported")

    async def resolve_application(self, name: Atom) -> list[ApplicationRoute]:
        raise RegistrarError("not supported")


TYPED: tuple[type[NetworkHandshake], type[NetworkProto], type[Registrar]] = CardHandshake, TalkProto, Notebook


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
    assert await within(a, lambda it: it.call(to, "hello")) == ["you said", "hello"]
    await within(a, lambda it: it.send(to, ["a", 1]))
    await eventually(lambda: answers.heard == [(a.name, ["a", 1])])


def test_the_route_chooses_the_stack() -> None:
    async def scenario() -> None:
        pages: dict[Atom, list[Route]] = {}
        proto = TalkProto()
        a, b, answers = await pair(pages, proto, other(proto), PLAIN)
        assert pages[b.name][0][3:] == (CARD, TALK)
        await talks(a, b, answers)
        info = a.network.node(b.name).info()
        assert (info.handshake_version, info.proto_version) == (CARD, TALK)
        assert (info.pool_size, info.messages_out, info.messages_in) == (POOL, 2, 1)
        assert isinstance(a.network.connections[b.name], TalkConnection)
        await eventually(lambda: len(b.network.connections[a.name].links) == POOL)
        assert sorted(proto.served) == [(a.name, False), (b.name, True)]
        a.network.node(b.name).disconnect()
        await eventually(lambda: not b.network.connections)
        pages[b.name].reverse()
        answers.heard.clear()
        await talks(a, b, answers)
        assert a.network.node(b.name).info().proto_version[:2] == ("ENP", "R1")
        await a.stop()
        await b.stop()
        assert not pages

    run(scenario())


def test_a_static_route_names_a_stack() -> None:
    async def scenario() -> None:
        proto = TalkProto()
        a, b, answers = await pair({}, proto, PLAIN, other(proto))
        port = b.network.acceptors[1].port
        named = NetworkRoute(host=HOST, port=port, handshake_version=CARD, proto_version=TALK)
        with pytest.raises(ErgoError, match="i/o timeout"):
            await a.network.get_node_with_route(b.name, NetworkRoute(host=HOST, port=port))  # in EHS, to the wrong door
        assert (await a.network.get_node_with_route(b.name, named)).info().proto_version == TALK
        await talks(a, b, answers)
        await a.stop()
        await b.stop()

    run(scenario())


@pytest.mark.parametrize("versions", [(Version("CARD", "2"), TALK), (CARD, Version("TALKS", "1")), (TALK, CARD)])
def test_a_stack_that_nobody_speaks_is_no_route(versions: tuple[Version, Version]) -> None:
    async def scenario() -> None:
        pages: dict[Atom, list[Route]] = {}
        a, b, _ = await pair(pages, TalkProto(), PLAIN)
        pages[b.name] = [Route("", b.network.acceptors[0].port, False, *versions)]
        with pytest.raises(ErgoError, match="no route"):
            await a.network.get_node(b.name)
        await a.stop()
        await b.stop()

    run(scenario())


def test_a_whole_node_may_speak_another_stack() -> None:
    """It is the node's own then: for dialing, too."""

    async def scenario() -> None:
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
        assert a.network.info().handshake_version == CARD
        await a.stop()
        await b.stop()

    run(scenario())


def test_what_it_can_not_do_is_said_and_nothing_hangs() -> None:
    async def scenario() -> None:
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
                await within(a, attempt)
        ended: list[Atom] = []

        async def watches(it: Process) -> None:
            await it.monitor(b.name)
            ended.append(getattr(await it.receive(), "source"))  # noqa: B009

        a.spawn(watches)
        await asyncio.sleep(0.05)
        await b.stop()
        await eventually(lambda: ended == [b.name])
        await a.stop()

    run(scenario())


def test_a_line_that_is_none_ends_the_link_alone() -> None:
    async def scenario() -> None:
        proto = TalkProto()
        a, b, answers = await pair({}, proto, other(proto))
        await a.network.get_node(b.name)
        await eventually(lambda: len(b.network.connections[a.name].links) == POOL)
        await asyncio.sleep(2 * REFUSED_WITHIN)  # a link that ends sooner would mean that we are not known
        a.network.connections[b.name].links[1].write(b"what?\n")
        await eventually(lambda: len(b.network.connections[a.name].links) == POOL - 1)
        await talks(a, b, answers)
        await a.stop()
        await b.stop()

    run(scenario())


def test_another_cookie_is_refused_by_the_handshake_of_ones_own() -> None:
    async def scenario() -> None:
        proto, pages = TalkProto(), dict[Atom, list[Route]]()
        a, b, _ = await pair(pages, proto, other(proto))
        a.network.cookie = "another"
        with pytest.raises(ErgoError, match="no route"):
            await a.network.get_node(b.name)
        assert not b.network.connections
        await a.stop()
        await b.stop()

    run(scenario())
