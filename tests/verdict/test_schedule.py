"""How cases are run: side by side, alone, again, with a limit; what each end of a case becomes."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from ergo_conformance.peers.sockets import Socket
from ergo_conformance.peers.violation import UnreachableError, ViolationError
from ergo_conformance.reference_node.ergo.ehs import Ehs
from ergo_conformance.targets.base import NotGivenError, Running, Target, TargetError
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.verdict.run import schedule
from ergo_conformance.verdict.run.case import Case
from ergo_conformance.verdict.run.context import Context, SkippedError
from ergo_conformance.verdict.run.schedule import Body, LateError, LiveRunner, MemoryRunner, Planned, Ran
from tests.support.targets import FaultyTarget, LoopTarget


def planned(body: Body, id_: str = "suite.area.case", **declared: Any) -> Planned:
    return Planned(id_, Case(("EHS-DIG-1",), **declared), body)


@contextmanager
def live(target: Target, *cases: Planned, limit: float = 10.0, jobs: int = 16) -> Iterator[LiveRunner]:
    runner = LiveRunner(target, 0, limit, jobs)
    try:
        runner.start()
        runner.plan(cases)
        yield runner
    finally:
        runner.close()


def run_live(*cases: Planned, target: Target | None = None, **options: Any) -> list[Ran]:
    with live(target or LoopTarget(), *cases, **options) as runner:
        return [runner.result(case) for case in cases]


def in_memory(body: Body, target: Target | None = None, **declared: Any) -> Ran:
    return MemoryRunner(target or SelfTarget(), 0, 30.0).result(planned(body, **declared))


class Together:
    """Notes how many bodies run at once."""

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

    def cases(self, n: int, **declared: Any) -> list[Planned]:
        return [planned(self.body(f"case {i}"), f"case {i}", **declared) for i in range(n)]


async def good(ctx: Context) -> None:
    await ctx.connected()


async def hangs(ctx: Context) -> None:
    await asyncio.Event().wait()


# --- in memory --------------------------------------------------------------------------------------------------------


def test_a_wait_in_memory_costs_nothing() -> None:
    async def waits(ctx: Context) -> None:
        dialer, _ = await ctx.connected()
        await dialer.expect_open(600.0)

    started = time.monotonic()
    assert in_memory(waits).error is None
    assert time.monotonic() - started < 5.0


def test_a_case_that_hangs_in_memory_is_a_failure() -> None:
    error = in_memory(hangs).error
    assert isinstance(error, ViolationError)
    assert error.actual.startswith("not done after")


def test_every_case_in_memory_has_a_target_of_its_own() -> None:
    async def named(ctx: Context) -> None:
        await ctx.connected("one@name")

    runner = MemoryRunner(SelfTarget(), 0, 30.0)
    assert [runner.result(planned(named)).error for _ in range(2)] == [None, None]


def test_a_violation_keeps_its_transcripts() -> None:
    class Mute(Ehs):
        def receive(self, data: bytes) -> Iterator[Any]:
            return iter(())

    ran = in_memory(good, FaultyTarget(Mute))
    assert isinstance(ran.error, ViolationError)
    assert ran.error.actual == "the target closed the socket"
    ((label, lines),) = ran.transcripts
    assert label == "socket 1"
    assert "> Hello(" in lines[1]
    assert lines[-1].endswith("< closed")


def test_a_passed_case_keeps_none() -> None:
    ran = in_memory(good)
    assert (ran.error, ran.transcripts) == (None, [])


def test_after_a_hostile_case_a_good_peer_has_to_be_served() -> None:
    async def ruins(ctx: Context) -> None:
        async def refuse(label: str = "") -> Socket:
            raise UnreachableError("nobody is there")

        ctx.target.socket = refuse  # type: ignore[method-assign]

    error = in_memory(ruins, hostile=True).error
    assert isinstance(error, ViolationError)
    assert error.actual.startswith("nobody is there")
    assert "ROB-EHS-3" in str(error)
    assert in_memory(ruins).error is None


def test_the_random_source_depends_on_seed_and_case_alone() -> None:
    drawn: list[str] = []

    async def draws(ctx: Context) -> None:
        drawn.append((await ctx.dial()).token(16))

    for seed, id_ in ((0, "a"), (0, "a"), (1, "a"), (0, "b")):
        MemoryRunner(SelfTarget(), seed, 30.0).result(planned(draws, id_))
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


def raises(error: Exception) -> Body:
    async def run(ctx: Context) -> None:
        raise error

    return run


@pytest.mark.parametrize("run", [in_memory, lambda body: run_live(planned(body))[0]], ids=["memory", "live"])
def test_an_exception_in_a_case_is_kept_as_it_is(run: Callable[[Body], Ran]) -> None:
    error = ZeroDivisionError("a bug in the case")
    assert run(raises(error)).error is error


@pytest.mark.parametrize("run", [in_memory, lambda body: run_live(planned(body))[0]], ids=["memory", "live"])
def test_all_links_are_closed_behind_a_case(run: Callable[[Body], Ran]) -> None:
    links: list[Socket] = []

    async def opens(ctx: Context) -> None:
        links.extend([await ctx.socket(), await ctx.socket()])

    assert run(opens).error is None
    assert [link.transport.is_closing() for link in links if link.transport] == [True, True]


# --- reasons to skip --------------------------------------------------------------------------------------------------


def skip_reason(ran: Ran) -> str:
    assert isinstance(ran.error, SkippedError), ran.error
    return str(ran.error)


class Fixed(LoopTarget):
    """Can't be configured: one setting is not given, another one stops it from starting."""

    async def start(self, config: Mapping[str, Any]) -> Running:
        if "pool" in config:
            raise NotGivenError("needs a target whose pool can be set")
        if "flags" in config:
            raise TargetError("it did not start")
        return await super().start(config)


def test_what_a_target_does_not_offer_or_can_not_be_given_is_skipped() -> None:
    async def skips(ctx: Context) -> None:
        ctx.skip("not today")

    offers = planned(good, "offers", offers=frozenset({"accept", "dist", "epmd"}))
    pool = planned(good, "pool", config={"pool": 1})
    own = planned(skips, "own")
    found = [skip_reason(ran) for ran in run_live(offers, pool, own, target=Fixed())]
    wanted = ["needs a target that offers dist, epmd", "needs a target whose pool can be set", "not today"]
    assert found == wanted
    assert skip_reason(in_memory(skips)) == "not today"


def test_a_configuration_that_does_not_start_is_an_error_of_its_cases_alone() -> None:
    broken, fine = run_live(planned(good, "flags", config={"flags": {}}), planned(good, "fine"), target=Fixed())
    assert isinstance(broken.error, TargetError)
    assert fine.error is None


# --- live: beside each other, alone, last -----------------------------------------------------------------------------


def test_waits_overlap() -> None:
    together = Together()
    cases = [planned(together.body(seconds=0.4), f"case {i}") for i in range(12)]
    started = time.monotonic()
    assert all(ran.error is None for ran in run_live(*cases))
    assert time.monotonic() - started < 3.0
    assert together.most == 12


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_cases_at_once_than_jobs(jobs: int) -> None:
    together = Together()
    run_live(*together.cases(7), jobs=jobs)
    assert together.most == jobs
    assert together.order == [f"case {i}" for i in range(7)]


def probed(**found: bool) -> Callable[[Running], Any]:
    async def probe(running: Running) -> None:
        for name, value in found.items():
            setattr(running, name, value)

    return probe


def test_on_a_serial_target_cases_run_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "probe", probed(serial=True))
    together = Together()
    run_live(*together.cases(4), *[planned(together.body("other"), "other", config={"pool": 1})])
    assert together.most == 1


def test_on_a_silent_target_nearly_all_cases_wait_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "probe", probed(silent=True, answered=False))
    together = Together()
    run_live(*together.cases(40), jobs=2)
    assert together.most == 40


def test_dangerous_cases_come_last_each_alone_on_a_target_of_its_own() -> None:
    together, target = Together(), LoopTarget()
    dangerous = [planned(together.body(f"bomb {i}"), f"bomb {i}", dangerous=True) for i in range(2)]
    configured = planned(together.body("configured"), "configured", config={"pool": 1})
    run_live(*dangerous, *together.cases(3), configured, target=target, jobs=1)
    assert together.order[-2:] == ["bomb 0", "bomb 1"]
    assert set(together.order[:-2]) == {"case 0", "case 1", "case 2", "configured"}
    assert len(target.started) == target.stopped == 4  # as it is, pool of one, two bombs


def test_exclusive_cases_run_alone_behind_the_others_on_the_same_target() -> None:
    together, target = Together(), LoopTarget()
    seen: list[int] = []

    async def watched(ctx: Context) -> None:
        seen.append(together.now)
        await together.body("exclusive")(ctx)
        seen.append(together.most)

    exclusive = [planned(watched, f"exclusive {i}", exclusive=True) for i in range(2)]
    run_live(*exclusive, *together.cases(3), target=target)
    assert seen == [0, 3, 0, 3]
    assert together.order == ["case 0", "case 1", "case 2", "exclusive", "exclusive"]
    assert target.started == [{}]


def test_each_configuration_is_started_once_and_stopped() -> None:
    target = LoopTarget()
    cases = [planned(good, f"case {i}", config={"pool": 1 + i % 2}) for i in range(6)]
    assert [ran.error for ran in run_live(*cases, target=target)] == [None] * 6
    assert target.started == [{}, {"pool": 1}, {"pool": 2}]
    assert target.stopped == 3


def test_a_case_over_its_time_is_a_failure_and_the_others_are_not() -> None:
    slow, fast = run_live(planned(hangs, "slow"), planned(good, "fast"), limit=0.3)
    assert isinstance(slow.error, ViolationError)
    assert slow.error.actual == "not done after 0.3 s"
    assert fast.error is None


def test_closing_ends_cases_that_still_run() -> None:
    begun = threading.Event()

    async def long(ctx: Context) -> None:
        begun.set()
        await asyncio.sleep(60)

    target = LoopTarget()
    cases = planned(good, "first"), planned(long, "long"), planned(long, "other", config={"pool": 1})
    with live(target, *cases, limit=100) as runner:
        assert runner.result(cases[0]).error is None
        assert begun.wait(5)
        started = time.monotonic()
    assert time.monotonic() - started < 5.0
    assert target.stopped == len(target.started)
    assert not [thread for thread in threading.enumerate() if thread.name == "cases"]
    assert runner.results["long"].done()


def test_a_target_that_does_not_start_leaves_nothing_behind() -> None:
    class Dead(LoopTarget):
        async def start(self, config: Mapping[str, Any]) -> Running:
            raise TargetError("it is dead")

    with pytest.raises(TargetError, match="it is dead"), live(Dead()):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "cases"]


# --- a tester that is late --------------------------------------------------------------------------------------------


class Busy:
    """A case that finds fault and is late itself, the first so many times."""

    def __init__(self, times_late: int, *, fault: bool = True) -> None:
        self.times_late = times_late
        self.fault = fault
        self.runs = 0

    async def __call__(self, ctx: Context) -> None:
        self.runs += 1
        if self.runs <= self.times_late:
            await asyncio.sleep(0.05)  # the watch is on its way
            time.sleep(schedule.MAX_LAG * 2)  # noqa: ASYNC251  that is the point
            if self.fault:
                raise ViolationError("nothing in time")


def test_a_fault_found_by_a_late_tester_is_looked_at_again() -> None:
    busy = Busy(times_late=1)
    (ran,) = run_live(planned(busy))
    assert (ran.error, busy.runs) == (None, 2)


def test_a_tester_that_stays_late_proves_nothing() -> None:
    busy = Busy(times_late=100)
    (ran,) = run_live(planned(busy))
    assert isinstance(ran.error, LateError)
    assert "late" in str(ran.error)
    assert busy.runs == 1 + schedule.RETRIES


def test_a_case_that_passes_need_not_be_punctual() -> None:
    busy = Busy(times_late=1, fault=False)
    (ran,) = run_live(planned(busy))
    assert (ran.error, busy.runs) == (None, 1)


def test_the_second_look_is_taken_with_nothing_beside_it() -> None:
    together, busy = Together(), Busy(times_late=1)
    seen: list[int] = []

    async def watched(ctx: Context) -> None:
        seen.append(together.now)
        await busy(ctx)

    run_live(planned(watched, "late"), *[planned(together.body(seconds=1.0), f"case {i}") for i in range(3)])
    assert seen[-1] == 0
    assert len(seen) == 2


def test_a_fault_found_in_time_is_one_at_once() -> None:
    async def wrong(ctx: Context) -> None:
        runs.append(1)
        raise ViolationError("wrong")

    runs: list[int] = []
    (ran,) = run_live(planned(wrong))
    assert isinstance(ran.error, ViolationError)
    assert len(runs) == 1
