"""Runs chosen cases against a mutant, or against the node without a fault, in this process and without pytest."""

from collections.abc import Sequence
from typing import Final

from ...mutants.mutant import Mutant
from ...targets.base import Target
from ...targets.mutant import MutantTarget
from .collected_case import CollectedCase
from .execution import MemoryRunner, Runner
from .judgement import outcome_of
from .live import LiveRunner
from .outcome import Outcome

SEED: Final = 0
TIMEOUT: Final = 30.0
"""Seconds that a live case may take."""
JOBS: Final = 16
"""Maximum number of live cases that run concurrently."""


def run_mutant(mutant: Mutant, cases: Sequence[CollectedCase]) -> dict[str, Outcome]:
    """Returns the outcomes of coroutine cases by their ids. TargetError if the mutant does not start."""
    return run_cases(MutantTarget(mutant), cases)


def run_cases(target: Target, cases: Sequence[CollectedCase]) -> dict[str, Outcome]:
    """Returns the outcomes of coroutine cases against any target by their ids. TargetError if it does not start."""
    planned = [case.planned() for case in cases]
    runner = _runner(target)
    try:
        runner.plan(planned)
        return {case.id: outcome_of(case, runner.result(each)) for case, each in zip(cases, planned, strict=True)}
    finally:
        runner.close()


def _runner(target: Target) -> Runner:
    if not target.live:
        return MemoryRunner(target, SEED, TIMEOUT)
    runner = LiveRunner(target, SEED, TIMEOUT, JOBS)
    try:
        runner.start()
    except BaseException:
        runner.close()
        raise
    return runner
