"""A target that registers with an embedded registrar of the tester: its requests, its reaction to replies, its return."""

import asyncio
import contextlib

import pytest

from ergo_conformance.model.ergo import esrd
from ergo_conformance.model.ergo.esrd import RegisterReply, RegisterRoutes, ResolveReply
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Error
from ergo_conformance.peers.corruption.packets import value_of, with_length
from ergo_conformance.peers.ergo.esrd_client import EHS, ENP
from ergo_conformance.peers.sockets import connect
from ergo_conformance.spec.ergo.esrd import write_packet
from ergo_conformance.targets.tcp import TcpRunningTarget
from ergo_conformance.testing import (
    HOST,
    EsrdRegistration,
    RegistrationContext,
    ScriptedEsrdClient,
    TimingViolationError,
    UnreachableError,
    ViolationError,
    case,
    open_resolver,
    route,
)

CLIENT = {"registrar": {"kind": "esrd"}}
MAY_SERVE = {"registrar": {"kind": "esrd", "serve": True}}
AT_ONCE = 0.9
"""Seconds: shorter than the pause before a second attempt."""
EACH_SECOND = 1.9
"""Seconds within which a client that retries every second has retried."""
SOON = 4.0
"""Seconds within which a client that retries every second has registered again."""
GRANTED = write_packet(RegisterReply(None))
NO_REPLIES: dict[str, bytes] = {
    "another_version": b"\2" + GRANTED[1:],
    "another_type": GRANTED[:1] + bytes([esrd.PacketType.RESOLVE_REPLY]) + GRANTED[2:],
    "a_length_beyond_the_end": with_length(GRANTED, len(value_of(GRANTED)) + 1),
    "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "resolve_reply": write_packet(ResolveReply([route()], None)),
}
JUNK = (b"\0", b"junk", GRANTED, write_packet(RegisterReply(Error("resource is taken"))), b"\1\x32\0\3\x83\0\0")
"""The last entry is a notification about other nodes that newer registrars send."""


async def again(
    ergo_context: RegistrationContext, registration: EsrdRegistration, first: RegisterRoutes, within: float
) -> EsrdRegistration:
    """Accepts the next registration of the node and checks that its request is the same; returns the lease."""
    registration = await ergo_context.esrd.registration(within)
    request = await registration.request()
    registration.check_equal(request, first, "the same request as before")
    return registration


# --- registering ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("serve", [False, True], ids=["client", "may_serve"])
@case("ESRD-CL-1", "ESRD-CL-14", "ESRD-FR-1", "ESRD-FR-2", "ESRD-FR-3", "ESRD-TR-3", "ESRD-PL-4", config=CLIENT)
async def test_request(ergo_context: RegistrationContext, serve: bool) -> None:
    """A node registers its name with one packet in one segment that contains a route for each acceptor."""
    registration = await ergo_context.esrd_registration(serve=serve)
    request = await registration.request()
    chunk = await registration.socket.read(0.2)
    registration.check(chunk is None, show(chunk), "one packet, and no bytes before the reply")
    registration.grant()
    running = await ergo_context.started()
    registration.check(request.Node == running.target_info.name, request, f"the name {running.target_info.name}")
    assert isinstance(running, TcpRunningTarget)
    wanted = route(running.port, TLS=running.tls)
    found = next((each for each in request.Routes or () if each.Port == running.port), None)
    if found is None or found[1:3] != wanted[1:3]:
        registration.fail(show(request), f"the route {wanted}")
    versions = [version[:2] for version in (found.HandshakeVersion, found.ProtoVersion)]
    registration.check(versions == [EHS[:2], ENP[:2]], found, "handshake EHS R1 and protocol ENP R1")


@case("ESRD-TR-3", "ESRD-CL-14", config=CLIENT)
async def test_lease(ergo_context: RegistrationContext) -> None:
    """A registered node keeps its socket open and sends nothing more on it."""
    registration, _ = await ergo_context.registered_at_esrd()
    chunk = await registration.socket.read(1.5)
    registration.check(
        chunk is None, "closed" if chunk == b"" else show(chunk), "an open socket that is silent for 1.5 s"
    )
    await ergo_context.still_serves()


REFUSALS = {"taken": "resource is taken", "empty": "", "long": "no " * 290}


@pytest.mark.parametrize("text", REFUSALS.values(), ids=REFUSALS)
@case("ESRD-CL-2", config=CLIENT)
async def test_refused(ergo_context: RegistrationContext, text: str) -> None:
    """A node whose registration is refused does not start and does not retry: {text!r:.20}."""
    registration = await ergo_context.esrd_registration()
    await registration.request()
    registration.refuse(text)
    await ergo_context.not_started()
    await ergo_context.esrd.expect_no_connection(0.2)


@pytest.mark.parametrize("reply", NO_REPLIES.values(), ids=NO_REPLIES)
@case("ESRD-CL-2", "ESRD-FR-4", config=CLIENT)
async def test_no_reply(ergo_context: RegistrationContext, reply: bytes) -> None:
    """A node does not start when the reply is not a RegisterReply."""
    registration = await ergo_context.esrd_registration()
    await registration.request()
    registration.send_bytes(reply, "bytes that are not a RegisterReply, then the socket is closed")
    registration.socket.close()
    await ergo_context.not_started()


@case("ESRD-CL-2", config=CLIENT)
async def test_silence(ergo_context: RegistrationContext) -> None:
    """A node that gets no reply waits about one second and does not start."""
    registration = await ergo_context.esrd_registration()
    await registration.request()
    await registration.expect_close(at_least=0.5)
    await ergo_context.not_started()


@case("ESRD-CL-2", config=CLIENT)
async def test_closed(ergo_context: RegistrationContext) -> None:
    """A node does not start when its socket is closed instead of a reply."""
    registration = await ergo_context.esrd_registration()
    await registration.request()
    registration.socket.close()
    await ergo_context.not_started()


@case("ESRD-CL-5", "ESRD-BUG-3", config=CLIENT)
async def test_another_value(ergo_context: RegistrationContext) -> None:
    """Upstream treats a reply with another value as success and starts."""
    registration = await ergo_context.esrd_registration()
    await registration.request()
    registration.send_bytes(
        with_length(GRANTED[:4] + value_of(write_packet(ResolveReply(None, None)))), "another value"
    )
    await ergo_context.started()


@case("ESRD-CL-2", config=CLIENT)
async def test_reply_in_pieces(ergo_context: RegistrationContext) -> None:
    """A node whose reply arrives in pieces is registered, or does not start."""
    registration = await ergo_context.esrd_registration()
    await registration.request()
    await registration.socket.drip(GRANTED, 20, 0.05)
    if registration.socket.eof:
        await ergo_context.not_started()
        return
    await ergo_context.started()
    await registration.expect_open(0.5)


@case("ROB-ESRD-7", config=CLIENT)
async def test_junk_on_a_lease(ergo_context: RegistrationContext) -> None:
    """A node ignores invalid bytes on its registered socket, or registers again."""
    registration, first = await ergo_context.registered_at_esrd()
    for junk in JUNK:
        registration.send_bytes(junk, f"invalid bytes after the reply: {show(junk)}")
        if await registration.socket.read(0.2) == b"":
            registration = await again(ergo_context, registration, first, SOON)
            registration.grant()
    await ergo_context.still_serves()


@case("ESRD-CL-6", config={**CLIENT, "mode": "hidden"})
async def test_hidden(ergo_context: RegistrationContext) -> None:
    """A hidden node starts and does not register."""
    await ergo_context.start()
    await ergo_context.started()
    await ergo_context.esrd.expect_no_connection(1.2)
    ergo_context.esrd.expect_no_resolve_request()


# --- end of a lease ---------------------------------------------------------------------------------------------------


async def lost(ergo_context: RegistrationContext, how: str) -> None:
    """Ends the socket of a registered node in this way and checks that the node registers again at once."""
    registration, first = await ergo_context.registered_at_esrd()
    getattr(registration.socket, how)()
    registration = await again(ergo_context, registration, first, AT_ONCE)
    registration.grant()
    await registration.expect_open(1.2)
    await ergo_context.still_serves()


@pytest.mark.parametrize("how", ["close", "end_writing"])
@case("ESRD-FO-1", config=CLIENT)
async def test_link_ends(ergo_context: RegistrationContext, how: str) -> None:
    """A node whose socket ends ({how}) registers its name again at once and stays registered."""
    await lost(ergo_context, how)


@case("ESRD-FO-2", config=CLIENT)
async def test_link_is_reset(ergo_context: RegistrationContext) -> None:
    """Upstream registers its name again at once when its socket is reset."""
    await lost(ergo_context, "send_reset")


@case("ESRD-FO-1", config=CLIENT)
async def test_every_second(ergo_context: RegistrationContext) -> None:
    """A node that is refused when it registers again retries every second and keeps serving."""
    registration, first = await ergo_context.registered_at_esrd()
    registration.socket.close()
    registration = await again(ergo_context, registration, first, AT_ONCE)
    for text in ("resource is taken", "not today", ""):
        registration.refuse(text)
        at = registration.socket.now()
        registration = await again(ergo_context, registration, first, EACH_SECOND)
        waited = registration.socket.now() - at
        registration.check_timing(
            waited > 0.5, f"the next attempt after {waited:.2f} s", "one second between two attempts"
        )
    registration.grant()
    await ergo_context.still_serves()
    await registration.expect_open(1.2)


@case("ESRD-FO-1", "ROB-ESRD-7", config=CLIENT)
async def test_registrar_is_away(ergo_context: RegistrationContext) -> None:
    """A node whose registrar is gone for two seconds keeps running and registers when it is back."""
    registration, first = await ergo_context.registered_at_esrd()
    await ergo_context.esrd.stop()
    await ergo_context.still_serves()
    await asyncio.sleep(2.0)
    await ergo_context.esrd.start(ergo_context.esrd.port)
    (await again(ergo_context, registration, first, SOON)).grant()
    await ergo_context.still_serves()


@case("ROB-ESRD-7", config=CLIENT)
async def test_no_reply_when_it_comes_back(ergo_context: RegistrationContext) -> None:
    """A node that registers again and gets an invalid reply keeps running and retries."""
    registration, first = await ergo_context.registered_at_esrd()
    registration.socket.close()
    registration = await again(ergo_context, registration, first, AT_ONCE)
    for reply in NO_REPLIES.values():
        registration.send_bytes(reply, "bytes that are not a RegisterReply, then the socket is closed")
        registration.socket.close()
        registration = await again(ergo_context, registration, first, SOON)
    registration.grant()
    await ergo_context.still_serves()


# --- taking over ------------------------------------------------------------------------------------------------------


async def somebody_else(ergo_context: RegistrationContext, within: float = SOON) -> ScriptedEsrdClient:
    """Returns a client of the registrar that took over the port."""
    until = asyncio.get_running_loop().time() + within
    while True:
        try:
            ergo_context.sockets.append(await connect(HOST, ergo_context.esrd.port, None, "the new registrar"))
            return ScriptedEsrdClient(ergo_context.sockets[-1], ergo_context.rng)
        except UnreachableError as error:
            if asyncio.get_running_loop().time() > until:
                raise TimingViolationError(str(error), (f"a registrar within {within:g} s",)) from None
        await asyncio.sleep(0.05)


@case("ESRD-FO-1", "ESRD-FO-3", "ESRD-FO-4", config=MAY_SERVE)
async def test_takes_over(ergo_context: RegistrationContext) -> None:
    """A node that may serve takes over when the registrar is gone and knows only itself."""
    _, first = await ergo_context.registered_at_esrd()
    await ergo_context.esrd.stop()
    client = await somebody_else(ergo_context)
    await client.refused("resource is taken", Node=first.Node)
    resolver = await open_resolver(HOST, ergo_context.esrd.port, "resolver")
    ergo_context.resolvers.append(resolver)
    reply = await resolver.resolve(ergo_context.unknown_node())
    client.check(reply.Error == Error("unknown"), reply, "'unknown' for any other name")
    await (await somebody_else(ergo_context)).register()


@case("ESRD-FO-6", config=MAY_SERVE)
async def test_end_of_the_new_registrar(ergo_context: RegistrationContext) -> None:
    """Upstream closes the sockets of its registered clients when it stops serving."""
    await ergo_context.registered_at_esrd()
    await ergo_context.esrd.stop()
    client = await somebody_else(ergo_context)
    await client.register()
    await ergo_context.target.stop()
    await client.expect_close()


@case("ESRD-CL-3", config=MAY_SERVE)
async def test_foreign_program(ergo_context: RegistrationContext) -> None:
    """Upstream does not start while only the UDP port is in use, because it can neither serve nor register."""
    await ergo_context.start()
    await ergo_context.esrd.stop_listening()
    await ergo_context.not_started()


@case("ESRD-FO-5", config=MAY_SERVE)
async def test_both_ports(ergo_context: RegistrationContext) -> None:
    """A node takes over when both ports are free, not while the UDP port is in use."""
    await ergo_context.registered_at_esrd()
    await ergo_context.esrd.stop_listening()
    await asyncio.sleep(1.5)
    with contextlib.suppress(UnreachableError):
        socket = await connect(HOST, ergo_context.esrd.port, None, "too early")
        ergo_context.sockets.append(socket)
        if await socket.read(0.5) is None:  # a node that binds TCP and then releases it would have closed the socket
            raise ViolationError("a registrar", ("no registrar while the UDP port is in use",))
    await ergo_context.esrd.stop()
    await (await somebody_else(ergo_context)).register()
