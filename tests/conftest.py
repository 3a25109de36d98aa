"""Runs coroutine tests: under a clock that jumps to the next timer, or on a real loop if the test is marked `real_loop`."""

import asyncio
import gc
import inspect
from collections.abc import Coroutine
from typing import Any

import pytest

from ergo_conformance.peers.memory import VirtualLoop

LIMIT = 500.0
"""Seconds for a coroutine test on a real loop: less than pytest's own limit, so that the trace shows what it waits for."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real_loop(limit): runs a coroutine test on a real loop, within `limit` seconds")
    config.addinivalue_line("markers", "covers(*rows): the rows of docs/node-api.md that the test shows")


def pytest_collection_finish() -> None:
    """Excludes modules and collected tests from garbage collections, which would visit these objects hundreds of times."""
    gc.collect()
    gc.freeze()


async def bounded(test: Coroutine[Any, Any, None], limit: float = LIMIT) -> None:
    async with asyncio.timeout(limit):
        await test


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    work = pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames})
    real = pyfuncitem.get_closest_marker("real_loop")
    with asyncio.Runner(loop_factory=None if real else VirtualLoop) as runner:
        runner.run(bounded(work, *real.args, **real.kwargs) if real else work)
    return True
