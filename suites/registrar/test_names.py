"""Names at the embedded registrar: names that resemble each other, second use, what a refusal leaves behind, deadlines."""

import asyncio
from collections.abc import Callable

import pytest

from ergo_conformance.model.ergo.ehs import Version
from ergo_conformance.model.values import Atom
from ergo_conformance.spec.ergo.esrd import write_packet
from ergo_conformance.testing import Context, ScriptedEsrdClient, case, route

REGISTRAR = ("registrar",)
TAKEN, INCORRECT = "resource is taken", "incorrect value or argument"
FIRST, SECOND = 1111, 2222
"""Ports of routes."""
GONE_WITHIN = 3.0
DEADLINE = 1.0
MARGIN = 0.9
"""Seconds that a busy target may be late."""


async def ports(ergo_context: Context, name: str) -> list[int] | None:
    """Returns the ports of the routes of a name; None if it is unknown."""
    reply = await (await ergo_context.resolver()).resolve(name)
    return None if reply.Error is not None else [each.Port for each in reply.Routes or ()]


async def expect_ports(ergo_context: Context, client: ScriptedEsrdClient, name: str, wanted: list[int] | None) -> None:
    """Checks the ports of the routes of a name."""
    found = await ports(ergo_context, name)
    client.check(found == wanted, f"{name} with the ports {found}", f"{name} with the ports {wanted}")


async def freed(ergo_context: Context, client: ScriptedEsrdClient, how: str = "close") -> None:
    """Ends the socket of a client and waits until its name is unknown."""
    getattr(client.socket, how)()
    deadline = client.socket.now() + GONE_WITHIN
    while (found := await ports(ergo_context, client.name)) is not None:
        if client.socket.now() > deadline:
            client.fail(f"{client.name} with the ports {found}", f"{client.name} unknown within {GONE_WITHIN:g} s")
        await asyncio.sleep(0.05)


async def registered(ergo_context: Context, name: str | None = None, port: int = FIRST) -> ScriptedEsrdClient:
    """Returns a client that is registered with one route."""
    client = await ergo_context.esrd_client(name)
    await client.register(Routes=[route(port)])
    return client


# --- names that resemble each other -----------------------------------------------------------------------------------

SIMILAR: dict[str, Callable[[str], str]] = {
    "shorter": lambda name: name[:-1],
    "longer": lambda name: name + "2",
    "without_host": lambda name: name.partition("@")[0],
    "other_host": lambda name: name.partition("@")[0] + "@127.0.0.1",
    "longer_host": lambda name: name + ".localdomain",
    "upper_case": str.upper,
    "upper_case_host": lambda name: name.replace("localhost", "LOCALHOST"),
    "space_behind": lambda name: name + " ",
    "other_first_byte": lambda name: "T" + name[1:],
}


@pytest.mark.parametrize("how", SIMILAR)
@case("ESRD-RES-1", "ESRD-REG-3", offers=REGISTRAR)
async def test_similar_name(ergo_context: Context, how: str) -> None:
    """A name that resembles a registered one ({how}) is another name: unknown, free, and with routes of its own."""
    first = await registered(ergo_context)
    similar = SIMILAR[how](first.name)
    await expect_ports(ergo_context, first, similar, None)
    second = await registered(ergo_context, similar, SECOND)
    await expect_ports(ergo_context, second, similar, [SECOND])
    await expect_ports(ergo_context, first, first.name, [FIRST])
    second.socket.close()
    await (await ergo_context.esrd_client(first.name)).refused(TAKEN)
    await expect_ports(ergo_context, first, first.name, [FIRST])


# --- fields of routes -------------------------------------------------------------------------------------------------

ROUTES = {
    "first_port": route(1),
    "last_port": route(0xFFFF),
    "tls": route(4711, TLS=True),
    "host": route(4711, Host="node.example"),
    "long_host": route(4711, Host="h" * 255),
    "versions": route(
        4711, HandshakeVersion=Version("A", "R2", "c" * 40, "L"), ProtoVersion=Version("B", "R3", "", "")
    ),
    "empty_versions": route(0, HandshakeVersion=Version("", "", "", ""), ProtoVersion=Version("", "", "", "")),
}


@pytest.mark.parametrize("field", ROUTES)
@case("ESRD-RES-1", offers=REGISTRAR)
async def test_field_of_a_route(ergo_context: Context, field: str) -> None:
    """A registrar resolves a route to the same values that were registered ({field})."""
    client = await ergo_context.esrd_client()
    await client.register(Routes=[ROUTES[field]])
    reply = await (await ergo_context.resolver()).resolve(client.name)
    client.check(reply.Routes == [ROUTES[field]], reply, f"{ROUTES[field]}")


# --- refusals ---------------------------------------------------------------------------------------------------------


@case("ESRD-REG-3", "ROB-ESRD-5", offers=REGISTRAR)
async def test_refused_duplicate_leaves_nothing(ergo_context: Context) -> None:
    """Of a refused duplicate nothing is left: neither routes beside those of the owner, nor a name when the owner leaves."""
    owner = await registered(ergo_context)
    for _ in range(2):
        await (await ergo_context.esrd_client(owner.name)).refused(TAKEN, Routes=[route(SECOND)])
        await expect_ports(ergo_context, owner, owner.name, [FIRST])
    await freed(ergo_context, owner)
    again = await registered(ergo_context, owner.name, 3333)
    await expect_ports(ergo_context, again, owner.name, [3333])


@case("ESRD-REG-4", offers=REGISTRAR)
async def test_request_without_routes_leaves_nothing(ergo_context: Context) -> None:
    """A request that is refused because it has no routes leaves the name unknown."""
    client = await ergo_context.esrd_client()
    await client.refused(INCORRECT, Routes=[])
    await expect_ports(ergo_context, client, client.name, None)


@case("ESRD-REG-3", offers=REGISTRAR)
async def test_one_of_many_at_once(ergo_context: Context) -> None:
    """Of ten clients that register one name at once exactly one is granted, and its routes are those of the name."""
    clients = [await ergo_context.esrd_client() for _ in range(10)]
    name = clients[0].name
    for number, client in enumerate(clients):
        client.send(client.request(Node=name, Routes=[route(1000 + number)]))
    granted = [1000 + number for number, client in enumerate(clients) if (await client.reply()).Error is None]
    clients[0].check(len(granted) == 1, f"{len(granted)} clients are granted {name}", "one client")
    await expect_ports(ergo_context, clients[0], name, granted)


# --- a name that is used again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "send_reset"])
@case("ESRD-REG-6", "ESRD-RES-1", offers=REGISTRAR)
async def test_name_of_a_new_owner(ergo_context: Context, how: str) -> None:
    """A name that was freed ({how}) and registered by another client resolves to the routes of the new owner only."""
    former = await registered(ergo_context)
    await expect_ports(ergo_context, former, former.name, [FIRST])
    await freed(ergo_context, former, how)
    owner = await registered(ergo_context, former.name, SECOND)
    await expect_ports(ergo_context, owner, former.name, [SECOND])


@case("ROB-ESRD-5", "ESRD-REG-6", offers=REGISTRAR)
async def test_late_end_of_the_former_owner(ergo_context: Context) -> None:
    """A lease ends with the half-close of its socket; what happens to that socket later does not concern the next owner."""
    former = await registered(ergo_context)
    former.socket.end_writing()
    await former.expect_close()
    owner = await registered(ergo_context, former.name, SECOND)
    former.socket.close()
    await asyncio.sleep(0.2)
    await expect_ports(ergo_context, owner, owner.name, [SECOND])
    await owner.expect_open(0.1)


@case("ROB-ESRD-5", "ESRD-REG-6", offers=REGISTRAR)
async def test_end_of_one_of_many(ergo_context: Context) -> None:
    """The end of one of ten leases ends that one only, whichever it is."""
    clients = [await registered(ergo_context, None, 1000 + number) for number in range(10)]
    for ended in (5, 9, 0):
        await freed(ergo_context, clients[ended])
        clients[ended].name = Atom("")
        for number, client in enumerate(clients):
            if client.name:
                await expect_ports(ergo_context, client, client.name, [1000 + number])


# --- bytes and deadlines ----------------------------------------------------------------------------------------------


@case("ESRD-REG-7", "ROB-ESRD-2", offers=REGISTRAR)
async def test_flood_on_a_registered_link(ergo_context: Context) -> None:
    """A registrar ignores a megabyte on a registered socket and keeps the lease."""
    client = await registered(ergo_context)
    for _ in range(16):
        client.send_bytes(b"\x01\x2c\x00\x10" * 16_384, "64 KiB of packet headers on a registered socket")
        await asyncio.sleep(0.01)
    await client.expect_open(0.3)
    await expect_ports(ergo_context, client, client.name, [FIRST])


@pytest.mark.parametrize("gap", [0.1, 0.4, 0.8], ids="each_{}_s".format)
@case("ESRD-REG-1", offers=REGISTRAR)
async def test_bytes_do_not_restart_the_deadline(ergo_context: Context, gap: float) -> None:
    """A registrar closes the socket of a client that sends its request byte by byte when a second has passed."""
    client = await ergo_context.esrd_client()
    data = write_packet(client.request())
    client.send_bytes(data[:1], f"the first byte of a request, and each {gap:g} s another one")
    dripping = asyncio.create_task(client.socket.drip(data[1:40], 1, gap))
    try:
        await client.expect_close(DEADLINE + MARGIN)
    finally:
        dripping.cancel()
    await expect_ports(ergo_context, client, client.name, None)


@case("ESRD-REG-1", "ESRD-REG-2", offers=REGISTRAR)
async def test_request_within_the_deadline(ergo_context: Context) -> None:
    """A registrar registers a client that sends its request half a second after it has connected, and keeps its lease."""
    client = await ergo_context.esrd_client()
    await asyncio.sleep(0.5)
    await client.register()
    await client.expect_open(DEADLINE)
