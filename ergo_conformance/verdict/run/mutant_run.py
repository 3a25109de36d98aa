"""Runs chosen cases against a mutant, or against the node without a fault, in this process and without pytest."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Final

from ...mutants.mutant import Mutant
from ...targets.base import Target
from ...targets.mutant import MutantTarget
from .case_function import call
from .collected_case import CollectedCase
from .context import SkippedError
from .execution import CaseResult, MemoryRunner, Runner
from .judgement import outcome_of
from .live import LiveRunner
from .outcome import Outcome, Verdict

SEED: Final = 0
TIMEOUT: Final = 30.0
"""Seconds that a live case may take."""
JOBS: Final = 16
"""Maximum number of live cases that run concurrently."""
ATTEMPTS: Final = 30
"""Maximum number of runs of a case that has no verdict since the tester was late, as often on a busy machine."""
CODEC: Final = "ergo_codec"
"""Fixture that a golden case requests."""


def run_mutant(mutant: Mutant, cases: Sequence[CollectedCase]) -> dict[str, Outcome]:
    """Returns the outcomes of cases by their ids. TargetError if the mutant does not start."""
    return run_cases(MutantTarget(mutant), cases)


def run_cases(target: Target, cases: Sequence[CollectedCase]) -> dict[str, Outcome]:
    """Returns the outcomes of cases against any target by their ids. TargetError if it does not start."""
    return {outcome.id: outcome for outcome in outcomes(target, cases)}


def conclusive_outcomes(target: Target, cases: Sequence[CollectedCase]) -> Iterator[Outcome]:
    """Yields the outcomes of cases as they are known; cases that are INCONCLUSIVE run again, up to ATTEMPTS times."""
    left = list(cases)
    for attempt in range(1, ATTEMPTS + 1):
        again = []
        for case, outcome in zip(left, outcomes(target, left), strict=True):
            if outcome.verdict is Verdict.INCONCLUSIVE and attempt < ATTEMPTS:
                again.append(case)
            else:
                yield outcome
        left = again
        if not left:
            return


def outcomes(target: Target, cases: Sequence[CollectedCase], seed: int = SEED) -> Iterator[Outcome]:
    """Yields the outcomes of cases in their order. TargetError if the target does not start."""
    planned = {case.id: case.planned() for case in cases if case.is_coroutine}
    runner = _runner(target, seed)
    try:
        runner.plan(list(planned.values()))
        for case in cases:
            result = runner.result(planned[case.id]) if case.is_coroutine else _golden_result(case, target)
            yield outcome_of(case, result)
    finally:
        runner.close()


def _golden_result(case: CollectedCase, target: Target) -> CaseResult:
    """Runs a case that is a plain function and asks for the codec of the target alone."""
    values = dict(case.item.callspec.params) if hasattr(case.item, "callspec") else {}
    others = inspect.signature(case.function).parameters.keys() - values.keys() - {CODEC}
    if others or target.codec is None:
        return CaseResult(
            SkippedError(f"needs the fixtures {', '.join(sorted(others))}" if others else "needs a codec")
        )
    return CaseResult(call(case.function, {**values, CODEC: target.codec}))


def _runner(target: Target, seed: int) -> Runner:
    if not target.live:
        return MemoryRunner(target, seed, TIMEOUT)
    runner = LiveRunner(target, seed, TIMEOUT, JOBS)
    try:
        runner.start()
    except BaseException:
        runner.close()
        raise
    return runner
