"""Nodes with one fault each in what their processes do: the run has to find it, by the cases that are there for it."""

from pathlib import Path

import pytest

from tests.support.broken_relations import FAULTS
from tests.support.cli import BROKEN_NODE, Ended, cases_of, failed, judged, only

LINKS, EVENTS, WATCHING, SPAWN = "node.sockets", "node.events", "node.watching", "node.spawn"
NOTIFICATION = "node.notification"
CALLING, SENDING, APPLICATIONS, COMPRESSING = "node.calling", "node.sending", "node.applications", "node.compressing"

FOUND_BY = {
    "notice_twice": (f"{LINKS}.end_is_told[link-pid]", f"{EVENTS}.unregistered[monitor]"),
    "notice_lost": (f"{LINKS}.end_is_told[monitor-processid]", f"{LINKS}.each_address"),
    "wrong_reason": (f"{LINKS}.reason[kill]", f"{LINKS}.error_as_a_reason", f"{EVENTS}.owner_ends[a]"),
    "notice_per_process": (f"{LINKS}.once_for_all[pid]", f"{LINKS}.once_for_all[alias]"),
    "notice_to_everybody": (f"{LINKS}.not_watched", f"{LINKS}.given_back[link-pid]"),
    "taking_back_ignored": (f"{LINKS}.given_back[monitor-alias]", f"{EVENTS}.given_back[link]"),
    "takes_all_back": (f"{LINKS}.one_of_two_given_back[link]", f"{LINKS}.other_process_still_watches"),
    "consumers_survive": (f"{LINKS}.relations_end_with_the_connection", f"{EVENTS}.connection_lost"),
    "node_down_untold": (f"{WATCHING}.node_down[monitor-pid]", f"{SPAWN}.parent_is_lost[linked]"),
    "told_again": (f"{WATCHING}.told_of_the_end[monitor-pid]", f"{WATCHING}.told_of_the_end[link-event]"),
    "buffer_too_large": (f"{EVENTS}.buffer[link-5_published]", f"{EVENTS}.buffer_of_one"),
    "newest_first": (f"{EVENTS}.buffer[monitor-3_published]", f"{EVENTS}.same_timestamps"),
    "published_to_everybody": (f"{EVENTS}.given_back[monitor]", f"{EVENTS}.not_watched"),
    "frame_per_subscriber": (f"{EVENTS}.one_frame_per_node",),
    "got_twice": (f"{WATCHING}.gets_what_we_publish[link]",),
    "stop_untold": (f"{NOTIFICATION}.two_nodes",),
    "start_told_each_time": (f"{NOTIFICATION}.first_and_last[link]",),
    "relation_unanswered": (f"{LINKS}.end_is_told[link-pid]",),
    "any_result_is_taken": (f"{WATCHING}.wrong_reference",),
    "asks_anybody": (f"{SPAWN}.we_do_not_announce_it",),
    "waits_too_long": (f"{SPAWN}.no_result",),
    "everybody_may": (f"{SPAWN}.restricted", f"{SPAWN}.allowed", f"{APPLICATIONS}.restricted"),
    "not_registered": (f"{SPAWN}.registered",),
    "environment_lost": (f"{SPAWN}.environment", f"{SPAWN}.one_environment[own]"),
    "parents_environment_wins": (f"{SPAWN}.environment",),
    "parent_not_linked": (f"{SPAWN}.parent_is_lost[linked]",),
    "mode_ignored": (f"{APPLICATIONS}.mode[transient]", f"{APPLICATIONS}.mode[permanent]"),
    "started_again": (f"{APPLICATIONS}.running_already",),
    "compression_ignored": (f"{COMPRESSING}.algorithm[lzw]", f"{COMPRESSING}.level[best_size]"),
    "packed_without_order": (f"{COMPRESSING}.order_byte[pid]",),
    "length_of_the_payload": (f"{COMPRESSING}.algorithm[zlib]", f"{COMPRESSING}.contents[gzip]"),
    "important_to_anybody": (f"{CALLING}.not_announced[send_important]",),
    "never_important": (f"{CALLING}.important[pid]", f"{CALLING}.important_call"),
    "priority_lost": (f"{SENDING}.priority_of_a_message[send_max]", f"{CALLING}.priority_of_a_call[call_high]"),
    "old_creation_reached": (f"{WATCHING}.old_creation",),
    "answer_for_anybody": (f"{CALLING}.wrong_acknowledgement", f"{CALLING}.wrong_reference"),
    "disconnect_ignored": (f"{SENDING}.disconnect",),
    "exit_without_reason": (f"{SENDING}.exit",),
}  # fmt: skip


def run(fault: str, cases: tuple[str, ...], report: Path) -> Ended:
    chosen = ("--suite", "node", *only(*cases))
    return judged(report, *chosen, target=(*BROKEN_NODE, fault))


def test_each_fault_has_a_case() -> None:
    assert FOUND_BY.keys() == FAULTS.keys()


@pytest.mark.parametrize("fault", list(FOUND_BY))
def test_a_fault_is_found(fault: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ended = run(fault, FOUND_BY[fault], report)
    assert ended.code == 1, ended.text
    assert failed(report) == set(FOUND_BY[fault]), ended.text
    assert "does not conform" in ended.out
    assert all(f"FAIL {id_}" in " ".join(ended.out.split()) for id_ in FOUND_BY[fault])


def test_the_unbroken_node_is_found_good(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    cases = tuple(dict.fromkeys(id_ for ids in FOUND_BY.values() for id_ in ids))
    ended = run("none", cases, report)
    assert ended.code == 0, ended.text
    assert {row["verdict"] for row in cases_of(report).values()} == {"PASS"}
    assert len(cases_of(report)) == len(cases)
