"""Replays of the project's captures: the reference node in the place of each real node writes the same."""

from functools import cache

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.verdict.captures import load
from ergo_conformance.verdict.replay import CONNECTION_DEVIATIONS, ReplayResult, replay, replayable_directions
from ergo_conformance.verdict.replay.timeline import Timeline, timeline_of
from tests.support.recordings import CAPTURES, UPSTREAM

SIDES = [
    (name, direction) for name in UPSTREAM for direction in replayable_directions(load(CAPTURES / f"{name}.jsonl"))
]


@cache
def replayed(name: str, direction: str) -> ReplayResult:
    return replay(load(CAPTURES / f"{name}.jsonl"), direction)


@cache
def timeline(name: str) -> Timeline:
    return timeline_of(load(CAPTURES / f"{name}.jsonl"))


SILENT = {("v300/handshake_wrong_cookie", "b>a"), ("v310/handshake_wrong_cookie", "b>a")}
SILENT |= {("master/handshake_wrong_cookie", "b>a")}
"""Sides that write nothing: a wrong cookie is not answered."""


@pytest.mark.parametrize(("name", "direction"), SIDES)
def test_the_node_writes_what_the_real_node_wrote(name: str, direction: str) -> None:
    result = replayed(name, direction)
    assert not result.differences, "\n".join(map(str, result.differences))
    assert bool(result.checked) == ((name, direction) not in SILENT)


def test_all_frames_of_real_nodes_are_compared() -> None:
    frames = sum(replayed(name, direction).frames or 0 for name, direction in SIDES)
    recorded = sum(
        len(side.read.frames)
        for name, direction in SIDES
        for (_, _), side in timeline(name).sides.items()
        if side.direction == direction
    )
    deviating = sum(
        n
        for name, direction in SIDES
        for id_, n in replayed(name, direction).deviations.items()
        if id_ in {"ENP-APP-2", "ENP-ORD-4"}  # those that replace a recorded frame
    )
    assert frames + deviating == recorded > 700


def test_each_known_deviation_occurs_and_all_are_rare() -> None:
    used = [id_ for name, direction in SIDES for id_ in replayed(name, direction).deviations]
    assert set(used) == {row.id for row in CONNECTION_DEVIATIONS}
    assert len(used) < 14


def test_both_sides_are_replayable_unless_one_is_chosen() -> None:
    capture = load(CAPTURES / "master" / "call.jsonl")
    assert replayable_directions(capture) == ["a>b", "b>a"]
    assert replayable_directions(capture, "b") == ["b>a"]
    with pytest.raises(UsageError, match=r"unknown side 'c' \(sides: a, b\)"):
        replayable_directions(capture, "c")


def test_a_scripted_side_is_not_replayable() -> None:
    assert replayable_directions(load(CAPTURES / "newest" / "old_dialer_meets_new_acceptor_3.1.1.jsonl")) == ["b>p"]


@pytest.mark.parametrize("name", ["registrar/register", "newest/old_node_meets_new_frames_3.1.1"])
def test_a_capture_without_a_handshake_is_not_replayable(name: str) -> None:
    assert not replayable_directions(load(CAPTURES / f"{name}.jsonl"))
