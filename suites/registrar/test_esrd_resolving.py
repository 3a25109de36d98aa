"""A target that is told to connect to an unknown node: its request to the embedded registrar and the routes it dials."""

from typing import Any

from ergo_conformance.model.ergo import error_values
from ergo_conformance.model.ergo.ehs import Version
from ergo_conformance.model.ergo.enp import Words
from ergo_conformance.model.ergo.esrd import PacketType, RegisterReply, ResolveReply, Route
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.peers.corruption.packets import value_of, with_length
from ergo_conformance.peers.ergo.esrd_client import EHS, ENP
from ergo_conformance.spec.ergo.esrd import write_packet
from ergo_conformance.testing import (
    AGENTS,
    HOST,
    Acceptor,
    AgentDriver,
    RegistrationContext,
    ResolveRequest,
    case,
    route,
)

CLIENT = {"registrar": {"kind": "esrd"}}
NEEDS: dict[str, Any] = {"offers": AGENTS, "agents": ("agent",), "config": CLIENT}
QUIET = 0.7
"""Seconds within which a node would dial if it dialed wrongly."""
GOOD = write_packet(ResolveReply(None, Error("unknown")))
NO_REPLIES = (
    b"",
    b"\2" + GOOD[1:],
    GOOD[:1] + bytes([PacketType.RESOLVE]) + GOOD[2:],
    with_length(GOOD, len(value_of(GOOD)) + 1),
    GOOD[:3],
    b"no",
    write_packet(RegisterReply(None)),
)
UNUSABLE = (
    route(HandshakeVersion=Version("OTHER", "R1", "", "")),
    route(HandshakeVersion=EHS._replace(Release="R99")),
    route(ProtoVersion=Version("OTHER", "R1", "", "")),
    route(HandshakeVersion=Version("", "", "", ""), ProtoVersion=Version("", "", "", "")),
)


async def connecting(ergo_context: RegistrationContext) -> tuple[AgentDriver, Words, ResolveRequest]:
    """Tells a registered target to connect to an unknown node; returns the agent, the op and the request."""
    agent = await idle(ergo_context)
    return agent, *await ask(ergo_context, agent, ergo_context.unknown_node())


async def idle(ergo_context: RegistrationContext) -> AgentDriver:
    """Returns the agent of a registered target."""
    await ergo_context.registered_at_esrd()
    return AgentDriver(await ergo_context.peer())


async def ask(ergo_context: RegistrationContext, agent: AgentDriver, name: Atom) -> tuple[Words, ResolveRequest]:
    """Tells the agent to connect to this name; returns the op and the request for the name."""
    ref = agent.start("connect", name)
    question = await ergo_context.esrd.resolve_request()
    agent.peer.check(question.name == name, question.name, f"a request for {name}")
    return ref, question


# --- the request ------------------------------------------------------------------------------------------------------


@case("ESRD-CL-8", "ESRD-TR-4", "ESRD-FR-2", **NEEDS)
async def test_one_request(ergo_context: RegistrationContext) -> None:
    """A node resolves a name with one datagram, without a second one, and fails after 3 s without a reply."""
    agent, ref, _ = await connecting(ergo_context)
    await agent.expect_error_after(ref, error_values.NO_ROUTE, 3.0)
    ergo_context.esrd.expect_no_resolve_request()
    await agent.peer.check_alive()


@case("ESRD-CL-12", **NEEDS)
async def test_no_memory(ergo_context: RegistrationContext) -> None:
    """Upstream resolves a name again, from another socket, each time it is told to connect."""
    agent = await idle(ergo_context)
    wanted, askers = ergo_context.unknown_node(), set()
    for _ in range(3):
        ref, question = await ask(ergo_context, agent, wanted)
        question.answer(None, "unknown")
        await agent.expect_error(ref, error_values.NO_ROUTE)
        askers.add(question.sender)
    agent.peer.check(len(askers) > 1, f"all from {askers}", "a new socket for each request")


@case("ESRD-CL-11", **NEEDS)
async def test_no_name(ergo_context: RegistrationContext) -> None:
    """A node sends no request for a name without a host or with two hosts."""
    agent = await idle(ergo_context)
    for name in ("nobody", "a@b@127.0.0.1", ""):
        answer = await agent.run("connect", Atom(name))
        agent.peer.check(isinstance(answer, Error), show(answer), f"an error value for {show(name)}")
    ergo_context.esrd.expect_no_resolve_request()


# --- the reply --------------------------------------------------------------------------------------------------------


@case("ESRD-PL-1", "ESRD-PL-6", **NEEDS)
async def test_route(ergo_context: RegistrationContext) -> None:
    """A node dials the host of the route, or the host of the name if the route has none, and starts a handshake."""
    listener = await ergo_context.listener()
    agent = await idle(ergo_context)
    for host in ("", HOST):
        ref, question = await ask(ergo_context, agent, ergo_context.unknown_node())
        question.answer([route(listener.port, Host=host)])
        (await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)).socket.close()
        await agent.expect_error(ref, error_values.NO_ROUTE)


@case("ESRD-PL-1", "ESRD-PL-6", **NEEDS)
async def test_tls_route(ergo_context: RegistrationContext) -> None:
    """A node uses TLS for a route with the TLS flag."""
    listener = await ergo_context.listener(tls=True)
    _, _, question = await connecting(ergo_context)
    question.answer([route(listener.port, TLS=True)])
    await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)


@case("ESRD-PL-3", **NEEDS)
async def test_licence(ergo_context: RegistrationContext) -> None:
    """A node uses a route whose versions have another commit and licence."""
    listener = await ergo_context.listener()
    _, _, question = await connecting(ergo_context)
    other = {"Commit": "1" * 40, "License": "Proprietary"}
    versions = {"HandshakeVersion": EHS._replace(**other), "ProtoVersion": ENP._replace(**other)}
    question.answer([route(listener.port, **versions)])
    await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)


@case("ESRD-PL-3", **NEEDS)
async def test_unusable_routes(ergo_context: RegistrationContext) -> None:
    """A node skips routes with an unsupported handshake or protocol and uses the next route."""
    wrong, good = await ergo_context.listener(), await ergo_context.listener()
    _, _, question = await connecting(ergo_context)
    question.answer([*(each._replace(Port=wrong.port) for each in UNUSABLE), route(good.port)])
    await Acceptor.accept(good, ergo_context.target_info, ergo_context.rng)
    await wrong.expect_no_connection(0.1)


@case("ESRD-PL-3", **NEEDS)
async def test_no_usable_route(ergo_context: RegistrationContext) -> None:
    """A node that supports none of the routes dials none and returns "no route"."""
    listener = await ergo_context.listener()
    agent, ref, question = await connecting(ergo_context)
    question.answer([each._replace(Port=listener.port) for each in UNUSABLE])
    await agent.expect_error(ref, error_values.NO_ROUTE)
    await listener.expect_no_connection(0.1)


@case("ESRD-PL-5", **NEEDS)
async def test_order_of_routes(ergo_context: RegistrationContext) -> None:
    """A node tries routes in order: one without a listener, one that closes, one that answers."""
    gone, closing, good = await ergo_context.listener(), await ergo_context.listener(), await ergo_context.listener()
    await gone.stop()
    _, _, question = await connecting(ergo_context)
    question.answer([route(each.port) for each in (gone, closing, good)])
    acceptor = await Acceptor.accept(closing, ergo_context.target_info, ergo_context.rng)
    await good.expect_no_connection(0.2)
    acceptor.socket.close()
    await Acceptor.accept(good, ergo_context.target_info, ergo_context.rng)


@case("ESRD-CL-10", **NEEDS)
async def test_error(ergo_context: RegistrationContext) -> None:
    """A node that gets an error in the reply dials nothing, even if the reply has routes, and returns "no route"."""
    listener = await ergo_context.listener()
    agent = await idle(ergo_context)
    for text in ("unknown", "not today", ""):
        ref, question = await ask(ergo_context, agent, ergo_context.unknown_node())
        question.answer([route(listener.port)], text)
        await agent.expect_error(ref, error_values.NO_ROUTE)
    await listener.expect_no_connection(0.1)


@case("ESRD-CL-10", **NEEDS)
async def test_no_routes(ergo_context: RegistrationContext) -> None:
    """A node returns "no route" when the reply has neither routes nor an error."""
    agent = await idle(ergo_context)
    nothing: tuple[list[Route] | None, ...] = (None, [])
    for routes in nothing:
        ref, question = await ask(ergo_context, agent, ergo_context.unknown_node())
        question.answer(routes)
        await agent.expect_error(ref, error_values.NO_ROUTE)


@case("ESRD-CL-9", "ROB-ESRD-7", **NEEDS)
async def test_first_datagram(ergo_context: RegistrationContext) -> None:
    """A node takes the first datagram as the reply, even an invalid one, ignores later ones, and asks again next time."""
    listener = await ergo_context.listener()
    agent = await idle(ergo_context)
    for reply in NO_REPLIES:
        ref, question = await ask(ergo_context, agent, ergo_context.unknown_node())
        question.answer_bytes(reply)
        question.answer([route(listener.port)])
        await agent.expect_error(ref, error_values.NO_ROUTE)
    await listener.expect_no_connection(QUIET)
    _, question = await ask(ergo_context, agent, ergo_context.unknown_node())
    question.answer([route(listener.port)])
    await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)


@case("ESRD-CL-9", "ROB-ESRD-7", **NEEDS)
async def test_late_reply(ergo_context: RegistrationContext) -> None:
    """A node ignores a reply that arrives after its timeout and does not use it for the next request."""
    listener = await ergo_context.listener()
    agent, ref, late = await connecting(ergo_context)
    await agent.expect_error(ref, error_values.NO_ROUTE)
    ref, question = await ask(ergo_context, agent, ergo_context.unknown_node())
    late.answer([route(listener.port)])
    await listener.expect_no_connection(QUIET)
    question.answer(None, "unknown")
    await agent.expect_error(ref, error_values.NO_ROUTE)
