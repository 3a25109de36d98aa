"""A target that is told to connect to a node it does not know: what it asks our embedded registrar, and where it goes then."""

from typing import Any

from ergo_conformance.model.ergo import error_values
from ergo_conformance.model.ergo.ehs import Version
from ergo_conformance.model.ergo.enp import Words
from ergo_conformance.model.ergo.esrd import PacketType, RegisterReply, ResolveReply, Route
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.peers.corruption.packets import value_of, with_length
from ergo_conformance.peers.ergo.acceptor import Acceptor
from ergo_conformance.peers.ergo.agents import AgentDriver
from ergo_conformance.peers.ergo.esrd_client import EHS, ENP, route
from ergo_conformance.peers.ergo.esrd_server import ResolveRequest
from ergo_conformance.peers.listener import HOST
from ergo_conformance.spec.ergo.esrd import write_packet
from ergo_conformance.testing import AGENTS, RegistrationContext, case

CLIENT = {"registrar": {"kind": "esrd"}}
NEEDS: dict[str, Any] = {"offers": AGENTS, "agents": ("agent",), "config": CLIENT}
QUIET = 0.7
"""Seconds in which a node that should not dial would have dialed."""
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
    """The target is told to connect to somebody: who was told, the op, and what our registrar is asked."""
    agent = await idle(ergo_context)
    return agent, *await ask(ergo_context, agent, ergo_context.unknown_node())


async def idle(ergo_context: RegistrationContext) -> AgentDriver:
    """The agent of a target that is registered."""
    await ergo_context.registered_at_esrd()
    return AgentDriver(await ergo_context.peer())


async def ask(ergo_context: RegistrationContext, agent: AgentDriver, name: Atom) -> tuple[Words, ResolveRequest]:
    """The op, and the request for this name that comes of it."""
    ref = agent.start("connect", name)
    question = await ergo_context.esrd.resolve_request()
    agent.peer.check(question.name == name, question.name, f"a request for {name}")
    return ref, question


# --- the request ------------------------------------------------------------------------------------------------------


@case("ESRD-CL-8", "ESRD-TR-4", "ESRD-FR-2", **NEEDS)
async def test_one_request(ergo_context: RegistrationContext) -> None:
    """A node asks for a name with one datagram, not with a second one, and gives up when there is no reply for 3 s."""
    agent, ref, _ = await connecting(ergo_context)
    await agent.expect_error_after(ref, error_values.NO_ROUTE, 3.0)
    ergo_context.esrd.expect_no_resolve_request()
    await agent.peer.check_alive()


@case("ESRD-CL-12", **NEEDS)
async def test_no_memory(ergo_context: RegistrationContext) -> None:
    """A node that is told to connect once more asks once more, from another socket."""
    agent = await idle(ergo_context)
    wanted, askers = ergo_context.unknown_node(), set()
    for _ in range(3):
        ref, question = await ask(ergo_context, agent, wanted)
        question.answer(None, "unknown")
        await agent.expect_error(ref, error_values.NO_ROUTE)
        askers.add(question.sender)
    agent.peer.check(len(askers) > 1, f"all from {askers}", "a socket of its own for each request")


@case("ESRD-CL-11", **NEEDS)
async def test_no_name(ergo_context: RegistrationContext) -> None:
    """A node is not asked for that has no host in its name, or two."""
    agent = await idle(ergo_context)
    for name in ("nobody", "a@b@127.0.0.1", ""):
        answer = await agent.run("connect", Atom(name))
        agent.peer.check(isinstance(answer, Error), repr(answer), f"an error value for {name!r}")
    ergo_context.esrd.expect_no_resolve_request()


# --- the reply --------------------------------------------------------------------------------------------------------


@case("ESRD-PL-1", **NEEDS)
async def test_route(ergo_context: RegistrationContext) -> None:
    """A node dials the host of the route, or that of the name if it is empty, and begins a handshake."""
    listener = await ergo_context.listener()
    agent = await idle(ergo_context)
    for host in ("", HOST):
        ref, question = await ask(ergo_context, agent, ergo_context.unknown_node())
        question.answer([route(listener.port, Host=host)])
        (await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)).socket.close()
        await agent.expect_error(ref, error_values.NO_ROUTE)


@case("ESRD-PL-1", **NEEDS)
async def test_tls_route(ergo_context: RegistrationContext) -> None:
    """A node speaks TLS with a route that says so."""
    listener = await ergo_context.listener(tls=True)
    _, _, question = await connecting(ergo_context)
    question.answer([route(listener.port, TLS=True)])
    await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)


@case("ESRD-PL-3", **NEEDS)
async def test_licence(ergo_context: RegistrationContext) -> None:
    """A node takes a route whose versions have another commit and licence."""
    listener = await ergo_context.listener()
    _, _, question = await connecting(ergo_context)
    other = {"Commit": "1" * 40, "License": "Proprietary"}
    versions = {"HandshakeVersion": EHS._replace(**other), "ProtoVersion": ENP._replace(**other)}
    question.answer([route(listener.port, **versions)])
    await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)


@case("ESRD-PL-3", **NEEDS)
async def test_unusable_routes(ergo_context: RegistrationContext) -> None:
    """A node passes over routes with a handshake or protocol that it does not speak, and takes the next one."""
    wrong, good = await ergo_context.listener(), await ergo_context.listener()
    _, _, question = await connecting(ergo_context)
    question.answer([*(each._replace(Port=wrong.port) for each in UNUSABLE), route(good.port)])
    await Acceptor.accept(good, ergo_context.target_info, ergo_context.rng)
    await wrong.expect_no_connection(0.1)


@case("ESRD-PL-3", **NEEDS)
async def test_no_usable_route(ergo_context: RegistrationContext) -> None:
    """A node dials nobody if it can use no route: "no route"."""
    listener = await ergo_context.listener()
    agent, ref, question = await connecting(ergo_context)
    question.answer([each._replace(Port=listener.port) for each in UNUSABLE])
    await agent.expect_error(ref, error_values.NO_ROUTE)
    await listener.expect_no_connection(0.1)


@case("ESRD-PL-5", **NEEDS)
async def test_order_of_routes(ergo_context: RegistrationContext) -> None:
    """A node tries the routes in their order: one where nobody listens, one that is closed, one that answers."""
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
    """A node that is answered with an error dials nobody, even if the reply has routes: "no route"."""
    listener = await ergo_context.listener()
    agent = await idle(ergo_context)
    for text in ("unknown", "not today", ""):
        ref, question = await ask(ergo_context, agent, ergo_context.unknown_node())
        question.answer([route(listener.port)], text)
        await agent.expect_error(ref, error_values.NO_ROUTE)
    await listener.expect_no_connection(0.1)


@case("ESRD-CL-10", **NEEDS)
async def test_no_routes(ergo_context: RegistrationContext) -> None:
    """A node that is answered without routes and without an error has no route."""
    agent = await idle(ergo_context)
    nothing: tuple[list[Route] | None, ...] = (None, [])
    for routes in nothing:
        ref, question = await ask(ergo_context, agent, ergo_context.unknown_node())
        question.answer(routes)
        await agent.expect_error(ref, error_values.NO_ROUTE)


@case("ESRD-CL-9", "ROB-ESRD-7", **NEEDS)
async def test_first_datagram(ergo_context: RegistrationContext) -> None:
    """The first datagram is the reply, even if it is none: what comes behind it is not used, and the next request is."""
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
    """A reply that comes after the node has given up changes nothing, and does not answer the next request."""
    listener = await ergo_context.listener()
    agent, ref, late = await connecting(ergo_context)
    await agent.expect_error(ref, error_values.NO_ROUTE)
    ref, question = await ask(ergo_context, agent, ergo_context.unknown_node())
    late.answer([route(listener.port)])
    await listener.expect_no_connection(QUIET)
    question.answer(None, "unknown")
    await agent.expect_error(ref, error_values.NO_ROUTE)
