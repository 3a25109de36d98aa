"""Execution of one coroutine case, and the runner for targets in memory."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import pytest

from ...peers.memory_network import NetworkLoop
from ...peers.transcript import MAX_KEPT, Transcript
from ...peers.violation import SetUpError, TimingViolationError, UnreachableError, ViolationError
from ...targets.base import ConfigNotSupportedError, RunningTarget, Target
from .case import Case
from .context import Context, SkippedError, UnreachableViolationError
from .interruption import RunInterrupted
from .registration import RegistrationContext

Body = Callable[[Any], Coroutine[Any, Any, None]]
"""Function of a case; its argument is a Context or a RegistrationContext."""
MEMORY_LIMIT_FACTOR: Final = 60
"""Factor between `--timeout` and the limit of a case in memory, whose clock is virtual."""
LONG_ENOUGH: Final = 30.0
"""Seconds that are enough for every case. A smaller limit, which `--timeout` sets, gives no evidence against a target."""
MAX_RECORDED: Final = 5 * MAX_KEPT
"""Bytes that the transcripts of one case keep together."""


class InconclusiveError(Exception):
    """The case can't be judged: the tester was late while it ran or lacked something, or the target was down before it."""


class TargetLostError(ViolationError):
    """The target ended, or accepts no connection any more, because of this case."""


class CaseError(Exception):
    """A case raised an exception that would end the run: SystemExit, KeyboardInterrupt, GeneratorExit, or one of pytest's."""


@dataclass(slots=True)
class PlannedCase:
    """A selected coroutine case."""

    id: str
    case: Case
    body: Body
    on_request: bool = False
    """True if the case may not run before its result is requested."""


@dataclass(slots=True)
class CaseResult:
    """Result of an execution of a case."""

    error: BaseException | None = None
    """None, a ViolationError, a SkippedError, an InconclusiveError, a ShortageError, or an error of the case itself."""
    seconds: float = 0.0
    """Duration in real time."""
    transcripts: tuple[Transcript, ...] = field(default=(), repr=False)  # asyncio makes the repr of each finished task
    """Raw entries of each socket, whatever the result."""
    stderr: tuple[str, ...] = ()
    """Lines that the target wrote to stderr while the case ran."""
    earlier: tuple["EarlierAttempt", ...] = ()
    """Earlier runs of the case, whose result does not count."""


@dataclass(frozen=True, slots=True)
class EarlierAttempt:
    """A run of a case whose result does not count, and the reason for that."""

    reason: str
    result: CaseResult


class Runner(Protocol):
    """Executes the coroutine cases of a run."""

    def plan(self, cases: Sequence[PlannedCase]) -> None:
        """Sets the cases of the run."""

    def result(self, planned: PlannedCase) -> CaseResult:
        """Returns the result of a planned case; waits for it."""

    def errors(self) -> list[str]:
        """Returns the errors of the run itself."""

    def close(self) -> None:
        """Stops everything that was started."""


def missing_offer(case: Case, running: RunningTarget) -> str | None:
    """Returns the reason to skip the case for this target; None if it offers everything that the case needs."""
    missing = sorted(case.offers - running.offers)
    if missing:
        return f"needs a target that offers {', '.join(missing)}"
    absent = sorted(case.agents - running.agents)
    return f"the target hosts no agent {', '.join(f'`{name}`' for name in absent)}" if absent else None


def recorded(transcripts: Iterable[Transcript], limit: int = MAX_RECORDED) -> tuple[Transcript, ...]:
    """Copies of transcripts with at most `limit` bytes together; further bytes count as lost."""
    room, copies = limit, []
    for transcript in transcripts:
        entries, lost = [], transcript.lost
        for entry in transcript.entries:
            if len(entry.data) <= room:
                room -= len(entry.data)
                entries.append(entry)
            else:
                lost += len(entry.data)
        copies.append(replace(transcript, entries=entries, lost=lost))
    return tuple(copies)


async def run_case(
    planned: PlannedCase,
    running: RunningTarget,
    seed: int,
    limit: float,
    target: Target | None = None,
    attempt: int = 0,
) -> CaseResult:
    """Runs one case against a running target and closes everything that it opened.

    `limit`: seconds of the loop's clock. `target`: the target that a case with a registrar starts itself. `attempt`: number of
    earlier runs; each run draws other names, since the target may remember those of the one before.
    """
    reason = missing_offer(planned.case, running)
    if reason:
        return CaseResult(SkippedError(reason))
    rng = random.Random(f"{seed}:{planned.id}" + (f":{attempt}" if attempt else ""))
    config = planned.case.config
    context = RegistrationContext(target, running, rng, config) if target else Context(running, rng)
    started = time.monotonic()
    result = CaseResult()
    try:
        result.error = await _error_of_body(planned, context, limit)
        if isinstance(result.error, SetUpError):
            running.agents -= {result.error.agent}
    finally:
        result.seconds = time.monotonic() - started
        result.transcripts = recorded(context.transcripts)
        if target and isinstance(result.error, ViolationError) and (ended := context.target.ended):
            result.error.actual += f"; {ended}"
        result.stderr = context.target.stderr_since(started)
        await context.end()
    return result


async def _error_of_body(planned: PlannedCase, context: Context, limit: float) -> BaseException | None:
    """Runs the body of a case; returns what it raised. Only a cancellation from outside gets through."""
    timeout = asyncio.timeout(limit)
    try:
        async with timeout:
            await planned.body(context)
            if planned.case.hostile:
                await context.still_serves()
    except (asyncio.CancelledError, RunInterrupted):
        raise
    except TimeoutError as error:
        return _over_the_limit(limit) if timeout.expired() else error
    except UnreachableError as error:
        return UnreachableViolationError(str(error), ("a connection",))
    except pytest.skip.Exception as error:
        return SkippedError(str(error))
    except pytest.fail.Exception as error:
        return ViolationError(str(error))
    except BaseException as error:  # noqa: BLE001  the report shows it
        if isinstance(error, Exception) and not isinstance(error, pytest.exit.Exception):
            return error
        return CaseError(f"{type(error).__name__}: {error}".removesuffix(": "))
    return None


def _over_the_limit(limit: float) -> Exception:
    text = f"the case did not end within {limit:g} s"
    if limit < LONG_ENOUGH:
        return InconclusiveError(f"{text}, the limit that --timeout sets")
    return TimingViolationError(text, (f"an end within {limit:g} s",))


class MemoryRunner:
    """Runner for a target in memory: every case has its own loop with a virtual clock and network, and its own target."""

    def __init__(self, target: Target, seed: int, limit: float) -> None:
        self.target, self.seed, self.limit = target, seed, limit

    def plan(self, cases: Sequence[PlannedCase]) -> None:
        """Does nothing: a case runs when its result is requested."""

    def result(self, planned: PlannedCase) -> CaseResult:
        """Runs the case."""
        with asyncio.Runner(loop_factory=NetworkLoop) as runner:
            return runner.run(self._run(planned))

    async def _run(self, planned: PlannedCase) -> CaseResult:
        registers = planned.case.registers  # then the case starts the target itself, and `running` is never dialed
        try:
            running = await self.target.start({} if registers else planned.case.config)
        except ConfigNotSupportedError as error:
            return CaseResult(SkippedError(str(error)))
        target = self.target if registers else None
        try:
            return await run_case(planned, running, self.seed, self.limit * MEMORY_LIMIT_FACTOR, target)
        finally:
            await running.stop()

    def errors(self) -> list[str]:
        """Returns nothing: each case has its own target."""
        return []

    def close(self) -> None:
        """Releases the resources that all starts of the target share."""
        with asyncio.Runner() as runner:
            runner.run(self.target.close())
