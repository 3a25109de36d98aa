"""Names at the central registrar: what a refusal leaves behind, names that are used again, many nodes, deadlines."""

import asyncio
from collections.abc import Callable

import pytest

from ergo_conformance.model.ergo import saturn
from ergo_conformance.model.ergo.saturn import (
    AnnouncedRoutes,
    NodeJoined,
    NodeLeft,
    RegisterApplicationRoute,
    ResolveResult,
    UnregisterApplicationRoute,
)
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.corruption.packets import with_length
from ergo_conformance.spec.ergo.saturn import write_packet
from ergo_conformance.testing import Context, ScriptedSaturnClient, case, route

SATURN = ("saturn",)
TAKEN, NO_ROUTE = "resource is taken", "no route"
DEADLINE = saturn.REGISTER_WITHIN
MARGIN = 1.2
"""Seconds that a busy target may be late."""
MANY = 25
APP = Atom("app")


async def registered(ergo_context: Context, count: int) -> list[ScriptedSaturnClient]:
    """Returns so many registered nodes of one cluster, which were notified of each other."""
    clients: list[ScriptedSaturnClient] = []
    for _ in range(count):
        client = await ergo_context.saturn_client()
        await client.register()
        for earlier in clients:
            await earlier.expect(NodeJoined)
        clients.append(client)
    return clients


async def expect_left(other: ScriptedSaturnClient, client: ScriptedSaturnClient) -> None:
    """Checks that `other` is told that a node left, and nothing else before."""
    left = await other.expect(NodeLeft)
    other.check(left.Node == client.name, left, f"{client.name} left")


# --- refusals ---------------------------------------------------------------------------------------------------------


@case("SAT-RG-3", "SAT-TR-1", offers=SATURN)
async def test_end_of_a_refused_connection(ergo_context: Context) -> None:
    """The end of a refused connection leaves the owner of the name registered: listed, notified, and not reported as gone."""
    owner, other = await registered(ergo_context, 2)
    for _ in range(2):
        await (await ergo_context.saturn_client(owner.name)).refused(TAKEN)
    await owner.expect_silence(0.2)
    newcomer = await ergo_context.saturn_client()
    result = await newcomer.register()
    listed = sorted(result.Nodes or ())
    newcomer.check(listed == sorted([owner.name, other.name]), f"Nodes {listed}", f"{owner.name} and {other.name}")
    for each in (owner, other):  # upstream announces the refused node to `other` (SAT-RG-4)
        while (joined := await each.expect(NodeJoined)).Node != newcomer.name:
            each.check(joined.Node == owner.name and each is other, joined, f"{newcomer.name} joined")


@case("SAT-RG-3", "SAT-RG-2", offers=SATURN)
async def test_refused_node_leaves_no_applications(ergo_context: Context) -> None:
    """A node that registers later is told the applications of the owner of a name, not those of a refused duplicate."""
    owner, _ = await registered(ergo_context, 2)
    duplicate = await ergo_context.saturn_client(owner.name)
    foreign = duplicate.application("foreign").Route
    await duplicate.refused(TAKEN, RegisterRoutes=AnnouncedRoutes([route(2222)], [foreign], None))
    result = await (await ergo_context.saturn_client()).register()
    owner.check(foreign not in (result.Applications or ()), f"{result!r:.300}", "no application of the refused node")


@case("SAT-RG-3", "SAT-RG-1", offers=SATURN)
async def test_one_of_many_at_once(ergo_context: Context) -> None:
    """Of three clients that register one name at once exactly one is granted."""
    clients = await asyncio.gather(*(ergo_context.saturn_client() for _ in range(3)))
    await asyncio.gather(*(client.handshake() for client in clients))
    for client in clients:
        client.name = clients[0].name
    for client in clients:
        client.send(client.request())
    results = [await client.result() for client in clients]
    granted = [result for result in results if result is not None and result.Error is None]
    clients[0].check(len(granted) == 1, f"{len(granted)} clients are granted {clients[0].name}", "one client")
    clients[0].check(not granted[0].Nodes, f"{granted[0]!r:.300}", "no other node")


# --- names that resemble each other -----------------------------------------------------------------------------------

SIMILAR: dict[str, Callable[[str], str]] = {
    "shorter": lambda text: text[:-1],
    "longer": lambda text: text + "2",
    "upper_case": str.upper,
    "other_host": lambda text: text.replace("localhost", "127.0.0.1"),
    "without_host": lambda text: text.partition("@")[0],
    "space_behind": lambda text: text + " ",
}


@pytest.mark.parametrize("how", SIMILAR)
@case("SAT-RG-1", "SAT-RG-2", offers=SATURN)
async def test_similar_name(ergo_context: Context, how: str) -> None:
    """A name that resembles a registered one ({how}) is another name: free, listed beside it, and with an end of its own."""
    (first,) = await registered(ergo_context, 1)
    second = await ergo_context.saturn_client(SIMILAR[how](first.name))
    result = await second.register()
    second.check(result.Nodes == [first.name], f"{result!r:.300}", f"Nodes [{first.name}]")
    joined = await first.expect(NodeJoined)
    first.check(joined.Node == second.name, joined, f"{second.name} joined")
    second.socket.close()
    await expect_left(first, second)
    await (await ergo_context.saturn_client(first.name)).refused(TAKEN)


@pytest.mark.parametrize("how", ["shorter", "longer", "upper_case", "space_behind"])
@case("SAT-RG-1", "ROB-SAT-4", offers=SATURN)
async def test_similar_cluster(ergo_context: Context, how: str) -> None:
    """A cluster whose name resembles another one ({how}) is another cluster."""
    here = await ergo_context.saturn_client()
    there = await ergo_context.saturn_client(here.name, cluster=SIMILAR[how](ergo_context.cluster))
    await here.register()
    result = await there.register()
    there.check(not result.Nodes, result, "no nodes")
    there.send(there.application("app"))
    await here.expect_silence(0.3)
    there.socket.close()
    await here.expect_silence(0.2)


# --- a name that is used again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "send_reset"])
@case("SAT-RG-7", "SAT-EV-1", "SAT-RG-2", offers=SATURN)
async def test_name_of_a_new_owner(ergo_context: Context, how: str) -> None:
    """A name whose connection ended ({how}) and that is registered again has left and joined, without its applications."""
    first, former = await registered(ergo_context, 2)
    former.send(former.application("app"))
    await first.expect(RegisterApplicationRoute)
    getattr(former.socket, how)()
    await expect_left(first, former)
    owner = await ergo_context.saturn_client(former.name)
    await owner.register()
    joined = await first.expect(NodeJoined)
    first.check(joined.Node == owner.name, joined, f"{owner.name} joined")
    result = await (await ergo_context.saturn_client()).register()
    first.check(sorted(result.Nodes or ()) == sorted([first.name, owner.name]), f"{result!r:.300}", "each name once")
    first.check(not result.Applications, f"{result!r:.300}", "no application of the former owner")


@case("SAT-RS-1", "SAT-RG-7", offers=SATURN)
async def test_node_that_left_has_no_route(ergo_context: Context) -> None:
    """A server resolves a node that has left to no route, also if it was resolved before."""
    first, second = await registered(ergo_context, 2)
    first.send(saturn.Resolve(1, second.name))
    await first.expect(ResolveResult)
    second.socket.close()
    await expect_left(first, second)
    first.send(saturn.Resolve(2, second.name))
    answer = await first.expect(ResolveResult)
    good = answer.ID == 2 and answer.Error is not None and answer.Error.text == NO_ROUTE and not answer.Routes
    first.check(good, answer, f"number 2, {NO_ROUTE!r} and no routes")


@case("SAT-EV-2", "SAT-RG-2", offers=SATURN)
async def test_unloaded_application_is_not_listed(ergo_context: Context) -> None:
    """A node that registers later is not told an application that was unloaded, and is told the others."""
    first, second = await registered(ergo_context, 2)
    kept = second.application("kept")
    for message in (kept, second.application("app"), UnregisterApplicationRoute(APP, second.name)):
        second.send(message)
        await first.expect(type(message))
    result = await (await ergo_context.saturn_client()).register()
    first.check(result.Applications == [kept.Route], f"{result!r:.400}", f"{kept.Route!r} alone")


# --- many nodes, and order --------------------------------------------------------------------------------------------


@case("SAT-EV-1", "SAT-RG-2", offers=SATURN)
async def test_many_nodes(ergo_context: Context) -> None:
    """Of 25 nodes each is told that another joins and leaves, and the newcomer is told all names."""
    clients = []
    for _ in range(MANY):  # one by one: a client has 3 s to register
        clients.append(await ergo_context.saturn_client())
        await clients[-1].register()
    newcomer = await ergo_context.saturn_client()
    result = await newcomer.register()
    names = sorted(client.name for client in clients)
    newcomer.check(sorted(result.Nodes or ()) == names, f"{len(result.Nodes or ())} nodes", f"all {MANY} nodes")
    for number, client in enumerate(clients):
        told = [(await client.expect(NodeJoined)).Node for _ in range(MANY - number)]
        wanted = [each.name for each in clients[number + 1 :]] + [newcomer.name]
        client.check(
            sorted(told) == sorted(wanted), f"{len(set(told))} names", f"the {len(wanted)} nodes that joined later"
        )
    newcomer.socket.close()
    for client in clients:
        await expect_left(client, newcomer)


@case("SAT-EV-1", "SAT-EV-2", offers=SATURN)
async def test_order_of_notifications(ergo_context: Context) -> None:
    """A server reports what happens to a node in its order: joined, the states of its application, left."""
    (first,) = await registered(ergo_context, 1)
    second = await ergo_context.saturn_client()
    await second.register()
    states = [second.application("app", state) for state in (1, 2, 3, 1)]
    for state in states:
        second.send(state)
        await asyncio.sleep(0.01)  # upstream handles one message of a chunk (SAT-FR-3)
    await second.expect_silence(0.1)
    second.socket.close()
    told = [await first.receive() for _ in range(6)]
    wanted = [NodeJoined(second.name), *states, NodeLeft(second.name)]
    first.check(told == wanted, f"{told!r:.400}", f"{wanted!r:.400}")


# --- frames and deadlines ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["await_handshake", "await_register", "registered"])
@case("ROB-SAT-7", offers=SATURN)
async def test_bytes_behind_the_value(ergo_context: Context, state: str) -> None:
    """A server refuses a message (in state {state}) with a byte after its value: it closes the connection."""
    client = await ergo_context.saturn_client()
    if state == "await_register":
        await client.handshake()
    elif state == "registered":
        await client.register()
    messages: dict[str, saturn.Message] = {
        "await_handshake": client.hello(),
        "await_register": client.request(),
        "registered": saturn.Resolve(1, client.name),
    }
    message = messages[state]
    client.send_bytes(with_length(write_packet(message) + b"\0"), f"{message!r:.100} with a byte after its value")
    await client.expect_close(within=DEADLINE - 1.0)


@pytest.mark.parametrize("gap", [0.2, 1.0, 2.0], ids="each_{}_s".format)
@case("SAT-HS-5", offers=SATURN)
async def test_bytes_do_not_restart_the_deadline(ergo_context: Context, gap: float) -> None:
    """A server closes the connection of a client that sends its handshake byte by byte when three seconds have passed."""
    client = await ergo_context.saturn_client()
    data = write_packet(client.hello())
    client.send_bytes(data[:1], f"the first byte of a handshake, and each {gap:g} s another one")
    dripping = asyncio.create_task(client.socket.drip(data[1:], 1, gap))
    try:
        await client.expect_close(within=DEADLINE + MARGIN)
    finally:
        dripping.cancel()


@case("SAT-HS-5", offers=SATURN)
async def test_handshake_does_not_restart_the_deadline(ergo_context: Context) -> None:
    """A client that proves the token after two seconds has one second left to register."""
    client = await ergo_context.saturn_client()
    await asyncio.sleep(2.0)
    await client.handshake()
    await client.expect_close(within=DEADLINE - 2.0 + MARGIN)


@case("SAT-HS-5", "SAT-TR-1", offers=SATURN)
async def test_registration_before_the_deadline(ergo_context: Context) -> None:
    """A client that registers after two seconds stays registered."""
    client = await ergo_context.saturn_client()
    await asyncio.sleep(2.0)
    await client.register()
    await client.expect_silence(DEADLINE - 1.5)
