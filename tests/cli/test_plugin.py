"""The plugin in pytest sessions of other projects."""

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from ergo_conformance.cli.pytest_process import PLUGIN
from ergo_conformance.verdict.run.pytest_arguments import clean_environment, environment_of_process
from tests.support.cli import environment

OWN_CASES = '''
from ergo_conformance.testing import case


@case("EHS-DIG-1", "EHS-AST-4")
async def test_mine(ergo_context):
    """My own handshake."""
    dialer, accept = await ergo_context.connected("me@localhost")
    dialer.check(accept.PoolSize == 3, f"{accept.PoolSize}", "3")


@case("EHS-DIG-1", hostile=True)
async def test_wrong(ergo_context):
    """Expects more than the target does."""
    dialer = await ergo_context.dial()
    await dialer.expect_open(60.0)


@case("EDF-TOP-1", offers=("codec",))
def test_codec(ergo_codec):
    """The codec reads a nil."""
    from ergo_conformance.model.ergo.caches import Caches
    from ergo_conformance.model.ergo.records import framework
    assert ergo_codec.decode(b"\\xff", framework(), Caches()) == (None, 1)
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Returns an empty project that does not inherit the configuration of this repository."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def run_pytest(project: Path, *arguments: str) -> tuple[int, str]:
    """Runs pytest in a process, which loads the plugin by its entry point; returns the exit code and the output."""
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    process = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    return process.returncode, process.stdout + process.stderr


def run_in_this_process(project: Path, *arguments: str) -> tuple[int, str]:
    """Runs pytest in this process with the plugin and no other; returns the exit code and the output."""
    out = io.StringIO()
    options = ["-p", "no:cacheprovider", "--import-mode=importlib", "-c", str(project / "pytest.ini")]
    with environment_of_process({**environment(), **clean_environment()}), redirect_stdout(out), redirect_stderr(out):
        code = pytest.main([*PLUGIN, *options, *arguments, str(project)])
    sys.modules.pop("test_own", None)  # the next project has another file of this name
    return code, out.getvalue()


def test_session_without_a_target_is_unchanged(project: Path) -> None:
    (project / "test_plain.py").write_text("def test_good(): pass\n\ndef test_bad(): assert 0\n")
    code, out = run_pytest(project, "-W", "error")
    assert code == 1
    assert "1 failed, 1 passed" in out
    assert "ergo" not in out.replace("ergo-conformance-0", "").partition("collected")[2].lower()


def test_cases_without_a_target_are_skipped(project: Path) -> None:
    (project / "test_own.py").write_text(OWN_CASES)
    code, out = run_in_this_process(project, "-rs")
    assert code == 0, out
    assert "3 skipped" in out
    assert "no target: run with --ergo-target" in out


def test_own_cases_run_against_self(project: Path) -> None:
    (project / "test_own.py").write_text(OWN_CASES)
    code, out = run_in_this_process(project, "--ergo-target", "self")
    assert code == 1, out
    assert "1 failed, 2 passed" in out
    assert "EHS-DIG-1: " in out
    assert "expected: the target keeps the socket open for 60 s" in out
    assert "Traceback" not in out


def test_own_cases_under_xdist(project: Path) -> None:
    pytest.importorskip("xdist")
    (project / "test_own.py").write_text(OWN_CASES)
    code, out = run_pytest(project, "--ergo-target", "self", "-n", "1", "-k", "mine or codec")
    assert code == 0, out
    assert "2 passed" in out


def test_invalid_option_is_a_usage_error_of_pytest(project: Path) -> None:
    code, out = run_in_this_process(project, "--ergo-target", "selff")
    assert code == 4
    assert "'selff' is not a valid target; did you mean self?" in out


def test_case_with_an_unknown_requirement_is_a_usage_error(project: Path) -> None:
    (project / "test_own.py").write_text(OWN_CASES.replace("EHS-AST-4", "EHS-AST-404"))
    code, out = run_in_this_process(project, "--ergo-target", "self")
    assert code == 4, out
    assert "cites EHS-AST-404" in out
    assert "INTERNALERROR" not in out
