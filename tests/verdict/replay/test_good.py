"""Recorded peers: our node takes the place of each real node of each capture, and does what that one did."""

import pytest
from ergo_conformance.verdict.replay.script import read

from ergo_conformance.errors import UsageError
from ergo_conformance.verdict.captures import load
from ergo_conformance.verdict.replay import EXCUSES, play, roles
from tests.support.recordings import CAPTURES, UPSTREAM

ROLES = [(name, direction) for name in UPSTREAM for direction in roles(load(CAPTURES / f"{name}.jsonl"))]
SILENT = {("v300/handshake_wrong_cookie", "b>a"), ("v310/handshake_wrong_cookie", "b>a")}
SILENT |= {("master/handshake_wrong_cookie", "b>a")}
"""Roles that say nothing: a wrong cookie is not answered."""


@pytest.mark.parametrize(("name", "direction"), ROLES)
def test_our_node_does_what_a_real_one_did(name: str, direction: str) -> None:
    played = play(load(CAPTURES / f"{name}.jsonl"), direction)
    assert not played.differences, "\n".join(map(str, played.differences))
    assert bool(played.checked) == ((name, direction) not in SILENT)


def test_all_frames_of_real_nodes_are_compared() -> None:
    frames = sum(play(load(CAPTURES / f"{name}.jsonl"), direction).frames for name, direction in ROLES)
    recorded = sum(
        len(side.read.frames)
        for name, direction in ROLES
        for (_, _), side in read(load(CAPTURES / f"{name}.jsonl")).sides.items()
        if side.direction == direction
    )
    excused = sum(
        n
        for name, direction in ROLES
        for id_, n in play(load(CAPTURES / f"{name}.jsonl"), direction).excused.items()
        if id_ in {"ENP-APP-2", "ENP-ORD-4"}  # those that stand for a recorded frame
    )
    assert frames + excused == recorded > 700


def test_each_excuse_is_needed_and_none_is_needed_often() -> None:
    used = [id_ for name, direction in ROLES for id_ in play(load(CAPTURES / f"{name}.jsonl"), direction).excused]
    assert set(used) == {excuse.id for excuse in EXCUSES}
    assert len(used) < 14


def test_both_sides_of_a_capture_can_be_taken_or_one() -> None:
    capture = load(CAPTURES / "master" / "call.jsonl")
    assert roles(capture) == ["a>b", "b>a"]
    assert roles(capture, "b") == ["b>a"]
    with pytest.raises(UsageError, match="no side 'c'; there are a, b"):
        roles(capture, "c")


def test_a_scripted_side_is_not_taken() -> None:
    assert roles(load(CAPTURES / "newest" / "old_dialer_meets_new_acceptor_3.1.1.jsonl")) == ["b>p"]


@pytest.mark.parametrize("name", ["registrar/register", "newest/old_node_meets_new_frames_3.1.1"])
def test_what_has_no_handshake_is_not_played(name: str) -> None:
    assert not roles(load(CAPTURES / f"{name}.jsonl"))
