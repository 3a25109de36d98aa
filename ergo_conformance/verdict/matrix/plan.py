"""Plan of a kill matrix: the runs of mutants, and of the node without a fault, with the cases of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...mutants.mutant import Mutant
from ...mutants.registry import MUTANTS, mutant_named
from ..run.collected_case import CollectedCase
from ..run.collection import matches

PRISTINE: Final = "no fault"
"""Name of the run of the node without a fault."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run: a mutant, or the node without a fault, with its cases.

    `live`: over sockets, with real deadlines; otherwise in memory under a virtual clock.
    """

    name: str
    mutant: Mutant | None
    cases: tuple[CollectedCase, ...]
    live: bool


def mutants_named(patterns: Sequence[str]) -> list[Mutant]:
    """Returns the mutants that these names or patterns select, in order of declaration; all without a pattern.

    UsageError for a pattern that selects none.
    """
    if not patterns:
        return list(MUTANTS.values())
    selected: set[str] = set()
    for pattern in patterns:
        selected |= {id_ for id_ in MUTANTS if matches(id_, pattern)} or {mutant_named(pattern).id}
    return [mutant for id_, mutant in MUTANTS.items() if id_ in selected]


def declared_cases(mutant: Mutant, cases: Mapping[str, CollectedCase]) -> list[CollectedCase]:
    """Returns the cases that the mutant's declaration names, in order of the declaration."""
    return list({case.id: case for pattern in mutant.found_by for case in _matching(pattern, cases)}.values())


def _matching(pattern: str, cases: Mapping[str, CollectedCase]) -> list[CollectedCase]:
    if pattern in cases:
        return [cases[pattern]]
    return [case for id_, case in cases.items() if matches(id_, pattern)]


def unmatched_patterns(mutant: Mutant, cases: Mapping[str, CollectedCase]) -> list[str]:
    """Returns the entries of `found_by` that match no case."""
    return [pattern for pattern in mutant.found_by if not _matching(pattern, cases)]


def runs_of_mutants(
    mutants: Sequence[Mutant], cases: Mapping[str, CollectedCase], chosen: Sequence[CollectedCase] | None
) -> list[PlannedRun]:
    """Returns the runs of mutants with their declared cases; with `chosen`, each mutant runs these cases."""
    runs = []
    for mutant in mutants:
        selected = declared_cases(mutant, cases) if chosen is None else chosen
        if selected:
            runs.append(PlannedRun(mutant.id, mutant, tuple(selected), mutant.needs_tcp))
    return runs
