"""The central registrar: applications, and byte streams that are split, joined, or not valid messages."""

import pytest

from ergo_conformance.model.ergo import saturn
from ergo_conformance.model.ergo.saturn import (  # fmt: skip
    AnnouncedRoutes,
    NodeJoined,
    NodeLeft,
    RegisterApplicationRoute,
    UnregisterApplicationRoute,
)
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom
from ergo_conformance.spec.ergo.saturn import write_packet
from ergo_conformance.testing import Context, case

SATURN = ("saturn",)
LOADED, RUNNING, STOPPING = 1, 2, 3
CLOSED_WITHIN = saturn.REGISTER_WITHIN + 2.0


# --- applications -----------------------------------------------------------------------------------------------------


@case("SAT-EV-2", offers=SATURN)
async def test_application(ergo_context: Context) -> None:
    """A server forwards each state of an application to the other nodes, in order and unchanged, not to its own node."""
    first, second = await ergo_context.saturn_clients()
    for state in (LOADED, RUNNING, STOPPING, LOADED):
        said = second.application("app", state)
        second.send(said)
        heard = await first.expect(RegisterApplicationRoute)
        first.check_equal(heard, said)
    await second.expect_silence(0.3)


@case("SAT-RG-5", "SAT-RG-2", offers=SATURN)
async def test_applications_of_a_registration(ergo_context: Context) -> None:
    """A server lists only a registering node's own applications to a node that registers later."""
    first, second = await ergo_context.saturn_client(), await ergo_context.saturn_client()
    own, foreign = first.application("own").Route, first.application("foreign", Node=Atom("else@where")).Route
    routes = first.request().RegisterRoutes
    await first.register(RegisterRoutes=AnnouncedRoutes(routes.Routes, [own, foreign], None))
    result = await second.register()
    second.check_equal(result.Applications, [own], "the applications")


@case("SAT-EV-4", offers=SATURN)
async def test_rows_for_a_late_node(ergo_context: Context) -> None:
    """Upstream sends a node that registers later one row for each state that an application has had."""
    first, late = await ergo_context.saturn_client(), await ergo_context.saturn_client()
    await first.register()
    for state in (LOADED, RUNNING):
        first.send(first.application("app", state))
    await first.expect_silence(0.2)
    result = await late.register()
    late.check(len(result.Applications or ()) == 2, show(result), "two rows for one application")


@case("SAT-EV-2", "SAT-RG-2", offers=SATURN)
async def test_last_state_for_a_late_node(ergo_context: Context) -> None:
    """A server reports the current state of an application to a node that registers later."""
    first, late = await ergo_context.saturn_client(), await ergo_context.saturn_client()
    await first.register()
    for state in (LOADED, RUNNING):
        first.send(first.application("app", state))
    await first.expect_silence(0.2)
    result = await late.register()
    now = first.application("app", RUNNING).Route
    late.check(now in (result.Applications or ()), show(result), f"{show(now)} in the list of applications")


@case("SAT-EV-2", offers=SATURN)
async def test_unloaded(ergo_context: Context) -> None:
    """A server notifies the other nodes when an application is unloaded."""
    first, second = await ergo_context.saturn_clients()
    second.send(second.application("app", LOADED))
    await first.expect(RegisterApplicationRoute)
    second.send(UnregisterApplicationRoute(Atom("app"), second.name))
    heard = await first.expect(UnregisterApplicationRoute)
    first.check(heard == (Atom("app"), second.name), heard, f"app of {second.name} unregistered")


@case("SAT-EV-3", offers=SATURN)
async def test_unloaded_without_a_node(ergo_context: Context) -> None:
    """Upstream forwards the report of an unloaded application with an empty node, as its clients send it."""
    first, second = await ergo_context.saturn_clients()
    second.send(second.application("app", LOADED))
    await first.expect(RegisterApplicationRoute)
    second.send(UnregisterApplicationRoute(Atom("app"), Atom("")))
    heard = await first.expect(UnregisterApplicationRoute)
    first.check(heard.Node == "", heard, "an empty node")


@case("SAT-EV-5", offers=SATURN)
async def test_foreign_application(ergo_context: Context) -> None:
    """A server ignores an application of another node and keeps the connection open."""
    first, second = await ergo_context.saturn_clients()
    second.send(second.application("app", Node=first.name))
    await first.expect_silence(0.3)
    await second.expect_silence(0.1)


OF_THE_SERVER: dict[str, saturn.Message] = {
    "node_left": NodeLeft(Atom("a@b")),
    "node_joined": NodeJoined(Atom("a@b")),
    "config_update": saturn.ConfigUpdate("*:Item", 1),
    "resolve_result": saturn.ResolveResult(1, None, None),
}


@pytest.mark.parametrize("what", OF_THE_SERVER)
@case("SAT-EV-5", "ROB-SAT-1", offers=SATURN)
async def test_message_of_a_server(ergo_context: Context, what: str) -> None:
    """A server ignores a message that only servers send ({what}), forwards nothing, and keeps the connection open."""
    first, second = await ergo_context.saturn_clients()
    second.send(OF_THE_SERVER[what])
    await first.expect_silence(0.3)
    await second.expect_silence(0.1)


# --- the byte stream --------------------------------------------------------------------------------------------------


@case("SAT-FR-2", "ROB-SAT-2", offers=SATURN)
async def test_in_pieces(ergo_context: Context) -> None:
    """A server reassembles a handshake and a registration that arrive in many pieces."""
    client = await ergo_context.saturn_client()
    data = write_packet(client.hello())
    await client.socket.drip(data, 40, 0.01)
    await client.expect(saturn.HandshakeResult)
    await client.socket.drip(write_packet(client.request()), 7, 0.005)
    result = await client.expect(saturn.RegisterResult)
    client.check(result.Error is None, result, "a registration")


@case("ROB-SAT-2", offers=SATURN)
async def test_joined(ergo_context: Context) -> None:
    """A server answers a handshake and a registration that arrive in one chunk."""
    client = await ergo_context.saturn_client()
    client.send_bytes(write_packet(client.hello()) + write_packet(client.request()), "two messages in one chunk")
    await client.expect(saturn.HandshakeResult)
    result = await client.expect(saturn.RegisterResult, also=saturn.NOTIFICATIONS)
    client.check(result.Error is None, result, "a registration")


@case("SAT-FR-3", offers=SATURN)
async def test_second_of_a_chunk(ergo_context: Context) -> None:
    """Upstream handles the second message of a chunk only when further bytes arrive."""
    client = await ergo_context.saturn_client()
    client.send_bytes(write_packet(client.hello()) + write_packet(client.request()), "two messages in one chunk")
    await client.expect(saturn.HandshakeResult)
    await client.expect_silence(0.5)


NO_MESSAGES: dict[str, bytes] = {
    "another_first_byte": b"\x62\x01\x00\x01\xff",
    "packet_of_esrd": b"\x01\x2c\x00\x01\xff",
    "another_version": b"\x63\x02\x00\x01\xff",
    "no_edf": b"\x63\x01\x00\x05\x00\x01\x02\x03\x04",
    "unknown_type": b"\x63\x01\x00\x06\x83\x00\x03#no\x00",
    "unknown_cache_id": b"\x63\x01\x00\x05\x83\x12\x34\x00\x00",
    "array_of_4g": b"\x63\x01\x00\x0b\x82\x00\x06\x9e\xff\xff\xff\xff\x97\x00\x00",
    "http": b"GET / HTTP/1.1\r\nHost: saturn\r\n\r\n",
    "cut_salt": b"\x63\x01\x00\x37\x83\x00\x30#ergo.services/registrar/saturn/MessageHandshake\xff\xff\x00\x00",
}


@pytest.mark.parametrize("what", NO_MESSAGES)
@pytest.mark.parametrize("state", ["unknown", "registered"])
@case("SAT-ML-1", "SAT-FR-5", "ROB-SAT-1", offers=SATURN)
async def test_no_message(ergo_context: Context, what: str, state: str) -> None:
    """A server closes only the connection of the client ({state}) that sent bytes which are not a message ({what})."""
    registration = await ergo_context.saturn_client()
    await registration.register()
    client = await ergo_context.saturn_client()
    if state == "registered":
        await client.register()
        await registration.expect(NodeJoined)
    client.send_bytes(NO_MESSAGES[what], what)
    await client.expect_close(within=CLOSED_WITHIN)
    await registration.expect_joined(await ergo_context.saturn_client())


@pytest.mark.parametrize("length", ["longer", "longest"])
@case("SAT-FR-1", "SAT-HS-5", "ROB-SAT-1", offers=SATURN)
async def test_length(ergo_context: Context, length: str) -> None:
    """A server waits for the rest of a handshake whose length is {length} than its bytes, and closes after 3 s."""
    client = await ergo_context.saturn_client()
    data = write_packet(client.hello())
    size = len(data) - 4 + 1 if length == "longer" else 0xFFFF
    client.send_bytes(data[:2] + size.to_bytes(2, "big") + data[4:], f"a length of {size}")
    await client.expect_close(within=CLOSED_WITHIN)


@case("ROB-SAT-3", offers=SATURN)
async def test_silent_clients(ergo_context: Context) -> None:
    """Fifty silent clients do not prevent another client from registering."""
    for _ in range(50):
        await ergo_context.saturn_client()
    client = await ergo_context.saturn_client()
    await client.register()


@case("ROB-SAT-4", offers=SATURN)
async def test_strangers_hear_nothing(ergo_context: Context) -> None:
    """A server sends nothing about registered nodes to a client that is not registered."""
    stranger, proven = await ergo_context.saturn_client(), await ergo_context.saturn_client()
    await proven.handshake()
    first, second = await ergo_context.saturn_clients()
    second.send(second.application("app"))
    await first.expect(RegisterApplicationRoute)
    for client in (stranger, proven):
        message = await client.receive(0.2)
        client.check(message is None, message, "no message")
