"""Runner for live targets: the cases run concurrently on one loop in a thread.

The waits of the cases therefore take as long as the longest of them, not their sum. On a target that does one handshake at a
time the cases run one by one, since concurrent cases would delay each other. Dangerous cases (they have killed real nodes)
run last.

A late tester can't judge: if a case found a violation while the loop was late, it runs again beside few other cases, then
without others; if the loop is late again, the case is INCONCLUSIVE.
"""

import asyncio
import contextlib
import json
import random
import threading
from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any, Final

from ...errors import UsageError
from ...peers.violation import UnreachableError, ViolationError
from ...targets.base import ConfigNotSupportedError, RunningTarget, Target, TargetError
from ...targets.probe import probe, probe_agents
from .case import Case
from .context import Context, SkippedError
from .execution import CaseResult, InconclusiveError, PlannedCase, run_case
from .lag import HEARTBEAT, LagMonitor

MAX_LAG: Final = 0.2
"""Seconds that the tester may be late; the shortest deadline of the protocol is 1 s."""
JOBS_OF_RETRIES: Final = 8
"""Maximum number of cases that run again concurrently: one late moment makes all cases of that moment run again."""
RETRIES: Final = 2
"""Maximum number of runs of a case alone after the tester was late."""
END_TIMEOUT: Final = 20.0
"""Seconds in which targets have to stop."""
JOBS_FOR_SILENCE: Final = 64
"""Minimum number of concurrent cases on a target that never answers: such cases only wait."""
CONCURRENT_STARTS: Final = 6
"""Maximum number of targets that start concurrently, each for a case that registers."""
RECOVERY_TIMEOUT: Final = 30.0
"""Seconds in which a target that can't be restarted has to serve again after a dangerous case."""


def config_key(case: Case) -> str:
    """Key of the target that a case shares with others; empty for the target with its default configuration.

    Cases that register have a common key but share no target.
    """
    if case.registers:
        return "registers"
    return json.dumps(case.config, sort_keys=True) if case.config else ""


async def recovered(running: RunningTarget) -> bool:
    """Tells whether the target serves a valid peer within RECOVERY_TIMEOUT."""
    context = Context(running, random.Random("recovery"))
    deadline = asyncio.get_running_loop().time() + RECOVERY_TIMEOUT
    try:
        while asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(ViolationError):
                await context.still_serves()
                return True
            await asyncio.sleep(HEARTBEAT)
    finally:
        context.close()
    return False


class LiveRunner:
    """Runner for a live target: one instance for each configuration, whose cases run concurrently."""

    def __init__(self, target: Target, seed: int, limit: float, jobs: int) -> None:
        self.target, self.seed, self.limit, self.jobs = target, seed, limit, jobs
        self.results: dict[str, Future[CaseResult]] = {}
        self.down = False
        """True if the target serves no peer, or has stopped serving."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="cases", daemon=True)
        self._thread.start()
        self._first: RunningTarget | None = None
        self._work: Future[None] | None = None
        self._planned: Sequence[PlannedCase] = ()
        self._lag = LagMonitor()
        self._groups: asyncio.Task[None] | None = None

    def _serve(self) -> None:
        """Runs the loop until it is stopped. A task of a case that raises SystemExit or KeyboardInterrupt ends alone."""
        while True:
            try:
                self._loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                continue
            return

    def start(self) -> RunningTarget:
        """Starts the target with its default configuration. Raises TargetError."""
        self._first = self._call(self.target.start({})).result()
        if "accept" not in self._first.offers:
            return self._first
        try:
            self._call(probe(self._first)).result()
        except UnreachableError as error:
            raise TargetError(f"{self.target.text}: {error}") from None
        self.down = not self._first.answered
        unknown = "agents" in self._first.offers and not self._first.pids
        if self._first.answered and (unknown or self._first.agents_unknown):
            self._call(probe_agents(self._first)).result()
        return self._first

    def plan(self, cases: Sequence[PlannedCase]) -> None:
        """Sets the cases; they start when the first result is requested, except for those that run on request."""
        self._planned = [planned for planned in cases if not planned.on_request]
        self.results = {planned.id: Future() for planned in self._planned}

    def result(self, planned: PlannedCase) -> CaseResult:
        """Returns the result of a case. The first call starts the cases, so that none runs beside the caller's earlier work."""
        if self._work is None:
            self._begin(self._planned)
        if planned.on_request:
            assert self._work is not None
            wait([self._work])
            self.results[planned.id] = Future()
            self._begin([planned])
        return self.results[planned.id].result()

    def _begin(self, entries: Sequence[PlannedCase]) -> None:
        groups: Mapping[str, list[PlannedCase]] = defaultdict(list)
        for entry in entries:
            groups[config_key(entry.case)].append(entry)
        self._work = self._call(self._run_groups(groups))
        self._work.add_done_callback(self._give_up)

    def _deliver(self, entry: PlannedCase, result: CaseResult) -> None:
        """Sets a result, unless the run was interrupted."""
        if not self.results[entry.id].done():
            self.results[entry.id].set_result(result)

    def _give_up(self, work: "Future[None]") -> None:
        """Sets the missing results when the work has ended, for whatever reason."""
        error = None if work.cancelled() else work.exception()
        for future in self.results.values():
            if not future.done():
                future.set_result(CaseResult(error or RuntimeError("the run ended before this case")))

    def close(self) -> None:
        """Cancels the cases that still run, and stops the target."""
        if self._work is not None and not all(future.done() for future in self.results.values()):
            self._work.cancel()
        self._call(self._end()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _end(self) -> None:
        if self._groups is not None:  # cancelled; it stops the targets that it started
            await asyncio.wait([self._groups], timeout=END_TIMEOUT)
        if self._first is not None:
            await self._first.stop()
        await self.target.close()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _run_groups(self, groups: Mapping[str, list[PlannedCase]]) -> None:
        self._groups = asyncio.current_task()
        watch = asyncio.create_task(self._lag.watch())
        for key in sorted(groups):
            entries = [entry for entry in groups[key] if not entry.case.dangerous]
            if entries:
                await self._run_configuration(key, entries)
        for key in sorted(groups):
            for entry in groups[key]:
                if entry.case.dangerous:
                    await self._run_dangerous(key, entry)
        watch.cancel()

    async def _run_dangerous(self, key: str, entry: PlannedCase) -> None:
        """Runs a case on a new instance of the target; if it can't be restarted, after it has recovered from the last case."""
        if self.target.restarts:
            await self._run_configuration(key or "{}", [entry])
            return
        assert self._first is not None
        self.down = self.down or not await recovered(self._first)
        if self.down:
            self.results[entry.id].set_result(
                CaseResult(InconclusiveError("the target does not serve correct peers, so it can't be judged"))
            )
        else:
            await self._run_configuration(key, [entry])

    async def _run_configuration(self, key: str, entries: Sequence[PlannedCase]) -> None:
        """Runs cases that need the same configuration on a target that has it."""
        if entries[0].case.registers:
            assert self._first is not None
            await self._run_together(entries, self._first, CONCURRENT_STARTS)
            return
        try:
            running = await self.target.start(json.loads(key)) if key else self._first
        except (ConfigNotSupportedError, UsageError) as error:
            result = CaseResult(SkippedError(str(error)) if isinstance(error, ConfigNotSupportedError) else error)
            for entry in entries:
                self._deliver(entry, result)
            return
        assert running is not None
        if self._first is not None:
            running.serial, running.silent = self._first.serial, self._first.silent
            running.agents = running.agents or self._first.agents
        try:
            await self._run_together(entries, running)
        finally:
            if running is not self._first:
                await running.stop()

    async def _run_together(
        self, entries: Sequence[PlannedCase], running: RunningTarget, limit: int | None = None
    ) -> None:
        jobs = 1 if running.serial else max(self.jobs, JOBS_FOR_SILENCE) if running.silent else self.jobs
        jobs = min(jobs, limit or jobs)
        late = await self._run_beside([entry for entry in entries if not entry.case.exclusive], running, jobs)
        if len(late) > 1 and jobs > 1:
            late = await self._run_beside(late, running, min(jobs, JOBS_OF_RETRIES))
        for entry in (*late, *(entry for entry in entries if entry.case.exclusive)):
            await self._run_alone(entry, running)

    async def _run_beside(self, entries: Sequence[PlannedCase], running: RunningTarget, jobs: int) -> list[PlannedCase]:
        """Runs cases concurrently; returns those that have to run again because the tester was late."""
        gate = asyncio.Semaphore(jobs)
        tasks = [asyncio.ensure_future(self._run_one(entry, running, gate)) for entry in entries]
        try:
            return [*filter(None, await asyncio.gather(*tasks))]
        except asyncio.CancelledError:
            # gather returns with the first task that ends; the others close their sockets, too
            await asyncio.wait(tasks)
            raise

    async def _run_one(self, entry: PlannedCase, running: RunningTarget, gate: asyncio.Semaphore) -> PlannedCase | None:
        """Runs a case; returns it if it has to run again because the tester was late."""
        async with gate:
            result, lag = await self._lag.during(self._case(entry, running))
        if isinstance(result.error, ViolationError) and lag > MAX_LAG:
            return entry
        self._deliver(entry, result)
        return None

    def _case(self, entry: PlannedCase, running: RunningTarget) -> Coroutine[Any, Any, CaseResult]:
        target = self.target if entry.case.registers else None
        return run_case(entry, running, self.seed, self.limit, target)

    async def _run_alone(self, entry: PlannedCase, running: RunningTarget) -> None:
        """Runs a case without others, up to RETRIES times while the tester is late."""
        result = CaseResult()
        for _ in range(RETRIES):
            result, lag = await self._lag.during(self._case(entry, running))
            if not isinstance(result.error, ViolationError) or lag <= MAX_LAG:
                break
            result.error = InconclusiveError(f"the tester itself was {lag:.1f} s late")
        self._deliver(entry, result)
