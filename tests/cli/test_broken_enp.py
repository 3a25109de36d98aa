"""Nodes with one fault each on established links: the run has to find it, by the cases that are there for it."""

from pathlib import Path

import pytest

from tests.support.broken_enp import FAULTS
from tests.support.cli import BROKEN_NODE, Ended, cases_of, failed, judged, only

CALLS, CONTROL, IMPORTANT = "proto.calls", "proto.control", "proto.important"
HEADER, ORDER, POOL, CODEC = "proto.header", "proto.order", "proto.pool", "proto.codec"
COMPRESSION, SIZES = "proto.compression", "proto.sizes"
CALL = f"{CALLS}.call[name]"

FOUND_BY = {
    "no_ack": (f"{IMPORTANT}.delivered[pid]", f"{COMPRESSION}.important_message[name]"),
    "ack_with_wrong_mid": (f"{IMPORTANT}.delivered[name]", f"{IMPORTANT}.any_id"),
    "acks_twice": (f"{IMPORTANT}.delivered[cached_name]", f"{IMPORTANT}.nobody_there[alias]"),
    "last_mid": (f"{IMPORTANT}.full_mailbox",),
    "error_code_lost": (f"{CALLS}.error[terminated]", f"{IMPORTANT}.nobody_there[pid]", f"{IMPORTANT}.full_mailbox"),
    "ref_words_swapped": (f"{CALLS}.reference", CALL),
    "answers_to_wrong_ref": (f"{CALLS}.reference", CALL),
    "third_word_lost": (f"{CALLS}.reference",),
    "answers_plain_requests_of_nobody": (f"{CALLS}.nobody_there[pid]", f"{IMPORTANT}.plain_to_a_full_mailbox"),
    "no_result": (f"{CONTROL}.one_result[monitor_pid]", f"{CONTROL}.spawn_of_nothing"),
    "result_says_yes": (f"{CONTROL}.unknown_target[link_pid]", f"{CONTROL}.old_creation[monitor]"),
    "from_id_little_endian": (CALL, f"{CALLS}.call[pid]"),
    "length_little_endian": (CALL, f"{ORDER}.one_sender[name]"),
    "length_without_header": (CALL, f"{ORDER}.one_sender[name]"),
    "cache_id_before_announced": (
        f"{CODEC}.target_writes_only_ids_it_announced", f"{CODEC}.registered[Small]", f"{CODEC}.atoms_by_id",
    ),
    "wrong_link_slot": (f"{POOL}.which_link",),
    "links_in_turn": (f"{POOL}.one_sender_one_link", f"{POOL}.which_link"),
    "ends_with_any_link": (f"{POOL}.link_goes[close-link_2]", f"{POOL}.bad_bytes_end_their_link_alone"),
    "priority_ignored": (f"{ORDER}.priorities_overtake",),
    "last_in_first_out": (f"{ORDER}.one_sender[pid]", f"{ORDER}.messages_and_calls"),
    "mailbox_without_limit": (f"{IMPORTANT}.full_mailbox", f"{IMPORTANT}.request_to_a_full_mailbox"),
    "drops_big_frames": (f"{CODEC}.large",),
    "unpack_without_limit": (f"{COMPRESSION}.wrong_length[zlib]", f"{COMPRESSION}.wrong_length[gzip]"),
    "keeps_link_after_bad_magic": (
        f"{HEADER}.start[magic_of_the_handshake]", f"{POOL}.bad_bytes_end_their_link_alone",
    ),
    "dies_on_short_length": (f"{HEADER}.length_below_a_header[length_0]", f"{HEADER}.length_below_a_header[length_7]"),
    "dies_on_unknown_type": (f"{HEADER}.unknown_type[type_108]", f"{HEADER}.types_of_other_releases"),
    "announced_limit_ignored": (f"{SIZES}.our_limit[plain]", f"{SIZES}.our_limit[compressed]"),
}  # fmt: skip


def run(fault: str, cases: tuple[str, ...], report: Path) -> Ended:
    chosen = ("--suite", "proto", *only(*cases))
    return judged(report, *chosen, target=(*BROKEN_NODE, fault))


def test_each_fault_has_a_case() -> None:
    assert FOUND_BY.keys() == FAULTS.keys()


@pytest.mark.parametrize("fault", list(FOUND_BY))
def test_a_fault_is_found(fault: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = run(fault, FOUND_BY[fault], report)
    assert ended.code == 1, ended.text
    assert failed(report) == set(FOUND_BY[fault])
    assert "does not conform" in ended.out
    assert all(f"FAIL {id_}" in " ".join(ended.out.split()) for id_ in FOUND_BY[fault])


def test_the_unbroken_node_is_found_good(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    cases = tuple(dict.fromkeys(id_ for ids in FOUND_BY.values() for id_ in ids))
    ended = run("none", cases, report)
    assert ended.code == 0, ended.text
    assert {row["verdict"] for row in cases_of(report).values()} == {"PASS"}
    assert len(cases_of(report)) == len(cases)
