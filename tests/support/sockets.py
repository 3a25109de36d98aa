"""Nodes over real sockets of the loopback, and peers that do with theirs what a test tells them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ergo_conformance.model.ergo.ehs import Role, Version
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api.handshake import ConnectionRef, JoinedSocket, LocalIdentity, PeerInfo
from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.reference_node.node import Node, random_hex
from ergo_conformance.reference_node.options import AcceptorOptions
from tests.support.settings import PATIENT, start_node

HOST = "127.0.0.1"
ACCEPTORS = (AcceptorOptions(host=HOST, port=0),)
ME = LocalIdentity(name=Atom("me@localhost"), cookie="secret", creation=5, version=Version())


@asynccontextmanager
async def started(*names: str, **more: Any) -> AsyncIterator[list[Node]]:
    defaults: dict[str, Any] = {"cookie": "secret", "acceptors": ACCEPTORS, "handshake": PATIENT}
    nodes = [await start_node(f"{name}@localhost", **(defaults | more)) for name in names]
    try:
        yield nodes
    finally:
        for node in nodes:
            await node.stop()


async def eventually(holds: Callable[[], object]) -> None:
    while not holds():
        await asyncio.sleep(0)


def port(node: Node) -> int:
    return node.network.acceptors[0].port


def links(node: Node, peer: Node) -> int:
    connection = node.network.connections.get(peer.name)
    return len(connection.sockets) if connection else 0


class Raw:
    """A peer that does what a test tells it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def dial(cls, node: Node) -> AsyncIterator["Raw"]:
        raw = cls(*await asyncio.open_connection(HOST, port(node)))
        try:
            yield raw
        finally:
            raw.writer.close()

    async def shake(self, side: EhsSession) -> Any:
        """Do the whole handshake; what came of it, or None if the other end closed."""
        self.writer.write(side.start())
        while data := await self.reader.read(1 << 16):
            for output in side.receive(data):
                if isinstance(output, PeerInfo | JoinedSocket):
                    return output
                if isinstance(output, bytes):
                    self.writer.write(output)
        return None

    async def rest(self) -> bytes:
        """All that comes until the other end closes."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b""


def dialer(local: LocalIdentity = ME, joining: ConnectionRef | None = None) -> EhsSession:
    return EhsSession(Role.DIALER, local, random_hex, joining=joining)
