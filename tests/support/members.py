"""Nodes in processes of their own, asked from here."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("member_process.py")
LIMIT = 300.0
"""Seconds that an answer may take."""


class Member:
    """One of them."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name, self.process = name, process
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def start(cls, name: str, *prefix: str, **settings: Any) -> "Member":
        """`prefix`: a command that starts the command. AssertionError, with what it printed, if there is no node."""
        process = await asyncio.create_subprocess_exec(
            *prefix, sys.executable, str(PROGRAM), json.dumps({"name": name, **settings}),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(LIMIT):
            assert await process.stdout.readline() == b"ready\n", f"{name} has not started"
        return cls(name, process)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            number, answer = json.loads(line)
            self._waiting.pop(number).set_result(answer)

    async def ask(self, method: str, *args: Any) -> Any:
        """What it answers; several questions may be on their way."""
        assert self.process.stdin is not None
        self._number += 1
        self._waiting[self._number] = future = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps([self._number, [method, *args]]).encode() + b"\n")
        async with asyncio.timeout(LIMIT):
            return await future

    async def good(self, method: str, *args: Any) -> Any:
        """The same; AssertionError if the answer is an error."""
        answer = await self.ask(method, *args)
        assert not (isinstance(answer, dict) and "error" in answer), f"{self.name}: {method}{args}: {answer}"
        return answer

    async def kill(self) -> None:
        """Ends it without a word."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reading

    async def stop(self) -> None:
        """Ends it regularly."""
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
async def members(*names: str, **settings: Any) -> AsyncIterator[list[Member]]:
    """Such nodes; ended with the block."""
    started = [await Member.start(name, **settings) for name in names]
    try:
        yield started
    finally:
        for member in started:
            await member.kill()
