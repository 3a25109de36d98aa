"""Each MUST case has a mutant, each mutant a case, by their declarations. The gate in tox.ini shows that these hold."""

from functools import cache

from ergo_conformance.mutants.mutant import Mutant
from ergo_conformance.mutants.registry import MUTANTS
from ergo_conformance.verdict.matrix.plan import Selection, declared_cases, unmatched_patterns
from ergo_conformance.verdict.matrix.result import Matrix
from ergo_conformance.verdict.matrix.without_mutant import WITHOUT_MUTANT
from ergo_conformance.verdict.run.collected_case import CollectedCase
from ergo_conformance.verdict.run.collection import collect_cases


@cache
def cases() -> dict[str, CollectedCase]:
    return collect_cases()


def test_each_case_that_a_mutant_declares_exists() -> None:
    unknown = {mutant.id: unmatched_patterns(mutant, cases()) for mutant in MUTANTS.values()}
    assert not {id_: patterns for id_, patterns in unknown.items() if patterns}, "mend `found_by` of these mutants"


def test_each_mutant_declares_a_case_that_cites_one_of_its_requirements() -> None:
    without = [mutant.id for mutant in MUTANTS.values() if not cites(mutant)]
    assert not without, "add such a case to `found_by`, or the requirement of a declared case to the mutant"


def cites(mutant: Mutant) -> bool:
    found = declared_cases(mutant, cases())
    return any(set(case.case.requirements) & set(mutant.requirements) for case in found)


def test_a_fifth_of_the_mutants_is_subtle() -> None:
    assert 5 * sum(mutant.subtle for mutant in MUTANTS.values()) >= len(MUTANTS)


def test_each_case_of_a_must_has_a_mutant() -> None:
    everything = Selection((), tuple(cases().values()), all_cases=False, narrowed=False, lists_missing=True)
    matrix = Matrix(everything, cases(), (), WITHOUT_MUTANT)
    missing = [each.case.id for each in matrix.missing if not each.reason]
    assert not missing, (
        "these cases can't be shown to fail: declare a mutant in ergo_conformance/mutants/ and name the case in its `found_by`"
    )
