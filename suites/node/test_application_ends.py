"""The end of a process of an application: the mode decides whether the other processes end, too."""

from dataclasses import dataclass

import pytest

from ergo_conformance.model.ergo import enp, error_values
from ergo_conformance.model.ergo.ehs import Flags
from ergo_conformance.model.ergo.enp import ORDER_MODULUS, Priority, Verb
from ergo_conformance.model.ergo.gen import ApplicationOptions, ApplicationOptionsExtra
from ergo_conformance.model.values import PID, Atom, Error
from ergo_conformance.peers.ergo.agents import add_relation, end_application, expect_end, is_running, poll_until
from ergo_conformance.testing import AGENTS, PROCESS, AgentDriver, Context, case, set_up

PAIR, SINGLE = Atom("pair_app"), Atom("test_app1")
WORKERS = ("pair_app_worker", "pair_app_second")
MODES = {"temporary": 1, "transient": 2, "permanent": 3}


@dataclass(frozen=True, slots=True)
class End:
    """The end of one process of an application, and whether the other one ends with it."""

    mode: str
    reason: str
    both: bool

    @property
    def label(self) -> str:
        return f"{self.mode}, {self.reason}"


ENDS = [
    End("temporary", "normal", both=False),
    End("temporary", "kill", both=False),
    End("transient", "normal", both=False),
    End("transient", "shutdown", both=False),
    End("transient", "kill", both=True),
    End("transient", "a custom reason", both=True),
    End("permanent", "normal", both=True),
    End("permanent", "shutdown", both=True),
    End("permanent", "a custom reason", both=True),
]


async def start(ergo_context: Context, name: Atom, mode: int) -> AgentDriver:
    """Starts an application. Skips the case if the target does not have it."""
    agent = AgentDriver(await ergo_context.peer_with_target_creation())
    ergo_context.needs_flag(agent.peer, Flags.REMOTE_APPLICATION_START)
    options = ApplicationOptionsExtra(ApplicationOptions(), agent.peer.pid(1))
    message = enp.ApplicationStart(name, mode, options, agent.peer.control_ref())
    agent.peer.send_frame(enp.Control(0, message))
    with set_up("ENP-APP-1"):
        result = await agent.peer.result(message.Ref)
        if result.Error is not None and result.Error.text == error_values.NAME_UNKNOWN.text and name == PAIR:
            ergo_context.skip(f"the target has no application {name}")
        agent.peer.check(result.Error is None, result, "a Result without an error")
    return agent


def end(agent: AgentDriver, pid: PID, reason: str) -> None:
    """Ends a process: with normal on request, with another reason by an exit signal."""
    if reason == "normal":
        agent.peer.ask(pid.id, "!terminate")
    else:
        agent.peer.send_frame(enp.Exit(pid.id % ORDER_MODULUS, PROCESS, Priority.MAX, pid.id, Error(reason)))


@pytest.mark.parametrize("how", ENDS, ids=lambda e: f"{e.mode}_{e.reason.split(' ')[0]}")
@case("ENP-APP-4", "ENP-APP-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_of_one_process(ergo_context: Context, how: End) -> None:
    """The mode of an application and the reason of one process ({how}) decide whether the other process ends, too."""
    agent = await start(ergo_context, PAIR, MODES[how.mode])
    try:
        with set_up("ENP-REQ-1"):
            first, second = [await agent.peer.call(worker, "!self") for worker in WORKERS]
        for pid in (first, second):
            await add_relation(agent.peer, Verb.MONITOR, pid)
        end(agent, first, how.reason)
        await expect_end(agent.peer, first, Error(how.reason))
        if how.both:
            await expect_end(agent.peer, second)
            await poll_until(agent.peer, lambda: is_running(agent, PAIR), lambda on: not on, f"{PAIR} stopped")
        else:
            value = await agent.peer.call(second.id, "!self")
            agent.peer.check(value == second, repr(value), f"{second!r}, still running")
            found = await agent.run("app_info", PAIR)
            agent.peer.check(found == f"running {how.mode}", repr(found), repr(f"running {how.mode}"))
    finally:
        await end_application(agent, PAIR, *WORKERS)


@pytest.mark.parametrize("mode", list(MODES))
@case("ENP-APP-4", "ENP-APP-1", offers=AGENTS, agents=("agent",), exclusive=True)
async def test_of_the_last_process(ergo_context: Context, mode: str) -> None:
    """An application ({mode}) stops with its last process and can be started again, twice."""
    for _ in range(3):
        agent = await start(ergo_context, SINGLE, MODES[mode])
        await end_application(agent, SINGLE)
