"""Pools over TCP: sockets join and close, and there is one connection per pair of nodes."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from ergo_conformance.model.ergo.ehs import Accept, Introduce, Role
from ergo_conformance.model.values import Atom
from ergo_conformance.reference_node.api.errors import RefusedError
from ergo_conformance.reference_node.api.handshake import ConnectionRef, PeerInfo
from ergo_conformance.reference_node.ergo.ehs import Effect, EhsSession
from ergo_conformance.reference_node.node import random_hex
from tests.support.nodes import FRAME
from tests.support.settings import LONG_DEADLINES
from tests.support.sockets import HOST, ME, RawPeer, dialer_session, eventually, port, running_nodes, socket_count

pytestmark = pytest.mark.real_loop


async def test_a_second_connection_of_one_peer_is_closed() -> None:
    async with running_nodes("b") as (b,), RawPeer.dial(b) as first, RawPeer.dial(b) as second:
        peer_info = await first.handshake(dialer_session())
        await eventually(lambda: b.network.connections)
        again = await second.handshake(dialer_session())
        assert isinstance(again, PeerInfo)  # the handshake succeeds, then the socket is closed
        assert await second.read_to_end() == b""
        first.writer.write(FRAME)
        await eventually(lambda: b.network.node(ME.name).info.bytes_in == len(FRAME))
        assert b.network.connections[ME.name].peer.connection_id == peer_info.connection_id


async def test_a_join_to_an_unknown_connection_is_closed_without_an_accept() -> None:
    async with running_nodes("b") as (b,), RawPeer.dial(b) as first:
        peer_info = await first.handshake(dialer_session())
        await eventually(lambda: b.network.connections)
        other = replace(ME, name=Atom("other@localhost"))
        for local, id_ in ((ME, "unknown"), (other, peer_info.connection_id)):
            async with RawPeer.dial(b) as raw:
                raw.writer.write(dialer_session(local, ConnectionRef(b.name, id_)).start())
                assert await raw.read_to_end() == b""
        async with RawPeer.dial(b) as raw:
            raw.writer.write(
                dialer_session(replace(ME, cookie="x"), ConnectionRef(b.name, peer_info.connection_id)).start()
            )
            assert await raw.read_to_end() == b""
        assert len(b.network.connections[ME.name].sockets) == 1


async def test_a_connection_ends_with_its_last_socket() -> None:
    async with running_nodes("b") as (b,), RawPeer.dial(b) as first, RawPeer.dial(b) as second:
        peer_info = await first.handshake(dialer_session())
        await eventually(lambda: b.network.connections)
        side = dialer_session(joining=ConnectionRef(b.name, peer_info.connection_id))
        second.writer.write(side.start() + FRAME)
        await eventually(lambda: b.network.node(ME.name).info.bytes_in == len(FRAME))
        first.writer.close()
        await eventually(lambda: len(b.network.connections[ME.name].sockets) == 1)
        second.writer.write(FRAME)
        await eventually(lambda: b.network.node(ME.name).info.bytes_in == 2 * len(FRAME))
        second.writer.close()
        await eventually(lambda: not b.network.connections)


async def test_a_refused_join_ends_the_connection_and_is_not_repeated() -> None:
    served: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accepts the handshake and every join, and closes joined sockets at once."""
        result = await RawPeer(reader, writer).handshake(EhsSession(Role.ACCEPTOR, ME, random_hex))
        served.append(type(result).__name__)
        if served[-1] == "PeerInfo":
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with running_nodes("a") as (a,), server:
        with contextlib.suppress(RefusedError):  # the connection may already have ended
            await a.network.connect(HOST, server.sockets[0].getsockname()[1])
        await eventually(lambda: not a.network.connections)
        assert sorted(served) == ["JoinedSocket", "JoinedSocket", "PeerInfo"]


class UnreachablePoolAddress(EhsSession):
    """Announces an unreachable pool address."""

    def accept_and_introduce(self, message: Introduce) -> Effect:
        return [
            part._replace(PoolDSN=["not an address", f"{HOST}:1"]) if isinstance(part, Accept) else part
            for part in super().accept_and_introduce(message)
        ]


async def test_sockets_join_at_the_dialed_address_if_the_announced_one_is_unreachable() -> None:
    async with (
        running_nodes("a") as (a,),
        running_nodes("b", handshake=replace(LONG_DEADLINES, session_class=UnreachablePoolAddress)) as (b,),
    ):
        assert len((await a.network.connect(HOST, port(b))).sockets) == 3


@pytest.mark.covers("NAPI-CON-7")
async def test_simultaneous_dials_over_tcp_give_one_connection() -> None:
    async with running_nodes("a", "b") as (a, b):
        for _ in range(50):
            there, again, back = await asyncio.gather(
                a.network.connect(HOST, port(b), name="b@localhost"),
                a.network.connect(HOST, port(b), name="b@localhost"),
                b.network.connect(HOST, port(a), name="a@localhost"),
            )
            assert there is again is a.network.connections[b.name]
            assert back is b.network.connections[a.name]
            assert there.peer.connection_id == back.peer.connection_id
            await eventually(lambda: socket_count(a, b) == socket_count(b, a) == 3)
            assert (
                await b.network.connect(HOST, port(a)) is back
            )  # without a name it dials, and the acceptor closes the duplicate
            a.network.table.drop(there)
            await eventually(lambda: not a.network._sockets.live and not b.network._sockets.live)
