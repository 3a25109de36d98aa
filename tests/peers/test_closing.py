"""The tester ends its sockets with FIN, also while bytes of the target are unread: a target must not fail because of an RST."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ergo_conformance.peers.ergo.esrd_server import ScriptedEsrdServer
from ergo_conformance.peers.ergo.saturn_server import ScriptedSaturnServer
from ergo_conformance.peers.listener import HOST, Listener
from ergo_conformance.peers.sockets import PeerSocket
from ergo_conformance.reference_node.connection.tls import client_context, server_context
from ergo_conformance.verdict.run.registration import certificate

pytestmark = pytest.mark.real_loop

Server = ScriptedEsrdServer | ScriptedSaturnServer | Listener
UNREAD = 1 << 20
"""Bytes: more than the tester's side reads ahead."""


class Dialer(asyncio.Protocol):
    """Sends bytes and records how the other side ends the socket."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(bytes(UNREAD))

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result("closed" if exc is None else f"{exc!r}")


def servers() -> dict[str, Server]:
    return {
        "esrd": ScriptedEsrdServer(),
        "saturn": ScriptedSaturnServer(server_context(certificate()), "token"),
        "listener": Listener("listener"),
    }


async def accepted_socket(server: Server) -> PeerSocket:
    coming = server.socket() if isinstance(server, Listener) else None
    return await coming if coming is not None else (await server.registration()).socket  # type: ignore[union-attr]


async def stop(server: Server, _: PeerSocket) -> None:
    await server.stop()


async def close(_: Server, socket: PeerSocket) -> None:
    socket.close()


@pytest.mark.parametrize("end", [stop, close])
@pytest.mark.parametrize("kind", ["esrd", "saturn", "listener"])
async def test_a_socket_with_unread_bytes_ends_without_a_reset(
    kind: str, end: Callable[[Server, PeerSocket], Awaitable[None]]
) -> None:
    server = servers()[kind]
    await server.start()
    tls = client_context() if kind == "saturn" else None
    _, dialer = await asyncio.get_running_loop().create_connection(Dialer, HOST, server.port, ssl=tls)
    socket = await accepted_socket(server)
    socket.stop_reading()
    try:
        await end(server, socket)
        async with asyncio.timeout(60):
            assert await dialer.ended == "closed"
    finally:
        await server.stop()
