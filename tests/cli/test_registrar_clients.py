"""All cases about clients of registrars, against nodes without a fault: a process, and the embedded node over TCP."""

from pathlib import Path

import pytest

from tests.support.cli import COMMAND, case_options, cases_of, cli

C, R = "registrar.esrd_client", "registrar.esrd_resolving"
S, A = "registrar.saturn_client", "registrar.saturn_asking"
CLIENTS = ("--suite", "registrar", *case_options(f"{C}*", f"{R}*", f"{S}*", f"{A}*"))
DIFFERS = {
    f"{C}.another_value",
    f"{S}.hidden",
    f"{S}.bytes_of_the_old_connection",
    f"{A}.proxy",
    f"{A}.applications_of_the_start",
}
"""Cases about what upstream does and this node does not."""


def assert_conforms(report: Path) -> None:
    found = {id_: row["verdict"] for id_, row in cases_of(report).items()}
    assert len(found) > 75
    assert {id_: verdict for id_, verdict in found.items() if verdict != "PASS"} == dict.fromkeys(DIFFERS, "INFO")


@pytest.mark.timeout(900)
def test_a_node_in_a_process_conforms(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = cli("run", *CLIENTS, "--report", f"json={report}", "--", *COMMAND, "node", timeout=290)
    assert ended.code == 0, ended.text
    assert_conforms(report)


@pytest.mark.parametrize("seed", range(2))
def test_the_embedded_node_conforms_over_tcp(seed: int, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = cli("run", "--over", "tcp", "--seed", str(seed), *CLIENTS, "--report", f"json={report}")
    assert ended.code == 0, ended.text
    assert_conforms(report)


def test_the_cases_are_skipped_in_memory() -> None:
    ended = cli("run", *CLIENTS)
    assert ended.code == 5
    assert "in memory there are no addresses" in " ".join(ended.text.split())
