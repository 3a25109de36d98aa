"""The central registrar from a client's view: proof of the token, registration, joining and leaving nodes, routes."""

import asyncio

import pytest

from ergo_conformance.model.ergo import saturn
from ergo_conformance.model.ergo.saturn import AnnouncedRoutes, NodeJoined, NodeLeft, RegisterResult, ResolveResult
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom
from ergo_conformance.spec.ergo.saturn import proof
from ergo_conformance.testing import Context, ScriptedSaturnClient, case, route

SATURN = ("saturn",)
TAKEN, NO_ROUTE = "resource is taken", "no route"
GONE_WITHIN = 3.0
DEADLINE = saturn.REGISTER_WITHIN


# --- the token --------------------------------------------------------------------------------------------------------

SALTS = {"64_characters": "0123456789abcdef" * 4, "empty": "", "one": "x", "4000": "s" * 4000, "not_ascii": "соль:🧂"}


@pytest.mark.parametrize("salt", SALTS)
@case("SAT-HS-1", "SAT-HS-2", "SAT-FR-1", offers=SATURN)
async def test_proof(ergo_context: Context, salt: str) -> None:
    """A server proves the token over the client's digest for a salt ({salt})."""
    client = await ergo_context.saturn_client()
    await client.handshake(Salt=SALTS[salt])


def wrong_proofs(client: ScriptedSaturnClient) -> dict[str, str]:
    """Returns digests that do not prove the token."""
    good = client.hello().Digest
    return {
        "of_another_token": proof(client.salt, client.token + "x"),
        "of_another_salt": proof(client.salt + "x", client.token),
        "upper_case": good.upper(),
        "cut": good[:-1],
        "longer": good + "0",
        "empty": "",
    }


@pytest.mark.parametrize("wrong", ["of_another_token", "of_another_salt", "upper_case", "cut", "longer", "empty"])
@case("SAT-HS-3", "SAT-HS-1", offers=SATURN)
async def test_wrong_proof(ergo_context: Context, wrong: str) -> None:
    """A server closes the connection without a message when the digest is wrong ({wrong})."""
    client = await ergo_context.saturn_client()
    client.send(client.hello(Digest=wrong_proofs(client)[wrong]))
    await client.expect_close()
    await (await ergo_context.saturn_client()).register()


@case("SAT-HS-4", offers=SATURN)
async def test_replayed(ergo_context: Context) -> None:
    """Upstream accepts a recorded handshake again on another connection."""
    first, second = await ergo_context.saturn_client(), await ergo_context.saturn_client()
    second.salt = first.salt
    await first.register()
    await second.handshake()


# --- registration -----------------------------------------------------------------------------------------------------


@case("SAT-TR-1", "SAT-RG-2", "SAT-FR-1", offers=SATURN)
async def test_register(ergo_context: Context) -> None:
    """A server registers the first node of a cluster, lists no other nodes, and keeps the connection open."""
    client = await ergo_context.saturn_client()
    result = await client.register()
    client.check(not result.Nodes, result, "no nodes")
    client.check(not result.Applications, result, "no applications")
    await client.expect_silence(DEADLINE + 0.5)


@case("SAT-RG-2", "SAT-EV-1", offers=SATURN)
async def test_second(ergo_context: Context) -> None:
    """A server lists the first node to the second node of a cluster and notifies the first node of the second."""
    first, second = await ergo_context.saturn_client(), await ergo_context.saturn_client()
    await first.register()
    result = await second.register()
    second.check_equal(result.Nodes, [first.name], "the nodes")
    joined = await first.expect(NodeJoined)
    first.check(joined.Node == second.name, joined, f"{second.name} joined")
    await second.expect_silence(0.3)


@case("SAT-RG-1", "ROB-SAT-4", offers=SATURN)
async def test_clusters(ergo_context: Context) -> None:
    """A server registers the same name in another cluster and notifies neither node of the other."""
    here = await ergo_context.saturn_client()
    there = await ergo_context.saturn_client(here.name, cluster=ergo_context.cluster + "-other")
    await here.register()
    result = await there.register()
    there.check(not result.Nodes, result, "no nodes")
    await here.expect_silence(0.4)
    await there.expect_silence(0.1)


@case("SAT-RG-1", offers=SATURN)
async def test_general_cluster(ergo_context: Context) -> None:
    """A server treats the empty cluster name like any other cluster."""
    first, second = await ergo_context.saturn_client(), await ergo_context.saturn_client()
    first.cluster = second.cluster = ""
    await first.register()
    result = await second.register()
    second.check(first.name in (result.Nodes or ()), show(result), f"{first.name} in the list of nodes")
    while (await first.expect(NodeJoined, also=saturn.NOTIFICATIONS)).Node != second.name:
        pass  # other nodes may use this cluster, too


@case("SAT-RG-3", offers=SATURN)
async def test_taken(ergo_context: Context) -> None:
    """A server refuses a name that is taken; the first node keeps it and gets no message."""
    first = await ergo_context.saturn_client()
    await first.register()
    await (await ergo_context.saturn_client(first.name)).refused(TAKEN)
    await first.expect_silence(0.3)


@case("SAT-RG-4", offers=SATURN)
async def test_refused_is_announced(ergo_context: Context) -> None:
    """Upstream announces a node that it has refused to the other nodes of the cluster."""
    first, second = await ergo_context.saturn_clients()
    await (await ergo_context.saturn_client(first.name)).refused(TAKEN)
    joined = await second.expect(NodeJoined)
    second.check(joined.Node == first.name, joined, f"{first.name} joined, a second time")


@pytest.mark.parametrize("how", ["closed", "reset"])
@case("SAT-RG-7", "SAT-EV-1", "SAT-TR-1", offers=SATURN)
async def test_left(ergo_context: Context, how: str) -> None:
    """A server ends a registration with its {how} connection: it notifies the others, and the name is free."""
    first, second = await ergo_context.saturn_clients()
    if how == "closed":
        second.socket.close()
    else:
        second.socket.send_reset()
    left = await first.expect(NodeLeft, within=GONE_WITHIN)
    first.check(left.Node == second.name, left, f"{second.name} left")
    await (await ergo_context.saturn_client(second.name)).register()


@case("SAT-RG-6", offers=SATURN)
async def test_hidden(ergo_context: Context) -> None:
    """Upstream announces a hidden node like any other node."""
    first, hidden = await ergo_context.saturn_client(), await ergo_context.saturn_client()
    await first.register()
    await hidden.register(Hidden=True, RegisterRoutes=AnnouncedRoutes())
    joined = await first.expect(NodeJoined)
    first.check(joined.Node == hidden.name, joined, f"{hidden.name} joined")


@case("SAT-FR-1", "SAT-RG-2", offers=SATURN)
async def test_many_routes(ergo_context: Context) -> None:
    """A server grants a registration with 1,000 routes, about 58,000 bytes."""
    client = await ergo_context.saturn_client()
    await client.register(RegisterRoutes=AnnouncedRoutes([route(port) for port in range(1, 1001)], [], None))


# --- deadlines and states ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["nothing", "handshake", "half_a_message"])
@case("SAT-HS-5", offers=SATURN)
async def test_deadline(ergo_context: Context, after: str) -> None:
    """A server closes a connection without a message when the client has not registered in 3 s after {after}."""
    client = await ergo_context.saturn_client()
    started = client.socket.now()
    if after == "handshake":
        await client.handshake()
    elif after == "half_a_message":
        client.send_bytes(b"\x63\x01\x00\xb7\x83", "half a message")
    await client.expect_close(within=DEADLINE + 2.0)
    took = client.socket.now() - started
    client.check_timing(took > DEADLINE - 1.0, f"closed after {took:.1f} s", "closed after 3 s")


WRONG_STATES = [
    ("await_handshake", "register"), ("await_handshake", "resolve"), ("await_handshake", "resolve_proxy"),
    ("await_handshake", "register_application"), ("await_handshake", "unregister_application"),
    ("await_register", "handshake"), ("await_register", "resolve"), ("await_register", "register_application"),
    ("registered", "handshake"), ("registered", "register"),
]  # fmt: skip


def spoken(client: ScriptedSaturnClient, what: str) -> saturn.Message:
    """Returns a valid message of this kind."""
    messages: dict[str, saturn.Message] = {
        "handshake": client.hello(),
        "register": client.request(),
        "resolve": saturn.Resolve(1, client.name),
        "resolve_proxy": saturn.ResolveProxy(1, client.name),
        "register_application": client.application("app"),
        "unregister_application": saturn.UnregisterApplicationRoute(Atom("app"), client.name),
    }
    return messages[what]


@pytest.mark.parametrize(("state", "what"), WRONG_STATES)
@case("SAT-HS-6", "ROB-SAT-1", offers=SATURN)
async def test_wrong_state(ergo_context: Context, state: str, what: str) -> None:
    """A server closes the connection without a message when a valid message ({what}) arrives in state {state}."""
    client = await ergo_context.saturn_client()
    if state == "await_register":
        await client.handshake()
    elif state == "registered":
        await client.register()
    client.send(spoken(client, what))
    await client.expect_close(within=DEADLINE - 1.0)
    await (await ergo_context.saturn_client()).register()


# --- routes -----------------------------------------------------------------------------------------------------------


@case("SAT-RS-6", offers=SATURN)
async def test_resolve(ergo_context: Context) -> None:
    """A server resolves a node of the cluster to its registered routes."""
    first, second = await ergo_context.saturn_clients()
    second.send(saturn.Resolve(7, first.name))
    answer = await second.expect(ResolveResult)
    good = answer.ID == 7 and answer.Error is None and answer.Routes == [route()]
    second.check(good, answer, f"number 7 and the routes of {first.name}")


@pytest.mark.parametrize("number", [1, 0, 2**32 - 1])
@case("SAT-RS-1", offers=SATURN)
async def test_resolve_unknown(ergo_context: Context, number: int) -> None:
    """A server answers a request for an unknown node with the request's number {number} and no route."""
    client = await ergo_context.saturn_client()
    await client.register()
    client.send(saturn.Resolve(number, Atom("nobody@nowhere")))
    answer = await client.expect(ResolveResult)
    good = number == answer.ID and answer.Error is not None and answer.Error.text == NO_ROUTE and not answer.Routes
    client.check(good, answer, f"number {number}, {show(NO_ROUTE)} and no routes")


@case("SAT-RS-1", "ROB-SAT-4", offers=SATURN)
async def test_resolve_in_another_cluster(ergo_context: Context) -> None:
    """A server answers a request for a node of another cluster with no route."""
    here = await ergo_context.saturn_client()
    there = await ergo_context.saturn_client(cluster=ergo_context.cluster + "-other")
    await here.register()
    await there.register()
    here.send(saturn.Resolve(1, there.name))
    answer = await here.expect(ResolveResult)
    here.check(answer.Error is not None and not answer.Routes, answer, NO_ROUTE)


@case("SAT-RS-2", offers=SATURN)
async def test_resolve_proxy(ergo_context: Context) -> None:
    """Upstream never answers a resolve request for a proxy."""
    client = await ergo_context.saturn_client()
    await client.register()
    client.send(saturn.ResolveProxy(1, Atom("nobody@nowhere")))
    await client.expect_silence(1.0)


@case("SAT-RS-1", "ROB-SAT-2", offers=SATURN)
async def test_many_requests(ergo_context: Context) -> None:
    """A server answers each of a hundred successive requests with its number."""
    client = await ergo_context.saturn_client()
    await client.register()
    for number in range(1, 101):
        client.send(saturn.Resolve(number, Atom("nobody@nowhere")))
        await asyncio.sleep(0.001)
    numbers = {(await client.expect(ResolveResult)).ID for _ in range(100)}
    client.check(numbers == set(range(1, 101)), f"{len(numbers)} numbers", "the numbers 1 to 100")


@case("SAT-RG-2", offers=SATURN)
async def test_one_result(ergo_context: Context) -> None:
    """A server answers a registration with exactly one result."""
    client = await ergo_context.saturn_client()
    await client.register()
    message = await client.receive(0.5)
    client.check(not isinstance(message, RegisterResult), message, "no second result")
