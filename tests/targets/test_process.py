"""Starting a target: its READY line, its settings, its end."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import pytest

from ergo_conformance.targets import process
from ergo_conformance.targets.base import NotGivenError, TargetError
from ergo_conformance.targets.process import ProcessRunning, ProcessTarget, in_force

PRELUDE = "import json, os, signal, sys, threading; wanted = json.loads(os.environ['ERGO_TARGET'])\n"
STAYS = "\nthreading.Event().wait(30)"
GOOD = """print("READY", json.dumps({"name": "a@b", "port": 1, "config": CONFIG}), flush=True)"""


def target(program: str, **settings: Any) -> ProcessTarget:
    return ProcessTarget([sys.executable, "-S", "-c", PRELUDE + program], **settings)


def good(config: str = "wanted", **settings: Any) -> ProcessTarget:
    return target(GOOD.replace("CONFIG", config) + STAYS, **settings)


def run[T](work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work, debug=True)


async def started(of: ProcessTarget, **config: Any) -> ProcessRunning:
    """Start, look, stop."""
    running = await of.start(config)
    assert isinstance(running, ProcessRunning)
    await running.stop()
    await of.close()
    return running


def complaint(of: ProcessTarget, **config: Any) -> str:
    with pytest.raises(TargetError) as raised:
        run(started(of, **config))
    return str(raised.value)
