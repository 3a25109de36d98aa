"""The benchmarks compare like with like. How fast anything is, no test asserts."""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def bench_codec(monkeypatch: pytest.MonkeyPatch) -> Any:
    pytest.importorskip("msgpack")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("bench_codec")


def test_all_codecs_read_and_write_the_same_values(bench_codec: Any) -> None:
    for case in bench_codec.cases():
        decoding, encoding = bench_codec.contenders(case)
        assert list(decoding) == list(encoding) == ["node", "construct", "msgpack"]


def test_wire_sizes_are_those_of_the_goals(bench_codec: Any) -> None:
    assert [bench_codec.wire_size(case) for case in bench_codec.cases()] == [51, 8010, 303, 34, 2427]


def test_a_difference_ends_the_program_with_1(
    bench_codec: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_codec.py", "--quick"])
    monkeypatch.setattr(bench_codec.plain_construct, "plain", lambda _: "something else")
    assert bench_codec.main() == 1
    assert "small struct: construct reads something else" in capsys.readouterr().out


def test_it_prints_every_goal(
    bench_codec: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_codec.py", "--quick"])
    monkeypatch.setattr(bench_codec, "measure", lambda runs, *_: [dict.fromkeys(run, 100.0) for run in runs])
    assert bench_codec.main() == 0
    assert re.findall(r"goal (\d), (\w+) .* NOT MET", capsys.readouterr().out) == [
        ("1", "decode"), ("1", "encode"), ("2", "decode"), ("2", "encode"),
    ]  # fmt: skip
