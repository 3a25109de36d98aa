"""A reference node with one fault, as a target of its own: `python broken_node.py FAULT`, ERGO_TARGET as for any node.

A fault is a handshake class, or a change of the node around it; those of established links are in broken_enp, those of
processes in broken_relations.
"""

import asyncio
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from struct import pack
from typing import Any
from unittest import mock

from ergo_conformance.model.ergo import ehs
from ergo_conformance.model.ergo.ehs import Accept, Digest, HandshakeState, Hello, Introduce, Join, Message
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api import Connection, Socket
from ergo_conformance.reference_node.api.errors import HandshakeError
from ergo_conformance.reference_node.api.handshake import Output, PeerInfo
from ergo_conformance.reference_node.connection.socket_protocol import SocketProtocol
from ergo_conformance.reference_node.connection.table import ConnectionTable
from ergo_conformance.reference_node.ergo.ehs import Effect, EhsSession
from ergo_conformance.reference_node.target import config as settings

sys.path.append(str(Path(__file__).parents[2]))  # behind the package that is installed
from tests.support import broken_enp, broken_relations
from tests.support.settings import with_session_class


class SwappedDigest(EhsSession):
    """What a digest is made of, in the wrong order."""

    def digest(self, kind: Digest) -> str:
        return sha256(":".join(self.parts[name] for name in reversed(kind.parts)).encode()).hexdigest()


class LengthOffByOne(EhsSession):
    """Frames announce a byte more than they have."""

    def header(self, payload: bytes) -> bytes:
        return pack(">BBI", ehs.MAGIC, ehs.VERSION, len(payload) + 1)


class IntroduceBeforeAccept(EhsSession):
    def accept_and_introduce(self, message: Introduce) -> Effect:
        introduced, accept, introduction = super().accept_and_introduce(message)
        return [introduced, introduction, accept]


class Credulous(EhsSession):
    """Does not look at one of the digests."""

    believed: Digest

    def check(self, kind: Digest, given: str) -> None:
        if kind is not self.believed:
            super().check(kind, given)


class BelievesHello(Credulous):
    believed = Digest.HELLO_DIALER


class BelievesIntroduce(Credulous):
    believed = Digest.INTRODUCE


class BelievesJoin(Credulous):
    believed = Digest.JOIN


class UpperCase(EhsSession):
    """Takes digests in upper case, too."""

    def check(self, kind: Digest, given: str) -> None:
        super().check(kind, given.lower())


class SameSalt(EhsSession):
    def answer_hello(self, message: Hello) -> Effect:
        token, self.token = self.token, lambda n: "5" * n
        try:
            return super().answer_hello(message)
        finally:
            self.token = token


class SameConnectionId(EhsSession):
    def accept_and_introduce(self, message: Introduce) -> Effect:
        self.token = lambda n: "1d" * (n // 2)
        return super().accept_and_introduce(message)


class AnswersFirst(EhsSession):
    """Sends its Hello whatever the digest is, and closes only then."""

    def _advance(self) -> Iterator[Output]:
        waiting = self.state is HandshakeState.AWAIT_HELLO
        try:
            yield from super()._advance()
        except HandshakeError:
            if waiting:
                yield self.frame(Hello(self.token(ehs.SALT_LENGTH), ""))
            raise


class SpeaksFirst(EhsSession):
    def start(self) -> bytes:
        return self.frame(Hello(self.token(ehs.SALT_LENGTH), ""))


class OwnName(EhsSession):
    """Lets a peer with its own name in."""

    def peer_info(self, introduce: Introduce, pool: Accept) -> PeerInfo:
        local, self.local = self.local, dataclasses.replace(self.local, name=Atom("somebody@else"))
        try:
            return super().peer_info(introduce, pool)
        finally:
            self.local = local


class NoCertificateDigest(EhsSession):
    def certificate_digest(self, kind: Digest) -> str:
        return ""


class IdsOutOfRange(EhsSession):
    def introduction(self, digest: str) -> Introduce:
        return super().introduction(digest)._replace(AtomCache={0: self.local.name, 255: Atom("last")})


class CreationZero(EhsSession):
    def introduction(self, digest: str) -> Introduce:
        return super().introduction(digest)._replace(Creation=0)


class AnyLength(EhsSession):
    """Waits for as many bytes as a header announces."""

    def check_header(self, header: bytes) -> None:
        super().check_header(header[:2])


class AnyOrder(EhsSession):
    """Takes an Introduce at once, without a Hello before it."""

    def step(self, message: object) -> Effect:
        if isinstance(message, Introduce) and self.state is HandshakeState.AWAIT_HELLO:
            self.parts["salt2"] = ""
            self.state = HandshakeState.AWAIT_ACCEPT
            self.peer = self.peer_info(message, Accept())
            return [Accept(self.token(32), 3), self.introduction("")]
        return super().step(message)


class JoinWithoutProof(EhsSession):
    """Answers a Join with an Accept without digest."""

    def admit_link(self, message: Join) -> Effect:
        return [Accept() if isinstance(part, Accept) else part for part in super().admit_link(message)]


class Talkative(EhsSession):
    """Puts a digest where none belongs."""

    def frame(self, message: Message) -> bytes:
        return super().frame(message._replace(Digest="0" * 64) if isinstance(message, Accept) else message)


def no_deadline(link: SocketProtocol) -> None:
    """Waits for a silent peer for ever."""


def take_over(self: ConnectionTable[Connection], link: Socket, peer: PeerInfo, *more: Any) -> Connection:
    """The second connection under a name takes the place of the first."""
    if peer.node in self.connections:
        self.drop(self.connections[peer.node])
    return admit(self, link, peer, *more)


def ends_with_its_first_link(self: ConnectionTable[Connection], link: Socket) -> Connection | None:
    connection = self.connection_of(link)
    if connection is not None and connection.sockets[0] is link:
        self.drop(connection)
    return lose(self, link)


admit, lose = ConnectionTable[Connection].admit, ConnectionTable[Connection].lose
FAULTS: dict[str, type[EhsSession] | tuple[Any, str, Any]] = {
    **broken_enp.FAULTS,
    **broken_relations.FAULTS,
    "none": EhsSession,
    "swapped_digest": SwappedDigest,
    "length_off_by_one": LengthOffByOne,
    "introduce_before_accept": IntroduceBeforeAccept,
    "believes_hello": BelievesHello,
    "believes_introduce": BelievesIntroduce,
    "believes_join": BelievesJoin,
    "upper_case": UpperCase,
    "same_salt": SameSalt,
    "same_connection_id": SameConnectionId,
    "answers_first": AnswersFirst,
    "speaks_first": SpeaksFirst,
    "own_name": OwnName,
    "no_certificate_digest": NoCertificateDigest,
    "ids_out_of_range": IdsOutOfRange,
    "creation_zero": CreationZero,
    "any_length": AnyLength,
    "any_order": AnyOrder,
    "join_without_proof": JoinWithoutProof,
    "talkative": Talkative,
    "no_deadline": (SocketProtocol, "_expect_bytes", no_deadline),
    "take_over": (ConnectionTable, "admit", take_over),
    "ends_with_its_first_link": (ConnectionTable, "lose", ends_with_its_first_link),
}


async def serve(factory: type[EhsSession], *, agents: bool = False) -> None:
    """A node with this handshake, until SIGTERM."""
    target = json.loads(os.environ["ERGO_TARGET"])
    node = await with_session_class(settings.config_of(target), factory).make_node().start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    supervisor = settings.host_agents(node, target) if agents else None
    print("READY", json.dumps(settings.ready(node, target, supervisor)), flush=True)  # noqa: T201  the target's line
    await stop.wait()
    await node.stop()


def main(fault: str) -> None:
    """Runs the node with a fault."""
    chosen = FAULTS[fault]
    agents = fault in (broken_enp.FAULTS | broken_relations.FAULTS) or fault == "none"
    if isinstance(chosen, tuple):
        with mock.patch.object(*chosen):
            asyncio.run(serve(EhsSession, agents=agents))
    else:
        asyncio.run(serve(chosen, agents=agents))


if __name__ == "__main__":
    main(sys.argv[1])
