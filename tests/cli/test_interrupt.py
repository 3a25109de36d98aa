"""SIGINT during a run: results are written and targets are stopped."""

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import COMMAND, CommandResult, assert_no_traceback, environment


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


@pytest.mark.parametrize("cases", ["handshake.*", "registrar.esrd_client.*"], ids=["one target", "a target per case"])
def test_interrupted_run_stops_its_targets(cases: str) -> None:
    command = [*COMMAND, "run", "--case", cases, "--jobs", "2", "-v", "--", *COMMAND, "node"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout
        for line in process.stdout:
            if line.startswith("PASS"):
                break
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=300)  # the pipes are closed when all processes have ended
    assert process.returncode == 1
    assert_no_traceback(CommandResult(1, out, err))
    assert not group_members(process.pid)


def group_members(group: int) -> list[str]:
    """Returns the running processes of a process group."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(path.parent.name)
    return found
