"""Custom handshake, proto with connection and remote node, and registrar: they use only the interfaces of `api`."""

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model.ergo import ehs, gen
from ergo_conformance.model.ergo.caches import NO_CACHES
from ergo_conformance.model.ergo.ehs import Flags, Role, Version
from ergo_conformance.model.ergo.esrd import Route
from ergo_conformance.model.ergo.saturn import ApplicationRoute, ProxyRoute
from ergo_conformance.model.values import PID, Alias, Atom, ProcessID, Ref
from ergo_conformance.reference_node.api import (
    Connection,
    Core,
    Deadlines,
    FlowLimits,
    HandshakeSession,
    NetworkHandshake,
    NetworkProto,
    NodeRegistration,
    OpenSocket,
    Registrar,
    RemoteNode,
    Resolver,
    Socket,
)
from ergo_conformance.reference_node.api.errors import HandshakeError, RegistrarError
from ergo_conformance.reference_node.api.handshake import (
    ConnectionRef,
    Introduced,
    JoinedSocket,
    LocalIdentity,
    Output,
    PeerInfo,
    SocketInfo,
)
from ergo_conformance.reference_node.api.info import RemoteNodeInfo
from ergo_conformance.reference_node.api.messages import MessageOptions
from ergo_conformance.reference_node.api.registrar import RegistrarInfo
from ergo_conformance.reference_node.connection.unsupported import UnsupportedConnection

CARD, TALK = Version("CARD", "1"), Version("TALK", "1")
POOL = 2


class CardSession:
    """Each side sends one line of JSON with its name, creation and cookie."""

    def __init__(
        self, role: Role, local: LocalIdentity, info: SocketInfo, joining: ConnectionRef | None = None
    ) -> None:
        self.role, self.local, self.info, self.joining = role, local, info, joining
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
            yield JoinedSocket(self.role, Atom(shown["name"]), shown["joins"], rest)
        else:
            peer = self.met(shown, self.info.random_hex(8), rest)
            yield Introduced(peer)
            yield self.card(id=peer.connection_id)
            yield peer

    def joined(self, shown: Any, rest: bytes) -> JoinedSocket:
        assert self.joining is not None
        return JoinedSocket(self.role, Atom(shown["name"]), self.joining.connection_id, rest)

    def met(self, shown: Any, id_: str, rest: bytes) -> PeerInfo:
        return PeerInfo(
            role=self.role, local=self.local, node=Atom(shown["name"]), version=Version("somebody"), flags=Flags(0),
            raw_flags=bytes(8), creation=shown["creation"], max_message_size=0, caches=NO_CACHES, connection_id=id_,
            pool_size=POOL, tail=rest,
        )  # fmt: skip


class CardHandshake:
    deadlines = Deadlines(connect=60.0, read=60.0, handshake=60.0)

    @property
    def network_flags(self) -> Flags:
        return ehs.DEFAULT_FLAGS

    def start(self, local: LocalIdentity, info: SocketInfo) -> HandshakeSession:
        return CardSession(Role.DIALER, local, info)

    def join(self, local: LocalIdentity, info: SocketInfo, joining: ConnectionRef) -> HandshakeSession:
        return CardSession(Role.DIALER, local, info, joining)

    def accept(self, local: LocalIdentity, info: SocketInfo) -> HandshakeSession:
        return CardSession(Role.ACCEPTOR, local, info)

    @property
    def version(self) -> Version:
        return CARD


class TalkConnection(UnsupportedConnection):
    """Connection with lines of JSON: messages and calls to names, and answers."""

    def __init__(self, peer: PeerInfo, core: Core) -> None:
        super().__init__(peer, core)
        self.halves: dict[Socket, bytes] = {}

    @property
    def node(self) -> RemoteNode:
        return RenamedRemoteNode(super().node)

    def say(self, *what: Any) -> bool:
        socket = self.sockets[0]
        socket.write(json.dumps(what).encode() + b"\n")
        self.frames_out += 1
        return socket.is_congested

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

    def receive(self, socket: Socket, data: bytes) -> None:
        super().receive(socket, data)
        *lines, self.halves[socket] = (self.halves.get(socket, b"") + data).split(b"\n")
        for line in lines:
            self.frames_in += 1
            try:
                self.heard(*json.loads(line))
            except (ValueError, TypeError):
                raise Rejected(Reason.UNKNOWN_FRAME, "", 0, "invalid line") from None

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
    flow_limits = FlowLimits(max_queued=1 << 20, stall_timeout=30.0)

    def __init__(self) -> None:
        self.served: list[tuple[Atom, bool]] = []

    def new_connection(self, core: Core, result: PeerInfo, log: logging.Logger) -> Connection:
        log.info("connected with %s", result.node)
        return TalkConnection(result, core)

    async def serve(self, connection: Connection, dial: OpenSocket | None) -> None:
        self.served.append((connection.name, dial is not None))
        if dial is not None:
            for _ in range(1, connection.peer.pool_size):
                await dial("")

    @property
    def version(self) -> Version:
        return TALK


class TableRegistrar:
    """Registrar of the nodes of one program: a dict of their routes."""

    def __init__(self, table: dict[Atom, list[Route]]) -> None:
        self.table = table
        self.name = Atom("")

    @property
    def resolver(self) -> Resolver:
        return self

    async def register(self, node: NodeRegistration, routes: Sequence[Route]) -> None:
        if node.name in self.table:
            raise RegistrarError("resource is taken")
        self.name = node.name
        self.table[node.name] = list(routes)

    async def terminate(self) -> None:
        self.table.pop(self.name, None)

    @property
    def info(self) -> RegistrarInfo:
        return RegistrarInfo(server="here", embedded=True, version=self.version)

    @property
    def version(self) -> Version:
        return Version("NOTE", "1")

    async def resolve(self, name: Atom) -> list[Route]:
        if name not in self.table:
            raise RegistrarError("unknown")
        return self.table[name]

    async def resolve_proxy(self, name: Atom) -> list[ProxyRoute]:
        raise RegistrarError("not supported")

    async def resolve_application(self, name: Atom) -> list[ApplicationRoute]:
        raise RegistrarError("not supported")


class RenamedRemoteNode:
    """Custom RemoteNode with another name; it passes everything else to the node's own RemoteNode."""

    def __init__(self, node: RemoteNode) -> None:
        self._node = node

    @property
    def name(self) -> Atom:
        return Atom(f"nick {self._node.name}")

    @property
    def uptime(self) -> int:
        return self._node.uptime

    @property
    def connection_uptime(self) -> int:
        return self._node.connection_uptime

    @property
    def version(self) -> Version:
        return self._node.version

    @property
    def info(self) -> RemoteNodeInfo:
        return self._node.info

    async def spawn(self, name: str, options: gen.RemoteProcessOptions | None = None, *args: Any) -> PID:
        return await self._node.spawn(name, options, *args)

    async def spawn_register(
        self, register: str, name: str, options: gen.RemoteProcessOptions | None = None, *args: Any
    ) -> PID:
        return await self._node.spawn_register(register, name, options, *args)

    async def application_start(self, name: str, options: gen.ApplicationOptions | None = None) -> None:
        await self._node.application_start(name, options)

    async def application_start_temporary(self, name: str, options: gen.ApplicationOptions | None = None) -> None:
        await self._node.application_start_temporary(name, options)

    async def application_start_transient(self, name: str, options: gen.ApplicationOptions | None = None) -> None:
        await self._node.application_start_transient(name, options)

    async def application_start_permanent(self, name: str, options: gen.ApplicationOptions | None = None) -> None:
        await self._node.application_start_permanent(name, options)

    @property
    def creation(self) -> int:
        return self._node.creation

    def disconnect(self) -> None:
        self._node.disconnect()


TYPED: tuple[type[NetworkHandshake], type[NetworkProto], type[Registrar]] = CardHandshake, TalkProto, TableRegistrar
