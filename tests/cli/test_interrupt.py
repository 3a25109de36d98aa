"""Ends of a run before its last case, by a signal or a dead process: results are written and targets are stopped."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psutil
import pytest

from tests.support.cli import COMMAND, LIMIT, CommandResult, assert_no_traceback, cli, environment


@pytest.fixture(autouse=True)
def default_sigint_handler() -> Iterator[None]:
    """Background processes of a shell ignore SIGINT, and so would their children (CI may run like that)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_interrupted_run_writes_its_results(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ("--over", "tcp", "--suite", "handshake", "--jobs", "1", "-v", "--report", f"json={report}")
    command = [*COMMAND, "run", *options]
    with subprocess.Popen(
        command,
        env=environment(),
        cwd=tempfile.gettempdir(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        assert process.stdout
        lines = [line for _, line in zip(range(12), process.stdout, strict=False)]
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=300)
    ended = CommandResult(process.returncode, "".join(lines) + out, err)
    assert ended.code == 1, ended.text
    assert_no_traceback(ended)
    assert "interrupted: " in ended.out.splitlines()[-1]
    content = json.loads(report.read_text())
    assert content["run"]["interrupted"] is True
    assert content["exit_code"] == 1
    assert content["counts"]["PASS"] >= 5
    left = [row for row in content["cases"] if row["reason"].startswith("did not run")]
    assert len(left) + content["counts"]["PASS"] <= len(content["cases"])
    assert {row["verdict"] for row in left} == {"ERROR"}


SILENT_NODE = """
import json, os, pathlib, socket, sys
listening = socket.create_server(("127.0.0.1", 0))
print("READY", json.dumps({"name": "silent@localhost", "port": listening.getsockname()[1]}), flush=True)
kept = []
while True:
    kept.append(listening.accept())
    if len(kept) == 6:
        pathlib.Path(sys.argv[1]).touch()
"""
"""Program of a target that accepts connections and never answers; it makes a file when cases run: a probe opens few."""


class Run:
    """A run of the command line in its own process group, against SILENT_NODE. The target and its children have `mark`."""

    def __init__(self, directory: Path, *options: str, wrapper: tuple[str, ...] = ()) -> None:
        self.mark = uuid.uuid4().hex
        self.report, self.touched = directory / "report.json", directory / "connected"
        target = [*wrapper, sys.executable, "-S", "-c", SILENT_NODE, str(self.touched)]
        self.command = [
            *COMMAND, "run", "--case", "handshake.digest.*", *options, "--report", f"json={self.report}", "--", *target,
        ]  # fmt: skip

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self.command, env={**environment(), "ERGO_TEST_MARK": self.mark}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.members():
            os.kill(pid, signal.SIGKILL)
        self.process.communicate()

    def wait_for_a_case(self) -> None:
        """Waits until a case has connected: the run has begun."""
        deadline = time.monotonic() + LIMIT
        while not self.touched.exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def members(self) -> list[int]:
        """Returns the processes of the run: the command, the process with the cases, the target and its children."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("ERGO_TEST_MARK") == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
        return found

    def runner(self) -> int:
        """Returns the process that runs the cases."""
        (runner,) = (child.pid for child in psutil.Process(self.process.pid).children())
        return runner

    def end(self) -> CommandResult:
        """Waits for the end of the command, and of all its processes."""
        out, err = self.process.communicate(timeout=LIMIT)
        deadline = time.monotonic() + LIMIT
        while self.members():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        ended = CommandResult(self.process.returncode, out, err)
        assert_no_traceback(ended)
        return ended

    def not_run(self) -> set[str]:
        """Returns the reasons of the cases that did not run, from the report."""
        return {row["reason"] for row in json.loads(self.report.read_text())["cases"] if row["verdict"] == "ERROR"}


@pytest.mark.parametrize(
    ("number", "to"),
    [
        (signal.SIGTERM, "command"),
        (signal.SIGHUP, "group"),
        (signal.SIGTERM, "runner"),
        (signal.SIGINT, "command"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_signal_ends_the_run_its_targets_and_writes_the_report(tmp_path: Path, number: int, to: str) -> None:
    with Run(tmp_path) as run:
        run.wait_for_a_case()
        match to:
            case "command":
                os.kill(run.process.pid, number)
            case "runner":
                os.kill(run.runner(), number)
            case "group":
                os.killpg(run.process.pid, number)
        ended = run.end()
        assert ended.code == 1, ended.text
        assert ended.out.splitlines()[-1].startswith("interrupted: ")
        assert run.not_run() == {"did not run: interrupted"}


def test_killed_runner_is_reported_and_its_targets_are_ended(tmp_path: Path) -> None:
    with Run(tmp_path) as run:
        run.wait_for_a_case()
        os.kill(run.runner(), signal.SIGKILL)
        ended = run.end()
        assert ended.code == 1, ended.text
        reason = "the process that runs the cases was ended by SIGKILL"
        assert f"error {reason}" in ended.out
        assert ended.out.splitlines()[-1].startswith("interrupted: ")
        assert run.not_run() == {f"did not run: {reason}"}
        assert json.loads(run.report.read_text())["errors"] == [reason]


def test_killed_command_ends_the_runner_and_the_targets(tmp_path: Path) -> None:
    with Run(tmp_path) as run:
        run.wait_for_a_case()
        os.kill(run.process.pid, signal.SIGKILL)
        assert run.end().code == -signal.SIGKILL
        assert run.not_run() == {"did not run: interrupted"}


def test_target_behind_a_wrapper_that_forwards_no_signal_is_ended(tmp_path: Path) -> None:
    with Run(tmp_path, wrapper=("sh", "-c", '"$@" & wait', "sh")) as run:
        run.wait_for_a_case()
        os.kill(run.process.pid, signal.SIGTERM)
        assert run.end().code == 1


def test_interrupted_run_stops_a_target_that_a_case_started() -> None:
    mark = uuid.uuid4().hex
    command = [*COMMAND, "run", "--case", "registrar.esrd_client.*", "--jobs", "2", "-v", "--", *COMMAND, "node"]
    with subprocess.Popen(
        command, env={**environment(), "ERGO_TEST_MARK": mark}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout
        for line in process.stdout:
            if line.startswith("PASS"):
                break
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)  # the pipes are closed when all processes have ended
    assert process.returncode == 1
    assert_no_traceback(CommandResult(1, out, err))


@pytest.mark.parametrize(
    ("file", "code", "text"),
    [
        ("/dev/full", 1, "error --report /dev/full: No space left on device"),
        (".", 2, "--report json=.: Is a directory"),
        ("x" * 300, 2, "File name too long"),
    ],
    ids=["full", "directory", "long name"],
)
def test_report_that_cannot_be_written_is_told(file: str, code: int, text: str) -> None:
    ended = cli("run", "--case", "handshake.digest.hello_answered", "--report", f"json={file}")
    assert ended.code == code
    assert text in ended.text
    assert ("the run had errors: 1 PASS" in ended.out) == (code == 1)
