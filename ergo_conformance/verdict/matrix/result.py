"""Result of a kill matrix: which cases find which mutants, and what is missing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...mutants.mutant import Mutant
from ...spec.requirements import RequirementLevel
from ..run.collected_case import CollectedCase
from ..run.outcome import Verdict
from .plan import declared_cases, unmatched_patterns
from .processes import CaseJudged, RunEnded

FINDS: Final = frozenset({Verdict.FAIL, Verdict.WARN, Verdict.INFO})
"""Verdicts of a case that has found a violation: a case of a MUST has FAIL."""


@dataclass(slots=True)
class MutantResult:
    """What the cases say of one mutant, or of the node without a fault."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    """Verdicts by the ids of the cases that ran."""
    reasons: dict[str, str] = field(default_factory=dict)
    """What was received, or why there is no verdict, by the ids of the cases."""
    errors: list[str] = field(default_factory=list)
    """Sentences about a run that did not end normally."""

    def add(self, event: CaseJudged | RunEnded) -> None:
        """Adds what a run reports."""
        if isinstance(event, RunEnded):
            self.errors += [event.error] * bool(event.error)
            return
        outcome = event.outcome
        self.verdicts[outcome.id] = outcome.verdict
        self.reasons[outcome.id] = outcome.reason or outcome.received

    @property
    def kills(self) -> list[str]:
        """Ids of the cases that find the mutant."""
        return [id_ for id_, verdict in self.verdicts.items() if verdict in FINDS]


def problems_of(mutant: Mutant, result: MutantResult, cases: Mapping[str, CollectedCase]) -> list[str]:
    """Returns one sentence for everything that contradicts the declaration of a mutant. `cases`: all cases."""
    found = list(result.errors)
    found += [f"found_by: {pattern!r} matches no case" for pattern in unmatched_patterns(mutant, cases)]
    for case in declared_cases(mutant, cases):
        verdict = result.verdicts.get(case.id)
        if verdict is not None and verdict not in FINDS:
            reason = f": {result.reasons[case.id]}" if result.reasons[case.id] else ""
            found.append(f"found_by: {case.id} does not find it, but is {verdict}{reason}")
    kills = [cases[id_] for id_ in result.kills]
    if not kills:
        found.append("no case finds it")
    elif not any(set(case.case.requirements) & set(mutant.requirements) for case in kills):
        found.append(f"no case that finds it cites {' or '.join(mutant.requirements)}")
    return found


def without_mutant(
    cases: Iterable[CollectedCase], killing: set[str], unselected: Sequence[Mutant], known: Mapping[str, CollectedCase]
) -> list[str]:
    """Returns the ids of the MUST cases that find no mutant.

    `killing`: ids of the cases that found one; `unselected`: mutants that did not run, whose declarations count.
    """
    declared = {case.id for mutant in unselected for case in declared_cases(mutant, known)}
    must = (case.id for case in cases if case.level is RequirementLevel.MUST)
    return [id_ for id_ in must if id_ not in killing and id_ not in declared]
