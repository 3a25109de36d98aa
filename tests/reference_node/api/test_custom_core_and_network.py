"""A custom Core under an ENP connection, and a custom Network under a program."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp, error_values, gen, records
from ergo_conformance.model.ergo.caches import NO_CACHES
from ergo_conformance.model.ergo.ehs import DEFAULT_FLAGS, Role, Version
from ergo_conformance.model.ergo.enp import Priority, Words
from ergo_conformance.model.ergo.gen import MessageEvent
from ergo_conformance.model.ergo.saturn import ProxyRoute
from ergo_conformance.model.registry import Registry
from ergo_conformance.model.values import PID, Alias, Atom, Error, Event, ProcessID, Ref
from ergo_conformance.reference_node.api import (
    Connection,
    Core,
    LocalProcess,
    Network,
    NetworkHandshake,
    NetworkProto,
    Registrar,
    RemoteNode,
)
from ergo_conformance.reference_node.api.errors import ErgoError
from ergo_conformance.reference_node.api.handshake import LocalIdentity, PeerInfo
from ergo_conformance.reference_node.api.info import NetworkInfo
from ergo_conformance.reference_node.api.messages import Envelope, MessageOptions
from ergo_conformance.reference_node.api.relations import RelationKind, RelationTarget
from ergo_conformance.reference_node.api.routes import NetworkRoute
from ergo_conformance.reference_node.ergo.enp.codec import FrameDecoder, FrameEncoder
from ergo_conformance.reference_node.ergo.enp.proto import EnpProto
from tests.support.settings import make_node

pytestmark = pytest.mark.real_loop

US, PEER = Atom("us@h"), Atom("peer@h")
THEIRS = PID(PEER, 1001, 7)
OURS = PID(US, 1002, 5)
BYE = Error("bye")


class RecordingCore:
    """Core without processes that records the calls of a connection."""

    name, creation, pid = US, 5, PID(US, 1, 5)

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.registry: Registry = records.framework()
        self.processes: dict[int, LocalProcess] = {}
        self.names: dict[Atom, LocalProcess] = {}
        self.aliases: dict[Words, LocalProcess] = {}
        self.tables = self
        self._refs = 0
        self._work: list[asyncio.Future[None]] = []

    def deliver(self, process: LocalProcess | None, envelope: Envelope, priority: Priority) -> Error | None:
        self.events.append((type(envelope).__name__, envelope[0], envelope[-2 if len(envelope) > 2 else -1], priority))
        return error_values.PROCESS_UNKNOWN

    def make_ref(self) -> Ref:
        self._refs += 1
        return Ref(US, 5, (self._refs, 0, 0))

    def now(self) -> int:
        return 1_000_000_000_000

    def open_connection(self, node: Atom) -> Connection | None:
        return None

    def run(self, work: Awaitable[None]) -> None:
        self._work.append(asyncio.ensure_future(work))

    def route_send(self, sender: PID, to: Any, options: MessageOptions, message: Any) -> Error | None:
        raise AssertionError

    def route_call(self, ref: Ref, sender: PID, to: Any, options: MessageOptions, message: Any) -> Error | None:
        raise AssertionError

    def route_send_response(self, node: Atom, to_id: int, words: Words, response: Any) -> bool:
        self.events.append(("response", node, to_id, words, response))
        return True

    def route_send_response_error(self, node: Atom, to_id: int, words: Words, error: Error) -> bool:
        self.events.append(("error", node, to_id, words, error))
        return True

    def route_send_event(self, event: MessageEvent, priority: Priority) -> None:
        self.events.append(("event", event, priority))

    def route_send_exit(self, sender: PID, to_id: int, reason: Error) -> None:
        self.events.append(("exit", sender, to_id, reason))

    def route_link(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> list[MessageEvent]:
        self.events.append(("link", kind, consumer, target))
        return []

    def route_unlink(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> None:
        raise ErgoError(error_values.TARGET_UNKNOWN)

    def route_terminate(self, target: RelationTarget, reason: Error) -> None:
        self.events.append(("terminate", target, reason))

    def add_relation(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> bool:
        self.events.append(("taken", kind, consumer, target))
        return True

    def remove_relation(self, kind: RelationKind, consumer: PID, target: RelationTarget) -> bool:
        self.events.append(("given back", kind, consumer, target))
        return True

    def owner_of(self, target: RelationTarget) -> LocalProcess | None:
        return None

    async def route_spawn(self, node: Atom, name: Atom, options: gen.ProcessOptionsExtra) -> LocalProcess:
        raise ErgoError(error_values.NAME_UNKNOWN)

    async def route_application_start(
        self, node: Atom, name: Atom, mode: int, options: gen.ApplicationOptionsExtra
    ) -> None:
        self.events.append(("application", node, name, mode))

    async def remote_spawn(
        self, node: Atom, name: Atom, args: list[Any] | None, options: gen.RemoteProcessOptions | None, register: str
    ) -> PID:
        raise AssertionError

    async def remote_application_start(
        self, node: Atom, name: Atom, mode: int, options: gen.ApplicationOptions | None
    ) -> None:
        raise AssertionError

    def disconnect(self, node: Atom) -> None:
        self.events.append(("disconnect", node))


class RecordingSocket:
    """Socket that records the written bytes."""

    is_congested = False

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.written.append(b"closed")

    async def drain(self) -> None:
        """Returns at once."""


def make_connection(core: Core) -> tuple[Connection, RecordingSocket]:
    local = LocalIdentity(name=US, cookie="c", creation=5, version=Version())
    peer = PeerInfo(
        role=Role.DIALER, local=local, node=PEER, version=Version(), flags=DEFAULT_FLAGS, raw_flags=bytes(8), creation=7,
        max_message_size=0, caches=NO_CACHES, connection_id="id", pool_size=1,
    )  # fmt: skip
    connection: Connection = EnpProto().new_connection(core, peer, logging.getLogger("test"))
    sock = RecordingSocket()
    connection.join(sock, "id", None, b"")
    return connection, sock


def written_frames(recorder: RecordingCore, sock: RecordingSocket) -> list[Any]:
    decoder = FrameDecoder(recorder.registry, NO_CACHES)
    return [decoder.read_framed(data) for data in sock.written]


async def test_received_frames_call_the_methods_of_a_custom_core() -> None:
    recorder = RecordingCore()
    connection, sock = make_connection(recorder)
    encoder = FrameEncoder(recorder.registry, NO_CACHES)
    extra = gen.ApplicationOptionsExtra(gen.ApplicationOptions(), THEIRS)
    event = MessageEvent(Event(PEER, Atom("ev")), 9, "news")
    received: list[Any] = [
        enp.MessagePID(0, 1001, 0, 0, 1002, "hello"),
        enp.Response(0, 1001, 0, 1002, (1, 2, 3), "answer"),
        enp.ResponseError(0, 1001, 0, 1002, (4, 5, 6), enp.Code.MAILBOX_FULL, None),
        enp.Exit(0, 1001, 2, 1002, BYE),
        enp.EventFrame(0, 1001, 0, 9, Atom("ev"), "news"),
        enp.TerminateName(0, 1, Atom("gone"), BYE),
        enp.Control(0, enp.ApplicationStart(Atom("app"), 2, extra, Ref(PEER, 7, (1, 0, 0)))),
    ]
    for frame in received:
        connection.receive(sock, encoder.write(frame))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert recorder.events == [
        ("Message", THEIRS, "hello", Priority.NORMAL),
        ("response", PEER, 1002, (1, 2, 3), "answer"),
        ("error", PEER, 1002, (4, 5, 6), error_values.MAILBOX_FULL),
        ("exit", THEIRS, 1002, BYE),
        ("event", event, Priority.NORMAL),
        ("terminate", ProcessID(PEER, Atom("gone")), BYE),
        ("application", PEER, "app", 2),
    ]
    (result,) = written_frames(recorder, sock)
    assert result.message == enp.Result(None, None, Ref(PEER, 7, (1, 0, 0)))


async def test_a_link_request_is_recorded_in_the_custom_core_that_made_it() -> None:
    recorder = RecordingCore()
    connection, sock = make_connection(recorder)
    asked = asyncio.ensure_future(connection.link(OURS, THEIRS))
    await asyncio.sleep(0)
    (frame,) = written_frames(recorder, sock)
    answer = enp.Control(0, enp.Result(None, None, frame.message.Ref))
    connection.receive(sock, FrameEncoder(recorder.registry, NO_CACHES).write(answer))
    assert recorder.events == [("taken", RelationKind.LINK, OURS, THEIRS)]
    assert await asked == []
    connection.terminate(error_values.NO_CONNECTION)
    with pytest.raises(ErgoError, match="no connection"):
        connection.node.disconnect()


async def test_a_message_to_an_alias_of_the_peer_is_written() -> None:
    recorder = RecordingCore()
    connection, sock = make_connection(recorder)
    connection.send(OURS, Alias(PEER, 7, (1, 2, 3)), MessageOptions(), "to an alias")
    (frame,) = written_frames(recorder, sock)
    assert (frame.from_id, frame.to_alias, frame.payload) == (1002, (1, 2, 3), "to an alias")


# --- custom network ---------------------------------------------------------------------------------------------------


class UnconnectedNetwork:
    """Network without other nodes."""

    cookie = ""

    def __init__(self) -> None:
        self.asked: list[str] = []

    @property
    def nodes(self) -> list[Atom]:
        return []

    def node(self, name: str) -> RemoteNode:
        raise ErgoError(error_values.NO_CONNECTION)

    async def get_node(self, name: str) -> RemoteNode:
        self.asked.append(name)
        raise ErgoError(error_values.NO_ROUTE)

    async def get_node_with_route(self, name: str, route: NetworkRoute) -> RemoteNode:
        return await self.get_node(name)

    def add_route(self, match: str, route: NetworkRoute, weight: int = 0) -> None:
        raise ErgoError(error_values.TAKEN)

    def remove_route(self, match: str) -> None:
        raise ErgoError(error_values.UNKNOWN)

    def route(self, name: str) -> list[NetworkRoute]:
        raise ErgoError(error_values.NO_ROUTE)

    def add_proxy_route(self, match: str, route: ProxyRoute, weight: int = 0) -> None:
        raise ErgoError(error_values.TAKEN)

    def remove_proxy_route(self, match: str) -> None:
        raise ErgoError(error_values.UNKNOWN)

    def proxy_route(self, name: str) -> list[ProxyRoute]:
        raise ErgoError(error_values.NO_ROUTE)

    def enable_spawn(self, name: str, factory: Any, *nodes: str) -> None:
        """Does nothing."""

    def disable_spawn(self, name: str, *nodes: str) -> None:
        raise ErgoError(error_values.UNKNOWN)

    def enable_application_start(self, name: str, *nodes: str) -> None:
        """Does nothing."""

    def disable_application_start(self, name: str, *nodes: str) -> None:
        raise ErgoError(error_values.UNKNOWN)

    def register_handshake(self, handshake: NetworkHandshake) -> None:
        """Does nothing."""

    def register_proto(self, proto: NetworkProto) -> None:
        """Does nothing."""

    @property
    def registrar(self) -> Registrar:
        raise ErgoError(error_values.NO_ROUTE)

    @property
    def info(self) -> NetworkInfo:
        raise ErgoError(error_values.NETWORK_STOPPED)


async def node_names(network: Network, *names: str) -> list[str]:
    """Returns the name of each node, or the text of its error."""
    found = []
    for name in names:
        try:
            found.append(str((await network.get_node(name)).name))
        except ErgoError as error:
            found.append(error.error.text)
    return found


async def test_a_program_runs_on_the_nodes_network_and_on_a_custom_one() -> None:
    unconnected = UnconnectedNetwork()
    assert await node_names(unconnected, "a@h", "b@h") == ["no route"] * 2
    assert unconnected.asked == ["a@h", "b@h"]
    node = make_node("x@h")
    assert await node_names(node.network, "a@h") == ["no route"]
    await node.stop()
    assert await node_names(node.network, "a@h") == ["network stack is stopped"]
