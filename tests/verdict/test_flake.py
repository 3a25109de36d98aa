"""The tool that repeats the suites: verdicts are added up over invocations, changed ones are found."""

from pathlib import Path

import pytest

from ergo_conformance.spec.requirements import RequirementLevel
from ergo_conformance.verdict.run.outcome import Outcome, Verdict
from tests.support import flake
from tests.support.flake import State, Tally, busy_processes, main


def outcome(id_: str, verdict: Verdict) -> Outcome:
    return Outcome(id_, "Title.", "proto", ("ENP-HDR-1",), RequirementLevel.MUST, verdict, received="something else")


def tally(*runs: dict[str, Verdict]) -> Tally:
    found = Tally()
    for run in runs:
        found.add([outcome(id_, verdict) for id_, verdict in run.items()], "code")
    return found


def test_a_case_with_one_verdict_in_all_runs_is_stable() -> None:
    found = tally(*[{"a": Verdict.PASS, "b": Verdict.INFO, "c": Verdict.SKIP}] * 3)
    assert found.unstable(busy=False) == {}
    assert (found.runs, found.versions, found.evidence) == (3, {"code": 3}, [])


@pytest.mark.parametrize("changed", [Verdict.FAIL, Verdict.ERROR, Verdict.INFO, Verdict.SKIP, Verdict.INCONCLUSIVE])
def test_a_changed_verdict_is_unstable_and_kept_with_its_seed(changed: Verdict) -> None:
    found = tally({"a": Verdict.PASS}, {"a": Verdict.PASS}, {"a": changed})
    assert found.unstable(busy=False) == {"a": {"PASS": 2, changed.value: 1}}
    (row,) = found.evidence
    assert (row["seed"], row["case"], row["received"]) == (2, "a", "something else")


def test_inconclusive_is_stable_beside_busy_processes_alone() -> None:
    found = tally({"a": Verdict.PASS}, {"a": Verdict.INCONCLUSIVE})
    assert found.unstable(busy=True) == {}
    assert list(found.unstable(busy=False)) == ["a"]


def test_a_case_that_always_fails_is_never_good() -> None:
    assert list(tally(*[{"a": Verdict.FAIL}] * 2).unstable(busy=True)) == ["a"]


def test_runs_add_up_over_invocations_with_new_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def run(cases: object, options: object, seed: int) -> list[Outcome]:
        seeds.append(seed)
        return [outcome("a", Verdict.PASS)]

    monkeypatch.setattr(flake, "run_suites", run)
    monkeypatch.setattr(flake, "collect_cases", lambda names: {})
    state = tmp_path / "flake.json"
    assert main(["--runs", "2", "--state", str(state)]) == 0
    assert main(["--runs", "1", "--state", str(state)]) == 0
    assert main(["--runs", "1", "--state", str(state), "--over", "tcp"]) == 0
    assert seeds == [0, 1, 2, 0]
    assert {name: tally.runs for name, tally in State.load(state).tallies.items()} == {"memory": 3, "tcp": 1}


def test_busy_processes_end_with_the_runs() -> None:
    with busy_processes(2) as processes:
        assert [process.poll() for process in processes] == [None, None]
    assert all(process.returncode is not None for process in processes)
