"""Scripted Saturn server, with a scripted node and with the client of the reference node."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from ergo_conformance.model.ergo import saturn
from ergo_conformance.model.ergo.saturn import HandshakeResult, NodeJoined, NodeLeft, Register, RegisterResult, Resolve
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.ergo.acceptor import Acceptor
from ergo_conformance.peers.ergo.esrd_client import route
from ergo_conformance.peers.ergo.handshake import TargetInfo
from ergo_conformance.peers.ergo.saturn_client import ScriptedSaturnClient
from ergo_conformance.peers.ergo.saturn_server import SaturnRegistration, ScriptedSaturnServer
from ergo_conformance.peers.listener import HOST, Listener
from ergo_conformance.peers.sockets import connect
from ergo_conformance.peers.violation import ShortageError, UnreachableError, ViolationError
from ergo_conformance.reference_node.connection.tls import client_context, server_context
from ergo_conformance.reference_node.registrars.saturn_client import SaturnOptions, SaturnRegistrar
from ergo_conformance.spec.ergo.saturn import proof, write_packet
from ergo_conformance.verdict.run.registration import certificate
from tests.support.registrars import registrar_error, registration

pytestmark = pytest.mark.real_loop

TOKEN = "token"
NAME = "b@localhost"


@contextlib.asynccontextmanager
async def running_server() -> AsyncIterator[ScriptedSaturnServer]:
    server = await ScriptedSaturnServer(server_context(certificate()), TOKEN).start()
    try:
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def connected_peers(token: str = TOKEN) -> AsyncIterator[tuple[SaturnRegistration, ScriptedSaturnClient]]:
    """Yields both ends of one connection: the server's and the node's."""
    async with running_server() as server:
        socket = await connect(HOST, server.port, client_context())
        try:
            yield await server.registration(), ScriptedSaturnClient(socket, random.Random(1), token, NAME, "cluster")
        finally:
            socket.abort()


async def registered(member: SaturnRegistration, node: ScriptedSaturnClient) -> Register:
    registering = asyncio.create_task(node.register())
    request = await member.request()
    member.grant()
    await registering
    return request


async def test_both_sides_understand_each_other() -> None:
    async with connected_peers() as (member, node):
        assert await registered(member, node) == node.request()
        node.send(Resolve(7, Atom("c@localhost")))
        member.answer(await member.expect(Resolve), [route(1)])
        assert await node.expect(saturn.ResolveResult) == saturn.ResolveResult(7, None, [route(1)])
        sent = write_packet(node.hello()) + write_packet(node.request()) + write_packet(Resolve(7, Atom("c@localhost")))
        assert member.socket.transcript.bytes_of("received") == sent


async def test_server_sends_a_message_in_pieces_and_several_in_one_chunk() -> None:
    async with connected_peers() as (member, node):
        await registered(member, node)
        await member.send_in_pieces(NodeJoined(Atom("c@localhost")), 3, 0.0)
        member.send(NodeLeft(Atom("c@localhost")), NodeJoined(Atom("d@localhost")))
        for wanted in (NodeJoined("c@localhost"), NodeLeft("c@localhost"), NodeJoined("d@localhost")):  # type: ignore[arg-type]
            assert await node.receive() == wanted


async def test_a_digest_of_another_token_is_a_violation() -> None:
    async with connected_peers("another") as (member, node):
        node.send(node.hello())
        with pytest.raises(ViolationError, match="Digest"):
            await member.expect_handshake()


@pytest.mark.parametrize("how", ["wrong proof", "refused", "junk", "closed"])
async def test_a_failed_registration_raises_a_violation_at_the_node(how: str) -> None:
    async with connected_peers() as (member, node):
        registering = asyncio.create_task(node.register())
        hello = await member.expect_handshake()
        if how == "refused":
            member.send(member.proof())
            await member.expect(Register)
            member.refuse("resource is taken")
        elif how == "closed":
            member.socket.close()
        else:
            wrong_proof = write_packet(HandshakeResult(proof(hello.Salt, TOKEN)))
            member.send_bytes(wrong_proof if how == "wrong proof" else b"junk", how)
        with pytest.raises(ViolationError):
            await registering


async def test_a_request_out_of_order_is_a_violation() -> None:
    async with connected_peers() as (member, node):
        node.send(node.request())
        with pytest.raises(ViolationError, match="Handshake"):
            await member.request()


async def test_expect_silence_fails_after_part_of_a_message() -> None:
    async with connected_peers() as (member, node):
        await member.expect_silence(0.01)
        node.send_bytes(b"\x63\x01", "two bytes")
        with pytest.raises(ViolationError, match="2 bytes of a message"):
            await member.expect_silence(0.2)


async def test_closes_within_tells_whether_the_node_closes_its_socket() -> None:
    async with connected_peers() as (member, node):
        await registered(member, node)
        node.send(node.application("app"))
        assert not await member.closes_within(0.05)
        node.socket.close()
        assert await member.closes_within(5.0)


async def test_server_restarts_at_the_same_port() -> None:
    async with running_server() as server:
        socket = await connect(HOST, server.port, client_context())
        await server.registration()
        await server.stop()
        assert await socket.read(5.0) == b""
        with pytest.raises(UnreachableError):
            await connect(HOST, server.port, client_context())
        await server.start(server.port)
        await server.expect_no_connection(0.01)
        back = await connect(HOST, server.port, client_context())
        with pytest.raises(ViolationError, match="opened a socket"):
            await server.expect_no_connection(5.0)
        assert len(server.sockets) == 2
        back.abort()
        with pytest.raises(ShortageError, match="can't listen on"):
            await ScriptedSaturnServer(server_context(certificate()), TOKEN).start(server.port)


async def test_waiting_longer_than_the_limit_raises_a_violation() -> None:
    async with connected_peers() as (member, _), running_server() as other:
        for work in (member.expect_handshake(0.01), other.registration(0.01)):
            with pytest.raises(ViolationError, match="nothing within"):
                await work


async def test_client_of_the_reference_node_registers_or_gets_the_error() -> None:
    async with running_server() as server:
        options = SaturnOptions(token=TOKEN, host=HOST, port=server.port, cluster="cluster", skip_verify=True)
        for text in (None, "resource is taken"):
            client = SaturnRegistrar(options)
            registering = asyncio.create_task(registrar_error(client.register(registration("b"), [route(5)])))
            member = await server.registration()
            request = await member.request()
            routes = saturn.AnnouncedRoutes([route(5)], [], None)
            assert request == Register("cluster", False, Atom(NAME), routes)
            if text is None:
                member.grant(NodeJoined(Atom("c@localhost")), Nodes=[Atom("d@localhost")])
            else:
                member.refuse(text)
            assert await registering == text
            await client.terminate()


async def test_acceptor_refuses_a_dialer_that_does_not_send_a_hello() -> None:
    listener = Listener("dialed")
    await listener.start()
    try:
        for sent in (b"junk", write_packet(RegisterResult()), b""):
            socket = await connect(HOST, listener.port)
            socket.write(sent)
            socket.end_writing()
            with pytest.raises(ViolationError, match=r"Hello|bytes"):
                await Acceptor.accept(listener, TargetInfo("", "secret"), random.Random(1))
            socket.abort()
    finally:
        await listener.stop()
