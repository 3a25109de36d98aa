"""Context of a case, with the embedded node in memory."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ergo_conformance.model.ergo.ehs import Flags
from ergo_conformance.peers.memory import VirtualLoop
from ergo_conformance.targets.base import RunningTarget
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.targets.tcp import TcpRunningTarget
from ergo_conformance.verdict.run.context import Context, SkippedError


def run_script(script: Callable[[Context], Coroutine[Any, Any, None]], **config: Any) -> None:
    async def run() -> None:
        running = await SelfTarget().start(config)
        context = Context(running, random.Random(0))
        try:
            await script(context)
        finally:
            context.close()
            await running.stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


def test_peer_with_target_creation_has_the_creation_of_the_target() -> None:
    async def script(ctx: Context) -> None:
        peer = await ctx.peer_with_target_creation("twin@localhost", sockets=2)
        assert peer.creation == peer.introduce.Creation
        assert (peer.name, len(peer.sockets)) == ("twin@localhost", 2)
        assert (await ctx.peer()).creation != peer.creation
        await peer.check_alive()

    run_script(script)


def test_peer_has_the_given_creation() -> None:
    async def script(ctx: Context) -> None:
        peer = await ctx.peer(creation=7)
        assert peer.pid().creation == 7
        await peer.check_alive()

    run_script(script)


def test_missing_flag_skips_the_case() -> None:
    async def script(ctx: Context) -> None:
        peer = await ctx.peer()
        ctx.needs_flag(peer, Flags.REMOTE_APPLICATION_START)
        with pytest.raises(SkippedError, match="the target does not announce REMOTE_SPAWN"):
            ctx.needs_flag(peer, Flags.REMOTE_SPAWN)

    run_script(script, flags={"spawn": False})


def test_only_targets_that_the_toolkit_started_are_stoppable() -> None:
    async def script(ctx: Context) -> None:
        assert ctx.target.stoppable

    run_script(script)
    assert not RunningTarget.stoppable
    assert not TcpRunningTarget.stoppable
