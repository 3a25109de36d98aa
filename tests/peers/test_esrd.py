"""Scripted ESRD server, client and resolver."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from ergo_conformance.model.ergo.esrd import RegisterReply, RegisterRoutes, ResolveReply, ResolveRoutes
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.peers.corruption.packets import corrupt_packets, value_of, with_length, with_value
from ergo_conformance.peers.ergo.esrd_client import ScriptedEsrdClient, ScriptedResolver, open_resolver, route
from ergo_conformance.peers.ergo.esrd_server import ScriptedEsrdServer
from ergo_conformance.peers.listener import HOST
from ergo_conformance.peers.sockets import connect
from ergo_conformance.peers.violation import ShortageError, UnreachableError, ViolationError
from ergo_conformance.spec.ergo.esrd import read_packet, write_packet

pytestmark = pytest.mark.real_loop

REQUEST = write_packet(RegisterRoutes(Atom("b@localhost"), [route(1)]))


@contextlib.asynccontextmanager
async def connected_peers() -> AsyncIterator[tuple[ScriptedEsrdServer, ScriptedEsrdClient, ScriptedResolver]]:
    """Yields a server, and a client and a resolver connected to it."""
    server = await ScriptedEsrdServer().start()
    client = ScriptedEsrdClient(await connect(HOST, server.port), random.Random(1), "b@localhost")
    resolver = await open_resolver(HOST, server.port)
    try:
        yield server, client, resolver
    finally:
        client.socket.abort()
        resolver.close()
        await server.stop()


async def test_both_sides_understand_each_other() -> None:
    async with connected_peers() as (server, client, resolver):
        registering = asyncio.create_task(client.register())
        lease, request = await server.grant_next()
        await registering
        assert request == RegisterRoutes(Atom("b@localhost"), [route()])
        resolving = asyncio.create_task(resolver.resolve("b@localhost"))
        question = await server.resolve_request()
        assert question.name == "b@localhost"
        question.answer([route(1)])
        assert await resolving == ResolveReply([route(1)], None)
        assert lease.socket.transcript.bytes_of("received") == write_packet(request)
        assert server.resolving
        assert server.resolving.transcript.bytes_of("received") == question.data
        assert resolver.transcript.bytes_of("sent") == question.data


async def test_a_refusal_closes_the_socket() -> None:
    async with connected_peers() as (server, client, _):
        refused = asyncio.create_task(client.refused("resource is taken"))
        lease = await server.registration()
        await lease.request()
        lease.refuse("resource is taken")
        await refused


@pytest.mark.parametrize(
    "reply",
    [
        write_packet(RegisterReply(Error("no"))),
        write_packet(ResolveReply(None, None)),
        b"\2" + write_packet(RegisterReply(None))[1:],
        write_packet(RegisterReply(None))[:-1],
        b"",
    ],
    ids=["refused", "another message", "malformed", "truncated", "closed"],
)
async def test_a_failed_registration_raises_a_violation_at_the_client(reply: bytes) -> None:
    async with connected_peers() as (server, client, _):
        registering = asyncio.create_task(client.register())
        lease = await server.registration()
        lease.socket.write(reply)
        lease.socket.close()
        with pytest.raises(ViolationError):
            await registering


async def test_waiting_longer_than_the_limit_raises_a_violation() -> None:
    async with connected_peers() as (server, client, resolver):
        lease = await server.registration()
        for work in (
            server.registration(0.01), server.resolve_request(0.01), lease.request(0.01),
                client.reply(0.01), resolver.reply(0.01),
        ):  # fmt: skip
            with pytest.raises(ViolationError, match="nothing within"):
                await work
        await resolver.expect_silence(0.01)


@pytest.mark.parametrize("sent", [REQUEST[:50], REQUEST + b"\0", write_packet(RegisterReply(None)), b"junk"])
async def test_a_request_that_is_not_one_whole_segment_is_a_violation(sent: bytes) -> None:
    async with connected_peers() as (server, client, _):
        client.send_bytes(sent, "a test")
        with pytest.raises(ViolationError, match="RegisterRoutes in one segment"):
            await (await server.registration()).request()


async def test_a_client_that_closes_before_its_request_is_a_violation() -> None:
    async with connected_peers() as (server, client, _):
        client.socket.close()
        with pytest.raises(ViolationError, match="closed"):
            await (await server.registration()).request()


@pytest.mark.parametrize("data", [b"", b"junk", REQUEST], ids=["empty", "junk", "request"])
async def test_a_datagram_that_is_not_a_resolve_request_is_a_violation(data: bytes) -> None:
    async with connected_peers() as (server, _, resolver):
        resolver.send(data)
        question = await server.resolve_request()
        assert question.data == data
        with pytest.raises(ViolationError, match="ResolveRoutes"):
            _ = question.name
        question.answer_bytes(data)
        assert await resolver.receive() == data
        question.answer_bytes(b"")
        with pytest.raises(ViolationError):
            await resolver.reply()


async def test_start_at_an_occupied_tcp_or_udp_port_raises_shortage_error() -> None:
    async with connected_peers() as (server, _, _):
        with pytest.raises(ShortageError, match="no registrar at"):
            await ScriptedEsrdServer().start(server.port)
        assert server._server
        server._server.close()
        with pytest.raises(ShortageError, match="no registrar at"):
            await ScriptedEsrdServer().start(server.port)


async def test_resolver_for_an_unknown_host_raises_shortage_error() -> None:
    with pytest.raises(UnreachableError, match="no datagrams to"):
        await open_resolver("no such host", 1)


def test_every_field_length_and_count_of_a_message_is_corrupted() -> None:
    """The corruptions are computed from the schema: truncation in every field, and wrong lengths and counts."""
    kinds = {damage.kind for damage in corrupt_packets(RegisterRoutes(Atom("b@localhost"), [route(1)]))}
    assert {
        "version",
        "type",
        "length",
        "header",
        "nil",
        "text",
        "surplus",
        "tag_of_routes",
        "count_of_routes",
    } <= kinds
    fields = ("type", "node", "routes_0_host", "routes_0_protoversion_license")
    assert {f"{kind}_{field}" for kind in ("cut", "length_of") for field in fields} <= kinds
    assert {"cut_routes_0_port", "cut_routes_0_tls"} <= kinds
    for message in (RegisterReply(Error("taken")), ResolveRoutes(Atom("b@localhost")), ResolveReply(None, None)):
        data = write_packet(message)
        assert all(damage.data != data and damage.description for damage in corrupt_packets(message))


def test_packet_parts_are_assembled_into_a_valid_packet() -> None:
    assert with_value(REQUEST, value_of(REQUEST)) == with_length(REQUEST) == REQUEST
    assert not isinstance(read_packet(with_value(REQUEST[:4], value_of(REQUEST))), Exception)
    assert with_length(REQUEST, 7)[2:4] == b"\0\x07"
