"""Plan of a kill matrix: the runs of mutants, and of the node without a fault, with the cases of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...mutants.mutant import Mutant
from ...mutants.registry import MUTANTS, mutant_named
from ..run.collected_case import CollectedCase
from ..run.collection import matches

PRISTINE: Final = "no fault"
"""Name of the runs of the node without a fault."""
CONTROLS: Final = (
    "golden.edf.reads[bool]",
    "handshake.digest.whole_handshake",
    "proto.calls.call[pid]",
    "registrar.register.register",
    "registrar.saturn.register",
)
"""Cases that every mutant runs. A mutant that passes none of them is no node with one fault but one that does not work."""
CASES_OF_A_RUN: Final = 100
"""Maximum number of cases of one run of the node without a fault: several such runs go on at once."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One run: a mutant, or the node without a fault, with its cases.

    `live`: over sockets, with real deadlines; otherwise in memory under a virtual clock.
    """

    name: str
    mutant: Mutant | None
    cases: tuple[CollectedCase, ...]
    live: bool


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of the matrix that runs."""

    mutants: tuple[Mutant, ...]
    chosen: tuple[CollectedCase, ...]
    """Selected cases."""
    all_cases: bool
    """True if each mutant runs all selected cases, not only its declared ones."""
    narrowed: bool
    """True if cases are selected, so that declarations are checked in part."""
    lists_missing: bool
    """True if the MUST cases without mutant are listed."""

    def cases_of(self, mutant: Mutant, cases: Mapping[str, CollectedCase]) -> list[CollectedCase]:
        """The selected cases that the mutant runs, without the control cases."""
        if self.all_cases:
            return list(self.chosen)
        declared = declared_cases(mutant, cases)
        if not self.narrowed:
            return declared
        chosen = {case.id for case in self.chosen}
        return [case for case in declared if case.id in chosen]


def mutants_named(patterns: Sequence[str]) -> list[Mutant]:
    """Returns the mutants whose ids or names these texts or patterns are, in order of declaration; all without a pattern.

    UsageError for a pattern that selects none.
    """
    if not patterns:
        return list(MUTANTS.values())
    selected: set[str] = set()
    for pattern in patterns:
        found = {id_ for id_ in MUTANTS if matches(id_, pattern)}
        if not found and set(pattern) & set("*?"):
            found = {id_ for id_, mutant in MUTANTS.items() if matches(mutant.name, pattern)}
        selected |= found or {mutant_named(pattern).id}
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


def plan(selection: Selection, cases: Mapping[str, CollectedCase]) -> list[PlannedRun]:
    """Returns the runs of a selection: first those of the node without a fault, with the cases of all mutants."""
    controls = [cases[id_] for id_ in CONTROLS if id_ in cases]
    runs, used = list[PlannedRun](), {live: dict[str, CollectedCase]() for live in (False, True)}
    for mutant in selection.mutants:
        selected = selection.cases_of(mutant, cases)
        if selected:
            all_ = _unique([*selected, *controls])
            runs.append(PlannedRun(mutant.id, mutant, tuple(all_.values()), mutant.needs_tcp))
            used[mutant.needs_tcp] |= all_
    return [*_pristine(used[True], live=True), *_pristine(used[False], live=False), *runs]


def _unique(cases: Iterable[CollectedCase]) -> dict[str, CollectedCase]:
    return {case.id: case for case in cases}


def _pristine(cases: Mapping[str, CollectedCase], *, live: bool) -> list[PlannedRun]:
    """Runs of the node without a fault; cases of one kind are spread over them, since golden ones take longest."""
    parts = -(-len(cases) // CASES_OF_A_RUN)
    ordered = list(cases.values())
    return [PlannedRun(PRISTINE, None, tuple(ordered[part::parts]), live) for part in range(parts)]
