"""Cases about clients of registrars on the command line: a node in a process passes one of each kind, and in memory only those
are skipped in which the node serves. All of them run against the embedded node over TCP in `tox -e self`.
"""

from pathlib import Path

from tests.support.cli import COMMAND, case_options, cases_of, cli

CASES = ("registrar.esrd_client.takes_over", "registrar.esrd_resolving.route", "registrar.saturn_asking.route")


def test_node_in_a_process_passes_cases_of_registrar_clients(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = cli("run", *case_options(*CASES), "--report", f"json={report}", "--", *COMMAND, "node")
    assert ended.code == 0, ended.text
    found = {id_: row["verdict"] for id_, row in cases_of(report).items()}
    assert len(found) == len(CASES)
    assert set(found.values()) == {"PASS"}


def test_in_memory_only_the_cases_in_which_the_node_serves_are_skipped(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = cli("run", *case_options(*CASES), "--report", f"json={report}")
    assert ended.code == 0, ended.text
    assert [row["verdict"] for row in cases_of(report).values()] == ["SKIP", "PASS", "PASS"]
    assert "in memory no node serves one" in " ".join(ended.text.split())
