"""Runs coroutine cases: in memory each by itself under a virtual clock, live ones side by side on one loop in a thread.

Planned waits then cost as long as the longest of them, not their sum. On a target that does one handshake at a time,
cases that keep a handshake open run one after the other, when all others are done: they would starve them.
"""

import asyncio
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ..errors import UsageError
from ..peers.link import VirtualLoop
from ..peers.violation import UnreachableError, ViolationError
from ..targets.base import NotGivenError, Running, Target, probe_serial
from .case import Case
from .context import Context, SkippedError

Body = Callable[[Context], Coroutine[Any, Any, None]]
KEPT_LINES = 12
"""Lines of a link's transcript that a report shows."""


@dataclass(slots=True)
class Planned:
    """A case that is going to run."""

    id: str
    case: Case
    body: Body


@dataclass(slots=True)
class Ran:
    """How a case ended. `error` is None, a ViolationError, a SkippedError, or something that should not happen."""

    error: BaseException | None = None
    seconds: float = 0.0
    transcripts: list[tuple[str, list[str]]] = field(default_factory=list)


def config_key(case: Case) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(case.config.items(), key=lambda item: item[0]))


def missing_offer(case: Case, running: Running) -> str | None:
    missing = sorted(case.offers - running.offers)
    return f"needs a target that offers {', '.join(missing)}" if missing else None


async def run_case(planned: Planned, running: Running, seed: int, limit: float) -> Ran:
    """One case against a running target; everything it opened is closed afterwards."""
    reason = missing_offer(planned.case, running)
    if reason:
        return Ran(SkippedError(reason))
    context = Context(running, random.Random(f"{seed}:{planned.id}"))
    started = time.monotonic()
    ran = Ran()
    try:
        async with asyncio.timeout(limit):
            await planned.body(context)
            if planned.case.hostile:
                await context.still_serves()
    except TimeoutError:
        ran.error = ViolationError(f"not done after {limit:g} s", ("an end of the case in time",))
    except UnreachableError as error:
        ran.error = ViolationError(str(error), ("a connection",))
    except Exception as error:  # noqa: BLE001  the report says what it was
        ran.error = error
    ran.seconds = time.monotonic() - started
    if ran.error is not None:
        ran.transcripts = [(link.transcript.label, list(link.transcript.lines(KEPT_LINES))) for link in context.links]
    context.close()
    return ran


class MemoryRunner:
    """A target in memory: every case gets a loop and a target of its own."""

    def __init__(self, target: Target, seed: int, limit: float) -> None:
        self.target, self.seed, self.limit = target, seed, limit

    def plan(self, planned: Sequence[Planned]) -> None:
        """Nothing starts before it is asked for."""

    def result(self, planned: Planned) -> Ran:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(self._run(planned))

    async def _run(self, planned: Planned) -> Ran:
        try:
            running = await self.target.start(planned.case.config)
        except NotGivenError as error:
            return Ran(SkippedError(str(error)))
        try:
            return await run_case(planned, running, self.seed, self.limit * 60)
        finally:
            await running.stop()

    def close(self) -> None:
        """Nothing is left."""


class LiveRunner:
    """A live target: one per configuration, all its cases side by side."""

    def __init__(self, target: Target, seed: int, limit: float, jobs: int) -> None:
        self.target, self.seed, self.limit, self.jobs = target, seed, limit, jobs
        self.results: dict[str, Future[Ran]] = {}
        self.serial = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cases", daemon=True)
        self._thread.start()
        self._first: Running | None = None
        self._work: Future[None] | None = None

    def start(self) -> Running:
        """Starts the target as it is by default. Raises TargetError."""
        self._first = self._call(self.target.start({})).result()
        self.serial = self._first.serial = self._call(probe_serial(self._first)).result()
        return self._first

    def plan(self, planned: Sequence[Planned]) -> None:
        """Starts all cases; `result` waits for one."""
        self.results = {entry.id: Future() for entry in planned}
        groups: Mapping[tuple[tuple[str, Any], ...], list[Planned]] = defaultdict(list)
        for entry in planned:
            groups[config_key(entry.case)].append(entry)
        self._work = self._call(self._run_groups(groups))

    def result(self, planned: Planned) -> Ran:
        return self.results[planned.id].result()

    def close(self) -> None:
        """Ends the cases that still run, and the target."""
        if self._work is not None:
            self._work.cancel()
        self._call(self._end()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _end(self) -> None:
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        if self._first is not None:
            await self._first.stop()
        await self.target.close()

    async def _run_groups(self, groups: Mapping[tuple[tuple[str, Any], ...], list[Planned]]) -> None:
        for key in sorted(groups, key=lambda key: (len(key), repr(key))):
            try:
                running = self._first if not key else await self.target.start(dict(key))
            except (NotGivenError, UsageError) as error:
                ran = Ran(SkippedError(str(error)) if isinstance(error, NotGivenError) else error)
                for entry in groups[key]:
                    self.results[entry.id].set_result(ran)
                continue
            assert running is not None
            running.serial = self.serial
            try:
                await self._run_group(groups[key], running)
            finally:
                if running is not self._first:
                    await running.stop()

    async def _run_group(self, entries: Sequence[Planned], running: Running) -> None:
        alone = [entry for entry in entries if entry.case.stalls and running.serial]
        gate = asyncio.Semaphore(self.jobs)
        await asyncio.gather(*(self._run_one(entry, running, gate) for entry in entries if entry not in alone))
        for entry in alone:
            await self._run_one(entry, running, gate)

    async def _run_one(self, entry: Planned, running: Running, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                ran = await run_case(entry, running, self.seed, self.limit)
            except BaseException as error:
                self.results[entry.id].set_result(Ran(error))
                raise
            self.results[entry.id].set_result(ran)
