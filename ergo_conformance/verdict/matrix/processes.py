"""Executes the runs of a kill matrix, each in a process of its own: a fault changes the code of its process."""

import gc
import multiprocessing as mp
import os
import signal
import time
import warnings
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final

from ...targets.mutant import MutantTarget
from ...targets.self_node import SelfTarget
from ..run.mutant_run import conclusive_outcomes
from ..run.outcome import Outcome
from .plan import PlannedRun

LIVE_PER_JOB: Final = 4
"""Number of live runs for each job: their cases mostly wait for deadlines."""
SILENCE_LIMIT: Final = 300.0
"""Seconds of real time after which a run that reports nothing is ended."""
POLL: Final = 1.0
"""Seconds between two looks at the runs that report nothing."""


@dataclass(frozen=True, slots=True)
class CaseJudged:
    """A case of a run has an outcome."""

    run: PlannedRun
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run has ended. `error`: one sentence if it did not end normally."""

    run: PlannedRun
    error: str


@dataclass(slots=True)
class _Running:
    run: PlannedRun
    process: BaseProcess
    last: float = field(default_factory=time.monotonic)


def execute(runs: Sequence[PlannedRun], jobs: int) -> Generator[CaseJudged | RunEnded]:
    """Executes runs, at most `jobs` in memory and LIVE_PER_JOB times as many over sockets at once.

    Yields what they report. Closing the iterator ends the runs.
    """
    waiting = {live: [run for run in runs if run.live is live] for live in (True, False)}
    room = {True: jobs * LIVE_PER_JOB, False: jobs}
    for queue in waiting.values():
        queue.sort(key=lambda run: -len(run.cases))
    running: dict[Connection, _Running] = {}
    try:
        while running or any(waiting.values()):
            for live in (True, False):
                while waiting[live] and sum(each.run.live is live for each in running.values()) < room[live]:
                    run = waiting[live].pop(0)
                    pipe, process = _start(run)
                    running[pipe] = _Running(run, process)
            for pipe in [each for each in wait(list(running), POLL) if isinstance(each, Connection)]:
                event = _receive(pipe, running[pipe])
                if isinstance(event, RunEnded):
                    _end(pipe, running.pop(pipe).process)
                yield event
            for silent, each in list(running.items()):
                if time.monotonic() - each.last > SILENCE_LIMIT:
                    each.process.kill()
                    _end(silent, running.pop(silent).process)
                    yield RunEnded(each.run, f"no case ended within {SILENCE_LIMIT:g} s")
    finally:
        for pipe, each in running.items():
            each.process.kill()
            _end(pipe, each.process)


def _receive(pipe: Connection, each: _Running) -> CaseJudged | RunEnded:
    each.last = time.monotonic()
    try:
        received: Outcome | str = pipe.recv()
    except EOFError:
        each.process.join()
        code = each.process.exitcode or 0
        return RunEnded(each.run, f"the process ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}")
    return RunEnded(each.run, received) if isinstance(received, str) else CaseJudged(each.run, received)


def _end(pipe: Connection, process: BaseProcess) -> None:
    pipe.close()
    process.join()


def _start(run: PlannedRun) -> tuple[Connection, BaseProcess]:
    ours, theirs = mp.Pipe(duplex=False)
    process = mp.get_context("fork").Process(target=_report, args=(run, theirs), daemon=True)
    with warnings.catch_warnings():
        # Python warns of locks that other threads hold. Here these are threads of pytest plugins, which a run does not use.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    theirs.close()
    return ours, process


def _report(run: PlannedRun, pipe: Connection) -> None:
    """Body of the process: sends each outcome, then a text, which is empty after a normal end."""
    _separate()
    gc.freeze()  # collections neither visit nor copy the objects of the first process
    over = "tcp" if run.live else "memory"
    target = MutantTarget(run.mutant, over=over) if run.mutant else SelfTarget(over=over)
    error = ""
    try:
        for outcome in conclusive_outcomes(target, run.cases):
            outcome.transcripts = []
            pipe.send(outcome)
    except BaseException as raised:  # noqa: BLE001  reported
        error = f"{type(raised).__name__}: {raised}"
    with suppress(BrokenPipeError):
        pipe.send(error)
    os._exit(0)  # no clean-up of the first process in its copy


def _separate() -> None:
    """Makes the process independent of the terminal: the first process ends it, and its warnings are no output of ours."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
