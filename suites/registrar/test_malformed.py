"""Malformed packets, generated from the schema: over TCP the socket is closed without a reply, over UDP there is no reply."""

import asyncio

import pytest

from ergo_conformance.errors import Reason, Rejected
from ergo_conformance.model.ergo.esrd import (
    Message,
    PacketType,
    RegisterReply,
    RegisterRoutes,
    ResolveReply,
    ResolveRoutes,
)
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.peers.corruption.packets import CorruptPacket, corrupt_packets, with_length
from ergo_conformance.spec.ergo.esrd import read_packet, write_packet
from ergo_conformance.testing import Context, ScriptedEsrdClient, case, route

REGISTRAR = ("registrar",)
REQUEST = RegisterRoutes(Atom("malformed@localhost"), [route(1)])
RESOLVE = ResolveRoutes(Atom("malformed@localhost"))
OTHERS: dict[str, Message] = {
    "register_reply": RegisterReply(None),
    "register_error": RegisterReply(Error("no")),
    "resolve_reply": ResolveReply([route(1)], None),
}


def corrupt_by_kind(good: Message) -> dict[str, list[CorruptPacket]]:
    """Returns the corrupt variants of a packet by kind.

    Bytes after the value are excluded: a reader may ignore or refuse them.
    """
    kinds: dict[str, list[CorruptPacket]] = {}
    for corrupt in corrupt_packets(good):
        refusal = read_packet(corrupt.data)
        if isinstance(refusal, Rejected) and refusal.reason is not Reason.LEFTOVER:
            kinds.setdefault(corrupt.kind, []).append(corrupt)
    return kinds


REQUESTS, RESOLVES = corrupt_by_kind(REQUEST), corrupt_by_kind(RESOLVE)


async def still_serves(ergo_context: Context, *before: ScriptedEsrdClient) -> None:
    """Checks that a conforming client registers and resolves, and that earlier registrations still resolve."""
    client = await ergo_context.esrd_client()
    await client.register()
    for known in (*before, client):
        reply = await (await ergo_context.resolver()).resolve(known.name)
        client.check(reply.Error is None, reply, f"the routes of {known.name}, for a conforming client afterwards")


@pytest.mark.parametrize("corruption", REQUESTS)
@case("ESRD-REG-11", "ESRD-FR-4", "ESRD-PL-4", "ROB-ESRD-1", "ROB-ESRD-2", "ROB-ESRD-3", "ROB-ESRD-6", offers=REGISTRAR)
async def test_request(ergo_context: Context, corruption: str) -> None:
    """A registrar closes the socket of a malformed register request ({corruption}) without a reply; other leases continue."""
    registration = await ergo_context.esrd_client()
    await registration.register()
    for corrupt in REQUESTS[corruption]:
        client = await ergo_context.esrd_client()
        client.send_bytes(corrupt.data, f"a register request: {corrupt.description}")
        await client.expect_close()
    await registration.expect_open(0.1)
    await still_serves(ergo_context, registration)


@pytest.mark.parametrize("corruption", RESOLVES)
@case("ESRD-RES-2", "ESRD-FR-4", "ESRD-PL-4", "ROB-ESRD-1", "ROB-ESRD-3", offers=REGISTRAR)
async def test_resolve(ergo_context: Context, corruption: str) -> None:
    """A registrar does not answer a malformed resolve request ({corruption})."""
    resolvers = [await ergo_context.resolver() for _ in RESOLVES[corruption]]
    asker = await ergo_context.resolver()
    for resolver, corrupt in zip(resolvers, RESOLVES[corruption], strict=True):
        await asker.resolve(RESOLVE.Node)  # upstream continues in the bytes of the earlier request (ESRD-BUG-1)
        resolver.send(corrupt.data, f"a resolve request: {corrupt.description}")
    await asyncio.sleep(0.4)
    for resolver in resolvers:
        await resolver.expect_silence(0)
    await still_serves(ergo_context)


@pytest.mark.parametrize("what", [*OTHERS, "resolve"])
@case("ESRD-FR-2", "ROB-ESRD-1", offers=REGISTRAR)
async def test_wrong_packet_over_tcp(ergo_context: Context, what: str) -> None:
    """A registrar closes the socket without a reply when another packet ({what}) than a register request arrives."""
    client = await ergo_context.esrd_client()
    client.send(OTHERS.get(what, RESOLVE))
    await client.expect_close()
    await still_serves(ergo_context)


@pytest.mark.parametrize("what", [*OTHERS, "register"])
@case("ESRD-FR-2", "ESRD-RES-2", offers=REGISTRAR)
async def test_wrong_packet_over_udp(ergo_context: Context, what: str) -> None:
    """A registrar ignores another packet ({what}) than a resolve request over UDP and registers nothing."""
    client, resolver = await ergo_context.esrd_client(), await ergo_context.resolver()
    data = write_packet(OTHERS.get(what, client.request()))
    resolver.send(data, f"a packet that is not used over UDP: {what}")
    await resolver.expect_silence(0.4)
    reply = await (await ergo_context.resolver()).resolve(client.name)
    client.check(reply.Error is not None, reply, f"{client.name} unknown")


@pytest.mark.parametrize("other", list(PacketType), ids=lambda type_: type_.name.lower())
@case("ESRD-FR-4", "ROB-ESRD-1", offers=REGISTRAR)
async def test_value_of_another_type(ergo_context: Context, other: PacketType) -> None:
    """A registrar closes the socket when a request has the type of another packet ({other})."""
    client = await ergo_context.esrd_client()
    data = write_packet(RESOLVE if other is PacketType.REGISTER else REQUEST)
    client.send_bytes(data[:1] + bytes([other]) + data[2:], f"a value that does not belong to type {other}")
    await client.expect_close()
    await still_serves(ergo_context)


@case("ESRD-BUG-2", offers=REGISTRAR)
async def test_request_without_its_end(ergo_context: Context) -> None:
    """Upstream registers a node whose request lacks its last bytes, as if they were zeros."""
    client = await ergo_context.esrd_client()
    data = write_packet(client.request())
    client.send_bytes(
        with_length(data[:-20], len(data) - 24), "a request without its last 20 bytes, with a matching length"
    )
    reply = await client.reply()
    client.check(reply.Error is None, reply, "a RegisterReply without an error")
