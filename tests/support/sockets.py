"""Nodes over loopback sockets, and a peer whose socket a test controls."""

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
from tests.support.settings import start_node

HOST = "127.0.0.1"
ACCEPTORS = (AcceptorOptions(host=HOST, port=0),)
ME = LocalIdentity(name=Atom("me@localhost"), cookie="secret", creation=5, version=Version())


@asynccontextmanager
async def running_nodes(*names: str, **more: Any) -> AsyncIterator[list[Node]]:
    """Starts nodes; stops them at the end of the block."""
    defaults: dict[str, Any] = {"cookie": "secret", "acceptors": ACCEPTORS}
    nodes = [await start_node(f"{name}@localhost", **(defaults | more)) for name in names]
    try:
        yield nodes
    finally:
        for node in nodes:
            await node.stop()


async def eventually(holds: Callable[[], object]) -> None:
    """Waits until the condition holds; TimeoutError after five minutes of the loop's clock."""
    async with asyncio.timeout(300):
        while not holds():
            await asyncio.sleep(0.001)


def port(node: Node) -> int:
    """Returns the port of the first acceptor."""
    return node.network.acceptors[0].port


def socket_count(node: Node, peer: Node) -> int:
    """Returns the size of a node's pool with a peer; 0 without a connection."""
    connection = node.network.connections.get(peer.name)
    return len(connection.sockets) if connection else 0


class RawPeer:
    """Peer with a TCP socket that a test reads and writes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def dial(cls, node: Node) -> AsyncIterator["RawPeer"]:
        raw = cls(*await asyncio.open_connection(HOST, port(node)))
        try:
            yield raw
        finally:
            raw.writer.close()

    async def handshake(self, side: EhsSession) -> Any:
        """Completes the handshake; returns its result, or None if the node closed the socket."""
        self.writer.write(side.start())
        while data := await self.reader.read(1 << 16):
            for output in side.receive(data):
                if isinstance(output, PeerInfo | JoinedSocket):
                    return output
                if isinstance(output, bytes):
                    self.writer.write(output)
        return None

    async def read_to_end(self) -> bytes:
        """Returns the bytes received until the node closes the socket."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b""


def dialer_session(local: LocalIdentity = ME, joining: ConnectionRef | None = None) -> EhsSession:
    return EhsSession(Role.DIALER, local, random_hex, joining=joining)
