"""The benchmarks compare equal work. No test asserts speed."""

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


def test_wire_sizes_of_the_cases_equal_those_of_the_goals(bench_codec: Any) -> None:
    assert [bench_codec.wire_size(case) for case in bench_codec.cases()] == [51, 8010, 303, 34, 2427]


def test_a_difference_ends_the_program_with_1(
    bench_codec: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench_codec.py", "--quick"])
    monkeypatch.setattr(bench_codec.plain_construct, "plain", lambda _: "something else")
    assert bench_codec.main() == 1
    assert "small struct: construct reads something else" in capsys.readouterr().out


def test_benchmark_prints_every_goal(
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
    """Replaces a multiprocessing context with threads, so that monkeypatches also apply to the receiver."""

    Pipe = staticmethod(multiprocessing.Pipe)
    Process = threading.Thread


def test_all_messages_between_two_processes_arrive(bench_node: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench_node.main() == 0
    out = capsys.readouterr().out
    assert [int(n) for n in re.findall(r" (\d[\d,]*)\s+[\d,]+/s", out.replace(",", ""))] == [496, 496, 1000, 100, 48]
    assert out.count("times the processor time of the bare protocol") == 2
    assert "WRONG" not in out


Handler = Callable[..., Awaitable[Any]]


def lose_one_message(good: Handler) -> Handler:
    async def handle(self: Any, sender: PID, message: Any) -> None:
        self.count -= message[0] == 7
        await good(self, sender, message)

    return handle


def swap_two_messages(good: Handler) -> Handler:
    async def handle(self: Any, sender: PID, message: Any) -> None:
        await good(self, sender, message._replace(N={3: 4, 4: 3}.get(message[0], message[0])))

    return handle


def give_a_wrong_answer(good: Handler) -> Handler:
    async def handle(self: Any, call: Call) -> Any:
        return 3 if call.payload == 4 else await good(self, call)

    return handle


FAULTS = {
    "a message lost": ("Counter", "handle_message", lose_one_message, "messages by PID"),
    "two messages swapped": ("Counter", "handle_message", swap_two_messages, "messages by name"),
    "a wrong answer": ("Echo", "handle_call", give_a_wrong_answer, "concurrent calls"),
}


@pytest.mark.parametrize(("actor", "method", "wrong", "what"), FAULTS.values(), ids=list(FAULTS))
def test_a_wrong_message_or_answer_ends_the_program_with_1(
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
