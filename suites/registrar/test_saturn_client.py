"""A target that registers with a Saturn server of the tester: its messages, its reaction to notifications, its return."""

import asyncio

import pytest

from ergo_conformance.model.ergo import saturn
from ergo_conformance.model.ergo.saturn import (
    ApplicationRoute,
    ConfigUpdate,
    HandshakeResult,
    NodeJoined,
    NodeLeft,
    Register,
    RegisterApplicationRoute,
    RegisterResult,
    ResolveResult,
    UnregisterApplicationRoute,
)
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom
from ergo_conformance.peers.ergo.esrd_client import EHS, ENP
from ergo_conformance.spec.ergo.saturn import proof
from ergo_conformance.targets.tcp import TcpRunningTarget
from ergo_conformance.testing import START_TIMEOUT, RegistrationContext, SaturnRegistration, case, route

CLIENT = {"registrar": {"kind": "saturn"}}
AT_ONCE = 0.9
"""Seconds: shorter than the pause before a second attempt."""
SOON = 5.0
"""Seconds within which a client that failed once or twice has registered again."""
LASTS = 1.2
"""Seconds after which a registration has lasted."""
OTHER = Atom("other@localhost")
OF_OTHER = ApplicationRoute(OTHER, Atom("an_app"), 10, 3, 2)
ALL_NEWS: tuple[saturn.Message, ...] = (
    NodeJoined(OTHER),
    NodeJoined(OTHER),
    RegisterApplicationRoute(OF_OTHER),
    RegisterApplicationRoute(OF_OTHER._replace(State=3)),
    ConfigUpdate("*:Text", "text"),
    ConfigUpdate("other:*:Number", 5),
    ConfigUpdate("*:Nothing", None),
    ConfigUpdate("", True),
    UnregisterApplicationRoute(Atom("an_app"), Atom("")),
    UnregisterApplicationRoute(Atom("an_app"), OTHER),
    NodeLeft(OTHER),
    NodeLeft(Atom("never-seen@localhost")),
)


async def again(ergo_context: RegistrationContext, within: float) -> tuple[SaturnRegistration, Register]:
    """Accepts the next registration of the node; returns its connection and its request."""
    member = await ergo_context.saturn.registration(within)
    request = await member.request()
    member.grant()
    return member, request


# --- the handshake ----------------------------------------------------------------------------------------------------


@case("SAT-HS-1", "SAT-FR-1", config=CLIENT)
async def test_proof(ergo_context: RegistrationContext) -> None:
    """A node first proves the token with a digest over a new salt and sends nothing more before the answer."""
    member = await ergo_context.saturn_registration()
    await member.expect_handshake()
    await member.expect_silence(0.3)


@pytest.mark.parametrize("wrong", ["of_another_token", "over_the_salt", "upper_case"])
@case("SAT-HS-2", "SAT-RG-8", config=CLIENT)
async def test_wrong_proof(ergo_context: RegistrationContext, wrong: str) -> None:
    """A node does not register with a server that does not prove the token ({wrong}), and does not start."""
    member = await ergo_context.saturn_registration()
    hello = await member.expect_handshake()
    given = {
        "of_another_token": proof(hello.Digest, ergo_context.token + "x"),
        "over_the_salt": proof(hello.Salt, ergo_context.token),
        "upper_case": proof(hello.Digest, ergo_context.token).upper(),
    }[wrong]
    member.send(HandshakeResult(given))
    await member.expect_close()
    await ergo_context.not_started()


@pytest.mark.parametrize("first", ["a_result", "news"])
@case("SAT-HS-2", "SAT-RG-8", config=CLIENT)
async def test_no_proof(ergo_context: RegistrationContext, first: str) -> None:
    """A node refuses a registration from a server that has not proved the token ({first})."""
    member = await ergo_context.saturn_registration()
    await member.expect_handshake()
    granted = RegisterResult(None, {}, None, None)
    member.send(granted if first == "a_result" else NodeJoined(OTHER))
    if not await member.closes_within(0.2):
        member.send(granted)
    await member.expect_close()
    await ergo_context.not_started()


# --- registering ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cluster", [None, ""], ids=["cluster", "general_cluster"])
@case("SAT-RG-9", "SAT-FR-1", config=CLIENT)
async def test_register(ergo_context: RegistrationContext, cluster: str | None) -> None:
    """A node registers its name in its cluster with one message that contains a route for each acceptor."""
    wanted = ergo_context.cluster if cluster is None else cluster
    member = await ergo_context.saturn_registration(cluster=wanted)
    request = await member.request()
    await member.expect_silence(0.3)
    member.grant()
    running = await ergo_context.started()
    good = (request.Cluster, request.Node, request.Hidden) == (wanted, running.target_info.name, False)
    member.check(good, show(request), f"{running.target_info.name} in cluster {show(wanted)}, not hidden")
    assert isinstance(running, TcpRunningTarget)
    wanted_route = route(running.port, TLS=running.tls)
    found = next((each for each in request.RegisterRoutes.Routes or () if each.Port == running.port), None)
    if found is None or found[1:3] != wanted_route[1:3]:
        member.fail(show(request), f"the route {wanted_route}")
    versions = [version[:2] for version in (found.HandshakeVersion, found.ProtoVersion)]
    member.check(versions == [EHS[:2], ENP[:2]], found, "handshake EHS R1 and protocol ENP R1")
    own = [each.Node == running.target_info.name for each in request.RegisterRoutes.ApplicationRoutes or ()]
    member.check(all(own), request.RegisterRoutes.ApplicationRoutes, "only applications of the node itself")


@case("SAT-TR-1", config=CLIENT)
async def test_stays(ergo_context: RegistrationContext) -> None:
    """A registered node keeps its connection open and sends only the states of its applications."""
    member, _ = await ergo_context.registered_at_saturn()
    until = member.socket.now() + 3.5
    while (message := await member.receive(until - member.socket.now())) is not None:
        own = isinstance(message, RegisterApplicationRoute)
        member.check(own, show(message), "states of its applications, or no message")
    await ergo_context.still_serves()


@pytest.mark.parametrize("text", ["resource is taken", "", "x" * 900], ids=["taken", "empty", "long"])
@case("SAT-RG-8", config=CLIENT)
async def test_refused(ergo_context: RegistrationContext, text: str) -> None:
    """A node whose registration is refused does not start and does not retry: {text:.20}."""
    member = await ergo_context.saturn_registration()
    await member.request()
    member.refuse(text)
    await ergo_context.not_started()
    await ergo_context.saturn.expect_no_connection(0.2)


@pytest.mark.parametrize("proved", [False, True], ids=["at_once", "behind_the_proof"])
@case("SAT-RG-8", "SAT-RG-3", config=CLIENT)
async def test_closed(ergo_context: RegistrationContext, proved: bool) -> None:
    """A node does not start when its connection ends instead of an answer (its name may be taken)."""
    member = await ergo_context.saturn_registration()
    await (member.request() if proved else member.expect_handshake())
    member.socket.close()
    await ergo_context.not_started()


@pytest.mark.parametrize("proved", [False, True], ids=["no_proof", "no_result"])
@case("SAT-RG-8", config=CLIENT)
async def test_silence(ergo_context: RegistrationContext, proved: bool) -> None:
    """A node that gets no answer waits about one second and does not start."""
    member = await ergo_context.saturn_registration()
    await (member.request() if proved else member.expect_handshake())
    await member.expect_close(at_least=0.5)
    await ergo_context.not_started()


@case("SAT-FR-2", config=CLIENT)
async def test_in_pieces(ergo_context: RegistrationContext) -> None:
    """A node reassembles answers that arrive in pieces."""
    member = await ergo_context.saturn_registration()
    await member.expect_handshake()
    await member.send_in_pieces(member.proof(), 25, 0.02)
    await member.expect(Register)
    await member.send_in_pieces(RegisterResult(None, {}, [OTHER], [OF_OTHER]), 25, 0.02)
    await ergo_context.started()
    await ergo_context.still_serves()


@case("SAT-EV-1", "ROB-SAT-2", config=CLIENT)
async def test_news_around_the_result(ergo_context: RegistrationContext) -> None:
    """A node accepts notifications before the result of its registration, in one chunk with it, and after it."""
    member = await ergo_context.saturn_registration()
    await member.request()
    member.send(NodeJoined(OTHER), RegisterResult(None, {}, [OTHER], None), *ALL_NEWS)
    await ergo_context.started()
    member.check(not member.socket.eof, "the connection is closed", "a registered node")
    await ergo_context.still_serves()


@pytest.mark.parametrize("known", [False, True], ids=["unknown_signer", "known_signer"])
@case("SAT-TR-3", config=CLIENT)
async def test_certificate(ergo_context: RegistrationContext, known: bool) -> None:
    """A node that verifies certificates accepts one of a trusted signer and refuses any other."""
    if known:
        member = await ergo_context.saturn_registration(skip_verify=False, ca=str(ergo_context.certificate_file()))
        await member.request()
        member.grant()
        await ergo_context.started()
        return
    await ergo_context.start(skip_verify=False)
    serving = asyncio.create_task(
        ergo_context.saturn.grant_next(START_TIMEOUT)
    )  # a node that does not verify is registered
    try:
        await ergo_context.not_started()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@case("SAT-RG-6", config={**CLIENT, "mode": "hidden"})
async def test_hidden(ergo_context: RegistrationContext) -> None:
    """Upstream registers a hidden node like any other node, but without routes."""
    member, request = await ergo_context.registered_at_saturn()
    said = (request.Hidden, *(bool(each) for each in request.RegisterRoutes))
    member.check(said == (False, False, False, False), show(request), "not hidden, and three empty lists")


# --- notifications ----------------------------------------------------------------------------------------------------


@case("SAT-EV-1", "SAT-EV-2", "ROB-SAT-5", config=CLIENT)
async def test_news(ergo_context: RegistrationContext) -> None:
    """A registered node accepts notifications about nodes, applications and configuration, one by one and in one chunk."""
    member, _ = await ergo_context.registered_at_saturn(
        Nodes=[OTHER], Applications=[OF_OTHER], Config={"*:Text": "text"}
    )
    for message in ALL_NEWS:
        member.send(message)
    member.send(*ALL_NEWS)
    await ergo_context.still_serves()
    await member.expect_open_with_messages(0.5)


@case("ROB-SAT-5", config=CLIENT)
async def test_answers_to_nothing(ergo_context: RegistrationContext) -> None:
    """A registered node keeps running, or registers again, when it gets answers that it did not request."""
    member, _ = await ergo_context.registered_at_saturn()
    for message in (ResolveResult(4_000_000_000, None, [route()]), RegisterResult(), HandshakeResult("")):
        member.send(message)
        if await member.closes_within(0.3):
            member, _ = await again(ergo_context, SOON)
    await ergo_context.still_serves()


GARBAGE = (
    b"\x62\x01\x00\x01\xff",
    b"\x63\x02\x00\x01\xff",
    b"\x63\x01\x00\x05\x00\x01\x02\x03\x04",
    b"\x63\x01\x00\x06\x83\x00\x03#no",
    b"\x63\x01\x00\x04\x8d\x00\x01x",
    b"\x63\x01\x00\x40\x83\x00",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
)
"""Another first byte, another version, invalid EDF, an unknown type, a text, half a message, another protocol."""


@case("ROB-SAT-5", config=CLIENT)
async def test_garbage(ergo_context: RegistrationContext) -> None:
    """A registered node that gets invalid bytes registers again, at the latest on the next connection."""
    member, _ = await ergo_context.registered_at_saturn()
    await member.expect_open_with_messages(LASTS)
    for data in GARBAGE:
        member.send_bytes(data, f"bytes that are not a message: {data.hex(' ')}")
        if not await member.closes_within(0.4):
            member.socket.close()
        member, _ = await again(ergo_context, SOON)
        await member.expect_open_with_messages(LASTS)  # the pauses may grow while registrations end at once (ROB-SAT-8)
    await ergo_context.still_serves()


@case("SAT-RC-4", config=CLIENT)
async def test_bytes_of_the_old_connection(ergo_context: RegistrationContext) -> None:
    """Upstream keeps leftover bytes of a connection that has ended and therefore never registers again."""
    member, _ = await ergo_context.registered_at_saturn()
    member.send_bytes(b"\x62", "one byte")
    if not await member.closes_within(0.5):
        member.socket.close()
    member = await ergo_context.saturn.registration(SOON)
    await member.expect_handshake()
    member.send(member.proof())
    await member.expect_close()


# --- end of a connection ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "send_reset"], ids=["closed", "reset"])
@case("SAT-RC-1", config=CLIENT)
async def test_lost(ergo_context: RegistrationContext, how: str) -> None:
    """A node whose connection is lost registers again at once with the same name, cluster and routes."""
    member, first = await ergo_context.registered_at_saturn()
    getattr(member.socket, how)()
    member, request = await again(ergo_context, AT_ONCE)
    same = request._replace(RegisterRoutes=None) == first._replace(RegisterRoutes=None)
    same = same and request.RegisterRoutes.Routes == first.RegisterRoutes.Routes
    member.check(same, show(request), f"the same name, cluster and routes as before: {show(first)}")
    await member.expect_open_with_messages(0.5)
    await ergo_context.still_serves()


@case("SAT-RC-1", config=CLIENT)
async def test_pauses(ergo_context: RegistrationContext) -> None:
    """A node that is refused when it registers again retries after pauses of 1 and 2 s and keeps serving."""
    member, _ = await ergo_context.registered_at_saturn()
    member.socket.close()
    member = await ergo_context.saturn.registration(AT_ONCE)
    for pause in (1.0, 2.0):
        await member.request()
        member.refuse("resource is taken")
        at = member.socket.now()
        member = await ergo_context.saturn.registration(pause + SOON)
        waited = member.socket.now() - at
        member.check_timing(waited > pause * 0.5, f"the next attempt after {waited:.2f} s", f"a pause of {pause:g} s")
    await member.request()
    member.grant()
    await member.expect_open_with_messages(0.5)
    await ergo_context.still_serves()


@case("SAT-RC-1", "ROB-SAT-5", config=CLIENT)
async def test_server_is_away(ergo_context: RegistrationContext) -> None:
    """A node whose server is gone for two seconds keeps running and registers when it is back."""
    await ergo_context.registered_at_saturn()
    await ergo_context.saturn.stop()
    await ergo_context.still_serves()
    await asyncio.sleep(2.0)
    await ergo_context.saturn.start(ergo_context.saturn.port)
    member, _ = await again(ergo_context, 2 * SOON)
    await member.expect_open_with_messages(0.5)


@case("SAT-HS-2", "SAT-RC-1", config=CLIENT)
async def test_another_server(ergo_context: RegistrationContext) -> None:
    """A node that registers again does not register with a server that does not prove the token, and retries."""
    member, _ = await ergo_context.registered_at_saturn()
    member.socket.close()
    member = await ergo_context.saturn.registration(AT_ONCE)
    await member.expect_handshake()
    member.send(HandshakeResult(proof("", ergo_context.token)))
    await member.expect_close()
    member, _ = await again(ergo_context, SOON)
    await member.expect_open_with_messages(0.5)
