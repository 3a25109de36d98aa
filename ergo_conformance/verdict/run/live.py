"""Runner for live targets: the cases run concurrently on one loop in a thread.

The waits of the cases therefore take as long as the longest of them, not their sum. On a target that does one handshake at a
time the cases run one by one, since concurrent cases would delay each other. Dangerous cases (they have killed real nodes)
run last. `scheduler` says when a case runs again.
"""

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any, Final

from ...errors import UsageError
from ...peers.violation import UnreachableError
from ...targets.base import ConfigNotSupportedError, RunningTarget, Target, TargetError
from ...targets.probe import probe, probe_agents
from .case import Case
from .context import SkippedError
from .execution import CaseResult, InconclusiveError, PlannedCase
from .instance import Instance
from .lag import LagMonitor
from .scheduler import Pending, Scheduler

END_TIMEOUT: Final = 20.0
"""Seconds in which targets have to stop."""
CONCURRENT_STARTS: Final = 6
"""Maximum number of targets that start concurrently, each for a case that registers."""


def config_key(case: Case) -> str:
    """Key of the target that a case shares with others; empty for the target with its default configuration.

    Cases that register have a common key but share no target.
    """
    if case.registers:
        return "registers"
    return json.dumps(case.config, sort_keys=True) if case.config else ""


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
        self._first: Instance | None = None
        """The target with its default configuration."""
        self._work: Future[None] | None = None
        self._planned: Sequence[PlannedCase] = ()
        self._lag = LagMonitor()
        self._scheduler = Scheduler(target, seed=seed, limit=limit, jobs=jobs, lag=self._lag, deliver=self._deliver)
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
        self._first = self._call(Instance.start(self.target, {}, None)).result()
        running = self._first.running
        if "accept" not in running.offers:
            return running
        try:
            self._call(probe(running)).result()
        except UnreachableError as error:
            raise TargetError(f"{self.target.text}: {error}") from None
        self.down = not running.answered
        unknown = "agents" in running.offers and not running.pids
        if running.answered and (unknown or running.agents_unknown):
            self._call(probe_agents(running)).result()
        return running

    def errors(self) -> list[str]:
        """Returns one text for the losses of the target that no case explains."""
        return self._scheduler.losses.errors()

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
            await self._first.running.stop()
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
        assert self._first is not None
        if self.target.restarts:
            await self._run_configuration(key or "{}", [entry])
        elif await self._first.recovered():
            self.down = False
            await self._run_configuration(key, [entry])
        else:
            self.down = True
            self._deliver(entry, CaseResult(InconclusiveError(self._first.gone)))

    async def _run_configuration(self, key: str, entries: Sequence[PlannedCase]) -> None:
        """Runs cases that need the same configuration on a target that has it."""
        assert self._first is not None
        if entries[0].case.registers:
            await self._scheduler.run(entries, self._first, CONCURRENT_STARTS)
            return
        try:
            instance = await Instance.start(self.target, json.loads(key), self._first.running) if key else self._first
        except (ConfigNotSupportedError, UsageError) as error:
            result = CaseResult(SkippedError(str(error)) if isinstance(error, ConfigNotSupportedError) else error)
            for entry in entries:
                self._deliver(entry, result)
            return
        try:
            if entries[0].case.dangerous:
                await self._scheduler.run_alone(Pending(entries[0]), instance)
            else:
                await self._scheduler.run(entries, instance)
        finally:
            if instance is not self._first:
                await instance.running.stop()
