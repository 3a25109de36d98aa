"""The verb `mutants`: plans a matrix, executes it and prints its result."""

from collections.abc import Sequence

from ...errors import UsageError, suggestion
from ...mutants.registry import MUTANTS
from ..reports.console import make_console
from ..run.collected_case import CollectedCase
from ..run.collection import collect_cases, matches
from ..run.registration import certificate
from .plan import mutants_named, runs_of_mutants
from .processes import CaseJudged, execute
from .result import MutantResult, problems_of, without_mutant


def run_matrix(
    names: Sequence[str], suites: Sequence[str], patterns: Sequence[str], jobs: int, *, all_cases: bool
) -> int:
    """Returns the exit code."""
    say = make_console().print
    mutants = mutants_named(names)
    cases = collect_cases()
    certificate()  # loads the TLS libraries, which would delay the first live case
    chosen = _chosen(cases, suites, patterns)
    narrowed = all_cases or bool(suites or patterns)
    selected = {case.id for case in chosen}
    runs = runs_of_mutants(mutants, cases, chosen if all_cases else None)
    if narrowed and not all_cases:
        runs = [run for run in runs if any(case.id in selected for case in run.cases)]
    results = {run.name: MutantResult() for run in runs}
    for event in execute(runs, jobs):
        results[event.run.name].add(event)
        if isinstance(event, CaseJudged):
            continue
        name = event.run.name
        found = problems_of(MUTANTS[name], results[name], cases)
        say(f"{'[bold red]problem[/]' if found else '[green]killed[/]'} {name}  {MUTANTS[name].breaks}")
        for id_ in results[name].kills:
            say(f"    {id_}", markup=False)
        for text in found:
            say(f"  ! {text}", markup=False)
    bad = [name for name, result in results.items() if problems_of(MUTANTS[name], result, cases)]
    killing = {id_ for result in results.values() for id_ in result.kills}
    unselected = [mutant for id_, mutant in MUTANTS.items() if id_ not in results]
    missing = without_mutant(chosen, killing, unselected, cases)
    say(f"\n{len(missing)} MUST cases that no mutant fails:")
    for id_ in missing:
        say(f"    {id_}", markup=False)
    say(f"{len(results) - len(bad)} of {len(results)} mutants are found as declared; not: {', '.join(bad) or 'none'}")
    return 5 if not results else 1 if bad else 0


def _chosen(cases: dict[str, CollectedCase], suites: Sequence[str], patterns: Sequence[str]) -> list[CollectedCase]:
    for pattern in patterns:
        if not any(matches(id_, pattern) for id_ in cases):
            raise UsageError(f"unknown case {pattern!r}{suggestion(pattern, list(cases))}")
    return [
        case
        for case in cases.values()
        if (not suites or case.suite in suites) and (not patterns or any(matches(case.id, p) for p in patterns))
    ]
