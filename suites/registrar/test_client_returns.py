"""A client that returns to a registrar: a second loss, registrations that end at once, answers to earlier requests."""

from typing import Any

import pytest

from ergo_conformance.model.ergo import error_values, esrd
from ergo_conformance.model.ergo.esrd import RegisterRoutes, ResolveReply
from ergo_conformance.model.ergo.saturn import Register, RegisterApplicationRoute, Resolve, ResolveProxy
from ergo_conformance.spec.ergo.esrd import write_packet
from ergo_conformance.testing import (
    AGENTS,
    Acceptor,
    AgentDriver,
    EsrdRegistration,
    RegistrationContext,
    SaturnRegistration,
    ViolationError,
    case,
    open_resolver,
    route,
)

ESRD: dict[str, Any] = {"config": {"registrar": {"kind": "esrd"}}}
SATURN: dict[str, Any] = {"config": {"registrar": {"kind": "saturn"}}}
AGENT: dict[str, Any] = {"offers": AGENTS, "agents": ("agent",)}
AT_ONCE = 0.9
"""Seconds: shorter than the pause before a second attempt."""
STAYS = 1.5
"""Seconds after which a registration has lasted."""
SOON = 5.0
QUIET = 0.7
"""Seconds within which a node would dial if it dialed wrongly."""
WATCHED = 5.0
MOST = 8
"""Registrations within WATCHED seconds of a client that pauses for a second each time, and two more."""
NOT_OF_A_RESOLVE = (ResolveProxy, RegisterApplicationRoute)


async def esrd_again(ergo_context: RegistrationContext, within: float) -> tuple[EsrdRegistration, RegisterRoutes]:
    """Accepts the next registration at our ESRD and does not answer it yet."""
    registration = await ergo_context.esrd.registration(within)
    return registration, await registration.request()


async def saturn_again(ergo_context: RegistrationContext, within: float) -> tuple[SaturnRegistration, Register]:
    """Accepts the next registration at our Saturn and does not answer it yet."""
    member = await ergo_context.saturn.registration(within)
    return member, await member.request()


# --- registering again ------------------------------------------------------------------------------------------------


@case("ESRD-FO-1", **ESRD)
async def test_esrd_lost_again(ergo_context: RegistrationContext) -> None:
    """A node whose registration is lost three times registers again at once each time, also after refusals."""
    registration, first = await ergo_context.registered_at_esrd()
    for refusals in (0, 1, 0):
        await registration.expect_open(STAYS)
        registration.socket.close()
        registration, request = await esrd_again(ergo_context, AT_ONCE)
        for _ in range(refusals):
            registration.refuse("resource is taken")
            registration, request = await esrd_again(ergo_context, SOON)
        registration.check(request == first, f"{request!r:.300}", f"the same request as before: {first!r:.300}")
        registration.grant()
    await registration.expect_open(STAYS)
    await ergo_context.still_serves()


@case("SAT-RC-1", **SATURN)
async def test_saturn_lost_again(ergo_context: RegistrationContext) -> None:
    """A node whose connection is lost three times registers again at once each time, also after refusals."""
    member, first = await ergo_context.registered_at_saturn()
    for refusals in (0, 1, 0):
        await member.expect_open_with_messages(STAYS)
        member.socket.close()
        member, request = await saturn_again(ergo_context, AT_ONCE)
        for _ in range(refusals):
            member.refuse("resource is taken")
            member, request = await saturn_again(ergo_context, SOON)
        same = request[:3] == first[:3] and request.RegisterRoutes.Routes == first.RegisterRoutes.Routes
        member.check(same, f"{request!r:.300}", f"the same name, cluster and routes as before: {first!r:.300}")
        member.grant()
    await member.expect_open_with_messages(STAYS)
    await ergo_context.still_serves()


@case("ROB-ESRD-8", **ESRD)
async def test_esrd_ended_at_once(ergo_context: RegistrationContext) -> None:
    """A node whose registrations are granted and then closed pauses between them, and is registered when one is kept."""
    registration, _ = await ergo_context.registered_at_esrd()
    until, count = registration.socket.now() + WATCHED, 0
    while count <= MOST:
        registration.socket.close()
        try:
            registration, _ = await esrd_again(ergo_context, max(until - registration.socket.now(), 0.0))
        except ViolationError:
            break
        registration.grant()
        count += 1
    said = f"{count} registrations within {WATCHED:g} s"
    registration.check(0 < count <= MOST, said, f"at most {MOST} registrations, with pauses of a second and more")
    registration, _ = await esrd_again(ergo_context, 2 * SOON)
    registration.grant()
    await registration.expect_open(STAYS)
    await ergo_context.still_serves()


@case("ROB-SAT-8", **SATURN)
async def test_saturn_ended_at_once(ergo_context: RegistrationContext) -> None:
    """A node whose registrations are granted and then closed pauses between them, and is registered when one is kept."""
    member, _ = await ergo_context.registered_at_saturn()
    until, count = member.socket.now() + WATCHED, 0
    while count <= MOST:
        member.socket.close()
        try:
            member, _ = await saturn_again(ergo_context, max(until - member.socket.now(), 0.0))
        except ViolationError:
            break
        member.grant()
        count += 1
    said = f"{count} registrations within {WATCHED:g} s"
    member.check(0 < count <= MOST, said, f"at most {MOST} registrations, with pauses of a second and more")
    member, _ = await saturn_again(ergo_context, 2 * SOON)
    member.grant()
    await member.expect_open_with_messages(STAYS)
    await ergo_context.still_serves()


# --- answers that belong to other requests ----------------------------------------------------------------------------


async def asked_at_saturn(
    ergo_context: RegistrationContext, member: SaturnRegistration, agent: AgentDriver
) -> tuple[Any, Resolve]:
    """Tells the agent to connect to an unknown node; returns the op and the request."""
    name = ergo_context.unknown_node()
    ref = agent.start("connect", name)
    question = await member.expect(Resolve, also=NOT_OF_A_RESOLVE)
    member.check(question.Name == name, question, f"a Resolve of {name}")
    return ref, question


@case("SAT-RS-7", "SAT-RS-3", **AGENT, **SATURN)
async def test_numbers_after_a_return(ergo_context: RegistrationContext) -> None:
    """A node that registers again numbers its requests on: it drops answers to requests of its earlier connection."""
    wrong, good = await ergo_context.listener(), await ergo_context.listener()
    member, _ = await ergo_context.registered_at_saturn()
    agent = AgentDriver(await ergo_context.peer())
    ref, lost = await asked_at_saturn(ergo_context, member, agent)
    member.socket.close()
    await agent.expect_error(ref, error_values.NO_ROUTE)
    member, _ = await ergo_context.saturn.grant_next(SOON)
    _, question = await asked_at_saturn(ergo_context, member, agent)
    member.check(question.ID != lost.ID, f"the number {question.ID} again", "a new number for each request")
    member.answer(lost, [route(wrong.port)])
    await wrong.expect_no_connection(QUIET)
    member.answer(question, [route(good.port)])
    await Acceptor.accept(good, ergo_context.target_info, ergo_context.rng)


@case("SAT-RS-7", **AGENT, **SATURN)
async def test_first_answer_counts(ergo_context: RegistrationContext) -> None:
    """A node uses the first answer to a request and drops a second one with the same number."""
    listener = await ergo_context.listener()
    member, _ = await ergo_context.registered_at_saturn()
    agent = AgentDriver(await ergo_context.peer())
    ref, question = await asked_at_saturn(ergo_context, member, agent)
    member.answer(question, None, "no route")
    member.answer(question, [route(listener.port)])
    await agent.expect_error(ref, error_values.NO_ROUTE)
    await listener.expect_no_connection(QUIET)


@case("ESRD-CL-15", **AGENT, **ESRD)
async def test_reply_from_another_address(ergo_context: RegistrationContext) -> None:
    """A node ignores a reply from another address than the one that it asked, and uses the right reply after it."""
    wrong, good = await ergo_context.listener(), await ergo_context.listener()
    await ergo_context.registered_at_esrd()
    agent = AgentDriver(await ergo_context.peer())
    agent.start("connect", ergo_context.unknown_node())
    question = await ergo_context.esrd.resolve_request()
    host, port = question.sender[:2]
    stranger = await open_resolver(host, port, "not the registrar")
    ergo_context.resolvers.append(stranger)
    stranger.send(write_packet(ResolveReply([route(wrong.port)], None)), "routes from another address")
    await wrong.expect_no_connection(QUIET)
    question.answer([route(good.port)])
    await Acceptor.accept(good, ergo_context.target_info, ergo_context.rng)


@pytest.mark.parametrize("size", [1025, esrd.MAX_RESOLVE_REPLY], ids="{}_bytes".format)
@case("ESRD-CL-16", **AGENT, **ESRD)
async def test_long_reply(ergo_context: RegistrationContext, size: int) -> None:
    """A node uses the last route of a reply of {size} bytes."""
    listener = await ergo_context.listener()
    await ergo_context.registered_at_esrd()
    agent = AgentDriver(await ergo_context.peer())
    agent.start("connect", ergo_context.unknown_node())
    question = await ergo_context.esrd.resolve_request()
    unusable = route(1)._replace(HandshakeVersion=route().HandshakeVersion._replace(Name="OTHER"))
    bare = len(write_packet(ResolveReply([unusable, route(listener.port)], None)))
    question.answer([unusable._replace(Host="h" * (size - bare)), route(listener.port)])
    await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)
