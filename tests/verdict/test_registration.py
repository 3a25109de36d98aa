"""Cases that start the target with a registrar of ours: what becomes of targets that can't, won't, or do otherwise."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.peers.violation import UnreachableError, ViolationError
from ergo_conformance.targets.base import NotGivenError, Running, Target, TargetError
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.targets.tcp import TcpTarget
from ergo_conformance.verdict.run import registration
from ergo_conformance.verdict.run.case import Case
from ergo_conformance.verdict.run.context import SkippedError
from ergo_conformance.verdict.run.registration import RegistrationContext
from ergo_conformance.verdict.run.schedule import STARTS_AT_ONCE, LiveRunner, MemoryRunner, Planned, Ran

ESRD = {"registrar": {"kind": "esrd"}}
SATURN = {"registrar": {"kind": "saturn"}}
Script = Callable[[RegistrationContext], Coroutine[Any, Any, None]]


class Odd(SelfTarget):
    """The embedded node over sockets; with a registrar it does something else. Notes what it was started with."""

    def __init__(self, instead: Callable[[Mapping[str, Any]], Coroutine[Any, Any, Running]] | None = None) -> None:
        super().__init__(over="tcp")
        self.instead = instead
        self.started: list[Mapping[str, Any]] = []
        self.running: list[Running] = []

    async def start(self, config: Mapping[str, Any]) -> Running:
        self.started.append(config)
        if self.instead is not None and "registrar" in config:
            return await self.instead(config)
        self.running.append(await super().start(config))
        return self.running[-1]


def planned(script: Script, config: Mapping[str, Any] = ESRD, id_: str = "suite.area.case") -> Planned:
    return Planned(id_, Case(("ESRD-CL-1",), config=config), script)


def run_live(target: Target, *cases: Planned, limit: float = 10.0) -> list[Ran]:
    runner = LiveRunner(target, 0, limit, 16)
    try:
        runner.start()
        runner.plan(cases)
        return [runner.result(case) for case in cases]
    finally:
        runner.close()


async def registers(ctx: RegistrationContext) -> None:
    await ctx.registered_at_esrd()


async def waits_for_a_lease(ctx: RegistrationContext) -> None:
    await ctx.esrd_registration()


async def refuses(ctx: RegistrationContext) -> None:
    lease = await ctx.esrd_registration()
    await lease.request()
    lease.refuse("not today")
    await ctx.not_started()


def test_the_registrar_is_there_before_the_target_and_gone_after_the_case() -> None:
    async def esrd(ctx: RegistrationContext) -> None:
        await ctx.registered_at_esrd()
        assert ctx.config["registrar"]["port"] == ctx.esrd.port
        ports.append(ctx.esrd.port)
        await ctx.still_serves()

    async def saturn(ctx: RegistrationContext) -> None:
        _, request = await ctx.registered_at_saturn()
        assert request.Cluster == ctx.cluster
        ports.append(ctx.saturn.port)

    ports: list[int] = []
    target = Odd()
    found = run_live(target, planned(esrd), planned(saturn, SATURN, "suite.area.other"))
    assert [ran.error for ran in found] == [None, None]
    assert len(set(ports)) == 2
    first, *others = target.started
    assert first == {}
    rows = {config["registrar"]["kind"]: config["registrar"] for config in others}
    assert rows["esrd"].keys() == {"kind", "host", "port", "serve"}
    assert rows["saturn"].keys() == {"kind", "host", "port", "token", "cluster"}
    for running in target.running:
        with pytest.raises(UnreachableError):
            asyncio.run(running.socket())


def test_a_target_that_is_refused_is_no_error_of_the_run() -> None:
    (ran,) = run_live(Odd(), planned(refuses))
    assert ran.error is None


def test_a_target_that_starts_unregistered_fails() -> None:
    async def starts_anyway(config: Mapping[str, Any]) -> Running:
        reader, writer = await asyncio.open_connection("127.0.0.1", config["registrar"]["port"])
        writer.write(b"\1\x2c\0\0")
        await reader.read()
        writer.close()
        return await SelfTarget(over="tcp").start({})

    async def closes(ctx: RegistrationContext) -> None:
        (await ctx.esrd_registration()).socket.close()
        await ctx.not_started()

    (ran,) = run_live(Odd(starts_anyway), planned(closes))
    assert isinstance(ran.error, ViolationError)
    assert ran.error.actual == "it has started"
    assert [label for label, _ in ran.transcripts] == ["registration 1"]


@pytest.mark.parametrize("script", [waits_for_a_lease, registers])
def test_a_target_that_does_not_come_fails(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    async def elsewhere(config: Mapping[str, Any]) -> Running:
        return await SelfTarget(over="tcp").start({})

    monkeypatch.setattr(registration, "LATE_ARRIVAL", 0.01)
    (ran,) = run_live(Odd(elsewhere), planned(script))
    assert isinstance(ran.error, ViolationError)
    assert ran.error.expected == ("a target that registers when it starts",)


def test_a_target_that_does_not_start_at_all_fails() -> None:
    async def ends(config: Mapping[str, Any]) -> Running:
        raise TargetError("ended with code 1")

    async def hidden(ctx: RegistrationContext) -> None:
        await ctx.start()
        await ctx.started()

    for script in (registers, hidden):
        (ran,) = run_live(Odd(ends), planned(script))
        assert isinstance(ran.error, ViolationError)
        assert ran.error.actual == "it does not start: ended with code 1"


def test_a_target_that_hangs_fails_and_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []

    async def hangs(config: Mapping[str, Any]) -> Running:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        raise AssertionError

    async def waits(ctx: RegistrationContext) -> None:
        await ctx.start()
        await ctx.not_started()

    monkeypatch.setattr(registration, "START_TIMEOUT", 0.05)
    (ran,) = run_live(Odd(hangs), planned(waits))
    assert isinstance(ran.error, ViolationError)
    assert "neither started nor ended" in ran.error.actual
    assert ended == [True]


def test_a_target_that_can_not_be_given_a_registrar_is_skipped() -> None:
    async def not_given(config: Mapping[str, Any]) -> Running:
        raise NotGivenError("needs a target that honours registrar")

    for script in (registers, refuses):
        (ran,) = run_live(Odd(not_given), planned(script))
        assert isinstance(ran.error, SkippedError)
        assert str(ran.error) == "needs a target that honours registrar"


def test_a_target_that_runs_already_can_not_be_given_one() -> None:
    target = TcpTarget("tcp://127.0.0.1:1", cookie="secret", node=None, tls_ca=None, offers=None)
    with pytest.raises(NotGivenError, match="needs a target whose registrar can be set"):
        asyncio.run(target.start(ESRD))


def test_in_memory_there_are_no_addresses() -> None:
    ran = MemoryRunner(SelfTarget(), 0, 30.0).result(planned(registers))
    assert isinstance(ran.error, SkippedError)
    assert str(ran.error).endswith("in memory there are no addresses")


def test_an_unexpected_end_of_a_start_is_an_error() -> None:
    async def breaks(config: Mapping[str, Any]) -> Running:
        raise UsageError("a bug in the case's settings")

    (ran,) = run_live(Odd(breaks), planned(registers))
    assert isinstance(ran.error, UsageError)


def test_only_a_few_targets_start_side_by_side() -> None:
    now = most = 0

    async def notes(ctx: RegistrationContext) -> None:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0.05)
        now -= 1

    cases = [planned(notes, id_=f"suite.area.{i}") for i in range(3 * STARTS_AT_ONCE)]
    assert all(ran.error is None for ran in run_live(Odd(), *cases))
    assert most == STARTS_AT_ONCE
