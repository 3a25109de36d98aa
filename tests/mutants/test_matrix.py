"""The kill matrix: what it says of mutants that are found, that survive, and that do not work. tox.ini has the gate."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from time import sleep

import jsonschema
import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.mutants.faults import HandshakeFault
from ergo_conformance.mutants.mutant import Mutant
from ergo_conformance.mutants.registry import MUTANTS
from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.reference_node.options import NetworkOptions
from ergo_conformance.verdict.matrix import processes
from ergo_conformance.verdict.matrix.json_report import SCHEMA, to_json
from ergo_conformance.verdict.matrix.plan import CONTROLS, PlannedRun, Selection, plan
from ergo_conformance.verdict.matrix.processes import RunEnded, execute
from ergo_conformance.verdict.matrix.result import Matrix, Status, percent
from ergo_conformance.verdict.matrix.terminal_report import families
from ergo_conformance.verdict.run.collected_case import CollectedCase
from ergo_conformance.verdict.run.collection import collect_cases

FOUND_BY = "handshake.digest.hello_answered"
SWAPPED = MUTANTS["handshake.swapped_digest"]
SKIPPED = "registrar.esrd_client.takes_over"
"""A case that the node in memory can't run."""
NO_EFFECT = HandshakeFault(EhsSession)


@cache
def cases() -> Mapping[str, CollectedCase]:
    return collect_cases()


def mutant(**values: object) -> Mutant:
    """Returns a mutant with the fault of SWAPPED, and these values."""
    return replace(SWAPPED, **{"area": "test", "name": "test", "found_by": (FOUND_BY,), **values})  # type: ignore[arg-type]


def selection_of(*mutants: Mutant, chosen: tuple[str, ...] = (), all_cases: bool = False) -> Selection:
    selected = tuple(cases()[id_] for id_ in chosen or cases())
    return Selection(mutants, selected, all_cases=all_cases, narrowed=bool(chosen), lists_missing=True)


def matrix_of(selection: Selection, excused: Mapping[str, str] | None = None) -> Matrix:
    runs = plan(selection, cases())
    matrix = Matrix(selection, cases(), runs, excused or {"*": "not of interest here"}, selection.mutants)
    for event in execute(runs, 2):
        matrix.add(event)
    return matrix


@dataclass(frozen=True, slots=True)
class FaultOfTheProcess:
    """A fault that does something to its process when it is installed."""

    does: str

    def network_options(self, options: NetworkOptions) -> NetworkOptions:
        if self.does == "refuse":
            raise UsageError("a bug in the mutant")
        return options

    @contextmanager
    def installed(self) -> Iterator[None]:
        if self.does == "exit":
            os._exit(3)
        if self.does == "abort":
            os.abort()
        while self.does == "hang":
            sleep(1)
        yield


# --- single mutants ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("needs_tcp", [False, True], ids=["memory", "tcp"])
def test_a_mutant_that_its_cases_find_is_killed(needs_tcp: bool) -> None:
    matrix = matrix_of(selection_of(mutant(needs_tcp=needs_tcp)))
    result = matrix.mutant("test.test")
    assert (result.status, result.problems) == (Status.KILLED, ())
    assert FOUND_BY in result.kills
    assert matrix.pristine_problems == []
    assert matrix.exit_code == 0


WRONG: dict[str, tuple[Mutant, Status, str]] = {
    "no effect": (mutant(fault=NO_EFFECT), Status.SURVIVED, f"found_by: {FOUND_BY} does not find it: PASS"),
    "a case too many": (
        mutant(found_by=(FOUND_BY, "registrar.register.silence")),
        Status.MISDECLARED,
        "found_by: registrar.register.silence does not find it: PASS",
    ),
    "a case of a family": (
        mutant(found_by=(FOUND_BY, "registrar.register.any_name*")),
        Status.MISDECLARED,
        "found_by: registrar.register.any_name[empty] does not find it: PASS",
    ),
    "an unknown case": (
        mutant(found_by=(FOUND_BY, "handshake.digest.x*")),
        Status.MISDECLARED,
        "found_by: no case matches 'handshake.digest.x*'",
    ),
    "a case that cites another requirement": (
        mutant(requirements=("ENP-HDR-1",)),
        Status.MISDECLARED,
        "no case that finds it cites ENP-HDR-1",
    ),
    "does not start": (
        mutant(fault=FaultOfTheProcess("refuse")),
        Status.ERROR,
        "UsageError: a bug in the mutant",
    ),
    "does not start over TCP": (
        mutant(fault=FaultOfTheProcess("refuse"), needs_tcp=True),
        Status.ERROR,
        "TargetError: a bug in the mutant",
    ),
    "ends its process": (mutant(fault=FaultOfTheProcess("exit")), Status.ERROR, "the process ended with exit code 3"),
    "is killed by a signal": (
        mutant(fault=FaultOfTheProcess("abort")),
        Status.ERROR,
        "the process ended with signal 6",
    ),
}


def test_a_mutant_that_is_not_found_as_declared_is_reported_with_the_reason() -> None:
    for given, status, problem in WRONG.values():
        matrix = matrix_of(selection_of(given))
        result = matrix.mutant("test.test")
        assert result.status is status
        assert problem in result.problems
        assert matrix.exit_code == 1


def test_a_mutant_that_fails_all_control_cases_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ergo_conformance.verdict.matrix.plan.CONTROLS", (FOUND_BY,))
    monkeypatch.setattr("ergo_conformance.verdict.matrix.result.CONTROLS", (FOUND_BY,))
    result = matrix_of(selection_of(mutant())).mutant("test.test")
    assert result.status is Status.ERROR
    assert result.problems == (f"it fails all control cases: {FOUND_BY}",)


def test_a_run_that_reports_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SILENCE_LIMIT", 0.1)
    run = PlannedRun("test.test", mutant(fault=FaultOfTheProcess("hang")), (cases()[FOUND_BY],), live=False)
    assert list(execute([run], 1)) == [RunEnded(run, "no case ended within 0.1 s")]


def test_control_cases_exist_and_pass_without_a_fault() -> None:
    assert set(CONTROLS) <= cases().keys()
    assert matrix_of(selection_of(mutant())).pristine_cases == len({*CONTROLS, FOUND_BY})


def test_a_case_that_the_node_without_a_fault_does_not_pass_is_reported() -> None:
    matrix = matrix_of(selection_of(mutant(found_by=(FOUND_BY, SKIPPED))))
    assert [text.partition(":")[0] for text in matrix.pristine_problems] == [SKIPPED]
    assert matrix.exit_code == 1


# --- selections -------------------------------------------------------------------------------------------------------


def test_all_selected_cases_run_against_a_mutant() -> None:
    chosen = (FOUND_BY, "registrar.register.silence")
    result = matrix_of(selection_of(mutant(), chosen=chosen, all_cases=True)).mutant("test.test")
    assert result.verdicts.keys() == {*chosen, *CONTROLS}
    assert result.status is Status.KILLED


def test_a_mutant_without_a_selected_case_does_not_run() -> None:
    assert plan(selection_of(mutant(), chosen=("registrar.register.silence",)), cases()) == []


# --- cases without mutant ---------------------------------------------------------------------------------------------


def test_a_must_case_that_finds_no_mutant_is_reported() -> None:
    whole = ("registrar.register.silence", FOUND_BY)
    selection = replace(selection_of(mutant()), chosen=tuple(cases()[id_] for id_ in whole))
    matrix = matrix_of(selection, excused={"none": "matches no case"})
    assert [(each.case.id, each.reason) for each in matrix.missing] == [("registrar.register.silence", "")]
    assert matrix.exit_code == 1


def test_a_must_case_without_mutant_that_has_a_reason_lowers_the_score_only() -> None:
    whole = ("registrar.register.silence", FOUND_BY)
    selection = replace(selection_of(mutant()), chosen=tuple(cases()[id_] for id_ in whole))
    matrix = matrix_of(selection, excused={"registrar.*": "a reason"})
    assert [(each.case.id, each.reason) for each in matrix.missing] == [("registrar.register.silence", "a reason")]
    assert matrix.exit_code == 0
    assert json.loads(to_json(matrix))["score"]["must_percent"] == 50.0


def test_the_json_report_is_valid() -> None:
    report = json.loads(to_json(matrix_of(selection_of(mutant(), mutant(name="other", fault=NO_EFFECT)))))
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [row["status"] for row in report["mutants"]] == ["KILLED", "SURVIVED"]
    assert report["score"]["mutants_killed"] == 1


def test_percent_is_rounded_down() -> None:
    assert [percent(*each) for each in ((999_999, 1_000_000), (1, 1), (0, 3), (2, 3), (0, 0))] == [
        99.9,
        100,
        0,
        66.6,
        100,
    ]


def test_families_name_all_parameters_of_a_case_at_once() -> None:
    known = dict.fromkeys(("a.b[1]", "a.b[2]", "a.c[1]", "a.c[2]", "a.d[1]", "a.e"))
    assert families(("a.b[1]", "a.b[2]", "a.c[1]", "a.d[1]", "a.e"), known) == ["a.b[*]", "a.c[1]", "a.d[1]", "a.e"]  # type: ignore[arg-type]
