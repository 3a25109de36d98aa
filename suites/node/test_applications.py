"""Remote start of applications: permissions, modes, and the requests that the target sends to the tester."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ergo_conformance.model.ergo import enp, error_values, gen
from ergo_conformance.model.ergo.ehs import DEFAULT_FLAGS, FLAGS_WIDTH, Flags
from ergo_conformance.model.ergo.gen import ApplicationOptions, ApplicationOptionsExtra
from ergo_conformance.model.show import show
from ergo_conformance.model.values import Atom, Error
from ergo_conformance.peers.ergo.agents import end_application
from ergo_conformance.testing import AGENTS, ORDER, AgentDriver, Context, Peer, case, set_up

MODES = {1: "temporary", 2: "transient", 3: "permanent"}
OWN, TEMPORARY = 0, 1
APP, OTHER, RESTRICTED = Atom("test_app"), Atom("test_app1"), Atom("restricted_app")
OFF = {"flags": {"spawn": False, "application_start": False}}
modes = pytest.mark.parametrize("mode", list(MODES), ids=MODES.get)


def request(peer: Peer, name: Atom, mode: int = TEMPORARY, **extra: Any) -> enp.ApplicationStart:
    """Returns a valid request of the tester's node; `extra` replaces fields of its options."""
    options = ApplicationOptionsExtra(ApplicationOptions(), peer.pid(1))._replace(**extra)
    return enp.ApplicationStart(name, mode, options, peer.control_ref())


async def asked(peer: Peer, message: enp.ApplicationStart) -> enp.Result:
    """Returns the Result of a request."""
    peer.send_frame(enp.Control(0, message))
    return await peer.result(message.Ref)


async def refused(peer: Peer, message: enp.ApplicationStart, error: Error) -> None:
    result = await asked(peer, message)
    good = result.Error is not None and result.Error.text == error.text
    peer.check(good, result, f"a Result with {show(error.text)}")


@contextlib.asynccontextmanager
async def started(
    ergo_context: Context, name: Atom, mode: int, as_: str | None = None, **extra: Any
) -> AsyncIterator[AgentDriver]:
    """Runs the body while an application is running that the tester started."""
    agent = AgentDriver(await ergo_context.peer(as_))
    ergo_context.needs_flag(agent.peer, Flags.REMOTE_APPLICATION_START)
    with set_up():
        await end_application(agent, name)
    result = await asked(agent.peer, request(agent.peer, name, mode, **extra))
    try:
        agent.peer.check(result.Error is None, result, "a Result without an error")
        yield agent
    finally:
        await end_application(agent, name)


async def info(agent: AgentDriver, name: Atom, wanted: str) -> None:
    """Checks the state and mode of an application as reported by the agent."""
    found = await agent.run("app_info", name)
    agent.peer.check_equal(found, wanted)


@modes
@case("ENP-APP-1", "ENP-C-ApplicationStart", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_mode(ergo_context: Context, mode: int) -> None:
    """An application that is started in mode {mode} runs in that mode."""
    for name in (APP, OTHER):
        async with started(ergo_context, name, mode) as agent:
            await info(agent, name, f"running {MODES[mode]}")


@case("ENP-APP-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_its_processes(ergo_context: Context) -> None:
    """The processes of an application exist only while it is running."""
    peer = await ergo_context.peer()
    worker = f"{OTHER}_worker"
    async with started(ergo_context, OTHER, TEMPORARY) as agent:
        value = await agent.peer.call(worker, "hello")
        agent.peer.check_equal(value, "hello")
    await peer.expect_no_answer(peer.ask(worker, "hello"))
    async with started(ergo_context, OTHER, TEMPORARY) as agent:
        await agent.peer.call(worker, "hello")


@case("ENP-APP-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_own_mode(ergo_context: Context) -> None:
    """An application that is started in mode 0 runs."""
    async with started(ergo_context, APP, OWN) as agent:
        found = await agent.run("app_info", APP)
        agent.peer.check(str(found).startswith("running "), show(found), "a running application")
        await agent.peer.call(f"{APP}_worker", "hello")


@case("ENP-APP-2", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_own_mode_is_not_looked_at(ergo_context: Context) -> None:
    """Upstream runs an application that is started in mode 0 as temporary, whatever the mode of its specification."""
    async with started(ergo_context, APP, OWN) as agent:
        await info(agent, APP, "running temporary")


@case("ENP-APP-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_running_already(ergo_context: Context) -> None:
    """A target refuses to start a running application with "application is still running" and keeps its mode."""
    async with started(ergo_context, OTHER, TEMPORARY) as agent:
        for mode in (OWN, *MODES):
            await refused(agent.peer, request(agent.peer, OTHER, mode), error_values.APPLICATION_RUNNING)
        await info(agent, OTHER, "running temporary")


@case("ENP-APP-1", offers=AGENTS, agents=("agent",))
async def test_unknown(ergo_context: Context) -> None:
    """A target refuses an application that is not enabled for remote start with "unknown name"."""
    peer = await ergo_context.peer()
    ergo_context.needs_flag(peer, Flags.REMOTE_APPLICATION_START)
    await refused(peer, request(peer, Atom("no_such_app")), error_values.NAME_UNKNOWN)


@case("ENP-APP-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_restricted(ergo_context: Context) -> None:
    """A target refuses an application that is enabled for another node with "not allowed" and does not start it."""
    peer = await ergo_context.peer()
    ergo_context.needs_flag(peer, Flags.REMOTE_APPLICATION_START)
    await refused(peer, request(peer, RESTRICTED), error_values.NOT_ALLOWED)
    await peer.expect_no_answer(peer.ask(f"{RESTRICTED}_worker", "hello"))


@case("ENP-APP-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_allowed(ergo_context: Context) -> None:
    """A target starts an application that is enabled for one node at the request of that node."""
    async with started(
        ergo_context, RESTRICTED, TEMPORARY, ergo_context.config.get("allowed", "allowed@localhost")
    ) as agent:
        await agent.peer.call(f"{RESTRICTED}_worker", "hello")


@case("ENP-SPAWN-3", offers=AGENTS, agents=("agent",), config=OFF)
async def test_target_without_the_flag(ergo_context: Context) -> None:
    """A target that does not announce remote application start starts none: it answers an error, or not at all."""
    peer = await ergo_context.peer()
    message = request(peer, OTHER)
    peer.send_frame(enp.Control(0, message))
    received = await peer.find(lambda f: isinstance(f, enp.Control) and f.message.Ref == message.Ref, within=1.0)
    if received is not None:
        peer.check(received.value.message.Error is not None, received.value, "a Result with an error, or no Result")
    await peer.expect_no_answer(peer.ask(f"{OTHER}_worker", "hello"))


@case("ENP-APP-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_environment(ergo_context: Context) -> None:
    """The processes of an application have the requesting node's environment overridden by the request's options."""
    options = ApplicationOptions(Env={"BOTH": "own", "OWN": "1"})
    env = {"BOTH": "core", "CORE": "2"}
    async with started(ergo_context, OTHER, TEMPORARY, ApplicationOptions=options, CoreEnv=env) as agent:
        value = await agent.peer.call(f"{OTHER}_worker", "!env")
        found = set(getattr(value, "value", value))
        agent.peer.check(found >= {"BOTH=own", "OWN=1", "CORE=2"}, sorted(found), "BOTH=own, OWN=1 and CORE=2")


# --- requests of the target to the tester -----------------------------------------------------------------------------


async def asked_of_us(agent: AgentDriver, mode: int) -> tuple[enp.Words, enp.ApplicationStart]:
    """Tells the agent to start an application of the tester; returns the reference of the op and the request."""
    ref = agent.start("app_start", agent.peer.name, "an_app", mode)
    received = await agent.peer.wait_for(
        lambda f: isinstance(f, enp.Control) and isinstance(f.message, enp.ApplicationStart),
        "a MessageApplicationStart of agent",
    )
    return ref, received.value.message


@pytest.mark.parametrize("mode", [OWN, *MODES], ids=lambda mode: MODES.get(mode, "own"))
@case("ENP-C-ApplicationStart", "ENP-APP-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_request(ergo_context: Context, mode: int) -> None:
    """The agent's request for mode {mode} contains the application, the mode and a PID of its node."""
    agent = AgentDriver(await ergo_context.peer())
    peer = agent.peer
    ref, message = await asked_of_us(agent, mode)
    peer.check((message.Name, message.Mode) == ("an_app", mode), message, f"an_app and mode {mode}")
    core = message.Options.CorePID
    peer.check(core != gen.NO_PID and core.node == peer.target, show(core), f"a PID of {peer.target}")
    peer.check(not message.Options.CoreEnv, message.Options.CoreEnv, "no environment, because it is not exposed")
    peer.send_frame(enp.Control(ORDER, enp.Result(None, None, message.Ref)))
    await agent.expect_true(ref)


@case("ENP-APP-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_our_refusal(ergo_context: Context) -> None:
    """The agent returns the error of the tester's Result."""
    agent = AgentDriver(await ergo_context.peer())
    for error in (error_values.NOT_ALLOWED, error_values.APPLICATION_RUNNING):
        ref, message = await asked_of_us(agent, TEMPORARY)
        agent.peer.send_frame(enp.Control(ORDER, enp.Result(error, None, message.Ref)))
        await agent.expect_error(ref, error)


@case("ENP-SPAWN-3", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_we_do_not_announce_it(ergo_context: Context) -> None:
    """A target refuses with "not allowed" and sends nothing if the peer did not announce remote application start."""
    flags = (DEFAULT_FLAGS & ~Flags.REMOTE_APPLICATION_START).to_bytes(FLAGS_WIDTH, "big")
    agent = AgentDriver(await ergo_context.peer(Flags=flags))
    await agent.expect_error(agent.start("app_start", agent.peer.name, "an_app", TEMPORARY), error_values.NOT_ALLOWED)
    await agent.peer.expect_none(lambda f: isinstance(f, enp.Control), "request to start an application")
