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
from ergo_conformance.peers.violation import ShortageError, TimingViolationError, UnreachableError, ViolationError
from ergo_conformance.reference_node.ergo.ehs import EhsSession
from ergo_conformance.targets.base import ConfigNotSupportedError, RunningTarget, Target, TargetError
from ergo_conformance.targets.self_node import MemoryRunningTarget, SelfTarget
from ergo_conformance.verdict.run import instance as instance_module
from ergo_conformance.verdict.run import live as live_module
from ergo_conformance.verdict.run.case import Case
from ergo_conformance.verdict.run.context import Context, SkippedError
from ergo_conformance.verdict.run.execution import (
    Body,
    CaseError,
    CaseResult,
    InconclusiveError,
    MemoryRunner,
    PlannedCase,
    TargetLostError,
    recorded,
)
from ergo_conformance.verdict.run.live import LiveRunner
from ergo_conformance.verdict.run.losses import MAX_LOSSES
from ergo_conformance.verdict.run.scheduler import JOBS_OF_RETRIES, MAX_LAG, RETRIES, SILENT_SAMPLE
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


def raising_body(error: BaseException) -> Body:
    async def run(ctx: Context) -> None:
        raise error

    return run


@pytest.mark.parametrize("run", [in_memory, lambda body: run_live(planned(body))[0]], ids=["memory", "live"])
def test_exception_of_a_case_is_its_error(run: Callable[[Body], CaseResult]) -> None:
    error = ZeroDivisionError("a bug in the case")
    assert run(raising_body(error)).error is error


OUTCOMES_OF_PYTEST = [
    (pytest.skip.Exception("not here"), SkippedError, "not here"),
    (pytest.fail.Exception("not good"), ViolationError, "received  not good"),
    (pytest.exit.Exception("enough"), CaseError, "Exit: enough"),
    (SystemExit(3), CaseError, "SystemExit: 3"),
    (KeyboardInterrupt(), CaseError, "KeyboardInterrupt"),
    (GeneratorExit(), CaseError, "GeneratorExit"),
]


@pytest.mark.parametrize("run", [in_memory, lambda body: run_live(planned(body))[0]], ids=["memory", "live"])
@pytest.mark.parametrize(("raised", "kind", "text"), OUTCOMES_OF_PYTEST, ids=lambda value: type(value).__name__)
def test_exception_that_would_end_the_run_concerns_its_case_alone(
    run: Callable[[Body], CaseResult], raised: BaseException, kind: type, text: str
) -> None:
    error = run(raising_body(raised)).error
    assert type(error) is kind
    assert str(error) == text


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
    run_live(*meter.cases(30), jobs=2)
    assert meter.most == 30


def test_silent_target_is_not_tested_further_after_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "probe", probe_that_sets(silent=True, answered=False))
    meter = ConcurrencyMeter()
    cases = meter.cases(SILENT_SAMPLE + 8)
    registrar = planned(meter.body("registrar"), "registrar", offers=frozenset({"registrar"}))
    results = run_live(*cases, registrar)
    assert [result.error for result in results[:SILENT_SAMPLE]] == [None] * SILENT_SAMPLE
    assert {str(result.error) for result in results[SILENT_SAMPLE:-1]} == {
        "the target sent no byte in 32 cases, so it is not tested further"
    }
    assert meter.order[-1] == "registrar"


def test_target_that_answers_some_case_is_tested_though_it_was_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "probe", probe_that_sets(silent=True, answered=False))
    results = run_live(*[planned(good, f"case {i}") for i in range(SILENT_SAMPLE + 8)])
    assert {result.error for result in results} == {None}


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


def test_case_over_a_small_limit_is_inconclusive_and_others_pass() -> None:
    slow, fast = run_live(planned(hang, "slow"), planned(good, "fast"), limit=0.3)
    assert isinstance(slow.error, InconclusiveError)
    assert str(slow.error) == "the case did not end within 0.3 s, the limit that --timeout sets"
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

    def __init__(self, times_late: int, *, fault: bool = True, error: ViolationError | None = None) -> None:
        self.times_late, self.error = times_late, error or TimingViolationError("nothing in time")
        self.fault = fault
        self.runs = 0

    async def __call__(self, ctx: Context) -> None:
        self.runs += 1
        if self.runs <= self.times_late:
            await asyncio.sleep(0.05)  # lets the measurement of the lag start
            time.sleep(MAX_LAG * 2)  # noqa: ASYNC251  blocks the loop on purpose
            if self.fault:
                raise self.error


def test_violation_found_by_a_late_tester_runs_again() -> None:
    late_case = LateCase(times_late=1)
    (result,) = run_live(planned(late_case))
    assert (result.error, late_case.runs) == (None, 2)
    (first,) = result.earlier
    assert first.reason.startswith("the tester itself was ")
    assert first.result.error is late_case.error


def test_wrong_bytes_are_a_violation_though_the_tester_was_late() -> None:
    late_case = LateCase(times_late=1, error=ViolationError("the wrong reference"))
    (result,) = run_live(planned(late_case))
    assert (result.error, late_case.runs, result.earlier) == (late_case.error, 1, ())


def test_lateness_before_the_wait_does_not_excuse_a_missing_answer() -> None:
    """The tester's own work before it began to wait."""
    runs: list[int] = []

    async def works_then_waits(ctx: Context) -> None:
        runs.append(1)
        await asyncio.sleep(0.05)
        time.sleep(MAX_LAG * 2)  # noqa: ASYNC251  as above
        since = asyncio.get_running_loop().time()
        await asyncio.sleep(0.05)
        violation = TimingViolationError("nothing in time")
        violation.since = since
        raise violation

    (result,) = run_live(planned(works_then_waits))
    assert isinstance(result.error, TimingViolationError)
    assert len(runs) == 1


def test_each_run_of_a_case_draws_other_names() -> None:
    late_case, names = LateCase(times_late=1), set()

    async def draws(ctx: Context) -> None:
        names.add(ctx.rng.randrange(16**12))
        await late_case(ctx)

    run_live(planned(draws))
    assert len(names) == late_case.runs == 2


def test_violation_found_by_a_late_tester_again_is_inconclusive() -> None:
    late_case = LateCase(times_late=100)
    (result,) = run_live(planned(late_case))
    assert isinstance(result.error, InconclusiveError)
    assert "late" in str(result.error)
    assert late_case.runs == 1 + RETRIES


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
    count = 3 * JOBS_OF_RETRIES
    runs: Counter[int] = Counter()

    def failing_once(i: int) -> Body:
        async def run(ctx: Context) -> None:
            runs[i] += 1
            if runs[i] > 1:
                await meter.body()(ctx)
            elif i == 0:
                await late_case(ctx)
            else:
                await asyncio.sleep(2 * MAX_LAG)
                raise TimingViolationError("nothing in time")

        return run

    results = run_live(*[planned(failing_once(i), f"case {i}") for i in range(count)], jobs=count)
    assert [result.error for result in results] == [None] * count
    assert meter.most == JOBS_OF_RETRIES


def test_violation_found_in_time_does_not_run_again() -> None:
    async def wrong(ctx: Context) -> None:
        runs.append(1)
        raise ViolationError("wrong")

    runs: list[int] = []
    (result,) = run_live(planned(wrong))
    assert isinstance(result.error, ViolationError)
    assert len(runs) == 1


# --- shortage, and losses of the target -------------------------------------------------------------------------------


def test_tester_without_file_descriptors_is_inconclusive() -> None:
    attempts: list[int] = []

    async def lacks(ctx: Context) -> None:
        attempts.append(1)
        raise ShortageError("the tester can't open a socket: Too many open files")

    (result,) = run_live(planned(lacks))
    assert isinstance(result.error, InconclusiveError)
    assert str(result.error) == "the tester can't open a socket: Too many open files"
    assert len(attempts) == 1 + RETRIES


class MortalRunningTarget(MemoryRunningTarget):
    death = ""

    @property
    def ended(self) -> str:
        return self.death


class MortalTarget(LoopTarget):
    """Target that a case can end: `end` ends the newest instance."""

    newest: MortalRunningTarget | None = None
    count = 0

    async def start(self, config: Mapping[str, Any]) -> RunningTarget:
        running = await super().start(config)
        running.__class__ = MortalRunningTarget
        assert isinstance(running, MortalRunningTarget)
        self.newest, self.count = running, self.count + 1
        return running

    def end(self) -> None:
        assert self.newest is not None
        self.newest.death = "the target ended with code 137"


def killing(target: MortalTarget, *, times: int = 1_000) -> Body:
    left = [times]

    async def run(ctx: Context) -> None:
        await ctx.connected()
        if left[0]:
            left[0] -= 1
            target.end()

    return run


async def stopped_by(ctx: Context) -> None:
    """A case that needs the target and notices its end."""
    dialer, _ = await ctx.connected()
    for _ in range(20):
        if ctx.target.ended:
            dialer.fail_timing("the target closed the socket", "an answer")
        await asyncio.sleep(0.01)


def test_case_that_ends_the_target_fails_and_the_others_have_their_own_verdict() -> None:
    target = MortalTarget()
    cases = [planned(stopped_by, f"case {i}") for i in range(5)] + [planned(killing(target), "killer")]
    with live(target, *cases) as runner:
        results = {case.id: runner.result(case) for case in cases}
        errors = runner.errors()
    killer = results.pop("killer").error
    assert isinstance(killer, TargetLostError)
    assert killer.actual == "the target ended with code 137"
    assert {result.error for result in results.values()} == {None}
    assert [attempt.reason for attempt in results["case 0"].earlier] == ["the target ended with code 137"]
    assert target.count == 3  # the first, one after the loss, a fresh one for the killer
    assert errors == []


def test_loss_that_no_case_explains_is_one_error_of_the_run() -> None:
    target = MortalTarget()
    cases = [planned(stopped_by, f"case {i}") for i in range(5)] + [planned(killing(target, times=1), "once")]
    with live(target, *cases) as runner:
        results = [runner.result(case) for case in cases]
        errors = runner.errors()
    assert {result.error for result in results} == {None}
    (error,) = errors
    assert error.startswith(
        "the target ended with code 137, while case 0, case 1, case 2, case 3, case 4 and 1 more ran"
    )
    assert error.endswith("no case causes it when it runs alone")


def test_target_that_is_lost_too_often_is_not_tested_further() -> None:
    target = MortalTarget()
    cases = [planned(killing(target), f"case {i}") for i in range(MAX_LOSSES + 5)]
    with live(target, *cases, jobs=1) as runner:
        results = [runner.result(case) for case in cases]
    kinds = Counter(type(result.error) for result in results)
    assert kinds[TargetLostError] + kinds[InconclusiveError] == len(cases)
    assert kinds[TargetLostError] >= MAX_LOSSES // 2
    assert target.count <= MAX_LOSSES + 1
    assert str(results[-1].error) == "the target was lost too often, so it is not tested further"


def test_target_that_does_not_start_again_is_not_tested_further() -> None:
    class OneLife(MortalTarget):
        async def start(self, config: Mapping[str, Any]) -> RunningTarget:
            if self.count:
                raise TargetError("no second life")
            return await super().start(config)

    target = OneLife()
    cases = [planned(killing(target), "killer"), *[planned(good, f"case {i}") for i in range(3)]]
    with live(target, *cases, jobs=1) as runner:
        results = [runner.result(case) for case in cases]
        errors = runner.errors()
    assert {str(result.error) for result in results[1:]} == {"the target does not start again: no second life"}
    assert errors == ["the target ended with code 137, while killer ran; no case causes it when it runs alone"]


def test_wrong_bytes_count_though_the_target_was_lost() -> None:
    target = MortalTarget()

    async def wrong(ctx: Context) -> None:
        await ctx.connected()
        target.end()
        raise ViolationError("the wrong reference")

    (result,) = run_live(planned(wrong), target=target)
    assert isinstance(result.error, ViolationError)
    assert result.error.actual == "the wrong reference"


class AttachedTarget(LoopTarget):
    """Target that can't be started again; `open` tells whether it accepts connections."""

    restarts = False
    open = True

    async def start(self, config: Mapping[str, Any]) -> RunningTarget:
        running = await super().start(config)
        dial = running.socket

        async def socket(label: str = "") -> PeerSocket:
            if not self.open:
                raise UnreachableError("Connection refused")
            return await dial(label)

        running.socket = socket  # type: ignore[method-assign]
        return running


def test_attached_target_that_is_gone_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_module, "RECOVERY_TIMEOUT", 0.2)
    target = AttachedTarget()

    async def closes(ctx: Context) -> None:
        target.open = False
        await ctx.connected()

    results = run_live(planned(closes, "a"), *[planned(good, f"case {i}") for i in range(3)], target=target, jobs=1)
    assert {str(result.error) for result in results} == {
        "the target does not serve correct peers any more, so it can't be judged"
    }
    assert [attempt.reason for attempt in results[0].earlier] == [
        "the target accepts no connection: Connection refused"
    ]


def test_attached_target_that_comes_back_is_tested() -> None:
    target = AttachedTarget()

    async def closes_for_a_moment(ctx: Context) -> None:
        target.open = False
        asyncio.get_running_loop().call_later(0.1, setattr, target, "open", True)
        if not closes_for_a_moment.__dict__.setdefault("ran", False):
            closes_for_a_moment.__dict__["ran"] = True
            await ctx.connected()
        target.open = True

    results = run_live(
        planned(closes_for_a_moment, "a"), *[planned(good, f"case {i}") for i in range(3)], target=target, jobs=1
    )
    assert [result.error for result in results] == [None] * 4


def test_attached_target_is_probed_again_before_each_dangerous_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_module, "RECOVERY_TIMEOUT", 0.1)
    monkeypatch.setattr(instance_module, "SECOND_RECOVERY_TIMEOUT", 0.1)
    target = AttachedTarget()

    async def closes(ctx: Context) -> None:
        target.open = False

    first, second = planned(closes, "bomb 1", dangerous=True), planned(good, "bomb 2", dangerous=True)
    results = run_live(first, second, target=target)
    assert results[0].error is None
    assert isinstance(results[1].error, InconclusiveError)
