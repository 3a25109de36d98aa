"""Runs cases against one instance of a live target: concurrently, again after the tester was late, alone after a loss.

A late tester can't judge: if something was missing while the loop was late, the case runs again beside few other cases, then
without others, each time with other names; if the loop is late again, the case is INCONCLUSIVE. Wrong bytes are a violation
however late the tester was.

If the target is lost, the cases that ran then run again one by one. A case that loses a fresh target when it runs alone has the
violation; a loss that no case explains is an error of the run.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ...peers.violation import SetUpError, ShortageError, TimingViolationError, ViolationError
from ...targets.base import Target
from .context import SkippedError
from .execution import CaseResult, EarlierAttempt, InconclusiveError, PlannedCase, run_case
from .instance import Instance
from .lag import HEARTBEAT, LagMonitor
from .losses import Loss, Losses, blamed, loss_of

MAX_LAG: Final = 0.2
"""Seconds that the tester may be late; the shortest deadline of the protocol is 1 s."""
JOBS_OF_RETRIES: Final = 8
"""Maximum number of cases that run again concurrently: one late moment makes all cases of that moment run again."""
RETRIES: Final = 2
"""Maximum number of runs of a case alone after the tester was late."""
JOBS_FOR_SILENCE: Final = 64
"""Minimum number of concurrent cases on a target that never answers: such cases only wait."""
SILENT_SAMPLE: Final = 32
"""Number of cases after which a target that has not sent a byte is not tested further."""
SUSPECT_SECONDS: Final = 1.0
"""A case that passed at most so long before a loss may be its cause."""
MAX_SUSPECTS: Final = 32
"""Number of passed cases that run again after a loss that no other case explains."""

Deliver = Callable[[PlannedCase, CaseResult], None]


@dataclass(slots=True)
class Pending:
    """A case without a result that counts, and its earlier attempts."""

    entry: PlannedCase
    earlier: tuple[EarlierAttempt, ...] = ()

    def after(self, reason: str, result: CaseResult) -> "Pending":
        """Returns the case after one more attempt that does not count, for this reason."""
        return replace(self, earlier=(*self.earlier, EarlierAttempt(reason, result)))


@dataclass(slots=True)
class Batch:
    """What happened while cases ran concurrently."""

    loss: str = ""
    """Description of the loss of the target; empty without one."""
    unstarted: list[Pending] = field(default_factory=list)
    late: list[Pending] = field(default_factory=list)
    suspects: list[Pending] = field(default_factory=list)
    """Cases without a verdict that ran when the target was lost."""
    held: list[tuple[Pending, CaseResult]] = field(default_factory=list)
    """Cases that passed while the target was lost, and their results, which are not delivered yet."""
    passed: deque[tuple[float, Pending]] = field(default_factory=lambda: deque(maxlen=MAX_SUSPECTS))
    """Cases that passed last, with the time of the loop."""

    def note(self, loss: str) -> None:
        """Notes a loss, if there is one; the first counts."""
        self.loss = self.loss or loss

    def is_lost(self) -> bool:
        """Tells whether the target was lost."""
        return bool(self.loss)

    def makes_suspect(self, result: CaseResult) -> bool:
        """Tells whether a loss may be the reason for a result: not for wrong bytes, nor for what passed."""
        if not self.loss:
            return False
        if isinstance(result.error, ViolationError):
            return isinstance(result.error, TimingViolationError)
        return result.error is not None and not isinstance(result.error, SkippedError)


class Scheduler:
    """Runs cases of one run; see the module. `deliver` receives each result that counts."""

    def __init__(
        self, target: Target, *, seed: int, limit: float, jobs: int, lag: LagMonitor, deliver: Deliver
    ) -> None:
        self.target, self.seed, self.limit, self.jobs = target, seed, limit, jobs
        self.lag, self.deliver = lag, deliver
        self.losses = Losses()

    async def run(self, entries: Sequence[PlannedCase], instance: Instance, limit: int | None = None) -> None:
        """Runs cases. `limit`: maximum number of concurrent ones."""
        running = instance.running
        jobs = 1 if running.serial else max(self.jobs, JOBS_FOR_SILENCE) if running.silent else self.jobs
        jobs = min(jobs, limit or jobs)
        pending = [Pending(entry) for entry in entries if not entry.case.exclusive]
        if running.silent:
            pending = await self._sampled(pending, instance, jobs)
        late = await self._beside(pending, instance, jobs)
        if len(late) > 1 and jobs > 1:
            late = await self._beside(late, instance, min(jobs, JOBS_OF_RETRIES))
        for each in (*late, *(Pending(entry) for entry in entries if entry.case.exclusive)):
            await self.run_alone(each, instance)

    # --- concurrently -------------------------------------------------------------------------------------------------

    async def _sampled(self, pending: list[Pending], instance: Instance, jobs: int) -> list[Pending]:
        """Runs some cases of a target that did not answer the first Hello. If it sent no byte to any, no other case runs.

        Returns the cases that are left. Cases that need only its registrar are among them in any case.
        """
        needing = [each for each in pending if each.entry.case.offers & {"accept", "agents", "dial"}]
        sample, rest = needing[:SILENT_SAMPLE], needing[SILENT_SAMPLE:]
        others = [each for each in pending if each not in needing]
        answered = False
        deliver = self.deliver

        def watch(entry: PlannedCase, result: CaseResult) -> None:
            nonlocal answered
            answered |= any(transcript.bytes_of("received") for transcript in result.transcripts)
            deliver(entry, result)

        self.deliver = watch
        try:
            late = await self._beside(sample, instance, jobs)
        finally:
            self.deliver = deliver
        if answered or late or not rest:
            return [*late, *rest, *others]
        self._give_up(rest, f"the target sent no byte in {len(sample)} cases, so it is not tested further")
        return others

    def _give_up(self, pending: Iterable[Pending], reason: str) -> None:
        for each in pending:
            self.deliver(each.entry, CaseResult(InconclusiveError(reason), earlier=each.earlier))

    async def _beside(self, waiting: list[Pending], instance: Instance, jobs: int) -> list[Pending]:
        """Runs cases concurrently; returns those that have to run again because the tester was late."""
        late: list[Pending] = []
        while waiting:
            if not await instance.restore(allowed=not self.losses.too_many):
                self._give_up(waiting, instance.gone)
                break
            batch = Batch()
            await self._run_batch(waiting, instance, jobs, batch)
            late += batch.late
            waiting = batch.unstarted
            if batch.loss:
                await self._explain(batch, instance)
        return late

    async def _run_batch(self, waiting: list[Pending], instance: Instance, jobs: int, batch: Batch) -> None:
        gate = asyncio.Semaphore(jobs)
        tasks = [asyncio.ensure_future(self._run_one(each, instance, gate, batch)) for each in waiting]
        try:
            await asyncio.gather(*tasks)
        except asyncio.CancelledError:
            # gather returns with the first task that ends; the others close their sockets, too
            await asyncio.wait(tasks)
            raise

    async def _run_one(self, pending: Pending, instance: Instance, gate: asyncio.Semaphore, batch: Batch) -> None:
        """Runs a case and sorts it into the batch, unless its result counts."""
        entry = pending.entry
        async with gate:
            if not entry.case.registers:
                batch.note(instance.running.ended)
            if batch.loss:
                batch.unstarted.append(pending)
                return
            result, reason = await self._attempt(pending, instance)
        if not entry.case.registers:
            batch.note(loss_of(instance.running, result))
        if batch.makes_suspect(result):
            batch.suspects.append(pending.after(batch.loss, result))
        elif reason:
            batch.late.append(pending.after(reason, result))
        elif batch.is_lost() and result.error is None:
            batch.held.append((pending, result))
        else:
            self._deliver(pending, result)
            if result.error is None:
                batch.passed.append((_now(), pending))

    async def _attempt(self, pending: Pending, instance: Instance) -> tuple[CaseResult, str]:
        """Runs a case once. Returns its result, and the reason why it has to run again, if any."""
        entry, since = pending.entry, _now()
        instance.fresh = instance.fresh and entry.case.registers
        target = self.target if entry.case.registers else None
        result = await run_case(entry, instance.running, self.seed, self.limit, target, len(pending.earlier))
        await asyncio.sleep(HEARTBEAT)  # a lag at the end of the case shows in the next measurement
        return result, self._excuse(result, since)

    def _excuse(self, result: CaseResult, since: float) -> str:
        """Returns what excuses a violation; an empty text if nothing does. `since`: when the case began."""
        error = result.error
        if isinstance(error, SetUpError) and isinstance(error.__context__, ViolationError):
            error = error.__context__
        match error:
            case ShortageError() as shortage:
                return str(shortage)
            case TimingViolationError() as violation:
                late = self.lag.worst(since if violation.since is None else max(since, violation.since))
                return f"the tester itself was {late:.1f} s late" if late > MAX_LAG else ""
        return ""

    def _deliver(self, pending: Pending, result: CaseResult) -> None:
        result.earlier = pending.earlier
        self.deliver(pending.entry, result)

    # --- after a loss -------------------------------------------------------------------------------------------------

    async def _explain(self, batch: Batch, instance: Instance) -> None:
        """Looks for the case that caused a loss: those that ran then, and those that passed just before, run again alone."""
        instance.lost = True
        recent = [each for at, each in batch.passed if at > _now() - SUSPECT_SECONDS]
        running = [*batch.suspects, *(pending for pending, _ in batch.held)]
        loss = self.losses.add(batch.loss, [each.entry for each in (*running, *recent)])
        for each in batch.suspects:
            loss.explained |= await self.run_alone(each, instance)
        for each, held in batch.held:
            result, is_cause = await self._run_alone(each, instance)
            loss.explained |= is_cause
            self._deliver(each, result if is_cause else held)
        for each in recent:
            if loss.explained or loss.cause or instance.gone:
                return
            _, is_cause = await self._run_alone(each, instance)
            loss.cause = each.entry.id if is_cause else ""

    async def run_alone(self, pending: Pending, instance: Instance) -> bool:
        """Runs a case without others and delivers its result. Returns True if it causes a loss of the target."""
        result, is_cause = await self._run_alone(pending, instance)
        self.deliver(pending.entry, result)
        return is_cause

    async def _run_alone(self, pending: Pending, instance: Instance) -> tuple[CaseResult, bool]:
        """Runs a case without others, up to RETRIES times while the tester is late.

        Returns its result, and True if it causes a loss: of a fresh target, or of one that served again after a first loss.
        """
        noted: list[Loss] = []
        tries = len(pending.earlier) + RETRIES - 1
        while True:
            if not await instance.restore(allowed=not self.losses.too_many):
                return CaseResult(InconclusiveError(instance.gone), earlier=pending.earlier), False
            fresh = instance.fresh
            result, reason = await self._attempt(pending, instance)
            result.earlier = pending.earlier
            loss = "" if pending.entry.case.registers else loss_of(instance.running, result)
            if loss:
                instance.lost = True
                noted.append(self.losses.add(loss, [pending.entry]))
                if fresh or len(noted) > 1:
                    for each in noted:
                        each.explained = True
                    return blamed(result, loss), True
                pending = pending.after(loss, result)
            elif reason and len(pending.earlier) < tries:
                pending = pending.after(reason, result)
            else:
                if reason:
                    result.error = InconclusiveError(reason)
                return result, False


def _now() -> float:
    return asyncio.get_running_loop().time()
