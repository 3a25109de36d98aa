"""Runs of the command line with mutants: in memory as `mutant:NAME`, as process targets, and in the verb `mutants`."""

import json
import signal
import subprocess
from pathlib import Path

import jsonschema
import pytest

from ergo_conformance.mutants.registry import MUTANTS
from ergo_conformance.verdict.matrix.json_report import SCHEMA
from tests.support.cli import (
    COMMAND,
    LIMIT,
    MUTANT_PROCESS,
    CommandResult,
    assert_no_traceback,
    case_options,
    cases_of,
    cli,
    cli_process,
    environment,
    failed_cases,
)

WHOLE = ("--suite", "handshake", "--timeout", "10")
IN_MEMORY = "handshake.length_off_by_one"
IN_A_PROCESS = "handshake.introduce_before_accept"


def test_the_whole_suite_finds_a_mutant_in_memory(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = cli("run", f"mutant:{IN_MEMORY}", *WHOLE, "--report", f"json={report}")
    assert ended.code == 1, ended.text
    assert set(MUTANTS[IN_MEMORY].found_by) <= failed_cases(report)
    assert "does not conform" in ended.out
    assert "FAIL  handshake." in ended.out


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


# --- the verb `mutants` -----------------------------------------------------------------------------------------------


def test_the_matrix_of_chosen_mutants_is_printed_and_reported(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = cli_process("mutants", "handshake.swapped*", "same_salt", "--report", f"json={report}")
    assert ended.code == 0, ended.text
    content = json.loads(report.read_text(encoding="utf-8"))
    jsonschema.validate(content, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [(row["id"], row["status"]) for row in content["mutants"]] == [
        ("handshake.swapped_digest", "KILLED"),
        ("handshake.same_salt", "KILLED"),
    ]
    assert "KILLED handshake.swapped_digest  Joins the parts of a digest in reverse order." in ended.out
    assert "2 of 2 mutants are found as declared" in ended.out


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("swaped_digest",), 2, "unknown mutant 'swaped_digest'; did you mean"),
        (("--suite", "no_such_suite"), 2, "unknown suite 'no_such_suite'"),
        (("--case", "no.such.case"), 2, "unknown case 'no.such.case'"),
        (("--jobs", "0"), 2, "--jobs 0: must be at least 1"),
        (("--report", "xml=x"), 2, "--report xml=x: expected json=FILE in an existing directory"),
        (("swapped_digest", "--case", "registrar.register.silence"), 5, "no mutant declares a selected case"),
    ],
)
def test_a_wrong_selection_of_mutants_ends_with_one_sentence(
    arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    ended = cli("mutants", *arguments)
    assert ended.code == code
    assert complaint in ended.text
    assert len(ended.text.strip().splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interrupted_matrix_keeps_its_results_and_ends_its_processes(tmp_path: Path, number: signal.Signals) -> None:
    report = tmp_path / "report.json"
    command = [*COMMAND, "mutants", "handshake.*", "--jobs", "1", "--report", f"json={report}"]
    with subprocess.Popen(
        command,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("KILLED"):
                break
        process.send_signal(number)
        out, err = process.communicate(timeout=LIMIT)  # the pipes are closed when all processes have ended
    ended = CommandResult(process.returncode, "".join(lines) + out, err)
    assert ended.code == 1, ended.text
    assert_no_traceback(ended)
    assert "interrupted: " in ended.out
    content = json.loads(report.read_text(encoding="utf-8"))
    assert content["run"]["interrupted"] is True
    assert {"KILLED", "NOT RUN"} <= {row["status"] for row in content["mutants"]}
