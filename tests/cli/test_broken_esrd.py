"""Registrars with one fault each: the run has to find it, by the cases that are there for it."""

import sys
from pathlib import Path

import pytest

from tests.support.broken_esrd import FAULTS
from tests.support.cli import SUPPORT, Ended, cases_of, failed, judged, only

BROKEN = (sys.executable, "-P", str(SUPPORT / "broken_esrd.py"))
REGISTER, RESOLVE, MALFORMED = "registrar.register", "registrar.resolve", "registrar.malformed"
REQUEST, QUESTION = f"{MALFORMED}.request", f"{MALFORMED}.resolve"
FOUND_BY = {
    "keeps_names": tuple(f"{REGISTER}.end_of_a_lease[{how}]" for how in ("closed", "half_closed", "reset")),
    "takes_names_over": (f"{REGISTER}.taken[one]",),
    "routes_before_name": (f"{REGISTER}.taken[nil]", f"{REGISTER}.taken[empty]"),
    "no_routes_will_do": (f"{REGISTER}.no_routes[nil]", f"{REGISTER}.no_routes[empty]"),
    "other_words": (f"{REGISTER}.taken[one]", f"{REGISTER}.no_routes[nil]"),
    "routes_backwards": (f"{REGISTER}.routes_come_back[3_routes]",),
    "without_hosts": (f"{REGISTER}.routes_come_back[3_routes]",),
    "unknown_is_empty": (f"{RESOLVE}.unknown[nobody@localhost]", f"{RESOLVE}.unknown[no-at]"),
    "unknown_is_no_error": (f"{RESOLVE}.unknown[nobody@localhost]", f"{RESOLVE}.many_at_once"),
    "refused_link_stays": (
        f"{REGISTER}.taken[one]",
        f"{REQUEST}[version]",
        f"{MALFORMED}.wrong_packet_over_tcp[resolve]",
    ),
    "half_closed_is_open": (f"{REGISTER}.end_of_a_lease[half_closed]",),
    "reset_is_nothing": (f"{REGISTER}.end_of_a_lease[reset]",),
    "no_deadline": (f"{REGISTER}.silence", f"{REGISTER}.half_a_request"),
    "lease_of_a_second": (f"{REGISTER}.register", f"{REGISTER}.nothing_more_is_said"),
    "says_more": (f"{REGISTER}.nothing_more_is_said",),
    "second_request_counts": (f"{REGISTER}.second_request",),
    "junk_ends_a_lease": tuple(f"{REGISTER}.junk_on_a_registered_link[{junk}]" for junk in ("zero", "text", "header")),
    "excuses_itself": (f"{REQUEST}[version]", f"{REQUEST}[text]", f"{MALFORMED}.value_of_another_type[register]"),
    "zeros_for_the_end": (f"{REQUEST}[cut_routes_0_host]", f"{REQUEST}[count_of_routes]"),
    "any_type": (f"{REQUEST}[type]", f"{MALFORMED}.value_of_another_type[resolve]"),
    "resolves_over_tcp": (f"{MALFORMED}.wrong_packet_over_tcp[resolve]",),
    "one_for_all": (f"{REQUEST}[version]",),
    "ends_with_a_wrong_version": (f"{REQUEST}[version]",),
    "one_at_a_time": (f"{REGISTER}.mute_clients",),
    "stale_buffer": (f"{QUESTION}[cut_type]", f"{QUESTION}[cut_node]"),
    "registers_over_udp": (f"{MALFORMED}.wrong_packet_over_udp[register]",),
    "answers_junk": (f"{QUESTION}[version]", f"{RESOLVE}.junk[none]", f"{RESOLVE}.junk[65000]"),
    "answers_replies": (f"{MALFORMED}.wrong_packet_over_udp[resolve_reply]",),
    "drops_what_comes_fast": (f"{RESOLVE}.many_at_once",),
    "answers_once": (f"{RESOLVE}.known",),
    "a_few_leases": (f"{REGISTER}.many_leases",),
    "names_once": (f"{REGISTER}.again_and_again",),
    "from_where_it_likes": (f"{RESOLVE}.from_the_address_that_was_asked",),
    "writes_ids": (f"{RESOLVE}.unknown[nobody@localhost]",),
}


def run(fault: str, cases: tuple[str, ...], report: Path) -> Ended:
    chosen = ("--suite", "registrar", *only(*cases))
    return judged(report, *chosen, target=(*BROKEN, fault))


def test_each_fault_has_a_case() -> None:
    assert FOUND_BY.keys() == FAULTS.keys() - {"none"}


@pytest.mark.parametrize("fault", list(FOUND_BY))
def test_a_fault_is_found(fault: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = run(fault, FOUND_BY[fault], report)
    assert ended.code == 1, ended.text
    assert failed(report) == set(FOUND_BY[fault])
    assert all(f"FAIL {id_}" in " ".join(ended.out.split()) for id_ in FOUND_BY[fault])


def test_the_unbroken_registrar_is_found_good(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    cases = tuple(dict.fromkeys(id_ for ids in FOUND_BY.values() for id_ in ids))
    ended = run("none", cases, report)
    assert ended.code == 0, ended.text
    assert {row["verdict"] for row in cases_of(report).values()} == {"PASS"}
    assert len(cases_of(report)) == len(cases)
