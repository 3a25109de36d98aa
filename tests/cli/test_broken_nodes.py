"""Nodes with one fault each: the run has to find it, by the cases that are there for it."""

from pathlib import Path

import pytest

from tests.support.cli import BROKEN_NODE, all_at_once, cases_of, failed, judged, only

FRAMING, DIGEST, JOIN = "handshake.framing", "handshake.digest", "handshake.join"
INTRODUCE, TIME, ORDER = "handshake.introduce", "handshake.time", "handshake.order"
FOUND_BY = {
    "swapped_digest": (f"{DIGEST}.hello_answered", f"{DIGEST}.whole_handshake"),
    "length_off_by_one": (f"{FRAMING}.answers_are_exact[hello_answered]", f"{DIGEST}.hello_answered"),
    "introduce_before_accept": (f"{ORDER}.accept_comes_before_introduce", f"{DIGEST}.whole_handshake"),
    "believes_hello": (f"{DIGEST}.hello_refused[wrong_cookie]", f"{DIGEST}.hello_refused[empty]"),
    "believes_introduce": (f"{DIGEST}.introduce_refused[own_salt]", f"{DIGEST}.replayed_introduce"),
    "believes_join": (f"{JOIN}.join_refused[wrong_cookie]", f"{JOIN}.join_refused[empty]"),
    "upper_case": tuple(
        f"{case}[upper_case]"
        for case in (f"{DIGEST}.hello_refused", f"{DIGEST}.introduce_refused", f"{JOIN}.join_refused")
    ),
    "same_salt": (f"{DIGEST}.salts_are_fresh", f"{DIGEST}.replayed_introduce"),
    "same_connection_id": (f"{JOIN}.connection_id",),
    "answers_first": (f"{DIGEST}.hello_refused[wrong_cookie]", f"{FRAMING}.body[empty-await_hello]"),
    "speaks_first": (f"{ORDER}.acceptor_waits_for_the_dialer",),
    "own_name": (f"{INTRODUCE}.own_name",),
    "no_certificate_digest": (f"{DIGEST}.certificate_is_bound", f"{DIGEST}.certificate_is_bound_on_a_joined_link"),
    "ids_out_of_range": (f"{INTRODUCE}.announced_ids",),
    "creation_zero": (f"{INTRODUCE}.creation_is_not_zero",),
    "any_length": (f"{FRAMING}.length_above_the_limit[65536-await_hello]",),
    "any_order": (f"{ORDER}.illegal[introduce-await_hello]",),
    "join_without_proof": (f"{JOIN}.join",),
    "no_deadline": (f"{TIME}.silence[await_hello]", f"{TIME}.silence_within_a_frame[after_6_bytes]"),
    "take_over": (f"{INTRODUCE}.duplicate_name",),
    "ends_with_its_first_link": (f"{JOIN}.connection_outlives_its_first_link",),
}
NAMED = ("swapped_digest", "length_off_by_one", "introduce_before_accept")
"""Found by a run of the whole suite, too, not only by the cases that are there for them."""
WHOLE = ("--suite", "handshake", "--suite", "golden", "--timeout", "10")


@pytest.mark.parametrize("fault", [fault for fault in FOUND_BY if fault not in NAMED])
def test_a_fault_is_found(fault: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    chosen = ("--suite", "handshake", *only(*FOUND_BY[fault]))
    ended = judged(report, *chosen, target=(*BROKEN_NODE, fault))
    assert ended.code == 1, ended.text
    assert failed(report) == set(FOUND_BY[fault])
    assert "does not conform" in ended.out
    assert all(f"FAIL {id_}" in " ".join(ended.out.split()) for id_ in FOUND_BY[fault])


def test_the_whole_suite_finds_the_great_faults(tmp_path: Path) -> None:
    reports = {fault: tmp_path / f"{fault}.json" for fault in NAMED}
    runs = all_at_once(
        {fault: ("run", *WHOLE, "--report", f"json={reports[fault]}", "--", *BROKEN_NODE, fault) for fault in NAMED}
    )
    for fault, ended in runs.items():
        assert ended.code == 1, ended.text
        assert set(FOUND_BY[fault]) <= failed(reports[fault]), fault
        golden = {row["verdict"] for row in cases_of(reports[fault]).values() if row["suite"] == "golden"}
        assert golden == {"SKIP"}


def test_the_unbroken_node_is_found_good(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    chosen = only(*(id_ for ids in FOUND_BY.values() for id_ in ids))
    ended = judged(report, *chosen, target=(*BROKEN_NODE, "none"))
    assert ended.code == 0, ended.text
    assert {row["verdict"] for row in cases_of(report).values()} == {"PASS"}
    assert len(cases_of(report)) == len({id_ for ids in FOUND_BY.values() for id_ in ids})
