"""Which agents a target hosts: from its READY, or by calls; what is said where one is missing."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ergo_conformance.model.ergo import subject
from ergo_conformance.peers.memory import VirtualLoop
from ergo_conformance.reference_node.core.process import Actor
from ergo_conformance.reference_node.target.agent_operations import LEVEL_2
from ergo_conformance.reference_node.target.agents import LEVEL_1, Supervisor
from ergo_conformance.targets.base import AGENTS_TIMEOUT, Running, probe_agents
from ergo_conformance.targets.process import ProcessTarget
from ergo_conformance.targets.self_node import MemoryRunning, SelfTarget, make_node
from ergo_conformance.targets.tcp import TcpTarget
from ergo_conformance.verdict.run.case import AGENTS, Case
from ergo_conformance.verdict.run.context import Context, SkippedError
from ergo_conformance.verdict.run.schedule import LiveRunner, Planned, run_case
from tests.support.settings import settings_of
from tests.support.sockets import run, started

ALL = frozenset(subject.ACTING)


@asynccontextmanager
async def hosting(names: set[str], *, offers: frozenset[str], asks: bool) -> AsyncIterator[Running]:
    """A node in memory with these agents, of which nobody has told."""
    config = await SelfTarget().start({})
    running = MemoryRunning(config.target_info, False, offers)
    wanted = settings_of(config.target_info.name, cookie=config.target_info.cookie, types=subject.ROWS)
    running.node, running.asks_for_agents = make_node(wanted, "agents"), asks
    known: dict[str, type[Actor]] = LEVEL_1 | LEVEL_2
    Supervisor(running.node.core, {name: known[name] for name in names})
    try:
        yield running
    finally:
        await running.stop()
        await config.stop()


def probed(*names: str, offers: tuple[str, ...] = ("accept",), asks: bool = True) -> tuple[Running, float]:
    """What the calls find out, and the seconds they take."""

    async def work() -> tuple[Running, float]:
        async with hosting({*names}, offers=frozenset(offers), asks=asks) as running:
            before = asyncio.get_running_loop().time()
            await probe_agents(running)
            return running, asyncio.get_running_loop().time() - before

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work())


@pytest.mark.parametrize("hosted", [set(), {"pub"}, {"crasher", "agent"}, ALL])
def test_agents_of_level_2_are_asked_each(hosted: set[str]) -> None:
    running, seconds = probed("echo", *hosted)
    assert running.offers == {"accept", "agents"}
    assert running.agents == hosted
    assert running.types is True
    assert seconds <= AGENTS_TIMEOUT


def test_without_echo_nobody_is_asked_further() -> None:
    running, _ = probed(*ALL)
    assert running.offers == {"accept"}
    assert (running.agents, running.types) == (frozenset(), False)


def test_who_said_that_there_are_agents_is_asked_which() -> None:
    running, _ = probed("pub", offers=AGENTS, asks=False)
    assert running.agents == {"pub"}
    assert running.types is None  # as before


def test_known_ones_are_not_asked_again() -> None:
    async def work() -> None:
        async with hosting({"echo", *ALL}, offers=frozenset(AGENTS), asks=False) as running:
            running.pids = {"echo": 1001}
            await probe_agents(running)
            assert running.agents == frozenset()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work())


def test_the_embedded_node_tells_its_agents() -> None:
    async def work() -> None:
        running = await SelfTarget().start({})
        assert running.agents >= ALL | LEVEL_1.keys()
        await running.stop()

    run(work())


@pytest.mark.parametrize(("told", "found"), [({"echo": 1, "pub": 2}, {"echo", "pub"}), ({}, set()), (None, set())])
def test_a_process_tells_its_agents_in_ready(told: Any, found: set[str]) -> None:
    ready = json.dumps({"name": "a@b", "port": 1, "offers": [*AGENTS], "pids": told, "config": {}})
    program = f"import threading; print('READY', {ready!r}, flush=True); threading.Event().wait(30)"

    async def work() -> None:
        target = ProcessTarget([sys.executable, "-S", "-c", program])
        running = await target.start({})
        await running.stop()
        await target.close()
        assert running.agents == found

    run(work())


def needs(*agents: str) -> Planned:
    async def body(ctx: Context) -> None:
        assert ctx.target.agents >= {*agents}

    return Planned("node.area.case", Case(("ENP-EVT-1",), frozenset(AGENTS), frozenset(agents)), body)


def test_a_case_says_which_agents_are_missing() -> None:
    async def work() -> None:
        async with hosting({"echo"}, offers=frozenset(AGENTS), asks=False) as running:
            running.agents = frozenset({"pub"})
            ran = await run_case(needs("pub"), running, 0, 5.0)
            assert ran.error is None
            for missing, text in (({"agent"}, "`agent`"), ({"agent", "crasher", "pub"}, "`agent`, `crasher`")):
                ran = await run_case(needs(*missing), running, 0, 5.0)
                assert isinstance(ran.error, SkippedError)
                assert str(ran.error) == f"the target hosts no agent {text}"

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work())


@pytest.mark.parametrize("offers", [None, frozenset(AGENTS)], ids=["unsaid", "offered"])
def test_a_running_node_is_asked_at_the_start_of_a_run(offers: frozenset[str] | None) -> None:
    async def work() -> None:
        async with started("a") as (node,):
            Supervisor(node.core, {name: (LEVEL_1 | LEVEL_2)[name] for name in ("echo", "crasher")})
            port = node.network.acceptors[0].port
            target = TcpTarget(f"tcp://127.0.0.1:{port}", cookie="secret", node=None, tls_ca=None, offers=offers)
            runner = LiveRunner(target, 0, 10.0, 4)
            try:
                running = await asyncio.to_thread(runner.start)
                assert running.agents == {"crasher"}
            finally:
                await asyncio.to_thread(runner.close)

    run(work())
