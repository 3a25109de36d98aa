"""Running targets that are not valid nodes: each run ends in time, fails, and prints no traceback."""

import contextlib
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ergo_conformance.verdict.run.scheduler import SILENT_SAMPLE
from tests.support import bad_servers
from tests.support.cli import COMMAND, case_options, cases_of, cli, environment, failed_cases

HINT = "is the cookie right?"
SOME_CASES = (
    *("--suite", "handshake"),
    *case_options(
        "handshake.digest.h*", "handshake.framing.magic*", "handshake.join.join_to*", "handshake.join.pool_of_one"
    ),
)
TWO_CASES = case_options("handshake.digest.hello_answered", "handshake.digest.hello_refused[empty]")


@contextlib.contextmanager
def good_node(cookie: str) -> Iterator[int]:
    """Runs a reference node as a process; yields its port."""
    command = [*COMMAND, "node", "--cookie", cookie]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline().removeprefix("READY "))["port"]
        finally:
            process.terminate()


def free_port() -> int:
    """Returns a port that was free when it was chosen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def test_closed_port_ends_with_exit_code_2() -> None:
    port = free_port()
    ended = cli("run", f"tcp://127.0.0.1:{port}", "--cookie", "c")
    assert ended.code == 2
    assert ended.out == ""
    assert len(ended.err.strip().splitlines()) == 1
    assert f"no connection to 127.0.0.1:{port}" in ended.err


@pytest.mark.parametrize("server", [bad_servers.close_at_once, bad_servers.reset_at_once])
def test_server_that_closes_every_connection_gives_the_cookie_hint(server: bad_servers.Serve, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with bad_servers.running_server(server) as port:
        ended = cli("run", f"tcp://127.0.0.1:{port}", "--cookie", "c", *SOME_CASES, "--report", f"json={report}")
    assert ended.code == 1
    assert ended.contains_once(HINT), ended.text
    assert "handshake.digest.hello_answered" in failed_cases(report)


def test_wrong_cookie_gives_one_hint_and_the_right_cookie_none() -> None:
    with good_node("the right one") as port:
        target = ("run", f"tcp://127.0.0.1:{port}", *SOME_CASES)
        wrong = cli(*target, "--cookie", "a wrong one")
        right = cli(*target, "--cookie", "the right one")
    assert wrong.code == 1
    assert wrong.contains_once(HINT), wrong.text
    assert right.code == 0, right.text
    assert HINT not in right.text
    assert "needs a target whose pool can be set" in right.out


NONSENSE_SERVERS = (
    bad_servers.answer_http,
    bad_servers.send_slowly,
    bad_servers.send_zeros,
    bad_servers.send_frames,
    bad_servers.send_first_byte,
)


@pytest.mark.parametrize("server", NONSENSE_SERVERS)
def test_server_that_sends_nonsense_fails_with_a_transcript(server: bad_servers.Serve, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    with bad_servers.running_server(server) as port:
        options = ("--cookie", "c", *TWO_CASES, "--report", f"json={report}")
        ended = cli("run", f"tcp://127.0.0.1:{port}", *options)
    assert ended.code == 1
    assert HINT not in ended.text
    answered = cases_of(report)["handshake.digest.hello_answered"]
    assert answered["verdict"] in ("FAIL", "INCONCLUSIVE")
    assert any(" < " in line for line in answered["transcripts"][0]["lines"])
    assert report.stat().st_size < 2_000_000


def test_silent_target_fails_a_sample_of_the_cases_and_is_not_tested_further(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    options = ("--cookie", "c", "--suite", "handshake", "--report", f"json={report}")
    with bad_servers.running_server(bad_servers.never_answer) as port:
        ended = cli("run", f"tcp://127.0.0.1:{port}", *options)
    assert ended.code == 1
    rows = cases_of(report).values()
    reasons = Counter(row["reason"] for row in rows if row["verdict"] == "INCONCLUSIVE")
    assert 16 < sum(row["verdict"] == "FAIL" for row in rows) <= SILENT_SAMPLE
    assert reasons["the target sent no byte in 32 cases, so it is not tested further"] > 100
    assert HINT not in ended.text
    assert "did not answer the first Hello" in ended.out
    assert "nothing within 5 s" in ended.out


NODE_DIES = """
import json, os, signal, subprocess, sys, threading
node = subprocess.Popen([sys.executable, "-P", "-m", "ergo_conformance", "node"], stdout=subprocess.PIPE, text=True)
print(node.stdout.readline(), end="", flush=True)
signal.signal(signal.SIGTERM, lambda *_: (node.kill(), os._exit(0)))
threading.Event().wait(1.0)
node.kill()
node.wait()
threading.Event().wait()
"""
"""Target whose node is killed a second after its READY line."""


def test_target_that_dies_during_the_run_fails(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    chosen = ("--suite", "handshake", *case_options("handshake.time.deadline_is_lifted", "handshake.order.*"))
    ended = cli("run", *chosen, "--report", f"json={report}", "--", sys.executable, "-P", "-c", NODE_DIES)
    assert ended.code == 1, ended.text
    assert "handshake.time.deadline_is_lifted" in failed_cases(report)
