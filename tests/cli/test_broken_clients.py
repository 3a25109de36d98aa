"""Nodes whose registrar's client has one fault: the run finds it, by the cases that are there for it."""

import sys
from pathlib import Path

import pytest

from tests.support.broken_clients import FAULTS
from tests.support.cli import SUPPORT, cases_of, cli, failed, judged, only

BROKEN = (sys.executable, "-P", str(SUPPORT / "broken_clients.py"))
C, R = "registrar.esrd_client", "registrar.esrd_resolving"
S, A = "registrar.saturn_client", "registrar.saturn_asking"
FOUND_BY = {
    "asks_twice_for_its_name": (f"{C}.request[client]",),
    "starts_refused": (f"{C}.refused[taken]", f"{C}.no_reply[text]", f"{C}.closed"),
    "tries_again": (f"{C}.refused[empty]",),
    "comes_back_late": (f"{C}.link_ends[close]",),
    "never_comes_back": (f"{C}.link_ends[end_writing]", f"{C}.registrar_is_away"),
    "gives_up": (f"{C}.every_second",),
    "hurries": (f"{C}.every_second",),
    "waits_for_ever": (f"{C}.silence",),
    "says_more": (f"{C}.lease",),
    "dies_of_junk": (f"{C}.junk_on_a_lease",),
    "registers_hidden": (f"{C}.hidden",),
    "never_takes_over": (f"{C}.takes_over",),
    "asks_once_more": (f"{R}.one_request",),
    "takes_what_is_good": (f"{R}.first_datagram",),
    "errors_are_nothing": (f"{R}.error",),
    "any_name": (f"{R}.no_name",),
    "last_first": (f"{R}.order_of_routes",),
    "never_tls": (f"{R}.tls_route", f"{A}.tls_route"),
    "any_stack": (f"{R}.unusable_routes", f"{A}.routes"),
    "any_proof": (f"{S}.wrong_proof[upper_case]", f"{S}.another_server"),
    "proves_the_token_first": (f"{S}.proof",),
    "does_not_wait": (f"{S}.proof",),
    "in_no_cluster": (f"{S}.register[cluster]",),
    "takes_refusals": (f"{S}.refused[taken]", f"{S}.pauses"),
    "in_any_order": (f"{S}.no_proof[a_result]",),
    "first_of_a_chunk": (f"{A}.answer_in_pieces_and_joined",),
    "no_pieces": (f"{S}.in_pieces",),
    "keeps_bytes": (f"{S}.garbage",),
    "any_number": (f"{A}.other_numbers",),
    "one_number": (f"{A}.route",),
    "waits_for_routes_for_ever": (f"{A}.no_answer",),
    "redials_late": (f"{S}.lost[closed]",),
    "redials_at_once": (f"{S}.pauses",),
    "never_registers_again": (f"{S}.lost[reset]", f"{S}.server_is_away"),
    "tells_nothing": (f"{A}.applications",),
    "never_stopping": (f"{A}.applications",),
    "dies_when_it_is_down": (f"{A}.asked_while_it_is_down",),
    "looks_at_no_certificate": (f"{S}.certificate[unknown_signer]",),
    "news_end_it": (f"{S}.news",),
}


def test_each_fault_has_a_case() -> None:
    assert FOUND_BY.keys() == FAULTS.keys() - {"none"}


@pytest.mark.parametrize("fault", list(FOUND_BY))
def test_a_fault_is_found(fault: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = judged(report, "--suite", "registrar", *only(*FOUND_BY[fault]), target=(*BROKEN, fault))
    assert ended.code == 1, ended.text
    assert failed(report) == set(FOUND_BY[fault])


CLIENTS = ("--suite", "registrar", *only(f"{C}*", f"{R}*", f"{S}*", f"{A}*"))
"""All cases of clients."""


def is_good(report: Path) -> None:
    """What upstream does, and the node does not, is all that differs."""
    found = {id_: row["verdict"] for id_, row in cases_of(report).items()}
    assert len(found) > 75
    assert {id_ for id_, verdict in found.items() if verdict != "PASS"} == {
        f"{C}.another_value",
        f"{S}.hidden",
        f"{S}.bytes_of_the_old_connection",
        f"{A}.proxy",
        f"{A}.applications_of_the_start",
    }
    assert {verdict for verdict in found.values() if verdict != "PASS"} == {"INFO"}


@pytest.mark.timeout(900)
def test_a_process_without_a_fault_is_found_good(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = judged(report, *CLIENTS, target=(*BROKEN, "none"), timeout=290)
    assert ended.code == 0, ended.text
    is_good(report)


@pytest.mark.parametrize("seed", range(5))
def test_the_embedded_node_is_found_good(seed: int, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = cli("run", "--over", "tcp", "--seed", str(seed), *CLIENTS, "--report", f"json={report}")
    assert ended.code == 0, ended.text
    is_good(report)


def test_in_memory_nothing_is_tested() -> None:
    ended = cli("run", *CLIENTS)
    assert ended.code == 5
    assert "in memory there are no addresses" in " ".join(ended.text.split())
