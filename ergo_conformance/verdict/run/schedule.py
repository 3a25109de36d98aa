"""Runs coroutine cases: in memory each by itself under a virtual clock, live ones side by side on one loop in a thread.

Planned waits then cost as long as the longest of them, not their sum. On a target that does one handshake at a time the
cases run one after the other: side by side they would starve each other. Cases that have killed real nodes come last.

A tester that is late itself can't judge: the loop watches its own lag, and a case that found fault while the loop was late
runs again, alone; if the loop is late then, too, the case is inconclusive.
"""

import asyncio
import contextlib
import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ...errors import UsageError
from ...peers.memory import VirtualLoop
from ...peers.violation import UnreachableError, ViolationError
from ...targets.base import NotGivenError, Running, Target, TargetError, probe, probe_agents
from .case import Case
from .context import Context, SkippedError
from .registration import RegistrationContext

Body = Callable[[Any], Coroutine[Any, Any, None]]
"""It takes a Context, or a RegistrationContext."""
KEPT_LINES = 12
"""Lines of a link's transcript that a report shows."""
MAX_LAG = 0.2
"""Seconds that the tester may be late; the shortest deadline of the protocol is one second."""
HEARTBEAT = 0.02
RETRIES = 2
END_TIMEOUT = 20.0  # seconds for targets to end
JOBS_FOR_SILENCE = 64
"""Cases side by side on a target that says nothing: they only wait."""
STARTS_AT_ONCE = 6
"""Targets that start side by side, each for a case that registers."""
RECOVERY = 30.0
"""Seconds that a target which can't be restarted gets to come back after a dangerous case."""


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


def config_key(case: Case) -> str:
    """Cases with the same key share a target; the empty one is the target as it is by default.

    Those that register share nothing, and run side by side.
    """
    if case.registers:
        return "registers"
    return json.dumps(case.config, sort_keys=True) if case.config else ""


def missing_offer(case: Case, running: Running) -> str | None:
    """Why this target is not asked, or None."""
    missing = sorted(case.offers - running.offers)
    if missing:
        return f"needs a target that offers {', '.join(missing)}"
    absent = sorted(case.agents - running.agents)
    return f"the target hosts no agent {', '.join(f'`{name}`' for name in absent)}" if absent else None


async def run_case(planned: Planned, running: Running, seed: int, limit: float, target: Target | None = None) -> Ran:
    """One case against a running target; everything it opened is closed afterwards.

    `target`: for a case that registers; it is started by the case.
    """
    reason = missing_offer(planned.case, running)
    if reason:
        return Ran(SkippedError(reason))
    rng = random.Random(f"{seed}:{planned.id}")
    context = RegistrationContext(target, running, rng, planned.case.config) if target else Context(running, rng)
    started = time.monotonic()
    ran = Ran()
    try:
        await _judge(planned, context, limit)
    except TimeoutError:
        ran.error = ViolationError(f"not done after {limit:g} s", ("an end of the case in time",))
    except UnreachableError as error:
        ran.error = ViolationError(str(error), ("a connection",))
    except Exception as error:  # noqa: BLE001  the report says what it was
        ran.error = error
    finally:
        ran.seconds = time.monotonic() - started
        if ran.error is not None:
            ran.transcripts = [(each.label, list(each.lines(KEPT_LINES))) for each in context.transcripts]
        await context.end()
    return ran


async def _judge(planned: Planned, context: Context, limit: float) -> None:
    async with asyncio.timeout(limit):
        await planned.body(context)
        if planned.case.hostile:
            await context.still_serves()


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


class LateError(Exception):
    """The case proves nothing: the tester's own loop was late while it ran, or the target was still down before it."""


async def recovered(running: Running) -> bool:
    """Whether the target serves a good peer, after RECOVERY seconds at the latest."""
    context = Context(running, random.Random("recovery"))
    deadline = asyncio.get_running_loop().time() + RECOVERY
    try:
        while asyncio.get_running_loop().time() < deadline:
            with contextlib.suppress(ViolationError):
                await context.still_serves()
                return True
            await asyncio.sleep(HEARTBEAT)
    finally:
        context.close()
    return False


class Lag:
    """How late the loop has been, looked at every HEARTBEAT."""

    def __init__(self) -> None:
        self._worst: dict[object, float] = {}

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + HEARTBEAT
            await asyncio.sleep(HEARTBEAT)
            late = loop.time() - due
            for key, worst in self._worst.items():
                self._worst[key] = max(worst, late)

    async def during(self, work: Coroutine[Any, Any, Ran]) -> tuple[Ran, float]:
        """The result of some work, and the worst lag meanwhile."""
        key = object()
        self._worst[key] = 0.0
        try:
            ran = await work
            await asyncio.sleep(HEARTBEAT)  # lag at the very end shows at the next beat
        finally:
            worst = self._worst.pop(key)
        return ran, worst


class LiveRunner:
    """A live target: one per configuration, all its cases side by side."""

    def __init__(self, target: Target, seed: int, limit: float, jobs: int) -> None:
        self.target, self.seed, self.limit, self.jobs = target, seed, limit, jobs
        self.results: dict[str, Future[Ran]] = {}
        self.down = False
        """The target does not serve anybody, or no more."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cases", daemon=True)
        self._thread.start()
        self._first: Running | None = None
        self._work: Future[None] | None = None
        self._planned: Sequence[Planned] = ()
        self._lag = Lag()
        self._groups: asyncio.Task[None] | None = None

    def start(self) -> Running:
        """Starts the target as it is by default. Raises TargetError."""
        self._first = self._call(self.target.start({})).result()
        if "accept" not in self._first.offers:
            return self._first
        try:
            self._call(probe(self._first)).result()
        except UnreachableError as error:
            raise TargetError(f"{self.target.spelled}: {error}") from None
        self.down = not self._first.answered
        unknown = "agents" in self._first.offers and not self._first.pids
        if self._first.answered and (unknown or self._first.asks_for_agents):
            self._call(probe_agents(self._first)).result()
        return self._first

    def plan(self, planned: Sequence[Planned]) -> None:
        """Notes the cases; they start when the first result is asked for."""
        self._planned = planned
        self.results = {entry.id: Future() for entry in planned}

    def result(self, planned: Planned) -> Ran:
        """Waits for a case. Until the first one is asked for nothing runs beside the caller's own work."""
        if self._work is None:
            groups: Mapping[str, list[Planned]] = defaultdict(list)
            for entry in self._planned:
                groups[config_key(entry.case)].append(entry)
            self._work = self._call(self._run_groups(groups))
            self._work.add_done_callback(self._give_up)
        return self.results[planned.id].result()

    def _deliver(self, entry: Planned, ran: Ran) -> None:
        """Hands a result over; after an interruption nobody wants it any more."""
        if not self.results[entry.id].done():
            self.results[entry.id].set_result(ran)

    def _give_up(self, work: "Future[None]") -> None:
        """Whatever ended the work: nobody waits for a result that will not come."""
        error = None if work.cancelled() else work.exception()
        for result in self.results.values():
            if not result.done():
                result.set_result(Ran(error or RuntimeError("the run ended before this case")))

    def close(self) -> None:
        """Ends the cases that still run, and the target."""
        if self._work is not None and not all(result.done() for result in self.results.values()):
            self._work.cancel()
        self._call(self._end()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> "Future[Any]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _end(self) -> None:
        if self._groups is not None:  # it is about to end, and ends the targets it started
            await asyncio.wait([self._groups], timeout=END_TIMEOUT)
        if self._first is not None:
            await self._first.stop()
        await self.target.close()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _run_groups(self, groups: Mapping[str, list[Planned]]) -> None:
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

    async def _run_dangerous(self, key: str, entry: Planned) -> None:
        """On a target of its own, if one can be had; else when the target has got over the case before."""
        if self.target.restarts:
            await self._run_configuration(key or "{}", [entry])
            return
        assert self._first is not None
        self.down = self.down or not await recovered(self._first)
        if self.down:
            self.results[entry.id].set_result(
                Ran(LateError("the target does not serve good peers, so it can't be judged"))
            )
        else:
            await self._run_configuration(key, [entry])

    async def _run_configuration(self, key: str, entries: Sequence[Planned]) -> None:
        """Cases that want the same configuration, on a target that has it."""
        if entries[0].case.registers:
            assert self._first is not None
            await self._run_together(entries, self._first, STARTS_AT_ONCE)
            return
        try:
            running = await self.target.start(json.loads(key)) if key else self._first
        except (NotGivenError, UsageError) as error:
            ran = Ran(SkippedError(str(error)) if isinstance(error, NotGivenError) else error)
            for entry in entries:
                self._deliver(entry, ran)
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

    async def _run_together(self, entries: Sequence[Planned], running: Running, most: int | None = None) -> None:
        jobs = 1 if running.serial else max(self.jobs, JOBS_FOR_SILENCE) if running.silent else self.jobs
        jobs = min(jobs, most or jobs)
        gate = asyncio.Semaphore(jobs)
        beside = [entry for entry in entries if not entry.case.exclusive]
        tasks = [asyncio.ensure_future(self._run_one(entry, running, gate)) for entry in beside]
        try:
            late = await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            await asyncio.wait(
                tasks
            )  # gather returns with the first that ends; the others end what they have started, too
            raise
        for entry in (*filter(None, late), *(entry for entry in entries if entry.case.exclusive)):
            await self._run_alone(entry, running)

    async def _run_one(self, entry: Planned, running: Running, gate: asyncio.Semaphore) -> Planned | None:
        """Runs a case; returns it if it has to run again because we were late."""
        async with gate:
            ran, lag = await self._lag.during(self._case(entry, running))
        if isinstance(ran.error, ViolationError) and lag > MAX_LAG:
            return entry
        self._deliver(entry, ran)
        return None

    def _case(self, entry: Planned, running: Running) -> Coroutine[Any, Any, Ran]:
        target = self.target if entry.case.registers else None
        return run_case(entry, running, self.seed, self.limit, target)

    async def _run_alone(self, entry: Planned, running: Running) -> None:
        """With nothing beside it; and once again if we are late even so."""
        ran = Ran()
        for _ in range(RETRIES):
            ran, lag = await self._lag.during(self._case(entry, running))
            if not isinstance(ran.error, ViolationError) or lag <= MAX_LAG:
                break
            ran.error = LateError(f"the tester itself was {lag:.1f} s late")
        self._deliver(entry, ran)
