"""Every mutant is found by the cases that its declaration names, and the node without a fault passes the same cases."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from operator import attrgetter

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.mutants.faults import HandshakeFault
from ergo_conformance.mutants.mutant import Area, Mutant
from ergo_conformance.mutants.registry import AREAS, MUTANTS
from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.reference_node.options import NetworkOptions
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.verdict.matrix import plan
from ergo_conformance.verdict.matrix.plan import unmatched_patterns
from ergo_conformance.verdict.run.collected_case import CollectedCase
from ergo_conformance.verdict.run.collection import collect_cases
from ergo_conformance.verdict.run.mutant_run import run_cases, run_mutant
from ergo_conformance.verdict.run.outcome import Outcome, Verdict
from ergo_conformance.verdict.run.registration import certificate
from tests.support.processes import failures_in_processes

ATTEMPTS = 10
CONCURRENT = 6
"""Mutants over TCP that run concurrently: their cases mostly wait for deadlines."""
WARNS = frozenset({"saturn.never_resolves"})
"""Mutants that violate only a SHOULD."""


@cache
def cases() -> Mapping[str, CollectedCase]:
    certificate()  # loads the TLS libraries, which would delay the first live case
    return collect_cases()


def declared_cases(mutant: Mutant) -> list[CollectedCase]:
    assert not unmatched_patterns(mutant, cases())
    return plan.declared_cases(mutant, cases())


def assert_found(mutant: Mutant, outcomes: Mapping[str, Outcome]) -> None:
    expected = Verdict.WARN if mutant.id in WARNS else Verdict.FAIL
    assert mutant.found_by
    declared = [case.id for case in declared_cases(mutant)]
    assert {id_: outcome.verdict for id_, outcome in outcomes.items()} == dict.fromkeys(declared, expected), [
        (outcome.id, outcome.reason or outcome.received) for outcome in outcomes.values()
    ]


@pytest.mark.parametrize("mutant", [each for each in MUTANTS.values() if not each.needs_tcp], ids=attrgetter("id"))
def test_the_declared_cases_find_the_mutant(mutant: Mutant) -> None:
    assert_found(mutant, run_mutant(mutant, declared_cases(mutant)))


@pytest.mark.parametrize(
    "area", [area for area in AREAS if any(mutant.needs_tcp for mutant in area.mutants)], ids=attrgetter("name")
)
def test_the_declared_cases_find_the_mutants_over_tcp(area: Area) -> None:
    cases()  # collected once, before the processes start
    mutants = [mutant for mutant in area.mutants if mutant.needs_tcp]
    failures = failures_in_processes({mutant.id: partial(check_mutant, mutant) for mutant in mutants}, CONCURRENT)
    assert not failures, "\n".join(failures.values())


def check_mutant(mutant: Mutant) -> None:
    assert_found(mutant, conclusive_outcomes(lambda: run_mutant(mutant, declared_cases(mutant))))


def conclusive_outcomes(run: Callable[[], dict[str, Outcome]]) -> dict[str, Outcome]:
    """Runs cases again, up to ATTEMPTS times, while one has no verdict: the tester is often late on a busy machine."""
    for _ in range(ATTEMPTS - 1):
        outcomes = run()
        if all(outcome.verdict is not Verdict.INCONCLUSIVE for outcome in outcomes.values()):
            return outcomes
    return run()


@pytest.mark.parametrize("over", ["memory", "tcp"])
@pytest.mark.parametrize("area", AREAS, ids=attrgetter("name"))
def test_the_node_without_a_fault_passes_the_declared_cases(area: Area, over: str) -> None:
    mutants = [mutant for mutant in area.mutants if mutant.needs_tcp == (over == "tcp")]
    found = {case.id: case for mutant in mutants for case in declared_cases(mutant)}
    outcomes = conclusive_outcomes(lambda: run_cases(SelfTarget(over=over), list(found.values()))) if found else {}
    bad = [(each.id, each.verdict, each.reason) for each in outcomes.values() if each.verdict is not Verdict.PASS]
    assert bad == []
    assert outcomes.keys() == found.keys()


# --- the test can fail ------------------------------------------------------------------------------------------------

FOUND_BY = ("handshake.digest.hello_answered",)


def mutant_with(fault: HandshakeFault, found_by: tuple[str, ...] = FOUND_BY, *, needs_tcp: bool = False) -> Mutant:
    return Mutant(
        area="test", name="test", breaks="", requirements=(), found_by=found_by, fault=fault, needs_tcp=needs_tcp
    )


def test_a_mutant_without_an_effect_is_reported() -> None:
    mutant = mutant_with(HandshakeFault(EhsSession))
    outcomes = run_mutant(mutant, declared_cases(mutant))
    assert outcomes[FOUND_BY[0]].verdict is Verdict.PASS
    with pytest.raises(AssertionError):
        assert_found(mutant, outcomes)


def test_a_case_that_is_skipped_is_reported() -> None:
    mutant = mutant_with(HandshakeFault(EhsSession), ("registrar.esrd_client.takes_over",))
    outcomes = run_mutant(mutant, declared_cases(mutant))
    assert [outcome.verdict for outcome in outcomes.values()] == [Verdict.SKIP]
    with pytest.raises(AssertionError):
        assert_found(mutant, outcomes)


def test_a_mutant_without_cases_is_reported() -> None:
    with pytest.raises(AssertionError):
        assert_found(mutant_with(HandshakeFault(EhsSession), ()), {})


class DoesNotStart(HandshakeFault):
    def network_options(self, options: NetworkOptions) -> NetworkOptions:
        raise UsageError("a bug in the mutant")


@pytest.mark.parametrize("needs_tcp", [False, True])
def test_a_mutant_that_does_not_start_is_reported(needs_tcp: bool) -> None:
    mutant = mutant_with(DoesNotStart(EhsSession), needs_tcp=needs_tcp)
    with pytest.raises(UsageError, match="a bug in the mutant"):
        run_mutant(mutant, declared_cases(mutant))
