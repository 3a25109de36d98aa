"""Nodes that run as separate processes, with requests over stdin and stdout."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("node_program.py")
ANSWER_LIMIT = 300.0
"""Maximum seconds of an answer."""


class NodeProcess:
    """Node in a separate process (node_program.py)."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name, self.process = name, process
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def start(cls, name: str, *prefix: str, **settings: Any) -> "NodeProcess":
        """Starts a node; `prefix`: command that runs the command. AssertionError if it prints no ready line."""
        process = await asyncio.create_subprocess_exec(
            *prefix, sys.executable, str(PROGRAM), json.dumps({"name": name, **settings}),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(ANSWER_LIMIT):
            assert await process.stdout.readline() == b"ready\n", f"{name} has not started"
        return cls(name, process)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            number, answer = json.loads(line)
            self._waiting.pop(number).set_result(answer)

    async def try_request(self, method: str, *args: Any) -> Any:
        """Calls a method of the node; returns its result, or {"error": text}. Requests may be concurrent."""
        assert self.process.stdin is not None
        self._number += 1
        self._waiting[self._number] = future = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps([self._number, [method, *args]]).encode() + b"\n")
        async with asyncio.timeout(ANSWER_LIMIT):
            return await future

    async def request(self, method: str, *args: Any) -> Any:
        """Calls a method of the node; returns its result. AssertionError if it is an error."""
        answer = await self.try_request(method, *args)
        assert not (isinstance(answer, dict) and "error" in answer), f"{self.name}: {method}{args}: {answer}"
        return answer

    async def kill(self) -> None:
        """Kills the process."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading

    async def stop(self) -> None:
        """Stops the node: its program ends at the end of stdin."""
        if self.process.returncode is None and self.process.stdin is not None:
            self.process.stdin.close()
            try:
                async with asyncio.timeout(10):
                    await self.process.wait()
            except TimeoutError:
                await self.kill()
                raise
        await self._reading


@asynccontextmanager
async def node_processes(*names: str, **settings: Any) -> AsyncIterator[list[NodeProcess]]:
    """Starts nodes; kills them at the end of the block."""
    started = [await NodeProcess.start(name, **settings) for name in names]
    try:
        yield started
    finally:
        for node in started:
            await node.kill()
