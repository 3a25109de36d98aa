"""Cases that start the target with a scripted registrar: targets that register, refuse, hang or can't be configured."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from ergo_conformance.errors import UsageError
from ergo_conformance.peers.violation import UnreachableError, ViolationError
from ergo_conformance.targets.base import ConfigNotSupportedError, RunningTarget, Target, TargetError
from ergo_conformance.targets.self_node import SelfTarget
from ergo_conformance.targets.tcp import TcpTarget
from ergo_conformance.verdict.run import registration
from ergo_conformance.verdict.run.case import Case
from ergo_conformance.verdict.run.context import SkippedError
from ergo_conformance.verdict.run.execution import CaseResult, MemoryRunner, PlannedCase
from ergo_conformance.verdict.run.live import CONCURRENT_STARTS, LiveRunner
from ergo_conformance.verdict.run.registration import RegistrationContext

ESRD = {"registrar": {"kind": "esrd"}}
SATURN = {"registrar": {"kind": "saturn"}}
Script = Callable[[RegistrationContext], Coroutine[Any, Any, None]]


class SubstitutedTarget(SelfTarget):
    """Embedded node over sockets. `instead` replaces starts with a registrar; `started` lists the configurations."""

    def __init__(
        self, instead: Callable[[Mapping[str, Any]], Coroutine[Any, Any, RunningTarget]] | None = None
    ) -> None:
        super().__init__(over="tcp")
        self.instead = instead
        self.started: list[Mapping[str, Any]] = []
        self.running: list[RunningTarget] = []

    async def start(self, config: Mapping[str, Any]) -> RunningTarget:
        self.started.append(config)
        if self.instead is not None and "registrar" in config:
            return await self.instead(config)
        self.running.append(await super().start(config))
        return self.running[-1]


def planned(script: Script, config: Mapping[str, Any] = ESRD, id_: str = "suite.area.case") -> PlannedCase:
    return PlannedCase(id_, Case(("ESRD-CL-1",), config=config), script)


def run_live(target: Target, *cases: PlannedCase, limit: float = 10.0) -> list[CaseResult]:
    runner = LiveRunner(target, 0, limit, 16)
    try:
        runner.start()
        runner.plan(cases)
        return [runner.result(case) for case in cases]
    finally:
        runner.close()


async def register(ctx: RegistrationContext) -> None:
    await ctx.registered_at_esrd()


async def wait_for_registration(ctx: RegistrationContext) -> None:
    await ctx.esrd_registration()


async def refuse_registration(ctx: RegistrationContext) -> None:
    lease = await ctx.esrd_registration()
    await lease.request()
    lease.refuse("not today")
    await ctx.not_started()


def test_registrar_listens_before_the_target_starts_and_stops_after_the_case() -> None:
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
    target = SubstitutedTarget()
    found = run_live(target, planned(esrd), planned(saturn, SATURN, "suite.area.other"))
    assert [result.error for result in found] == [None, None]
    assert len(set(ports)) == 2
    first, *others = target.started
    assert first == {}
    rows = {config["registrar"]["kind"]: config["registrar"] for config in others}
    assert rows["esrd"].keys() == {"kind", "host", "port", "serve"}
    assert rows["saturn"].keys() == {"kind", "host", "port", "token", "cluster"}
    for running in target.running:
        with pytest.raises(UnreachableError):
            asyncio.run(running.socket())


def test_refused_registration_passes() -> None:
    (result,) = run_live(SubstitutedTarget(), planned(refuse_registration))
    assert result.error is None


def test_target_that_starts_unregistered_fails() -> None:
    async def start_unregistered(config: Mapping[str, Any]) -> RunningTarget:
        reader, writer = await asyncio.open_connection("127.0.0.1", config["registrar"]["port"])
        writer.write(b"\1\x2c\0\0")
        await reader.read()
        writer.close()
        return await SelfTarget(over="tcp").start({})

    async def close_and_expect_no_start(ctx: RegistrationContext) -> None:
        (await ctx.esrd_registration()).socket.close()
        await ctx.not_started()

    (result,) = run_live(SubstitutedTarget(start_unregistered), planned(close_and_expect_no_start))
    assert isinstance(result.error, ViolationError)
    assert result.error.actual == "it has started"
    assert [transcript.label for transcript in result.transcripts] == ["registration 1"]


@pytest.mark.parametrize("script", [wait_for_registration, register])
def test_target_that_does_not_register_fails(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start_without_registrar(config: Mapping[str, Any]) -> RunningTarget:
        return await SelfTarget(over="tcp").start({})

    monkeypatch.setattr(registration, "LATE_ARRIVAL", 0.01)
    (result,) = run_live(SubstitutedTarget(start_without_registrar), planned(script))
    assert isinstance(result.error, ViolationError)
    assert result.error.expected == ("a target that registers when it starts",)


def test_target_that_does_not_start_fails() -> None:
    async def fail_to_start(config: Mapping[str, Any]) -> RunningTarget:
        raise TargetError("ended with code 1")

    async def wait_for_start(ctx: RegistrationContext) -> None:
        await ctx.start()
        await ctx.started()

    for script in (register, wait_for_start):
        (result,) = run_live(SubstitutedTarget(fail_to_start), planned(script))
        assert isinstance(result.error, ViolationError)
        assert result.error.actual == "it does not start: ended with code 1"


def test_target_that_hangs_fails_and_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[bool] = []

    async def hang(config: Mapping[str, Any]) -> RunningTarget:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)
        raise AssertionError

    async def expect_no_start(ctx: RegistrationContext) -> None:
        await ctx.start()
        await ctx.not_started()

    monkeypatch.setattr(registration, "START_TIMEOUT", 0.05)
    (result,) = run_live(SubstitutedTarget(hang), planned(expect_no_start))
    assert isinstance(result.error, ViolationError)
    assert "neither started nor ended" in result.error.actual
    assert ended == [True]


def test_target_without_a_configurable_registrar_skips_the_case() -> None:
    async def refuse_config(config: Mapping[str, Any]) -> RunningTarget:
        raise ConfigNotSupportedError("needs a target that honours registrar")

    for script in (register, refuse_registration):
        (result,) = run_live(SubstitutedTarget(refuse_config), planned(script))
        assert isinstance(result.error, SkippedError)
        assert str(result.error) == "needs a target that honours registrar"


def test_running_target_has_no_configurable_registrar() -> None:
    target = TcpTarget("tcp://127.0.0.1:1", cookie="secret", node=None, tls_ca=None, offers=None)
    with pytest.raises(ConfigNotSupportedError, match="needs a target whose registrar can be set"):
        asyncio.run(target.start(ESRD))


def test_target_in_memory_registers_over_the_network_of_its_loop() -> None:
    result = MemoryRunner(SelfTarget(), 0, 30.0).result(planned(register))
    assert result.error is None


def test_target_in_memory_skips_a_case_in_which_the_node_may_serve() -> None:
    async def may_serve(context: RegistrationContext) -> None:
        await context.esrd_registration(serve=True)

    result = MemoryRunner(SelfTarget(), 0, 30.0).result(planned(may_serve))
    assert isinstance(result.error, SkippedError)
    assert "the server of a registrar opens ports" in str(result.error)


def test_unexpected_exception_of_a_start_is_an_error() -> None:
    async def raise_usage_error(config: Mapping[str, Any]) -> RunningTarget:
        raise UsageError("a bug in the case's settings")

    (result,) = run_live(SubstitutedTarget(raise_usage_error), planned(register))
    assert isinstance(result.error, UsageError)


def test_concurrent_starts_are_limited() -> None:
    now = most = 0

    async def count_concurrent(ctx: RegistrationContext) -> None:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0.05)
        now -= 1

    cases = [planned(count_concurrent, id_=f"suite.area.{i}") for i in range(3 * CONCURRENT_STARTS)]
    assert all(result.error is None for result in run_live(SubstitutedTarget(), *cases))
    assert most == CONCURRENT_STARTS
