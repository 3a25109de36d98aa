"""Execution of one coroutine case, and the runner for targets in memory."""

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from ...peers.memory_network import NetworkLoop
from ...peers.transcript import MAX_KEPT, Transcript
from ...peers.violation import SetUpError, UnreachableError, ViolationError
from ...targets.base import ConfigNotSupportedError, RunningTarget, Target
from .case import Case
from .context import Context, SkippedError
from .registration import RegistrationContext

Body = Callable[[Any], Coroutine[Any, Any, None]]
"""Function of a case; its argument is a Context or a RegistrationContext."""
MEMORY_LIMIT_FACTOR: Final = 60
"""Factor between `--timeout` and the limit of a case in memory, whose clock is virtual."""
MAX_RECORDED: Final = 5 * MAX_KEPT
"""Bytes that the transcripts of one case keep together."""


class InconclusiveError(Exception):
    """The case can't be judged: the tester was late while it ran, or the target was down before it."""


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
    """None, a ViolationError, a SkippedError, an InconclusiveError, or an error of the case itself."""
    seconds: float = 0.0
    """Duration in real time."""
    transcripts: tuple[Transcript, ...] = field(default=(), repr=False)  # asyncio makes the repr of each finished task
    """Raw entries of each socket, whatever the result."""


class Runner(Protocol):
    """Executes the coroutine cases of a run."""

    def plan(self, cases: Sequence[PlannedCase]) -> None:
        """Sets the cases of the run."""

    def result(self, planned: PlannedCase) -> CaseResult:
        """Returns the result of a planned case; waits for it."""

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
    planned: PlannedCase, running: RunningTarget, seed: int, limit: float, target: Target | None = None
) -> CaseResult:
    """Runs one case against a running target and closes everything that it opened.

    `limit`: seconds of the loop's clock. `target`: the target that a case with a registrar starts itself.
    """
    reason = missing_offer(planned.case, running)
    if reason:
        return CaseResult(SkippedError(reason))
    rng = random.Random(f"{seed}:{planned.id}")
    config = planned.case.config
    context = RegistrationContext(target, running, rng, config) if target else Context(running, rng)
    started = time.monotonic()
    result = CaseResult()
    try:
        await _run_body(planned, context, limit)
    except TimeoutError:
        result.error = ViolationError(f"the case did not end within {limit:g} s", (f"an end within {limit:g} s",))
    except UnreachableError as error:
        result.error = ViolationError(str(error), ("a connection",))
    except SetUpError as error:
        result.error = error
        running.agents -= {error.agent}
    except Exception as error:  # noqa: BLE001  the report shows it
        result.error = error
    finally:
        result.seconds = time.monotonic() - started
        result.transcripts = recorded(context.transcripts)
        await context.end()
    return result


async def _run_body(planned: PlannedCase, context: Context, limit: float) -> None:
    async with asyncio.timeout(limit):
        await planned.body(context)
        if planned.case.hostile:
            await context.still_serves()


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

    def close(self) -> None:
        """Releases the resources that all starts of the target share."""
        with asyncio.Runner() as runner:
            runner.run(self.target.close())
