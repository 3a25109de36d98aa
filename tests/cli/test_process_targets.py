"""Targets that the toolkit starts and that fail to start."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.cli import MUTANT_PROCESS, case_options, cli

ONE = ("--suite", "handshake", *case_options("handshake.digest.hello_answered"))
STAYS = "; import threading; threading.Event().wait(60)"


def python(program: str) -> tuple[str, ...]:
    return "--", sys.executable, "-P", "-c", program


def ready(text: str) -> tuple[str, ...]:
    return python(f"print({text!r}, flush=True){STAYS}")


def test_missing_command_ends_with_exit_code_2() -> None:
    ended = cli("run", *ONE, "--", "/nowhere/a-node")
    assert ended.code == 2
    assert ended.out == ""
    assert "/nowhere/a-node: No such file or directory" in ended.err


def test_command_that_ends_before_ready_shows_its_stderr() -> None:
    ended = cli("run", *ONE, *python("import sys; sys.exit('no config found')"))
    assert ended.code == 2
    assert "ended with code 1 before its READY line" in ended.err
    assert "  | no config found" in ended.err


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("READY ready", "READY is not one line of JSON"),
        ('READY {"name": "a@b", "port": null}', "READY has no valid port"),
        ('READY {"name": "a@b", "port": 1}', "no connection to 127.0.0.1:1"),
    ],
)
def test_invalid_ready_line_ends_with_exit_code_2(line: str, complaint: str) -> None:
    ended = cli("run", *ONE, *ready(line))
    assert ended.code == 2, ended.text
    assert ended.out == ""
    assert complaint in ended.err


def test_target_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    program = "import os, runpy, signal, sys; sys.argv[1:] = ['none']; import asyncio"
    program += "; asyncio.SelectorEventLoop.add_signal_handler = lambda *_: None"
    program += f"; signal.signal(signal.SIGTERM, lambda *_: open({str(asked)!r}, 'w').write(str(os.getpid())))"
    program += f"; runpy.run_path({MUTANT_PROCESS[-1]!r}, run_name='__main__')"
    ended = cli("run", *ONE, *python(program))
    assert ended.code == 0, ended.text
    with pytest.raises(ProcessLookupError):
        os.kill(int(asked.read_text()), 0)


def test_targets_of_two_configurations_leave_no_process(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    program = f"import os, runpy, sys; sys.argv[1:] = ['none']; print(os.getpid(), file=open({str(pids)!r}, 'a'))"
    program += f"; runpy.run_path({MUTANT_PROCESS[-1]!r}, run_name='__main__')"
    chosen = ("--suite", "handshake", *case_options("handshake.digest.whole_handshake*"))
    ended = cli("run", *chosen, *python(program))
    assert ended.code == 0, ended.text
    assert ended.err == ""
    started = pids.read_text().split()
    assert len(started) == 3  # default, tls false, tls true
    assert not [pid for pid in started if Path("/proc", pid).exists()]
