"""Agents of a target: from READY or by probing; messages about missing agents."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model.ergo import agent_types
from ergo_conformance.peers.memory import VirtualLoop
from ergo_conformance.reference_node.target.agent_operations import level_2
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from ergo_conformance.targets.base import RunningTarget
from ergo_conformance.targets.probe import AGENTS_TIMEOUT, probe_agents
from ergo_conformance.targets.process import ProcessTarget
from ergo_conformance.targets.self_node import MemoryRunningTarget, SelfTarget, make_node
from ergo_conformance.targets.tcp import TcpTarget
from ergo_conformance.verdict.run.case import AGENTS, Case
from ergo_conformance.verdict.run.context import Context, SkippedError
from ergo_conformance.verdict.run.execution import PlannedCase, run_case
from ergo_conformance.verdict.run.live import LiveRunner
from tests.support.settings import settings_of
from tests.support.sockets import running_nodes

ALL = frozenset(agent_types.ACTING)


@asynccontextmanager
async def node_with_agents(
    names: set[str], *, offers: frozenset[str], agents_unknown: bool
) -> AsyncIterator[RunningTarget]:
    """In-memory node with these agents; `agents_unknown`: whether a run has to probe them."""
    config = await SelfTarget().start({})
    wanted = settings_of(config.target_info.name, cookie=config.target_info.cookie, types=agent_types.ROWS)
    node = make_node(wanted, "agents")
    running = MemoryRunningTarget(config.target_info, False, offers, agents_unknown=agents_unknown, node=node)
    known = {**LEVEL_1, **level_2(node.core)}
    Supervisor(running.node.core, {name: known[name] for name in names})
    try:
        yield running
    finally:
        await running.stop()
        await config.stop()


def probe_results(
    *names: str, offers: tuple[str, ...] = ("accept",), agents_unknown: bool = True
) -> tuple[RunningTarget, float]:
    """Probes a node with these agents; returns the target and the seconds of the probe."""

    async def work() -> tuple[RunningTarget, float]:
        async with node_with_agents({*names}, offers=frozenset(offers), agents_unknown=agents_unknown) as running:
            before = asyncio.get_running_loop().time()
            await probe_agents(running)
            return running, asyncio.get_running_loop().time() - before

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work())


@pytest.mark.parametrize("hosted", [set(), {"pub"}, {"crasher", "agent"}, ALL])
def test_probe_finds_the_hosted_agents_of_level_2(hosted: set[str]) -> None:
    running, seconds = probe_results("echo", *hosted)
    assert running.offers == {"accept", "agents"}
    assert running.agents == hosted
    assert running.types is True
    assert seconds <= AGENTS_TIMEOUT


def test_probe_without_echo_calls_no_other_agent() -> None:
    running, _ = probe_results(*ALL)
    assert running.offers == {"accept"}
    assert (running.agents, running.types) == (frozenset(), False)


def test_probe_of_a_target_that_offers_agents_finds_which() -> None:
    running, _ = probe_results("pub", offers=AGENTS, agents_unknown=False)
    assert running.agents == {"pub"}
    assert running.types is None  # unchanged


async def test_probe_does_not_call_agents_that_ready_names() -> None:
    async with node_with_agents({"echo", *ALL}, offers=frozenset(AGENTS), agents_unknown=False) as running:
        running.pids = {"echo": 1001}
        await probe_agents(running)
        assert running.agents == frozenset()


@pytest.mark.real_loop
async def test_embedded_node_names_its_agents() -> None:
    running = await SelfTarget().start({})
    assert running.agents >= ALL | LEVEL_1.keys()
    await running.stop()


@pytest.mark.parametrize(("pids", "found"), [({"echo": 1, "pub": 2}, {"echo", "pub"}), ({}, set()), (None, set())])
@pytest.mark.real_loop
async def test_ready_names_the_agents_of_a_process(pids: Any, found: set[str]) -> None:
    ready = json.dumps({"name": "a@b", "port": 1, "offers": [*AGENTS], "pids": pids, "config": {}})
    program = f"import threading; print('READY', {ready!r}, flush=True); threading.Event().wait(30)"
    target = ProcessTarget([sys.executable, "-S", "-c", program])
    running = await target.start({})
    await running.stop()
    await target.close()
    assert running.agents == found


def needs(*agents: str) -> PlannedCase:
    async def body(ctx: Context) -> None:
        assert ctx.target.agents >= {*agents}

    return PlannedCase("node.area.case", Case(("ENP-EVT-1",), frozenset(AGENTS), frozenset(agents)), body)


async def test_missing_agents_skip_a_case_with_their_names() -> None:
    async with node_with_agents({"echo"}, offers=frozenset(AGENTS), agents_unknown=False) as running:
        running.agents = frozenset({"pub"})
        result = await run_case(needs("pub"), running, 0, 5.0)
        assert result.error is None
        for missing, text in (({"agent"}, "`agent`"), ({"agent", "crasher", "pub"}, "`agent`, `crasher`")):
            result = await run_case(needs(*missing), running, 0, 5.0)
            assert isinstance(result.error, SkippedError)
            assert str(result.error) == f"the target hosts no agent {text}"


@pytest.mark.parametrize("offers", [None, frozenset(AGENTS)], ids=["unsaid", "offered"])
@pytest.mark.real_loop
async def test_start_of_a_run_probes_the_agents_of_a_running_node(offers: frozenset[str] | None) -> None:
    async with running_nodes("a") as (node,):
        Supervisor(node.core, {name: {**LEVEL_1, **level_2(node.core)}[name] for name in ("echo", "crasher")})
        port = node.network.acceptors[0].port
        target = TcpTarget(f"tcp://127.0.0.1:{port}", cookie="secret", node=None, tls_ca=None, offers=offers)
        runner = LiveRunner(target, 0, 10.0, 4)
        try:
            running = await asyncio.to_thread(runner.start)
            assert running.agents == {"crasher"}
        finally:
            await asyncio.to_thread(runner.close)
