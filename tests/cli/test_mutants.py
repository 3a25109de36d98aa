"""Runs of the command line with mutants: in memory as `mutant:NAME`, and as process targets."""

from pathlib import Path

import pytest

from ergo_conformance.mutants.registry import MUTANTS
from tests.support.cli import MUTANT_PROCESS, case_options, cases_of, cli, failed_cases

WHOLE = ("--suite", "handshake", "--timeout", "10")
IN_MEMORY = "handshake.length_off_by_one"
IN_A_PROCESS = "handshake.introduce_before_accept"


def test_the_whole_suite_finds_a_mutant_in_memory(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = cli("run", f"mutant:{IN_MEMORY}", *WHOLE, "--report", f"json={report}")
    assert ended.code == 1, ended.text
    assert set(MUTANTS[IN_MEMORY].found_by) <= failed_cases(report)
    assert "does not conform" in ended.out
    assert f"FAIL {MUTANTS[IN_MEMORY].found_by[-1]}" in ended.out


def test_the_declared_cases_find_a_mutant_in_a_process(tmp_path: Path) -> None:
    reports = {name: tmp_path / f"{name}.json" for name in (IN_A_PROCESS, "none")}
    chosen = ("run", "--suite", "handshake", *case_options(*MUTANTS[IN_A_PROCESS].found_by))
    runs = {
        name: cli(*chosen, "--report", f"json={path}", "--", *MUTANT_PROCESS, name) for name, path in reports.items()
    }
    assert runs[IN_A_PROCESS].code == 1, runs[IN_A_PROCESS].text
    assert failed_cases(reports[IN_A_PROCESS]) == set(MUTANTS[IN_A_PROCESS].found_by)
    assert "does not conform" in runs[IN_A_PROCESS].out
    assert runs["none"].code == 0, runs["none"].text
    assert {row["verdict"] for row in cases_of(reports["none"]).values()} == {"PASS"}


def test_a_mutant_that_needs_sockets_runs_over_tcp(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    name = "esrd_names.replies_from_any_address"
    ended = cli(
        "run",
        f"mutant:{name}",
        "--suite",
        "registrar",
        *case_options(*MUTANTS[name].found_by),
        "--report",
        f"json={report}",
    )
    assert ended.code == 1, ended.text
    assert failed_cases(report) == set(MUTANTS[name].found_by)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("swaped_digest", "unknown mutant 'swaped_digest'; did you mean"),
        ("no_deadline", "'no_deadline' names several mutants: esrd.no_deadline, handshake.no_deadline"),
    ],
)
def test_an_unknown_or_ambiguous_mutant_ends_with_exit_code_2(name: str, complaint: str) -> None:
    ended = cli("run", f"mutant:{name}")
    assert ended.code == 2
    assert complaint in " ".join(ended.err.split())
