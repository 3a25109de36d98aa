"""Cases about clients of registrars on the command line: a node in a process and the embedded node pass some of each kind. In
memory those are skipped in which the node serves. All of them run against the embedded node over TCP in `tox -e self`.
"""

from pathlib import Path

from tests.support.cli import COMMAND, case_options, cases_of, cli

CASES = (
    *("registrar.esrd_client.request[client]", "registrar.esrd_client.takes_over", "registrar.esrd_resolving.route"),
    *("registrar.saturn_client.proof", "registrar.saturn_client.lost[closed]", "registrar.saturn_asking.route"),
)


def test_node_in_a_process_passes_cases_of_registrar_clients(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = cli("run", *case_options(*CASES), "--report", f"json={report}", "--", *COMMAND, "node")
    assert ended.code == 0, ended.text
    found = {id_: row["verdict"] for id_, row in cases_of(report).items()}
    assert len(found) == len(CASES)
    assert set(found.values()) == {"PASS"}


def test_cases_of_registrar_clients_pass_in_memory_unless_the_node_serves(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = cli("run", *case_options(*CASES), "--report", f"json={report}")
    assert ended.code == 0, ended.text
    serves = "registrar.esrd_client.takes_over"
    expected = {id_: "SKIP" if id_ == serves else "PASS" for id_ in CASES}
    assert {id_: row["verdict"] for id_, row in cases_of(report).items()} == expected
    assert "the server of a registrar opens ports" in " ".join(ended.text.split())
