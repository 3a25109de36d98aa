"""The plugin in pytest sessions of other projects."""

import subprocess
import sys
from pathlib import Path

import pytest

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
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    process = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    return process.returncode, process.stdout + process.stderr


def test_session_without_a_target_is_unchanged(project: Path) -> None:
    (project / "test_plain.py").write_text("def test_good(): pass\n\ndef test_bad(): assert 0\n")
    code, out = run_pytest(project, "-W", "error")
    assert code == 1
    assert "1 failed, 1 passed" in out
    assert "ergo" not in out.replace("ergo-conformance-0", "").partition("collected")[2].lower()


def test_cases_without_a_target_are_skipped(project: Path) -> None:
    (project / "test_own.py").write_text(OWN_CASES)
    code, out = run_pytest(project, "-rs")
    assert code == 0, out
    assert "3 skipped" in out
    assert "no target: run with --ergo-target" in out


def test_own_cases_run_against_self(project: Path) -> None:
    (project / "test_own.py").write_text(OWN_CASES)
    code, out = run_pytest(project, "--ergo-target", "self")
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
    code, out = run_pytest(project, "--ergo-target", "selff")
    assert code == 4
    assert "'selff' is not a valid target; did you mean self?" in out


def test_case_with_an_unknown_requirement_is_a_usage_error(project: Path) -> None:
    (project / "test_own.py").write_text(OWN_CASES.replace("EHS-AST-4", "EHS-AST-404"))
    code, out = run_pytest(project, "--ergo-target", "self")
    assert code == 4, out
    assert "cites EHS-AST-404" in out
    assert "INTERNALERROR" not in out
