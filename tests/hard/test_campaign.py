"""The campaign: a few hundred inputs of each reader do not fail, and each kind of failure is detected."""

import importlib
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.errors import Reason, Rejected

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
READERS = ("edf", "ehs", "enp", "esrd", "saturn")
MARK = b"\x96"


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("msgpack")  # of bench_codec
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("campaign")


def short_run(campaign: Any, name: str, out: Path, inputs: int, seconds: float = 300.0) -> Any:
    """Returns the state after a run of some inputs in this process."""
    run = campaign.Campaign(name, 1, out)
    run.corpus = run.corpus[::20]
    run.run(seconds, bytearray(campaign.LONGEST + 8), inputs)
    return run.state


@pytest.mark.parametrize("name", READERS)
def test_a_short_campaign_finds_no_failure(campaign: Any, name: str, tmp_path: Path) -> None:
    state = short_run(campaign, name, tmp_path, 120)
    assert state.failures == []
    assert state.inputs == 120
    assert state.verdicts > 10
    again = short_run(campaign, name, tmp_path, 10)
    assert again.inputs == 130


def broken(campaign: Any, monkeypatch: pytest.MonkeyPatch, break_it: Any) -> None:
    """Gives the readers of ESRD a fault that an input with MARK reveals; it is in the node's reader."""
    subject = campaign.SUBJECTS["esrd"]()
    seeds = [seed + MARK for seed in subject.seeds]

    def read(data: bytes) -> Any:
        if MARK in data:
            break_it()
        return subject.readers["node"](data)

    made = replace(subject, readers={**subject.readers, "node": read}, seeds=seeds)
    monkeypatch.setattr(campaign, "SUBJECTS", {"esrd": lambda: made})


def other_offset() -> None:
    raise Rejected(Reason.TIME, "", 77)


def other_error() -> None:
    raise KeyError("atom")


def busy() -> None:
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass


@pytest.mark.parametrize(
    ("break_it", "kind"), [(other_offset, "disagreement"), (other_error, "exception"), (busy, "slow")]
)
def test_a_failing_input_is_saved(
    campaign: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, break_it: Any, kind: str
) -> None:
    broken(campaign, monkeypatch, break_it)
    monkeypatch.setattr(campaign.Campaign, "begin", lambda *_: None)
    monkeypatch.setattr(campaign, "FIXED_TIME", 1e-9 if kind == "slow" else 1e9)
    state = short_run(campaign, "esrd", tmp_path, 20)
    assert {failure.split(":")[0] for failure in state.failures} == {kind}
    data = bytes.fromhex((tmp_path / "esrd" / f"failure-1-{kind}.hex").read_text())
    assert MARK in data
    if kind == "exception":
        assert data == MARK, "shrunk to the byte that reveals the fault"
    assert json.loads((tmp_path / "esrd" / "state.json").read_text())["failures"] == state.failures


def test_the_input_at_which_the_process_dies_is_saved(
    campaign: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken(campaign, monkeypatch, lambda: os._exit(139))
    monkeypatch.setattr(campaign.Campaign, "begin", lambda *_: None)
    monkeypatch.setattr(campaign, "MOST_FAILURES", 1)
    state = campaign.supervise("esrd", 1, tmp_path, 300.0)
    assert state.failures == ["crash: exit code 139"]
    assert MARK in bytes.fromhex((tmp_path / "esrd" / "failure-1-crash.hex").read_text())


def test_memory_beyond_the_limit_is_a_failure(campaign: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kept: list[bytes] = []
    broken(campaign, monkeypatch, lambda: kept.append(bytes(3_000_000)))
    run = campaign.Campaign("esrd", 1, tmp_path)
    assert run.memory_failure(MARK).startswith("memory: 3,")
    assert run.memory_failure(b"\0") == ""


def test_an_input_that_does_not_end_is_a_failure(
    campaign: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def endless() -> None:
        while True:
            pass

    broken(campaign, monkeypatch, endless)
    monkeypatch.setattr(campaign, "HANG", 0.01)
    run = campaign.Campaign("esrd", 1, tmp_path)
    campaign.signal.signal(campaign.signal.SIGVTALRM, campaign._hang)
    assert run.failure(MARK) == "hang: no end"
