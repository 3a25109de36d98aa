"""Runners of cases: in memory, live, concurrent, alone, repeated; limits and results."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from ergo_conformance.peers.sockets import PeerSocket
from ergo_conformance.peers.transcript import Entry, Transcript
from ergo_conformance.peers.violation import UnreachableError, ViolationError
from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.targets.base import ConfigNotSupportedError, RunningTarget, Target, TargetError
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.verdict.run import live as live_module
from ergo_conformance.verdict.run.case import Case
from ergo_conformance.verdict.run.context import Context, SkippedError
from ergo_conformance.verdict.run.execution import (
    Body,
    CaseResult,
    InconclusiveError,
    MemoryRunner,
    PlannedCase,
    recorded,
)
from ergo_conformance.verdict.run.live import LiveRunner
from tests.support.targets import FaultyTarget, LoopTarget


def planned(body: Body, id_: str = "suite.area.case", **declared: Any) -> PlannedCase:
    return PlannedCase(id_, Case(("EHS-DIG-1",), **declared), body)


@contextmanager
def live(target: Target, *cases: PlannedCase, limit: float = 10.0, jobs: int = 16) -> Iterator[LiveRunner]:
    runner = LiveRunner(target, 0, limit, jobs)
    try:
        runner.start()
        runner.plan(cases)
        yield runner
    finally:
        runner.close()


def run_live(*cases: PlannedCase, target: Target | None = None, **options: Any) -> list[CaseResult]:
    with live(target or LoopTarget(), *cases, **options) as runner:
        return [runner.result(case) for case in cases]


def in_memory(body: Body, target: Target | None = None, **declared: Any) -> CaseResult:
    return MemoryRunner(target or SelfTarget(), 0, 30.0).result(planned(body, **declared))


class ConcurrencyMeter:
    """Counts the bodies that run at the same time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.order: list[str] = []

    def body(self, name: str = "", seconds: float = 0.05) -> Body:
        async def run(ctx: Context) -> None:
            self.order.append(name)
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(seconds)
            self.now -= 1

        return run

    def cases(self, n: int, **declared: Any) -> list[PlannedCase]:
        return [planned(self.body(f"case {i}"), f"case {i}", **declared) for i in range(n)]


async def good(ctx: Context) -> None:
    await ctx.connected()


async def hang(ctx: Context) -> None:
    await asyncio.Event().wait()


# --- in memory --------------------------------------------------------------------------------------------------------


def test_wait_in_memory_takes_no_real_time() -> None:
    async def waits(ctx: Context) -> None:
        dialer, _ = await ctx.connected()
        await dialer.expect_open(600.0)

    assert in_memory(waits).error is None


def test_case_that_hangs_in_memory_fails() -> None:
    error = in_memory(hang).error
    assert isinstance(error, ViolationError)
    assert error.actual.startswith("the case did not end within")


def test_each_case_in_memory_has_its_own_target() -> None:
    async def named(ctx: Context) -> None:
        await ctx.connected("one@name")

    runner = MemoryRunner(SelfTarget(), 0, 30.0)
    assert [runner.result(planned(named)).error for _ in range(2)] == [None, None]


def test_violation_has_transcripts() -> None:
    class Mute(EhsSession):
        def receive(self, data: bytes) -> Iterator[Any]:
            return iter(())

    result = in_memory(good, FaultyTarget(Mute))
    assert isinstance(result.error, ViolationError)
    assert result.error.actual == "the target closed the socket"
    (transcript,) = result.transcripts
    lines = [line.stamp + line.text for line in transcript.lines()]
    assert transcript.label == "socket 1"
    assert "> Hello{" in lines[1]
    assert lines[-1].endswith("< closed")


def test_passed_case_has_raw_transcripts() -> None:
    result = in_memory(good)
    assert result.error is None
    (transcript,) = result.transcripts
    assert {entry.direction for entry in transcript.entries} == {"sent", "received"}
    assert transcript.bytes_of("sent")
    assert [entry.at for entry in transcript.entries] == sorted(entry.at for entry in transcript.entries)


def test_transcripts_over_the_limit_count_as_lost() -> None:
    transcripts = [Transcript(entries=[Entry(0.0, "sent", bytes(60)), Entry(1.0, "received", bytes(60))], lost=1)] * 2
    first, second = recorded(transcripts, limit=130)
    assert [len(entry.data) for entry in first.entries] == [60, 60]
    assert (first.lost, second.entries, second.lost) == (1, [], 121)
    assert len(transcripts[0].entries) == 2


def test_hostile_case_fails_if_no_good_peer_is_served_afterwards() -> None:
    async def disable_target(ctx: Context) -> None:
        async def refuse(label: str = "") -> PeerSocket:
            raise UnreachableError("no acceptor")

        ctx.target.socket = refuse  # type: ignore[method-assign]

    error = in_memory(disable_target, hostile=True).error
    assert isinstance(error, ViolationError)
    assert error.actual.startswith("no acceptor")
    assert "ROB-EHS-3" in str(error)
    assert in_memory(disable_target).error is None


def test_random_values_depend_on_seed_and_case_only() -> None:
    drawn: list[str] = []

    async def draw_token(ctx: Context) -> None:
        drawn.append((await ctx.dial()).token(16))

    for seed, id_ in ((0, "a"), (0, "a"), (1, "a"), (0, "b")):
        MemoryRunner(SelfTarget(), seed, 30.0).result(planned(draw_token, id_))
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


def raising_body(error: Exception) -> Body:
    async def run(ctx: Context) -> None:
        raise error

    return run


@pytest.mark.parametrize("run", [in_memory, lambda body: run_live(planned(body))[0]], ids=["memory", "live"])
def test_exception_of_a_case_is_its_error(run: Callable[[Body], CaseResult]) -> None:
    error = ZeroDivisionError("a bug in the case")
    assert run(raising_body(error)).error is error


@pytest.mark.parametrize("run", [in_memory, lambda body: run_live(planned(body))[0]], ids=["memory", "live"])
def test_sockets_are_closed_after_a_case(run: Callable[[Body], CaseResult]) -> None:
    sockets: list[PeerSocket] = []

    async def open_sockets(ctx: Context) -> None:
        sockets.extend([await ctx.socket(), await ctx.socket()])

    assert run(open_sockets).error is None
    assert [socket.transport.is_closing() for socket in sockets if socket.transport] == [True, True]


# --- reasons to skip --------------------------------------------------------------------------------------------------


def skip_reason(result: CaseResult) -> str:
    assert isinstance(result.error, SkippedError), result.error
    return str(result.error)


class LimitedTarget(LoopTarget):
    """Target that does not support `pool` and does not start with `flags`."""

    async def start(self, config: Mapping[str, Any]) -> RunningTarget:
        if "pool" in config:
            raise ConfigNotSupportedError("needs a target whose pool can be set")
        if "flags" in config:
            raise TargetError("it did not start")
        return await super().start(config)


def test_missing_offer_or_unsupported_config_skips_a_case() -> None:
    async def skips(ctx: Context) -> None:
        ctx.skip("not today")

    offers = planned(good, "offers", offers=frozenset({"accept", "dist", "epmd"}))
    pool = planned(good, "pool", config={"pool": 1})
    own = planned(skips, "own")
    found = [skip_reason(result) for result in run_live(offers, pool, own, target=LimitedTarget())]
    wanted = ["needs a target that offers dist, epmd", "needs a target whose pool can be set", "not today"]
    assert found == wanted
    assert skip_reason(in_memory(skips)) == "not today"


def test_configuration_that_does_not_start_is_an_error_of_its_cases_only() -> None:
    broken, fine = run_live(planned(good, "flags", config={"flags": {}}), planned(good, "fine"), target=LimitedTarget())
    assert isinstance(broken.error, TargetError)
    assert fine.error is None


# --- live: concurrent, alone, last ------------------------------------------------------------------------------------


def test_live_cases_wait_concurrently() -> None:
    """Each case waits until all have started."""
    barriers: list[asyncio.Barrier] = []

    async def meet_at_barrier(ctx: Context) -> None:
        if not barriers:
            barriers.append(asyncio.Barrier(12))
        await barriers[0].wait()

    cases = [planned(meet_at_barrier, f"case {i}") for i in range(12)]
    assert all(result.error is None for result in run_live(*cases, limit=60.0))


@pytest.mark.parametrize("jobs", [1, 3])
def test_jobs_limits_concurrent_cases(jobs: int) -> None:
    meter = ConcurrencyMeter()
    run_live(*meter.cases(7), jobs=jobs)
    assert meter.most == jobs
    assert meter.order == [f"case {i}" for i in range(7)]


def probe_that_sets(**found: bool) -> Callable[[RunningTarget], Any]:
    async def probe(running: RunningTarget) -> None:
        for name, value in found.items():
            setattr(running, name, value)

    return probe


def test_serial_target_runs_cases_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "probe", probe_that_sets(serial=True))
    meter = ConcurrencyMeter()
    run_live(*meter.cases(4), *[planned(meter.body("other"), "other", config={"pool": 1})])
    assert meter.most == 1


def test_silent_target_runs_more_cases_concurrently_than_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "probe", probe_that_sets(silent=True, answered=False))
    meter = ConcurrencyMeter()
    run_live(*meter.cases(40), jobs=2)
    assert meter.most == 40


def test_dangerous_cases_run_last_each_on_a_new_target() -> None:
    meter, target = ConcurrencyMeter(), LoopTarget()
    dangerous = [planned(meter.body(f"bomb {i}"), f"bomb {i}", dangerous=True) for i in range(2)]
    configured = planned(meter.body("configured"), "configured", config={"pool": 1})
    run_live(*dangerous, *meter.cases(3), configured, target=target, jobs=1)
    assert meter.order[-2:] == ["bomb 0", "bomb 1"]
    assert set(meter.order[:-2]) == {"case 0", "case 1", "case 2", "configured"}
    assert len(target.started) == target.stopped == 4  # default, pool of one, two dangerous cases


def test_exclusive_cases_run_alone_after_the_others_on_the_same_target() -> None:
    meter, target = ConcurrencyMeter(), LoopTarget()
    seen: list[int] = []

    async def watched(ctx: Context) -> None:
        seen.append(meter.now)
        await meter.body("exclusive")(ctx)
        seen.append(meter.most)

    exclusive = [planned(watched, f"exclusive {i}", exclusive=True) for i in range(2)]
    run_live(*exclusive, *meter.cases(3), target=target)
    assert seen == [0, 3, 0, 3]
    assert meter.order == ["case 0", "case 1", "case 2", "exclusive", "exclusive"]
    assert target.started == [{}]


def test_each_configuration_is_started_once_and_stopped() -> None:
    target = LoopTarget()
    cases = [planned(good, f"case {i}", config={"pool": 1 + i % 2}) for i in range(6)]
    assert [result.error for result in run_live(*cases, target=target)] == [None] * 6
    assert target.started == [{}, {"pool": 1}, {"pool": 2}]
    assert target.stopped == 3


def test_case_over_its_limit_fails_and_others_pass() -> None:
    slow, fast = run_live(planned(hang, "slow"), planned(good, "fast"), limit=0.3)
    assert isinstance(slow.error, ViolationError)
    assert slow.error.actual == "the case did not end within 0.3 s"
    assert fast.error is None


def test_close_cancels_running_cases() -> None:
    begun = threading.Event()

    async def wait_endlessly(ctx: Context) -> None:
        begun.set()
        await asyncio.Event().wait()

    target = LoopTarget()
    cases = (
        planned(good, "first"),
        planned(wait_endlessly, "long"),
        planned(wait_endlessly, "other", config={"pool": 1}),
    )
    with live(target, *cases, limit=100) as runner:
        assert runner.result(cases[0]).error is None
        assert begun.wait(60)
    assert target.stopped == len(target.started)
    assert not [thread for thread in threading.enumerate() if thread.name == "cases"]
    assert runner.results["long"].done()


def test_target_that_does_not_start_leaves_no_thread() -> None:
    class FailingTarget(LoopTarget):
        async def start(self, config: Mapping[str, Any]) -> RunningTarget:
            raise TargetError("it is dead")

    with pytest.raises(TargetError, match="it is dead"), live(FailingTarget()):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "cases"]


# --- late tester ------------------------------------------------------------------------------------------------------


class LateCase:
    """Case that blocks the loop and raises a violation in its first `times_late` runs."""

    def __init__(self, times_late: int, *, fault: bool = True) -> None:
        self.times_late = times_late
        self.fault = fault
        self.runs = 0

    async def __call__(self, ctx: Context) -> None:
        self.runs += 1
        if self.runs <= self.times_late:
            await asyncio.sleep(0.05)  # lets the measurement of the lag start
            time.sleep(live_module.MAX_LAG * 2)  # noqa: ASYNC251  blocks the loop on purpose
            if self.fault:
                raise ViolationError("nothing in time")


def test_violation_found_by_a_late_tester_runs_again() -> None:
    late_case = LateCase(times_late=1)
    (result,) = run_live(planned(late_case))
    assert (result.error, late_case.runs) == (None, 2)


def test_violation_found_by_a_late_tester_again_is_inconclusive() -> None:
    late_case = LateCase(times_late=100)
    (result,) = run_live(planned(late_case))
    assert isinstance(result.error, InconclusiveError)
    assert "late" in str(result.error)
    assert late_case.runs == 1 + live_module.RETRIES


def test_passed_case_of_a_late_tester_does_not_run_again() -> None:
    late_case = LateCase(times_late=1, fault=False)
    (result,) = run_live(planned(late_case))
    assert (result.error, late_case.runs) == (None, 1)


def test_second_run_after_lateness_is_alone() -> None:
    meter, late_case = ConcurrencyMeter(), LateCase(times_late=1)
    seen: list[int] = []

    async def watched(ctx: Context) -> None:
        seen.append(meter.now)
        await late_case(ctx)

    run_live(planned(watched, "late"), *[planned(meter.body(seconds=1.0), f"case {i}") for i in range(3)])
    assert seen[-1] == 0
    assert len(seen) == 2


def test_one_late_moment_makes_many_cases_run_again_concurrently() -> None:
    """Alone they would take the sum of their waits."""
    meter, late_case = ConcurrencyMeter(), LateCase(times_late=1)
    count = 3 * live_module.JOBS_OF_RETRIES
    runs: Counter[int] = Counter()

    def failing_once(i: int) -> Body:
        async def run(ctx: Context) -> None:
            runs[i] += 1
            if runs[i] > 1:
                await meter.body()(ctx)
            elif i == 0:
                await late_case(ctx)
            else:
                await asyncio.sleep(2 * live_module.MAX_LAG)
                raise ViolationError("nothing in time")

        return run

    results = run_live(*[planned(failing_once(i), f"case {i}") for i in range(count)], jobs=count)
    assert [result.error for result in results] == [None] * count
    assert meter.most == live_module.JOBS_OF_RETRIES


def test_violation_found_in_time_does_not_run_again() -> None:
    async def wrong(ctx: Context) -> None:
        runs.append(1)
        raise ViolationError("wrong")

    runs: list[int] = []
    (result,) = run_live(planned(wrong))
    assert isinstance(result.error, ViolationError)
    assert len(runs) == 1
