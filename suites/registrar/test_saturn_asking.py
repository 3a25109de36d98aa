"""A target that is registered with a Saturn server of the tester: its requests when told to connect, its reports."""

import asyncio
from typing import Any

from ergo_conformance.model.ergo import enp, error_values
from ergo_conformance.model.ergo.ehs import Flags, Version
from ergo_conformance.model.ergo.enp import Words
from ergo_conformance.model.ergo.gen import ApplicationOptions, ApplicationOptionsExtra
from ergo_conformance.model.ergo.saturn import (
    ApplicationRoute,
    NodeJoined,
    RegisterApplicationRoute,
    Resolve,
    ResolveProxy,
    ResolveResult,
    UnregisterApplicationRoute,
)
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.peers.ergo.esrd_client import EHS, ENP
from ergo_conformance.testing import (
    AGENTS,
    HOST,
    Acceptor,
    AgentDriver,
    RegistrationContext,
    SaturnRegistration,
    case,
    route,
)

CLIENT = {"registrar": {"kind": "saturn"}}
NEEDS: dict[str, Any] = {"offers": AGENTS, "agents": ("agent",), "config": CLIENT}
QUIET = 0.7
"""Seconds within which a node would dial if it dialed wrongly."""
SOON = 5.0
OF_APPLICATIONS = (RegisterApplicationRoute, UnregisterApplicationRoute)
APP = Atom("test_app")
LOADED, RUNNING, STOPPING = 1, 2, 3
OTHER = Version("OTHER", "R1", "", "")
UNUSABLE = (
    route(HandshakeVersion=OTHER),
    route(ProtoVersion=OTHER),
    route(HandshakeVersion=EHS._replace(Release="R99")),
    route(HandshakeVersion=Version("", "", "", ""), ProtoVersion=Version("", "", "", "")),
)


async def idle(ergo_context: RegistrationContext) -> tuple[SaturnRegistration, AgentDriver]:
    """Returns the connection of a registered target, and its agent."""
    member, _ = await ergo_context.registered_at_saturn()
    return member, AgentDriver(await ergo_context.peer())


async def ask(member: SaturnRegistration, agent: AgentDriver, name: Atom) -> tuple[Words, Resolve]:
    """Tells the agent to connect to this name; returns the op and the request for the name."""
    ref = agent.start("connect", name)
    question = await member.expect(Resolve, also=(ResolveProxy, *OF_APPLICATIONS))
    member.check(question.Name == name, question, f"a Resolve of {name}")
    return ref, question


async def connecting(ergo_context: RegistrationContext) -> tuple[SaturnRegistration, AgentDriver, Words, Resolve]:
    """Tells a registered target to connect to an unknown node; returns its connection, the agent, the op and the request."""
    member, agent = await idle(ergo_context)
    return member, agent, *await ask(member, agent, ergo_context.unknown_node())


# --- routes that are dialed -------------------------------------------------------------------------------------------


@case("SAT-RS-7", "ESRD-PL-1", **NEEDS)
async def test_route(ergo_context: RegistrationContext) -> None:
    """A node resolves a name with a new request number and dials the host of the route, or the host of the name."""
    listener = await ergo_context.listener()
    member, agent = await idle(ergo_context)
    numbers = set()
    for host in ("", HOST):
        ref, question = await ask(member, agent, ergo_context.unknown_node())
        member.answer(question, [route(listener.port, Host=host)])
        (await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)).socket.close()
        await agent.expect_error(ref, error_values.NO_ROUTE)
        numbers.add(question.ID)
    member.check(len(numbers) > 1, f"the number {numbers} used twice", "a new number for each request")


@case("SAT-RS-7", "ESRD-PL-6", **NEEDS)
async def test_tls_route(ergo_context: RegistrationContext) -> None:
    """A node uses TLS for a route with the TLS flag."""
    listener = await ergo_context.listener(tls=True)
    member, _, _, question = await connecting(ergo_context)
    member.answer(question, [route(listener.port, TLS=True)])
    await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)


@case("ESRD-PL-3", "ESRD-PL-5", **NEEDS)
async def test_routes(ergo_context: RegistrationContext) -> None:
    """A node tries the routes that it supports in order, whatever their commit and licence."""
    wrong, gone, closing, good = [await ergo_context.listener() for _ in range(4)]
    await gone.stop()
    member, _, _, question = await connecting(ergo_context)
    licensed = route(good.port, ProtoVersion=ENP._replace(Commit="1" * 40, License="Proprietary"))
    unusable = [each._replace(Port=wrong.port) for each in UNUSABLE]
    member.answer(question, [*unusable, route(gone.port), route(closing.port), licensed])
    acceptor = await Acceptor.accept(closing, ergo_context.target_info, ergo_context.rng)
    await good.expect_no_connection(0.2)
    acceptor.socket.close()
    await Acceptor.accept(good, ergo_context.target_info, ergo_context.rng)
    await wrong.expect_no_connection(0.1)


@case("SAT-RS-7", "SAT-FR-2", "ROB-SAT-2", **NEEDS)
async def test_answer_in_pieces_and_joined(ergo_context: RegistrationContext) -> None:
    """A node accepts an answer in pieces, an answer in one chunk after notifications, and the next answer."""
    listener = await ergo_context.listener()
    member, agent = await idle(ergo_context)
    for joined in (False, True, True, False):
        ref, question = await ask(member, agent, ergo_context.unknown_node())
        answer = ResolveResult(question.ID, None, [route(listener.port)])
        if joined:
            member.send(NodeJoined(question.Name), NodeJoined(question.Name), answer)
        else:
            await member.send_in_pieces(answer, 30, 0.01)
        (await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)).socket.close()
        await agent.expect_error(ref, error_values.NO_ROUTE)


# --- routes that are not dialed ---------------------------------------------------------------------------------------


@case("SAT-RS-7", **NEEDS)
async def test_no_route(ergo_context: RegistrationContext) -> None:
    """A node that is answered with an error or without routes dials nothing and returns "no route"."""
    listener = await ergo_context.listener()
    member, agent, ref, question = await connecting(ergo_context)
    member.answer(question, [route(listener.port)], "no route")
    await agent.expect_error(ref, error_values.NO_ROUTE)
    ref, question = await ask(member, agent, ergo_context.unknown_node())
    member.answer(question, None)
    await agent.expect_error(ref, error_values.NO_ROUTE)
    await listener.expect_no_connection(0.1)


@case("SAT-RS-3", **NEEDS)
async def test_no_answer(ergo_context: RegistrationContext) -> None:
    """A node without an answer gives up after 3 s, drops a later answer, and uses the answer to its next request."""
    listener = await ergo_context.listener()
    member, agent, ref, late = await connecting(ergo_context)
    await agent.expect_error_after(ref, error_values.NO_ROUTE, 3.0)
    member.answer(late, [route(listener.port)])
    await listener.expect_no_connection(QUIET)
    _, question = await ask(member, agent, ergo_context.unknown_node())
    member.answer(question, [route(listener.port)])
    await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)


@case("SAT-RS-3", **NEEDS)
async def test_other_numbers(ergo_context: RegistrationContext) -> None:
    """A node drops an answer with a number that it did not request and uses the answer with the right number."""
    wrong, good = await ergo_context.listener(), await ergo_context.listener()
    member, _, _, question = await connecting(ergo_context)
    for number in (0, question.ID + 1, question.ID ^ 0xFFFF_FFFF):
        member.send(ResolveResult(number, None, [route(wrong.port)]))
    await wrong.expect_no_connection(QUIET)
    member.answer(question, [route(good.port)])
    await Acceptor.accept(good, ergo_context.target_info, ergo_context.rng)
    await wrong.expect_no_connection(0.1)


@case("SAT-RS-4", **NEEDS)
async def test_proxy(ergo_context: RegistrationContext) -> None:
    """Upstream asks for a proxy if there is no route."""
    member, _, _, question = await connecting(ergo_context)
    member.answer(question, None, "no route")
    await member.expect(ResolveProxy, within=2.0, also=OF_APPLICATIONS)


@case("SAT-RS-5", **NEEDS)
async def test_own_name(ergo_context: RegistrationContext) -> None:
    """Upstream sends no request for its own name."""
    member, agent = await idle(ergo_context)
    answer = await agent.run("connect", agent.peer.target)
    agent.peer.check(isinstance(answer, Error), show(answer), "an error value")
    while (message := await member.receive(0.3)) is not None:
        member.check(isinstance(message, OF_APPLICATIONS), message, "no request for the node itself")


# --- while the connection is down -------------------------------------------------------------------------------------


@case("ROB-SAT-6", **NEEDS)
async def test_asked_while_it_is_down(ergo_context: RegistrationContext) -> None:
    """A node that must resolve while disconnected returns "no route", keeps running, and asks after its return."""
    listener = await ergo_context.listener()
    _, agent = await idle(ergo_context)
    await ergo_context.saturn.stop()
    await asyncio.sleep(0.2)
    await agent.expect_error(agent.start("connect", ergo_context.unknown_node()), error_values.NO_ROUTE)
    await started(ergo_context, agent)
    await agent.peer.check_alive()
    await ergo_context.saturn.start(ergo_context.saturn.port)
    member, _ = await ergo_context.saturn.grant_next(2 * SOON)
    _, question = await ask(member, agent, ergo_context.unknown_node())
    member.answer(question, [route(listener.port)])
    await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)


@case("ROB-SAT-6", "SAT-RS-3", **NEEDS)
async def test_lost_while_it_waits(ergo_context: RegistrationContext) -> None:
    """A node whose connection is lost while it waits for an answer drops the request and sends a new one next time."""
    listener = await ergo_context.listener()
    member, agent, ref, _ = await connecting(ergo_context)
    member.socket.close()
    await agent.expect_error(ref, error_values.NO_ROUTE)
    member, _ = await ergo_context.saturn.grant_next(SOON)
    _, question = await ask(member, agent, ergo_context.unknown_node())
    member.answer(question, [route(listener.port)])
    await Acceptor.accept(listener, ergo_context.target_info, ergo_context.rng)


# --- applications -----------------------------------------------------------------------------------------------------


async def started(ergo_context: RegistrationContext, agent: AgentDriver) -> None:
    """Starts `test_app` as a remote node may. Skips the case if the target does not allow it."""
    peer = agent.peer
    ergo_context.needs_flag(peer, Flags.REMOTE_APPLICATION_START)
    options = ApplicationOptionsExtra(ApplicationOptions(), peer.pid(1))
    message = enp.ApplicationStart(APP, 1, options, peer.control_ref())
    peer.send_frame(enp.Control(0, message))
    result = await peer.result(message.Ref)
    peer.check(result.Error is None, result, "a Result without an error")


async def told(member: SaturnRegistration, state: int) -> ApplicationRoute:
    """Returns the next reported state of `test_app`; reports about other applications are skipped."""
    while True:
        route_ = (await member.expect(RegisterApplicationRoute)).Route
        if route_.Name == APP:
            member.check(route_.State == state, route_, f"state {state} of {APP}")
            return route_


@case("SAT-EV-7", **NEEDS)
async def test_applications(ergo_context: RegistrationContext) -> None:
    """A node reports the states of an application under its own name: loaded, running, stopping, loaded again."""
    member, request = await ergo_context.registered_at_saturn()
    agent = AgentDriver(await ergo_context.peer())
    if not any(each.Name == APP for each in request.RegisterRoutes.ApplicationRoutes or ()):
        await told(member, LOADED)
    await started(ergo_context, agent)
    running = await told(member, RUNNING)
    member.check(
        (running.Node, running.Mode) == (agent.peer.target, 1), running, "the target's node, and mode 1 (temporary)"
    )
    await agent.run_true("app_stop", APP)
    await told(member, STOPPING)
    await told(member, LOADED)


@case("SAT-RC-2", **NEEDS)
async def test_applications_of_the_start(ergo_context: RegistrationContext) -> None:
    """Upstream announces the applications that it had at its start when it registers again, not the current ones."""
    member, _ = await ergo_context.registered_at_saturn()
    agent = AgentDriver(await ergo_context.peer())
    await started(ergo_context, agent)
    while (await member.expect(RegisterApplicationRoute)).Route[1::3] != (APP, RUNNING):
        pass
    member.socket.close()
    member, request = await ergo_context.saturn.grant_next(SOON)
    told_again = [*(request.RegisterRoutes.ApplicationRoutes or ())]
    until = member.socket.now() + 1.0
    while (message := await member.receive(until - member.socket.now())) is not None:
        if isinstance(message, RegisterApplicationRoute):
            told_again.append(message.Route)
    states = [each.State for each in told_again if each.Name == APP]
    member.check(RUNNING not in states, f"{APP} in state {states}", f"{APP} not running")
