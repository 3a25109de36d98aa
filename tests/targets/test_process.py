"""Targets that are started by a command: READY line, settings, stop."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from ergo_conformance.targets import process, process_group
from ergo_conformance.targets.base import ConfigNotSupportedError, TargetError
from ergo_conformance.targets.process import ProcessRunningTarget, ProcessTarget, in_force

PRELUDE = "import json, os, signal, sys, threading; wanted = json.loads(os.environ['ERGO_TARGET'])\n"
STAYS = "\nthreading.Event().wait(30)"
GOOD = """print("READY", json.dumps({"name": "a@b", "port": 1, "config": CONFIG}), flush=True)"""


def target(program: str, **settings: Any) -> ProcessTarget:
    return ProcessTarget([sys.executable, "-S", "-c", PRELUDE + program], **settings)


def good_target(config: str = "wanted", **settings: Any) -> ProcessTarget:
    return target(GOOD.replace("CONFIG", config) + STAYS, **settings)


T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work, debug=True)


async def start_and_stop(of: ProcessTarget, **config: Any) -> ProcessRunningTarget:
    """Starts and stops a target; returns it."""
    try:
        running = await of.start(config)
        assert isinstance(running, ProcessRunningTarget)
        await running.stop()
    finally:
        await of.close()
    return running


def target_error(of: ProcessTarget, **config: Any) -> str:
    with pytest.raises(TargetError) as raised:
        run(start_and_stop(of, **config))
    return str(raised.value)


# --- READY ------------------------------------------------------------------------------------------------------------


def test_ready_line_gives_address_name_cookie_and_config() -> None:
    running = run(start_and_stop(good_target(cookie="mine", node="x@y")))
    assert (running.host, running.port, running.context) == ("127.0.0.1", 1, None)
    assert (running.target_info.name, running.target_info.cookie) == ("a@b", "mine")
    assert running.offers == {"accept"}
    assert running.config["name"] == "x@y"  # the setting in force, from the READY line
    assert running.config["tls"] is False


def test_offers_of_the_command_line_replace_those_of_ready() -> None:
    assert run(start_and_stop(good_target(offers=frozenset({"codec"})))).offers == {"codec"}


def test_tls_of_the_command_line_does_not_concern_a_hidden_target_which_does_not_listen() -> None:
    assert run(start_and_stop(good_target(tls=True), mode="hidden")).tls is False
    assert "does not honour tls" in target_error(good_target(tls=True), mode="enabled")


def test_lines_before_ready_are_ignored() -> None:
    assert (
        run(
            start_and_stop(target("print('starting')\nprint('READYness')\n" + GOOD.replace("CONFIG", "{}") + STAYS))
        ).port
        == 1
    )


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("READY ready", "READY is not one line of JSON"),
        ("READY []", "READY needs at least name and port"),
        ("READY {}", "READY needs at least name and port"),
        ('READY {"name": "a@b"}', "READY needs at least name and port"),
        ('READY {"name": "a@b", "port": "x"}', "READY has no valid port: 'x'"),
        ('READY {"name": "a@b", "port": 1, "config": 3}', "READY has no valid config: 3"),
        ('READY {"name": "a@b", "port": 1, "offers": "accept"}', "READY has no valid offers: 'accept'"),
        ("x" * (process.MAX_LINE + 1), "READY is not one line of JSON"),
    ],
    ids=["word", "list", "empty", "no port", "bad port", "bad config", "bad offers", "endless"],
)
def test_invalid_ready_line_raises(line: str, what: str) -> None:
    short = line if len(line) < 1000 else line[0]
    program = f"print({short!r} * {len(line) // len(short)}, flush=True)"
    assert what in target_error(target(program + STAYS))


def test_missing_ready_line_raises_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []
    monkeypatch.setattr(process, "START_TIMEOUT", 0.5)
    monkeypatch.setattr(process, "note_group", pids.append)
    assert "no READY line within 0.5 s" in target_error(target(STAYS))
    (pid,) = pids
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_end_before_ready_raises_with_the_last_lines_of_stderr() -> None:
    said = target_error(target("for i in range(20): print('word', i, file=sys.stderr)\nsys.exit(3)"))
    assert "ended with code 3 before its READY line" in said
    assert said.splitlines()[-8:] == [f"  | word {i}" for i in range(12, 20)]


def test_line_in_several_chunks_is_one_line() -> None:
    async def drain() -> list[str]:
        stream, tail = asyncio.StreamReader(), list[str]()
        task = asyncio.create_task(process._drain(stream, tail.append))
        for piece in (b"one li", b"ne\ntwo", b"\n", b"thr\xff"):
            stream.feed_data(piece)
            for _ in range(3):
                await asyncio.sleep(0)
        stream.feed_eof()
        await task
        return tail

    assert list(run(drain())) == ["one line", "two", "thr\ufffd"]


def test_missing_command_raises() -> None:
    with pytest.raises(TargetError, match="No such file"):
        run(start_and_stop(ProcessTarget(["/nowhere/node"])))


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "asked", "missing"),
    [
        ("{}", {"pool": 1}, "needs a target that honours pool"),
        ("{**wanted, 'pool': 3}", {"pool": 1}, "needs pool = 1, the target has 3"),
        ("wanted", {"tls": True}, "needs a TLS connection"),
        ("{'flags': {'spawn': True}}", {"flags": {"spawn": False}}, "needs flags"),
    ],
)
def test_setting_that_is_not_in_force_raises(config: str, asked: dict[str, Any], missing: str) -> None:
    with pytest.raises(ConfigNotSupportedError, match=missing):
        run(start_and_stop(good_target(config), **asked))


def test_setting_in_force_is_in_config() -> None:
    assert run(start_and_stop(good_target(), pool=1, flags={"spawn": False})).config["pool"] == 1


def test_in_force_compares_only_the_requested_keys_of_an_object() -> None:
    assert in_force({"a": 1}, {"a": 1, "b": 2})
    assert not in_force({"a": 1}, {"b": 2})
    assert not in_force({"a": 1}, 1)


# --- stop -------------------------------------------------------------------------------------------------------------


def test_stop_sends_sigterm() -> None:
    assert run(start_and_stop(good_target())).process.returncode == -signal.SIGTERM


def test_stop_kills_a_process_that_ignores_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "STOP_TIMEOUT", 0.2)
    ignores_sigterm = target("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + GOOD.replace("CONFIG", "{}") + STAYS)
    assert run(start_and_stop(ignores_sigterm)).process.returncode == -signal.SIGKILL


def test_target_with_much_output_never_blocks_and_may_end_before_stop() -> None:
    talk = "\nfor out in (sys.stdout, sys.stderr): print('x' * 500_000, file=out, flush=True)\nsys.exit(7)"

    async def until_it_ends() -> int:
        running = await target(GOOD.replace("CONFIG", "{}") + talk).start({})
        assert isinstance(running, ProcessRunningTarget)
        async with asyncio.timeout(20):
            code = await running.process.wait()
        await running.stop()
        return code

    assert run(until_it_ends()) == 7
