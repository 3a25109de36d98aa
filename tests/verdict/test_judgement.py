"""Outcome of a case: which requirements a violation counts for, and results that can't be judged."""

from typing import cast

import pytest

from ergo_conformance.peers.violation import SetUpError, ViolationError
from ergo_conformance.spec.requirements import RequirementLevel, strictest
from ergo_conformance.verdict.run.case import Case
from ergo_conformance.verdict.run.collected_case import CollectedCase
from ergo_conformance.verdict.run.execution import CaseResult
from ergo_conformance.verdict.run.judgement import outcome_of
from ergo_conformance.verdict.run.outcome import Outcome, Verdict

MUST, OBSERVED = ("ENP-REQ-1",), ("ENP-ORD-2",)


def judged(error: BaseException, requirements: tuple[str, ...]) -> Outcome:
    item = cast("pytest.Function", None)
    case = CollectedCase(item, "proto.area.name", "proto", "Title.", Case(requirements), strictest(requirements))
    return outcome_of(case, CaseResult(error))


def violation(requirements: tuple[str, ...] = (), general: tuple[str, ...] = ()) -> ViolationError:
    made = ViolationError("no frame")
    made.requirements, made.general = requirements, general
    return made


@pytest.mark.parametrize(
    ("error", "of_the_case", "verdict", "violated"),
    [
        (violation(), MUST, Verdict.FAIL, MUST),
        (violation(), OBSERVED, Verdict.INFO, OBSERVED),
        (violation(("ENP-ANY-1",)), MUST, Verdict.FAIL, ("ENP-ANY-1",)),
        (violation(("ENP-ANY-1",)), OBSERVED, Verdict.FAIL, ("ENP-ANY-1",)),
        (violation((), ("ROB-ENP-3",)), OBSERVED, Verdict.FAIL, ("ROB-ENP-3",)),
        (violation((), ("ROB-ENP-3",)), MUST, Verdict.FAIL, MUST),
        (violation(("ENP-ANY-1",), ("ROB-ENP-3",)), OBSERVED, Verdict.FAIL, ("ENP-ANY-1",)),
        (violation(("ENP-ORD-2",)), MUST, Verdict.INFO, ("ENP-ORD-2",)),
    ],
    ids=[
        "own_must", "own_observed", "step_of_must", "step_of_observed",
        "general_of_observed", "general_of_must", "step_and_general", "observed_step",
    ],
)  # fmt: skip
def test_a_violation_counts_for_the_step_that_failed_or_for_the_case(
    error: ViolationError, of_the_case: tuple[str, ...], verdict: Verdict, violated: tuple[str, ...]
) -> None:
    outcome = judged(error, of_the_case)
    assert (outcome.verdict, outcome.requirements, outcome.level) == (verdict, violated, strictest(violated))


@pytest.mark.parametrize("requirements", [MUST, OBSERVED], ids=["must", "observed"])
def test_a_failed_set_up_without_a_requirement_is_inconclusive_with_its_text(requirements: tuple[str, ...]) -> None:
    outcome = judged(SetUpError("pub answered resource is taken"), requirements)
    assert (outcome.verdict, outcome.reason) == (Verdict.INCONCLUSIVE, "pub answered resource is taken")


def test_a_passed_case_keeps_its_requirements() -> None:
    item = cast("pytest.Function", None)
    case = CollectedCase(item, "proto.area.name", "proto", "Title.", Case(MUST), RequirementLevel.MUST)
    assert outcome_of(case, CaseResult()).requirements == MUST
