"""Registration over TCP: the lease of a name, refusals, and the end of a lease."""

import asyncio

import pytest

from ergo_conformance.model.ergo.esrd import MAX_REGISTER
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom
from ergo_conformance.spec.ergo.esrd import write_packet
from ergo_conformance.testing import Context, ScriptedEsrdClient, case, route

REGISTRAR = ("registrar",)
TAKEN, INCORRECT, UNKNOWN = "resource is taken", "incorrect value or argument", "unknown"
GONE_WITHIN = 3.0
"""Seconds within which the end of a lease must be visible: upstream needs milliseconds, a busy machine longer."""


async def expect_known(ergo_context: Context, name: str) -> None:
    """Checks that the name resolves to its routes."""
    reply = await (await ergo_context.resolver()).resolve(name)
    if reply.Error is not None or not reply.Routes:
        (await ergo_context.esrd_client()).fail(show(reply), f"the routes of {name}")


async def expect_gone(ergo_context: Context, client: ScriptedEsrdClient) -> ScriptedEsrdClient:
    """Checks that the name resolves to "unknown" and can be registered again; returns the new registrant."""
    resolver = await ergo_context.resolver()
    deadline = client.socket.now() + GONE_WITHIN
    while (reply := await resolver.resolve(client.name)).Error is None:
        if client.socket.now() > deadline:
            client.fail_timing(show(reply), f"{client.name} unknown within {GONE_WITHIN:g} s")
        await asyncio.sleep(0.05)
    client.check(reply.Error.text == UNKNOWN and reply.Routes is None, reply, 'nil routes and "unknown"')
    again = await ergo_context.esrd_client(client.name)
    await again.register()
    return again


@case("ESRD-REG-2", "ESRD-TR-3", "ESRD-FR-1", "ESRD-TR-1", offers=REGISTRAR)
async def test_register(ergo_context: Context) -> None:
    """A registrar registers a free name and resolves it while the socket is open."""
    client = await ergo_context.esrd_client()
    await client.register()
    await expect_known(ergo_context, client.name)
    await client.expect_open(2.5)
    await expect_known(ergo_context, client.name)


@case("ESRD-REG-9", "ESRD-REG-2", offers=REGISTRAR)
async def test_nothing_more_is_said(ergo_context: Context) -> None:
    """A registrar sends nothing on the socket after its reply."""
    client = await ergo_context.esrd_client()
    await client.register()
    chunk = await client.socket.read(1.5)
    client.check(chunk is None, show(chunk), "no bytes, and an open socket")


@pytest.mark.parametrize("routes", ["one", "nil", "empty"])
@case("ESRD-REG-3", offers=REGISTRAR)
async def test_taken(ergo_context: Context, routes: str) -> None:
    """A registrar refuses a name that is taken, with {routes} routes in the request; the first client keeps the name."""
    first = await ergo_context.esrd_client()
    await first.register()
    given = {"one": [route(2)], "nil": None, "empty": []}[routes]
    await (await ergo_context.esrd_client(first.name)).refused(TAKEN, Routes=given)
    await first.expect_open(0.2)
    await expect_known(ergo_context, first.name)


@case("ESRD-REG-3", offers=("registrar", "accept"))
async def test_the_servers_own_name(ergo_context: Context) -> None:
    """A registrar refuses the name of the node that serves."""
    name = await ergo_context.target_name()
    await (await ergo_context.esrd_client(name)).refused(TAKEN)
    await expect_known(ergo_context, name)


@pytest.mark.parametrize("routes", [None, []], ids=["nil", "empty"])
@case("ESRD-REG-4", offers=REGISTRAR)
async def test_no_routes(ergo_context: Context, routes: list[None] | None) -> None:
    """A registrar refuses a request without routes, and the name stays free."""
    client = await ergo_context.esrd_client()
    await client.refused(INCORRECT, Routes=routes)
    await (await ergo_context.esrd_client(client.name)).register()


@pytest.mark.parametrize("how", ["closed", "half_closed", "reset"])
@case("ESRD-REG-6", "ROB-ESRD-5", offers=REGISTRAR)
async def test_end_of_a_lease(ergo_context: Context, how: str) -> None:
    """A lease ends when its socket ends ({how}): the name is unknown and free."""
    client = await ergo_context.esrd_client()
    await client.register()
    await expect_known(ergo_context, client.name)
    {"closed": client.socket.close, "half_closed": client.socket.end_writing, "reset": client.socket.send_reset}[how]()
    await expect_gone(ergo_context, client)


@case("ESRD-REG-7", "ROB-ESRD-5", offers=REGISTRAR)
async def test_second_request(ergo_context: Context) -> None:
    """A registrar ignores a second request on a registered socket: the routes stay unchanged."""
    client = await ergo_context.esrd_client()
    await client.register(Routes=[route(1111)])
    client.send(client.request(Routes=[route(2222)]))
    client.send(client.request(Node=Atom(f"other-{client.name}")))
    chunk = await client.socket.read(0.5)
    client.check(chunk is None, show(chunk), "no reply, and an open socket")
    reply = await (await ergo_context.resolver()).resolve(client.name)
    client.check([r.Port for r in reply.Routes or ()] == [1111], reply, "the routes of the first request")
    other = await (await ergo_context.resolver()).resolve(f"other-{client.name}")
    client.check(other.Error is not None, other, "the name of the second request unknown")


@pytest.mark.parametrize("junk", [b"\x00", b"junk" * 100, b"\x01\x2c\xff\xff"], ids=["zero", "text", "header"])
@case("ESRD-REG-7", "ROB-ESRD-5", offers=REGISTRAR)
async def test_junk_on_a_registered_link(ergo_context: Context, junk: bytes) -> None:
    """A registrar ignores invalid bytes on a registered socket, and the lease continues."""
    client = await ergo_context.esrd_client()
    await client.register()
    client.send_bytes(junk, "bytes that are not a packet, on a registered socket")
    chunk = await client.socket.read(0.5)
    client.check(chunk is None, show(chunk), "no reply, and an open socket")
    await expect_known(ergo_context, client.name)


@case("ESRD-REG-8", offers=REGISTRAR)
async def test_two_requests_in_one_segment(ergo_context: Context) -> None:
    """Upstream ignores the second of two requests in one segment and sends one reply."""
    client = await ergo_context.esrd_client()
    second = client.request(Node=Atom(f"other-{client.name}"))
    client.send_bytes(write_packet(client.request()) + write_packet(second), "two requests in one segment")
    await client.reply()
    chunk = await client.socket.read(0.5)
    client.check(chunk is None, show(chunk), "one reply")
    other = await (await ergo_context.resolver()).resolve(second.Node)
    client.check(other.Error is not None, other, "the second name unknown")


@case("ESRD-REG-1", offers=REGISTRAR)
async def test_silence(ergo_context: Context) -> None:
    """A registrar closes the socket of a silent client after one second."""
    client = await ergo_context.esrd_client()
    await client.expect_close(2.0, at_least=0.6)


@case("ESRD-REG-1", "ROB-ESRD-2", offers=REGISTRAR)
async def test_half_a_request(ergo_context: Context) -> None:
    """A registrar closes the socket of a client that falls silent within its request, and registers nothing."""
    client = await ergo_context.esrd_client()
    client.send_bytes(write_packet(client.request())[:60], "the first 60 bytes of a valid request")
    await client.expect_close(5.0)
    reply = await (await ergo_context.resolver()).resolve(client.name)
    client.check(reply.Error is not None, reply, f"{client.name} unknown")


NAMES = {
    "empty": "",
    "no_at": "tester-without-host",
    "two_ats": "tester@a@b",
    "foreign_host": "tester@elsewhere.example",
    "255_bytes": "n" * 245 + "@localhost",
}


@pytest.mark.parametrize("name", list(NAMES))
@case("ESRD-REG-5", offers=REGISTRAR, exclusive=True)  # other cases expect that the empty name is free
async def test_any_name(ergo_context: Context, name: str) -> None:
    """Upstream registers a name of any form ({name})."""
    client = await ergo_context.esrd_client()
    client.name = Atom(NAMES[name])
    await client.register()
    await expect_known(ergo_context, client.name)


@case("ESRD-REG-5", offers=REGISTRAR)
async def test_names_are_case_sensitive(ergo_context: Context) -> None:
    """Upstream treats the same name in capitals as a different name."""
    first = await ergo_context.esrd_client()
    await first.register()
    await (await ergo_context.esrd_client(first.name.upper())).register()


@pytest.mark.parametrize("routes", [1, 3, 40], ids=lambda n: f"{n}_routes")
@case("ESRD-PL-2", "ESRD-RES-1", offers=REGISTRAR)
async def test_routes_come_back(ergo_context: Context, routes: int) -> None:
    """A registrar resolves routes as they were registered: in order and with all fields."""
    client = await ergo_context.esrd_client()
    given = [route(1000 + i, TLS=i % 2 == 1, Host="127.0.0.1" if i % 3 == 2 else "") for i in range(routes)]
    await client.register(Routes=given)
    reply = await (await ergo_context.resolver()).resolve(client.name)
    client.check(reply.Routes == given, reply, f"{routes} routes as they were registered")


@pytest.mark.parametrize("surplus", [0, 1], ids=["at_the_limit", "above"])
@case("ESRD-REG-10", offers=REGISTRAR)
async def test_longest_request(ergo_context: Context, surplus: int) -> None:
    """Upstream serves a request of 4096 bytes and closes the socket of a longer one."""
    client = await ergo_context.esrd_client()
    bare = len(write_packet(client.request(Routes=[route(1, Host="")])))
    request = client.request(Routes=[route(1, Host="h" * (MAX_REGISTER - bare + surplus))])
    client.send(request)
    if surplus:
        await client.expect_close()
    else:
        await client.reply()


@case("ROB-ESRD-4", "ROB-ESRD-3", offers=REGISTRAR)
async def test_mute_clients(ergo_context: Context) -> None:
    """Twenty silent clients do not delay another client."""
    for _ in range(20):
        await ergo_context.esrd_client()
    client = await ergo_context.esrd_client()
    client.send(client.request())
    await client.reply(within=0.9)


@case("ROB-ESRD-4", "ROB-ESRD-5", offers=REGISTRAR)
async def test_many_leases(ergo_context: Context) -> None:
    """A registrar keeps fifty concurrent leases, and each name resolves."""
    clients = []
    for _ in range(50):  # each sends at once: it has a second to register
        clients.append(await ergo_context.esrd_client())
        clients[-1].send(clients[-1].request())
    for client in clients:
        await client.reply()
    for client in clients[::10]:
        await expect_known(ergo_context, client.name)


@case("ROB-ESRD-3", "ESRD-REG-6", offers=REGISTRAR)
async def test_again_and_again(ergo_context: Context) -> None:
    """A registrar registers the same name twenty times, each time after its lease has ended."""
    client = await ergo_context.esrd_client()
    await client.register()
    for _ in range(20):
        client.socket.close()
        client = await expect_gone(ergo_context, client)


@pytest.mark.parametrize("size", [1, 40], ids=["byte_by_byte", "in_pieces"])
@case("ESRD-BUG-5", offers=REGISTRAR)
async def test_request_in_pieces(ergo_context: Context, size: int) -> None:
    """Upstream closes the socket of a request that arrives in pieces."""
    client = await ergo_context.esrd_client()
    data = write_packet(client.request())
    await client.socket.drip(data[: 3 * size], size, 0.05)
    client.send_bytes(data[3 * size :], "a valid request in pieces")
    await client.expect_close()
