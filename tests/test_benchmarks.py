"""The benchmarks compare like with like. How fast anything is, no test asserts."""

import importlib
import multiprocessing
import re
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ergo_conformance.model.values import PID
from ergo_conformance.reference_node.api.messages import Call

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


# --- two nodes --------------------------------------------------------------------------------------------------------

TINY = ["bench_node.py", "--messages", "1000", "--calls", "100"]


@pytest.fixture
def bench_node(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(sys, "argv", TINY)
    return importlib.import_module("bench_node")


class InThisProcess:
    """Stands in for a context of multiprocessing: what is changed here, is changed for the receiver, too."""

    Pipe = staticmethod(multiprocessing.Pipe)
    Process = threading.Thread


def test_all_that_two_processes_send_arrives(bench_node: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_node.main() == 0
    out = capsys.readouterr().out
    assert [int(n) for n in re.findall(r" (\d[\d,]*)\s+[\d,]+/s", out.replace(",", ""))] == [496, 496, 1000, 100, 48]
    assert out.count("times the processor time of the bare protocol") == 2
    assert "WRONG" not in out


Handler = Callable[..., Awaitable[Any]]


def loses_one(good: Handler) -> Handler:
    async def handle(self: Any, sender: PID, message: Any) -> None:
        self.count -= message[0] == 7
        await good(self, sender, message)

    return handle


def swaps_two(good: Handler) -> Handler:
    async def handle(self: Any, sender: PID, message: Any) -> None:
        await good(self, sender, message._replace(N={3: 4, 4: 3}.get(message[0], message[0])))

    return handle


def answers_another(good: Handler) -> Handler:
    async def handle(self: Any, call: Call) -> Any:
        return 3 if call.payload == 4 else await good(self, call)

    return handle


SABOTAGE = {
    "a message lost": ("Counter", "handle_message", loses_one, "messages by PID"),
    "two messages swapped": ("Counter", "handle_message", swaps_two, "messages by name"),
    "a wrong answer": ("Echo", "handle_call", answers_another, "concurrent calls"),
}


@pytest.mark.parametrize(("actor", "method", "wrong", "what"), SABOTAGE.values(), ids=list(SABOTAGE))
def test_what_arrives_otherwise_ends_the_program_with_1(
    bench_node: Any,
    actor: str,
    method: str,
    wrong: Callable[[Handler], Handler],
    what: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bench_node.mp, "get_context", lambda _: InThisProcess)
    monkeypatch.setattr(bench_node, "PATIENCE", 0.2)
    class_ = getattr(bench_node, actor)
    monkeypatch.setattr(class_, method, wrong(getattr(class_, method)))
    assert bench_node.main() == 1
    assert re.search(rf"{what} .*WRONG", capsys.readouterr().out)
